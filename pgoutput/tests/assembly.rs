//! Transactions put together from the captures, against the independent decodes' order.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::{
    collections::{BTreeMap, BTreeSet},
    env, fs, process,
};

use pgoutput::{
    Decoder, Message, ProtocolVersion, Streaming, Xid,
    assembly::{Assembler, Error, ErrorKind, FileSpool, MemorySpool, Spool},
    replication::Frame,
};
use serde_json::Value;
use support::Capture;

/// What protocol 1 would have brought, worked out from the decode made by another program: the
/// changes of each transaction by top-level id, emitted at its commit.
fn expected(capture: &Capture) -> Vec<Vec<u8>> {
    let mut out = Vec::new();
    let mut kept = BTreeMap::<u64, Vec<(u64, Vec<u8>)>>::new();
    let mut block = None;
    let mut preparing = None;
    for (frame, line) in capture.frames.iter().zip(capture.decoded()) {
        let Frame::XLogData { data, .. } = Frame::decode(frame).unwrap() else { continue };
        let number = |name: &str| line[name].as_u64().unwrap();
        let kind = line["kind"].as_str().unwrap();
        match (kind, block, preparing) {
            ("S", ..) => block = Some(number("xid")),
            ("E", ..) => block = None,
            ("b", ..) => preparing = Some(number("xid")),
            ("P", ..) => preparing = None,
            ("p", ..) => {}
            ("A", ..) if number("xid") == number("subxid") => drop(kept.remove(&number("xid"))),
            ("A", ..) => {
                let gone = number("subxid");
                kept.entry(number("xid")).or_default().retain(|(xid, _)| *xid != gone);
            }
            ("r", ..) => drop(kept.remove(&number("xid"))),
            ("c" | "K", ..) => {
                let xid = number("xid");
                let be = |n: u64| n.to_be_bytes();
                let time = line["commit_time"].as_i64().unwrap().to_be_bytes();
                let id = u32::try_from(xid).unwrap().to_be_bytes();
                out.push([&b"B"[..], &be(number("commit_lsn")), &time, &id].concat());
                out.extend(kept.remove(&xid).unwrap().into_iter().map(|(_, message)| message));
                let (at, end) = (be(number("commit_lsn")), be(number("end_lsn")));
                out.push([&b"C\0"[..], &at, &end, &time].concat());
            }
            (_, Some(top), _) => {
                let xid = line["xid"].as_u64();
                let mut message = data.to_vec();
                if xid.is_some() {
                    message.drain(1..5);
                }
                kept.entry(top).or_default().push((xid.unwrap_or(top), message));
            }
            (_, None, Some(top)) => kept.entry(top).or_default().push((top, data.to_vec())),
            (_, None, None) => out.push(data.to_vec()),
        }
    }
    out
}

fn assembler<S: Spool>(capture: &Capture, spool: S) -> Assembler<S> {
    let (version, streaming) = capture.options();
    Assembler::new(version, streaming, spool)
}

/// Puts everything together; `each` sees the assembler after each message.
fn assemble<S: Spool>(
    capture: &Capture,
    assembler: &mut Assembler<S>,
    mut each: impl FnMut(&Assembler<S>),
) -> Result<Vec<Vec<u8>>, Error> {
    let mut out = Vec::new();
    for message in capture.messages() {
        let mut next = assembler.push(message)?;
        while let Some(message) = next {
            let mut bytes = Vec::new();
            message.encode(&mut bytes).unwrap();
            out.push(bytes);
            next = assembler.next_message()?;
        }
        each(assembler);
    }
    Ok(out)
}

