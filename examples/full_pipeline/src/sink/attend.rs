//! Membership in the group while nothing can be read: a store that is slow or fails, a disk that is
//! full. All partitions are paused then and the consumer is polled all the same, so that the group
//! does not take its member for one that hangs.

use std::{
    pin::pin,
    task::Poll,
    time::{Duration, Instant},
};

use rdkafka::{
    Message,
    consumer::{Consumer, StreamConsumer},
};

use super::consumer::Context;
use crate::{error::Error, metrics::Metrics};

/// Work that is done sooner pauses nothing: what the client has fetched already would be fetched
/// again.
const SHORT: Duration = Duration::from_secs(1);

/// Where a partition has to be read again: the first message that came while nothing was read.
pub(super) type Missed = Vec<(String, i32, i64)>;

/// Waits for `work` as a member of the group. A partition that is assigned meanwhile is paused at
/// its first message, which goes into `missed`.
pub(super) async fn attend<T>(
    consumer: &StreamConsumer<Context>,
    metrics: &Metrics,
    missed: &mut Missed,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    let mut work = pin!(work);
    // Nearly all work is done at once, and needs no timer.
    if let Poll::Ready(done) = futures_util::poll!(work.as_mut()) {
        return done;
    }
    tokio::select! {
        biased;
        done = &mut work => return done,
        () = tokio::time::sleep(SHORT) => {}
    }
    let since = Instant::now();
    tracing::info!("reading is paused until what is under way is done");
    metrics.sink_pauses.add(1);
    let assigned = || consumer.assignment();
    if let Err(error) = assigned().and_then(|all| consumer.pause(&all)) {
        tracing::debug!("cannot pause: {error}");
    }
    let done = loop {
        tokio::select! {
            biased;
            done = &mut work => break done,
            message = consumer.recv() => match message {
                Ok(message) => {
                    let (topic, number) = (message.topic(), message.partition());
                    if !missed.iter().any(|(known, at, _)| (known.as_str(), *at) == (topic, number)) {
                        missed.push((topic.to_owned(), number, message.offset()));
                    }
                    if let Err(error) = assigned().and_then(|all| consumer.pause(&all)) {
                        tracing::debug!("cannot pause: {error}");
                    }
                }
                // What lasts comes again when it is read on.
                Err(error) => tracing::debug!("while reading is paused: {error}"),
            },
        }
    };
    if let Err(error) = assigned().and_then(|all| consumer.resume(&all)) {
        tracing::debug!("cannot resume: {error}");
    }
    tracing::info!("reading goes on after {} ms", since.elapsed().as_millis());
    done
}
