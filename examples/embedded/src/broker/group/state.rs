//! The rebalance protocol of one group. No IO and no clock in here: time comes in with each call,
//! replies that have to wait leave through channels.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::protocol::StrBytes;
use tokio::sync::oneshot;

use super::Outcome;
use super::member::{Identity, Join, Joined, Member, Protocol, Sync, Synced, millis};
use crate::broker::topics::random_id;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::broker) enum GroupState {
    /// No members.
    Empty,
    /// Waiting for all members to join again.
    Preparing,
    /// Waiting for the leader's assignment.
    Completing,
    /// Every member knows what it reads.
    Stable,
}

impl GroupState {
    pub(in crate::broker) const fn name(self) -> &'static str {
        match self {
            Self::Empty => "Empty",
            Self::Preparing => "PreparingRebalance",
            Self::Completing => "CompletingRebalance",
            Self::Stable => "Stable",
        }
    }
}

#[derive(Debug)]
pub(super) struct Group {
    state: GroupState,
    generation: i32,
    protocol_type: StrBytes,
    /// Chosen for this generation.
    protocol: StrBytes,
    leader: StrBytes,
    /// In the order they joined.
    members: Vec<Member>,
    /// Ids given to members that have yet to join with them, and when they are taken back.
    pending: BTreeMap<StrBytes, Instant>,
    /// A rebalance that has begun ends without the missing members at this time.
    rebalance_end: Option<Instant>,
    /// A first rebalance does not end before this time.
    hold_until: Option<Instant>,
    initial_delay: Duration,
}

/// A group as others see it.
#[derive(Debug)]
pub(in crate::broker) struct Snapshot {
    pub(in crate::broker) state: GroupState,
    pub(in crate::broker) protocol_type: StrBytes,
    pub(in crate::broker) protocol: StrBytes,
    pub(in crate::broker) members: Vec<MemberSnapshot>,
}

#[derive(Debug)]
pub(in crate::broker) struct MemberSnapshot {
    pub(in crate::broker) id: StrBytes,
    pub(in crate::broker) instance_id: Option<StrBytes>,
    pub(in crate::broker) client_id: StrBytes,
    pub(in crate::broker) client_host: StrBytes,
    pub(in crate::broker) metadata: Bytes,
    pub(in crate::broker) assignment: Bytes,
}

impl Snapshot {
    pub(super) const fn empty() -> Self {
        Self {
            state: GroupState::Empty,
            protocol_type: StrBytes::new(),
            protocol: StrBytes::new(),
            members: Vec::new(),
        }
    }
}

type JoinOutcome = Outcome<Result<Joined, (ResponseError, StrBytes)>>;

impl Group {
    pub(super) const fn new(initial_delay: Duration) -> Self {
        Self {
            state: GroupState::Empty,
            generation: 0,
            protocol_type: StrBytes::new(),
            protocol: StrBytes::new(),
            leader: StrBytes::new(),
            members: Vec::new(),
            pending: BTreeMap::new(),
            rebalance_end: None,
            hold_until: None,
            initial_delay,
        }
    }

    pub(super) fn join(&mut self, join: Join, now: Instant) -> JoinOutcome {
        let id = join.identity.member_id.clone();
        if !self.members.is_empty() && !self.fits(&join) {
            return Outcome::Now(Err((ResponseError::InconsistentGroupProtocol, id)));
        }
        if id.is_empty() {
            return self.join_as_new(join, now);
        }
        match self.find(&join.identity) {
            Ok(index) => self.join_again(index, join, now),
            Err(ResponseError::UnknownMemberId) if self.pending.remove(&id).is_some() => {
                self.add(join, id, now)
            }
            Err(error) => Outcome::Now(Err((error, id))),
        }
    }

    pub(super) fn sync(
        &mut self,
        sync: Sync,
        now: Instant,
    ) -> Outcome<Result<Synced, ResponseError>> {
        let refuse = |error| Outcome::Now(Err(error));
        let index = match self.find_in(&sync.identity, sync.generation) {
            Ok(index) => index,
            Err(error) => return refuse(error),
        };
        let differs = |said: &Option<StrBytes>, ours: &StrBytes| {
            said.as_ref().is_some_and(|said| said != ours)
        };
        if differs(&sync.protocol_type, &self.protocol_type)
            || differs(&sync.protocol, &self.protocol)
        {
            return refuse(ResponseError::InconsistentGroupProtocol);
        }
        let Some(member) = self.members.get_mut(index) else {
            return refuse(ResponseError::UnknownMemberId);
        };
        member.refresh(now);
        match self.state {
            GroupState::Empty => refuse(ResponseError::UnknownMemberId),
            GroupState::Preparing => refuse(ResponseError::RebalanceInProgress),
            GroupState::Stable => Outcome::Now(Ok(Synced {
                protocol_type: self.protocol_type.clone(),
                protocol: self.protocol.clone(),
                assignment: member.assignment.clone(),
            })),
            GroupState::Completing => {
                let (sender, receiver) = oneshot::channel();
                member.syncing = Some(sender);
                if member.id == self.leader {
                    self.assign(sync.assignments, now);
                }
                Outcome::Later(receiver)
            }
        }
    }