#[test]
fn captures_come_out_as_in_protocol_1() {
    let folder = env::temp_dir().join(format!("pgoutput-assembly-{}", process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (mut most_open, mut most_files, mut prepared) = (0, 0, 0);
    for capture in support::captures() {
        let expected = expected(&capture);
        let mut in_memory = assembler(&capture, MemorySpool::new(64 << 20));
        let out = assemble(&capture, &mut in_memory, |assembler| {
            most_open = most_open.max(assembler.open_transactions());
            prepared += u32::from(assembler.oldest_prepared().is_some());
        });
        assert!(out.unwrap() == expected, "{}", capture.name);
        assert_eq!((in_memory.open_transactions(), in_memory.spool().len_bytes()), (0, 0));
        for budget in [0, 10_000, 64 << 20] {
            let mut on_disk = assembler(&capture, FileSpool::new(&folder, budget));
            let out = assemble(&capture, &mut on_disk, |assembler| {
                assert!(assembler.spool().buffered_bytes() <= budget);
                most_files = most_files.max(assembler.spool().files());
            });
            assert!(out.unwrap() == expected, "{} with {budget}", capture.name);
            assert_eq!((on_disk.spool().files(), on_disk.spool().buffered_bytes()), (0, 0));
        }
        // It is a stream of protocol 1 from end to end, one transaction after the other.
        let mut decoder = Decoder::new(ProtocolVersion::V1);
        let mut open = false;
        for message in &expected {
            match decoder.decode(message).unwrap() {
                Message::Begin(_) => assert!(!std::mem::replace(&mut open, true)),
                Message::Commit(_) => assert!(std::mem::replace(&mut open, false)),
                Message::Logical(m) => assert_eq!(m.is_transactional(), open),
                _ => assert!(open),
            }
        }
        assert!(!open);
    }
    assert!(most_open >= 2 && most_files >= 2 && prepared > 0, "the captures interleave");
    assert_eq!(fs::read_dir(&folder).unwrap().count(), 0, "files are gone");
    fs::remove_dir(&folder).unwrap();
}

#[test]
fn a_stream_that_broke_off_begins_anew() {
    for capture in support::captures() {
        let expected = expected(&capture);
        let messages = capture.messages();
        let mut assembler = assembler(&capture, MemorySpool::new(64 << 20));
        for stop in [1, messages.len() / 3, messages.len() / 2, messages.len() - 1] {
            for message in &messages[..stop] {
                let mut next = assembler.push(message).unwrap();
                while next.is_some() {
                    next = assembler.next_message().unwrap();
                }
            }
            assembler.reset().unwrap();
            assert_eq!((assembler.open_transactions(), assembler.spool().len_bytes()), (0, 0));
        }
        assert!(assemble(&capture, &mut assembler, |_| {}).unwrap() == expected);
    }
}

const COMMIT_7: &[u8] = b"c\0\0\0\x07\0\0\0\0\0\0\0\0\x09\0\0\0\0\0\0\0\x0A\0\0\0\0\0\0\0\0";
const START_7: &[u8] = b"S\0\0\0\x07\x01";
const ROW_7: &[u8] = b"I\0\0\0\x07\0\0\0\x01N\0\0";

fn small(limit: usize) -> Assembler<MemorySpool> {
    Assembler::new(ProtocolVersion::V3, Streaming::On, MemorySpool::new(limit))
}

/// The kind of the error that the last of these messages gives.
fn kind<S: Spool>(assembler: &mut Assembler<S>, messages: &[&[u8]]) -> ErrorKind {
    let (last, first) = messages.split_last().unwrap();
    for message in first {
        assembler.push(message).unwrap();
    }
    assembler.push(last).unwrap_err().kind()
}

#[test]
fn what_cannot_be_is_refused() {
    let xid = Xid::new(7);
    let row = b"I\0\0\0\x01N\0\0";
    let begin = [&b"B"[..], &[0; 20]].concat();
    let prepare = [&b"b"[..], &[0; 24], &[0, 0, 0, 7], b"gid\0"].concat();
    let rows: [(&[&[u8]], ErrorKind); 11] = [
        (&[b"?"], ErrorKind::Message(kind_of(b"?"))),
        (&[row], ErrorKind::Unexpected(b'I')),
        (&[&begin, &begin], ErrorKind::Unexpected(b'B')),
        (&[&begin, START_7], ErrorKind::Unexpected(b'S')),
        (&[COMMIT_7], ErrorKind::UnknownTransaction(xid)),
        (&[b"S\0\0\0\x07\0"], ErrorKind::UnknownTransaction(xid)),
        (&[START_7, b"E", START_7], ErrorKind::Repeated(xid)),
        (&[START_7, b"E", &prepare], ErrorKind::Repeated(xid)),
        (&[&prepare, row, COMMIT_7], ErrorKind::Unexpected(b'c')),
        (&[START_7, ROW_7, b"E", COMMIT_7, START_7], ErrorKind::Unfinished),
        (&[START_7, ROW_7, ROW_7, ROW_7, ROW_7, ROW_7, ROW_7], ErrorKind::Spool),
    ];
    for (messages, expected) in rows {
        assert_eq!(kind(&mut small(100), messages), expected, "{messages:?}");
    }
    // The end of a transaction of which nothing came is no news.
    assert!(small(0).push(b"A\0\0\0\x07\0\0\0\x07").unwrap().is_none());
}

fn kind_of(message: &[u8]) -> pgoutput::Error {
    Decoder::new(ProtocolVersion::V3).decode(message).unwrap_err()
}

type SpoolError = Box<dyn std::error::Error + Send + Sync>;

/// Gives back less than, or something else than, it was given.
#[derive(Debug)]
struct Unreliable {
    inner: MemorySpool,
    fault: u8,
}

impl Spool for Unreliable {
    fn append(&mut self, transaction: Xid, bytes: &[u8]) -> Result<(), SpoolError> {
        self.inner.append(transaction, bytes)
    }

    fn read(&mut self, xid: Xid, offset: u64, buffer: &mut [u8]) -> Result<usize, SpoolError> {
        let count = self.inner.read(xid, offset, buffer)?;
        match self.fault {
            0 => Ok(count - 1),
            1 => Err("the disk is gone".into()),
            2 => {
                buffer[0] = 0x7F;
                Ok(count)
            }
            _ => {
                buffer[3] = 1;
                Ok(count)
            }
        }
    }

    fn remove(&mut self, transaction: Xid) -> Result<(), SpoolError> {
        self.inner.remove(transaction)
    }
}

#[test]
fn a_spool_that_fails_or_lies() {
    for (fault, expected) in
        [(0, ErrorKind::Corrupt), (1, ErrorKind::Spool), (2, ErrorKind::Corrupt)]
    {
        let spool = Unreliable { inner: MemorySpool::new(1000), fault };
        let mut assembler = Assembler::new(ProtocolVersion::V2, Streaming::On, spool);
        for message in [START_7, ROW_7, b"E"] {
            assert!(assembler.push(message).unwrap().is_none());
        }
        assert!(matches!(assembler.push(COMMIT_7).unwrap(), Some(Message::Begin(_))));
        let error = assembler.next_message().unwrap_err();
        assert_eq!(error.kind(), expected);
        assert_eq!(std::error::Error::source(&error).is_some(), fault == 1);
    }
    let spool = Unreliable { inner: MemorySpool::new(1000), fault: 3 };
    let mut assembler = Assembler::new(ProtocolVersion::V2, Streaming::On, spool);
    for message in [START_7, ROW_7, b"E"] {
        assembler.push(message).unwrap();
    }
    assembler.push(COMMIT_7).unwrap();
    let error = assembler.next_message().unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Message(_)), "{error}");
}

