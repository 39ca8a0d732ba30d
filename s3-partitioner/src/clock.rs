use std::fmt::Write as _;

/// What the wall clock showed while the records of one rotation were read, as far as their paths
/// depend on it: a time for each offset from which on it counts.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Breakpoints(Vec<Breakpoint>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Breakpoint {
    offset: i64,
    /// Milliseconds since 1970-01-01 UTC.
    time_ms: i64,
}

impl Breakpoints {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    /// Notes that `time_ms` counts from `offset` on. An offset that has a time already was not
    /// written yet, and gets the new one.
    pub(crate) fn push(&mut self, offset: i64, time_ms: i64) {
        while self.0.last().is_some_and(|last| last.offset >= offset) {
            self.0.pop();
        }
        self.0.push(Breakpoint { offset, time_ms });
    }

    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Forgets what belongs to records up to `end`.
    pub(crate) fn drop_through(&mut self, end: i64) {
        self.0.retain(|point| point.offset > end);
    }

    pub(crate) fn last_ms(&self) -> Option<i64> {
        self.0.last().map(|point| point.time_ms)
    }

    pub(crate) fn first_offset(&self) -> Option<i64> {
        self.0.first().map(|point| point.offset)
    }

    pub(crate) fn last_offset(&self) -> Option<i64> {
        self.0.last().map(|point| point.offset)
    }

    /// The time that counts for the record at `offset`.
    pub(crate) fn at(&self, offset: i64) -> Option<i64> {
        let after = self.0.partition_point(|point| point.offset <= offset);
        self.0.get(after.saturating_sub(1)).map(|point| point.time_ms)
    }

    /// At least the bytes that [`announcement`] needs, whatever the end.
    pub(crate) fn announcement_bound(&self) -> usize {
        const LONGEST: usize = "-9223372036854775808".len();
        let digits = |number: i64| {
            usize::from(number < 0)
                + number.unsigned_abs().checked_ilog10().map_or(1, |log| log as usize + 1)
        };
        let points = self.0.iter().map(|p| "[,],".len() + digits(p.offset) + digits(p.time_ms));
        r#"{"end":,"clock":[]}"#.len() + LONGEST + points.sum::<usize>()
    }
}

/// The wall clock as it counts for the paths of one rotation after the other.
#[derive(Clone, Debug, Default)]
pub(crate) struct Clock {
    points: Breakpoints,
    /// The span of time that the last point is in.
    bucket: i64,
    /// Whether the points, with one whose record may not be written yet, outgrow the metadata.
    full: bool,
}

impl Clock {
    pub(crate) const fn points(&self) -> &Breakpoints {
        &self.points
    }

    pub(crate) const fn is_full(&self) -> bool {
        self.full
    }

    /// No file is open, so nothing before `offset` counts.
    #[inline]
    pub(crate) fn start_at(&mut self, offset: i64) {
        if self.points.first_offset() != Some(offset) {
            self.points.clear();
        }
    }

    /// The time that counts for the record at `offset`, which is kept as long as the span of time
    /// stays the same, so that few have to be remembered.
    #[inline]
    pub(crate) fn look(&mut self, offset: i64, bucket: i64, now_ms: i64, limit: usize) -> i64 {
        match self.points.last_ms() {
            Some(last_ms) if self.bucket == bucket => last_ms,
            _ => {
                self.points.push(offset, now_ms);
                self.bucket = bucket;
                self.full = self.points.announcement_bound() > limit;
                now_ms
            }
        }
    }

    /// The files are closed that have the records up to `end`. The record that comes next may have
    /// its time already.
    pub(crate) fn close(&mut self, end: i64) {
        self.points.drop_through(end);
        self.full = false;
    }
}

/// The metadata that announces a rotation which ends with the record at `end`.
pub(crate) fn announcement(end: i64, clock: &Breakpoints) -> String {
    let mut text = format!("{{\"end\":{end}");
    let points = clock.0.iter().take_while(|point| point.offset <= end);
    for (index, Breakpoint { offset, time_ms }) in points.enumerate() {
        let separator = if index == 0 { ",\"clock\":[" } else { "," };
        // Writing to a String cannot fail.
        let _ = write!(text, "{separator}[{offset},{time_ms}]");
    }
    text.push_str(if text.ends_with(']') { "]}" } else { "}" });
    text
}

/// Reads what [`announcement`] wrote, and nothing else.
pub(crate) fn read_announcement(text: &str) -> Option<(i64, Breakpoints)> {
    let body = text.strip_prefix("{\"end\":")?.strip_suffix('}')?;
    let (end, points) = match body.split_once(",\"clock\":[") {
        None => (body, None),
        Some((end, points)) => (end, Some(points.strip_suffix(']')?)),
    };
    let mut clock = Breakpoints::new();
    if let Some(points) = points {
        let points = points.strip_prefix('[')?.strip_suffix(']')?;
        for point in points.split("],[") {
            let (offset, time) = point.split_once(',')?;
            let (offset, time_ms) = (offset.parse().ok()?, time.parse().ok()?);
            if clock.last_offset().is_some_and(|last| last >= offset) {
                return None;
            }
            clock.push(offset, time_ms);
        }
    }
    let end = end.parse().ok()?;
    // `+5` and `007` are numbers too, but nothing of ours writes them.
    (announcement(end, &clock) == text).then_some((end, clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_announcement_is_read_as_it_was_written() {
        let mut clock = Breakpoints::new();
        for (end, text) in [(5, r#"{"end":5}"#), (i64::MAX, r#"{"end":9223372036854775807}"#)] {
            assert_eq!(announcement(end, &clock), text);
            assert_eq!(read_announcement(text), Some((end, clock.clone())));
        }
        clock.push(3, 1_000);
        clock.push(7, -2);
        clock.push(9, 500);
        let text = announcement(8, &clock);
        assert_eq!(text, r#"{"end":8,"clock":[[3,1000],[7,-2]]}"#);
        let (end, read) = read_announcement(&text).unwrap();
        assert_eq!(
            (end, read.at(3), read.at(6), read.at(7)),
            (8, Some(1_000), Some(1_000), Some(-2))
        );
        assert!(text.len() <= clock.announcement_bound());
    }

    #[test]
    fn nothing_else_is_read() {
        for foreign in [
            r#"{"end":+5}"#,
            r#"{"end":007}"#,
            r#"{"end": 5}"#,
            r#"{"end":}"#,
            r#"{"end":5,"clock":[]}"#,
            r#"{"end":5,"clock":[[]]}"#,
            r#"{"end":5,"clock":[[1,2]}"#,
            r#"{"end":5,"clock":[[6,2]]}"#,
            r#"{"end":5,"clock":[[3,2],[3,4]]}"#,
            r#"{"end":5,"clock":[[3,2],[2,4]]}"#,
            r#"{"end":5,"clock":[[3,2,4]]}"#,
            "5",
            "{}",
            "",
        ] {
            assert_eq!(read_announcement(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn an_offset_that_was_not_written_gets_a_new_time() {
        let mut clock = Breakpoints::new();
        clock.push(3, 1);
        clock.push(4, 2);
        clock.push(4, 3);
        assert_eq!((clock.at(3), clock.at(4), clock.last_ms()), (Some(1), Some(3), Some(3)));
        clock.drop_through(3);
        assert_eq!((clock.first_offset(), clock.at(9)), (Some(4), Some(3)));
    }
}
