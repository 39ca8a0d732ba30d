//! What may be changed, and how: each call looks at the state and gives the changes that carry it
//! out, for the storage to keep and the state to take in.

use serde_json::{Map, Value};

use super::CompatibilityLevel;
use super::answer::Refusal;
use super::record::{Change, Key, Stored, StoredVersion};
use super::state::{Deleted, Entry, Mode, Selector, Sent, State};
use super::subject::{DEFAULT_CONTEXT, Subject};

/// An answer and the changes that make it true.
pub(super) type Plan<T> = Result<(T, Vec<Change>), Refusal>;

/// How thoroughly to delete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Deletion {
    Soft,
    Permanent,
}

/// The numbers that an import gives a schema.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Given {
    pub(super) id: Option<u32>,
    pub(super) version: Option<u32>,
}

/// What was registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) id: u32,
    pub(super) version: u32,
}

/// The settings that are kept. Compatibility level and group, `normalize` and `alias` have an
/// effect.
const SETTINGS: [&str; 13] = [
    "alias",
    "compatibility",
    "compatibilityGroup",
    "compatibilityPolicy",
    "defaultMetadata",
    "defaultRuleSet",
    "normalize",
    "overrideMetadata",
    "overrideRuleSet",
    "validateFields",
    "validateNames",
    "validateNewSchemas",
    "validateRules",
];

impl State {
    /// Makes a schema a version of a subject, unless it is one.
    pub(super) fn register(&self, subject: &Subject, sent: &Sent, given: Given) -> Plan<Place> {
        subject.check()?;
        let mode = self.mode(subject);
        self.writable(subject)?;
        if mode == Mode::Import && given.id.is_none() {
            return Err(Refusal::not_permitted(format!("Subject {subject} is in import mode")));
        }
        if mode != Mode::Import && given.id.is_some() {
            return Err(Refusal::not_permitted(format!("Subject {subject} is not in import mode")));
        }
        let live = self.versions_or_none(subject, Deleted::Hidden);
        let known = live.iter().rfind(|entry| entry.schema.guid == sent.guid);
        if let Some(Entry { id, version, .. }) = known
            && given.id.is_none_or(|given| given == *id)
        {
            return Ok((Place { id: *id, version: *version }, Vec::new()));
        }
        if mode != Mode::Import {
            let objections = self.objections(subject, sent, &live)?;
            if !objections.is_empty() {
                let level = self.level(subject);
                return Err(Refusal::incompatible(subject, level.as_str(), &objections));
            }
        }

        let mut changes = Vec::new();
        let id = self.place_content(subject, sent, given, &mut changes)?;
        let all = self.versions_or_none(subject, Deleted::Shown);
        let next = all.last().map_or(1, |entry| entry.version + 1);
        let version = match given.version {
            None => next,
            Some(version) if mode == Mode::Import => {
                let taken = all.iter().find(|entry| entry.version == version);
                if taken.is_some_and(|entry| entry.id != id) {
                    return Err(Refusal::id_does_not_match(format!(
                        "Version {version} of subject {subject} has another schema."
                    )));
                }
                version
            }
            Some(version) if version == next => version,
            Some(_) => {
                return Err(Refusal::invalid_schema(
                    "Version is not one more than previous version",
                ));
            }
        };
        let key = Key::Version(subject.context.clone(), subject.name.clone(), version);
        changes.push(Change::put(key, &StoredVersion { id, deleted: false })?);
        Ok((Place { id, version }, changes))
    }

    /// The id of a content within the subject's context, which it may get now.
    fn place_content(
        &self,
        subject: &Subject,
        sent: &Sent,
        given: Given,
        changes: &mut Vec<Change>,
    ) -> Result<u32, Refusal> {
        let name = &subject.context;
        let known = self.id_of(name, sent.guid);
        let last = self.context(name).map(|context| context.last);
        let id = match (given.id, known) {
            (None, Some(id)) => return Ok(id),
            (Some(id), Some(known)) if id == known => return Ok(id),
            (Some(_), Some(known)) => {
                return Err(Refusal::id_does_not_match(format!(
                    "Schema already registered with id {known}"
                )));
            }
            (Some(id), None) => {
                if self.schema(name, id).is_ok() {
                    return Err(Refusal::id_does_not_match(format!(
                        "Overwrite new schema with id {id} is not permitted."
                    )));
                }
                id
            }
            (None, None) => match last.unwrap_or_default().checked_add(1) {
                Some(id) if i32::try_from(id).is_ok() => id,
                _ => return Err(Refusal::storage("no id is left")),
            },
        };
        let stored = Stored { guid: sent.guid, content: sent.content.clone() };
        changes.push(Change::put(Key::Schema(name.clone(), id), &stored)?);
        if last.is_none_or(|last| last < id) {
            changes.push(Change::put(Key::Last(name.clone()), &id)?);
        }
        Ok(id)
    }

