//! The compressed blocks of container files: bombs, lies about sizes, checksums, known bytes.
#![cfg(all(feature = "snappy", feature = "zstandard", feature = "bzip2"))]
#![allow(clippy::unwrap_used, clippy::panic, reason = "test helpers")]

use avro_wire::ocf::{Codec, Reader, Writer};
use avro_wire::{Error, ErrorKind, Schema, primitive};

const SYNC: [u8; 16] = *b"0123456789abcdef";

fn header(codec: Codec) -> Vec<u8> {
    let mut file = Vec::new();
    Writer::new(&Schema::parse(r#""bytes""#).unwrap(), codec, SYNC).header(&mut file);
    file
}

/// A file of one block that holds `count` datums and is stored as `stored`.
fn file_of(codec: Codec, count: i64, stored: &[u8]) -> Vec<u8> {
    let mut file = header(codec);
    primitive::write_long(count, &mut file);
    primitive::write_bytes(stored, &mut file);
    file.extend_from_slice(&SYNC);
    file
}

fn write(codec: Codec, values: &[Vec<u8>]) -> Vec<u8> {
    let schema = Schema::parse(r#""bytes""#).unwrap();
    let mut file = Vec::new();
    let mut writer = Writer::new(&schema, codec, SYNC);
    writer.header(&mut file);
    for value in values {
        let mut datum = Vec::new();
        primitive::write_bytes(value, &mut datum);
        writer.append(&datum, &mut file).unwrap();
    }
    writer.finish(&mut file).unwrap();
    file
}

fn read(file: &[u8], limit: usize) -> Result<Vec<Vec<u8>>, Error> {
    let mut reader = Reader::new(file)?.with_block_limit(limit);
    let mut values = Vec::new();
    while let Some(datum) = reader.next()? {
        values.push(primitive::Reader::new(datum).read_bytes().unwrap().to_vec());
    }
    Ok(values)
}

fn kind(codec: Codec, stored: &[u8]) -> ErrorKind {
    let error = read(&file_of(codec, 1, stored), 1 << 20).unwrap_err();
    assert_eq!(error.offset(), Some(header(codec).len()), "{error}");
    error.kind()
}

#[test]
fn blocks_of_every_size_come_back() {
    let noise = |size: usize| -> Vec<u8> {
        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut step = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..size).map(|_| step()).collect()
    };
    let values: Vec<_> = [0, 1, 2, 15, 1000, 63_999, 64_000, 70_000, 400_000]
        .into_iter()
        .flat_map(|size| [noise(size), vec![7; size]])
        .collect();
    for &codec in Codec::ALL {
        assert_eq!(read(&write(codec, &values), 1 << 20).unwrap(), values, "{codec:?}");
        assert_eq!(write(codec, &values), write(codec, &values));
    }
}

#[test]
fn a_bomb_stops_at_the_limit() {
    for &codec in Codec::ALL.iter().filter(|&&codec| codec != Codec::Null) {
        let file = write(codec, &[vec![0; 1 << 20]]);
        assert!(file.len() < 1 << 17);
        for limit in [0, 1 << 10, (1 << 20) + 3] {
            let error = read(&file, limit).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::SizeLimit { limit }, "{codec:?}");
        }
        assert_eq!(read(&file, (1 << 20) + 4).unwrap().len(), 1);
    }
}

#[test]
fn known_blocks_are_read() {
    // The datum is 0x06 and "abc" each time. Made by the reference implementations.
    let deflate = b"\x63\x4b\x4c\x4a\x06\x00";
    let snappy = b"\x04\x0c\x06abc\xce\x4a\x18\x10";
    let zstandard = b"\x28\xb5\x2f\xfd\x20\x04\x21\x00\x00\x06abc";
    let without_size = b"\x28\xb5\x2f\xfd\x00\x00\x21\x00\x00\x06abc";
    let bzip2 = b"BZh91AY&SY\xd4\x03\x7f\xd4\x00\x00\x00A\x00\x01\x008\x00 \x00!\x9ah3M\x13<]\
        \xc9\x14\xe1BCP\r\xffP";
    for (codec, stored) in [
        (Codec::Null, &b"\x06abc"[..]),
        (Codec::Deflate, deflate),
        (Codec::Snappy, snappy),
        (Codec::Zstandard, zstandard),
        (Codec::Zstandard, without_size),
        (Codec::Bzip2, bzip2),
    ] {
        assert_eq!(read(&file_of(codec, 1, stored), 100).unwrap(), [b"abc"], "{codec:?}");
    }
}

#[test]
fn snappy_checks_size_and_sum() {
    let stored = b"\x04\x0c\x06abc\xce\x4a\x18\x10";
    let mut wrong = *stored;
    wrong[9] ^= 1;
    assert_eq!(kind(Codec::Snappy, &wrong), ErrorKind::Checksum);
    // Little-endian, as some writers had it.
    assert_eq!(kind(Codec::Snappy, b"\x04\x0c\x06abc\x10\x18\x4a\xce"), ErrorKind::Checksum);
    for end in 0..stored.len() {
        assert_eq!(kind(Codec::Snappy, &stored[..end]), ErrorKind::Inflate, "{end}");
    }
    // Says that a million bytes come out of nothing.
    assert_eq!(kind(Codec::Snappy, b"\xc0\x84\x3d\0\0\0\0"), ErrorKind::Inflate);
    let limit = ErrorKind::SizeLimit { limit: 1 << 20 };
    assert_eq!(kind(Codec::Snappy, b"\xff\xff\xff\xff\x0f\0\0\0\0"), limit);
}

#[test]
fn what_follows_a_frame_is_an_error() {
    for codec in [Codec::Snappy, Codec::Zstandard, Codec::Bzip2] {
        let file = write(codec, &[b"abc".to_vec()]);
        let stored = &file[header(codec).len() + 2..file.len() - 16];
        assert_eq!(read(&file_of(codec, 1, stored), 100).unwrap(), [b"abc"]);
        let mut longer = stored.to_vec();
        longer.extend_from_slice(b"\0\0\0");
        assert!(matches!(kind(codec, &longer), ErrorKind::Inflate | ErrorKind::Checksum));
    }
}

#[test]
fn a_zstandard_header_that_lies_about_its_size() {
    // Eight bytes of content size, then a last raw block of four bytes.
    let stored = |size: u64| {
        let mut stored = b"\x28\xb5\x2f\xfd\xe0".to_vec();
        stored.extend_from_slice(&size.to_le_bytes());
        stored.extend_from_slice(b"\x21\x00\x00\x06abc");
        stored
    };
    assert_eq!(read(&file_of(Codec::Zstandard, 1, &stored(4)), 100).unwrap(), [b"abc"]);
    for size in [0, 3, 5, 1 << 20, 1 << 40, u64::MAX - 1] {
        let found = kind(Codec::Zstandard, &stored(size));
        assert!(
            matches!(found, ErrorKind::Inflate | ErrorKind::SizeLimit { .. }),
            "{size}: {found:?}"
        );
    }
}

#[test]
fn the_unknown_codec_is_named() {
    let mut file = header(Codec::Snappy);
    let at = file.windows(6).position(|window| window == b"snappy").unwrap();
    file[at..at + 6].copy_from_slice(b"lizard");
    let error = Reader::new(&file).unwrap_err();
    assert_eq!((error.kind(), error.detail()), (ErrorKind::UnknownCodec, Some("lizard")));
}
