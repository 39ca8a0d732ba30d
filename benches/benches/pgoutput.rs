//! Captured streams of 4,500 rows of 14 columns: every message decoded, every column looked at.
//!
//! Before timing, all decoders are asked for the same digest of the stream: how many rows and
//! columns there are of each kind, and the sum of the bytes of all values.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench fails by panicking"
)]

use std::hint::black_box;
use std::io::Read as _;

use bytes::Bytes;
use criterion::{Criterion, Throughput};
use pg_walstream::protocol::{LogicalReplicationMessage, LogicalReplicationParser, TupleData};
use pgoutput::{Column, Decoder, Message, ProtocolVersion, StrColumn, Tuple, replication::Frame};
use pgwire_replication::protocol::replication::{ReplicationCopyData, parse_copy_data};

/// What a decoder saw.
#[derive(Debug, Default, PartialEq, Eq, Clone, Copy)]
struct Digest {
    rows: u64,
    nulls: u64,
    values: u64,
    sum: u64,
}

impl Digest {
    /// Looks at the ends of a value, so that it has to be there.
    #[inline]
    fn value(&mut self, bytes: &[u8]) {
        self.values += 1;
        self.sum += bytes.len() as u64 + u64::from(bytes.first().copied().unwrap_or(0));
    }
}

fn ours(messages: &[Bytes]) -> Digest {
    let mut digest = Digest::default();
    let mut decoder = Decoder::new(ProtocolVersion::V1);
    for message in messages {
        match decoder.decode(message).unwrap() {
            Message::Insert(insert) => row(insert.new, &mut digest),
            Message::Update(update) => {
                if let Some(old) = update.old {
                    row(old.tuple(), &mut digest);
                }
                row(update.new, &mut digest);
            }
            Message::Delete(delete) => row(delete.old.tuple(), &mut digest),
            _ => {}
        }
    }
    digest
}

#[inline]
fn row(tuple: Tuple<'_>, digest: &mut Digest) {
    digest.rows += 1;
    for column in tuple.columns() {
        match column.unwrap() {
            Column::Text(bytes) | Column::Binary(bytes) => digest.value(bytes),
            Column::Null | Column::Unchanged => digest.nulls += 1,
        }
    }
}

/// The same with text as `str`.
fn ours_str(messages: &[Bytes]) -> Digest {
    let mut digest = Digest::default();
    let mut decoder = Decoder::new(ProtocolVersion::V1);
    for message in messages {
        match decoder.decode(message).unwrap() {
            Message::Insert(insert) => str_row(insert.new, &mut digest),
            Message::Update(update) => {
                if let Some(old) = update.old {
                    str_row(old.tuple(), &mut digest);
                }
                str_row(update.new, &mut digest);
            }
            Message::Delete(delete) => str_row(delete.old.tuple(), &mut digest),
            _ => {}
        }
    }
    digest
}

#[inline]
fn str_row(tuple: Tuple<'_>, digest: &mut Digest) {
    digest.rows += 1;
    for column in tuple.str_columns() {
        match column.unwrap() {
            StrColumn::Text(text) => digest.value(text.as_bytes()),
            StrColumn::Binary(bytes) => digest.value(bytes),
            StrColumn::Null | StrColumn::Unchanged => digest.nulls += 1,
        }
    }
}

fn pg_walstream(messages: &[Bytes]) -> Digest {
    let mut digest = Digest::default();
    let mut parser = LogicalReplicationParser::with_protocol_version(1);
    for message in messages {
        match parser.parse_wal_message_bytes(message.clone()).unwrap().message {
            LogicalReplicationMessage::Insert { tuple, .. } => their_row(&tuple, &mut digest),
            LogicalReplicationMessage::Update { old_tuple, new_tuple, .. } => {
                if let Some(old) = old_tuple {
                    their_row(&old, &mut digest);
                }
                their_row(&new_tuple, &mut digest);
            }
            LogicalReplicationMessage::Delete { old_tuple, .. } => {
                their_row(&old_tuple, &mut digest);
            }
            _ => {}
        }
    }
    digest
}

fn their_row(tuple: &TupleData, digest: &mut Digest) {
    digest.rows += 1;
    for column in &tuple.columns {
        if column.is_null() || column.is_unchanged() {
            digest.nulls += 1;
        } else {
            digest.value(column.as_bytes());
        }
    }
}

