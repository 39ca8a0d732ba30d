//! The source connector's configuration.

use std::time::Duration;

use pgoutput::client;
use regex::Regex;

use super::{ClientSettings, Endpoints, Properties, SignalsConfig, keys, report_unknown};
use crate::error::Error;
use debezium_model::Mapping;

/// Everything the source needs to know before it starts.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct SourceConfig {
    /// Name of the connector: the key of its position in the offsets topic.
    pub name: String,
    /// `topic.prefix`, the first part of every topic and record name.
    pub topic_prefix: String,
    /// Where the database is and how to log in.
    pub postgres: client::Config,
    /// `slot.name`.
    pub slot: String,
    /// `publication.name`.
    pub publication: String,
    /// Which tables of the publication are wanted.
    pub tables: TableFilter,
    /// `snapshot.mode`.
    pub snapshot: SnapshotMode,
    /// How rows become records.
    pub mapping: Mapping,
    /// Base URL of the schema registry.
    pub registry_url: String,
    /// Kafka client settings of the producer.
    pub kafka: ClientSettings,
    /// The compacted topic that holds the connector's position.
    pub offsets_topic: String,
    /// What happens to published tables whose rows nothing identifies.
    pub keyless: Keyless,
    /// Whether records carry the connector's context headers.
    pub context_headers: bool,
    /// `provide.transaction.metadata`: whether transactions have records of their own, and changes
    /// their place in them.
    pub transaction_metadata: bool,
    /// `heartbeat.interval.ms`: how often a heartbeat is sent; `None` for never.
    pub heartbeat: Option<Duration>,
    /// `heartbeat.action.query`: SQL to run with each heartbeat.
    pub heartbeat_action: Option<String>,
    /// Which logical messages are wanted, by their prefix.
    pub messages: PrefixFilter,
    /// Signals, ad-hoc snapshots and notifications.
    pub signals: SignalsConfig,
    /// `errors.tolerance=all`: a row that no record can be made of is passed over; else the source
    /// stops at the first one.
    pub tolerant: bool,
}

/// Whether the rows that are already there become records.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SnapshotMode {
    /// Once, when the connector has no position yet.
    Initial,
    /// Never: only changes from the slot's position on.
    Never,
}

/// What happens to a table without a primary key (or other replica identity) whose updates and
/// deletes are published: Postgres refuses them to every writer of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Keyless {
    /// The source does not start.
    Fail,
    /// Its inserts are followed, without keys, as Debezium does.
    Allow,
}

/// Include and exclude lists: regular expressions that must match the whole name.
#[derive(Debug, Clone, Default)]
pub struct TableFilter {
    include_schemas: Vec<Regex>,
    exclude_schemas: Vec<Regex>,
    include_tables: Vec<Regex>,
    exclude_tables: Vec<Regex>,
    /// The signal table, which is wanted whatever the lists say.
    signals: Option<(String, String)>,
}

/// Include or exclude list of prefixes of logical messages: regular expressions that must match the
/// whole prefix.
#[derive(Debug, Clone, Default)]
pub struct PrefixFilter {
    include: Vec<Regex>,
    exclude: Vec<Regex>,
}

impl PrefixFilter {
    /// Whether messages with this prefix are wanted.
    #[must_use]
    pub fn includes(&self, prefix: &str) -> bool {
        let any = |list: &[Regex]| list.iter().any(|regex| regex.is_match(prefix));
        (self.include.is_empty() || any(&self.include)) && !any(&self.exclude)
    }

    fn read(properties: &mut Properties) -> Self {
        Self {
            include: patterns(properties, "message.prefix.include.list"),
            exclude: patterns(properties, "message.prefix.exclude.list"),
        }
    }
}

