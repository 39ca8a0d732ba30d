//! The topics: names, ids, partitions and settings, kept in one small file.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::hash::{BuildHasher as _, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use kafka_protocol::ResponseError;
use uuid::Uuid;

use super::config::Config;
use super::partition::Partition;
use super::persist;
use super::settings::{self, Settings};

#[derive(Debug)]
pub(super) struct Topics {
    options: Config,
    by_name: RwLock<BTreeMap<String, Arc<Topic>>>,
    /// Held while topics are made, grown or removed, so that the file sees one change at a time.
    changing: Mutex<()>,
}

#[derive(Debug)]
pub(super) struct Topic {
    pub(super) name: String,
    pub(super) id: Uuid,
    pub(super) settings: Settings,
    pub(super) partitions: Vec<Arc<Partition>>,
}

impl Topic {
    pub(super) fn partition(&self, index: i32) -> Option<&Arc<Partition>> {
        self.partitions.get(usize::try_from(index).ok()?)
    }

    fn retire_files(&self) {
        for partition in &self.partitions {
            partition.retire_files();
        }
    }

    pub(super) fn partition_count(&self) -> i32 {
        i32::try_from(self.partitions.len()).unwrap_or(i32::MAX)
    }
}

impl Topics {
    pub(super) fn open(options: &Config) -> io::Result<Self> {
        let topics = Self {
            options: options.clone(),
            by_name: RwLock::default(),
            changing: Mutex::default(),
        };
        let mut by_name = BTreeMap::new();
        for line in persist::read(&topics.path())?.unwrap_or_default().lines() {
            let (name, id, count, settings) =
                parse_line(line).ok_or_else(|| persist::damaged("a line of the topic file"))?;
            let partitions = topics.open_partitions(&name, 0..count, &settings)?;
            by_name.insert(name.clone(), Arc::new(Topic { name, id, settings, partitions }));
        }
        *topics.by_name.write().unwrap_or_else(PoisonError::into_inner) = by_name;
        Ok(topics)
    }

    pub(super) fn get(&self, name: &str) -> Option<Arc<Topic>> {
        self.by_name.read().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    pub(super) fn by_id(&self, id: Uuid) -> Option<Arc<Topic>> {
        self.all().into_iter().find(|topic| topic.id == id)
    }

    pub(super) fn all(&self) -> Vec<Arc<Topic>> {
        let by_name = self.by_name.read().unwrap_or_else(PoisonError::into_inner);
        by_name.values().cloned().collect()
    }

    /// Whether a topic of this shape could be made now.
    pub(super) fn check(&self, name: &str, partitions: i32) -> Result<i32, ResponseError> {
        if !is_valid_name(name) {
            return Err(ResponseError::InvalidTopicException);
        }
        if self.get(name).is_some() {
            return Err(ResponseError::TopicAlreadyExists);
        }
        match partitions {
            -1 => Ok(self.options.default_partitions),
            1..=MAX_PARTITIONS => Ok(partitions),
            _ => Err(ResponseError::InvalidPartitions),
        }
    }

    /// Makes a topic. `partitions` of -1 stands for the broker's default.
    pub(super) fn create(
        &self,
        name: &str,
        partitions: i32,
        settings: Settings,
    ) -> Result<Arc<Topic>, ResponseError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let count = self.check(name, partitions)?;
        // Left over from a topic that was being made or removed when the broker died.
        self.remove_directories(name, 0).map_err(storage)?;
        let partitions = self.open_partitions(name, 0..count, &settings).map_err(storage)?;
        let topic =
            Arc::new(Topic { name: name.to_owned(), id: random_id(), settings, partitions });
        let mut topics = self.all();
        topics.push(Arc::clone(&topic));
        self.save(&topics).map_err(storage)?;
        self.put(&topic);
        Ok(topic)
    }

