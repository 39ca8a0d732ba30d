//! All that the registry knows, and what can be asked of it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};

use avro_wire::Schema;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use super::CompatibilityLevel;
use super::answer::Refusal;
use super::content::{self, Checked, write_sorted};
use super::record::{Change, Content, Key, Reference, Stored, StoredVersion};
use super::subject::{DEFAULT_CONTEXT, Subject};

/// All state of a registry. Only [`State::apply`] changes it.
#[derive(Debug)]
pub(super) struct State {
    /// For scopes that have none.
    level: CompatibilityLevel,
    pub(super) contexts: BTreeMap<String, Context>,
    configs: BTreeMap<String, Map<String, Value>>,
    modes: BTreeMap<String, Mode>,
}

/// Ids, contents and subjects that others do not see.
#[derive(Debug, Default)]
pub(super) struct Context {
    /// The highest id that was ever given.
    pub(super) last: u32,
    pub(super) schemas: BTreeMap<u32, Arc<Registered>>,
    ids: HashMap<Uuid, u32>,
    /// Versions by number. Subjects without any are not here.
    pub(super) subjects: BTreeMap<String, BTreeMap<u32, StoredVersion>>,
}

/// A schema that has an id.
#[derive(Debug)]
pub(super) struct Registered {
    pub(super) guid: Uuid,
    pub(super) content: Content,
    /// Made when it is first compared.
    parsed: OnceLock<Schema>,
}

/// A schema that was sent, checked.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) guid: Uuid,
    pub(super) content: Content,
    pub(super) checked: Checked,
}

/// One version, as answers show it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) subject: Subject,
    pub(super) version: u32,
    pub(super) id: u32,
    pub(super) deleted: bool,
    pub(super) schema: Arc<Registered>,
}

/// Who may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    ReadWrite,
    ReadOnly,
    ReadOnlyOverride,
    Import,
    Forward,
}

/// A version as a path names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Selector {
    Latest,
    Number(u32),
}

/// Whether deleted versions count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deleted {
    Hidden,
    Shown,
    Only,
}

impl State {
    pub(super) const fn new(level: CompatibilityLevel) -> Self {
        Self { level, contexts: BTreeMap::new(), configs: BTreeMap::new(), modes: BTreeMap::new() }
    }

    /// Takes in what has been stored.
    ///
    /// # Errors
    /// A value that this program did not write.
    pub(super) fn apply(&mut self, change: &Change) -> Result<(), serde_json::Error> {
        use serde::Deserialize as _;

        let value = change.value.as_ref();
        match &change.key {
            Key::Schema(context, id) => {
                let context = self.contexts.entry(context.clone()).or_default();
                match value.map(Stored::deserialize).transpose()? {
                    Some(Stored { guid, content }) => {
                        context.ids.insert(guid, *id);
                        let parsed = OnceLock::new();
                        let schema = Registered { guid, content, parsed };
                        context.schemas.insert(*id, Arc::new(schema));
                    }
                    None => {
                        if let Some(gone) = context.schemas.remove(id) {
                            context.ids.remove(&gone.guid);
                        }
                    }
                }
            }
            Key::Version(context, subject, number) => {
                let subjects = &mut self.contexts.entry(context.clone()).or_default().subjects;
                match value.map(StoredVersion::deserialize).transpose()? {
                    Some(version) => {
                        subjects.entry(subject.clone()).or_default().insert(*number, version);
                    }
                    None => {
                        if let Some(versions) = subjects.get_mut(subject) {
                            versions.remove(number);
                            if versions.is_empty() {
                                subjects.remove(subject);
                            }
                        }
                    }
                }
            }
            Key::Last(context) => match value.map(u32::deserialize).transpose()? {
                Some(last) => self.contexts.entry(context.clone()).or_default().last = last,
                None => {
                    self.contexts.remove(context);
                }
            },
            Key::Config(scope) => match value.map(Map::deserialize).transpose()? {
                Some(config) => {
                    self.configs.insert(scope.clone(), config);
                }
                None => {
                    self.configs.remove(scope);
                }
            },
            Key::Mode(scope) => match value.map(<&str>::deserialize).transpose()? {
                Some(name) => {
                    let mode = name.parse().unwrap_or(Mode::ReadOnly);
                    self.modes.insert(scope.clone(), mode);
                }
                None => {
                    self.modes.remove(scope);
                }
            },
        }
        Ok(())
    }

