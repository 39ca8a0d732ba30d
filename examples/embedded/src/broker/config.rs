use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::faults::Faults;
use super::sasl::Verifier;

/// What a [`Broker`](super::Broker) needs to know before it starts.
///
/// Only the data directory has no default.
#[derive(Debug, Clone)]
#[must_use]
pub struct Config {
    pub(super) data_dir: PathBuf,
    pub(super) listen: SocketAddr,
    pub(super) advertised: Option<(String, u16)>,
    pub(super) topic_creation: TopicCreation,
    pub(super) default_partitions: i32,
    pub(super) durability: Durability,
    pub(super) max_message_bytes: usize,
    pub(super) segment_bytes: u64,
    pub(super) initial_rebalance_delay: Duration,
    pub(super) min_session_timeout: Duration,
    pub(super) verifier: Option<Arc<dyn Verifier>>,
    pub(super) faults: Faults,
    pub(super) retention_interval: Duration,
    #[cfg(feature = "broker-tls")]
    pub(super) tls: Option<super::tls::Identity>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TopicCreation {
    Explicit,
    OnFirstUse,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Durability {
    /// Written to the operating system before a produce request is answered.
    PageCache,
    /// Flushed to the disk before a produce request is answered.
    Disk,
}

impl Config {
    /// A broker on a free port of the loopback address that keeps its files in `data_dir`, which
    /// is created if missing. Two brokers must not share one directory.
    pub fn new(data_dir: &Path) -> Self {
        Self {
            data_dir: data_dir.to_owned(),
            listen: SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0),
            advertised: None,
            topic_creation: TopicCreation::Explicit,
            default_partitions: 1,
            durability: Durability::PageCache,
            max_message_bytes: DEFAULT_MAX_MESSAGE_BYTES,
            segment_bytes: DEFAULT_SEGMENT_BYTES,
            initial_rebalance_delay: Duration::ZERO,
            min_session_timeout: Duration::from_secs(6),
            verifier: None,
            faults: Faults::default(),
            retention_interval: Duration::from_secs(300),
            #[cfg(feature = "broker-tls")]
            tls: None,
        }
    }

    /// Listens on `address`. Port 0 takes any free port; see
    /// [`Broker::bootstrap`](super::Broker::bootstrap).
    pub const fn with_listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Tells clients to connect to `host` and `port` instead of the listen address. Port 0 stands
    /// for the port listened on.
    pub fn with_advertised(mut self, host: &str, port: u16) -> Self {
        self.advertised = Some((host.to_owned(), port));
        self
    }

    /// Creates a topic when a client first asks for its metadata, as `auto.create.topics.enable`
    /// does. Off by default: a misspelt topic is then an error instead of a new topic.
    pub const fn with_auto_create_topics(mut self) -> Self {
        self.topic_creation = TopicCreation::OnFirstUse;
        self
    }

    /// Partitions of a topic whose creator names no number, at least 1. The default is 1.
    pub fn with_default_partitions(mut self, partitions: u16) -> Self {
        self.default_partitions = i32::from(partitions.max(1));
        self
    }

    /// Flushes every batch and every committed offset to the disk before it is acknowledged.
    /// Without it an acknowledged write survives the death of this process, not the loss of power.
    pub const fn with_fsync(mut self) -> Self {
        self.durability = Durability::Disk;
        self
    }

    /// Largest record batch in bytes, 1,048,588 by default, as Kafka's `message.max.bytes`. A
    /// topic may say otherwise with `max.message.bytes`.
    pub const fn with_max_message_bytes(mut self, bytes: usize) -> Self {
        self.max_message_bytes = bytes;
        self
    }

    /// Size in bytes at which a partition starts a new file, 1 GiB by default.
    pub const fn with_segment_bytes(mut self, bytes: u64) -> Self {
        self.segment_bytes = bytes;
        self
    }

    /// How long the first rebalance of an empty group waits for more members. Zero by default,
    /// where Kafka waits three seconds.
    pub const fn with_initial_rebalance_delay(mut self, delay: Duration) -> Self {
        self.initial_rebalance_delay = delay;
        self
    }

    /// Shortest session timeout a group member may ask for, 6 seconds by default, as Kafka's
    /// `group.min.session.timeout.ms`.
    pub const fn with_min_session_timeout(mut self, timeout: Duration) -> Self {
        self.min_session_timeout = timeout;
        self
    }

    /// How often records to remove are looked for, be they old or outdated by others of their key:
    /// every five minutes by default, as Kafka's `log.retention.check.interval.ms`. What is kept is
    /// the topic's own setting.
    pub const fn with_retention_interval(mut self, interval: Duration) -> Self {
        self.retention_interval = interval;
        self
    }

    /// Serves only clients that `verifier` lets in, by SASL.
    pub fn with_sasl(mut self, verifier: impl Verifier + 'static) -> Self {
        self.verifier = Some(Arc::new(verifier));
        self
    }

    /// Speaks TLS only, with a chain of certificates, the broker's own first, and its private key,
    /// both PEM. Clients are not asked for certificates.
    #[cfg(feature = "broker-tls")]
    pub fn with_tls(mut self, certificates: &str, key: &str) -> Self {
        let (certificates, key) = (certificates.to_owned(), key.to_owned());
        self.tls = Some(super::tls::Identity { certificates, key });
        self
    }
}

/// 1 MiB and room for the head of the batch, Kafka's own default.
const DEFAULT_MAX_MESSAGE_BYTES: usize = 1024 * 1024 + 12;
const DEFAULT_SEGMENT_BYTES: u64 = 1024 * 1024 * 1024;
