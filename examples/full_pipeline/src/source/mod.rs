//! The source: one slot of one database, its snapshot and its stream, to Kafka.

mod adhoc;
mod catalog;
mod events;
mod incremental;
mod ledger;
mod notifications;
mod offsets;
mod outbox;
mod publisher;
mod reading;
mod reselect;
mod signals;
mod snapshot;
mod stream;
mod tables;
mod tracker;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use debezium_model::ColumnDef;
use pgoutput::{
    Column, Lsn,
    client::{self, Client, SlotOptions, SnapshotAction, quote_literal},
};
use registry_client::Client as Registry;

use self::{
    catalog::TableFacts,
    notifications::{About, Notifier},
    offsets::Position,
    publisher::Publisher,
    tables::Compiled,
    tracker::Tracker,
};
use crate::{
    config::{Keyless, SnapshotMode, SourceConfig},
    error::{Error, Part},
    iam::Login,
    kafka,
    metrics::Metrics,
    registry,
    shutdown::Shutdown,
};

/// What a lost connection costs at most before the next attempt.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// The running source.
#[derive(Debug)]
pub struct Source {
    config: SourceConfig,
    login: Login,
    registry: Registry,
    publisher: Publisher,
    tracker: Arc<Tracker>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    database: String,
    /// Set when a column turns up that has no binary reading: the next connection asks for text.
    text_only: AtomicBool,
    /// Stands for the address that Debezium prints where messages are counted.
    address: u32,
    /// Where the last transaction of any connection ended, zero before the first.
    last_commit: AtomicU64,
    /// Records that are the connector's own and no rows.
    positions: AtomicU64,
    notifier: Notifier,
    /// Whether it was told that there is no snapshot to take.
    skipped: AtomicBool,
}

/// What a failure that may pass leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Patience {
    /// Try again for ever, with growing pauses: a service.
    Endless,
    /// Give the first failure back: a demo or a test.
    None,
}

