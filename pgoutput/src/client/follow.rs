use std::{
    hash::{BuildHasher, RandomState},
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    batch::Batch,
    config::Config,
    error::{Error, ErrorKind},
    session::Client,
    slot::SystemId,
    stream::{Stream, StreamOptions},
};
use crate::Lsn;

/// How long to wait before the next attempt: twice as long each time, and somewhat at random, so
/// that many clients do not come back at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Backoff {
    first: Duration,
    longest: Duration,
    give_up_after: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self::new()
    }
}

impl Backoff {
    /// From 200 ms to 30 seconds, without end.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            first: Duration::from_millis(200),
            longest: Duration::from_secs(30),
            give_up_after: Duration::MAX,
        }
    }

    /// The wait after the first failure, and the longest.
    #[must_use]
    pub const fn with_waits(mut self, first: Duration, longest: Duration) -> Self {
        self.first = first;
        self.longest = longest;
        self
    }

    /// Gives up when nothing has come for so long.
    #[must_use]
    pub const fn with_give_up_after(mut self, limit: Duration) -> Self {
        self.give_up_after = limit;
        self
    }

    /// The wait after so many failures in a row, where `random` is anything: between half of the
    /// doubled wait and all of it.
    fn wait(&self, failures: u32, random: u64) -> Duration {
        let doubled = self.first.saturating_mul(2_u32.saturating_pow(failures.saturating_sub(1)));
        let whole = doubled.min(self.longest);
        let share = u32::try_from(random % 1001).unwrap_or(0);
        whole / 2 + (whole / 2000).saturating_mul(share)
    }
}

/// Follows a slot through lost connections and restarts of the server.
///
/// It starts where it was acknowledged, so after each [`Followed::Started`] some of what was
/// received comes again: whatever was put together from a connection's messages, a
/// [`Decoder`](crate::Decoder)'s block, an open transaction, [`Relations`](crate::Relations), must be
/// reset then. Before each start it makes sure that the server is still the one it began with, by
/// the rules of [`Client::check_system`].
#[derive(Debug)]
pub struct Follower {
    config: Config,
    options: StreamOptions,
    backoff: Backoff,
    system: Option<SystemId>,
    stream: Option<Stream>,
    flushed: Lsn,
    failures: u32,
    /// When something came last, or the first attempt began.
    alive: Option<Instant>,
}

/// What a [`Follower`] brings.
#[derive(Debug)]
#[allow(clippy::exhaustive_enums, reason = "a stream begins or goes on")]
pub enum Followed {
    /// A connection begins: forget what was open on the last one.
    Started(SystemId),
    /// The next batch of frames, as from [`Stream::next`].
    Batch(Batch),
}

impl Follower {
    /// Nothing is connected before [`next`](Self::next) is called.
    #[must_use]
    pub const fn new(config: Config, options: StreamOptions) -> Self {
        Self {
            config,
            flushed: options.start(),
            options,
            backoff: Backoff::new(),
            system: None,
            stream: None,
            failures: 0,
            alive: None,
        }
    }

    /// Other waits between attempts.
    #[must_use]
    pub const fn with_backoff(mut self, backoff: Backoff) -> Self {
        self.backoff = backoff;
        self
    }

    /// The server that was followed before, as by an earlier run of the program: another is refused
    /// from the start.
    #[must_use]
    pub fn with_system(mut self, system: SystemId) -> Self {
        self.system = Some(system);
        self
    }

    /// What comes next. Dropping the future loses nothing but an attempt to connect.
    ///
    /// # Errors
    ///
    /// What another attempt would not change, by [`Error::is_retryable`], and anything once it is
    /// time to give up. The call after an error tries again.
    pub async fn next(&mut self) -> Result<Followed, Error> {
        loop {
            let error = match &mut self.stream {
                Some(stream) => match stream.next().await {
                    Ok(Some(batch)) => {
                        self.failures = 0;
                        self.alive = Some(Instant::now());
                        return Ok(Followed::Batch(batch));
                    }
                    Ok(None) => Error::new(ErrorKind::Closed, "the server ended the stream"),
                    Err(error) => error,
                },
                None => match self.start().await {
                    Ok(system) => return Ok(Followed::Started(system)),
                    Err(error) => error,
                },
            };
            self.stream = None;
            let since = *self.alive.get_or_insert_with(Instant::now);
            if !error.is_retryable() || since.elapsed() >= self.backoff.give_up_after {
                return Err(error);
            }
            self.failures = self.failures.saturating_add(1);
            // A hasher with keys of its own is all the chance that is needed.
            let random = RandomState::new().hash_one(self.failures);
            sleep(self.backoff.wait(self.failures, random)).await;
        }
    }

    async fn start(&mut self) -> Result<SystemId, Error> {
        self.alive.get_or_insert_with(Instant::now);
        let mut client = Client::connect_replication(&self.config).await?;
        let system = match &self.system {
            Some(before) => client.check_system(before, self.options.slot(), self.flushed).await?,
            None => client.identify_system().await?,
        };
        let options = self.options.clone().with_start(self.flushed);
        self.stream = Some(client.start_replication(options).await?);
        self.system = Some(system.clone());
        Ok(system)
    }

    /// As [`Stream::acknowledge`]; remembered for the next connection, too.
    pub fn acknowledge(&mut self, flushed: Lsn) {
        self.flushed = self.flushed.max(flushed);
        if let Some(stream) = &self.stream {
            stream.acknowledge(self.flushed);
        }
    }

    /// Ends in good order, as [`Stream::stop`].
    ///
    /// # Errors
    ///
    /// As [`Stream::stop`].
    pub async fn stop(self) -> Result<(), Error> {
        match self.stream {
            Some(stream) => stream.stop().await,
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_differ() {
        let millis = Duration::from_millis;
        let backoff = Backoff::new().with_waits(millis(100), millis(1000));
        for (failures, least, most) in [(1, 50, 100), (2, 100, 200), (4, 400, 800), (99, 500, 1000)]
        {
            assert_eq!(backoff.wait(failures, 0), millis(least));
            assert_eq!(backoff.wait(failures, 1000), millis(most));
            let some = backoff.wait(failures, 12_345);
            assert!(some > millis(least) && some < millis(most));
        }
    }
}
