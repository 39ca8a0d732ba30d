//! Committed offsets: a map in memory, an append-only file behind it.
//!
//! A record of the file is a length (4 bytes), the CRC-32C of the rest (4 bytes) and an entry. The
//! file is written anew when most of it is out of date.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use bytes::{Buf, BufMut};
use kafka_protocol::protocol::StrBytes;

use super::Commit;
use crate::broker::config::Durability;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Committed {
    pub(in crate::broker) offset: i64,
    pub(in crate::broker) leader_epoch: i32,
    pub(in crate::broker) metadata: StrBytes,
}

#[derive(Debug)]
pub(super) struct Offsets {
    by_group: BTreeMap<StrBytes, BTreeMap<(StrBytes, i32), Committed>>,
    file: File,
    path: PathBuf,
    len: u64,
    /// Length the file had when it held nothing superfluous.
    compact_len: u64,
    durability: Durability,
}

enum Entry {
    Commit(StrBytes, StrBytes, i32, Committed),
    Delete(StrBytes, StrBytes, i32),
    DeleteGroup(StrBytes),
}

impl Offsets {
    pub(super) fn open(path: &Path, durability: Durability) -> io::Result<Self> {
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(path)?;
        let mut offsets = Self {
            by_group: BTreeMap::new(),
            file,
            path: path.to_owned(),
            len: 0,
            compact_len: 0,
            durability,
        };
        let stored = fs::read(path)?;
        let mut rest = stored.as_slice();
        while let Some(entry) = next_entry(&mut rest) {
            offsets.apply(entry);
        }
        // What a crash left half written was never acknowledged.
        offsets.len = u64::try_from(stored.len() - rest.len()).unwrap_or(u64::MAX);
        offsets.file.set_len(offsets.len)?;
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
        self.file.sync_data()
    }

    fn append(&mut self, entries: Vec<Entry>) -> io::Result<()> {
        if entries.is_empty() {
            return Ok(());
        }
        let mut bytes = Vec::new();
        for entry in &entries {
            entry.write(&mut bytes);
        }
        self.file.write_all_at(&bytes, self.len)?;
        if self.durability == Durability::Disk {
            tokio::task::block_in_place(|| self.file.sync_data())?;
        }
        self.len += u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        for entry in entries {
            self.apply(entry);
        }
        if self.len > MIN_REWRITE.max(self.compact_len.saturating_mul(4)) {
            self.rewrite()?;
        }
        Ok(())
    }

    fn apply(&mut self, entry: Entry) {
        match entry {
            Entry::Commit(group, topic, partition, committed) => {
                self.by_group.entry(group).or_default().insert((topic, partition), committed);
            }
            Entry::Delete(group, topic, partition) => {
                if let Some(offsets) = self.by_group.get_mut(&group) {
                    offsets.remove(&(topic, partition));
                    if offsets.is_empty() {
                        self.by_group.remove(&group);
                    }
                }
            }
            Entry::DeleteGroup(group) => {
                self.by_group.remove(&group);
            }
        }
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
        crate::broker::persist::replace(&self.path, &bytes)?;
        self.file = OpenOptions::new().read(true).write(true).open(&self.path)?;
        self.len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.compact_len = self.len;
        Ok(())
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
        out.put_u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        out.put_u32(crc32c::crc32c(&body));
        out.extend_from_slice(&body);
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

/// The next entry, if it is there as it was written; `rest` moves on only then.
fn next_entry(rest: &mut &[u8]) -> Option<Entry> {
    let mut ahead = *rest;
    let len = usize::try_from(ahead.try_get_u32().ok()?).ok()?;
    let crc = ahead.try_get_u32().ok()?;
    let (body, after) = ahead.split_at_checked(len)?;
    if crc32c::crc32c(body) != crc {
        return None;
    }
    let entry = Entry::read(body)?;
    *rest = after;
    Some(entry)
}

/// Names and metadata come from protocol strings, so two bytes are enough for their length.
fn put_text(out: &mut Vec<u8>, text: &StrBytes) {
    let len = u16::try_from(text.len()).unwrap_or(u16::MAX);
    out.put_u16(len);
    out.extend(text.bytes().take(usize::from(len)));
}

fn text(body: &mut &[u8]) -> Option<StrBytes> {
    let len = usize::from(body.try_get_u16().ok()?);
    let (text, rest) = body.split_at_checked(len)?;
    *body = rest;
    std::str::from_utf8(text).ok().map(|text| StrBytes::from_string(text.to_owned()))
}

const COMMIT: u8 = 1;
const DELETE: u8 = 2;
const DELETE_GROUP: u8 = 3;
/// Below this length the file is left as it is.
const MIN_REWRITE: u64 = 4 * 1024 * 1024;
