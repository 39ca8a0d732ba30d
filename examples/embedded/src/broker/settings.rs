//! Settings of a topic, by Kafka's names.

use std::collections::BTreeMap;

use super::log::Rules;

/// The settings a topic was made with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Settings(BTreeMap<String, String>);

/// A name Kafka does not know or a value it would refuse.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refused(pub(super) String);

impl Settings {
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    pub(super) fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// Size at which a new file is begun.
    pub(super) fn segment_bytes(&self, default: u64) -> u64 {
        self.get("segment.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(default)
    }

    /// How much of a partition is kept, in bytes; `None` for everything.
    pub(super) fn retention_bytes(&self) -> Option<u64> {
        self.retention("retention.bytes").and_then(|bytes| u64::try_from(bytes).ok())
    }

    /// How long records are kept, in milliseconds; `None` for ever.
    pub(super) fn retention_ms(&self) -> Option<i64> {
        self.retention("retention.ms").filter(|ms| *ms >= 0)
    }

    /// How the topic is compacted, if it is.
    pub(super) fn compaction(&self) -> Option<Rules> {
        if !self.has_policy("compact") {
            return None;
        }
        Some(Rules {
            dirty_ratio: self.value("min.cleanable.dirty.ratio")?.parse().ok()?,
            delete_retention_ms: self.value("delete.retention.ms")?.parse().ok()?,
            min_lag_ms: self.value("min.compaction.lag.ms")?.parse().ok()?,
        })
    }

    /// A topic that is only to be compacted loses nothing by age or size.
    fn retention(&self, key: &str) -> Option<i64> {
        if self.has_policy("delete") { self.value(key)?.parse().ok() } else { None }
    }

    fn has_policy(&self, policy: &str) -> bool {
        let policies = self.value("cleanup.policy").unwrap_or_default();
        policies.split(',').any(|one| one.trim() == policy)
    }

    /// The topic's own, or what holds without.
    fn value(&self, key: &str) -> Option<&str> {
        let known = || KNOWN.iter().find(|known| known.name == key);
        self.get(key).or_else(|| known().map(|known| known.default))
    }

    pub(super) fn max_message_bytes(&self, default: usize) -> usize {
        self.get("max.message.bytes").and_then(|bytes| bytes.parse().ok()).unwrap_or(default)
    }
}

/// Checks names and values.
pub(super) fn parse<'a>(
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
) -> Result<Settings, Refused> {
    let mut settings = BTreeMap::new();
    for (key, value) in pairs {
        let known = KNOWN.iter().find(|known| known.name == key);
        let known = known.ok_or_else(|| Refused(format!("unknown topic setting {key}")))?;
        if !known.form.fits(value) {
            return Err(Refused(format!("{value:?} is not a value of {key}")));
        }
        settings.insert(key.to_owned(), value.to_owned());
    }
    Ok(Settings(settings))
}

/// Every setting, the value it has when a topic says nothing, and whether that is so here.
pub(super) fn describe(settings: &Settings) -> impl Iterator<Item = Described<'_>> {
    KNOWN.iter().map(|known| match settings.get(known.name) {
        Some(value) => Described { known, value, source: Source::Topic },
        None => Described { known, value: known.default, source: Source::Default },
    })
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Described<'a> {
    pub(super) known: &'static Known,
    pub(super) value: &'a str,
    pub(super) source: Source,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Source {
    Topic,
    Default,
}

#[derive(Debug)]
pub(super) struct Known {
    pub(super) name: &'static str,
    pub(super) default: &'static str,
    pub(super) form: Form,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Form {
    /// A whole number, at least this.
    Int(i32),
    /// A whole number, at least this.
    Long(i64),
    Double,
    Boolean,
    /// One of these.
    Choice(&'static [&'static str]),
    /// One or more of these, parted by commas.
    Choices(&'static [&'static str]),
}

impl Form {
    fn fits(self, value: &str) -> bool {
        match self {
            Self::Int(least) => value.parse::<i32>().is_ok_and(|value| value >= least),
            Self::Long(least) => value.parse::<i64>().is_ok_and(|value| value >= least),
            Self::Double => value.parse::<f64>().is_ok_and(|value| (0.0..=1.0).contains(&value)),
            Self::Boolean => matches!(value, "true" | "false"),
            Self::Choice(of) => of.contains(&value),
            Self::Choices(of) => value.split(',').all(|part| of.contains(&part.trim())),
        }
    }

    /// `DescribeConfigs`' number for the type.
    pub(super) const fn wire_type(self) -> i8 {
        match self {
            Self::Boolean => 1,
            Self::Choice(_) => 2,
            Self::Int(_) => 3,
            Self::Long(_) => 5,
            Self::Double => 6,
            Self::Choices(_) => 7,
        }
    }
}

const fn known(name: &'static str, default: &'static str, form: Form) -> Known {
    Known { name, default, form }
}

/// What topics are usually made with. Some are only remembered and reported.
const KNOWN: &[Known] = &[
    known("cleanup.policy", "delete", Form::Choices(&["delete", "compact"])),
    known("compression.type", "producer", Form::Choice(&["producer"])),
    known("delete.retention.ms", "86400000", Form::Long(0)),
    known("file.delete.delay.ms", "60000", Form::Long(0)),
    known("flush.messages", "9223372036854775807", Form::Long(1)),
    known("flush.ms", "9223372036854775807", Form::Long(0)),
    known("index.interval.bytes", "4096", Form::Int(0)),
    known("max.compaction.lag.ms", "9223372036854775807", Form::Long(1)),
    known("max.message.bytes", "1048588", Form::Int(0)),
    known("message.timestamp.type", "CreateTime", Form::Choice(&["CreateTime"])),
    known("min.cleanable.dirty.ratio", "0.5", Form::Double),
    known("min.compaction.lag.ms", "0", Form::Long(0)),
    known("min.insync.replicas", "1", Form::Int(1)),
    known("preallocate", "false", Form::Boolean),
    known("retention.bytes", "-1", Form::Long(-1)),
    known("retention.ms", "604800000", Form::Long(-1)),
    known("segment.bytes", "1073741824", Form::Int(14)),
    known("segment.index.bytes", "10485760", Form::Int(4)),
    known("segment.jitter.ms", "0", Form::Long(0)),
    known("segment.ms", "604800000", Form::Long(1)),
    known("unclean.leader.election.enable", "false", Form::Boolean),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_values_are_checked() {
        let good = [("cleanup.policy", "compact,delete"), ("retention.ms", "-1")];
        let settings = parse(good.into_iter()).unwrap();
        assert_eq!(settings.get("retention.ms"), Some("-1"));
        assert_eq!(settings.retention_ms(), None);
        assert_eq!(Settings::default().retention_ms(), Some(604_800_000));
        assert_eq!(Settings::default().retention_bytes(), None);
        let compacted = [("cleanup.policy", "compact"), ("retention.bytes", "5")];
        assert_eq!(parse(compacted.into_iter()).unwrap().retention_bytes(), None);
        for bad in [("retenton.ms", "1"), ("retention.ms", "-2"), ("cleanup.policy", "x\ty")] {
            assert!(parse([bad].into_iter()).is_err(), "{bad:?}");
        }
    }
}
