//! Consumer groups: membership and rebalances in [`state`], committed offsets in [`offsets`].

mod member;
mod offsets;
mod state;

use std::collections::BTreeMap;
use std::io;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::{Notify, oneshot};

pub(super) use member::{Identity, Join, Joined, Protocol, Sync};
pub(super) use offsets::Committed;
pub(super) use state::{GroupState, Snapshot};

use super::config::Config;
use offsets::Offsets;
use state::Group;

/// What a request that may have to wait for other members gets.
#[derive(Debug)]
pub(super) enum Outcome<T> {
    Now(T),
    /// The answer comes when the rebalance has gone on far enough. A dropped sender means that
    /// the group is gone.
    Later(oneshot::Receiver<T>),
}

/// All groups. One lock covers membership and offsets, so a commit is judged and stored in one
/// step and cannot slip past a rebalance.
#[derive(Debug)]
pub(super) struct Coordinator {
    inner: Mutex<Inner>,
    /// Told when a deadline may have come nearer.
    sooner: Notify,
    rules: Rules,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Rules {
    pub(super) initial_delay: Duration,
    pub(super) min_session: Duration,
}

#[derive(Debug)]
struct Inner {
    groups: BTreeMap<StrBytes, Group>,
    offsets: Offsets,
}

/// One partition's part of a commit.
#[derive(Debug)]
pub(super) struct Commit {
    pub(super) topic: StrBytes,
    pub(super) partition: i32,
    pub(super) committed: Committed,
}

impl Coordinator {
    pub(super) fn open(config: &Config) -> io::Result<Self> {
        let offsets = Offsets::open(&config.data_dir.join("offsets.log"), config)?;
        Ok(Self {
            inner: Mutex::new(Inner { groups: BTreeMap::new(), offsets }),
            sooner: Notify::new(),
            rules: Rules {
                initial_delay: config.initial_rebalance_delay,
                min_session: config.min_session_timeout,
            },
        })
    }

    pub(super) fn join(
        &self,
        group: &StrBytes,
        join: Join,
    ) -> Outcome<Result<Joined, (ResponseError, StrBytes)>> {
        if let Err(error) = join.check(group, self.rules) {
            return Outcome::Now(Err((error, join.identity.member_id)));
        }
        let mut inner = self.lock();
        if !inner.groups.contains_key(group) {
            let known_member = !join.identity.member_id.is_empty();
            if known_member {
                return Outcome::Now(Err((
                    ResponseError::UnknownMemberId,
                    join.identity.member_id,
                )));
            }
        }
        let outcome = inner
            .groups
            .entry(group.clone())
            .or_insert_with(|| Group::new(self.rules.initial_delay))
            .join(join, Instant::now());
        self.sooner.notify_one();
        outcome
    }

    pub(super) fn sync(
        &self,
        group: &StrBytes,
        sync: Sync,
    ) -> Outcome<Result<member::Synced, ResponseError>> {
        let mut inner = self.lock();
        let outcome = match inner.groups.get_mut(group) {
            Some(group) => group.sync(sync, Instant::now()),
            None => Outcome::Now(Err(ResponseError::UnknownMemberId)),
        };
        self.sooner.notify_one();
        outcome
    }

    pub(super) fn heartbeat(
        &self,
        group: &StrBytes,
        identity: &Identity,
        generation: i32,
    ) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        let group = inner.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        group.heartbeat(identity, generation, Instant::now())
    }

