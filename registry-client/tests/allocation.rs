//! The lookup that is made for every record allocates nothing.
#![allow(
    clippy::unwrap_used,
    unsafe_code,
    clippy::undocumented_unsafe_blocks,
    reason = "a counting allocator, in a test"
)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;

use async_trait::async_trait;
use registry_client::{Client, Config, Error, Request, Response, SchemaId, Transport};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

#[derive(Debug)]
struct Always;

#[async_trait]
impl Transport for Always {
    async fn send(&self, _: Request) -> Result<Response, Error> {
        Ok(Response::new(200, r#"{"schema":"\"long\""}"#))
    }
}

#[tokio::test]
async fn a_cached_lookup_does_not_allocate() {
    let client = Client::with_transport(Config::new("http://h"), Arc::new(Always)).unwrap();
    let before_fetch = ALLOCATIONS.get();
    for id in 0..100 {
        client.schema(SchemaId::new(id)).await.unwrap();
    }
    assert!(ALLOCATIONS.get() > before_fetch, "the counter counts");
    let before = ALLOCATIONS.get();
    for round in 0..10_000 {
        assert_eq!(client.try_get(SchemaId::new(round % 200)).is_some(), round % 200 < 100);
    }
    assert_eq!(ALLOCATIONS.get(), before);
}
