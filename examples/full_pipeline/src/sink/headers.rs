//! Kafka headers as a record of their own, so that they can be written in every format.

use avro_wire::{Schema, primitive};
use rdkafka::message::{BorrowedHeaders, Headers};

use super::schema::Known;

/// In JSON this is `{"headers":[{"key":…,"value":…}]}`, as Confluent's sink has it.
const SCHEMA: &str = r#"{"type":"record","name":"RecordHeaders","fields":[
    {"name":"headers","type":{"type":"array","items":{"type":"record","name":"RecordHeader","fields":[
        {"name":"key","type":"string"},{"name":"value","type":["null","string"]}]}}}]}"#;

/// The schema of headers, which no registry knows.
pub(super) fn known() -> Known {
    match Schema::parse(SCHEMA) {
        Ok(schema) => Known::new(u32::MAX, schema, &[]),
        Err(error) => unreachable!("{error}"),
    }
}

/// Replaces `out` by the datum; false when there are no headers. Values that are no text lose what
/// is not UTF-8.
pub(super) fn encode(headers: Option<&BorrowedHeaders>, out: &mut Vec<u8>) -> bool {
    out.clear();
    let Some(headers) = headers.filter(|headers| headers.count() > 0) else { return false };
    primitive::write_long(headers.count().try_into().unwrap_or(i64::MAX), out);
    for header in headers.iter() {
        primitive::write_string(header.key, out);
        match header.value {
            None => primitive::write_long(0, out),
            Some(value) => {
                primitive::write_long(1, out);
                primitive::write_string(&String::from_utf8_lossy(value), out);
            }
        }
    }
    primitive::write_long(0, out);
    true
}
