use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use super::config::Config;
use super::connection;
use super::error::{Error, ErrorKind};
use super::faults::Faults;
use super::node::{self, Node};

/// A running broker. Dropping it stops it; what it acknowledged stays in its data directory.
///
/// The broker has threads of its own, so a program may block its own runtime, as calls into
/// librdkafka do, while the broker answers.
#[derive(Debug)]
pub struct Broker {
    node: Arc<Node>,
    address: SocketAddr,
    stop: watch::Sender<()>,
    accepting: Option<JoinHandle<()>>,
    runtime: Option<Runtime>,
}

impl Broker {
    /// Opens the data directory, repairs what a crash left unfinished and listens.
    ///
    /// # Errors
    /// [`ErrorKind::Listen`] when the address is taken, [`ErrorKind::Storage`] and
    /// [`ErrorKind::Damaged`] when the data directory cannot be used,
    /// [`ErrorKind::Certificate`] when TLS has no use for what was given, [`ErrorKind::Runtime`]
    /// when no threads can be had.
    pub async fn start(mut config: Config) -> Result<Self, Error> {
        config.faults.renew();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(WORKERS)
            .thread_name("broker")
            .enable_all()
            .build()
            .map_err(|error| Error::io(ErrorKind::Runtime, error))?;
        let opened = runtime.spawn(open(config)).await;
        let (node, listener, address) = match opened {
            Ok(Ok(opened)) => opened,
            failed => {
                // A runtime must not be waited for inside another one.
                runtime.shutdown_background();
                return Err(match failed {
                    Ok(Err(error)) => error,
                    _ => Error::bare(ErrorKind::Runtime),
                });
            }
        };
        let (stop, stopped) = watch::channel(());
        let accepting = runtime.spawn(accept(Arc::clone(&node), listener, stopped));
        Ok(Self { node, address, stop, accepting: Some(accepting), runtime: Some(runtime) })
    }

    /// Host and port for a client's `bootstrap.servers`.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        format!("{}:{}", self.node.host, self.node.port)
    }

    /// The address listened on.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// The troubles the broker has on demand.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.node.config.faults.clone()
    }

    /// Closes all connections, flushes the logs and stops.
    ///
    /// # Errors
    /// [`ErrorKind::Storage`] when the last flush fails.
    pub async fn shutdown(mut self) -> Result<(), Error> {
        // The accepting task ends when it sees the change or the sender gone.
        let _ = self.stop.send(());
        if let Some(accepting) = self.accepting.take() {
            let _ = accepting.await;
        }
        let node = Arc::clone(&self.node);
        let flushed = match &self.runtime {
            Some(runtime) => runtime.spawn_blocking(move || node.sync()).await,
            None => return Ok(()),
        };
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
        match flushed {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(Error::storage(&self.node.config.data_dir, error)),
            Err(_) => Err(Error::bare(ErrorKind::Runtime)),
        }
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.stop.send(());
        self.node.topics.retire_files();
        let Some(runtime) = self.runtime.take() else { return };
        // Whoever opens the directory next must not meet a write of ours, so this waits; on a
        // thread of its own, because waiting for a runtime is not allowed inside another one.
        let waiter = std::thread::spawn(move || runtime.shutdown_timeout(STOP_TIMEOUT));
        let _ = waiter.join();
    }
}

async fn open(config: Config) -> Result<(Arc<Node>, TcpListener, SocketAddr), Error> {
    let listen = |error| Error::io(ErrorKind::Listen, error);
    let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
    let address = listener.local_addr().map_err(listen)?;
    let (host, port) = match &config.advertised {
        Some((host, 0)) => (host.clone(), address.port()),
        Some((host, port)) => (host.clone(), *port),
        None => (address.ip().to_string(), address.port()),
    };
    let node = tokio::task::block_in_place(|| Node::open(config, &host, port))?;
    Ok((Arc::new(node), listener, address))
}

async fn accept(node: Arc<Node>, listener: TcpListener, mut stopped: watch::Receiver<()>) {
    let mut connections = JoinSet::new();
    let ticking = Arc::clone(&node);
    connections.spawn(async move { ticking.groups.keep_time().await });
    let ticking = Arc::clone(&node);
    connections.spawn(async move { ticking.transactions.keep_time(&ticking).await });
    let cleaning = Arc::clone(&node);
    connections.spawn(async move {
        loop {
            tokio::time::sleep(cleaning.config.retention_interval).await;
            tokio::task::block_in_place(|| cleaning.topics.clean(node::now_ms()));
        }
    });
    loop {
        tokio::select! {
            _ = stopped.changed() => break,
            accepted = listener.accept() => match accepted {
                Ok(_) if node.config.faults.now().refuse => {}
                Ok((stream, peer)) => {
                    // A reply is one write; waiting for more to send only costs time.
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%peer, %error, "cannot set TCP_NODELAY");
                    }
                    connections.spawn(greet(Arc::clone(&node), stream, peer));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_) = connections.join_next() => {}
        }
    }
    node.topics.retire_files();
    connections.shutdown().await;
}

#[cfg(not(feature = "broker-tls"))]
async fn greet(node: Arc<Node>, stream: TcpStream, peer: SocketAddr) {
    connection::serve(node, stream, peer).await;
}

#[cfg(feature = "broker-tls")]
async fn greet(node: Arc<Node>, stream: TcpStream, peer: SocketAddr) {
    let Some(tls) = &node.tls else {
        connection::serve(node, stream, peer).await;
        return;
    };
    match tokio::time::timeout(TLS_TIMEOUT, tls.accept(stream)).await {
        Ok(Ok(stream)) => connection::serve(Arc::clone(&node), stream, peer).await,
        Ok(Err(error)) => tracing::debug!(%peer, %error, "no TLS"),
        Err(_) => tracing::debug!(%peer, "no TLS in time"),
    }
}

#[cfg(feature = "broker-tls")]
const TLS_TIMEOUT: Duration = Duration::from_secs(10);
const WORKERS: usize = 2;
const STOP_TIMEOUT: Duration = Duration::from_secs(10);
/// When file descriptors run out, trying again at once would only burn time.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
