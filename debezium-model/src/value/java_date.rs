//! Dates of a snapshot and moments in arrays, which come through Java's old classes: a moment in
//! the calendar of its time, Julian before 15 October 1582, whose fields are then taken for those of
//! the Gregorian calendar, without the era. Dates before the common era change sign that way; what
//! infinity stands for, the driver's extreme moments, is cut to 32 bits.

use super::print::{Fraction, push_moment};
use super::temporal::{
    self, DAY_MICROS, DAY_SECONDS, Date, EPOCH_DAYS, Moment, SECOND, Zone, civil_from_days,
    days_from_civil, finish, moment, read_date, read_time, read_time_tz,
};
use super::{Raw, Scalar};
use crate::error::ErrorKind;
use crate::kind::{Days, TimeUnit};

/// The JDBC driver's stand-ins for infinite dates, in days since 1970.
const INFINITE_DAYS: (i64, i64) =
    (9_223_372_036_825_200_000 / DAY_MILLIS, -9_223_372_036_832_400_000 / DAY_MILLIS - 1);
const DAY_MILLIS: i64 = 86_400_000;
/// 15 October 1582, the day after 4 October.
const FIRST_GREGORIAN_DAY: i64 = -141_427;

/// A date as it comes out of a snapshot.
pub(super) fn snapshot_date<'a>(
    days: Days,
    raw: Raw<'_>,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let count = match read_date(raw)? {
        Date::Finite(count) => without_era(read_in_its_time(count)),
        Date::Infinity => without_era(of_its_time(INFINITE_DAYS.0)),
        Date::MinusInfinity => without_era(of_its_time(INFINITE_DAYS.1)),
    };
    #[allow(clippy::cast_possible_truncation, reason = "Java keeps the low 32 bits, too")]
    let cut = count as i32;
    Ok(finish(days, count, cut, out))
}

/// A time of day in an array has no more than milliseconds.
pub(super) fn time_in_array<'a>(
    unit: TimeUnit,
    raw: Raw<'_>,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let millis = read_time(raw)? % DAY_MICROS / 1000;
    temporal::time(unit, Raw::Binary(&(millis * 1000).to_be_bytes()), false, out)
}

/// A time of day with a zone has whole seconds in an array.
pub(super) fn time_tz_in_array<'a>(
    raw: Raw<'_>,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let (micros, west) = read_time_tz(raw)?;
    let seconds = (micros / SECOND + west).rem_euclid(DAY_SECONDS);
    let mut binary = [0; 12];
    if let Some(micros) = binary.first_chunk_mut() {
        *micros = (seconds * SECOND).to_be_bytes();
    }
    temporal::time_tz(Raw::Binary(&binary), false, out)
}

/// A timestamp in an array is read in the calendar of its time.
pub(super) fn timestamp_in_array<'a>(
    unit: TimeUnit,
    raw: Raw<'_>,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    let moved = moved(raw, Zone::None, days_in_its_time)?;
    let raw = moved.as_ref().map_or(raw, |moved| Raw::Binary(moved));
    temporal::timestamp(unit, raw, false, out)
}

/// A timestamp with a zone in an array is printed in that calendar, too, and without its era.
pub(super) fn timestamp_tz_in_array<'a>(
    digits: usize,
    raw: Raw<'_>,
    copy: &'a mut Vec<u8>,
    out: &'a mut String,
) -> Result<Scalar<'a>, ErrorKind> {
    if let Moment::MinusInfinity = moment(raw, Zone::Offset)? {
        // The last hour of the driver's first day.
        let seconds = without_era(of_its_time(INFINITE_DAYS.1)) * DAY_SECONDS + 23 * 3600;
        out.clear();
        push_moment(seconds, 0, Fraction::Digits(digits), out);
        return Ok(Scalar::Text(out));
    }
    let moved = moved(raw, Zone::Offset, |days| without_era(read_in_its_time(days)))?;
    let raw = moved.as_ref().map_or(raw, |moved| Raw::Binary(moved));
    temporal::timestamp_tz(digits, raw, copy, out)
}

/// A moment before the Gregorian calendar on another day, in the binary form; `None` for later
/// ones.
fn moved(
    raw: Raw<'_>,
    zone: Zone,
    day: impl FnOnce(i64) -> i64,
) -> Result<Option<[u8; 8]>, ErrorKind> {
    let Moment::Finite { seconds, micros } = moment(raw, zone)? else { return Ok(None) };
    let days = seconds.div_euclid(DAY_SECONDS);
    if days >= FIRST_GREGORIAN_DAY {
        return Ok(None);
    }
    let seconds = (day(days) - EPOCH_DAYS) * DAY_SECONDS + seconds.rem_euclid(DAY_SECONDS);
    Ok(Some((seconds * SECOND + micros).to_be_bytes()))
}

/// The date that Java shows for one of this name. The days that the change of calendars left out are
/// read in the old one.
fn read_in_its_time(days: i64) -> (i64, i64, i64) {
    match civil_from_days(days) {
        (1582, 10, day @ 5..=14) => (1582, 10, day + 10),
        date => date,
    }
}

