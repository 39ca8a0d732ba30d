//! Targets of `pgoutput`.

use pgoutput::{
    Column, Decoder, Error, ErrorKind, Message, ProtocolVersion, Relations, StrColumn, Streaming,
    Tuple,
    assembly::{self, Assembler, MemorySpool},
    copy::{CopyDecoder, Row},
    replication::Frame,
};

/// A session: a byte of options (bits 0 and 1 the version, bit 2 parallel streaming), then
/// messages, each behind its length in two big-endian bytes.
pub fn message(data: &[u8]) {
    let Some((options, data)) = data.split_first() else { return };
    let (version, streaming) = session(*options);
    let mut decoder = Decoder::new(version).with_streaming(streaming);
    let mut relations = Relations::new();
    for message in chunks(data) {
        match decoder.decode(message) {
            Ok(decoded) => touch(&decoded, message, &mut relations),
            Err(error) => check(error, message),
        }
    }
}

/// One CopyData body: a frame, and the message in it.
pub fn frame(data: &[u8]) {
    match Frame::decode(data) {
        Ok(Frame::XLogData { data: message, .. }) => {
            assert_eq!(message.len(), data.len() - 25);
            match Decoder::new(ProtocolVersion::V1).decode(message) {
                Ok(decoded) => touch(&decoded, message, &mut Relations::new()),
                Err(error) => check(error, message),
            }
        }
        Ok(_) => assert_eq!(data.len(), 18),
        Err(error) => check(error, data),
    }
}

/// A binary COPY: CopyData bodies, each behind its length in two big-endian bytes.
pub fn copy(data: &[u8]) {
    let mut decoder = CopyDecoder::new();
    for body in chunks(data) {
        let rows = match decoder.decode(body) {
            Ok(rows) => rows,
            Err(error) => {
                check(error, body);
                continue;
            }
        };
        for row in rows {
            match row {
                Ok(row) => {
                    let columns: Vec<_> = row.columns().collect();
                    assert_eq!(columns.len(), row.len());
                    assert!(columns.iter().all(Result::is_ok));
                    // Every column has at least a length of four bytes.
                    assert!(columns.len() * 4 <= row.as_bytes().len());
                    let count = u16::try_from(row.len()).unwrap_or(u16::MAX);
                    assert!(Row::from_bytes(count, row.as_bytes()).columns().eq(columns));
                }
                Err(error) => check(error, body),
            }
        }
    }
}

/// As [`message`], through an assembler: what comes out is whole transactions.
pub fn assembler(data: &[u8]) {
    const LIMIT: usize = 1 << 16;

    let Some((options, data)) = data.split_first() else { return };
    let (version, streaming) = session(*options);
    let mut assembler = Assembler::new(version, streaming, MemorySpool::new(LIMIT));
    let mut relations = Relations::new();
    let mut open = false;
    let mut put = 0;
    for message in chunks(data) {
        put += message.len();
        let mut next = assembler.push(message);
        loop {
            match next {
                Ok(Some(given)) => {
                    match given {
                        Message::Begin(_) => {
                            assert!(!open, "a transaction inside of another");
                            open = true;
                        }
                        Message::Commit(_) => {
                            assert!(open, "a commit of nothing");
                            open = false;
                        }
                        Message::Logical(logical) => assert!(open || !logical.is_transactional()),
                        _ => assert!(open, "{given:?} outside of a transaction"),
                    }
                    let mut out = Vec::new();
                    if given.encode(&mut out).is_ok() {
                        assert!(Decoder::new(version).decode(&out).is_ok(), "{given:?} has an xid");
                    }
                    touch(&given, data, &mut relations);
                }
                Ok(None) => break,
                Err(error) => {
                    if let assembly::ErrorKind::Message(error) = error.kind() {
                        check(error, data);
                    }
                    assert_ne!(error.kind(), assembly::ErrorKind::Corrupt);
                    // Like a connection that is lost over it.
                    assembler.reset().unwrap();
                    assert_eq!(assembler.spool().len_bytes(), 0, "left behind by {error:?}");
                    (open, put) = (false, 0);
                    break;
                }
            }
            next = assembler.next_message();
        }
        // Each message is kept once, with eight bytes in front.
        assert!(assembler.spool().len_bytes() <= LIMIT.min(put * 9));
        if assembler.open_transactions() == 0 {
            assert_eq!(assembler.spool().len_bytes(), 0, "kept for nobody");
        }
    }
}

