//! Everything the requests of all connections share.

use std::fmt;
use std::io;
use std::sync::{Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};

use kafka_protocol::ResponseError;
use kafka_protocol::messages::BrokerId;
use kafka_protocol::protocol::StrBytes;

use super::config::Config;
use super::error::Error;
use super::group::Coordinator;
use super::persist;
use super::topics::{self, Topics};
use super::txn;

/// The id of the only node.
pub(super) const NODE_ID: BrokerId = BrokerId(1);

pub(super) struct Node {
    pub(super) config: Config,
    /// Where clients are told to connect.
    pub(super) host: StrBytes,
    pub(super) port: u16,
    pub(super) cluster_id: StrBytes,
    pub(super) topics: Topics,
    pub(super) groups: Coordinator,
    pub(super) transactions: txn::Coordinator,
    #[cfg(feature = "broker-tls")]
    pub(super) tls: Option<tokio_rustls::TlsAcceptor>,
    producer_ids: Mutex<ProducerIds>,
}

impl fmt::Debug for Node {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Node").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Producer ids are never given twice, also not after a crash: a block of them is written down
/// as used before its first one is given.
#[derive(Debug)]
struct ProducerIds {
    next: i64,
    block_end: i64,
}

impl Node {
    pub(super) fn open(config: Config, host: &str, port: u16) -> Result<Self, Error> {
        let dir = config.data_dir.clone();
        let storage = |error: io::Error| Error::storage(&dir, error);
        std::fs::create_dir_all(&config.data_dir).map_err(storage)?;
        let cluster_file = config.data_dir.join(CLUSTER_FILE);
        let cluster_id = match persist::read(&cluster_file).map_err(storage)? {
            Some(id) => id,
            None => {
                let id = topics::random_id().simple().to_string();
                persist::replace(&cluster_file, id.as_bytes()).map_err(storage)?;
                id
            }
        };
        let used = persist::read(&config.data_dir.join(PRODUCER_ID_FILE)).map_err(storage)?;
        let next = match used.map(|text| text.trim().parse::<i64>()) {
            None => 0,
            Some(Ok(next)) if next >= 0 => next,
            Some(_) => return Err(storage(persist::damaged("producer ids"))),
        };
        let topics = Topics::open(&config).map_err(storage)?;
        let groups = Coordinator::open(&config).map_err(storage)?;
        let transactions = txn::Coordinator::open(&config).map_err(storage)?;
        let node = Self {
            host: StrBytes::from_string(host.to_owned()),
            port,
            cluster_id: StrBytes::from_string(cluster_id.trim().to_owned()),
            topics,
            groups,
            transactions,
            #[cfg(feature = "broker-tls")]
            tls: config.tls.as_ref().map(super::tls::Identity::acceptor).transpose()?,
            producer_ids: Mutex::new(ProducerIds { next, block_end: next }),
            config,
        };
        node.transactions.resume(&node).map_err(|error| storage(io::Error::other(error)))?;
        Ok(node)
    }

    /// A producer id no one has had before.
    pub(super) fn next_producer_id(&self) -> io::Result<i64> {
        let mut ids = self.producer_ids.lock().unwrap_or_else(PoisonError::into_inner);
        if ids.next == ids.block_end {
            let block_end = ids.block_end + PRODUCER_ID_BLOCK;
            let path = self.config.data_dir.join(PRODUCER_ID_FILE);
            persist::replace(&path, block_end.to_string().as_bytes())?;
            ids.block_end = block_end;
        }
        let id = ids.next;
        ids.next += 1;
        Ok(id)
    }

    /// There is one leader, unless it is told to deny it.
    pub(super) fn check_leader(&self) -> Result<(), ResponseError> {
        let denied = self.config.faults.now().not_leader;
        if denied { Err(ResponseError::NotLeaderOrFollower) } else { Ok(()) }
    }

    pub(super) fn throttle_ms(&self) -> i32 {
        i32::try_from(self.config.faults.now().throttle.as_millis()).unwrap_or(i32::MAX)
    }

    /// Flushes all logs.
    pub(super) fn sync(&self) -> io::Result<()> {
        for topic in self.topics.all() {
            for partition in &topic.partitions {
                partition.sync()?;
            }
        }
        self.groups.sync_offsets()?;
        self.transactions.sync()
    }
}

/// Milliseconds since 1970.
pub(super) fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

const CLUSTER_FILE: &str = "cluster-id";
const PRODUCER_ID_FILE: &str = "producer-ids";
const PRODUCER_ID_BLOCK: i64 = 1000;
