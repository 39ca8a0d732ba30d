use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::{
    sync::{Notify, mpsc, oneshot},
    task::JoinHandle,
};

use super::{
    batch::Batch,
    config::invalid,
    error::{Error, ErrorKind},
    quote::{quote_identifier, replication_literal},
    session::Client,
    worker::Worker,
};
use crate::{Lsn, ProtocolVersion, Streaming};

/// What to stream and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamOptions {
    slot: String,
    publications: Vec<String>,
    start: Lsn,
    protocol: ProtocolVersion,
    streaming: Streaming,
    binary: bool,
    messages: bool,
    pub(super) status_interval: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) queue_bytes: usize,
}

impl StreamOptions {
    /// From where the slot stands, protocol 1, text, without logical messages; a status update
    /// every 10 seconds, an error after a minute of silence, at most 8 MiB read ahead.
    #[must_use]
    pub fn new(slot: &str, publications: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self {
            slot: slot.to_owned(),
            publications: publications.into_iter().map(|name| name.as_ref().to_owned()).collect(),
            start: Lsn::ZERO,
            protocol: ProtocolVersion::V1,
            streaming: Streaming::Off,
            binary: false,
            messages: false,
            status_interval: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(60),
            queue_bytes: 8 * 1024 * 1024,
        }
    }

    /// Leaves out transactions that ended before this position. The server never goes back behind
    /// what was acknowledged, whatever is said here.
    #[must_use]
    pub const fn with_start(mut self, start: Lsn) -> Self {
        self.start = start;
        self
    }

    /// Another version of the protocol.
    #[must_use]
    pub const fn with_protocol(mut self, version: ProtocolVersion) -> Self {
        self.protocol = version;
        self
    }

    /// Transactions in progress, too. The [`Decoder`](crate::Decoder) must be told the same.
    #[must_use]
    pub const fn with_streaming(mut self, streaming: Streaming) -> Self {
        self.streaming = streaming;
        self
    }

    /// Values in binary form, where their type has one.
    #[must_use]
    pub const fn with_binary(mut self, binary: bool) -> Self {
        self.binary = binary;
        self
    }

    /// What `pg_logical_emit_message` writes, too.
    #[must_use]
    pub const fn with_messages(mut self, messages: bool) -> Self {
        self.messages = messages;
        self
    }

    /// How often the server is told the positions. A third of the server's `wal_sender_timeout` is
    /// taken if that is shorter.
    #[must_use]
    pub const fn with_status_interval(mut self, interval: Duration) -> Self {
        self.status_interval = interval;
        self
    }

    /// How long the server may be silent, though asked for a sign of life half-way.
    #[must_use]
    pub const fn with_idle_timeout(mut self, timeout: Duration) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// How many bytes are read ahead of the consumer. One read more, or one message if that is
    /// larger, may come on top.
    #[must_use]
    pub const fn with_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue_bytes = bytes;
        self
    }

    pub(super) const fn start(&self) -> Lsn {
        self.start
    }

    pub(super) fn slot(&self) -> &str {
        &self.slot
    }

    fn command(&self) -> Result<String, Error> {
        if self.publications.is_empty() {
            return Err(invalid("no publication"));
        }
        let publications =
            self.publications.iter().map(|name| quote_identifier(name)).collect::<Vec<_>>();
        let mut command = format!(
            "START_REPLICATION SLOT {} LOGICAL {} (proto_version '{}', publication_names {}",
            quote_identifier(&self.slot),
            self.start,
            self.protocol.number(),
            replication_literal(&publications.join(","))
        );
        command.push_str(match self.streaming {
            Streaming::Off => "",
            Streaming::On => ", streaming 'on'",
            Streaming::Parallel => ", streaming 'parallel'",
        });
        command.push_str(if self.binary { ", binary 'true'" } else { "" });
        command.push_str(if self.messages { ", messages 'true')" } else { ")" });
        Ok(command)
    }
}

impl Client {
    /// Starts to follow a slot. The connection belongs to the stream from now on, in a task of its
    /// own on the current runtime.
    ///
    /// # Errors
    ///
    /// `Config` on a session that was not opened for replication and for options that cannot be;
    /// `Unsupported` by this version of the server; `SlotInUse`, `SlotInvalidated` and `WalRemoved`
    /// for a slot that cannot be followed; what else the server says, such as 42704 for a slot that
    /// does not exist. That a publication is missing shows later, in [`Stream::next`].
    pub async fn start_replication(mut self, mut options: StreamOptions) -> Result<Stream, Error> {
        self.check_replication()?;
        let command = options.command()?;
        self.check_protocol(options.protocol, options.streaming)?;
        let sql = "SELECT setting FROM pg_catalog.pg_settings WHERE name = 'wal_sender_timeout'";
        let rows = self.query(sql).await?;
        let limit = rows.first().and_then(|row| row.get(0)).and_then(|text| text.parse().ok());
        // Milliseconds; zero for no limit.
        if let Some(limit @ 1_u64..) = limit {
            let third = Duration::from_millis(limit / 3).max(Duration::from_millis(10));
            options.status_interval = options.status_interval.min(third);
        }
        self.send(&command).await?;
        match self.answer().await {
            Ok(Some((b'W', _))) => {}
            Err(error) => return Err(self.explain_refusal(&options.slot, error).await),
            Ok(Some((tag, _))) => return Err(Error::unexpected(tag)),
            Ok(None) => return Err(Error::protocol("the server did not start to stream")),
        }
        self.connection.expect_bulk();
        self.connection.allow_batching();
        let shared = Arc::new(Shared::default());
        let (queue, received) = mpsc::unbounded_channel();
        let (stop, stopping) = oneshot::channel();
        let worker =
            Worker::new(self.connection, Arc::clone(&shared), queue, &options, options.start);
        let task = tokio::spawn(worker.run(stopping));
        Ok(Stream { shared, received, stop: Some(stop), task, end: None })
    }
}

