//! What surrounds a row: the rest of the envelope, or the added fields of a flattened value.

use avro_wire::primitive::{write_long, write_string};

use super::row::{ABSENT, PRESENT, put_length};
use crate::flatten::{AddedField, DeleteHandling, Metadata};
use crate::op::{Op, Snapshot};
use crate::plan::digits::push_decimal;
use crate::source::SourceBlock;
use crate::table::Table;

#[derive(Debug)]
pub(super) struct Metadatas {
    prefix: String,
    schema: String,
    table: String,
    /// Whether flattened values tell if their row was deleted.
    deleted: bool,
    added: Vec<Metadata>,
    /// What goes into headers.
    pub(super) headers: Vec<AddedField>,
    /// Whether one of them is the sequence.
    pub(super) sequence_header: bool,
}

/// A field of the metadata.
pub(super) enum Value<'a> {
    Text(Option<&'a str>),
    Long(Option<i64>),
}

const CONNECTOR: &str = "postgresql";
/// Place of the sequence in the source block.
const SEQUENCE: usize = 6;

impl Metadatas {
    pub(super) fn new(table: &Table) -> Self {
        let flatten = table.mapping().flatten.as_ref();
        Self {
            prefix: table.topic_prefix().to_owned(),
            schema: table.id().schema().to_owned(),
            table: table.id().table().to_owned(),
            deleted: flatten.is_some_and(|flatten| flatten.deletes == DeleteHandling::Rewrite),
            added: flatten.map_or_else(Vec::new, |flatten| {
                flatten.fields.iter().map(|field| field.metadata).collect()
            }),
            headers: flatten.map_or_else(Vec::new, |flatten| flatten.headers.clone()),
            sequence_header: flatten.is_some_and(|flatten| {
                flatten.headers.iter().any(|field| field.metadata == Metadata::Source(SEQUENCE))
            }),
        }
    }

    /// Everything after the rows of an envelope.
    pub(super) fn envelope(&self, op: Op, source: &SourceBlock<'_>, out: &mut Vec<u8>) {
        Self::source(&self.prefix, &self.schema, &self.table, source, out);
        Self::transaction(source, out);
        write_string(op.code(), out);
        for index in 1..=3 {
            optional_long(Some(processed(source, index)), out);
        }
    }

    /// The source block.
    pub(super) fn source(
        prefix: &str,
        schema: &str,
        table: &str,
        source: &SourceBlock<'_>,
        out: &mut Vec<u8>,
    ) {
        write_string(source.version, out);
        write_string(CONNECTOR, out);
        write_string(prefix, out);
        write_long(source.ts_us.div_euclid(1000), out);
        // The default of this field is not null, so its branches are the other way round.
        out.push(ABSENT);
        write_string(source.snapshot.as_str(), out);
        write_string(source.db, out);
        out.push(PRESENT);
        let place = out.len();
        out.push(0);
        push_sequence(source, out);
        put_length(out.len() - place - 1, place, out);
        optional_long(Some(source.ts_us), out);
        optional_long(Some(source.ts_us.saturating_mul(1000)), out);
        write_string(schema, out);
        write_string(table, out);
        optional_long(source.tx_id.map(i64::from), out);
        optional_long(lsn(source), out);
        // No xmin, origin or position there.
        out.extend_from_slice(&[ABSENT; 3]);
    }

    /// The transaction block, or that there is none.
    pub(super) fn transaction(source: &SourceBlock<'_>, out: &mut Vec<u8>) {
        match &source.transaction {
            Some(transaction) => {
                out.push(PRESENT);
                write_string(transaction.id, out);
                write_long(transaction.total_order, out);
                write_long(transaction.data_collection_order, out);
            }
            None => out.push(ABSENT),
        }
    }

