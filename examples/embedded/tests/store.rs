//! Every fault of the object store, seen through the crate's own interface.
#![cfg(feature = "store-faults")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use embedded_services::store::{Fault, Faults, FaultyStore, Operation};
use futures_util::TryStreamExt;
use object_store::{Error, ObjectStore, ObjectStoreExt, PutPayload, memory::InMemory, path::Path};

/// The store under test, the one beneath it, and the handle.
fn store() -> (FaultyStore, Arc<InMemory>, Faults) {
    let inner = Arc::new(InMemory::new());
    let store = FaultyStore::new(Arc::clone(&inner) as Arc<dyn ObjectStore>);
    let faults = store.faults();
    (store, inner, faults)
}

fn path(name: &str) -> Path {
    Path::from(name)
}

fn bytes() -> PutPayload {
    PutPayload::from_static(b"bytes")
}

async fn names(store: &dyn ObjectStore) -> Vec<String> {
    let objects: Vec<_> = store.list(None).try_collect().await.unwrap();
    let mut names: Vec<_> = objects.into_iter().map(|object| object.location.to_string()).collect();
    names.sort();
    names
}

#[tokio::test]
async fn put_by_number_fails_once_and_writes_nothing() {
    let (store, inner, faults) = store();
    store.put(&path("before"), bytes()).await.unwrap();
    faults.fail(Operation::Put, 2, Fault::Unavailable);
    faults.fail(Operation::Put, 4, Fault::Denied);
    let mut outcomes = Vec::new();
    for name in ["1", "2", "3", "4", "5"] {
        outcomes.push(match store.put(&path(name), bytes()).await {
            Ok(_) => "written",
            Err(Error::Generic { .. }) => "unavailable",
            Err(Error::PermissionDenied { path, .. }) if path == name => "denied",
            Err(error) => panic!("{error:?}"),
        });
    }
    assert_eq!(outcomes, ["written", "unavailable", "written", "denied", "written"]);
    assert_eq!(names(&*inner).await, ["1", "3", "5", "before"]);
    assert_eq!(faults.seen(Operation::Put), 6);
    assert_eq!(faults.seen(Operation::Get), 0);
}

#[tokio::test]
async fn lost_answer_is_an_error_after_success() {
    let (store, inner, faults) = store();
    faults.fail(Operation::Put, 1, Fault::LostAnswer);
    store.put(&path("a"), bytes()).await.unwrap_err();
    assert_eq!(names(&*inner).await, ["a"]);
    faults.fail(Operation::Delete, 1, Fault::LostAnswer);
    store.delete(&path("a")).await.unwrap_err();
    assert!(names(&*inner).await.is_empty());
}

#[tokio::test]
async fn part_by_number_fails_and_the_upload_can_be_aborted() {
    let (store, inner, faults) = store();
    faults.fail(Operation::Part, 3, Fault::Unavailable);
    let mut upload = store.put_multipart(&path("big")).await.unwrap();
    upload.put_part(bytes()).await.unwrap();
    upload.put_part(bytes()).await.unwrap();
    upload.put_part(bytes()).await.unwrap_err();
    upload.abort().await.unwrap();
    assert!(names(&*inner).await.is_empty());

    let mut upload = store.put_multipart(&path("big")).await.unwrap();
    upload.put_part(bytes()).await.unwrap();
    faults.fail(Operation::Complete, 1, Fault::LostAnswer);
    upload.complete().await.unwrap_err();
    assert_eq!(names(&*inner).await, ["big"]);
    faults.fail(Operation::Begin, 1, Fault::Denied);
    assert!(store.put_multipart(&path("big")).await.is_err());
}

#[tokio::test]
async fn every_operation_can_fail_until_it_is_cleared() {
    let (store, inner, faults) = store();
    inner.put(&path("a"), bytes()).await.unwrap();
    use Operation::{Copy, Delete, Get, List};
    for operation in [Get, List, Delete, Copy] {
        faults.fail_all(operation, Fault::Unavailable);
    }
    for _ in 0..2 {
        store.get(&path("a")).await.unwrap_err();
        store.head(&path("a")).await.unwrap_err();
        store.list(None).try_collect::<Vec<_>>().await.unwrap_err();
        store.list_with_delimiter(None).await.unwrap_err();
        store.delete(&path("a")).await.unwrap_err();
        store.copy(&path("a"), &path("b")).await.unwrap_err();
        store.rename(&path("a"), &path("b")).await.unwrap_err();
    }
    assert_eq!(names(&*inner).await, ["a"]);
    faults.clear();
    assert_eq!(store.get(&path("a")).await.unwrap().bytes().await.unwrap(), "bytes");
    store.rename(&path("a"), &path("b")).await.unwrap();
    assert_eq!(names(&store).await, ["b"]);
    store.delete(&path("b")).await.unwrap();
    assert!(names(&store).await.is_empty());
}

#[tokio::test]
async fn slow_is_slow_and_no_more() {
    let (store, inner, faults) = store();
    let delay = Duration::from_millis(200);
    faults.delay(delay);
    let start = Instant::now();
    store.put(&path("a"), bytes()).await.unwrap();
    assert!(start.elapsed() >= delay);
    assert_eq!(names(&*inner).await, ["a"]);
}
