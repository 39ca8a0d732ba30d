//! A TCP socket that, while data keeps coming in small pieces, is looked at once a millisecond
//! instead of being waited for.
//!
//! A walsender sends about a row at a time. Waking up for each piece costs several times what
//! decoding it does, and slows the server's own core down, too. So once pieces come in quick
//! succession the socket leaves the reactor (which would be woken for each, asked or not) and is
//! read at the timer's pace; when a tick finds little, it goes back and the next byte is delivered
//! at once.

use std::{
    future::Future,
    io::{self, Read, Write},
    mem,
    pin::Pin,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, BufReader, ReadBuf},
    net::TcpStream,
    time::Sleep,
};
use tokio_rustls::client::TlsStream;

/// So many reads within so long are "quick succession"; right after batching, within longer, because
/// the server pauses to collect the next transaction.
const BUSY_READS: u32 = 16;
const BUSY_WITHIN: Duration = Duration::from_micros(400);
const BUSY_AGAIN_WITHIN: Duration = Duration::from_micros(1600);
/// A tick that finds less than this is quiet.
const QUIET_BYTES: usize = 4096;
/// How much is read at once by the timer; bounds what has to be zeroed for it.
const POLLED_READ: usize = 64 * 1024;
/// The timer rounds up to its next whole millisecond, so this is a wait of at most one.
const TICK: Duration = Duration::from_micros(1);

#[derive(Debug)]
pub(super) struct Socket {
    mode: Mode,
    /// Whether the socket may be read by the timer at all.
    batching: bool,
    /// Reads since `busy_since`.
    reads: u32,
    busy_since: Instant,
    busy_within: Duration,
}

#[derive(Debug)]
enum Mode {
    Reactor(TcpStream),
    Polled {
        stream: std::net::TcpStream,
        tick: Pin<Box<Sleep>>,
        waiting: bool,
    },
    /// A change of mode failed.
    Broken,
}

impl Socket {
    pub(super) fn new(stream: TcpStream) -> Self {
        Self {
            mode: Mode::Reactor(stream),
            batching: false,
            reads: 0,
            busy_since: Instant::now(),
            busy_within: BUSY_WITHIN,
        }
    }

    pub(super) const fn allow_batching(&mut self) {
        self.batching = true;
    }

    /// Counts a read that had to be waited for, and leaves the reactor when they come too quickly.
    fn count(&mut self) -> io::Result<()> {
        self.reads += 1;
        if self.reads < BUSY_READS {
            return Ok(());
        }
        self.reads = 0;
        let since = mem::replace(&mut self.busy_since, Instant::now());
        let within = mem::replace(&mut self.busy_within, BUSY_WITHIN);
        if self.busy_since.duration_since(since) < within {
            self.leave_reactor()?;
        }
        Ok(())
    }

    fn leave_reactor(&mut self) -> io::Result<()> {
        if let Mode::Reactor(stream) = mem::replace(&mut self.mode, Mode::Broken) {
            let stream = stream.into_std()?;
            let tick = Box::pin(tokio::time::sleep(TICK));
            self.mode = Mode::Polled { stream, tick, waiting: true };
        }
        Ok(())
    }

    fn enter_reactor(&mut self) -> io::Result<()> {
        if let Mode::Polled { stream, .. } = mem::replace(&mut self.mode, Mode::Broken) {
            self.mode = Mode::Reactor(TcpStream::from_std(stream)?);
            self.reads = 0;
            self.busy_since = Instant::now();
            self.busy_within = BUSY_AGAIN_WITHIN;
        }
        Ok(())
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            match &mut this.mode {
                Mode::Reactor(stream) => {
                    ready!(Pin::new(stream).poll_read(cx, buf))?;
                    if this.batching {
                        this.count()?;
                    }
                    return Poll::Ready(Ok(()));
                }
                Mode::Polled { stream, tick, waiting } => {
                    if *waiting {
                        ready!(tick.as_mut().poll(cx));
                        *waiting = false;
                    }
                    let room = buf.remaining().min(POLLED_READ);
                    match stream.read(buf.initialize_unfilled_to(room)) {
                        Ok(length) => {
                            buf.advance(length);
                            if length < QUIET_BYTES.min(room) {
                                this.enter_reactor()?;
                            } else if length < room {
                                tick.as_mut().reset(tokio::time::Instant::now() + TICK);
                                *waiting = true;
                            }
                            return Poll::Ready(Ok(()));
                        }
                        Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                            this.enter_reactor()?;
                        }
                        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                        Err(error) => return Poll::Ready(Err(error)),
                    }
                }
                Mode::Broken => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        }
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        loop {
            match &mut this.mode {
                Mode::Reactor(stream) => return Pin::new(stream).poll_write(cx, bytes),
                Mode::Polled { stream, .. } => match stream.write(bytes) {
                    // The reactor alone can wait for room.
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                        this.enter_reactor()?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return Poll::Ready(result),
                },
                Mode::Broken => return Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match &mut self.get_mut().mode {
            Mode::Reactor(stream) => Pin::new(stream).poll_shutdown(cx),
            Mode::Polled { stream, .. } => Poll::Ready(stream.shutdown(std::net::Shutdown::Write)),
            Mode::Broken => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}

/// What carries the connection.
#[derive(Debug)]
pub(super) enum Transport {
    Plain(Socket),
    /// The buffer below TLS makes one read of the socket out of many small ones by TLS.
    Tls(Box<TlsStream<BufReader<Socket>>>),
    #[cfg(unix)]
    Unix(tokio::net::UnixStream),
}

impl Transport {
    pub(super) fn allow_batching(&mut self) {
        match self {
            Self::Plain(socket) => socket.allow_batching(),
            Self::Tls(stream) => stream.get_mut().0.get_mut().allow_batching(),
            #[cfg(unix)]
            Self::Unix(_) => {}
        }
    }
}

impl AsyncRead for Transport {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_read(cx, buf),
            Self::Tls(stream) => Pin::new(stream).poll_read(cx, buf),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_read(cx, buf),
        }
    }
}

impl AsyncWrite for Transport {
    fn poll_write(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_write(cx, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(cx, bytes),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_write(cx, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_flush(cx),
            Self::Tls(stream) => Pin::new(stream).poll_flush(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(socket) => Pin::new(socket).poll_shutdown(cx),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(cx),
            #[cfg(unix)]
            Self::Unix(stream) => Pin::new(stream).poll_shutdown(cx),
        }
    }
}