/// The patterns of a list.
fn patterns(properties: &mut Properties, key: &str) -> Vec<Regex> {
    let text = properties.take(&[key]).unwrap_or_default();
    text.split(',')
        .map(str::trim)
        .filter(|pattern| !pattern.is_empty())
        .filter_map(|pattern| {
            let whole = Regex::new(&format!("(?i)^(?:{pattern})$"));
            if let Err(error) = &whole {
                properties.problem(format!("{key}: {pattern:?} is no pattern: {error}"));
            }
            whole.ok()
        })
        .collect()
}

impl TableFilter {
    /// Whether this table is wanted.
    #[must_use]
    pub fn includes(&self, schema: &str, table: &str) -> bool {
        let any = |list: &[Regex], name: &str| list.iter().any(|regex| regex.is_match(name));
        let full = format!("{schema}.{table}");
        if self.signals.as_ref().is_some_and(|(s, t)| s == schema && t == table) {
            return true;
        }
        (self.include_schemas.is_empty() || any(&self.include_schemas, schema))
            && !any(&self.exclude_schemas, schema)
            && (self.include_tables.is_empty() || any(&self.include_tables, &full))
            && !any(&self.exclude_tables, &full)
    }

    /// Where a snapshot reads this table: the tables of one pattern of `table.include.list` after
    /// those of the patterns before it, the signal table at last.
    #[must_use]
    pub fn rank(&self, schema: &str, table: &str) -> usize {
        let full = format!("{schema}.{table}");
        let place = self.include_tables.iter().position(|regex| regex.is_match(&full));
        place.unwrap_or(if self.include_tables.is_empty() { 0 } else { usize::MAX })
    }

    /// Whether the configuration names any table or schema.
    #[must_use]
    pub fn is_given(&self) -> bool {
        let Self { include_schemas, exclude_schemas, include_tables, exclude_tables, .. } = self;
        [include_schemas, exclude_schemas, include_tables, exclude_tables]
            .iter()
            .any(|list| !list.is_empty())
    }

    fn read(properties: &mut Properties, signals: Option<(String, String)>) -> Self {
        let mut list = |key: &str| patterns(properties, key);
        Self {
            signals,
            include_schemas: list("schema.include.list"),
            exclude_schemas: list("schema.exclude.list"),
            include_tables: list("table.include.list"),
            exclude_tables: list("table.exclude.list"),
        }
    }
}