    pub(super) fn heartbeat(
        &mut self,
        identity: &Identity,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        let index = self.find_in(identity, generation)?;
        if let Some(member) = self.members.get_mut(index) {
            member.refresh(now);
        }
        match self.state {
            GroupState::Preparing => Err(ResponseError::RebalanceInProgress),
            _ => Ok(()),
        }
    }

    pub(super) fn leave(&mut self, identity: &Identity, now: Instant) -> Result<(), ResponseError> {
        if self.pending.remove(&identity.member_id).is_some() {
            self.try_complete(now);
            return Ok(());
        }
        let index = match (&identity.instance_id, identity.member_id.is_empty()) {
            // An administrator removes a static member by its instance id alone.
            (Some(instance), true) => {
                self.static_member(instance).ok_or(ResponseError::UnknownMemberId)?
            }
            _ => self.find(identity)?,
        };
        self.remove(index, now);
        Ok(())
    }

    /// Whether this sender may commit offsets now.
    pub(super) fn check_commit(
        &mut self,
        identity: &Identity,
        generation: i32,
        now: Instant,
    ) -> Result<(), ResponseError> {
        if generation < 0 && self.members.is_empty() {
            return Ok(());
        }
        let index = self.find_in(identity, generation)?;
        if self.state == GroupState::Completing {
            // What the member had is being given away.
            return Err(ResponseError::RebalanceInProgress);
        }
        if let Some(member) = self.members.get_mut(index) {
            member.refresh(now);
        }
        Ok(())
    }

    /// Ends what is over: sessions, promised ids, rebalances.
    pub(super) fn tick(&mut self, now: Instant) {
        self.pending.retain(|_, end| *end > now);
        while let Some(index) = self
            .members
            .iter()
            .position(|member| !member.awaits_reply() && member.session_end <= now)
        {
            self.remove(index, now);
        }
        if self.rebalance_end.is_some_and(|end| end <= now) {
            match self.state {
                GroupState::Preparing => self.complete_join(now),
                GroupState::Completing => self.drop_unsynced(now),
                _ => self.rebalance_end = None,
            }
        }
        self.try_complete(now);
    }

