//! Counts allocations: none for the path of a record, whatever it is made of, nor for the decision
//! what to do with it.
#![allow(unsafe_code, reason = "a global allocator is an unsafe trait; this one only counts")]
#![allow(clippy::unwrap_used, reason = "a failed call is a failed test")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::time::{Duration, UNIX_EPOCH};

use s3_partitioner::{CommitPlan, Fields, Record, Rotate, SchemaKey, Settings, Value};

thread_local! {
    static COUNT: Cell<usize> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is handed on to the system allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract of `alloc`.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the pointer came from `System`, as all of ours do.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        COUNT.with(|count| count.set(count.get() + 1));
        // SAFETY: the pointer came from `System`, as all of ours do.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = COUNT.with(Cell::get);
    run();
    COUNT.with(Cell::get) - before
}

#[derive(Debug)]
struct Region(&'static str);

impl Fields for Region {
    fn field(&self, path: &str) -> Option<Value<'_>> {
        (path == "region").then_some(Value::String(self.0))
    }
}

const REGIONS: [Region; 3] = [Region("eu-central-1"), Region("us"), Region("ap-southeast-2")];

fn settings(properties: &[(&str, &str)]) -> Settings {
    let all = [("flush.size", "1000000"), ("timezone", "Australia/Sydney"), ("locale", "en")];
    Settings::from_properties(all.into_iter().chain(properties.iter().copied())).unwrap()
}

#[test]
fn a_path_takes_none() {
    let hourly = |extractor| [("partitioner.class", "hourly"), ("timestamp.extractor", extractor)];
    for properties in [
        &[("partitioner.class", "default")][..],
        &[("partitioner.class", "field"), ("partition.field.name", "region")],
        &hourly("Record"),
        &hourly("Wallclock"),
    ] {
        let mut paths = settings(properties).paths();
        let mut encode = |n: i64| {
            let ms = 1_709_622_489_123 + n * 7 * 3_600_000 / 3;
            let record = Record::new("orders", i32::try_from(n).unwrap(), n)
                .with_timestamp_ms(ms)
                .with_value(&REGIONS[usize::try_from(n).unwrap() % REGIONS.len()]);
            let now = UNIX_EPOCH + Duration::from_millis(ms.unsigned_abs());
            assert!(!paths.encode(&record, now).unwrap().is_empty());
        };
        // The longest value and the longest number once.
        (0..3).chain([100_000]).for_each(&mut encode);
        // Then cold: another partition, value or hour for each record, over some years.
        assert_eq!(allocations(|| (3..10_000).for_each(&mut encode)), 0, "{properties:?}");
    }
}

#[test]
fn a_decision_takes_none() {
    let settings = settings(&[
        ("partitioner.class", "hourly"),
        ("timestamp.extractor", "Wallclock"),
        ("rotate.schedule.interval.ms", "600000"),
    ]);
    let (plan, mut paths) = (CommitPlan::new(0), settings.paths());
    let mut rotation = plan.rotation(settings.rotation().clone());
    let mut place = |offset: i64| {
        let now = UNIX_EPOCH + Duration::from_millis(1_709_622_000_000 + offset.unsigned_abs());
        let record = Record::new("orders", 3, offset);
        let decision = rotation.place(&mut paths, &record, SchemaKey::new(1), now).unwrap();
        assert_eq!(decision, Rotate::Keep);
        assert!(!rotation.due(now));
    };
    place(0);
    assert_eq!(allocations(|| (1..10_000).for_each(&mut place)), 0);
}
