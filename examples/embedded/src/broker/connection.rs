//! One client's connection: frames in, replies out, in the order asked.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::node::Node;
use super::sasl::Session;
use super::wire::{self, LENGTH_BYTES, Refused};

/// Serves a client until it goes, misbehaves or the broker stops.
///
/// One request is answered before the next one is looked at, as Kafka does: replies keep the
/// order of the requests, and a client cannot make the broker buffer without end.
pub(super) async fn serve<S>(node: Arc<Node>, stream: S, peer: SocketAddr)
where
    S: AsyncRead + AsyncWrite + Send + Unpin,
{
    let mut session = Session::new(node.config.verifier.clone());
    let host = format!("/{}", peer.ip());
    let mut frames = Frames { stream, buffer: BytesMut::new() };
    loop {
        let frame = match frames.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => return,
            Err(error) => {
                tracing::debug!(%peer, %error, "connection lost");
                return;
            }
        };
        let throttled = wire::can_be_throttled(&frame);
        match wire::answer(&node, &host, &mut session, frame).await {
            Ok(None) => {}
            Ok(Some(mut reply)) => {
                let faults = &node.config.faults;
                let active = faults.now();
                if !active.delay.is_zero() {
                    tokio::time::sleep(active.delay).await;
                }
                let cut = faults.cut(reply.len());
                reply.truncate(cut.unwrap_or(usize::MAX));
                let stream = &mut frames.stream;
                // Bytes that TLS holds back would only go out with the next reply.
                let sent = async {
                    stream.write_all(&reply).await?;
                    stream.flush().await
                };
                if let Err(error) = sent.await {
                    tracing::debug!(%peer, %error, "connection lost");
                    return;
                }
                if cut.is_some() {
                    tracing::info!(%peer, "connection cut on demand");
                    return;
                }
                if throttled && !active.throttle.is_zero() {
                    tokio::time::sleep(active.throttle).await;
                }
                if session.is_over() {
                    tracing::info!(%peer, "client may not come in");
                    return;
                }
            }
            Err(refused) => {
                tracing::warn!(%peer, %refused, "closing connection");
                return;
            }
        }
    }
}

struct Frames<S> {
    stream: S,
    buffer: BytesMut,
}

impl<S: AsyncRead + Unpin> Frames<S> {
    /// The next request without its length, or `None` when the client is done.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        loop {
            let missing = match self.missing() {
                Ok(0) => return Ok(Some(self.take())),
                Ok(missing) => missing,
                Err(refused) => return Err(io::Error::new(io::ErrorKind::InvalidData, refused)),
            };
            // Room grows with what has arrived, never with what the length announces.
            self.buffer.reserve(missing.clamp(MIN_READ, MAX_READ));
            if self.stream.read_buf(&mut self.buffer).await? == 0 {
                return if self.buffer.is_empty() {
                    Ok(None)
                } else {
                    Err(io::ErrorKind::UnexpectedEof.into())
                };
            }
        }
    }

    /// Bytes wanted before the first request is whole.
    fn missing(&self) -> Result<usize, Refused> {
        let Some((length, rest)) = self.buffer.split_first_chunk::<LENGTH_BYTES>() else {
            return Ok(LENGTH_BYTES - self.buffer.len());
        };
        let length =
            usize::try_from(i32::from_be_bytes(*length)).map_err(|_| Refused::NegativeLength)?;
        // Too short for a key is judged once it has arrived.
        let limit = wire::length_limit(rest);
        if length > limit
            && (rest.len() >= KEY_BYTES || length > wire::length_limit(&[0; KEY_BYTES]))
        {
            return Err(Refused::TooLong(length));
        }
        Ok(length.saturating_sub(rest.len()))
    }

    fn take(&mut self) -> Bytes {
        let length = self.buffer.first_chunk().map_or(0, |length| i32::from_be_bytes(*length));
        let end = LENGTH_BYTES + usize::try_from(length).unwrap_or(0);
        let frame = self.buffer.split_to(end.min(self.buffer.len())).freeze();
        frame.slice(LENGTH_BYTES.min(frame.len())..)
    }
}

/// The key of a request is its first field.
const KEY_BYTES: usize = 2;
const MIN_READ: usize = 8 * 1024;
const MAX_READ: usize = 256 * 1024;
