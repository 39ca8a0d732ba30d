//! What the registry knows, and the rules for changing it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::CompatibilityLevel;
use super::answer::Refusal;
use super::content::{self, Checked};

/// All state of a registry.
#[derive(Debug)]
pub(super) struct Store {
    level: CompatibilityLevel,
    mode: Mode,
    subjects: BTreeMap<String, Subject>,
    /// By id, which is the index plus one. Schemas are never removed, so ids are never reused.
    schemas: Vec<Schema>,
    ids: HashMap<String, u32>,
}

#[derive(Debug, Default)]
struct Subject {
    /// Ascending.
    versions: Vec<Version>,
    level: Option<CompatibilityLevel>,
    mode: Option<Mode>,
}

#[derive(Debug)]
struct Version {
    number: u32,
    id: u32,
    deleted: bool,
}

/// A schema's content.
#[derive(Clone, Debug)]
pub(super) struct Schema {
    pub(super) text: Arc<str>,
    pub(super) references: Vec<Reference>,
    checked: Arc<Checked>,
}

/// A name defined elsewhere.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Reference {
    name: String,
    subject: String,
    version: i64,
}

/// One version, as answers show it.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) subject: String,
    pub(super) version: u32,
    pub(super) id: u32,
    pub(super) schema: Schema,
}

/// Who may write.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Writable,
    ReadOnly,
    ReadOnlyOverride,
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

/// How thoroughly to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    Soft,
    Permanent,
}

impl Mode {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Writable => "READWRITE",
            Self::ReadOnly => "READONLY",
            Self::ReadOnlyOverride => "READONLY_OVERRIDE",
        }
    }
}

impl FromStr for Mode {
    type Err = Refusal;

    fn from_str(name: &str) -> Result<Self, Refusal> {
        [Self::Writable, Self::ReadOnly, Self::ReadOnlyOverride]
            .into_iter()
            .find(|mode| mode.as_str().eq_ignore_ascii_case(name))
            .ok_or_else(Refusal::invalid_mode)
    }
}

