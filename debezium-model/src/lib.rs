#![cfg_attr(feature = "avro", doc = include_str!("../README.md"))]
#![cfg_attr(
    not(feature = "avro"),
    doc = "Debezium's change events: schemas, options, consumer types."
)]
//!
//! # Layout of a record
//!
//! | offset | size | meaning |
//! |---|---|---|
//! | 0 | 1 | zero |
//! | 1 | 4 | schema id, big-endian |
//! | 5 | rest | the Avro datum of the key or of the value |
//!
//! # Where to look first
//!
//! [`Mapping`] holds the options, [`Table`] makes the schemas, and its plan the records;
//! [`Envelope`] reads them.

mod avro_text;
mod column;
mod consumer;
mod default_value;
mod envelope;
mod error;
mod flatten;
mod flattened;
mod java_hash;
mod json;
mod kind;
mod logical;
mod mapping;
mod names;
mod op;
#[cfg(feature = "avro")]
mod ordered;
mod outbox;
mod patterns;
#[cfg(feature = "avro")]
mod plan;
mod properties;
mod route;
mod rules;
mod schema;
mod source;
mod source_type;
mod table;
mod toast;
#[cfg_attr(
    not(feature = "avro"),
    allow(dead_code, unused_imports, reason = "rows need all of it, column defaults a part")
)]
mod value;

pub use avro_text::AvroStyle;
pub use column::ColumnDef;
pub use consumer::{
    Heartbeat, HeartbeatKey, LogicalMessage, MessageEvent, MessageKey, Notification,
    NotificationKey, TableCount, TableEvent, TransactionEvent, TransactionKey, TransactionStatus,
    WithSchema, from_json,
};
pub use envelope::{Envelope, Source, Transaction};
pub use error::{Error, ErrorKind};
pub use flatten::{AddedField, DeleteHandling, Flatten};
pub use flattened::{FieldValue, Flattened};
pub use logical::{
    Binary, Bits, Date, Decimal, Geometry, Interval, IsoDate, IsoTime, IsoTimestamp, Json,
    MicroDuration, MicroTime, MicroTimestamp, NanoDuration, NanoTime, NanoTimestamp, Point, Time,
    Timestamp, VariableScaleDecimal, ZonedTime, ZonedTimestamp, bits, decimal_text, moment,
};
pub use mapping::{
    BinaryMode, DecimalMode, Fidelity, HstoreMode, IntervalMode, Mapping, TimeMode, Unrepresentable,
};
pub use names::NameAdjustment;
pub use op::{Op, Snapshot};
pub use outbox::Outbox;
#[cfg(feature = "avro")]
pub use plan::{
    Before, Change, EventStream, Header, HeaderValue, Headers, JsonWriter, KeyAndValue,
    OutboxEvent, Plan, Record, SchemaIds, Scratch, TransactionBound,
};
pub use properties::Properties;
pub use route::{Routed, Router};
pub use schema::{ConnectField, ConnectSchema, ConnectType, DefaultValue};
pub use source::{SourceBlock, TransactionBlock};
pub use table::{MappedColumn, Table, TableId};
pub use toast::ToastPolicy;
