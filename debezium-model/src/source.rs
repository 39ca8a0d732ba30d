use crate::op::Snapshot;
use crate::schema::{ConnectField, ConnectSchema, ConnectType};

/// Facts about a change that its row does not hold: what becomes Debezium's `source` block and
/// the times of the envelope.
///
/// ```
/// use debezium_model::SourceBlock;
///
/// let mut source = SourceBlock::new("shop", 0x1234, 1_700_000_000_000_000);
/// source.tx_id = Some(731);
/// source.processed_ns = 1_700_000_000_123_456_789;
/// assert_eq!(source.version, "3.6.3.Final");
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SourceBlock<'a> {
    /// Version of Debezium to announce.
    pub version: &'a str,
    /// Name of the database.
    pub db: &'a str,
    /// Position of the change in the log.
    pub lsn: u64,
    /// Transaction id, `None` for an incremental snapshot.
    pub tx_id: Option<u32>,
    /// Time of the commit, or of the snapshot, in microseconds since 1970.
    pub ts_us: i64,
    /// Position of the last commit before the change, `None` before the first.
    pub last_commit_lsn: Option<u64>,
    /// Place in a snapshot.
    pub snapshot: Snapshot,
    /// When the change was processed, in nanoseconds since 1970.
    pub processed_ns: i64,
    /// Place in the transaction, where transaction metadata is provided.
    pub transaction: Option<TransactionBlock<'a>>,
}

impl<'a> SourceBlock<'a> {
    /// A streamed change of a database at a position, committed at a time in microseconds since
    /// 1970 and processed at that same time.
    #[must_use]
    pub const fn new(db: &'a str, lsn: u64, ts_us: i64) -> Self {
        Self {
            version: "3.6.3.Final",
            db,
            lsn,
            tx_id: None,
            ts_us,
            last_commit_lsn: None,
            snapshot: Snapshot::False,
            processed_ns: ts_us.saturating_mul(1000),
            transaction: None,
        }
    }
}

/// The place of a change in its transaction.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct TransactionBlock<'a> {
    /// Identifies the transaction.
    pub id: &'a str,
    /// Place among all changes of the transaction, from 1.
    pub total_order: i64,
    /// Place among the transaction's changes of this table, from 1.
    pub data_collection_order: i64,
}

impl<'a> TransactionBlock<'a> {
    /// A place in a transaction.
    #[must_use]
    pub const fn new(id: &'a str, total_order: i64, data_collection_order: i64) -> Self {
        Self { id, total_order, data_collection_order }
    }
}

pub(crate) fn text() -> ConnectSchema {
    ConnectSchema::new(ConnectType::String)
}

pub(crate) fn long() -> ConnectSchema {
    ConnectSchema::new(ConnectType::Int64)
}

pub(crate) fn fields(list: Vec<(&str, ConnectSchema)>) -> ConnectType {
    ConnectType::Struct(
        list.into_iter().map(|(name, schema)| ConnectField::new(name, schema)).collect(),
    )
}

/// Schema of the source block; the order is [`crate::flatten::SOURCE_FIELDS`].
pub(crate) fn source_schema() -> ConnectSchema {
    let snapshot = text()
        .optional()
        .with_name("io.debezium.data.Enum")
        .with_version(1)
        .with_parameter("allowed", Snapshot::ALLOWED)
        .with_default(crate::schema::DefaultValue::Text("false".to_owned()));
    ConnectSchema::new(fields(vec![
        ("version", text()),
        ("connector", text()),
        ("name", text()),
        ("ts_ms", long()),
        ("snapshot", snapshot),
        ("db", text()),
        ("sequence", text().optional()),
        ("ts_us", long().optional()),
        ("ts_ns", long().optional()),
        ("schema", text()),
        ("table", text()),
        ("txId", long().optional()),
        ("lsn", long().optional()),
        ("xmin", long().optional()),
        ("origin", text().optional()),
        ("origin_lsn", long().optional()),
    ]))
    .with_name("io.debezium.connector.postgresql.Source")
    .with_version(1)
}

/// Schema of the transaction block; the order is [`crate::flatten::TRANSACTION_FIELDS`].
pub(crate) fn transaction_schema() -> ConnectSchema {
    ConnectSchema::new(fields(vec![
        ("id", text()),
        ("total_order", long()),
        ("data_collection_order", long()),
    ]))
    .with_name("event.block")
    .with_version(1)
    .optional()
}

/// Schema of the whole event around a row.
pub(crate) fn envelope_schema(
    name: &str,
    before: &ConnectSchema,
    row: &ConnectSchema,
) -> ConnectSchema {
    let row = row.clone().optional();
    ConnectSchema::new(fields(vec![
        ("before", before.clone().optional()),
        ("after", row),
        ("source", source_schema()),
        ("transaction", transaction_schema()),
        ("op", text()),
        ("ts_ms", long().optional()),
        ("ts_us", long().optional()),
        ("ts_ns", long().optional()),
    ]))
    .with_name(name)
    .with_version(2)
}
