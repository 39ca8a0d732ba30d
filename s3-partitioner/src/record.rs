use std::fmt::Debug;

/// What the decisions need to know of one Kafka record.
///
/// ```
/// use s3_partitioner::Record;
///
/// let record = Record::new("orders", 3, 42).with_timestamp_ms(1_709_622_489_123);
/// assert_eq!(record.offset, 42);
/// ```
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Record<'a> {
    /// Topic the record was read from; the object's name starts with it.
    pub topic: &'a str,
    /// Kafka partition, 0 or more.
    pub partition: i32,
    /// Kafka offset within the partition.
    pub offset: i64,
    /// Kafka timestamp, milliseconds since 1970-01-01 UTC.
    pub timestamp_ms: Option<i64>,
    /// Bytes the record adds to an object, as far as the caller knows them; only rotation by bytes
    /// asks.
    pub size: u64,
    /// The decoded value, as far as a partitioner asks for it.
    pub value: &'a dyn Fields,
}

impl<'a> Record<'a> {
    /// A record whose value nobody will look into (the default partitioner does not).
    #[must_use]
    pub const fn new(topic: &'a str, partition: i32, offset: i64) -> Self {
        Self { topic, partition, offset, timestamp_ms: None, size: 0, value: &Opaque }
    }

    /// Adds the Kafka timestamp, in milliseconds since 1970-01-01 UTC.
    #[must_use]
    pub const fn with_timestamp_ms(mut self, timestamp_ms: i64) -> Self {
        self.timestamp_ms = Some(timestamp_ms);
        self
    }

    /// Adds the number of bytes the record adds to an object. It has to be the same whenever the
    /// record is read, such as the length of its value.
    #[must_use]
    pub const fn with_size(mut self, size: u64) -> Self {
        self.size = size;
        self
    }

    /// Adds the value.
    #[must_use]
    pub const fn with_value(mut self, value: &'a dyn Fields) -> Self {
        self.value = value;
        self
    }

    pub(crate) fn is_tombstone(&self) -> bool {
        self.value.shape() == Shape::Null
    }
}

/// Any decoded value that can be asked for a field.
pub trait Fields: Debug {
    /// The field at a path of names joined with `.`, or `None` when the schema has no such field.
    ///
    /// A null anywhere on the way answers `Some(Value::Null)`, and a field with a default answers
    /// the default instead of null (Connect's `Struct.get` does so). No name on the way may be
    /// split further: a field whose own name holds a dot cannot be reached.
    fn field(&self, path: &str) -> Option<Value<'_>>;

    /// What the value is as a whole. A struct unless overridden.
    fn shape(&self) -> Shape {
        Shape::Struct
    }

    /// Name of the schema of the field at a path: what its number means, such as
    /// `io.debezium.time.MicroTimestamp`. Only asked with
    /// [`TimeUnit::BySemanticType`](crate::TimeUnit::BySemanticType).
    fn semantic_type(&self, path: &str) -> Option<&str> {
        let _ = path;
        None
    }

    /// Name of the value's schema, for `s3.schema.partition.affix.type`.
    fn schema_name(&self) -> Option<&str> {
        None
    }
}

/// What a record's value is as a whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Shape {
    /// A record with a schema.
    Struct,
    /// A map without a schema (JSON without schemas).
    Map,
    /// Anything else: text, bytes, a number.
    Other,
    /// No value: a tombstone.
    Null,
}

/// One field's value, in Kafka Connect's terms.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// Null, of whatever type.
    Null,
    /// A boolean.
    Boolean(bool),
    /// An 8-bit integer.
    Int8(i8),
    /// A 16-bit integer.
    Int16(i16),
    /// A 32-bit integer, also with a Debezium semantic type such as `io.debezium.time.Date`.
    Int32(i32),
    /// A 64-bit integer, also with a Debezium semantic type.
    Int64(i64),
    /// A 32-bit float.
    Float32(f32),
    /// A 64-bit float.
    Float64(f64),
    /// Text.
    String(&'a str),
    /// Connect's logical `Date` (days since 1970-01-01) or `Time` (milliseconds of the day).
    DateOrTime(i32),
    /// Connect's logical `Timestamp`: milliseconds since 1970-01-01 UTC.
    Timestamp(i64),
    /// Bytes, arrays, maps and structs, none of which can be part of a path.
    Composite,
}

/// A value that has no fields and is not null.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a marker that will never hold anything")]
pub struct Opaque;

impl Fields for Opaque {
    fn field(&self, _path: &str) -> Option<Value<'_>> {
        None
    }

    fn shape(&self) -> Shape {
        Shape::Other
    }
}

/// The value of a tombstone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::exhaustive_structs, reason = "a marker that will never hold anything")]
pub struct Tombstone;

impl Fields for Tombstone {
    fn field(&self, _path: &str) -> Option<Value<'_>> {
        None
    }

    fn shape(&self) -> Shape {
        Shape::Null
    }
}
