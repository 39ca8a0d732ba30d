use std::time::{Duration, SystemTime, UNIX_EPOCH};

use jiff::Timestamp;
use jiff::tz::{Offset, TimeZone, TimeZoneTransition};

use crate::calendar::{CYCLE_MS, Civil, DAY_MS, days_from_civil};
use crate::{Error, ErrorKind, alias};

/// A time zone by its Joda-Time id.
#[derive(Clone, Debug)]
pub(crate) struct Zone {
    id: String,
    zone: TimeZone,
}

impl Zone {
    /// Accepts what Joda's `DateTimeZone.forID` does: `UTC`, tz ids in their exact spelling, and
    /// fixed offsets `+hh`, `+hh:mm`, `+hhmm`, `+hh:mm:ss`.
    pub(crate) fn parse(id: &str) -> Result<Self, Error> {
        let unknown = || Error::new(ErrorKind::TimeZone(id.to_owned()));
        if id == "UTC" {
            return Ok(Self::utc());
        }
        if id.starts_with(['+', '-']) {
            let seconds = parse_offset(id).ok_or_else(unknown)?;
            if seconds == 0 {
                return Ok(Self::utc());
            }
            let offset = Offset::from_seconds(seconds).map_err(|_| unknown())?;
            return Ok(Self { id: print_offset_id(seconds), zone: TimeZone::fixed(offset) });
        }
        let zone = TimeZone::get(id).map_err(|_| unknown())?;
        // The lookup forgives case and one placeholder id; Joda does not.
        if zone.iana_name() != Some(id) || zone.is_unknown() {
            return Err(unknown());
        }
        Ok(Self { id: alias::canonical(id).to_owned(), zone })
    }

    pub(crate) fn utc() -> Self {
        Self { id: "UTC".to_owned(), zone: TimeZone::UTC }
    }

    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// Whether the zone is a bare offset, which has no names but its offset.
    pub(crate) fn is_fixed_offset(&self) -> bool {
        self.id.starts_with(['+', '-'])
    }

    /// Offset from UTC at an instant, in milliseconds.
    pub(crate) fn offset_ms(&self, utc_ms: i64) -> i64 {
        i64::from(self.zone.to_offset(representable(utc_ms)).seconds()) * 1_000
    }

    /// Whether daylight saving time is in force at an instant.
    pub(crate) fn is_dst(&self, utc_ms: i64) -> bool {
        self.zone.to_offset_info(representable(utc_ms)).dst().is_dst()
    }

    /// Turns a local time into an instant as Joda does when not strict: of two instants the one
    /// that guessing the offset twice arrives at, and a time in a gap moves forward by the gap.
    pub(crate) fn to_utc(&self, local_ms: i64) -> i64 {
        to_utc(local_ms, |utc_ms| self.offset_ms(utc_ms))
    }

    /// The span around an instant in which the offset stays the same.
    fn offset_span(&self, utc_ms: i64) -> OffsetSpan {
        let offset_ms = self.offset_ms(utc_ms);
        if !(LOW_MS..HIGH_MS).contains(&utc_ms) {
            return OffsetSpan { from: utc_ms, until: utc_ms.saturating_add(1), offset_ms };
        }
        let ms = |transition: TimeZoneTransition<'_>| transition.timestamp().as_millisecond();
        let before = self.zone.preceding(representable(utc_ms.saturating_add(1))).next();
        let after = self.zone.following(representable(utc_ms)).next();
        OffsetSpan {
            from: before.map_or(LOW_MS, ms).max(LOW_MS),
            until: after.map_or(HIGH_MS, ms).min(HIGH_MS),
            offset_ms,
        }
    }