impl SourceConfig {
    /// Reads a source connector's properties; `endpoints` win over what they hold.
    ///
    /// # Errors
    ///
    /// Every mistake at once.
    pub fn from_properties(
        mut properties: Properties,
        endpoints: &Endpoints,
    ) -> Result<Self, Error> {
        let name = properties.take(&["name"]);
        expect_class(&mut properties, "connector.class", "PostgresConnector");
        expect_class(&mut properties, "plugin.name", "pgoutput");
        if let Some(tasks) = properties.parsed::<u32>("tasks.max", "a whole number")
            && tasks != 1
        {
            properties.problem(format!("tasks.max: {tasks}; a slot has one reader, use 1"));
        }
        let topic_prefix = properties.required(
            &["topic.prefix", "database.server.name"],
            "the first part of every topic name, such as ord",
        );
        let slot = properties.take(&["slot.name"]).unwrap_or_else(|| "debezium".to_owned());
        check_slot(&slot, &mut properties);
        let publication =
            properties.take(&["publication.name"]).unwrap_or_else(|| "dbz_publication".to_owned());
        if let Some(mode) = properties.take(&["publication.autocreate.mode"])
            && mode != "disabled"
        {
            tracing::warn!(
                "publication.autocreate.mode={mode}: publications are never created here; \
                     create {publication} yourself"
            );
        }
        if properties.parsed::<bool>("publish.via.partition.root", "true or false") == Some(true) {
            tracing::debug!(
                "publish.via.partition.root: {publication} decides, as it is not created here"
            );
        }
        let signals = SignalsConfig::read(&mut properties);
        let tolerant = match properties.take(&["errors.tolerance"]).as_deref() {
            None | Some("none") => false,
            Some("all") => true,
            Some(other) => {
                properties.problem(format!("errors.tolerance: {other:?}; use none or all"));
                false
            }
        };
        let tables = TableFilter::read(&mut properties, signals.table.clone());
        let snapshot = match properties.take(&["snapshot.mode"]).as_deref() {
            None | Some("initial") => SnapshotMode::Initial,
            Some("never" | "no_data" | "schema_only") => SnapshotMode::Never,
            Some(other) => {
                properties.problem(format!("snapshot.mode: {other:?}; use initial or no_data"));
                SnapshotMode::Initial
            }
        };
        let keyless = match properties.take(&["keyless.tables"]).as_deref() {
            None | Some("fail") => Keyless::Fail,
            Some("allow") => Keyless::Allow,
            Some(other) => {
                properties.problem(format!("keyless.tables: {other:?}; use fail or allow"));
                Keyless::Fail
            }
        };
        let context_headers =
            properties.take(&["extended.headers.enabled"]).as_deref() != Some("false");
        let transaction_metadata =
            properties.parsed("provide.transaction.metadata", "true or false").unwrap_or_default();
        let heartbeat = properties
            .parsed("heartbeat.interval.ms", "a number of milliseconds")
            .filter(|millis| *millis > 0)
            .map(Duration::from_millis);
        let heartbeat_action =
            properties.take(&["heartbeat.action.query"]).filter(|sql| !sql.trim().is_empty());
        let messages = PrefixFilter::read(&mut properties);
        if let Some(support) = properties.take(&["exactly.once.source.support"])
            && support == "required"
        {
            properties.problem(
                "exactly.once.source.support: required is not supported yet; \
                     delivery is at least once"
                    .to_owned(),
            );
        }
        let registry_url = registry_url(&mut properties, endpoints);
        let postgres = postgres(&mut properties, endpoints);
        let kafka = kafka(&mut properties, endpoints, "producer.");
        let offsets_topic =
            properties.take(&["offset.storage.topic"]).unwrap_or_else(|| "_cdc_offsets".to_owned());
        for key in HARMLESS {
            properties.take(&[key]);
        }

        let mut problems = properties.take_problems();
        let rest = properties.rest();
        let pairs = rest.iter().map(|(key, value)| (key.as_str(), value.as_str()));
        let mapping = match Mapping::from_properties(pairs) {
            Ok(read) => {
                report_unknown(&read.unknown, keys::SOURCE, endpoints.strict, &mut problems);
                Some(read.mapping)
            }
            Err(error) => {
                problems.push(error.to_string());
                None
            }
        };
        match (postgres, mapping) {
            (Some(postgres), Some(mapping)) if problems.is_empty() => Ok(Self {
                name: name.unwrap_or_else(|| format!("{topic_prefix}-source")),
                topic_prefix,
                postgres,
                slot,
                publication,
                tables,
                snapshot,
                mapping,
                registry_url,
                kafka,
                offsets_topic,
                keyless,
                context_headers,
                transaction_metadata,
                heartbeat,
                heartbeat_action,
                messages,
                signals,
                tolerant,
            }),
            _ => Err(Error::config(&problems)),
        }
    }
}

/// Settings that change nothing here: the program always, or never, does what they ask for.
const HARMLESS: [&str; 10] = [
    "database.tcpKeepAlive",
    "errors.log.enable",
    // A chunk of a table that has changed is always read again.
    "incremental.snapshot.allow.schema.changes",
    "max.batch.size",
    "max.queue.size",
    "poll.interval.ms",
    "signal.poll.interval.ms",
    "slot.drop.on.stop",
    "slot.stream.params",
    "status.update.interval.ms",
];

/// Refuses any class but the one whose work is done here; its package does not matter.
pub(super) fn expect_class(properties: &mut Properties, key: &str, wanted: &str) {
    if let Some(value) = properties.take(&[key])
        && value.rsplit('.').next() != Some(wanted)
    {
        properties.problem(format!("{key}: {value:?} is not supported; only {wanted} is"));
    }
}

