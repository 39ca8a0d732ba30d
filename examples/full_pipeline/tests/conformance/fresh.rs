//! Values that every run makes up anew: the time, and random identifiers.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use apache_avro::types::Value;

use crate::scenario::Scenario;

/// What the SQL of a scenario makes up, and when it ran.
pub(crate) struct Fresh {
    times: bool,
    uuids: bool,
    /// Whether the source marks chunks and tells about snapshots.
    signals: bool,
    began: SystemTime,
    ended: SystemTime,
}

impl Fresh {
    pub(crate) fn new(scenario: &Scenario, began: SystemTime, ended: SystemTime) -> Self {
        let clocks = ["now()", "current_timestamp", "current_date", "clock_timestamp()"];
        Self {
            times: scenario.calls(&clocks),
            uuids: scenario.calls(&["gen_random_uuid()"]),
            signals: ["signal.data.collection", "notification.enabled.channels"]
                .iter()
                .any(|key| scenario.options().contains_key(key)),
            // The server's clock and ours are one; this is room for rounding.
            began: began - Duration::from_secs(1),
            ended: ended + Duration::from_secs(1),
        }
    }

    /// Whether ours was made up during this run, in the same form as theirs in another.
    pub(crate) fn made_both(&self, ours: &Value, theirs: &Value) -> bool {
        match (ours, theirs) {
            (Value::String(ours), Value::String(theirs)) => {
                (self.uuids && is_random_uuid(ours) && is_random_uuid(theirs))
                    || (self.signals
                        && masked(ours).is_some_and(|ours| Some(ours) == masked(theirs)))
                    || (self.times
                        && ours.len() == theirs.len()
                        && seconds(ours).is_some_and(|seconds| self.during(seconds * 1e3))
                        && seconds(theirs).is_some())
            }
            (Value::Long(ours), Value::Long(_)) => {
                #[allow(clippy::cast_precision_loss, reason = "far more exact than a run is long")]
                let ours = *ours as f64;
                self.times && [1.0, 1e3, 1e6].iter().any(|unit| self.during(ours / unit))
            }
            _ => false,
        }
    }

    fn during(&self, millis: f64) -> bool {
        let millis_of = |time: SystemTime| {
            time.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64() * 1e3
        };
        (millis_of(self.began)..=millis_of(self.ended)).contains(&millis)
    }
}

fn is_random_uuid(text: &str) -> bool {
    text.len() == 36
        && text.bytes().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => byte == b'-',
            14 => byte == b'4',
            19 => matches!(byte, b'8' | b'9' | b'a' | b'b'),
            _ => byte.is_ascii_hexdigit(),
        })
}

/// A text without the random identifiers and the moments in it; none when there are none.
fn masked(text: &str) -> Option<String> {
    let (mut masked, mut rest) = (String::new(), text);
    while let Some(first) = rest.chars().next() {
        let moment = rest.find('Z').map(|end| end + 1);
        let moment = moment.filter(|end| seconds(&rest[..*end]).is_some());
        let (mark, length) = match (rest.get(..36), moment) {
            (Some(uuid), _) if is_random_uuid(uuid) => ('#', 36),
            (_, Some(length)) => ('@', length),
            _ => (first, first.len_utf8()),
        };
        masked.push(mark);
        rest = &rest[length..];
    }
    (masked != text).then_some(masked)
}

/// Seconds since 1970 of `2024-03-01T07:59:59.900Z`; `None` for any other text.
fn seconds(text: &str) -> Option<f64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    let parts =
        |text: &str, mark| text.split(mark).map(str::parse).collect::<Result<Vec<f64>, _>>();
    let (date, time) = (parts(date, '-').ok()?, parts(time, ':').ok()?);
    let ([year, month, day], [hour, minute, second]) = (&date[..], &time[..]) else { return None };
    // March is the first month, so that the leap day is the last of the year.
    let (year, month) = if *month > 2.0 { (*year, month - 3.0) } else { (year - 1.0, month + 9.0) };
    let days = (365.25 * year).floor() - (year / 100.0).floor()
        + (year / 400.0).floor()
        + ((153.0 * month + 2.0) / 5.0).floor()
        + day
        - 719_469.0;
    Some(((days * 24.0 + hour) * 60.0 + minute) * 60.0 + second)
}

#[test]
fn the_clock_is_read_from_text() {
    assert_eq!(seconds("1970-01-01T00:00:00Z"), Some(0.0));
    assert_eq!(seconds("2024-03-01T07:59:59.900Z"), Some(1_709_279_999.9));
    assert_eq!(seconds("2000-02-29T00:00:00.000000Z"), Some(951_782_400.0));
    assert_eq!(seconds("infinity"), None);
}

#[test]
fn identifiers_and_moments_are_masked() {
    let id = "ca35c661-d788-4225-9128-27cae70710b9";
    assert_eq!(masked(&format!("{id}-open")).as_deref(), Some("#-open"));
    let data = r#"{"openWindowTimestamp": "2026-11-22T08:09:41.721076865Z"}"#;
    assert_eq!(masked(data).as_deref(), Some(r#"{"openWindowTimestamp": "@"}"#));
    assert_eq!(masked("ad-hoc-1 Z"), None);
}