    /// The next boundary of a schedule that starts anew at each local midnight, strictly after
    /// `now`. Periods count real milliseconds, so on a day with a clock change the later
    /// boundaries shift, and the last period of a day is cut at midnight.
    pub(crate) fn next_boundary(&self, period_ms: i64, now_ms: i64) -> i64 {
        let local = now_ms.saturating_add(self.offset_ms(now_ms));
        let day = Civil::from_local_ms(local).epoch_day;
        let midnight = self.start_of_day(day);
        let length = self.start_of_day(day + 1).saturating_sub(midnight);
        let elapsed = now_ms.saturating_sub(midnight);
        let next = (elapsed / period_ms + 1).saturating_mul(period_ms);
        midnight.saturating_add(next.min(length))
    }

    /// The first instant of a local date.
    fn start_of_day(&self, epoch_day: i64) -> i64 {
        let midnight = epoch_day.saturating_mul(DAY_MS);
        let before = self.offset_ms(midnight.saturating_sub(DAY_MS));
        let after = self.offset_ms(midnight.saturating_add(DAY_MS));
        // The larger offset leads to the earlier instant; it counts if it is in force there.
        for offset in [before.max(after), before.min(after)] {
            let instant = midnight.saturating_sub(offset);
            if self.offset_ms(instant) == offset {
                return instant;
            }
        }
        self.to_utc(midnight)
    }
}

/// The offsets of a zone where they were asked for lately. Most questions are about days, and
/// offsets stay for months.
#[derive(Clone, Debug)]
pub(crate) struct Offsets {
    zone: Zone,
    /// Guesses near a change of the clock ask on both sides of it.
    spans: [OffsetSpan; 2],
}

/// From one instant until before another, both in milliseconds since 1970-01-01 UTC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OffsetSpan {
    pub(crate) from: i64,
    pub(crate) until: i64,
    pub(crate) offset_ms: i64,
}

impl OffsetSpan {
    const NONE: Self = Self { from: 0, until: 0, offset_ms: 0 };

    #[inline]
    pub(crate) const fn holds(&self, utc_ms: i64) -> bool {
        self.from <= utc_ms && utc_ms < self.until
    }
}

impl Offsets {
    pub(crate) const fn new(zone: Zone) -> Self {
        Self { zone, spans: [OffsetSpan::NONE; 2] }
    }

    pub(crate) const fn zone(&self) -> &Zone {
        &self.zone
    }

    /// The offset at an instant, and how long it stays.
    #[inline]
    pub(crate) fn span(&mut self, utc_ms: i64) -> OffsetSpan {
        if self.spans[0].holds(utc_ms) {
            return self.spans[0];
        }
        self.spans.swap(0, 1);
        if !self.spans[0].holds(utc_ms) {
            self.spans[0] = self.zone.offset_span(utc_ms);
        }
        self.spans[0]
    }

    /// As [`Zone::to_utc`].
    pub(crate) fn instant(&mut self, local_ms: i64) -> i64 {
        to_utc(local_ms, |utc_ms| self.span(utc_ms).offset_ms)
    }
}

#[inline]
fn to_utc(local_ms: i64, mut offset_ms: impl FnMut(i64) -> i64) -> i64 {
    let guess = offset_ms(local_ms);
    let offset = offset_ms(local_ms.saturating_sub(guess));
    if guess == offset || offset_ms(local_ms.saturating_sub(offset)) == offset {
        return local_ms.saturating_sub(offset);
    }
    // Neither offset is in force at the instant it leads to, so there is no such local time.
    local_ms.saturating_sub(guess.min(offset))
}

/// 9000-01-01, far from the end of what is representable, so that an offset never crosses it.
const HIGH_MS: i64 = days_from_civil(9000, 1, 1) * DAY_MS;
const LOW_MS: i64 = days_from_civil(-9000, 1, 1) * DAY_MS;