/// Postgres itself allows lower-case letters, digits and underscores, up to 63 of them.
fn check_slot(slot: &str, properties: &mut Properties) {
    let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    if slot.is_empty() || slot.len() > 63 || !slot.chars().all(allowed) {
        properties.problem(format!(
            "slot.name: {slot:?}; only lower-case letters, digits and _ are allowed, at most 63"
        ));
    }
}

/// The registry's URL, which both converters must agree on; Avro is the one format.
pub(super) fn registry_url(properties: &mut Properties, endpoints: &Endpoints) -> String {
    let mut found: Option<String> = None;
    for side in ["key", "value"] {
        let class = properties.take(&[&format!("{side}.converter")]);
        if let Some(class) = class
            && class.rsplit('.').next() != Some("AvroConverter")
        {
            properties.problem(format!(
                "{side}.converter: {class:?} is not supported; only AvroConverter is"
            ));
        }
        let mut settings = properties.take_prefixed(&format!("{side}.converter."));
        let url = settings
            .remove("schema.registry.url")
            .or_else(|| settings.remove("apicurio.registry.url"));
        if let Some(url) = url {
            if found.as_ref().is_some_and(|other| *other != url) && endpoints.registry_url.is_none()
            {
                properties.problem(
                    "key.converter and value.converter name two registries; use one".to_owned(),
                );
            }
            found = Some(url);
        }
    }
    endpoints.registry_url.clone().or(found).unwrap_or_else(|| {
        properties.problem(
            "the schema registry is missing: give --registry-url or \
             value.converter.schema.registry.url"
                .to_owned(),
        );
        String::new()
    })
}

/// The client settings under `prefix` (and Connect's `<prefix>override.`) with the command line's.
pub(super) fn kafka(
    properties: &mut Properties,
    endpoints: &Endpoints,
    prefix: &str,
) -> ClientSettings {
    let mut prefixed = properties.take_prefixed(&format!("{prefix}override."));
    prefixed.extend(properties.take_prefixed(prefix));
    let brokers = endpoints
        .brokers
        .clone()
        .or_else(|| prefixed.remove("bootstrap.servers"))
        .or_else(|| properties.take(&["bootstrap.servers"]));
    if brokers.is_none() {
        properties.problem("the Kafka brokers are missing: give --brokers host:port".to_owned());
    }
    ClientSettings::new(brokers.unwrap_or_default(), prefixed, &endpoints.client)
}

fn postgres(properties: &mut Properties, endpoints: &Endpoints) -> Option<client::Config> {
    let host = properties.take(&["database.hostname"]);
    let port = properties.parsed::<u16>("database.port", "a port number");
    let user = properties.take(&["database.user"]);
    let password = properties.take(&["database.password"]);
    let database = properties.take(&["database.dbname"]);
    let ssl_mode = properties.take(&["database.sslmode"]);
    let ssl_root_cert = properties.take(&["database.sslrootcert"]);
    if let Some(url) = &endpoints.postgres_url {
        return client::Config::parse(url)
            .map_err(|error| properties.problem(format!("--postgres-url: {error}")))
            .ok();
    }
    let Some(host) = host else {
        properties.problem(
            "the database is missing: give --postgres-url or database.hostname".to_owned(),
        );
        return None;
    };
    let mut config = client::Config::new(&host);
    if let Some(port) = port {
        config = config.with_port(port);
    }
    if let Some(user) = &user {
        config = config.with_user(user);
    }
    if let Some(password) = &password {
        config = config.with_password(password);
    }
    if let Some(database) = &database {
        config = config.with_database(database);
    }
    if let Some(mode) = ssl_mode {
        match mode.parse() {
            Ok(mode) => config = config.with_ssl_mode(mode),
            Err(_) => properties.problem(format!(
                "database.sslmode: {mode:?}; use disable, allow, prefer, require, verify-ca or \
                 verify-full"
            )),
        }
    }
    if let Some(path) = &ssl_root_cert {
        config = config.with_ssl_root_cert(path);
    }
    Some(config)
}
