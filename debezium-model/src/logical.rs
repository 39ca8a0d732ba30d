//! Debezium's logical types as Rust values. Each reads from JSON and from Avro, and writes back
//! what it was read from.

mod binary;
mod decimal;
mod geometry;
mod number;
mod text;

use std::time::{Duration, SystemTime};

pub use binary::{Binary, Bits, bits};
pub use decimal::{Decimal, VariableScaleDecimal, decimal_text};
pub use geometry::{Geometry, Point};
pub use number::{
    Date, MicroDuration, MicroTime, MicroTimestamp, NanoDuration, NanoTime, NanoTimestamp, Time,
    Timestamp,
};
pub use text::{Interval, IsoDate, IsoTime, IsoTimestamp, Json, ZonedTime, ZonedTimestamp};

/// The moment of a number since 1970, in units of which so many make a second: 1000 for
/// `io.debezium.time.Timestamp`, a million for `MicroTimestamp`, a thousand million for
/// `NanoTimestamp`. `None` for no units at all, and for moments the system's clock cannot tell.
///
/// ```
/// use debezium_model::moment;
/// use std::time::{Duration, SystemTime};
///
/// let before = moment(-1_500, 1000).unwrap();
/// assert_eq!(SystemTime::UNIX_EPOCH.duration_since(before)?, Duration::from_millis(1500));
/// # Ok::<(), std::time::SystemTimeError>(())
/// ```
#[must_use]
pub fn moment(value: i64, per_second: u32) -> Option<SystemTime> {
    let units = i64::from(per_second);
    let seconds = value.checked_div_euclid(units)?;
    let rest = u64::try_from(value.checked_rem_euclid(units)?).ok()?;
    let nanos = rest.checked_mul(1_000_000_000)? / u64::from(per_second);
    system_time(seconds, u32::try_from(nanos).ok()?)
}

/// The moment of whole seconds since 1970 and nanoseconds after them.
fn system_time(seconds: i64, nanos: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let start = if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(whole)?
    } else {
        SystemTime::UNIX_EPOCH.checked_add(whole)?
    };
    start.checked_add(Duration::from_nanos(nanos.into()))
}

#[cfg(test)]
mod tests {
    use super::moment;

    #[test]
    fn moments_at_the_edges() {
        assert_eq!(moment(1, 0), None);
        let late = moment(1_700_000_000_123_456, 1_000_000).unwrap();
        let since = late.duration_since(std::time::UNIX_EPOCH).unwrap();
        assert_eq!(since.as_nanos(), 1_700_000_000_123_456_000);
    }
}