#[test]
fn a_row_larger_than_a_chunk() {
    let content = vec![b'x'; 300_000];
    let mut row = ROW_7.to_vec();
    row.truncate(10);
    row.extend([0, 1, b't']);
    row.extend(u32::try_from(content.len()).unwrap().to_be_bytes());
    row.extend(&content);
    let mut assembler = small(10 << 20);
    for message in [START_7, ROW_7, &row, ROW_7, &row, b"E"] {
        assembler.push(message).unwrap();
    }
    assembler.push(COMMIT_7).unwrap();
    let mut sizes = Vec::new();
    while let Some(message) = assembler.next_message().unwrap() {
        if let Message::Insert(insert) = message {
            sizes.push(insert.new.columns().next().map_or(0, |column| match column.unwrap() {
                pgoutput::Column::Text(text) => text.len(),
                other => panic!("{other:?}"),
            }));
        }
    }
    assert_eq!(sizes, [0, 300_000, 0, 300_000]);
}

#[test]
fn the_captures_have_what_is_tested_here() {
    let letters: BTreeSet<String> = support::captures()
        .iter()
        .flat_map(Capture::decoded)
        .filter_map(|line| line.get("kind").and_then(Value::as_str).map(ToOwned::to_owned))
        .collect();
    for letter in "BCSEcAbPKrpIUDTMR".chars() {
        assert!(letters.contains(&letter.to_string()), "{letter}");
    }
}
