/// What to do with a record. See [`Rotation::observe`](crate::Rotation::observe).
#[must_use]
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "every caller has to act on each of the three")]
pub enum Rotate {
    /// Write it.
    Keep,
    /// Close every open file of the topic partition, call [`Rotation::closed`](crate::Rotation::closed), and observe the
    /// record again.
    Before,
    /// Write it, then close every open file of the topic partition and call [`Rotation::closed`](crate::Rotation::closed).
    After,
}

/// Why files are to be closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Reason {
    /// `flush.size` records are there.
    Size,
    /// The records have as many bytes as an object should have.
    Bytes,
    /// No record has come for a while.
    Idle,
    /// `rotate.interval.ms` of record time have passed.
    Interval,
    /// The encoded partition changed.
    PartitionChange,
    /// A boundary of `rotate.schedule.interval.ms` has passed.
    Schedule,
    /// The value's schema does not fit the file's.
    Schema,
    /// A tombstone met a file of values, or the other way round.
    Tombstone,
    /// `partitioner.max.open.files` would be exceeded.
    OpenFiles,
    /// Announcing the end would need more metadata than the broker takes.
    Metadata,
    /// A boundary that an earlier owner of the partition had announced. See
    /// [`CommitPlan`](crate::CommitPlan).
    Forced,
}
