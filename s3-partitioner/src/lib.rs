#![doc = include_str!("../README.md")]

mod alias;
mod calendar;
mod clock;
mod commit;
mod compatibility;
mod config;
mod decision;
mod error;
mod file;
mod name;
mod names;
mod partitioner;
mod paths;
mod pattern;
mod properties;
mod record;
mod rotation;
mod time;
mod timestamp;
mod zone;

pub use commit::{CommitPlan, Intent, OffsetCommit};
pub use compatibility::{Compatibility, ConnectSchema, ConnectType, SchemaChange};
pub use config::RotationConfig;
pub use decision::{Reason, Rotate};
pub use error::{Error, ErrorKind};
pub use file::{OpenFile, SchemaKey};
pub use name::ObjectNamer;
pub use partitioner::{
    DefaultPartitioner, FieldPartitioner, Partitioner, SchemaAffix, SchemaAffixPartitioner,
    TombstonePartitioner,
};
pub use paths::Paths;
pub use properties::{BadRecords, NullValues, Settings};
pub use record::{Fields, Opaque, Record, Shape, Tombstone, Value};
pub use rotation::Rotation;
pub use time::TimePartitioner;
pub use timestamp::{TimeUnit, TimestampExtractor};
