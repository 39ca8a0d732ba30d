use std::fmt;

use serde::de::{Deserializer, Unexpected, Visitor};
use serde::{Deserialize, Serialize};

/// The operation of a change event, Debezium's `op` field.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Op {
    /// `c`: a row was inserted.
    #[serde(rename = "c")]
    Create,
    /// `r`: a row was read by a snapshot.
    #[serde(rename = "r")]
    Read,
    /// `u`: a row was updated.
    #[serde(rename = "u")]
    Update,
    /// `d`: a row was deleted.
    #[serde(rename = "d")]
    Delete,
    /// `t`: the table was truncated.
    #[serde(rename = "t")]
    Truncate,
    /// `m`: a logical decoding message.
    #[serde(rename = "m")]
    Message,
}

impl Op {
    /// The one-letter code on the wire.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::Create => "c",
            Self::Read => "r",
            Self::Update => "u",
            Self::Delete => "d",
            Self::Truncate => "t",
            Self::Message => "m",
        }
    }
}

/// Where an event stands in a snapshot, Debezium's `source.snapshot` field. The truth value that
/// stood there before Debezium 1.0 is read too.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Snapshot {
    /// A row of a snapshot that is neither first nor last of anything.
    True,
    /// The first row of the whole snapshot.
    First,
    /// The first row of a table that is not the first.
    FirstInDataCollection,
    /// The last row of a table that is not the last.
    LastInDataCollection,
    /// The last row of the whole snapshot.
    Last,
    /// Not from a snapshot: streamed.
    #[default]
    False,
    /// Read by an incremental snapshot between streamed events.
    Incremental,
}

impl Snapshot {
    /// The text on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::True => "true",
            Self::First => "first",
            Self::FirstInDataCollection => "first_in_data_collection",
            Self::LastInDataCollection => "last_in_data_collection",
            Self::Last => "last",
            Self::False => "false",
            Self::Incremental => "incremental",
        }
    }

    const ALL: [Self; 7] = [
        Self::True,
        Self::First,
        Self::FirstInDataCollection,
        Self::LastInDataCollection,
        Self::Last,
        Self::False,
        Self::Incremental,
    ];

    /// The allowed values in the order the schema lists them.
    pub(crate) const ALLOWED: &'static str =
        "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental";
}

impl<'de> Deserialize<'de> for Snapshot {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Place;
        impl Visitor<'_> for Place {
            type Value = Snapshot;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a place in a snapshot")
            }

            fn visit_bool<E>(self, value: bool) -> Result<Snapshot, E> {
                Ok(if value { Snapshot::True } else { Snapshot::False })
            }

            fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Snapshot, E> {
                let mut all = Snapshot::ALL.into_iter();
                let unknown = || E::invalid_value(Unexpected::Str(value), &self);
                all.find(|place| place.as_str() == value).ok_or_else(unknown)
            }
        }
        deserializer.deserialize_any(Place)
    }
}