    /// Checks a schema and finds the versions it refers to.
    pub(super) fn check(&self, mut content: Content, context: &str) -> Result<Sent, Refusal> {
        content.metadata = content.metadata.filter(|value| !value.is_null());
        content.rule_set = content.rule_set.filter(|value| !value.is_null());
        let references = self.referenced(&content.references, context)?;
        let checked =
            content::check(&content.schema, &references).map_err(Refusal::invalid_schema)?;
        let guid = guid(&checked.canonical, &content);
        Ok(Sent { guid, content, checked })
    }

    /// The parsed form of a registered schema.
    pub(super) fn parsed<'a>(
        &self,
        schema: &'a Registered,
        context: &str,
    ) -> Result<&'a Schema, Refusal> {
        if let Some(parsed) = schema.parsed.get() {
            return Ok(parsed);
        }
        let references = self.referenced(&schema.content.references, context)?;
        let parsed = Schema::parse_with(&schema.content.schema, &references)
            .map_err(Refusal::invalid_schema)?;
        Ok(schema.parsed.get_or_init(|| parsed))
    }

    /// What `references` name, each once and after those it refers to itself.
    fn referenced(&self, references: &[Reference], home: &str) -> Result<Vec<Schema>, Refusal> {
        let mut schemas = Vec::new();
        self.collect(references, home, &mut BTreeSet::new(), &mut schemas)?;
        Ok(schemas)
    }

    fn collect(
        &self,
        references: &[Reference],
        home: &str,
        seen: &mut BTreeSet<(String, u32)>,
        schemas: &mut Vec<Schema>,
    ) -> Result<(), Refusal> {
        for Reference { subject, version, .. } in references {
            let subject = Subject::parse(subject, home);
            let which: Selector = version.to_string().parse()?;
            let entry = self.entry(&subject, which, Deleted::Shown).map_err(|_| {
                Refusal::invalid_schema(format_args!(
                    "it refers to version {version} of '{subject}', which does not exist"
                ))
            })?;
            if seen.insert((subject.context.clone(), entry.id)) {
                let deeper = &entry.schema.content.references;
                self.collect(deeper, &subject.context, seen, schemas)?;
                schemas.push(self.parsed(&entry.schema, &subject.context)?.clone());
            }
        }
        Ok(())
    }

    pub(super) fn context(&self, context: &str) -> Option<&Context> {
        self.contexts.get(context)
    }

    /// Contexts, the default one first.
    pub(super) fn contexts(&self) -> Vec<&str> {
        let others = self.contexts.keys().map(|name| &**name);
        std::iter::once(DEFAULT_CONTEXT)
            .chain(others.filter(|name| *name != DEFAULT_CONTEXT))
            .collect()
    }

    pub(super) fn schema(&self, context: &str, id: u32) -> Result<&Arc<Registered>, Refusal> {
        let found = self.context(context).and_then(|context| context.schemas.get(&id));
        found.ok_or_else(|| Refusal::id_not_found(id))
    }

    /// Contexts and ids of a content.
    pub(super) fn by_guid(&self, guid: Uuid) -> Vec<(&str, u32)> {
        let ids = self
            .contexts
            .iter()
            .filter_map(|(name, context)| context.ids.get(&guid).map(|id| (&**name, *id)));
        ids.collect()
    }

    /// Subjects and versions that have a schema.
    pub(super) fn uses(
        &self,
        context: &str,
        id: u32,
        deleted: Deleted,
    ) -> Result<Vec<(Subject, u32)>, Refusal> {
        self.schema(context, id)?;
        let entries = self.entries(context, deleted);
        Ok(entries.filter(|(_, _, v)| v.id == id).map(|(subject, n, _)| (subject, n)).collect())
    }

    /// All versions of a context.
    fn entries<'a>(
        &'a self,
        name: &'a str,
        deleted: Deleted,
    ) -> impl Iterator<Item = (Subject, u32, StoredVersion)> + 'a {
        let subjects = self.context(name).into_iter().flat_map(|context| &context.subjects);
        subjects.flat_map(move |(subject, versions)| {
            let shown = versions.iter().filter(move |(_, v)| deleted.admits(v.deleted));
            shown.map(move |(number, version)| {
                let subject = Subject { context: name.to_owned(), name: subject.clone() };
                (subject, *number, *version)
            })
        })
    }

    /// Ids of the live schemas that refer to a version.
    pub(super) fn referenced_by(&self, subject: &Subject, version: u32) -> Vec<u32> {
        let mut ids = BTreeSet::new();
        for (name, context) in &self.contexts {
            for (_, _, version_of) in self.entries(name, Deleted::Hidden) {
                let refers = context.schemas.get(&version_of.id).is_some_and(|schema| {
                    schema.content.references.iter().any(|reference| {
                        reference.version == i64::from(version)
                            && Subject::parse(&reference.subject, name) == *subject
                    })
                });
                if refers {
                    ids.insert(version_of.id);
                }
            }
        }
        ids.into_iter().collect()
    }

    /// Subjects that have versions to show, written in full, beginning with `prefix`. In it, the
    /// context `*` is all of them.
    pub(super) fn subjects(&self, prefix: &str, deleted: Deleted) -> Vec<Subject> {
        let everywhere = prefix.strip_prefix(":*:");
        let wanted = Subject::parse(prefix, DEFAULT_CONTEXT);
        let mut found = Vec::new();
        for (name, context) in &self.contexts {
            if everywhere.is_none() && *name != wanted.context {
                continue;
            }
            let prefix = everywhere.unwrap_or(&wanted.name);
            for (subject, versions) in &context.subjects {
                let gone = versions.values().all(|version| version.deleted);
                if subject.starts_with(prefix) && deleted.admits(gone) {
                    found.push(Subject { context: name.clone(), name: subject.clone() });
                }
            }
        }
        found
    }

    /// Versions to show, oldest first; at least one.
    pub(super) fn versions(
        &self,
        subject: &Subject,
        deleted: Deleted,
    ) -> Result<Vec<Entry>, Refusal> {
        let entries = self.versions_or_none(subject, deleted);
        if entries.is_empty() { Err(Refusal::subject_not_found(subject)) } else { Ok(entries) }
    }

    pub(super) fn versions_or_none(&self, subject: &Subject, deleted: Deleted) -> Vec<Entry> {
        let Some(context) = self.context(&subject.context) else { return Vec::new() };
        let versions = context.subjects.get(&subject.name).into_iter().flatten();
        let shown = versions.filter(|(_, version)| deleted.admits(version.deleted));
        let entry = |(number, version): (&u32, &StoredVersion)| {
            let schema = context.schemas.get(&version.id)?;
            Some(Entry {
                subject: subject.clone(),
                version: *number,
                id: version.id,
                deleted: version.deleted,
                schema: Arc::clone(schema),
            })
        };
        shown.filter_map(entry).collect()
    }

    pub(super) fn entry(
        &self,
        subject: &Subject,
        which: Selector,
        deleted: Deleted,
    ) -> Result<Entry, Refusal> {
        let mut entries = self.versions(subject, deleted)?;
        let found = match which {
            Selector::Latest => entries.pop(),
            Selector::Number(n) => entries.into_iter().find(|entry| entry.version == n),
        };
        found.ok_or_else(|| match which {
            Selector::Latest => Refusal::version_not_found("latest"),
            Selector::Number(number) => Refusal::version_not_found(number),
        })
    }

    /// Finds a schema among the versions of a subject; the newest of several.
    pub(super) fn lookup(
        &self,
        subject: &Subject,
        sent: &Sent,
        deleted: Deleted,
    ) -> Result<Entry, Refusal> {
        let entries = self.versions(subject, deleted)?;
        let found = entries.into_iter().rfind(|entry| entry.schema.guid == sent.guid);
        found.ok_or_else(Refusal::schema_not_found)
    }

    /// Why a schema must not follow `earlier`, oldest first.
    pub(super) fn objections(
        &self,
        subject: &Subject,
        sent: &Sent,
        earlier: &[Entry],
    ) -> Result<Vec<String>, Refusal> {
        let group = self.effective(subject, "compatibilityGroup").and_then(Value::as_str);
        let group_of = |content: &Content| -> Option<Value> {
            content.metadata.as_ref()?.get("properties")?.get(group?).cloned()
        };
        let mut parsed = Vec::new();
        for entry in earlier {
            if group.is_none() || group_of(&entry.schema.content) == group_of(&sent.content) {
                parsed.push(self.parsed(&entry.schema, &subject.context)?);
            }
        }
        Ok(content::objections(self.level(subject), &sent.checked.schema, &parsed))
    }

    /// The level in force for a subject.
    pub(super) fn level(&self, subject: &Subject) -> CompatibilityLevel {
        let level = self.effective(subject, "compatibility").and_then(Value::as_str);
        level.and_then(|name| name.parse().ok()).unwrap_or(self.level)
    }

    /// A setting of the subject, else of its context, else of the registry.
    pub(super) fn effective(&self, subject: &Subject, setting: &str) -> Option<&Value> {
        self.scopes(subject).iter().find_map(|scope| self.configs.get(scope)?.get(setting))
    }

    fn scopes(&self, subject: &Subject) -> [String; 3] {
        [subject.to_string(), subject.context_scope(), String::new()]
    }

    /// The settings of one scope alone; the empty scope is the registry's.
    pub(super) fn config(&self, scope: &str) -> Option<Map<String, Value>> {
        let mut config = self.configs.get(scope).cloned();
        if scope.is_empty() {
            let level = config.get_or_insert_default();
            level.entry("compatibility").or_insert_with(|| self.level.as_str().into());
        }
        config
    }

    /// The mode in force for a subject.
    pub(super) fn mode(&self, subject: &Subject) -> Mode {
        let global = self.modes.get("").copied().unwrap_or_default();
        if global == Mode::ReadOnlyOverride {
            return global;
        }
        let own = self.scopes(subject).iter().find_map(|scope| self.modes.get(scope).copied());
        own.unwrap_or_default()
    }

    /// The mode of one scope alone; the empty scope is the registry's.
    pub(super) fn own_mode(&self, scope: &str) -> Option<Mode> {
        let own = self.modes.get(scope).copied();
        if scope.is_empty() { Some(own.unwrap_or_default()) } else { own }
    }

    /// Scopes with a mode of their own that begin with `prefix`.
    pub(super) fn modes(&self, prefix: &str) -> Vec<String> {
        self.modes.keys().filter(|scope| scope.starts_with(prefix)).cloned().collect()
    }

    pub(super) fn id_of(&self, context: &str, guid: Uuid) -> Option<u32> {
        self.context(context)?.ids.get(&guid).copied()
    }
}

