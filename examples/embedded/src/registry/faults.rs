//! Faults on demand: what a client of the registry has to survive.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::HeaderValue;
use axum::http::header::CONTENT_LENGTH;
use axum::response::Response;
use axum::serve::Listener;
use futures_util::{StreamExt, stream};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};

/// Orders faults of one registry. All clones order the same ones. Orders of different kinds add
/// up: a request can be delayed and then refused. Each replaces an earlier one of its kind, and 0
/// requests withdraws it. The health check meets only [`refuse`](Self::refuse).
#[derive(Clone, Debug, Default)]
pub struct Faults {
    ordered: Arc<Mutex<Ordered>>,
}

#[derive(Debug, Default)]
struct Ordered {
    status: (u32, u16),
    delay: (u32, Duration),
    cut: u32,
    refuse: bool,
}

/// What one request meets.
#[derive(Debug)]
pub(super) struct Met {
    pub(super) status: Option<u16>,
    pub(super) delay: Option<Duration>,
    pub(super) cut: bool,
}

impl Faults {
    /// The next `requests` are answered with HTTP `status` and have no effect.
    pub fn status(&self, requests: u32, status: u16) {
        self.ordered().status = (requests, status);
    }

    /// The next `requests` are taken up only after `delay`.
    pub fn delay(&self, requests: u32, delay: Duration) {
        self.ordered().delay = (requests, delay);
    }

    /// The next `requests` have their effect, but the connection ends in the middle of the
    /// answer's body.
    pub fn cut(&self, requests: u32) {
        self.ordered().cut = requests;
    }

    /// Whether every connection is closed before a byte of an answer, those that are open already
    /// at their next request. Lasts until it is called with `false`.
    pub fn refuse(&self, refuse: bool) {
        self.ordered().refuse = refuse;
    }

    /// Withdraws all orders.
    pub fn clear(&self) {
        *self.ordered() = Ordered::default();
    }

    pub(super) fn meet(&self) -> Met {
        let mut ordered = self.ordered();
        let status = take(&mut ordered.status.0).then_some(ordered.status.1);
        let delay = take(&mut ordered.delay.0).then_some(ordered.delay.1);
        Met { status, delay, cut: take(&mut ordered.cut) }
    }

    fn refuses(&self) -> bool {
        self.ordered().refuse
    }

    fn ordered(&self) -> MutexGuard<'_, Ordered> {
        self.ordered.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether one is left, which is then used up.
const fn take(left: &mut u32) -> bool {
    let any = *left > 0;
    *left = left.saturating_sub(1);
    any
}

/// Sends the head and half of the body, and then ends the connection.
pub(super) async fn cut(response: Response) -> Response {
    let (mut head, body) = response.into_parts();
    let whole = to_bytes(body, usize::MAX).await.unwrap_or_default();
    head.headers.insert(CONTENT_LENGTH, HeaderValue::from(whole.len()));
    let half = whole.slice(..whole.len() / 2);
    let end = stream::once(async {
        // The server sends what it has when the body makes it wait, and not before an error.
        tokio::task::yield_now().await;
        Err(io::Error::from(io::ErrorKind::ConnectionAborted))
    });
    let body = stream::once(async { Ok(half) }).chain(end);
    Response::from_parts(head, Body::from_stream(body))
}

/// The listener, whose connections end when they are refused.
#[derive(Debug)]
pub(super) struct Gate {
    listener: TcpListener,
    faults: Faults,
}

impl Gate {
    pub(super) const fn new(listener: TcpListener, faults: Faults) -> Self {
        Self { listener, faults }
    }
}

impl Listener for Gate {
    type Io = Gated;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Gated, SocketAddr) {
        let (stream, address) = Listener::accept(&mut self.listener).await;
        (Gated { stream, faults: self.faults.clone() }, address)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// A connection that fails to read while connections are refused.
#[derive(Debug)]
pub(super) struct Gated {
    stream: TcpStream,
    faults: Faults,
}

impl AsyncRead for Gated {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        if self.faults.refuses() {
            buffer.clear();
            return Poll::Ready(Err(io::ErrorKind::ConnectionReset.into()));
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Gated {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