/// Days since 1970 of a date whose year has lost its era.
fn without_era((year, month, day): (i64, i64, i64)) -> i64 {
    days_from_civil(if year > 0 { year } else { 1 - year }, month, day)
}

/// Days since 1970 of the date that has the same name in the Julian calendar.
fn days_in_its_time(days: i64) -> i64 {
    let (year, month, day) = civil_from_days(days);
    let year = if month <= 2 { year - 1 } else { year };
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) + day_of_year - 719_470
}

/// The date in the calendar of its time, with astronomical years.
fn of_its_time(days: i64) -> (i64, i64, i64) {
    if days >= FIRST_GREGORIAN_DAY {
        return civil_from_days(days);
    }
    // Days since 1 March of the year 0; four years have 1461 days.
    let days = days + 719_470;
    let (four_years, rest) = (days.div_euclid(1461), days.rem_euclid(1461));
    let year = (rest - rest / 1460) / 365;
    let day_of_year = rest - 365 * year;
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (four_years * 4 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn snapshot(date: &str, days: Days) -> String {
        let mut out = String::new();
        match snapshot_date(days, Raw::Text(date.as_bytes()), &mut out).unwrap() {
            Scalar::Int(count) => count.to_string(),
            Scalar::Text(text) => text.to_owned(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn dates_lose_their_era() {
        for (date, count, text) in [
            ("infinity", "-622191234", "+292278994-08-16Z"),
            ("-infinity", "-625821272", "+292269055-12-02Z"),
            ("0044-03-15 BC", "-703383", "0044-03-15Z"),
            ("4713-01-01 BC", "1001860", "4713-01-01Z"),
            ("5874897-12-31", "2145042905", "+5874897-12-31Z"),
            ("0001-01-01", "-719162", "0001-01-01Z"),
            ("1582-10-04", "-141438", "1582-10-04Z"),
            ("1582-10-05", "-141427", "1582-10-15Z"),
            ("2024-02-29", "19782", "2024-02-29Z"),
        ] {
            assert_eq!(snapshot(date, Days::Debezium), count, "{date}");
            assert_eq!(snapshot(date, Days::Iso), text, "{date}");
        }
    }

    #[test]
    fn moments_in_arrays() {
        let mut out = String::new();
        let mut check = |read: &dyn Fn(Raw<'_>, &mut String) -> String, text: &str, is: &str| {
            assert_eq!(read(Raw::Text(text.as_bytes()), &mut out), is, "{text}");
        };
        let shown = |scalar: Result<Scalar<'_>, ErrorKind>| match scalar {
            Ok(Scalar::Text(text)) => text.to_owned(),
            Ok(Scalar::Utf8(text)) => String::from_utf8(text.to_vec()).unwrap(),
            other => panic!("{other:?}"),
        };
        let timestamp =
            |raw: Raw<'_>, out: &mut String| shown(timestamp_in_array(TimeUnit::Iso, raw, out));
        check(&timestamp, "0001-01-01 00:00:00", "0000-12-30T00:00:00Z");
        check(&timestamp, "0044-03-15 12:00:00 BC", "-0043-03-13T12:00:00Z");
        check(&timestamp, "0500-02-28 23:59:59.999999", "0500-03-01T23:59:59.999999Z");
        check(&timestamp, "1582-10-14 23:59:59", "1582-10-24T23:59:59Z");
        check(&timestamp, "1582-10-15 00:00:00.000001", "1582-10-15T00:00:00.000001Z");
        check(&timestamp, "20000-01-01 00:00:00", "+20000-01-01T00:00:00Z");
        let zoned = |raw: Raw<'_>, out: &mut String| {
            shown(timestamp_tz_in_array(6, raw, &mut Vec::new(), out))
        };
        check(&zoned, "infinity", "infinity");
        check(&zoned, "-infinity", "+292269055-12-02T23:00:00.000000Z");
        check(&zoned, "0044-03-14 22:00:00+00 BC", "0044-03-14T22:00:00.000000Z");
        check(&zoned, "1582-10-04 17:30:48.7+00", "1582-10-04T17:30:48.700000Z");
        check(&zoned, "1582-10-14 22:34:56.531+00", "1582-10-24T22:34:56.531000Z");
        let time = |raw: Raw<'_>, out: &mut String| shown(time_in_array(TimeUnit::Iso, raw, out));
        check(&time, "04:50:34.6754", "04:50:34.675Z");
        check(&time, "24:00:00", "00:00:00Z");
        let time_tz = |raw: Raw<'_>, out: &mut String| shown(time_tz_in_array(raw, out));
        check(&time_tz, "12:34:56.789012-10", "22:34:56Z");
    }

    #[test]
    fn calendars_meet() {
        assert_eq!(of_its_time(FIRST_GREGORIAN_DAY), (1582, 10, 15));
        assert_eq!(of_its_time(FIRST_GREGORIAN_DAY - 1), (1582, 10, 4));
        // Day zero of astronomers: noon of 1 January 4713 before the common era.
        assert_eq!(of_its_time(-2_440_588), (-4712, 1, 1));
    }
}
