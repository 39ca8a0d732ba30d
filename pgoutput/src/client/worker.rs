use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, SystemTime},
};

use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, MissedTickBehavior, interval_at, timeout},
};

use super::{
    batch::Batch,
    connection::{Connection, Event},
    error::{Error, ErrorKind},
    stream::{Item, Shared, StreamOptions},
};
use crate::{
    Lsn, PgTime,
    replication::{Frame, StandbyStatus},
};

const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The task that owns a stream's connection.
#[derive(Debug)]
pub(super) struct Worker {
    connection: Connection,
    shared: Arc<Shared>,
    queue: mpsc::UnboundedSender<Item>,
    queue_bytes: usize,
    status_interval: Duration,
    idle_timeout: Duration,
    /// The highest position seen in a frame.
    received: Lsn,
    /// When the server was last heard, or not listened to because the queue was full.
    heard: Instant,
    /// The server said that it is done, as when it shuts down.
    completed: bool,
}

/// Why the loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Ended {
    Asked,
    ByServer,
}

impl Worker {
    pub(super) fn new(
        connection: Connection,
        shared: Arc<Shared>,
        queue: mpsc::UnboundedSender<Item>,
        options: &StreamOptions,
        start: Lsn,
    ) -> Self {
        Self {
            connection,
            shared,
            queue,
            queue_bytes: options.queue_bytes.max(1),
            status_interval: options.status_interval.max(Duration::from_millis(1)),
            idle_timeout: options.idle_timeout,
            received: start,
            heard: Instant::now(),
            completed: false,
        }
    }

    pub(super) async fn run(mut self, mut stopping: oneshot::Receiver<()>) -> Result<(), Error> {
        let result = match self.follow(&mut stopping).await {
            Ok(ended) => {
                let finish = timeout(STOP_TIMEOUT, self.finish(ended)).await;
                finish.unwrap_or_else(|_| {
                    Err(Error::new(ErrorKind::Timeout, "the server did not end the stream in time"))
                })
            }
            Err(error) => Err(error),
        };
        // Nobody listens when the stream was stopped, and nobody needs to.
        let _ = self.queue.send(Item::End(result.clone()));
        if result.is_ok() {
            self.connection.terminate().await;
        }
        result
    }

    async fn follow(&mut self, stopping: &mut oneshot::Receiver<()>) -> Result<Ended, Error> {
        let period = self.status_interval.min(self.idle_timeout / 4).max(Duration::from_millis(1));
        let mut timer = interval_at(Instant::now() + period, period);
        timer.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut told = Instant::now();
        loop {
            let full = self.shared.queued.load(Ordering::Acquire) >= self.queue_bytes;
            tokio::select! {
                biased;
                // An error means that the stream was dropped; its drop ends this task.
                _ = &mut *stopping => return Ok(Ended::Asked),
                now = timer.tick() => {
                    if full {
                        self.heard = now;
                    }
                    let silence = now.saturating_duration_since(self.heard);
                    if silence >= self.idle_timeout {
                        return Err(Error::new(ErrorKind::Timeout, "the server is silent"));
                    }
                    let ask = silence >= self.idle_timeout / 2;
                    if ask || now.saturating_duration_since(told) + period > self.status_interval {
                        self.tell(ask).await?;
                        told = now;
                    }
                }
                () = self.shared.room.notified(), if full => {}
                event = self.connection.event(), if !full => {
                    self.heard = Instant::now();
                    match event {
                        Ok(Event::Data(batch)) => self.deliver(batch).await?,
                        Ok(Event::Other(b'c', _)) => return Ok(Ended::ByServer),
                        Ok(Event::Other(b'E', body)) => return Err(refused(body)),
                        // Without CopyDone before it: the server shuts down and will close.
                        Ok(Event::Other(b'C', _)) => self.completed = true,
                        Ok(Event::Other(tag, _)) => return Err(Error::unexpected(tag)),
                        Err(error) if self.completed && error.kind() == ErrorKind::Closed => {
                            return Err(Error::new(ErrorKind::Closed, "the server shut down"));
                        }
                        Err(error) => return Err(error),
                    }
                }
            }
        }
    }

    /// Takes note of the frames' positions, hands them on, and answers at once if asked to.
    async fn deliver(&mut self, batch: Batch) -> Result<(), Error> {
        let mut asked = false;
        for frame in batch.frames() {
            let frame = Frame::decode(frame).map_err(|error| {
                Error::protocol("malformed replication frame").with_source(error)
            })?;
            let position = match frame {
                Frame::XLogData { start, end, .. } => start.max(end),
                Frame::Keepalive { end, reply_requested, .. } => {
                    asked |= reply_requested;
                    end
                }
            };
            self.received = self.received.max(position);
        }
        self.shared.queued.fetch_add(batch.len_bytes(), Ordering::AcqRel);
        // The other end is gone only when the stream is being dropped or stopped.
        let _ = self.queue.send(Item::Batch(batch));
        if asked { self.tell(false).await } else { Ok(()) }
    }

    /// Sends a status update.
    async fn tell(&mut self, ask: bool) -> Result<(), Error> {
        self.put_status(ask)?;
        match self.connection.flush().await {
            Ok(()) => Ok(()),
            Err(error) => Err(self.last_words().await.unwrap_or(error)),
        }
    }

    fn put_status(&mut self, ask: bool) -> Result<(), Error> {
        let flushed = Lsn::new(self.shared.flushed.load(Ordering::Acquire));
        let received = self.received.max(flushed);
        let now = PgTime::from(SystemTime::now());
        let status = StandbyStatus::new(received, flushed, flushed, now).with_reply_requested(ask);
        self.connection.put(b'd', &[&status.to_bytes()])
    }

    /// What the server said before it stopped listening, if it said why.
    async fn last_words(&mut self) -> Option<Error> {
        let search = async {
            loop {
                match self.connection.event().await {
                    Ok(Event::Other(b'E', body)) => return Some(refused(body)),
                    Ok(_) => {}
                    Err(_) => return None,
                }
            }
        };
        timeout(Duration::from_secs(1), search).await.unwrap_or(None)
    }

    /// Says goodbye: the last positions, CopyDone, and the wait for the server's ReadyForQuery.
    async fn finish(&mut self, ended: Ended) -> Result<(), Error> {
        self.put_status(false)?;
        self.connection.put(b'c', &[])?;
        self.connection.flush().await?;
        let mut done = ended == Ended::ByServer;
        loop {
            match self.connection.event().await? {
                Event::Data(_) => {}
                Event::Other(b'c', _) => done = true,
                Event::Other(b'C', _) => {}
                Event::Other(b'Z', _) if done => return Ok(()),
                Event::Other(b'E', body) => return Err(Error::response(body)),
                Event::Other(tag, _) => return Err(Error::unexpected(tag)),
            }
        }
    }
}

/// Why the server broke off: 58P01 is a file it no longer has, a segment of its log.
fn refused(body: bytes::Bytes) -> Error {
    let error = Error::response(body);
    match error.sqlstate() {
        Some("58P01") => error.with_kind(ErrorKind::WalRemoved),
        _ => error,
    }
}
