//! Captured messages cut short, lengthened and damaged: an error or a message, never a panic.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

mod support;

use std::collections::HashSet;

use pgoutput::{
    Decoder, Error, ErrorKind, Message, ProtocolVersion, Relations, Streaming, replication::Frame,
};

/// Decodes and reads everything there is to read.
fn read_all(decoder: &mut Decoder, bytes: &[u8]) -> Result<(), Error> {
    let message = decoder.decode(bytes)?;
    let read = |tuple: pgoutput::Tuple<'_>| tuple.columns().try_for_each(|column| column.map(drop));
    match message {
        Message::Insert(m) => read(m.new),
        Message::Update(m) => {
            m.old.map_or(Ok(()), |old| read(old.tuple()))?;
            read(m.new)
        }
        Message::Delete(m) => read(m.old.tuple()),
        Message::Relation(m) => Relations::new().observe(&m).map(drop),
        Message::Truncate(m) => {
            assert_eq!(m.relations.iter().len(), m.relations.len());
            Ok(())
        }
        _ => Ok(()),
    }
}

/// Each kind of message, inside and outside of blocks, with its decoder before it. Of equal shape
/// one is enough.
fn samples() -> Vec<(Decoder, Vec<u8>)> {
    let mut out = Vec::new();
    for capture in support::captures() {
        let mut seen = HashSet::new();
        let mut decoder = capture.decoder();
        let mut in_block = false;
        for message in capture.messages() {
            let tag = message[0];
            if seen.insert((tag, in_block, message.len() / 64)) {
                out.push((decoder.clone(), message.to_vec()));
            }
            decoder.decode(message).unwrap();
            in_block = tag == b'S' || (in_block && tag != b'E');
        }
    }
    assert!(out.len() > 100, "{}", out.len());
    out
}

#[test]
fn every_truncation_is_an_error() {
    for (decoder, message) in samples() {
        read_all(&mut decoder.clone(), &message).unwrap();
        for length in 0..message.len() {
            let error = read_all(&mut decoder.clone(), &message[..length]).unwrap_err();
            assert!(error.offset() <= length, "{error:?} of {length}");
            let kind = error.kind();
            let short =
                matches!(kind, ErrorKind::UnexpectedEnd { .. } | ErrorKind::UnterminatedName);
            assert!(short, "{error:?} of {length} in {message:?}");
        }
    }
}

#[test]
fn trailing_bytes_are_an_error() {
    for (decoder, mut message) in samples() {
        message.push(0);
        let error = read_all(&mut decoder.clone(), &message).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TrailingBytes, "{message:?}");
        assert_eq!(error.offset(), message.len() - 1);
    }
}

#[test]
fn damage_never_panics() {
    let mut refused = 0_u32;
    for (decoder, message) in samples() {
        // All positions of the head, and some of the rest.
        for at in (0..message.len()).filter(|at| *at < 64 || at % 7 == 0) {
            for damage in [0x01, 0x80, 0xFF, 0x20] {
                let mut damaged = message.clone();
                damaged[at] ^= damage;
                if let Err(error) = read_all(&mut decoder.clone(), &damaged) {
                    assert!(error.offset() <= damaged.len());
                    refused += 1;
                }
            }
        }
    }
    assert!(refused > 1000, "{refused}");
}

#[test]
fn noise_never_panics() {
    let mut state = 0x2545_F491_4F6C_DD1D_u64;
    let mut noise = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_be_bytes()[0]
    };
    let mut decoder = Decoder::new(ProtocolVersion::V4).with_streaming(Streaming::Parallel);
    for round in 0..20_000 {
        let mut bytes: Vec<u8> = (0..round % 97).map(|_| noise()).collect();
        if let Some(first) = bytes.first_mut() {
            *first = b"BCORYIUDTMSEcAbPpKrwk"[usize::from(*first) % 21];
        }
        let _ = read_all(&mut decoder, &bytes);
        let _ = Frame::decode(&bytes);
    }
}

#[test]
fn a_failed_message_leaves_the_decoder_as_it_was() {
    let mut decoder = Decoder::new(ProtocolVersion::V2).with_streaming(Streaming::On);
    decoder.decode(b"S\0\0\0\x01\x01\0").unwrap_err();
    decoder.decode(b"S\0\0\0\x01\x01").unwrap();
    decoder.decode(b"E\0").unwrap_err();
    let Message::Insert(insert) = decoder.decode(b"I\0\0\0\x07\0\0\0\x09N\0\0").unwrap() else {
        panic!("an insert")
    };
    assert_eq!(insert.xid.map(pgoutput::Xid::get), Some(7));
    decoder.reset();
    let Message::Insert(insert) = decoder.decode(b"I\0\0\0\x09N\0\0").unwrap() else {
        panic!("an insert")
    };
    assert_eq!((insert.xid, insert.relation.get()), (None, 9));
}

#[test]
fn messages_out_of_place_or_version() {
    let kind = |decoder: &mut Decoder, bytes: &[u8]| decoder.decode(bytes).unwrap_err().kind();
    let mut v1 = Decoder::new(ProtocolVersion::V1);
    assert_eq!(kind(&mut v1, b"S\0\0\0\x01\x01"), ErrorKind::NotInVersion(b'S'));
    assert_eq!(kind(&mut v1, b"?"), ErrorKind::UnknownMessage(b'?'));
    assert_eq!(kind(&mut v1, b""), ErrorKind::UnexpectedEnd { missing: 1 });
    let mut v2 = Decoder::new(ProtocolVersion::V2);
    assert_eq!(kind(&mut v2, b"E"), ErrorKind::Misplaced(b'E'));
    assert_eq!(kind(&mut v2, b"bxxx"), ErrorKind::NotInVersion(b'b'));
    v2.decode(b"S\0\0\0\x01\x01").unwrap();
    for tag in [b'S', b'B', b'C', b'c', b'A'] {
        assert_eq!(kind(&mut v2, &[tag, 0]), ErrorKind::Misplaced(tag));
    }
}