    fn writable(&self, subject: &Subject) -> Result<(), Refusal> {
        if self.mode(subject).is_read_only() {
            let message = format!("Subject {subject} is in read-only mode");
            return Err(Refusal::not_permitted(message));
        }
        Ok(())
    }

    pub(super) fn delete_subject(&self, subject: &Subject, deletion: Deletion) -> Plan<Vec<u32>> {
        let all = self.versions(subject, Deleted::Shown)?;
        self.writable(subject)?;
        let soft_deleted = all.iter().all(|entry| entry.deleted);
        match deletion {
            Deletion::Soft if soft_deleted => return Err(Refusal::subject_soft_deleted(subject)),
            Deletion::Permanent if !soft_deleted => {
                return Err(Refusal::subject_not_soft_deleted(subject));
            }
            _ => {}
        }
        let affected: Vec<_> = all
            .into_iter()
            .filter(|entry| deletion == Deletion::Permanent || !entry.deleted)
            .collect();
        let mut changes = self.remove(&affected, deletion)?;
        // A subject's settings go with it.
        let scope = subject.to_string();
        if self.config(&scope).is_some() {
            changes.push(Change::remove(Key::Config(scope.clone())));
        }
        if self.own_mode(&scope).is_some() {
            changes.push(Change::remove(Key::Mode(scope)));
        }
        Ok((affected.iter().map(|entry| entry.version).collect(), changes))
    }

    pub(super) fn delete_version(
        &self,
        subject: &Subject,
        which: Selector,
        deletion: Deletion,
    ) -> Plan<u32> {
        // The latest one is the latest that can still be deleted in this way.
        let latest = match deletion {
            Deletion::Soft => Deleted::Hidden,
            Deletion::Permanent => Deleted::Shown,
        };
        let deleted = if which == Selector::Latest { latest } else { Deleted::Shown };
        let entry = self.entry(subject, which, deleted)?;
        self.writable(subject)?;
        match (deletion, entry.deleted) {
            (Deletion::Soft, true) => Err(Refusal::version_soft_deleted(subject, entry.version)),
            (Deletion::Permanent, false) => {
                Err(Refusal::version_not_soft_deleted(subject, entry.version))
            }
            _ => Ok((entry.version, self.remove(&[entry], deletion)?)),
        }
    }

    /// Removes versions, and the contents that no version has any more.
    fn remove(&self, entries: &[Entry], deletion: Deletion) -> Result<Vec<Change>, Refusal> {
        let mut changes = Vec::new();
        for Entry { subject, version, id, .. } in entries {
            if !self.referenced_by(subject, *version).is_empty() {
                return Err(Refusal::referenced(subject, *version));
            }
            let key = Key::Version(subject.context.clone(), subject.name.clone(), *version);
            changes.push(match deletion {
                Deletion::Soft => Change::put(key, &StoredVersion { id: *id, deleted: true })?,
                Deletion::Permanent => Change::remove(key),
            });
        }
        if deletion == Deletion::Soft {
            return Ok(changes);
        }
        for Entry { subject, id, .. } in entries {
            let gone = |(user, number): &(Subject, u32)| {
                entries.iter().any(|entry| entry.subject == *user && entry.version == *number)
            };
            if self.uses(&subject.context, *id, Deleted::Shown)?.iter().all(gone) {
                changes.push(Change::remove(Key::Schema(subject.context.clone(), *id)));
            }
        }
        Ok(changes)
    }

    pub(super) fn delete_context(&self, context: &str) -> Plan<()> {
        let empty = self.context(context).is_none_or(|context| context.subjects.is_empty());
        if !empty || context == DEFAULT_CONTEXT {
            return Err(Refusal::context_not_empty(context));
        }
        Ok(((), vec![Change::remove(Key::Last(context.to_owned()))]))
    }

