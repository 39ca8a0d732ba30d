//! How much memory the blocks of a container file may ask for: what comes out of them, never what
//! they claim. (zstd's own tables are C's and not seen here; the fuzzer bounds those.)
#![cfg(all(feature = "snappy", feature = "zstandard", feature = "bzip2"))]
#![allow(clippy::unwrap_used, reason = "test helpers")]
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one only counts")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use avro_wire::ocf::{Codec, Reader, Writer};
use avro_wire::{ErrorKind, Schema, primitive};

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
}

struct Watching;

fn note(size: usize) {
    LARGEST.with(|largest| largest.set(largest.get().max(size)));
}

// SAFETY: every call is handed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Watching {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: the caller keeps the contract of `alloc_zeroed`.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System`, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        note(size);
        // SAFETY: the pointer came from `System`, as all of ours do.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Watching = Watching;

const SYNC: [u8; 16] = *b"0123456789abcdef";

/// What reading gives, and the largest piece of memory that it took.
fn read(file: &[u8], limit: Option<usize>) -> (Result<usize, ErrorKind>, usize) {
    LARGEST.set(0);
    let mut reader = Reader::new(file).unwrap();
    if let Some(limit) = limit {
        reader = reader.with_block_limit(limit);
    }
    let mut count = 0;
    let result = loop {
        match reader.next() {
            Ok(Some(_)) => count += 1,
            Ok(None) => break Ok(count),
            Err(error) => break Err(error.kind()),
        }
    };
    (result, LARGEST.get())
}

/// One block of `stored`, as it is.
fn file_of(codec: Codec, stored: &[u8]) -> Vec<u8> {
    let mut file = Vec::new();
    Writer::new(&Schema::parse(r#""bytes""#).unwrap(), codec, SYNC).header(&mut file);
    primitive::write_long(1, &mut file);
    primitive::write_bytes(stored, &mut file);
    file.extend_from_slice(&SYNC);
    file
}

/// bzip2 has tables for blocks of 900 kB, whatever the block.
const TABLES: usize = 4 << 20;

#[test]
fn a_bomb_takes_no_more_than_the_limit() {
    let schema = Schema::parse(r#""bytes""#).unwrap();
    for &codec in Codec::ALL.iter().filter(|&&codec| codec != Codec::Null) {
        let (mut file, mut datum) = (Vec::new(), Vec::new());
        primitive::write_bytes(&vec![0; 4 << 20], &mut datum);
        let mut writer = Writer::new(&schema, codec, SYNC);
        writer.header(&mut file);
        writer.append(&datum, &mut file).unwrap();
        writer.finish(&mut file).unwrap();
        let (result, largest) = read(&file, Some(1 << 20));
        assert_eq!(result, Err(ErrorKind::SizeLimit { limit: 1 << 20 }), "{codec:?}");
        // A vector that grows doubles its room.
        let bound = if codec == Codec::Bzip2 { TABLES } else { 2 << 20 };
        assert!(largest <= bound, "{codec:?} took {largest}");
    }
}

#[test]
fn a_claim_takes_nothing() {
    // A frame that says it holds 60 MB, which the limit allows, and ends after four bytes.
    let mut zstandard = b"\x28\xb5\x2f\xfd\xe0".to_vec();
    zstandard.extend_from_slice(&60_000_000_u64.to_le_bytes());
    zstandard.extend_from_slice(b"\x21\x00\x00\x06abc");
    // A window of 2 GiB instead of a size.
    let window = b"\x28\xb5\x2f\xfd\x00\xa8\x21\x00\x00\x06abc";
    let mut snappy = Vec::new();
    snappy.extend_from_slice(b"\x80\x8e\xce\x1c\x0c\x06abc\xce\x4a\x18\x10");
    for (codec, stored) in [
        (Codec::Zstandard, &zstandard[..]),
        (Codec::Zstandard, window),
        (Codec::Snappy, &snappy),
        (Codec::Bzip2, b"BZh91AY&SY"),
        (Codec::Deflate, b"\x00\xff\xff\x00\x00"),
    ] {
        let (result, largest) = read(&file_of(codec, stored), None);
        let bound = if codec == Codec::Bzip2 { TABLES } else { 256 << 10 };
        assert!(largest <= bound, "{codec:?} took {largest} for {result:?}");
        assert!(matches!(result, Ok(1) | Err(ErrorKind::Inflate)), "{codec:?}: {result:?}");
    }
}