impl Source {
    /// Looks at everything the source needs — broker, registry, database, publication — and
    /// prepares it.
    ///
    /// # Errors
    ///
    /// The first thing that is missing, with what to do about it.
    pub async fn prepare(
        config: SourceConfig,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Result<Self, Error> {
        let mut client = connect(&config).await?;
        catalog::check_server(&mut client, &config.publication).await?;
        let rows =
            catalog::query(&mut client, "asking the database's name", "SELECT current_database()")
                .await?;
        let database = rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned();
        let published = catalog::published_tables(&mut client, &config.publication).await?;
        refuse_keyless(&config, &published)?;
        expect_signal_table(&config, &published);
        let registry = registry::reach(&config.registry_url).await?;
        let login = Login::new(&config.kafka).await?;
        kafka::reach(&config.kafka, &login).await?;
        kafka::create_topics(&config.kafka, &login, &[(&config.offsets_topic, true)]).await?;
        let tracker = Arc::new(Tracker::default());
        let run_id = run_id();
        let headers = [
            ("__debezium.context.connectorLogicalName", config.topic_prefix.as_str()),
            ("__debezium.context.taskId", "0"),
            ("__debezium.context.connectorName", "postgresql"),
            ("__debezium.context.runId", run_id.as_str()),
        ];
        let headers = if config.context_headers { headers.as_slice() } else { &[] };
        let publisher = Publisher::new(&config.kafka, &login, tracker.clone(), headers)?;
        Ok(Self {
            notifier: Notifier::new(&config),
            skipped: AtomicBool::new(false),
            config,
            login,
            registry,
            publisher,
            tracker,
            metrics,
            shutdown,
            database,
            text_only: AtomicBool::new(false),
            address: u32::try_from(now_ns().unsigned_abs() / 1000 % (1 << 31)).unwrap_or_default(),
            last_commit: AtomicU64::new(0),
            positions: AtomicU64::new(0),
        })
    }

    /// Runs until shutdown: the snapshot if there is none yet, then the stream.
    ///
    /// # Errors
    ///
    /// What cannot pass by itself; with [`Patience::None`] any failure.
    pub async fn run(&self, patience: Patience) -> Result<(), Error> {
        let mut pause = Duration::from_millis(200);
        loop {
            let started = SystemTime::now();
            let error = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(_) if self.shutdown.is_requested() => return Ok(()),
                Err(error) => error,
            };
            if patience == Patience::None || !error.is_retryable() {
                return Err(error);
            }
            if started.elapsed().is_ok_and(|ran| ran > LONGEST_PAUSE) {
                pause = Duration::from_millis(200);
            }
            tracing::warn!("{}; trying again in {} ms", error.report(), pause.as_millis());
            self.metrics.reconnects.add(1);
            tokio::select! {
                () = self.shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(jittered(pause)) => {}
            }
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Drops the slot; for throwaway sources only.
    ///
    /// # Errors
    ///
    /// The server refuses.
    pub async fn drop_slot(&self) -> Result<(), Error> {
        let mut client = self.connect().await?;
        if catalog::slot(&mut client, &self.config.slot).await?.is_some() {
            let sql =
                format!("SELECT pg_drop_replication_slot({})", quote_literal(&self.config.slot));
            catalog::query(&mut client, "dropping the slot", &sql).await?;
        }
        Ok(())
    }

    async fn attempt(&self) -> Result<(), Error> {
        let position = offsets::read(&self.config, &self.login).await?;
        let mut client = self.connect().await?;
        let slot = catalog::slot(&mut client, &self.config.slot).await?;
        let (start, position) = match (position, slot) {
            (Some(position), None) => return Err(vanished(&self.config, &position)),
            (_, Some(slot)) if slot.wal_status.as_deref() == Some("lost") => {
                return Err(invalidated(&self.config));
            }
            (_, Some(slot)) if slot.plugin != "pgoutput" => {
                return Err(Error::new(
                    Part::Postgres,
                    format!("the slot {} belongs to the plugin {}", self.config.slot, slot.plugin),
                )
                .with_advice("name another slot with slot.name"));
            }
            (_, Some(slot)) if slot.active => {
                return Err(Error::new(
                    Part::Postgres,
                    format!("the slot {} is in use by another connection", self.config.slot),
                )
                .with_retryable(true)
                .with_advice("stop the other reader: a slot has one"));
            }
            (Some(position), Some(slot)) => {
                self.skip_snapshot().await?;
                self.metrics.snapshot_done.set(1);
                // The slot may not have heard yet of what an earlier connection delivered.
                let delivered = Lsn::new(self.tracker.confirmed());
                (slot.confirmed.max(delivered), position)
            }
            (None, slot) => self.first_start(client, slot.map(|slot| slot.confirmed)).await?,
        };
        if self.shutdown.is_requested() {
            return Ok(());
        }
        self.stream(start, position).await
    }

    /// Tells that no snapshot is taken, once in a run.
    async fn skip_snapshot(&self) -> Result<(), Error> {
        if self.skipped.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        self.notify_aside(About::Snapshot, "SKIPPED", &[]).await
    }

    /// Makes the slot if there is none and takes the snapshot. With a slot of its own making the
    /// snapshot and the stream meet exactly; with one that was there before, rows that changed in
    /// between come twice.
    async fn first_start(
        &self,
        mut reader: Client,
        existing: Option<Lsn>,
    ) -> Result<(Lsn, Position), Error> {
        let (start, exporter) = match existing {
            Some(confirmed) => {
                tracing::warn!(
                    "the slot {} is there, but no finished snapshot: rows that changed since \
                     {confirmed} may come twice",
                    self.config.slot
                );
                (confirmed, None)
            }
            None => {
                let mut client = Client::connect_replication(&self.config.postgres)
                    .await
                    .map_err(|error| postgres_error("opening the replication connection", error))?;
                let created = client
                    .create_slot(
                        &self.config.slot,
                        &SlotOptions::new().with_snapshot(SnapshotAction::Export),
                    )
                    .await
                    .map_err(|error| postgres_error("creating the slot", error))?;
                tracing::info!(slot = %self.config.slot, at = %created.consistent_point, "slot created");
                // The exported snapshot lives as long as this connection does nothing else.
                (created.consistent_point, created.snapshot_name.map(|name| (client, name)))
            }
        };
        let rows = if self.config.snapshot == SnapshotMode::Initial {
            let taken =
                self.snapshot(&mut reader, exporter.as_ref().map(|(_, name)| name.as_str()), start);
            match taken.await {
                Ok(rows) => rows,
                Err(error) => {
                    if existing.is_none() {
                        drop(exporter);
                        self.forget_slot().await;
                    }
                    return Err(error);
                }
            }
        } else {
            self.skip_snapshot().await?;
            0
        };
        drop(exporter);
        // There is one now, whatever breaks later.
        self.skipped.store(true, Ordering::Relaxed);
        let position = Position {
            slot: self.config.slot.clone(),
            snapshot_lsn: start.to_string(),
            snapshot_rows: rows,
            signal: None,
            incremental: None,
        };
        self.remember(&position, start).await?;
        self.metrics.snapshot_done.set(1);
        tracing::info!(rows, "snapshot complete");
        Ok((start, position))
    }

    async fn snapshot(
        &self,
        reader: &mut Client,
        exported: Option<&str>,
        lsn: Lsn,
    ) -> Result<u64, Error> {
        let run = |error| postgres_error("starting the snapshot", error);
        reader.execute("BEGIN ISOLATION LEVEL REPEATABLE READ").await.map_err(run)?;
        if let Some(name) = exported {
            let sql = format!("SET TRANSACTION SNAPSHOT {}", quote_literal(name));
            reader.execute(&sql).await.map_err(run)?;
        }
        let rows = catalog::query(
            reader,
            "starting the snapshot",
            "SELECT txid_current() % 4294967296 AS xid, \
             (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us",
        )
        .await?;
        let row = rows.first().ok_or_else(|| {
            Error::new(Part::Postgres, "starting the snapshot: the server gave no row")
        })?;
        let moment = snapshot::Moment {
            lsn,
            ts_us: catalog::number(row, "now_us")?,
            tx_id: catalog::number(row, "xid").ok(),
            last_commit: None,
        };
        let transaction = self.tracker.begin();
        let read = async {
            self.notify(transaction, About::Snapshot, "STARTED", &[]).await?;
            let rows = self.snapshot_tables(reader, &moment, transaction).await?;
            self.notify(transaction, About::Snapshot, "COMPLETED", &[]).await?;
            Ok(rows)
        };
        let read = read.await;
        if read.is_err() {
            if let Err(error) = self.notify(transaction, About::Snapshot, "ABORTED", &[]).await {
                tracing::debug!("no notification of it: {}", error.report());
            }
            self.tracker.abandon(transaction);
        } else {
            // No position yet: only the record of the finished snapshot lets the slot move.
            self.tracker.commit(transaction, 0);
            reader.execute("COMMIT").await.map_err(run)?;
            self.publisher.flush(Duration::from_secs(600)).await?;
        }
        self.count_messages();
        read
    }

    /// Writes the position down and waits until Kafka has it.
    async fn remember(&self, position: &Position, at: Lsn) -> Result<(), Error> {
        let value = position.to_bytes()?;
        let transaction = self.tracker.begin();
        self.publisher.send(
            transaction,
            &self.config.offsets_topic,
            Some(self.config.name.as_bytes()),
            Some(&value),
            None,
        )?;
        self.positions.fetch_add(1, Ordering::Relaxed);
        self.tracker.commit(transaction, at.get());
        self.publisher.flush(Duration::from_secs(30)).await
    }

    /// Shows how many of the tables' records Kafka has.
    fn count_messages(&self) {
        let positions = self.positions.load(Ordering::Relaxed);
        self.metrics.messages.set(self.tracker.delivered().saturating_sub(positions));
    }

    /// A snapshot that failed leaves no slot behind that would hold WAL for ever.
    async fn forget_slot(&self) {
        if let Err(error) = self.drop_slot().await {
            tracing::warn!("the slot {} is left behind: {}", self.config.slot, error.report());
        }
    }

    async fn compile(
        &self,
        schema: &str,
        name: &str,
        columns: Vec<ColumnDef>,
    ) -> Result<Compiled, Error> {
        let table =
            tables::compile(&self.config, &self.registry, &self.metrics, schema, name, columns)
                .await?;
        // The rows of an outbox name the topics of their events.
        if !table.is_outbox() {
            let topic = [(table.topic.as_str(), false)];
            kafka::create_topics(&self.config.kafka, &self.login, &topic).await?;
        }
        Ok(table)
    }

    /// Passes over a row that no record can be made of, when that is tolerated; as Connect does,
    /// never without a word.
    fn tolerate<T: Default>(&self, done: Result<T, Error>) -> Result<T, Error> {
        match done {
            Err(error) if self.config.tolerant && error.part() == Part::Data => {
                tracing::error!("a row is passed over: {}", error.report());
                self.metrics.source_bad.add(1);
                Ok(T::default())
            }
            done => done,
        }
    }

    /// As [`Self::compile`]; none for a table that cannot be mapped, when that is tolerated.
    async fn compile_tolerantly(
        &self,
        schema: &str,
        name: &str,
        columns: Vec<ColumnDef>,
    ) -> Result<Option<Compiled>, Error> {
        match self.compile(schema, name, columns).await {
            Err(error) if self.config.tolerant && error.part() == Part::Data => {
                tracing::error!("all rows of a table are passed over: {}", error.report());
                Ok(None)
            }
            compiled => compiled.map(Some),
        }
    }

    async fn connect(&self) -> Result<Client, Error> {
        connect(&self.config).await
    }
}

/// Refuses tables whose writers Postgres would stop, unless the configuration allows them.
fn refuse_keyless(config: &SourceConfig, published: &[TableFacts]) -> Result<(), Error> {
    let tables: Vec<String> = published
        .iter()
        .filter(|table| table.lacks_identity && config.tables.includes(&table.schema, &table.table))
        .map(|table| format!("{}.{}", table.schema, table.table))
        .collect();
    if tables.is_empty() || config.keyless == Keyless::Allow {
        return Ok(());
    }
    let (list, first) = (tables.join(", "), tables.first().map_or("", String::as_str));
    Err(Error::new(
        Part::Postgres,
        format!(
            "no primary key: {list}; while {} is published, Postgres refuses every UPDATE and \
             DELETE there, and the records would have no key",
            config.publication
        ),
    )
    .with_advice(format!(
        "ALTER TABLE {first} ADD PRIMARY KEY (…), or REPLICA IDENTITY FULL; or leave the table out \
         with table.exclude.list; or follow its inserts without keys with keyless.tables=allow"
    )))
}

/// Warns of a signal table whose rows would never come.
fn expect_signal_table(config: &SourceConfig, published: &[TableFacts]) {
    let Some((schema, table)) = &config.signals.table else { return };
    if !published.iter().any(|facts| facts.schema == *schema && facts.table == *table) {
        tracing::warn!(
            "signal.data.collection: {schema}.{table} is not a table of the publication {}, so no \
             signal will be seen; create it as (id varchar(42) PRIMARY KEY, type varchar(32) NOT \
             NULL, data varchar(2048)) and ALTER PUBLICATION {} ADD TABLE {schema}.{table}",
            config.publication,
            config.publication
        );
    }
}

async fn connect(config: &SourceConfig) -> Result<Client, Error> {
    Client::connect(&config.postgres)
        .await
        .map_err(|error| postgres_error("connecting to Postgres", error))
}

/// Explains a failure of the Postgres connection.
pub(crate) fn postgres_error(what: &str, error: client::Error) -> Error {
    let retryable = error.is_retryable();
    let advice = match error.sqlstate() {
        Some("28P01" | "28000") => {
            Some("check the user and password in --postgres-url, PGPASSWORD or database.password")
        }
        Some("3D000") => Some("name an existing database in --postgres-url or database.dbname"),
        Some("42501") => {
            Some("the user needs REPLICATION (on RDS: rds_replication) and SELECT on the tables")
        }
        Some("53400") | Some("55006") => Some(
            "raise max_replication_slots and max_wal_senders, or stop other readers of the slot",
        ),
        _ if retryable => Some("see that the server runs and that --postgres-url names it"),
        _ => None,
    };
    let failure = Error::new(Part::Postgres, what).with_cause(error).with_retryable(retryable);
    match advice {
        Some(advice) => failure.with_advice(advice),
        None => failure,
    }
}

fn vanished(config: &SourceConfig, position: &Position) -> Error {
    Error::new(
        Part::Postgres,
        format!(
            "the slot {} is gone, though its snapshot at {} was finished: changes since then are \
             lost to it",
            config.slot, position.snapshot_lsn
        ),
    )
    .with_advice(format!(
        "to start over with a new snapshot choose a new connector name (--name), or delete the \
         record {} from the topic {}",
        config.name, config.offsets_topic
    ))
}

fn invalidated(config: &SourceConfig) -> Error {
    Error::new(
        Part::Postgres,
        format!("the slot {} was invalidated: the server has removed WAL it needed", config.slot),
    )
    .with_advice(format!(
        "drop it with SELECT pg_drop_replication_slot('{}') and start over under a new connector \
         name; raise max_slot_wal_keep_size",
        config.slot
    ))
}

/// Gives a vector of columns a new lifetime and keeps its memory: an empty vector's elements are
/// mapped, and mapping in place allocates nothing.
fn recycle<'new>(mut columns: Vec<Column<'_>>) -> Vec<Column<'new>> {
    columns.clear();
    columns.into_iter().map(|_| Column::Null).collect()
}