    /// Adds to the settings of a subject, a context or the registry; null takes one away.
    pub(super) fn set_config(
        &self,
        subject: Option<&Subject>,
        sent: &Map<String, Value>,
    ) -> Plan<Map<String, Value>> {
        self.writable_scope(subject)?;
        let mut answer = Map::new();
        let scope = scope(subject);
        let mut config = self.config(&scope).unwrap_or_default();
        for (key, value) in sent {
            let key = if key == "compatibilityLevel" { "compatibility" } else { key };
            if !SETTINGS.contains(&key) {
                continue;
            }
            let mut value = value.clone();
            if key == "compatibility" && !value.is_null() {
                let level: Option<CompatibilityLevel> = value.as_str().and_then(|s| s.parse().ok());
                value = level.ok_or_else(Refusal::invalid_level)?.as_str().into();
            }
            if value.is_null() {
                config.remove(key);
            } else {
                config.insert(key.to_owned(), value.clone());
            }
            answer.insert(key.to_owned(), value);
        }
        if answer.is_empty() {
            return Err(Refusal::invalid_level());
        }
        let change = Change::put(Key::Config(scope), &config)?;
        Ok((answer, vec![change]))
    }

    /// Takes back the settings; gives what they were.
    pub(super) fn clear_config(&self, subject: Option<&Subject>) -> Plan<Map<String, Value>> {
        self.writable_scope(subject)?;
        let scope = scope(subject);
        let former = self.config(&scope).ok_or_else(|| Refusal::subject_not_found(&scope))?;
        Ok((former, vec![Change::remove(Key::Config(scope))]))
    }

    fn writable_scope(&self, subject: Option<&Subject>) -> Result<(), Refusal> {
        match subject {
            Some(subject) => self.writable(subject),
            None if self.own_mode("").is_some_and(Mode::is_read_only) => {
                Err(Refusal::not_permitted("The registry is in read-only mode".to_owned()))
            }
            None => Ok(()),
        }
    }

    /// Sets a mode. To import, the scope must be empty, unless it is forced.
    pub(super) fn set_mode(&self, subject: Option<&Subject>, mode: Mode, force: bool) -> Plan<()> {
        let current = match subject {
            Some(subject) => self.mode(subject),
            None => self.own_mode("").unwrap_or_default(),
        };
        let mut changes = Vec::new();
        if mode == Mode::Import && current != Mode::Import && !force {
            let within = |candidate: &Subject| match subject {
                None => true,
                Some(s) if s.name.is_empty() => s.context == candidate.context,
                Some(s) => s == candidate,
            };
            if self.subjects(":*:", Deleted::Hidden).iter().any(within) {
                let message = "Cannot import since found existing subjects".to_owned();
                return Err(Refusal::not_permitted(message));
            }
            // What was deleted must not stand in the way of the numbers to come.
            let mut rest = Vec::new();
            for deleted in self.subjects(":*:", Deleted::Only).iter().filter(|s| within(s)) {
                rest.extend(self.versions_or_none(deleted, Deleted::Shown));
            }
            changes = self.remove(&rest, Deletion::Permanent)?;
        }
        changes.push(Change::put(Key::Mode(scope(subject)), &mode.as_str())?);
        Ok(((), changes))
    }

    /// Takes back a mode; gives what it was. With `recursive` also those of the subjects of a
    /// context.
    pub(super) fn clear_mode(&self, subject: Option<&Subject>, recursive: bool) -> Plan<Mode> {
        let scope = scope(subject);
        let former = self.own_mode(&scope).ok_or_else(|| Refusal::subject_not_found(&scope))?;
        let mut scopes = vec![scope.clone()];
        if recursive && subject.is_none_or(|subject| subject.name.is_empty()) {
            scopes.extend(self.modes(&scope).into_iter().filter(|other| *other != scope));
        }
        let removed = scopes.into_iter().map(|scope| Change::remove(Key::Mode(scope)));
        Ok((former, removed.collect()))
    }
}

/// Where settings are kept: empty for the registry's own.
pub(super) fn scope(subject: Option<&Subject>) -> String {
    subject.map(ToString::to_string).unwrap_or_default()
}
