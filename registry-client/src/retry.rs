//! When to try again.

use std::hash::{BuildHasher as _, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// Exponential backoff with full jitter: the n-th delay is uniform between zero and
/// `min(max, base * 2^n)`, so that the clients of a registry that comes back do not arrive
/// together.
#[derive(Debug)]
pub(crate) struct Backoff {
    base: Duration,
    max: Duration,
    state: AtomicU64,
}

impl Backoff {
    pub(crate) fn new(base: Duration, max: Duration) -> Self {
        // The keys of a RandomState are the randomness that std offers.
        Self { base, max, state: AtomicU64::new(RandomState::new().hash_one(0)) }
    }

    /// Delay before retry number `retry` (from 0). What the registry asked for is a minimum.
    pub(crate) fn delay(&self, retry: u32, asked: Option<Duration>) -> Duration {
        let ceiling = 2u32
            .checked_pow(retry)
            .and_then(|factor| self.base.checked_mul(factor))
            .map_or(self.max, |delay| delay.min(self.max));
        let jitter = ceiling.mul_f64(self.random());
        asked.unwrap_or(Duration::ZERO).saturating_add(jitter)
    }

    /// Uniform in 0..1, by the SplitMix64 sequence.
    fn random(&self) -> f64 {
        const STEP: u64 = 0x9E37_79B9_7F4A_7C15;
        let mut z = self.state.fetch_add(STEP, Ordering::Relaxed).wrapping_add(STEP);
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^= z >> 31;
        let top = u32::try_from(z >> 32).unwrap_or(u32::MAX);
        f64::from(top) / (f64::from(u32::MAX) + 1.0)
    }
}

/// Reads a `Retry-After` value (RFC 9110, 10.2.3): seconds, or the date form that servers send.
pub(crate) fn parse_retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if let Ok(seconds) = value.parse() {
        return Some(Duration::from_secs(seconds));
    }
    // Sun, 06 Nov 1994 08:49:37 GMT
    let mut words = value.strip_suffix(" GMT")?.split_ascii_whitespace().skip(1);
    let day: u64 = words.next()?.parse().ok().filter(|day| (1..=31).contains(day))?;
    let month = words.next()?;
    let month = MONTHS.iter().position(|known| *known == month)?;
    let year: u64 = words.next()?.parse().ok().filter(|year| (1970..=9999).contains(year))?;
    let mut clock = words.next()?.split(':').map(|part| part.parse::<u64>().ok());
    let (hour, minute, second) = (clock.next()??, clock.next()??, clock.next()??);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    // Days of the Gregorian calendar, counted in years that begin in March.
    let (y, m) = if month < 2 { (year - 1, month + 10) } else { (year, month - 2) };
    let month_days = (153 * u64::try_from(m).ok()? + 2) / 5;
    let days = 365 * y + y / 4 - y / 100 + y / 400 + month_days + day - 1;
    let days = days.checked_sub(719_468)?;
    let at = Duration::from_secs(days * 86_400 + hour * 3_600 + minute * 60 + second);
    let now = now.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    Some(at.saturating_sub(now))
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[test]
    fn delays_stay_below_the_exponential_ceiling_and_differ() {
        let backoff = Backoff::new(100 * MS, 1_000 * MS);
        for (retry, ceiling) in [(0, 100), (1, 200), (2, 400), (3, 800), (4, 1_000), (40, 1_000)] {
            let delays: Vec<_> = (0..100).map(|_| backoff.delay(retry, None)).collect();
            assert!(delays.iter().all(|delay| *delay <= ceiling * MS));
            let mean = delays.iter().sum::<Duration>() / 100;
            assert!(mean > ceiling * MS / 4 && mean < ceiling * MS * 3 / 4, "{mean:?}");
        }
        assert_ne!(backoff.delay(4, None), backoff.delay(4, None));
        assert!(backoff.delay(0, Some(2_000 * MS)) >= 2_000 * MS);
    }

    #[test]
    fn huge_settings_do_not_overflow() {
        let backoff = Backoff::new(Duration::MAX, Duration::MAX);
        let _ = backoff.delay(u32::MAX, Some(Duration::MAX));
    }

    #[test]
    fn retry_after_reads_seconds_and_dates() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_770);
        let parse = |value| parse_retry_after(value, now);
        assert_eq!(parse("120"), Some(Duration::from_secs(120)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(7)));
        assert_eq!(parse("Sun, 06 Nov 1994 08:49:00 GMT"), Some(Duration::ZERO));
        assert_eq!(
            parse_retry_after("Thu, 29 Feb 2024 00:00:00 GMT", SystemTime::UNIX_EPOCH),
            Some(Duration::from_secs(1_709_164_800))
        );
        for bad in [
            "",
            "-1",
            "soon",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
            "Sun, 06 Nov 1 08:49:37 GMT",
            "Sun, 06 Nov 1994 GMT",
        ] {
            assert_eq!(parse(bad), None, "{bad}");
        }
    }
}