    pub(super) fn leave(&self, group: &StrBytes, identity: &Identity) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        let group = inner.groups.get_mut(group).ok_or(ResponseError::UnknownMemberId)?;
        let left = group.leave(identity, Instant::now());
        self.sooner.notify_one();
        left
    }

    /// Stores offsets if the sender still belongs to the group in this generation.
    pub(super) fn commit(
        &self,
        group: &StrBytes,
        identity: &Identity,
        generation: i32,
        commits: &[Commit],
    ) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        match inner.groups.get_mut(group) {
            Some(group) => group.check_commit(identity, generation, Instant::now())?,
            // A consumer that assigns its own partitions commits with generation -1.
            None if generation < 0 => {}
            None => return Err(ResponseError::IllegalGeneration),
        }
        inner.offsets.commit(group, commits).map_err(storage)
    }

    /// Whether a consumer may put offsets into a transaction. One that names no member and no
    /// generation, as old clients do, is not checked.
    pub(super) fn check_transaction(
        &self,
        group: &StrBytes,
        identity: &Identity,
        generation: i32,
    ) -> Result<(), ResponseError> {
        if generation < 0 && identity.member_id.is_empty() {
            return Ok(());
        }
        match self.lock().groups.get_mut(group) {
            Some(group) => group.check_commit(identity, generation, Instant::now()),
            None if generation < 0 => Ok(()),
            None => Err(ResponseError::IllegalGeneration),
        }
    }

    /// Stores the offsets of a committed transaction, which were checked when they came.
    pub(super) fn commit_transaction(
        &self,
        group: &StrBytes,
        commits: &[Commit],
    ) -> Result<(), ResponseError> {
        self.lock().offsets.commit(group, commits).map_err(storage)
    }

    pub(super) fn committed(
        &self,
        group: &StrBytes,
        topic: &StrBytes,
        partition: i32,
    ) -> Option<Committed> {
        self.lock().offsets.get(group, topic, partition).cloned()
    }

    /// All offsets of a group, topic by topic.
    pub(super) fn all_committed(&self, group: &StrBytes) -> Vec<(StrBytes, i32, Committed)> {
        self.lock().offsets.of_group(group)
    }

    /// Removes single offsets. A group with members keeps the offsets of what it reads.
    pub(super) fn delete_offsets(
        &self,
        group: &StrBytes,
        partitions: &[(StrBytes, i32)],
    ) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        match inner.groups.get(group) {
            Some(group) if !group.is_empty() => return Err(ResponseError::NonEmptyGroup),
            None if !inner.offsets.has_group(group) => return Err(ResponseError::GroupIdNotFound),
            _ => {}
        }
        inner.offsets.delete(group, partitions).map_err(storage)
    }

    pub(super) fn delete_group(&self, group: &StrBytes) -> Result<(), ResponseError> {
        let mut inner = self.lock();
        match inner.groups.get(group) {
            Some(group) if !group.is_empty() => return Err(ResponseError::NonEmptyGroup),
            None if !inner.offsets.has_group(group) => return Err(ResponseError::GroupIdNotFound),
            _ => {}
        }
        inner.offsets.delete_group(group).map_err(storage)?;
        inner.groups.remove(group);
        Ok(())
    }

    /// Removes every group's offsets of a topic that is no more.
    pub(super) fn forget_topic(&self, topic: &str) -> Result<(), ResponseError> {
        self.lock().offsets.forget_topic(topic).map_err(storage)
    }

    /// The group as it is now; one that only has offsets is empty, one that has nothing is `None`.
    pub(super) fn describe(&self, group: &StrBytes) -> Option<Snapshot> {
        let inner = self.lock();
        match inner.groups.get(group) {
            Some(group) => Some(group.snapshot()),
            None => inner.offsets.has_group(group).then(Snapshot::empty),
        }
    }

    /// Name, protocol type and state of every group.
    pub(super) fn list(&self) -> Vec<(StrBytes, StrBytes, GroupState)> {
        let inner = self.lock();
        let mut groups: BTreeMap<StrBytes, (StrBytes, GroupState)> = inner
            .offsets
            .groups()
            .map(|group| (group.clone(), (StrBytes::new(), GroupState::Empty)))
            .collect();
        for (name, group) in &inner.groups {
            groups.insert(name.clone(), (group.protocol_type(), group.state()));
        }
        groups.into_iter().map(|(name, (kind, state))| (name, kind, state)).collect()
    }

    /// Lets sessions and rebalances end at their time. Never returns.
    pub(super) async fn keep_time(&self) {
        loop {
            let next = self.tick(Instant::now());
            let sleep = async {
                match next {
                    Some(next) => tokio::time::sleep_until(next.into()).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                () = sleep => {}
                () = self.sooner.notified() => {}
            }
        }
    }

    pub(super) fn sync_offsets(&self) -> io::Result<()> {
        self.lock().offsets.sync()
    }

    fn tick(&self, now: Instant) -> Option<Instant> {
        let mut inner = self.lock();
        inner.groups.retain(|_, group| {
            group.tick(now);
            !group.is_forgettable()
        });
        inner.groups.values().filter_map(Group::deadline).min()
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn storage(error: io::Error) -> ResponseError {
    tracing::error!(%error, "offset file failed");
    ResponseError::KafkaStorageError
}
