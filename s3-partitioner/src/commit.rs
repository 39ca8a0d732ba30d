use crate::clock::{Breakpoints, announcement, read_announcement};
use crate::{Error, ErrorKind, OpenFile, Rotation, RotationConfig};

/// The commits of **one topic partition** that make its objects exactly-once for every way of
/// rotating, with the broker's committed offset as the only journal.
///
/// 1. [`intent`](Self::intent): when a rotation is decided, its last offset `e` is committed as
///    *metadata* of the offset that is committed already, together with what the records alone do
///    not determine: where the wall clock went on, if paths depend on it.
/// 2. [`objects`](Self::objects): the objects are completed. None becomes visible before the broker
///    has acknowledged step 1.
/// 3. [`commit`](Self::commit): `e + 1` is committed, without metadata.
///
/// The schemas of files need no place in step 1: a rotation begins without files, so they follow
/// from its records, those that were rejected or passed over included. That is why the end is behind
/// those too.
///
/// Tell the plan of the broker's answers with [`acknowledged`](Self::acknowledged) and
/// [`refused`](Self::refused). Steps out of their order are errors, and a step whose outcome is not
/// known can be asked for again.
///
/// Whoever reads the partition next [`recover`](Self::recover)s the plan from what is committed,
/// reads on from [`resume`](Self::resume), and decides with [`rotation`](Self::rotation), which
/// closes exactly where an announced rotation ends, so that the same records go into objects of the
/// same names. An owner that has lost the partition without knowing is refused step 1, or can only
/// write what the new owner writes.
///
/// ```
/// use std::time::SystemTime;
/// use s3_partitioner::{CommitPlan, Intent, Record, Rotate, SchemaKey, Settings};
///
/// let settings = Settings::from_properties([("flush.size", "2")])?;
/// let (mut paths, now) = (settings.paths(), SystemTime::now());
///
/// let mut plan = CommitPlan::recover(800, "")?;
/// let mut rotation = plan.rotation(settings.rotation().clone());
/// for offset in [800, 828] {
///     let record = Record::new("orders", 0, offset);
///     let decision = rotation.place(&mut paths, &record, SchemaKey::new(1), now)?;
///     assert_eq!(decision == Rotate::After, offset == 828);
/// }
/// let Intent::Announce(step) = plan.intent(&rotation)? else { unreachable!() };
/// assert_eq!((step.offset(), step.metadata()), (800, r#"{"end":828}"#));
/// plan.acknowledged();
///
/// // The process dies here; the next owner finds 800 with that metadata.
/// let mut plan = CommitPlan::recover(800, step.metadata())?;
/// let mut rotation = plan.rotation(settings.rotation().clone());
/// for offset in [800, 828] {
///     let record = Record::new("orders", 0, offset);
///     let _ = rotation.place(&mut paths, &record, SchemaKey::new(1), now)?;
/// }
/// assert_eq!(plan.intent(&rotation)?, Intent::Announced);
/// assert_eq!(plan.objects(&rotation)?.next().map(|file| file.start_offset()), Some(800));
/// let step = plan.commit()?;
/// assert_eq!((step.offset(), step.metadata()), (829, ""));
/// plan.acknowledged();
/// rotation.closed(now);
/// assert_eq!(plan.resume(), 829);
/// # Ok::<(), s3_partitioner::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPlan {
    resume: i64,
    phase: Phase,
    /// Of the announcement that was taken over.
    clock: Breakpoints,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Nothing is announced.
    Open,
    /// Step 1 is on its way.
    Announcing(i64),
    /// Step 1 is acknowledged; objects may be completed.
    Announced(i64),
    /// Step 1 was acknowledged to an earlier owner.
    Inherited(i64),
    /// Step 3 is on its way.
    Committing(i64),
    /// Another owner has the partition.
    Lost,
}

/// What closing the files begins with.
#[must_use]
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "every caller has to act on each of the five")]
pub enum Intent {
    /// Nothing was read.
    Nothing,
    /// What was read went into no file. Commit this, so that it is not read again, and there is
    /// nothing to complete.
    Skip(OffsetCommit),
    /// An end that an earlier owner announced has not been reached yet, and closing before it would
    /// double records. Read on, or give the files up.
    Bound,
    /// Commit this, and go on with [`CommitPlan::objects`] once it is acknowledged. If it is
    /// refused, give the files up.
    Announce(OffsetCommit),
    /// It is announced already: go on with [`CommitPlan::objects`].
    Announced,
}

/// An offset to commit for the topic partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OffsetCommit {
    offset: i64,
    metadata: String,
}

impl OffsetCommit {
    /// The offset.
    #[must_use]
    pub const fn offset(&self) -> i64 {
        self.offset
    }

    /// The metadata to commit with it; empty to clear it.
    #[must_use]
    pub fn metadata(&self) -> &str {
        &self.metadata
    }
}

impl CommitPlan {
    /// Starts at an offset with nothing under way.
    #[must_use]
    pub const fn new(resume: i64) -> Self {
        Self { resume, phase: Phase::Open, clock: Breakpoints::new() }
    }

