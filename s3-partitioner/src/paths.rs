use std::sync::Arc;
use std::time::SystemTime;

use crate::{Error, Partitioner, Record};

/// Says which directory below the topic a record belongs to, into a buffer of its own.
///
/// Have one for each task, or for each topic partition.
///
/// ```
/// use std::time::SystemTime;
/// use s3_partitioner::{Record, Settings};
///
/// let mut paths = Settings::from_properties([("flush.size", "100")])?.paths();
/// let path = paths.encode(&Record::new("orders", 3, 42), SystemTime::now())?;
/// assert_eq!(path, "partition=3");
/// # Ok::<(), s3_partitioner::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Paths {
    partitioner: Arc<dyn Partitioner>,
    path: String,
}

impl Paths {
    /// The paths of any partitioner.
    #[must_use]
    pub fn new(partitioner: Arc<dyn Partitioner>) -> Self {
        Self { partitioner, path: String::new() }
    }

    /// The encoded partition of a record. `now` is the wall clock of the poll it came with.
    ///
    /// # Errors
    /// What [`Partitioner::encode`] answers.
    pub fn encode(&mut self, record: &Record<'_>, now: SystemTime) -> Result<&str, Error> {
        self.path.clear();
        self.partitioner.encode(record, now, &mut self.path)?;
        Ok(&self.path)
    }

    /// See [`Partitioner::wall_clock_bucket`].
    #[must_use]
    pub fn wall_clock_bucket(&mut self, now: SystemTime) -> Option<i64> {
        self.partitioner.wall_clock_bucket(now)
    }
}
