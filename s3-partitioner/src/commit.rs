use crate::{Error, ErrorKind};

/// The commits of **one topic partition** that make its objects exactly-once for every way of
/// rotating, with the broker's committed offset as the only journal.
///
/// 1. When a rotation is decided, its last offset `e` is committed as *metadata* of the offset that
///    is committed already: [`intent`](Self::intent). If that commit is refused, another owner has
///    the partition, and nothing may be uploaded.
/// 2. The objects are completed. None becomes visible before step 1 is acknowledged.
/// 3. `e + 1` is committed without metadata: [`finish`](Self::finish).
///
/// Whoever reads the partition next starts at [`resume`](Self::resume) and, if step 3 was not
/// reached, closes after [`forced_end`](Self::forced_end)
/// ([`Rotation::with_forced_end`](crate::Rotation::with_forced_end)), so that the same records go
/// into objects of the same names.
///
/// ```
/// use s3_partitioner::CommitPlan;
///
/// let mut plan = CommitPlan::new(800);
/// let metadata = plan.intent(828);
/// assert_eq!(metadata, r#"{"end":828}"#);
///
/// // The process dies here; the next owner finds 800 with that metadata.
/// let mut plan = CommitPlan::recover(800, &metadata)?;
/// assert_eq!((plan.resume(), plan.forced_end()), (800, Some(828)));
/// assert_eq!(plan.finish(828), 829);
/// assert_eq!((plan.resume(), plan.forced_end()), (829, None));
/// # Ok::<(), s3_partitioner::Error>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CommitPlan {
    resume: i64,
    forced_end: Option<i64>,
}

impl CommitPlan {
    /// Starts at an offset with nothing under way.
    #[must_use]
    pub const fn new(resume: i64) -> Self {
        Self { resume, forced_end: None }
    }

    /// Takes over from what the group has committed. Empty metadata means nothing was under way,
    /// and so does an end before the offset.
    ///
    /// # Errors
    /// [`ErrorKind::Metadata`] if the metadata is not what [`intent`](Self::intent) writes: some
    /// other program commits to this group, and going on could double records.
    pub fn recover(committed: i64, metadata: &str) -> Result<Self, Error> {
        if metadata.is_empty() {
            return Ok(Self::new(committed));
        }
        let end = metadata
            .strip_prefix("{\"end\":")
            .and_then(|rest| rest.strip_suffix('}'))
            .and_then(|digits| digits.parse::<i64>().ok())
            // `+5` and `007` are numbers too, but nothing of ours writes them.
            .filter(|end| announcement(*end) == metadata)
            .ok_or_else(|| Error::new(ErrorKind::Metadata))?;
        Ok(Self { resume: committed, forced_end: (end >= committed).then_some(end) })
    }

    /// Step 1: the metadata to commit with [`resume`](Self::resume) before objects that end with
    /// the record at offset `end` are completed.
    #[must_use]
    pub fn intent(&mut self, end: i64) -> String {
        self.forced_end = Some(end);
        announcement(end)
    }

    /// Step 3: the objects up to `end` are complete. Returns the offset to commit, with empty
    /// metadata.
    #[must_use]
    pub const fn finish(&mut self, end: i64) -> i64 {
        self.resume = end.saturating_add(1);
        self.forced_end = None;
        self.resume
    }

    /// The offset that is committed, where reading starts after a restart.
    #[must_use]
    pub const fn resume(&self) -> i64 {
        self.resume
    }

    /// The end of a rotation that was announced and not finished.
    #[must_use]
    pub const fn forced_end(&self) -> Option<i64> {
        self.forced_end
    }
}

fn announcement(end: i64) -> String {
    format!("{{\"end\":{end}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_intent_writes_is_taken() {
        for foreign in
            [r#"{"end":+5}"#, r#"{"end":007}"#, r#"{"end": 5}"#, r#"{"end":}"#, "5", "{}"]
        {
            assert!(CommitPlan::recover(0, foreign).is_err(), "{foreign}");
        }
        for end in [0, 5, i64::MAX] {
            let written = CommitPlan::new(0).intent(end);
            assert_eq!(CommitPlan::recover(0, &written).unwrap().forced_end(), Some(end));
        }
    }
}
