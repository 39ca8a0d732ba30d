//! The sink without Kafka: records from anywhere go into objects, nothing is committed.

use std::{collections::HashMap, sync::Arc, time::SystemTime};

use avro_wire::Schema;
use s3_partitioner::CommitPlan;

use super::{
    content::Budget,
    headers,
    partition::{Commit, Incoming, Partition, Shared},
    schema::Known,
    session, store,
};
use crate::{
    config::SinkConfig,
    error::{Error, Part},
    metrics::{Metrics, ObjectWritten},
};

/// Writes the values of one topic partition into objects as the sink does, at the speed of this
/// process alone. After the end of the process nobody knows how far it came.
#[derive(Debug)]
pub struct Offline {
    config: SinkConfig,
    shared: Shared,
    partition: Partition,
}

/// There is no group whose offsets could be committed.
#[derive(Debug)]
struct Nowhere;

impl Commit for Nowhere {
    fn commit(&self, _offset: i64, _metadata: &str) -> Result<(), Error> {
        Ok(())
    }
}

impl Offline {
    /// Opens the store; `schemas` by their ids stand for the registry.
    ///
    /// # Errors
    ///
    /// The store cannot be written, or a schema is none.
    pub async fn open(
        config: SinkConfig,
        topic: &str,
        schemas: &[(u32, &str)],
    ) -> Result<Self, Error> {
        let mut known = HashMap::default();
        for (id, text) in schemas {
            let schema = Schema::parse(text).map_err(|error| {
                Error::new(Part::Registry, format!("schema {id} is no Avro schema"))
                    .with_cause(error)
            })?;
            known.insert(*id, Known::new(*id, schema, &config.fields));
        }
        let shared = Shared {
            store: store::open(&config.bucket).await?,
            settings: config.settings.clone(),
            files: config.files.clone(),
            part_size: config.bucket.part_size,
            budget: Budget::new(config.memory, config.spill_dir.clone()),
            metrics: Arc::new(Metrics::default()),
            schemas: known,
            headers: headers::known(),
        };
        let partition = Partition::new(topic, 0, CommitPlan::new(0), &shared);
        Ok(Self { config, shared, partition })
    }

    /// Writes one value as it lies in Kafka.
    ///
    /// # Errors
    ///
    /// What the sink would stop or try again for.
    pub async fn write(
        &mut self,
        offset: i64,
        timestamp_ms: i64,
        value: &[u8],
    ) -> Result<(), Error> {
        let incoming = Incoming {
            offset,
            timestamp_ms: Some(timestamp_ms),
            size: value.len() as u64,
            value: Some(session::item(self.config.value_converter, value, &self.shared)?),
            key: None,
            headers: None,
        };
        self.partition.write(incoming, &self.shared, &Nowhere, SystemTime::now()).await?;
        if self.shared.budget.excess() > 0 {
            for object in self.partition.objects() {
                object.spill()?;
            }
        }
        Ok(())
    }

    /// Completes what is open and gives all objects that were written.
    ///
    /// # Errors
    ///
    /// The store fails.
    pub async fn close(mut self) -> Result<Vec<ObjectWritten>, Error> {
        let now = SystemTime::now();
        self.partition.close("end", &self.shared, &Nowhere, now).await?;
        Ok(self.shared.metrics.objects())
    }
}
