#![doc = include_str!("../README.md")]

mod avro_text;
mod column;
mod default_value;
mod envelope;
mod error;
mod flatten;
mod json;
mod kind;
mod mapping;
mod names;
mod op;
#[cfg(feature = "avro")]
mod plan;
mod properties;
mod schema;
mod source;
mod table;
mod value;

pub use column::ColumnDef;
pub use envelope::{Envelope, Source, Transaction};
pub use error::{Error, ErrorKind};
pub use flatten::{AddedField, DeleteHandling, Flatten};
pub use mapping::{BinaryMode, DecimalMode, Fidelity, HstoreMode, IntervalMode, Mapping, TimeMode};
pub use names::NameAdjustment;
pub use op::{Op, Snapshot};
#[cfg(feature = "avro")]
pub use plan::{Before, Change, Plan, Record, SchemaIds, Scratch};
pub use properties::Properties;
pub use schema::{ConnectField, ConnectSchema, ConnectType, DefaultValue};
pub use source::{SourceBlock, TransactionBlock};
pub use table::{MappedColumn, Table, TableId};