    /// The fields after the columns of a flattened row.
    pub(super) fn flattened(
        &self,
        op: Op,
        source: &SourceBlock<'_>,
        text: &mut String,
        out: &mut Vec<u8>,
    ) {
        if self.deleted {
            optional_text(Some(if op == Op::Delete { "true" } else { "false" }), out);
        }
        for metadata in &self.added {
            if *metadata == Metadata::Source(SEQUENCE) {
                sequence(source, text);
            }
            match self.value(*metadata, op, source, text) {
                Value::Text(value) => optional_text(value, out),
                Value::Long(value) => optional_long(value, out),
            }
        }
    }

    /// A field of the metadata by its place in the schemas; `sequence` is that of the source.
    pub(super) fn value<'a>(
        &'a self,
        metadata: Metadata,
        op: Op,
        source: &SourceBlock<'a>,
        sequence: &'a str,
    ) -> Value<'a> {
        use Value::{Long, Text};
        let transaction = source.transaction.as_ref();
        match metadata {
            Metadata::Envelope(0) => Text(Some(op.code())),
            Metadata::Envelope(index) => Long(Some(processed(source, index))),
            Metadata::Source(index) => match index {
                0 => Text(Some(source.version)),
                1 => Text(Some(CONNECTOR)),
                2 => Text(Some(&self.prefix)),
                3 => Long(Some(source.ts_us.div_euclid(1000))),
                // Left at its default, which is not copied.
                4 => Text(Some(source.snapshot.as_str()).filter(|text| *text != "false")),
                5 => Text(Some(source.db)),
                SEQUENCE => Text(Some(sequence)),
                7 => Long(Some(source.ts_us)),
                8 => Long(Some(source.ts_us.saturating_mul(1000))),
                9 => Text(Some(&self.schema)),
                10 => Text(Some(&self.table)),
                11 => Long(source.tx_id.map(i64::from)),
                12 => Long(lsn(source)),
                13 | 15 => Long(None),
                _ => Text(None),
            },
            Metadata::Transaction(0) => Text(transaction.map(|t| t.id)),
            Metadata::Transaction(1) => Long(transaction.map(|t| t.total_order)),
            Metadata::Transaction(_) => Long(transaction.map(|t| t.data_collection_order)),
        }
    }
}

/// An incremental snapshot reads between positions, so it has none.
fn lsn(source: &SourceBlock<'_>) -> Option<i64> {
    (source.snapshot != Snapshot::Incremental).then_some(source.lsn.cast_signed())
}

/// The time of processing in milliseconds, microseconds or nanoseconds: 1, 2 or 3.
fn processed(source: &SourceBlock<'_>, index: usize) -> i64 {
    match index {
        1 => source.processed_ns.div_euclid(1_000_000),
        2 => source.processed_ns.div_euclid(1000),
        _ => source.processed_ns,
    }
}

/// JSON text of the last commit and this position.
pub(super) fn sequence<'t>(source: &SourceBlock<'_>, text: &'t mut String) -> &'t str {
    let mut bytes = std::mem::take(text).into_bytes();
    bytes.clear();
    push_sequence(source, &mut bytes);
    *text = String::from_utf8(bytes).unwrap_or_default();
    text
}

fn push_sequence(source: &SourceBlock<'_>, out: &mut Vec<u8>) {
    match source.last_commit_lsn {
        Some(commit) => {
            out.extend_from_slice(b"[\"");
            push_decimal(commit, out);
            out.extend_from_slice(b"\",\"");
        }
        None => out.extend_from_slice(b"[null,\""),
    }
    push_decimal(source.lsn, out);
    out.extend_from_slice(b"\"]");
}

pub(super) fn optional_text(value: Option<&str>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.push(PRESENT);
            write_string(value, out);
        }
        None => out.push(ABSENT),
    }
}

pub(super) fn optional_long(value: Option<i64>, out: &mut Vec<u8>) {
    match value {
        Some(value) => {
            out.push(PRESENT);
            write_long(value, out);
        }
        None => out.push(ABSENT),
    }
}
