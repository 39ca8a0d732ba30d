use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::timeout,
};

use super::{
    batch::{Batch, check_front, take_message},
    error::{Error, ErrorKind},
    socket::Transport,
};

/// Room made for reading when little is left; the block it comes from is used for many reads.
const BLOCK: usize = 512 * 1024;
const LITTLE: usize = 64 * 1024;
/// The server reads our few bytes whatever it does; if not, it is gone.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// Messages over a transport. Dropping one of its futures loses nothing: what was read or is still
/// to be written stays here.
#[derive(Debug)]
pub(super) struct Connection {
    transport: Transport,
    inbox: BytesMut,
    outbox: BytesMut,
    block: usize,
}

/// What comes while data is copied out.
#[derive(Debug)]
pub(super) enum Event {
    Data(Batch),
    Other(u8, Bytes),
}

impl Connection {
    pub(super) fn new(transport: Transport) -> Self {
        Self { transport, inbox: BytesMut::new(), outbox: BytesMut::new(), block: 8 * 1024 }
    }

    /// From now on reads are large.
    pub(super) const fn expect_bulk(&mut self) {
        self.block = BLOCK;
    }

    /// From now on reads may be held back by a millisecond while data keeps coming.
    pub(super) fn allow_batching(&mut self) {
        self.transport.allow_batching();
    }

    /// Puts a message into the outbox.
    pub(super) fn put(&mut self, tag: u8, body: &[&[u8]]) -> Result<(), Error> {
        self.outbox.put_u8(tag);
        self.put_untagged(body)
    }

    /// The same for the first message of a session, which has no tag.
    pub(super) fn put_untagged(&mut self, body: &[&[u8]]) -> Result<(), Error> {
        let length = body.iter().map(|part| part.len()).sum::<usize>() + 4;
        let length = u32::try_from(length)
            .map_err(|_| Error::new(ErrorKind::Config, "a message of more than 4 GiB"))?;
        self.outbox.put_u32(length);
        for part in body {
            self.outbox.put_slice(part);
        }
        Ok(())
    }

    /// Sends the outbox.
    pub(super) async fn flush(&mut self) -> Result<(), Error> {
        let write = async {
            self.transport.write_all_buf(&mut self.outbox).await?;
            self.transport.flush().await
        };
        match timeout(WRITE_TIMEOUT, write).await {
            Ok(result) => result.map_err(Error::io),
            Err(_) => Err(Error::new(ErrorKind::Timeout, "the server takes no bytes")),
        }
    }

    /// The next message that matters: notices, notifications and parameter changes are skipped.
    pub(super) async fn message(&mut self) -> Result<(u8, Bytes), Error> {
        loop {
            match take_message(&mut self.inbox)? {
                Some((b'N' | b'A' | b'S', _)) => {}
                Some(message) => return Ok(message),
                None => self.fill().await?,
            }
        }
    }

    /// The next message of a session that is being set up, where parameters matter.
    pub(super) async fn startup_message(&mut self) -> Result<(u8, Bytes), Error> {
        loop {
            match take_message(&mut self.inbox)? {
                Some(message) => return Ok(message),
                None => self.fill().await?,
            }
        }
    }

    /// All the copied data that has arrived, or the next message that matters.
    pub(super) async fn event(&mut self) -> Result<Event, Error> {
        loop {
            if let Some(batch) = Batch::take(&mut self.inbox)? {
                return Ok(Event::Data(batch));
            }
            match take_message(&mut self.inbox)? {
                Some((b'N' | b'A' | b'S', _)) => {}
                Some((tag, body)) => return Ok(Event::Other(tag, body)),
                None => self.fill().await?,
            }
        }
    }

    /// Ends the session in order. The answer, if any, does not matter.
    pub(super) async fn terminate(mut self) {
        if self.put(b'X', &[]).is_ok() && self.flush().await.is_ok() {
            let _ = timeout(Duration::from_secs(1), self.transport.shutdown()).await;
        }
    }

    async fn fill(&mut self) -> Result<(), Error> {
        check_front(&self.inbox)?;
        if self.inbox.capacity() - self.inbox.len() < LITTLE.min(self.block / 2) {
            // Half of a block, so that a block nobody else holds any more is found large enough
            // to be used again.
            self.inbox.reserve(if self.inbox.capacity() == 0 {
                self.block
            } else {
                self.block / 2
            });
        }
        match self.transport.read_buf(&mut self.inbox).await {
            Ok(0) => Err(Error::closed()),
            Ok(_) => Ok(()),
            Err(error) => Err(Error::io(error)),
        }
    }
}
