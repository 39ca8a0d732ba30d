#![doc = include_str!("../README.md")]

mod alias;
mod calendar;
mod commit;
mod compatibility;
mod error;
mod name;
mod names;
mod partitioner;
mod pattern;
mod properties;
mod record;
mod rotation;
mod time;
mod timestamp;
mod zone;

pub use commit::CommitPlan;
pub use compatibility::{Compatibility, ConnectSchema, ConnectType, SchemaChange};
pub use error::{Error, ErrorKind};
pub use name::ObjectNamer;
pub use partitioner::{
    DefaultPartitioner, FieldPartitioner, Partitioner, SchemaAffix, SchemaAffixPartitioner,
    TombstonePartitioner,
};
pub use properties::{NullValues, Settings};
pub use record::{Fields, Opaque, Record, Shape, Tombstone, Value};
pub use rotation::{OpenFile, Reason, Rotate, Rotation, RotationConfig, SchemaKey};
pub use time::TimePartitioner;
pub use timestamp::TimestampExtractor;