impl Mode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::ReadWrite => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::ReadOnlyOverride => "READONLY_OVERRIDE",
            Self::Import => "IMPORT",
            Self::Forward => "FORWARD",
        }
    }

    /// Whether nothing may change. Nothing is forwarded from here: who asks for it means that
    /// another registry is the one to write to.
    pub(super) fn is_read_only(self) -> bool {
        matches!(self, Self::ReadOnly | Self::ReadOnlyOverride | Self::Forward)
    }
}

impl FromStr for Mode {
    type Err = Refusal;

    fn from_str(name: &str) -> Result<Self, Refusal> {
        [Self::ReadWrite, Self::ReadOnly, Self::ReadOnlyOverride, Self::Import, Self::Forward]
            .into_iter()
            .find(|mode| mode.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(Refusal::invalid_mode)
    }
}

impl FromStr for Selector {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if text.eq_ignore_ascii_case("latest") || text == "-1" {
            return Ok(Self::Latest);
        }
        text.parse::<i32>()
            .ok()
            .and_then(|number| u32::try_from(number).ok())
            .filter(|number| *number > 0)
            .map(Self::Number)
            .ok_or_else(|| Refusal::invalid_version(text))
    }
}

impl Deleted {
    fn admits(self, deleted: bool) -> bool {
        match self {
            Self::Hidden => !deleted,
            Self::Shown => true,
            Self::Only => deleted,
        }
    }
}

/// The name of a content wherever it is registered: what makes two schemas the same one is their
/// one spelling, what they refer to, their metadata and their rules.
fn guid(canonical: &str, content: &Content) -> Uuid {
    let mut text = canonical.to_owned();
    for Reference { name, subject, version } in &content.references {
        // Quoted, so that no name can look like two.
        let _ = write!(text, "\n{name:?}{subject:?}{version}");
    }
    for extra in [&content.metadata, &content.rule_set] {
        text.push('\n');
        if let Some(extra) = extra {
            write_sorted(extra, &mut text);
        }
    }
    let digest: [u8; 32] = Sha256::digest(text).into();
    let (half, _) = digest.split_first_chunk().unwrap_or((&[0; 16], &[]));
    uuid::Builder::from_custom_bytes(*half).into_uuid()
}