/// What the task and the stream's owner share.
#[derive(Debug, Default)]
pub(super) struct Shared {
    /// Bytes in the queue.
    pub(super) queued: AtomicUsize,
    /// Told when the queue got shorter.
    pub(super) room: Notify,
    /// The highest position acknowledged.
    pub(super) flushed: AtomicU64,
}

/// What goes through the queue. The last thing is the end.
#[derive(Debug)]
pub(super) enum Item {
    Batch(Batch),
    End(Result<(), Error>),
}

/// A slot being followed.
///
/// Dropping it closes the connection at once, without a last status update.
#[derive(Debug)]
pub struct Stream {
    shared: Arc<Shared>,
    received: mpsc::UnboundedReceiver<Item>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
    end: Option<Result<(), Error>>,
}

impl Stream {
    /// The next batch of frames, keepalives among them; none after the server ended the stream in
    /// good order. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// What the server said, `Closed`, `Timeout`, `Io` or `Protocol`; the same again ever after.
    pub async fn next(&mut self) -> Result<Option<Batch>, Error> {
        if let Some(end) = &self.end {
            return end.clone().map(|()| None);
        }
        match self.received.recv().await {
            Some(Item::Batch(batch)) => {
                self.shared.queued.fetch_sub(batch.len_bytes(), Ordering::AcqRel);
                self.shared.room.notify_one();
                Ok(Some(batch))
            }
            Some(Item::End(end)) => {
                self.end = Some(end.clone());
                end.map(|()| None)
            }
            None => Err(task_lost()),
        }
    }

    /// Says that everything before this position is safe. Goes out with the next status update; a
    /// position behind an earlier one changes nothing.
    ///
    /// The right positions are a commit's `end_lsn`, once everything up to it is safe, and a
    /// keepalive's `end`, while no transaction is open and nothing is on its way.
    pub fn acknowledge(&self, flushed: Lsn) {
        self.shared.flushed.fetch_max(flushed.get(), Ordering::AcqRel);
    }

    /// Something to acknowledge with from elsewhere.
    #[must_use]
    pub fn acknowledger(&self) -> Acknowledger {
        Acknowledger { shared: Arc::clone(&self.shared) }
    }

    /// Ends the stream in good order: sends the last acknowledged position, says that no more is
    /// wanted, and waits for the server to agree. What was not read yet is thrown away.
    ///
    /// # Errors
    ///
    /// What ended the stream before; `Timeout` if the server does not agree within 10 seconds, as
    /// in the middle of a large transaction. The position has been sent even then.
    pub async fn stop(mut self) -> Result<(), Error> {
        if let Some(stop) = self.stop.take() {
            // It is gone when the stream has ended already, and then `task` says how.
            let _ = stop.send(());
        }
        (&mut self.task).await.unwrap_or_else(|_| Err(task_lost()))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.task.abort();
    }
}

fn task_lost() -> Error {
    Error::new(ErrorKind::Closed, "the stream's task is gone, as its runtime")
}

/// Acknowledges positions of a [`Stream`] that is owned elsewhere.
#[derive(Debug, Clone)]
pub struct Acknowledger {
    shared: Arc<Shared>,
}

impl Acknowledger {
    /// As [`Stream::acknowledge`].
    pub fn acknowledge(&self, flushed: Lsn) {
        self.shared.flushed.fetch_max(flushed.get(), Ordering::AcqRel);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let options = StreamOptions::new("s", ["a", "it's \"b\""]);
        assert_eq!(
            options.command().unwrap(),
            "START_REPLICATION SLOT \"s\" LOGICAL 0/0 \
             (proto_version '1', publication_names '\"a\",\"it''s \"\"b\"\"\"')"
        );
        let options = StreamOptions::new("s", ["p"])
            .with_start(Lsn::new(0x1_0000_00AB))
            .with_protocol(ProtocolVersion::V4)
            .with_streaming(Streaming::Parallel)
            .with_binary(true)
            .with_messages(true);
        assert_eq!(
            options.command().unwrap(),
            "START_REPLICATION SLOT \"s\" LOGICAL 1/AB (proto_version '4', publication_names \
             '\"p\"', streaming 'parallel', binary 'true', messages 'true')"
        );
        let none = StreamOptions::new("s", [""; 0]);
        assert_eq!(none.command().unwrap_err().kind(), ErrorKind::Config);
    }
}
