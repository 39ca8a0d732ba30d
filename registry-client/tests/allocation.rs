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
use registry_client::{Client, Config, Error, Guid, Request, Response, SchemaId, Transport};

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
        Ok(Response::new(200, r#"{"id":1,"schema":"\"long\""}"#))
    }
}

#[tokio::test]
async fn a_cached_lookup_by_guid_does_not_allocate() {
    let client = Client::with_transport(Config::new("http://h"), Arc::new(Always)).unwrap();
    let guid = Guid::new([7; 16]);
    client.schema_by_guid(guid).await.unwrap();
    let before = ALLOCATIONS.get();
    for _ in 0..10_000 {
        assert!(client.try_get_guid(guid).is_some());
    }
    assert_eq!(ALLOCATIONS.get(), before);
}

#[cfg(feature = "avro")]
#[tokio::test]
async fn further_records_do_not_allocate() {
    use avro_wire::Schema;
    use registry_client::{AvroDeserializer, AvroSerializer, Part};

    let client = Client::with_transport(Config::new("http://h"), Arc::new(Always)).unwrap();
    let schema = Schema::parse("\"long\"").unwrap();
    let serializer = AvroSerializer::new(client.clone(), Part::Value);
    let deserializer = AvroDeserializer::new(client, Part::Value);
    let mut message = Vec::with_capacity(64);
    serializer.encode("t", &1, &schema, &mut message).await.unwrap();
    assert_eq!(deserializer.decode::<i64>(&message).await.unwrap(), 1);
    let before = ALLOCATIONS.get();
    for value in 0..1_000 {
        message.clear();
        serializer.encode("t", &value, &schema, &mut message).await.unwrap();
        assert_eq!(deserializer.decode::<i64>(&message).await.unwrap(), value);
        let (reader, datum) = deserializer.try_reader([], &message).unwrap();
        assert_eq!(reader.decode::<i64>(datum).unwrap(), value);
    }
    assert_eq!(ALLOCATIONS.get(), before);
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