    /// Takes over from what the group has committed. Empty metadata means nothing was under way,
    /// and so does an end before the offset.
    ///
    /// # Errors
    /// [`ErrorKind::Metadata`] if the metadata is not what [`intent`](Self::intent) writes: some
    /// other program commits to this group, and going on could double records.
    pub fn recover(committed: i64, metadata: &str) -> Result<Self, Error> {
        let mut plan = Self::new(committed);
        if !metadata.is_empty() {
            let (end, clock) =
                read_announcement(metadata).ok_or_else(|| Error::new(ErrorKind::Metadata))?;
            if end >= committed {
                plan.phase = Phase::Inherited(end);
                plan.clock = clock;
            }
        }
        Ok(plan)
    }

    /// The decisions to go on with. Start a new one whenever the files are given up.
    #[must_use]
    pub fn rotation(&self, config: RotationConfig) -> Rotation {
        let rotation = Rotation::new(config);
        match self.phase {
            Phase::Inherited(end) => rotation.with_replay(end, self.clock.clone()),
            _ => rotation,
        }
    }

    /// Step 1: announces that the files of `rotation` end with the record written or passed over
    /// last.
    ///
    /// # Errors
    /// [`ErrorKind::Step`] if something else is announced or on its way, or the partition is lost.
    pub fn intent(&mut self, rotation: &Rotation) -> Result<Intent, Error> {
        let Some(end) = rotation.end() else { return Ok(Intent::Nothing) };
        let nothing = rotation.record_count() == 0;
        match self.phase {
            Phase::Open if nothing => Ok(Intent::Skip(self.pass(end))),
            Phase::Committing(passed) if nothing && passed == end => {
                Ok(Intent::Skip(self.pass(end)))
            }
            Phase::Inherited(announced) if nothing => Ok(if rotation.is_bound() {
                Intent::Bound
            } else {
                Intent::Skip(self.pass(end.max(announced)))
            }),
            // The record at the announced end may be gone from the log by now; the end is not.
            Phase::Inherited(announced) if rotation.is_bound() => Ok(if rotation.is_at_end() {
                self.phase = Phase::Announced(announced);
                Intent::Announced
            } else {
                Intent::Bound
            }),
            Phase::Announced(announced) if announced == end || rotation.is_at_end() => {
                Ok(Intent::Announced)
            }
            // Nothing that an earlier owner had announced is in the log any more.
            Phase::Inherited(announced) if announced < end => Ok(self.announce(end, rotation)),
            Phase::Open => Ok(self.announce(end, rotation)),
            Phase::Announcing(announced) if announced == end => Ok(self.announce(end, rotation)),
            _ => Err(Error::new(ErrorKind::Step)),
        }
    }

    /// Step 2: the files to complete, in this order. If one fails it may be tried again.
    ///
    /// # Errors
    /// [`ErrorKind::Step`] unless the broker has acknowledged step 1.
    pub fn objects<'r>(
        &self,
        rotation: &'r Rotation,
    ) -> Result<impl Iterator<Item = &'r OpenFile> + use<'r>, Error> {
        match self.phase {
            Phase::Announced(_) => Ok(rotation.open_files()),
            _ => Err(Error::new(ErrorKind::Step)),
        }
    }

    /// Step 3, once all objects are complete.
    ///
    /// # Errors
    /// [`ErrorKind::Step`] unless the broker has acknowledged step 1.
    pub fn commit(&mut self) -> Result<OffsetCommit, Error> {
        match self.phase {
            Phase::Announced(end) | Phase::Committing(end) => Ok(self.pass(end)),
            _ => Err(Error::new(ErrorKind::Step)),
        }
    }

    /// The broker has taken what [`intent`](Self::intent) or [`commit`](Self::commit) gave last.
    /// After the latter call [`Rotation::closed`].
    pub fn acknowledged(&mut self) {
        match self.phase {
            Phase::Announcing(end) => self.phase = Phase::Announced(end),
            Phase::Committing(end) => {
                self.resume = end.saturating_add(1);
                self.phase = Phase::Open;
                self.clock.clear();
            }
            Phase::Open | Phase::Announced(_) | Phase::Inherited(_) | Phase::Lost => {}
        }
    }

    /// The broker has refused what [`intent`](Self::intent) or [`commit`](Self::commit) gave last:
    /// another owner has the partition. Every further step is an error; if the partition comes
    /// back, [`recover`](Self::recover).
    pub const fn refused(&mut self) {
        self.phase = Phase::Lost;
    }

    /// The offset that is committed, where reading starts after a restart.
    #[must_use]
    pub const fn resume(&self) -> i64 {
        self.resume
    }

    /// The end of a rotation that was announced, by this owner or an earlier one, and not finished.
    #[must_use]
    pub const fn announced_end(&self) -> Option<i64> {
        match self.phase {
            Phase::Announced(end) | Phase::Inherited(end) | Phase::Committing(end) => Some(end),
            Phase::Open | Phase::Announcing(_) | Phase::Lost => None,
        }
    }

    fn pass(&mut self, end: i64) -> OffsetCommit {
        self.phase = Phase::Committing(end);
        OffsetCommit { offset: end.saturating_add(1), metadata: String::new() }
    }

    fn announce(&mut self, end: i64, rotation: &Rotation) -> Intent {
        self.phase = Phase::Announcing(end);
        let metadata = announcement(end, rotation.points());
        Intent::Announce(OffsetCommit { offset: self.resume, metadata })
    }
}