/// Nanoseconds since 1970.
fn now_ns() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(now.as_nanos()).unwrap_or(i64::MAX)
}

/// Half to all of `pause`, so that many instances do not come back at the same instant.
fn jittered(pause: Duration) -> Duration {
    let nanos = u32::try_from(now_ns().unsigned_abs() % 1_000_000_000).unwrap_or_default();
    pause / 2 + (pause / 2).mul_f64(f64::from(nanos) / 1e9)
}

/// A UUIDv7 for this start, as Debezium's context header has it.
fn run_id() -> String {
    let now = now_ns().unsigned_abs();
    let millis = now / 1_000_000;
    let random = {
        use std::hash::{BuildHasher, Hasher};
        let mut hasher = std::hash::RandomState::new().build_hasher();
        hasher.write_u64(now);
        hasher.finish()
    };
    format!(
        "{:08x}-{:04x}-7{:03x}-{:04x}-{:012x}",
        millis >> 16 & 0xffff_ffff,
        millis & 0xffff,
        (now % 1_000_000) & 0xfff,
        0x8000 | random >> 48 & 0x3fff,
        random & 0xffff_ffff_ffff
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recycling_columns_keeps_their_memory() {
        let text = "x".to_owned();
        let mut columns = Vec::with_capacity(64);
        columns.push(Column::Text(text.as_bytes()));
        let room = columns.as_ptr() as usize;
        let again: Vec<Column<'static>> = recycle(columns);
        assert!(again.is_empty());
        assert_eq!((again.capacity(), again.as_ptr() as usize), (64, room));
    }

    #[test]
    fn a_run_id_has_the_shape_of_a_uuid_version_7() {
        let id = run_id();
        assert_eq!(id.len(), 36);
        assert_eq!(id.as_bytes()[14], b'7');
        assert!(matches!(id.as_bytes()[19], b'8' | b'9' | b'a' | b'b'));
    }
}
