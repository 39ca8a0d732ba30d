//! A schema that is in the cache, beside the plainest shared map there is.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a bench fails by panicking")]

use std::collections::HashMap;
use std::hint::black_box;
use std::sync::{Arc, RwLock};

use async_trait::async_trait;
use criterion::Criterion;
use registry_client::{Client, Config, Error, Registered, Request, Response, SchemaId, Transport};

/// Knows a schema under every id.
#[derive(Debug)]
struct Everything;

#[async_trait]
impl Transport for Everything {
    async fn send(&self, _request: Request) -> Result<Response, Error> {
        Ok(Response::new(200, r#"{"schema":"\"long\""}"#))
    }
}

fn main() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut criterion = Criterion::default().configure_from_args();
    for known in [1, 100, 1000] {
        let config = Config::new("http://registry");
        let client = Client::with_transport(config, Arc::new(Everything)).unwrap();
        let map: RwLock<HashMap<SchemaId, Arc<Registered>>> = RwLock::default();
        let ids: Vec<SchemaId> = (0..known).map(SchemaId::new).collect();
        for &id in &ids {
            let registered = runtime.block_on(client.schema(id)).unwrap();
            map.write().unwrap().insert(id, registered);
        }
        let look_up = |id| map.read().unwrap().get(&id).cloned();
        for &id in &ids {
            let found = client.try_get(id).unwrap();
            assert!(Arc::ptr_eq(&found, &look_up(id).unwrap()));
            assert!(Arc::ptr_eq(&found, &runtime.block_on(client.schema(id)).unwrap()));
        }

        let mut group = criterion.benchmark_group(format!("cached/{known}"));
        let mut turn = ids.iter().copied().cycle();
        group.bench_function("try_get", |b| {
            b.iter(|| client.try_get(black_box(turn.next().unwrap())).unwrap().id());
        });
        group.bench_function("rwlock_hashmap", |b| {
            b.iter(|| look_up(black_box(turn.next().unwrap())).unwrap().id());
        });
        group.finish();
    }
    criterion.final_summary();
}