    /// Adds partitions until there are `count`.
    pub(super) fn grow(&self, name: &str, count: i32) -> Result<(), ResponseError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let present = topic.partition_count();
        if count <= present || count > MAX_PARTITIONS {
            return Err(ResponseError::InvalidPartitions);
        }
        self.remove_directories(name, present).map_err(storage)?;
        let mut partitions = topic.partitions.clone();
        partitions
            .extend(self.open_partitions(name, present..count, &topic.settings).map_err(storage)?);
        let grown = Arc::new(Topic {
            name: topic.name.clone(),
            id: topic.id,
            settings: topic.settings.clone(),
            partitions,
        });
        let mut topics = self.all();
        topics.retain(|other| other.name != name);
        topics.push(Arc::clone(&grown));
        self.save(&topics).map_err(storage)?;
        self.put(&grown);
        Ok(())
    }

    /// Removes a topic and its files.
    pub(super) fn delete(&self, name: &str) -> Result<(), ResponseError> {
        let _changing = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let topic = self.get(name).ok_or(ResponseError::UnknownTopicOrPartition)?;
        let mut topics = self.all();
        topics.retain(|topic| topic.name != name);
        self.save(&topics).map_err(storage)?;
        self.by_name.write().unwrap_or_else(PoisonError::into_inner).remove(name);
        topic.retire_files();
        self.remove_directories(name, 0).map_err(storage)
    }

    /// Removes records that are too old, too many or outdated.
    pub(super) fn clean(&self, now_ms: i64) {
        self.retire(now_ms);
        for topic in self.all() {
            let Some(rules) = topic.settings.compaction() else { continue };
            for partition in &topic.partitions {
                if let Err(error) = partition.compact(&rules, now_ms) {
                    tracing::warn!(topic = topic.name, %error, "outdated records stay");
                }
            }
        }
    }

    /// Ends what [`clean`](Self::clean) is at, and lets it change nothing from here on.
    pub(super) fn retire_files(&self) {
        for topic in self.all() {
            topic.retire_files();
        }
    }

    /// Whole files at a time.
    fn retire(&self, now_ms: i64) {
        for topic in self.all() {
            let bytes = topic.settings.retention_bytes();
            let since = topic.settings.retention_ms().map(|ms| now_ms.saturating_sub(ms));
            for partition in &topic.partitions {
                if let Err(error) = partition.retire(bytes, since) {
                    tracing::warn!(topic = topic.name, %error, "old records stay");
                }
            }
        }
    }

    fn put(&self, topic: &Arc<Topic>) {
        let mut by_name = self.by_name.write().unwrap_or_else(PoisonError::into_inner);
        by_name.insert(topic.name.clone(), Arc::clone(topic));
    }

    fn open_partitions(
        &self,
        name: &str,
        indexes: std::ops::Range<i32>,
        settings: &Settings,
    ) -> io::Result<Vec<Arc<Partition>>> {
        let open = |index| {
            let dir = self.options.data_dir.join(format!("{name}-{index}"));
            let options = &self.options;
            let segment_bytes = settings.segment_bytes(options.segment_bytes);
            Partition::open(&dir, segment_bytes, options).map(Arc::new)
        };
        indexes.map(open).collect()
    }

    fn remove_directories(&self, name: &str, first: i32) -> io::Result<()> {
        for entry in fs::read_dir(&self.options.data_dir)? {
            let entry = entry?;
            let file_name = entry.file_name();
            let index = file_name
                .to_str()
                .and_then(|file_name| file_name.rsplit_once('-'))
                .filter(|(topic, _)| *topic == name)
                .and_then(|(_, index)| index.parse::<i32>().ok());
            if index.is_some_and(|index| index >= first) {
                fs::remove_dir_all(entry.path())?;
            }
        }
        Ok(())
    }

    /// One line for each topic: name, id, number of partitions and settings, parted by tabs.
    fn save(&self, topics: &[Arc<Topic>]) -> io::Result<()> {
        let mut text = String::new();
        for topic in topics {
            text.push_str(&format!("{}\t{}\t{}", topic.name, topic.id, topic.partition_count()));
            for (key, value) in topic.settings.iter() {
                text.push_str(&format!("\t{key}={value}"));
            }
            text.push('\n');
        }
        persist::replace(&self.path(), text.as_bytes())
    }

    fn path(&self) -> PathBuf {
        self.options.data_dir.join(Path::new("topics"))
    }
}

/// Kafka's rule: 1 to 249 of letters, digits, dot, underscore and hyphen, but not `.` or `..`.
fn is_valid_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    matches!(name.len(), 1..=249) && name != "." && name != ".." && name.bytes().all(legal)
}

fn parse_line(line: &str) -> Option<(String, Uuid, i32, Settings)> {
    let mut fields = line.split('\t');
    let name = fields.next().filter(|name| is_valid_name(name))?;
    let id = Uuid::parse_str(fields.next()?).ok()?;
    let count = fields.next()?.parse().ok().filter(|count| (1..=MAX_PARTITIONS).contains(count))?;
    let mut settings = HashMap::new();
    for field in fields {
        let (key, value) = field.split_once('=')?;
        settings.insert(key, value);
    }
    let settings = settings::parse(settings.into_iter()).ok()?;
    Some((name.to_owned(), id, count, settings))
}

/// Unique, not secret: the hasher's keys come from the operating system.
pub(super) fn random_id() -> Uuid {
    let random = RandomState::new();
    Uuid::from_u64_pair(random.hash_one(0u8), random.hash_one(1u8))
}

fn storage(error: io::Error) -> ResponseError {
    tracing::error!(%error, "topic files failed");
    ResponseError::KafkaStorageError
}

/// Each partition holds a file open.
const MAX_PARTITIONS: i32 = 10_000;
