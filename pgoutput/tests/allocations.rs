//! Decoding, and reading every column, allocates nothing.
#![allow(unsafe_code, reason = "an allocator that counts can be written in no other way")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

mod support;

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

use pgoutput::{Column, Message, Relations, StrColumn, Tuple, replication::Frame};

struct Counting;

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: everything is passed on to the system's allocator as it came.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.set(COUNT.get() + 1);
        // SAFETY: the caller keeps this method's contract, which is the same.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above; the pointer came from `System`.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn touch(tuple: Tuple<'_>) -> usize {
    let size = |column: Result<Column<'_>, _>| match column.unwrap() {
        Column::Null | Column::Unchanged => 0,
        Column::Text(bytes) | Column::Binary(bytes) => bytes.len(),
    };
    let as_str = |column: Result<StrColumn<'_>, _>| match column.unwrap() {
        StrColumn::Null | StrColumn::Unchanged => 0,
        StrColumn::Text(text) => text.len(),
        StrColumn::Binary(bytes) => bytes.len(),
    };
    let sum = tuple.columns().map(size).sum();
    assert_eq!(tuple.str_columns().map(as_str).sum::<usize>(), sum);
    sum
}

#[test]
fn decoding_allocates_nothing() {
    for capture in support::captures() {
        let mut relations = Relations::new();
        let mut counts = [0; 2];
        let mut sizes = [0; 2];
        // The first round fills the cache of relations; a change of one allocates in the second,
        // too, so those messages are left out of it.
        for round in 0..2 {
            let mut decoder = capture.decoder();
            let before = COUNT.get();
            for frame in &capture.frames {
                let Frame::XLogData { data, .. } = Frame::decode(frame).unwrap() else { continue };
                sizes[round] += match decoder.decode(data).unwrap() {
                    Message::Insert(m) => touch(m.new),
                    Message::Update(m) => m.old.map_or(0, |old| touch(old.tuple())) + touch(m.new),
                    Message::Delete(m) => touch(m.old.tuple()),
                    Message::Truncate(m) => m.relations.iter().count(),
                    Message::Relation(m) => {
                        if round == 0 {
                            relations.observe(&m).unwrap();
                        }
                        m.columns().filter(|column| column.unwrap().is_key()).count()
                    }
                    _ => 0,
                };
            }
            counts[round] = COUNT.get() - before;
        }
        assert!(counts[0] > 0, "the counter counts");
        assert_eq!(counts[1], 0, "{}", capture.name);
        assert_eq!(sizes[0], sizes[1]);
    }
}

#[test]
fn a_repeated_relation_allocates_nothing() {
    let capture = support::captures().into_iter().find(|c| c.name.contains("basic")).unwrap();
    let mut relations = Relations::new();
    let mut decoder = capture.decoder();
    let mut seen = 0;
    for message in capture.messages() {
        if let Message::Relation(relation) = decoder.decode(message).unwrap() {
            relations.observe(&relation).unwrap();
            let before = COUNT.get();
            for _ in 0..3 {
                relations.observe(&relation).unwrap();
            }
            assert_eq!(COUNT.get(), before);
            seen += 1;
        }
    }
    assert!(seen > 5);
}
