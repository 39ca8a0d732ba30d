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

/// Where an event stands in a snapshot, Debezium's `source.snapshot` field.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
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

    /// The allowed values in the order the schema lists them.
    pub(crate) const ALLOWED: &'static str =
        "true,first,first_in_data_collection,last_in_data_collection,last,false,incremental";
}
