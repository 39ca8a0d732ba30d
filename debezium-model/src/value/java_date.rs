//! Dates of a snapshot, which come through a Java `Date`: a moment in the calendar of its time,
//! Julian before 15 October 1582, whose fields are then taken for those of the Gregorian calendar,
//! without the era. Dates before the common era change sign that way; what infinity stands for, the
//! driver's extreme moments, is cut to 32 bits.

use super::temporal::{Date, civil_from_days, days_from_civil, finish, read_date};
use super::{Raw, Scalar};
use crate::error::ErrorKind;
use crate::kind::Days;

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
    let (year, month, day) = match read_date(raw)? {
        Date::Finite(count) => match civil_from_days(count) {
            // The days that the change of calendars left out are read in the old one.
            (1582, 10, day @ 5..=14) => (1582, 10, day + 10),
            date => date,
        },
        Date::Infinity => of_its_time(INFINITE_DAYS.0),
        Date::MinusInfinity => of_its_time(INFINITE_DAYS.1),
    };
    let year = if year > 0 { year } else { 1 - year };
    let count = days_from_civil(year, month, day);
    #[allow(clippy::cast_possible_truncation, reason = "Java keeps the low 32 bits, too")]
    let cut = count as i32;
    Ok(finish(days, count, cut, out))
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
    fn calendars_meet() {
        assert_eq!(of_its_time(FIRST_GREGORIAN_DAY), (1582, 10, 15));
        assert_eq!(of_its_time(FIRST_GREGORIAN_DAY - 1), (1582, 10, 4));
        // Day zero of astronomers: noon of 1 January 4713 before the common era.
        assert_eq!(of_its_time(-2_440_588), (-4712, 1, 1));
    }
}
