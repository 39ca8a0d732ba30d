/// Identifies a value's schema within the caller: equal keys, equal schemas. A registry's id will
/// do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SchemaKey(u64);

impl SchemaKey {
    /// The key of values without a schema.
    pub const NONE: Self = Self(u64::MAX);

    /// From the caller's number.
    #[must_use]
    pub const fn new(key: u64) -> Self {
        Self(key)
    }

    /// The caller's number.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

/// One file of a topic partition that is open: the records of one encoded partition, and of one
/// schema if there is a file for each.
#[derive(Clone, Debug)]
pub struct OpenFile {
    pub(crate) number: usize,
    pub(crate) encoded: String,
    pub(crate) start_offset: i64,
    pub(crate) records: u64,
    pub(crate) schema: SchemaKey,
    pub(crate) tombstones: bool,
}

impl OpenFile {
    /// Tells the files of one rotation apart, counting from 0 in the order of first use. Some
    /// numbers may be missing from the files that are open: those of files whose only records were
    /// rejected.
    #[must_use]
    pub const fn number(&self) -> usize {
        self.number
    }

    /// The encoded partition.
    #[must_use]
    pub fn encoded(&self) -> &str {
        &self.encoded
    }

    /// Offset of the first record written, which the object is named after.
    #[must_use]
    pub const fn start_offset(&self) -> i64 {
        self.start_offset
    }

    /// Number of records written.
    #[must_use]
    pub const fn records(&self) -> u64 {
        self.records
    }

    /// Schema the file was begun with; later records may have to be projected to it. As in the
    /// connector this is the schema of the first record observed, even if the writer refused that
    /// one: a sink that copies records undecoded should find bad ones before it observes them.
    #[must_use]
    pub const fn schema(&self) -> SchemaKey {
        self.schema
    }
}
