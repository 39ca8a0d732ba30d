//! What the fuzz targets do, a file a crate. The crates' `tests/corpus.rs` include the same files
//! and replay the corpus through them.

pub mod avro_wire;
pub mod broker;
pub mod debezium_model;
pub mod msk_iam_auth;
pub mod pgoutput;
pub mod pgoutput_value;
pub mod registry_client;
pub mod registry_serde;
pub mod s3_partitioner;