/// What a byte of options says.
fn session(options: u8) -> (ProtocolVersion, Streaming) {
    let version = match options & 3 {
        0 => ProtocolVersion::V1,
        1 => ProtocolVersion::V2,
        2 => ProtocolVersion::V3,
        _ => ProtocolVersion::V4,
    };
    (version, if options & 4 == 0 { Streaming::On } else { Streaming::Parallel })
}

/// Reads everything lazy in a message.
fn touch(message: &Message<'_>, bytes: &[u8], relations: &mut Relations) {
    match message {
        Message::Insert(insert) => walk(insert.new, bytes),
        Message::Update(update) => {
            if let Some(old) = update.old {
                walk(old.tuple(), bytes);
            }
            walk(update.new, bytes);
        }
        Message::Delete(delete) => walk(delete.old.tuple(), bytes),
        Message::Truncate(truncate) => {
            assert!(truncate.relations.iter().count() * 4 <= bytes.len());
        }
        Message::Relation(relation) => {
            for column in relation.columns() {
                if let Err(error) = column {
                    check(error, bytes);
                }
            }
            match relations.observe(relation) {
                Ok(observed) => assert_eq!(observed.relation().columns.len(), relation.len()),
                Err(error) => check(error, bytes),
            }
        }
        _ => {}
    }
}

fn walk(tuple: Tuple<'_>, bytes: &[u8]) {
    strings(tuple, bytes);
    let mut columns = tuple.columns();
    let mut read = 0;
    while let Some(column) = columns.next() {
        match column {
            Ok(Column::Text(value) | Column::Binary(value)) => assert!(value.len() < bytes.len()),
            Ok(Column::Null | Column::Unchanged) => {}
            Err(error) => {
                check(error, bytes);
                assert!(columns.next().is_none(), "an iterator ends with its error");
                return;
            }
        }
        read += 1;
    }
    assert_eq!(read, tuple.len());
}

/// The columns as strings are the columns, up to the first text that is not UTF-8.
fn strings(tuple: Tuple<'_>, bytes: &[u8]) {
    let mut strings = tuple.str_columns();
    for column in tuple.columns() {
        let string = strings.next();
        if let Ok(Column::Text(value)) = column
            && std::str::from_utf8(value).is_err()
        {
            let Some(Err(error)) = string else { panic!("{string:?} instead of an error") };
            assert_eq!(error.kind(), ErrorKind::InvalidUtf8);
            check(error, bytes);
            break;
        }
        let string = string.map(|string| match string? {
            StrColumn::Null => Ok(Column::Null),
            StrColumn::Unchanged => Ok(Column::Unchanged),
            StrColumn::Text(text) => Ok(Column::Text(text.as_bytes())),
            StrColumn::Binary(value) => Ok(Column::Binary(value)),
        });
        assert_eq!(string, Some(column));
    }
    assert!(strings.next().is_none());
}

fn check(error: Error, bytes: &[u8]) {
    assert!(error.offset() <= bytes.len(), "{error:?} lies outside of {} bytes", bytes.len());
}

/// Takes bodies off, each behind its length; the last one may be cut short.
fn chunks(mut data: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let (length, rest) = data.split_first_chunk::<2>()?;
        let length = usize::from(u16::from_be_bytes(*length)).min(rest.len());
        let (body, rest) = rest.split_at(length);
        data = rest;
        Some(body)
    })
}