/// An instant with the same offset that the zone library can represent (years -9999 to 9999):
/// rules for the far future repeat with the calendar, and the far past keeps the first offset.
fn representable(utc_ms: i64) -> Timestamp {
    let ms = if utc_ms >= HIGH_MS {
        let above = utc_ms - HIGH_MS;
        HIGH_MS - CYCLE_MS + above % CYCLE_MS
    } else {
        utc_ms.max(LOW_MS)
    };
    Timestamp::from_millisecond(ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// Seconds of `+hh`, `+hh:mm`, `+hhmm`, `+hh:mm:ss` or `+hhmmss`.
fn parse_offset(text: &str) -> Option<i32> {
    let (sign, digits) = match text.split_at_checked(1)? {
        ("+", rest) => (1, rest),
        ("-", rest) => (-1, rest),
        _ => return None,
    };
    let two = |piece: &str, limit: i32| {
        if piece.len() != 2 || !piece.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        piece.parse().ok().filter(|&n: &i32| n <= limit)
    };
    let mut seconds = 0;
    let mut rest = digits;
    let colons = digits.contains(':');
    for (index, (unit, limit)) in [(3_600, 23), (60, 59), (1, 59)].into_iter().enumerate() {
        if index > 0 {
            if rest.is_empty() {
                break;
            }
            if colons {
                rest = rest.strip_prefix(':')?;
            }
        }
        let (piece, tail) = rest.split_at_checked(2)?;
        seconds += two(piece, limit)? * unit;
        rest = tail;
    }
    rest.is_empty().then_some(sign * seconds)
}

/// Joda's id of a fixed offset: `+hh:mm`, with seconds only if there are any.
fn print_offset_id(seconds: i32) -> String {
    let sign = if seconds < 0 { '-' } else { '+' };
    let s = seconds.unsigned_abs();
    let mut id = format!("{sign}{:02}:{:02}", s / 3_600, s / 60 % 60);
    if !s.is_multiple_of(60) {
        id.push_str(&format!(":{:02}", s % 60));
    }
    id
}

/// Milliseconds since 1970-01-01 UTC, rounded down.
#[inline]
pub(crate) fn unix_ms(time: SystemTime) -> i64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => milliseconds(after),
        Err(error) => {
            let before = error.duration();
            let floor = i64::from(!before.subsec_nanos().is_multiple_of(1_000_000));
            milliseconds(before).saturating_neg().saturating_sub(floor)
        }
    }
}

fn milliseconds(span: Duration) -> i64 {
    i64::try_from(span.as_secs())
        .unwrap_or(i64::MAX)
        .saturating_mul(1_000)
        .saturating_add(i64::from(span.subsec_millis()))
}

/// The instant of that many milliseconds since 1970-01-01 UTC.
pub(crate) fn from_unix_ms(ms: i64) -> Option<SystemTime> {
    let distance = Duration::from_millis(ms.unsigned_abs());
    if ms < 0 { UNIX_EPOCH.checked_sub(distance) } else { UNIX_EPOCH.checked_add(distance) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_those_of_joda() {
        for id in ["utc", "Utc", "Z", "+5", "PST", "UTC+05:30", "", "+05:3", "+0530:15", "+24"] {
            assert!(Zone::parse(id).is_err(), "{id}");
        }
        for (id, printed) in [
            ("UTC", "UTC"),
            ("+00:00", "UTC"),
            ("+0530", "+05:30"),
            ("-03", "-03:00"),
            ("GMT", "Etc/GMT"),
            ("Asia/Kolkata", "Asia/Kolkata"),
        ] {
            assert_eq!(Zone::parse(id).unwrap().id(), printed);
        }
    }

    #[test]
    fn far_years_keep_their_seasons() {
        let zone = Zone::parse("America/New_York").unwrap();
        for cycles in 0..1_000 {
            let july = days_from_civil(2024 + 400 * cycles, 7, 1) * DAY_MS;
            let january = days_from_civil(2024 + 400 * cycles, 1, 1) * DAY_MS;
            assert_eq!(zone.offset_ms(july), -4 * 3_600_000);
            assert_eq!(zone.offset_ms(january), -5 * 3_600_000);
        }
        let _ = zone.offset_ms(i64::MAX);
        let _ = zone.to_utc(i64::MIN);
    }
}