/// The least a decoder can do: follow the lengths of a message it trusts.
fn walk(messages: &[Bytes]) -> Digest {
    let mut digest = Digest::default();
    for message in messages {
        let mut at = match message[0] {
            b'I' | b'U' | b'D' => 5,
            _ => continue,
        };
        while at < message.len() {
            // The letter before a row.
            at += 1;
            digest.rows += 1;
            let columns = u16::from_be_bytes([message[at], message[at + 1]]);
            at += 2;
            for _ in 0..columns {
                let kind = message[at];
                at += 1;
                if kind == b'n' || kind == b'u' {
                    digest.nulls += 1;
                    continue;
                }
                let length = message[at..].first_chunk::<4>().unwrap();
                at += 4;
                let end = at + u32::from_be_bytes(*length) as usize;
                digest.value(&message[at..end]);
                at = end;
            }
        }
    }
    digest
}

/// Messages alone, without a look at their columns.
fn our_messages(messages: &[Bytes]) -> u64 {
    let mut decoder = Decoder::new(ProtocolVersion::V1);
    let mut columns = 0;
    for message in messages {
        columns += match decoder.decode(message).unwrap() {
            Message::Insert(insert) => insert.new.len(),
            Message::Update(update) => update.new.len(),
            Message::Delete(delete) => delete.old.tuple().len(),
            _ => 0,
        };
    }
    columns as u64
}

fn our_frames(frames: &[Bytes]) -> (u64, u64) {
    let mut digest = (0_u64, 0_u64);
    for frame in frames {
        let (position, length) = match Frame::decode(frame).unwrap() {
            Frame::XLogData { start, data, .. } => (start.get(), data.len()),
            Frame::Keepalive { end, .. } => (end.get(), 0),
            other => panic!("{other:?}"),
        };
        digest = (digest.0.wrapping_add(position), digest.1 + length as u64);
    }
    digest
}

fn pgwire_frames(frames: &[Bytes]) -> (u64, u64) {
    let mut digest = (0_u64, 0_u64);
    for frame in frames {
        let (position, length) = match parse_copy_data(frame.clone()).unwrap() {
            ReplicationCopyData::XLogData { wal_start, data, .. } => (wal_start.0, data.len()),
            ReplicationCopyData::KeepAlive { wal_end, .. } => (wal_end.0, 0),
        };
        digest = (digest.0.wrapping_add(position), digest.1 + length as u64);
    }
    digest
}

fn capture(name: &str) -> Vec<Bytes> {
    let path = format!("{}/testdata/{name}.cap.gz", env!("CARGO_MANIFEST_DIR"));
    let mut bytes = Vec::new();
    flate2::read::GzDecoder::new(std::fs::File::open(path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    let mut rest = Bytes::from(bytes);
    let mut frames = Vec::new();
    while !rest.is_empty() {
        let length = u32::from_be_bytes(*rest.split_to(4).first_chunk().unwrap());
        frames.push(rest.split_to(length as usize));
    }
    frames
}

fn main() {
    let mut criterion = Criterion::default().configure_from_args();
    for name in ["pg15-orders-v1-text", "pg15-orders-v1-binary"] {
        let frames = capture(name);
        let messages: Vec<Bytes> =
            frames.iter().filter(|frame| frame[0] == b'w').map(|frame| frame.slice(25..)).collect();
        let digest = ours(&messages);
        assert!(digest.rows > 4_000 && digest.values > 50_000, "{digest:?}");
        assert_eq!(digest, pg_walstream(&messages));
        assert_eq!(digest, walk(&messages));
        assert_eq!(digest, ours_str(&messages));
        assert_eq!(our_messages(&messages), digest.values + digest.nulls);
        assert_eq!(our_frames(&frames), pgwire_frames(&frames));

        let mut group = criterion.benchmark_group(format!("decode/{name}"));
        group.throughput(Throughput::Elements(digest.rows));
        group.bench_function("ours", |b| b.iter(|| ours(black_box(&messages))));
        group.bench_function("ours_str", |b| b.iter(|| ours_str(black_box(&messages))));
        group.bench_function("ours_lazy", |b| b.iter(|| our_messages(black_box(&messages))));
        group.bench_function("pg_walstream", |b| b.iter(|| pg_walstream(black_box(&messages))));
        group.bench_function("walk", |b| b.iter(|| walk(black_box(&messages))));
        group.finish();

        let mut group = criterion.benchmark_group(format!("frame/{name}"));
        group.throughput(Throughput::Elements(frames.len() as u64));
        group.bench_function("ours", |b| b.iter(|| our_frames(black_box(&frames))));
        group.bench_function("pgwire_replication", |b| {
            b.iter(|| pgwire_frames(black_box(&frames)));
        });
        group.finish();
    }
    criterion.final_summary();
}