impl FromStr for Selector {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Refusal> {
        if matches!(text, "latest" | "-1") {
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

impl Subject {
    fn versions(&self, deleted: Deleted) -> impl DoubleEndedIterator<Item = &Version> {
        self.versions.iter().filter(move |version| deleted.admits(version.deleted))
    }

    fn find(&self, which: Selector, deleted: Deleted) -> Option<&Version> {
        let mut versions = self.versions(deleted);
        match which {
            Selector::Latest => versions.next_back(),
            Selector::Number(number) => versions.find(|version| version.number == number),
        }
    }
}

impl Store {
    pub(super) fn new(level: CompatibilityLevel) -> Self {
        Self {
            level,
            mode: Mode::default(),
            subjects: BTreeMap::new(),
            schemas: Vec::new(),
            ids: HashMap::new(),
        }
    }

    /// Checks a schema and the versions it refers to, without storing it.
    pub(super) fn parse(&self, text: &str, references: Vec<Reference>) -> Result<Schema, Refusal> {
        let mut schemas = Vec::new();
        self.collect(&references, &mut BTreeSet::new(), &mut schemas)?;
        let checked = content::check(text, &schemas).map_err(Refusal::invalid_schema)?;
        Ok(Schema { text: text.into(), references, checked: Arc::new(checked) })
    }

    /// What `references` name, each once and after those it refers to itself.
    fn collect(
        &self,
        references: &[Reference],
        seen: &mut BTreeSet<u32>,
        schemas: &mut Vec<avro_wire::Schema>,
    ) -> Result<(), Refusal> {
        for reference in references {
            let Reference { subject, version, .. } = reference;
            let which: Selector = version.to_string().parse()?;
            let found = self.subjects.get(subject).and_then(|s| s.find(which, Deleted::Shown));
            let Some(found) = found else {
                return Err(Refusal::invalid_schema(format_args!(
                    "it refers to version {version} of {subject:?}, which does not exist"
                )));
            };
            if seen.insert(found.id) {
                let schema = self.schema(found.id)?;
                self.collect(&schema.references, seen, schemas)?;
                schemas.push(schema.checked.schema.clone());
            }
        }
        Ok(())
    }

    /// Makes a schema a version of a subject, unless it is one; gives its id.
    pub(super) fn register(&mut self, name: &str, schema: Schema) -> Result<u32, Refusal> {
        if name.chars().any(char::is_control) || matches!(name, "__GLOBAL" | "__EMPTY") {
            return Err(Refusal::invalid_subject());
        }
        if self.mode(name) != Mode::Writable {
            return Err(Refusal::not_permitted(name));
        }
        let identity = identity(&schema);
        let known = self.ids.get(&identity).copied();
        let subject = self.subjects.get(name);
        let registered = subject
            .into_iter()
            .flat_map(|subject| subject.versions(Deleted::Hidden))
            .any(|version| Some(version.id) == known);
        if let (true, Some(id)) = (registered, known) {
            return Ok(id);
        }

        let level = self.level(name);
        let earlier = self.live(name)?;
        let earlier: Vec<_> = earlier.iter().map(|entry| &entry.schema.checked.schema).collect();
        let objections = content::objections(level, &schema.checked.schema, &earlier);
        if !objections.is_empty() {
            return Err(Refusal::incompatible(name, level.as_str(), &objections));
        }

        let id = match known {
            Some(id) => id,
            None => {
                self.schemas.push(schema);
                let id = u32::try_from(self.schemas.len()).map_err(|_| Refusal::fault(500))?;
                self.ids.insert(identity, id);
                id
            }
        };
        let subject = self.subjects.entry(name.to_owned()).or_default();
        let number = subject.versions.last().map_or(1, |version| version.number + 1);
        subject.versions.push(Version { number, id, deleted: false });
        Ok(id)
    }

    /// Why a schema must not follow `which` version, or all of them.
    pub(super) fn objections(
        &self,
        name: &str,
        which: Option<Selector>,
        schema: &Schema,
    ) -> Result<Vec<String>, Refusal> {
        let earlier = match which {
            None => self.live(name)?,
            // The first schema of a subject has nothing to be compatible with.
            Some(Selector::Latest) => self.live(name)?.into_iter().last().into_iter().collect(),
            Some(which) => vec![self.entry(name, which, Deleted::Hidden)?],
        };
        let earlier: Vec<_> = earlier.iter().map(|entry| &entry.schema.checked.schema).collect();
        Ok(content::objections(self.level(name), &schema.checked.schema, &earlier))
    }

    /// Finds a schema among the versions of a subject.
    pub(super) fn lookup(
        &self,
        name: &str,
        schema: &Schema,
        deleted: Deleted,
    ) -> Result<Entry, Refusal> {
        let subject = self.shown(name, deleted)?;
        let id = self.ids.get(&identity(schema)).copied();
        let version = subject
            .versions(deleted)
            .rfind(|version| Some(version.id) == id)
            .ok_or_else(Refusal::schema_not_found)?;
        self.describe(name, version)
    }

    pub(super) fn schema(&self, id: u32) -> Result<&Schema, Refusal> {
        let index = id.checked_sub(1).and_then(|index| usize::try_from(index).ok());
        index.and_then(|index| self.schemas.get(index)).ok_or_else(Refusal::schema_not_found)
    }

    /// Subjects and versions that have the schema.
    pub(super) fn uses(&self, id: u32, deleted: Deleted) -> Result<Vec<(&str, u32)>, Refusal> {
        self.schema(id)?;
        Ok(self
            .subjects
            .iter()
            .flat_map(|(name, subject)| {
                let versions = subject.versions(deleted).filter(|version| version.id == id);
                versions.map(|version| (&**name, version.number))
            })
            .collect())
    }

    /// Ids of the live schemas that refer to a version.
    pub(super) fn referenced_by(&self, name: &str, which: Selector) -> Result<Vec<u32>, Refusal> {
        let entry = self.entry(name, which, Deleted::Shown)?;
        let refers = |id: u32| {
            self.schema(id).is_ok_and(|schema| {
                schema.references.iter().any(|reference| {
                    reference.subject == name && reference.version == i64::from(entry.version)
                })
            })
        };
        let live: BTreeSet<u32> = self
            .subjects
            .values()
            .flat_map(|subject| subject.versions(Deleted::Hidden))
            .map(|version| version.id)
            .collect();
        Ok(live.into_iter().filter(|id| refers(*id)).collect())
    }

    pub(super) fn subjects(&self, prefix: &str, deleted: Deleted) -> Vec<&str> {
        self.subjects
            .iter()
            .filter(|(name, subject)| {
                let live = subject.versions(Deleted::Hidden).next().is_some();
                let any = !subject.versions.is_empty();
                name.starts_with(prefix) && any && deleted.admits(!live)
            })
            .map(|(name, _)| &**name)
            .collect()
    }

    pub(super) fn versions(&self, name: &str, deleted: Deleted) -> Result<Vec<u32>, Refusal> {
        let subject = self.shown(name, deleted)?;
        Ok(subject.versions(deleted).map(|version| version.number).collect())
    }

    pub(super) fn entry(
        &self,
        name: &str,
        which: Selector,
        deleted: Deleted,
    ) -> Result<Entry, Refusal> {
        let subject = self.shown(name, deleted)?;
        let version = subject.find(which, deleted).ok_or_else(|| match which {
            Selector::Latest => Refusal::version_not_found("latest"),
            Selector::Number(number) => Refusal::version_not_found(number),
        })?;
        self.describe(name, version)
    }

    pub(super) fn delete_subject(
        &mut self,
        name: &str,
        deletion: Deletion,
    ) -> Result<Vec<u32>, Refusal> {
        let live = self.live(name)?;
        let soft_deleted = live.is_empty();
        let subject = self.shown(name, Deleted::Shown)?;
        match deletion {
            Deletion::Soft if soft_deleted => return Err(Refusal::subject_soft_deleted(name)),
            Deletion::Permanent if !soft_deleted => {
                return Err(Refusal::subject_not_soft_deleted(name));
            }
            _ => {}
        }
        let counted = match deletion {
            Deletion::Soft => Deleted::Hidden,
            Deletion::Permanent => Deleted::Shown,
        };
        let numbers: Vec<u32> = subject.versions(counted).map(|version| version.number).collect();
        for number in &numbers {
            if !self.referenced_by(name, Selector::Number(*number))?.is_empty() {
                return Err(Refusal::referenced(name, *number));
            }
        }
        match deletion {
            // A subject's settings go with it.
            Deletion::Soft => {
                if let Some(subject) = self.subjects.get_mut(name) {
                    subject.versions.iter_mut().for_each(|version| version.deleted = true);
                    (subject.level, subject.mode) = (None, None);
                }
            }
            Deletion::Permanent => {
                self.subjects.remove(name);
            }
        }
        Ok(numbers)
    }

    pub(super) fn delete_version(
        &mut self,
        name: &str,
        which: Selector,
        deletion: Deletion,
    ) -> Result<u32, Refusal> {
        // The latest one is the latest that can still be deleted in this way.
        let latest = match deletion {
            Deletion::Soft => Deleted::Hidden,
            Deletion::Permanent => Deleted::Shown,
        };
        let deleted = if which == Selector::Latest { latest } else { Deleted::Shown };
        let number = self.entry(name, which, deleted)?.version;
        if !self.referenced_by(name, Selector::Number(number))?.is_empty() {
            return Err(Refusal::referenced(name, number));
        }
        let Some(subject) = self.subjects.get_mut(name) else {
            return Err(Refusal::subject_not_found(name));
        };
        let Some(version) = subject.versions.iter_mut().find(|version| version.number == number)
        else {
            return Err(Refusal::version_not_found(number));
        };
        match (deletion, version.deleted) {
            (Deletion::Soft, true) => return Err(Refusal::version_soft_deleted(number)),
            (Deletion::Permanent, false) => return Err(Refusal::version_not_soft_deleted(number)),
            (Deletion::Soft, false) => version.deleted = true,
            (Deletion::Permanent, true) => {
                subject.versions.retain(|version| version.number != number);
            }
        }
        Ok(number)
    }

    /// The level in force for a subject.
    pub(super) fn level(&self, name: &str) -> CompatibilityLevel {
        self.subjects.get(name).and_then(|subject| subject.level).unwrap_or(self.level)
    }

    pub(super) fn global_level(&self) -> CompatibilityLevel {
        self.level
    }

    pub(super) fn own_level(&self, name: &str) -> Result<CompatibilityLevel, Refusal> {
        let own = self.subjects.get(name).and_then(|subject| subject.level);
        own.ok_or_else(|| Refusal::level_not_configured(name))
    }

    /// Sets the level of a subject, or the global one.
    pub(super) fn set_level(&mut self, name: Option<&str>, level: CompatibilityLevel) {
        match name {
            Some(name) => self.subjects.entry(name.to_owned()).or_default().level = Some(level),
            None => self.level = level,
        }
    }

    pub(super) fn clear_level(&mut self, name: &str) -> Result<CompatibilityLevel, Refusal> {
        let own = self.subjects.get_mut(name).and_then(|subject| subject.level.take());
        own.ok_or_else(|| Refusal::level_not_configured(name))
    }

    /// The mode in force for a subject.
    pub(super) fn mode(&self, name: &str) -> Mode {
        match (self.mode, self.subjects.get(name).and_then(|subject| subject.mode)) {
            (Mode::ReadOnlyOverride, _) => Mode::ReadOnlyOverride,
            (global, own) => own.unwrap_or(global),
        }
    }

    pub(super) fn global_mode(&self) -> Mode {
        self.mode
    }

    pub(super) fn own_mode(&self, name: &str) -> Result<Mode, Refusal> {
        let own = self.subjects.get(name).and_then(|subject| subject.mode);
        own.ok_or_else(|| Refusal::mode_not_configured(name))
    }

    pub(super) fn set_mode(&mut self, name: Option<&str>, mode: Mode) {
        match name {
            Some(name) => self.subjects.entry(name.to_owned()).or_default().mode = Some(mode),
            None => self.mode = mode,
        }
    }

    pub(super) fn clear_mode(&mut self, name: &str) -> Result<Mode, Refusal> {
        let own = self.subjects.get_mut(name).and_then(|subject| subject.mode.take());
        own.ok_or_else(|| Refusal::mode_not_configured(name))
    }

    /// Live versions, oldest first.
    fn live(&self, name: &str) -> Result<Vec<Entry>, Refusal> {
        self.subjects
            .get(name)
            .into_iter()
            .flat_map(|subject| subject.versions(Deleted::Hidden))
            .map(|version| self.describe(name, version))
            .collect()
    }

    /// A subject that has versions to show.
    fn shown(&self, name: &str, deleted: Deleted) -> Result<&Subject, Refusal> {
        self.subjects
            .get(name)
            .filter(|subject| subject.versions(deleted).next().is_some())
            .ok_or_else(|| Refusal::subject_not_found(name))
    }

    fn describe(&self, name: &str, version: &Version) -> Result<Entry, Refusal> {
        Ok(Entry {
            subject: name.to_owned(),
            version: version.number,
            id: version.id,
            schema: self.schema(version.id)?.clone(),
        })
    }
}

/// What makes two schemas the same one: their one spelling, and what they refer to.
fn identity(schema: &Schema) -> String {
    let mut text = schema.checked.canonical.clone();
    for Reference { name, subject, version } in &schema.references {
        // Quoted, so that no name can look like two.
        let _ = write!(text, "{name:?}{subject:?}{version}");
    }
    text
}
