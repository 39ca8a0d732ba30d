//! What members send and get.

use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use super::Rules;

/// How a request names the member it speaks for.
#[derive(Debug, Clone, Default)]
pub(in crate::broker) struct Identity {
    /// Empty until the broker has given one.
    pub(in crate::broker) member_id: StrBytes,
    /// Chosen by the client, to be the same member after a restart.
    pub(in crate::broker) instance_id: Option<StrBytes>,
}

#[derive(Debug)]
pub(in crate::broker) struct Join {
    pub(in crate::broker) identity: Identity,
    pub(in crate::broker) client_id: StrBytes,
    pub(in crate::broker) client_host: StrBytes,
    pub(in crate::broker) session_timeout_ms: i32,
    pub(in crate::broker) rebalance_timeout_ms: i32,
    pub(in crate::broker) protocol_type: StrBytes,
    /// In the client's order of preference.
    pub(in crate::broker) protocols: Vec<Protocol>,
    /// A new member is first told its id and then joins with it (KIP-394), so that a join that
    /// is repeated leaves no ghost behind.
    pub(in crate::broker) id_first: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::broker) struct Protocol {
    pub(in crate::broker) name: StrBytes,
    pub(in crate::broker) metadata: Bytes,
}

/// A member's place in a new generation.
#[derive(Debug, Clone)]
pub(in crate::broker) struct Joined {
    pub(in crate::broker) generation: i32,
    pub(in crate::broker) protocol_type: StrBytes,
    pub(in crate::broker) protocol: StrBytes,
    pub(in crate::broker) leader: StrBytes,
    pub(in crate::broker) member_id: StrBytes,
    /// Member id, instance id and metadata of all, for the leader only.
    pub(in crate::broker) members: Vec<(StrBytes, Option<StrBytes>, Bytes)>,
}

#[derive(Debug)]
pub(in crate::broker) struct Sync {
    pub(in crate::broker) identity: Identity,
    pub(in crate::broker) generation: i32,
    pub(in crate::broker) protocol_type: Option<StrBytes>,
    pub(in crate::broker) protocol: Option<StrBytes>,
    /// From the leader: member id and assignment.
    pub(in crate::broker) assignments: Vec<(StrBytes, Bytes)>,
}

#[derive(Debug, Clone)]
pub(in crate::broker) struct Synced {
    pub(in crate::broker) protocol_type: StrBytes,
    pub(in crate::broker) protocol: StrBytes,
    pub(in crate::broker) assignment: Bytes,
}

pub(super) type JoinSender = oneshot::Sender<Result<Joined, (ResponseError, StrBytes)>>;
pub(super) type SyncSender = oneshot::Sender<Result<Synced, ResponseError>>;

#[derive(Debug)]
pub(super) struct Member {
    pub(super) id: StrBytes,
    pub(super) instance_id: Option<StrBytes>,
    pub(super) client_id: StrBytes,
    pub(super) client_host: StrBytes,
    pub(super) session_timeout: Duration,
    pub(super) rebalance_timeout: Duration,
    pub(super) protocols: Vec<Protocol>,
    pub(super) assignment: Bytes,
    pub(super) joining: Option<JoinSender>,
    pub(super) syncing: Option<SyncSender>,
    /// When the session ends; it cannot end while a reply is owed.
    pub(super) session_end: Instant,
}

impl Join {
    pub(super) fn check(&self, group: &str, rules: Rules) -> Result<(), ResponseError> {
        if group.is_empty() {
            return Err(ResponseError::InvalidGroupId);
        }
        let session = millis(self.session_timeout_ms);
        if session < rules.min_session || session > MAX_SESSION {
            return Err(ResponseError::InvalidSessionTimeout);
        }
        if self.protocol_type.is_empty() || self.protocols.is_empty() {
            return Err(ResponseError::InconsistentGroupProtocol);
        }
        Ok(())
    }

    /// The member this join describes, under the given id.
    pub(super) fn into_member(self, id: StrBytes, joining: JoinSender, now: Instant) -> Member {
        let session_timeout = millis(self.session_timeout_ms);
        Member {
            id,
            instance_id: self.identity.instance_id,
            client_id: self.client_id,
            client_host: self.client_host,
            session_timeout,
            rebalance_timeout: rebalance_timeout(self.rebalance_timeout_ms, session_timeout),
            protocols: self.protocols,
            assignment: Bytes::new(),
            joining: Some(joining),
            syncing: None,
            session_end: now + session_timeout,
        }
    }
}

impl Member {
    /// Takes over what a later join says.
    pub(super) fn rejoin(&mut self, join: Join, joining: JoinSender, now: Instant) {
        self.session_timeout = millis(join.session_timeout_ms);
        self.rebalance_timeout = rebalance_timeout(join.rebalance_timeout_ms, self.session_timeout);
        self.client_id = join.client_id;
        self.client_host = join.client_host;
        self.protocols = join.protocols;
        self.joining = Some(joining);
        self.refresh(now);
    }

    pub(super) fn refresh(&mut self, now: Instant) {
        self.session_end = now + self.session_timeout;
    }

    pub(super) const fn awaits_reply(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    pub(super) fn metadata(&self, protocol: &str) -> Bytes {
        let named = self.protocols.iter().find(|own| own.name.as_str() == protocol);
        named.map(|own| own.metadata.clone()).unwrap_or_default()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|own| own.name.as_str() == protocol)
    }
}

pub(super) fn millis(timeout: i32) -> Duration {
    Duration::from_millis(u64::try_from(timeout).unwrap_or(0))
}

/// Version 0 of `JoinGroup` has no rebalance timeout and means the session timeout.
fn rebalance_timeout(timeout: i32, session: Duration) -> Duration {
    if timeout < 0 { session } else { millis(timeout) }
}

/// Kafka's `group.max.session.timeout.ms`.
const MAX_SESSION: Duration = Duration::from_secs(30 * 60);
