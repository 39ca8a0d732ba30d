//! Committed offsets: a map in memory, a journal behind it.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::{Buf as _, BufMut as _};
use kafka_protocol::protocol::StrBytes;

use super::Commit;
use crate::broker::config::Config;
use crate::broker::journal::{self, Journal, put_text, text};

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Committed {
    pub(in crate::broker) offset: i64,
    pub(in crate::broker) leader_epoch: i32,
    pub(in crate::broker) metadata: StrBytes,
}

#[derive(Debug)]
pub(super) struct Offsets {
    by_group: ByGroup,
    journal: Journal,
}

type ByGroup = BTreeMap<StrBytes, BTreeMap<(StrBytes, i32), Committed>>;

enum Entry {
    Commit(StrBytes, StrBytes, i32, Committed),
    Delete(StrBytes, StrBytes, i32),
    DeleteGroup(StrBytes),
}

impl Offsets {
    pub(super) fn open(path: &Path, config: &Config) -> io::Result<Self> {
        let mut by_group = ByGroup::new();
        let journal = Journal::open(path, config, |body| match Entry::read(body) {
            Some(entry) => {
                apply(&mut by_group, entry);
                true
            }
            None => false,
        })?;
        let mut offsets = Self { by_group, journal };
        offsets.rewrite()?;
        Ok(offsets)
    }

    pub(super) fn commit(&mut self, group: &StrBytes, commits: &[Commit]) -> io::Result<()> {
        let entries = commits.iter().map(|commit| {
            let Commit { topic, partition, committed } = commit;
            Entry::Commit(group.clone(), topic.clone(), *partition, committed.clone())
        });
        self.append(entries.collect())
    }

    pub(super) fn delete(
        &mut self,
        group: &StrBytes,
        partitions: &[(StrBytes, i32)],
    ) -> io::Result<()> {
        let entry = |(topic, partition): &(StrBytes, i32)| {
            Entry::Delete(group.clone(), topic.clone(), *partition)
        };
        self.append(partitions.iter().map(entry).collect())
    }

    pub(super) fn delete_group(&mut self, group: &StrBytes) -> io::Result<()> {
        self.append(vec![Entry::DeleteGroup(group.clone())])
    }

    pub(super) fn forget_topic(&mut self, topic: &str) -> io::Result<()> {
        let mut entries = Vec::new();
        for (group, offsets) in &self.by_group {
            let of_topic = offsets.keys().filter(|(name, _)| name.as_str() == topic);
            entries.extend(
                of_topic.map(|(name, index)| Entry::Delete(group.clone(), name.clone(), *index)),
            );
        }
        self.append(entries)
    }

    pub(super) fn get(
        &self,
        group: &StrBytes,
        topic: &StrBytes,
        partition: i32,
    ) -> Option<&Committed> {
        self.by_group.get(group)?.get(&(topic.clone(), partition))
    }

    pub(super) fn of_group(&self, group: &StrBytes) -> Vec<(StrBytes, i32, Committed)> {
        let offsets = self.by_group.get(group).into_iter().flatten();
        offsets.map(|((topic, index), own)| (topic.clone(), *index, own.clone())).collect()
    }

    pub(super) fn has_group(&self, group: &StrBytes) -> bool {
        self.by_group.contains_key(group)
    }

    pub(super) fn groups(&self) -> impl Iterator<Item = &StrBytes> {
        self.by_group.keys()
    }

    pub(super) fn sync(&self) -> io::Result<()> {
        self.journal.sync()
    }

    fn append(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for entry in &entries {
            entry.write(&mut bytes);
        }
        self.journal.append(&bytes)?;
        for entry in entries {
            apply(&mut self.by_group, entry);
        }
        if self.journal.is_mostly_old() {
            self.rewrite()?;
        }
        Ok(())
    }

    /// Replaces the file by one that holds each offset once.
    fn rewrite(&mut self) -> io::Result<()> {
        let mut bytes = Vec::new();
        for (group, offsets) in &self.by_group {
            for ((topic, partition), committed) in offsets {
                Entry::Commit(group.clone(), topic.clone(), *partition, committed.clone())
                    .write(&mut bytes);
            }
        }
        self.journal.rewrite(&bytes)
    }
}

fn apply(by_group: &mut ByGroup, entry: Entry) {
    match entry {
        Entry::Commit(group, topic, partition, committed) => {
            by_group.entry(group).or_default().insert((topic, partition), committed);
        }
        Entry::Delete(group, topic, partition) => {
            if let Some(offsets) = by_group.get_mut(&group) {
                offsets.remove(&(topic, partition));
                if offsets.is_empty() {
                    by_group.remove(&group);
                }
            }
        }
        Entry::DeleteGroup(group) => {
            by_group.remove(&group);
        }
    }
}

impl Entry {
    fn write(&self, out: &mut Vec<u8>) {
        let mut body = Vec::new();
        match self {
            Self::Commit(group, topic, partition, committed) => {
                body.put_u8(COMMIT);
                put_text(&mut body, group);
                put_text(&mut body, topic);
                body.put_i32(*partition);
                body.put_i64(committed.offset);
                body.put_i32(committed.leader_epoch);
                put_text(&mut body, &committed.metadata);
            }
            Self::Delete(group, topic, partition) => {
                body.put_u8(DELETE);
                put_text(&mut body, group);
                put_text(&mut body, topic);
                body.put_i32(*partition);
            }
            Self::DeleteGroup(group) => {
                body.put_u8(DELETE_GROUP);
                put_text(&mut body, group);
            }
        }
        journal::put_entry(out, &body);
    }

    fn read(mut body: &[u8]) -> Option<Self> {
        let body = &mut body;
        match body.try_get_u8().ok()? {
            COMMIT => {
                let (group, topic) = (text(body)?, text(body)?);
                let partition = body.try_get_i32().ok()?;
                let committed = Committed {
                    offset: body.try_get_i64().ok()?,
                    leader_epoch: body.try_get_i32().ok()?,
                    metadata: text(body)?,
                };
                Some(Self::Commit(group, topic, partition, committed))
            }
            DELETE => Some(Self::Delete(text(body)?, text(body)?, body.try_get_i32().ok()?)),
            DELETE_GROUP => Some(Self::DeleteGroup(text(body)?)),
            _ => None,
        }
    }
}

const COMMIT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_GROUP: u8 = 3;
