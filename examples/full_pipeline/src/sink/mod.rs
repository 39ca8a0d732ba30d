//! The sink: a member of a consumer group that copies Avro records into objects.
//!
//! Objects appear exactly once: see the `partition` module for the three steps.

mod consumer;
mod content;
mod dead_letter;
mod form;
mod headers;
mod json;
mod object;
mod offline;
mod partition;
mod schema;
mod session;
mod spill;
mod store;
#[cfg(test)]
mod tests;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rdkafka::error::KafkaError;
use registry_client::Client as Registry;
use tokio::sync::mpsc;

pub(crate) use self::form::Format;
pub use self::offline::Offline;
use self::{
    content::Budget, dead_letter::DeadLetters, partition::Shared, session::Session, store::Store,
};
use crate::{
    config::{NullValues, SinkConfig},
    error::{Error, Part},
    iam::Login,
    kafka,
    metrics::Metrics,
    registry,
    shutdown::Shutdown,
    source::Patience,
};

/// How often the wall clock is looked at when nothing arrives.
const TICK: Duration = Duration::from_millis(100);

/// The running sink.
#[derive(Debug)]
pub struct Sink {
    config: SinkConfig,
    login: Login,
    registry: Option<Registry>,
    store: Store,
    dead_letters: Option<DeadLetters>,
    metrics: Arc<Metrics>,
    shutdown: Shutdown,
    close_now: mpsc::Receiver<()>,
}

/// Asks a running sink to close its objects at once.
#[derive(Debug, Clone)]
pub struct CloseNow(mpsc::Sender<()>);

impl CloseNow {
    /// Asks; the objects appear soon after.
    pub async fn ask(&self) {
        // A sink that has ended has closed its objects already.
        let _ended = self.0.send(()).await;
    }
}

impl Sink {
    /// Looks at everything the sink needs — store, registry, broker — and prepares it.
    ///
    /// # Errors
    ///
    /// The first thing that is missing, with what to do about it.
    pub async fn prepare(
        config: SinkConfig,
        metrics: Arc<Metrics>,
        shutdown: Shutdown,
    ) -> Result<(Self, CloseNow), Error> {
        let store = store::open(&config.bucket).await?;
        let registry = match &config.registry_url {
            Some(url) => Some(registry::reach(url).await?),
            None => None,
        };
        let login = Login::new(&config.kafka).await?;
        kafka::reach(&config.kafka, &login).await?;
        let dead_letters = DeadLetters::open(&config, &login).await?;
        say_policies(&config);
        let (sender, close_now) = mpsc::channel(1);
        let sink =
            Self { config, login, registry, store, dead_letters, metrics, shutdown, close_now };
        Ok((sink, CloseNow(sender)))
    }

    /// Runs until shutdown, then closes what is open.
    ///
    /// # Errors
    ///
    /// What cannot pass by itself; with [`Patience::None`] any failure.
    pub async fn run(&mut self, patience: Patience) -> Result<(), Error> {
        let mut pause = Duration::from_millis(200);
        loop {
            let started = SystemTime::now();
            let error = match self.attempt().await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if patience == Patience::None || !error.is_retryable() {
                return Err(error);
            }
            if started.elapsed().is_ok_and(|ran| ran > Duration::from_secs(30)) {
                pause = Duration::from_millis(200);
            }
            tracing::warn!("{}; trying again in {} ms", error.report(), pause.as_millis());
            self.metrics.reconnects.add(1);
            tokio::select! {
                () = self.shutdown.requested() => return Ok(()),
                () = tokio::time::sleep(pause) => {}
            }
            pause = (pause * 2).min(Duration::from_secs(30));
        }
    }

    async fn attempt(&mut self) -> Result<(), Error> {
        let consumer = consumer::join(&self.config, &self.login)?;
        let shared = Shared {
            store: self.store.clone(),
            settings: self.config.settings.clone(),
            files: self.config.files.clone(),
            part_size: self.config.bucket.part_size,
            budget: Budget::new(self.config.memory, self.config.spill_dir.clone()),
            metrics: self.metrics.clone(),
            schemas: HashMap::new(),
            headers: headers::known(),
        };
        let mut session = Session::new(
            shared,
            &self.config,
            self.registry.as_ref(),
            self.dead_letters.as_ref(),
            &consumer,
        );
        let mut outcome = Self::read(&mut session, &self.shutdown, &mut self.close_now).await;
        if outcome.is_ok() {
            outcome = session.close_all("shutdown").await;
        }
        if outcome.is_err() {
            session.abandon_all().await;
        }
        outcome
    }

    /// Reads until shutdown.
    async fn read(
        session: &mut Session<'_>,
        shutdown: &Shutdown,
        close_now: &mut mpsc::Receiver<()>,
    ) -> Result<(), Error> {
        let consumer = session.consumer();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = shutdown.requested() => break,
                _ = tick.tick() => {
                    session.forget_revoked().await;
                    session.read_again()?;
                    session.poll().await?;
                }
                Some(()) = close_now.recv() => session.close_all("asked for").await?,
                message = consumer.recv() => match message {
                    Ok(message) => session.message(&message).await?,
                    // Topics appear when the source starts; until then there is nothing to read.
                    Err(KafkaError::MessageConsumption(
                        rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition
                        | rdkafka::error::RDKafkaErrorCode::PartitionEOF,
                    )) => {}
                    Err(error) => {
                        return Err(Error::new(Part::Kafka, "cannot read from Kafka")
                            .with_cause(error)
                            .with_retryable(true));
                    }
                },
            }
        }
        session.forget_revoked().await;
        Ok(())
    }
}

/// What would otherwise be a surprise later.
fn say_policies(config: &SinkConfig) {
    match config.null_values {
        NullValues::Ignore => {
            tracing::info!("tombstones are passed over (behavior.on.null.values=ignore)");
        }
        NullValues::Fail => {
            tracing::info!("a tombstone stops the sink (behavior.on.null.values=fail)");
        }
        NullValues::Write => {
            tracing::info!("the keys of tombstones are written (behavior.on.null.values=write)");
        }
    }
    match (&config.bad_records.topic, config.bad_records.tolerated) {
        (_, false) => tracing::info!("a bad record stops the sink (errors.tolerance=none)"),
        (None, true) => {
            tracing::warn!("bad records are LOST: errors.tolerance=all without a topic for them");
        }
        (Some(topic), true) => tracing::info!("bad records go to the topic {topic}"),
    }
    tracing::info!(
        "open objects hold up to {} bytes in memory, what is more waits in {}; topics must not be \
         compacted while their objects are open",
        config.memory,
        config.spill_dir.display()
    );
}
