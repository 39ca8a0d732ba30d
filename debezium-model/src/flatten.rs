//! Values without their envelope, as Debezium's `ExtractNewRecordState` transformation makes
//! them.

/// What becomes of deletes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeleteHandling {
    /// No record.
    Drop,
    /// A tombstone in its place.
    #[default]
    Tombstone,
    /// The old row, with `__deleted` set; every other row gets the field too.
    Rewrite,
}

/// A metadata field added to a flattened value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AddedField {
    pub(crate) metadata: Metadata,
    pub(crate) name: String,
}

/// Where an added field takes its value from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Metadata {
    Envelope(usize),
    Source(usize),
    Transaction(usize),
}

/// Fields of the envelope that may be added, with the index used in [`Metadata`].
pub(crate) const ENVELOPE_FIELDS: [&str; 4] = ["op", "ts_ms", "ts_us", "ts_ns"];
/// Fields of the source block, in schema order.
pub(crate) const SOURCE_FIELDS: [&str; 16] = [
    "version",
    "connector",
    "name",
    "ts_ms",
    "snapshot",
    "db",
    "sequence",
    "ts_us",
    "ts_ns",
    "schema",
    "table",
    "txId",
    "lsn",
    "xmin",
    "origin",
    "origin_lsn",
];
/// Fields of the transaction block, in schema order.
pub(crate) const TRANSACTION_FIELDS: [&str; 3] = ["id", "total_order", "data_collection_order"];

/// How an envelope is flattened into its row.
///
/// ```
/// use debezium_model::{DeleteHandling, Flatten};
///
/// let flatten = Flatten::default().with_deletes(DeleteHandling::Rewrite).with_tombstones(true);
/// assert_eq!(flatten.deletes(), DeleteHandling::Rewrite);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flatten {
    pub(crate) deletes: DeleteHandling,
    pub(crate) tombstones: bool,
    pub(crate) fields: Vec<AddedField>,
    pub(crate) headers: Vec<AddedField>,
    pub(crate) route_by: Option<String>,
}

impl Flatten {
    /// The same flattening with other handling of deletes.
    #[must_use]
    pub fn with_deletes(mut self, deletes: DeleteHandling) -> Self {
        self.deletes = deletes;
        self
    }

    /// The same flattening, keeping or dropping the tombstones that follow deletes.
    #[must_use]
    pub fn with_tombstones(mut self, keep: bool) -> Self {
        self.tombstones = keep;
        self
    }

    /// What becomes of deletes.
    #[must_use]
    pub fn deletes(&self) -> DeleteHandling {
        self.deletes
    }
}

impl AddedField {
    /// Whether it is what happened to the row.
    #[cfg(feature = "avro")]
    pub(crate) fn is_operation(&self) -> bool {
        self.metadata == Metadata::Envelope(0)
    }

    /// Reads one entry of `add.fields`: `op`, `source.ts_ms` or `lsn:position`. A field without
    /// its struct is looked up in the envelope, the transaction block and the source block.
    /// Dots become underscores in the name, after the prefix.
    pub(crate) fn parse(entry: &str, prefix: &str) -> Option<Self> {
        let (path, rename) = match entry.split_once(':') {
            Some((path, rename)) => (path.trim(), Some(rename.trim())),
            None => (entry.trim(), None),
        };
        let find = |fields: &[&str], name: &str| fields.iter().position(|field| *field == name);
        let metadata = match path.split_once('.') {
            Some(("source", field)) => Metadata::Source(find(&SOURCE_FIELDS, field)?),
            Some(("transaction", field)) => {
                Metadata::Transaction(find(&TRANSACTION_FIELDS, field)?)
            }
            Some(_) => return None,
            None => {
                if let Some(index) = find(&ENVELOPE_FIELDS, path) {
                    Metadata::Envelope(index)
                } else if let Some(index) = find(&TRANSACTION_FIELDS, path) {
                    Metadata::Transaction(index)
                } else {
                    Metadata::Source(find(&SOURCE_FIELDS, path)?)
                }
            }
        };
        let name = match rename {
            Some("") => return None,
            Some(rename) => rename.to_owned(),
            None => path.replace('.', "_"),
        };
        Some(Self { metadata, name: format!("{prefix}{name}") })
    }
}
