//! The sink: a member of a consumer group that copies Avro records into objects.
//!
//! Objects appear exactly once: see the `partition` module for the three steps.

mod ahead;
mod attend;
mod connect;
mod consumer;
mod content;
mod dead_letter;
mod form;
mod headers;
mod json;
mod object;
mod offline;
#[cfg(feature = "parquet")]
pub(crate) mod parquet;
mod partition;
mod project;
mod quick;
mod schema;
mod session;
mod spill;
mod store;
#[cfg(test)]
mod tests;
mod walk;

use std::{
    collections::HashMap,
    sync::Arc,
    time::{Duration, SystemTime},
};

use rdkafka::{error::KafkaError, message::BorrowedMessage};
use registry_client::Client as Registry;
use tokio::sync::mpsc;

pub(crate) use self::form::Format;
pub use self::offline::Offline;
use self::{
    attend::attend, content::Budget, dead_letter::DeadLetters, partition::Shared, session::Session,
    store::Store,
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
            let error = match self.attempt(patience).await {
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

    async fn attempt(&mut self, patience: Patience) -> Result<(), Error> {
        let consumer = consumer::join(&self.config, &self.login)?;
        let shared = Shared {
            store: self.store.clone(),
            settings: self.config.settings.clone(),
            files: self.config.files.clone(),
            part_size: self.config.bucket.part_size,
            budget: Budget::new(self.config.memory, self.config.spill_dir.clone()),
            metrics: self.metrics.clone(),
            schemas: HashMap::default(),
            headers: headers::known(),
        };
        let mut session = Session::new(
            shared,
            &self.config,
            &self.login,
            self.registry.as_ref(),
            self.dead_letters.as_ref(),
            &consumer,
        );
        let (shutdown, metrics) = (&self.shutdown, &*self.metrics);
        let mut outcome =
            Self::read(&mut session, shutdown, &mut self.close_now, metrics, patience).await;
        if outcome.is_ok() {
            let work = session.close_all("shutdown");
            outcome = attend(&consumer, metrics, &mut Vec::new(), work).await;
        }
        if outcome.is_err() {
            session.abandon_all().await;
        }
        outcome
    }

    /// Reads until shutdown. A store that fails is waited for as a member of the group.
    async fn read(
        session: &mut Session<'_>,
        shutdown: &Shutdown,
        close_now: &mut mpsc::Receiver<()>,
        metrics: &Metrics,
        patience: Patience,
    ) -> Result<(), Error> {
        let consumer = session.consumer();
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut missed = Vec::new();
        let mut pauses = Pauses::new(metrics);
        loop {
            let step = tokio::select! {
                () = shutdown.requested() => break,
                _ = tick.tick() => Step::Look,
                Some(()) = close_now.recv() => Step::Close,
                message = consumer.recv() => match message {
                    Ok(message) => Step::Take(message),
                    // Topics appear when the source starts; until then there is nothing to read.
                    Err(KafkaError::MessageConsumption(
                        rdkafka::error::RDKafkaErrorCode::UnknownTopicOrPartition
                        | rdkafka::error::RDKafkaErrorCode::PartitionEOF,
                    )) => continue,
                    Err(error) => {
                        return Err(Error::new(Part::Kafka, "cannot read from Kafka")
                            .with_cause(error)
                            .with_retryable(true));
                    }
                },
            };
            let done = attend(consumer, metrics, &mut missed, step.take(session)).await;
            if let Err(error) = done {
                let passes = error.part() == Part::Store && error.is_retryable();
                if patience == Patience::None || !passes {
                    return Err(error);
                }
                let pause = pauses.next(metrics);
                tracing::warn!("{}; trying again in {} ms", error.report(), pause.as_millis());
                let wait = async {
                    session.start_over().await;
                    tokio::select! {
                        () = shutdown.requested() => {}
                        () = tokio::time::sleep(pause) => {}
                    }
                    Ok(())
                };
                attend(consumer, metrics, &mut missed, wait).await?;
            }
            if !missed.is_empty() {
                session.forget_revoked().await;
                session.missed(std::mem::take(&mut missed)).await;
            }
        }
        session.forget_revoked().await;
        Ok(())
    }
}

/// What there is to do next.
enum Step<'m> {
    Take(BorrowedMessage<'m>),
    Look,
    Close,
}

impl Step<'_> {
    async fn take(self, session: &mut Session<'_>) -> Result<(), Error> {
        match self {
            Self::Take(message) => session.message(&message).await,
            Self::Look => {
                session.forget_revoked().await;
                session.read_again()?;
                session.look_ahead().await?;
                session.poll().await
            }
            Self::Close => session.close_all("asked for").await,
        }
    }
}

/// Longer and longer pauses, as long as no object gets through.
struct Pauses {
    objects: u64,
    next: Duration,
}

impl Pauses {
    const FIRST: Duration = Duration::from_millis(200);
    const LONGEST: Duration = Duration::from_secs(30);

    fn new(metrics: &Metrics) -> Self {
        Self { objects: metrics.object_totals().0, next: Self::FIRST }
    }

    fn next(&mut self, metrics: &Metrics) -> Duration {
        let (objects, ..) = metrics.object_totals();
        if objects != self.objects {
            (self.objects, self.next) = (objects, Self::FIRST);
        }
        let pause = self.next;
        self.next = (pause * 2).min(Self::LONGEST);
        pause
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
