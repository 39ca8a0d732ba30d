use super::{batch::Batch, connection::Event, error::Error, session::Client};

/// The data of a `COPY ... TO STDOUT`, in batches as it comes off the socket.
///
/// Nothing is read ahead of [`next`](Self::next), so memory is bounded by a batch. Dropped before
/// its end, the rest of the data is read and thrown away by the client's next command; drop the
/// client instead when that is much.
#[derive(Debug)]
#[must_use = "nothing is read until asked for"]
pub struct CopyOut<'c> {
    client: &'c mut Client,
}

impl<'c> CopyOut<'c> {
    pub(super) const fn new(client: &'c mut Client) -> Self {
        Self { client }
    }

    /// The next batch of CopyData bodies, none after the last.
    ///
    /// # Errors
    ///
    /// What the server says when it cannot go on; a broken connection.
    pub async fn next(&mut self) -> Result<Option<Batch>, Error> {
        while self.client.busy {
            match self.client.connection.event().await? {
                Event::Data(batch) => return Ok(Some(batch)),
                Event::Other(b'E', body) => return Err(self.client.refused(body).await),
                Event::Other(b'Z', _) => self.client.busy = false,
                Event::Other(b'c' | b'C', _) => {}
                Event::Other(tag, _) => return Err(Error::unexpected(tag)),
            }
        }
        Ok(None)
    }
}