    /// When [`Self::tick`] has something to do next.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let sessions = self.members.iter().filter(|member| !member.awaits_reply());
        sessions
            .map(|member| member.session_end)
            .chain(self.pending.values().copied())
            .chain(self.rebalance_end)
            .chain(self.hold_until)
            .min()
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.members.is_empty()
    }

    /// Nothing is lost when the group is made anew by the next join.
    pub(super) fn is_forgettable(&self) -> bool {
        self.members.is_empty() && self.pending.is_empty()
    }

    pub(super) const fn state(&self) -> GroupState {
        self.state
    }

    pub(super) fn protocol_type(&self) -> StrBytes {
        self.protocol_type.clone()
    }

    pub(super) fn snapshot(&self) -> Snapshot {
        let stable = self.state == GroupState::Stable;
        let members = self.members.iter().map(|member| MemberSnapshot {
            id: member.id.clone(),
            instance_id: member.instance_id.clone(),
            client_id: member.client_id.clone(),
            client_host: member.client_host.clone(),
            metadata: if stable { member.metadata(&self.protocol) } else { Bytes::new() },
            assignment: if stable { member.assignment.clone() } else { Bytes::new() },
        });
        Snapshot {
            state: self.state,
            protocol_type: self.protocol_type.clone(),
            protocol: if stable { self.protocol.clone() } else { StrBytes::new() },
            members: members.collect(),
        }
    }

    fn join_as_new(&mut self, join: Join, now: Instant) -> JoinOutcome {
        let id = new_member_id(&join);
        let replaced =
            join.identity.instance_id.as_ref().and_then(|instance| self.static_member(instance));
        if let Some(index) = replaced {
            return self.replace_static(index, join, id, now);
        }
        if join.id_first && join.identity.instance_id.is_none() {
            self.pending.insert(id.clone(), now + millis(join.session_timeout_ms));
            return Outcome::Now(Err((ResponseError::MemberIdRequired, id)));
        }
        self.add(join, id, now)
    }

    fn add(&mut self, join: Join, id: StrBytes, now: Instant) -> JoinOutcome {
        let (sender, receiver) = oneshot::channel();
        self.protocol_type = join.protocol_type.clone();
        self.members.push(join.into_member(id, sender, now));
        self.rebalance(now);
        Outcome::Later(receiver)
    }

    /// A static member came back under a new id: its old self is shut out.
    fn replace_static(
        &mut self,
        index: usize,
        join: Join,
        id: StrBytes,
        now: Instant,
    ) -> JoinOutcome {
        let (sender, receiver) = oneshot::channel();
        if let Some(member) = self.members.get_mut(index) {
            let old = std::mem::replace(&mut member.id, id.clone());
            if let Some(joining) = member.joining.take() {
                let _ = joining.send(Err((ResponseError::FencedInstanceId, old.clone())));
            }
            if let Some(syncing) = member.syncing.take() {
                let _ = syncing.send(Err(ResponseError::FencedInstanceId));
            }
            if self.leader == old {
                self.leader = id;
            }
            member.rejoin(join, sender, now);
        }
        self.rebalance(now);
        Outcome::Later(receiver)
    }

    fn join_again(&mut self, index: usize, join: Join, now: Instant) -> JoinOutcome {
        let Some(member) = self.members.get_mut(index) else {
            return Outcome::Now(Err((ResponseError::UnknownMemberId, join.identity.member_id)));
        };
        let unchanged = member.protocols == join.protocols;
        let settled = match self.state {
            // A repeated join, whose first reply got lost.
            GroupState::Completing => unchanged,
            // The leader joins again when it wants a new assignment.
            GroupState::Stable => unchanged && member.id != self.leader,
            GroupState::Empty | GroupState::Preparing => false,
        };
        if settled {
            member.refresh(now);
            return Outcome::Now(Ok(self.joined(index)));
        }
        let (sender, receiver) = oneshot::channel();
        member.rejoin(join, sender, now);
        self.rebalance(now);
        Outcome::Later(receiver)
    }

    /// Begins a rebalance, or looks whether the one under way can end.
    fn rebalance(&mut self, now: Instant) {
        match self.state {
            GroupState::Preparing => {}
            GroupState::Empty => {
                self.hold_until = Some(now + self.initial_delay);
                self.prepare(now);
            }
            GroupState::Completing | GroupState::Stable => self.prepare(now),
        }
        self.try_complete(now);
    }

    fn prepare(&mut self, now: Instant) {
        for member in &mut self.members {
            member.assignment = Bytes::new();
            if let Some(syncing) = member.syncing.take() {
                member.refresh(now);
                let _ = syncing.send(Err(ResponseError::RebalanceInProgress));
            }
        }
        self.state = GroupState::Preparing;
        self.rebalance_end = Some(now + self.rebalance_timeout());
    }

    fn try_complete(&mut self, now: Instant) {
        if self.state != GroupState::Preparing {
            return;
        }
        if self.hold_until.is_some_and(|until| until > now) {
            return;
        }
        self.hold_until = None;
        let all_joined = self.members.iter().all(|member| member.joining.is_some());
        if all_joined && self.pending.is_empty() {
            self.complete_join(now);
        }
    }

    /// Begins a new generation with the members that have joined.
    fn complete_join(&mut self, now: Instant) {
        self.hold_until = None;
        // A static member keeps its place until its session ends.
        self.members.retain(|member| member.joining.is_some() || member.instance_id.is_some());
        self.generation = self.generation.wrapping_add(1).max(1);
        if self.members.is_empty() {
            self.become_empty();
            return;
        }
        self.protocol = self.vote();
        let is_joined = |member: &&Member| member.joining.is_some();
        let keeps_leader = self.members.iter().filter(is_joined).any(|own| own.id == self.leader);
        if !keeps_leader {
            let joined = self.members.iter().find(is_joined);
            // Without anyone who joined the rebalance ends when the static members' time is up.
            self.leader = joined.map(|member| member.id.clone()).unwrap_or_default();
        }
        self.state = GroupState::Completing;
        self.rebalance_end = Some(now + self.rebalance_timeout());
        for index in 0..self.members.len() {
            let joined = self.joined(index);
            let Some(member) = self.members.get_mut(index) else { continue };
            if let Some(joining) = member.joining.take() {
                member.refresh(now);
                let _ = joining.send(Ok(joined));
            }
        }
    }

    fn joined(&self, index: usize) -> Joined {
        let member_id = self.members.get(index).map(|member| member.id.clone()).unwrap_or_default();
        let members = if member_id == self.leader {
            let describe = |member: &Member| {
                (member.id.clone(), member.instance_id.clone(), member.metadata(&self.protocol))
            };
            self.members.iter().map(describe).collect()
        } else {
            Vec::new()
        };
        Joined {
            generation: self.generation,
            protocol_type: self.protocol_type.clone(),
            protocol: self.protocol.clone(),
            leader: self.leader.clone(),
            member_id,
            members,
        }
    }

    fn assign(&mut self, assignments: Vec<(StrBytes, Bytes)>, now: Instant) {
        let mut assignments: BTreeMap<StrBytes, Bytes> = assignments.into_iter().collect();
        for member in &mut self.members {
            member.assignment = assignments.remove(&member.id).unwrap_or_default();
            if let Some(syncing) = member.syncing.take() {
                member.refresh(now);
                let _ = syncing.send(Ok(Synced {
                    protocol_type: self.protocol_type.clone(),
                    protocol: self.protocol.clone(),
                    assignment: member.assignment.clone(),
                }));
            }
        }
        self.state = GroupState::Stable;
        self.rebalance_end = None;
    }

    /// The leader's assignment did not come in time: go on with those who asked for it.
    fn drop_unsynced(&mut self, now: Instant) {
        self.members.retain(|member| member.syncing.is_some());
        self.prepare(now);
    }

    fn remove(&mut self, index: usize, now: Instant) {
        if index >= self.members.len() {
            return;
        }
        let member = self.members.remove(index);
        if let Some(joining) = member.joining {
            let _ = joining.send(Err((ResponseError::UnknownMemberId, member.id)));
        }
        if let Some(syncing) = member.syncing {
            let _ = syncing.send(Err(ResponseError::UnknownMemberId));
        }
        if matches!(self.state, GroupState::Stable | GroupState::Completing) {
            self.prepare(now);
        }
        self.try_complete(now);
    }

    fn become_empty(&mut self) {
        self.state = GroupState::Empty;
        self.protocol = StrBytes::new();
        self.leader = StrBytes::new();
        self.rebalance_end = None;
    }

    /// The protocol all members can speak that most like best; the first of equals.
    fn vote(&self) -> StrBytes {
        let shared = |protocol: &&Protocol| {
            self.members.iter().all(|member| member.supports(&protocol.name))
        };
        let mut votes: Vec<(StrBytes, usize)> = Vec::new();
        for member in &self.members {
            let Some(choice) = member.protocols.iter().find(shared) else { continue };
            match votes.iter_mut().find(|(name, _)| *name == choice.name) {
                Some((_, count)) => *count += 1,
                None => votes.push((choice.name.clone(), 1)),
            }
        }
        let most = votes.iter().map(|(_, count)| *count).max();
        let winner = votes.into_iter().find(|(_, count)| Some(*count) == most);
        winner.map(|(name, _)| name).unwrap_or_default()
    }

    /// Whether the group still has a protocol in common when this one joins.
    fn fits(&self, join: &Join) -> bool {
        let others = || {
            self.members.iter().filter(|member| {
                member.id != join.identity.member_id
                    && (join.identity.instance_id.is_none()
                        || member.instance_id != join.identity.instance_id)
            })
        };
        let shared = |protocol: &Protocol| others().all(|member| member.supports(&protocol.name));
        others().next().is_none()
            || (join.protocol_type == self.protocol_type && join.protocols.iter().any(shared))
    }

    fn find_in(&self, identity: &Identity, generation: i32) -> Result<usize, ResponseError> {
        let index = self.find(identity)?;
        if generation == self.generation {
            Ok(index)
        } else {
            Err(ResponseError::IllegalGeneration)
        }
    }

    fn find(&self, identity: &Identity) -> Result<usize, ResponseError> {
        if let Some(instance) = &identity.instance_id {
            let index = self.static_member(instance).ok_or(ResponseError::UnknownMemberId)?;
            let same = self.members.get(index).is_some_and(|own| own.id == identity.member_id);
            return if same { Ok(index) } else { Err(ResponseError::FencedInstanceId) };
        }
        let index = self.members.iter().position(|member| member.id == identity.member_id);
        index.ok_or(ResponseError::UnknownMemberId)
    }

    fn static_member(&self, instance: &StrBytes) -> Option<usize> {
        self.members.iter().position(|member| member.instance_id.as_ref() == Some(instance))
    }

    fn rebalance_timeout(&self) -> Duration {
        self.members.iter().map(|member| member.rebalance_timeout).max().unwrap_or_default()
    }
}

fn new_member_id(join: &Join) -> StrBytes {
    let name = join.identity.instance_id.as_ref().unwrap_or(&join.client_id);
    StrBytes::from_string(format!("{name}-{}", random_id()))
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
