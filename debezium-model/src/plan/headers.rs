//! Headers of records.

use super::metadata::{Metadatas, Value};
use crate::op::Op;
use crate::source::SourceBlock;

/// What a change carries in its headers, besides those that say which connector it comes from:
/// the other key of a change of the key, and what `add.headers` of a flattened record asks for.
#[derive(Clone, Copy, Debug)]
pub struct Headers<'a> {
    pub(super) other_key: Option<(&'static str, &'a [u8])>,
    pub(super) op: Op,
    /// Whether what happened to the row is told once more, at the end.
    pub(super) again: bool,
    pub(super) source: &'a SourceBlock<'a>,
    pub(super) metadata: &'a Metadatas,
    pub(super) sequence: &'a str,
}

/// One header of a record.
#[derive(Clone, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct Header<'a> {
    /// Its name, such as `__debezium.newkey`.
    pub name: &'a str,
    /// Its value.
    pub value: HeaderValue<'a>,
}

/// The value of a [`Header`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderValue<'a> {
    /// The record has nothing to put there.
    Null,
    /// Text.
    Text(&'a str),
    /// A 64-bit integer.
    Long(i64),
    /// A key of the table, framed as the record's own key is, but without what routers added:
    /// [`Table::header_key_schema`](crate::Table::header_key_schema) is its schema.
    Key(&'a [u8]),
}

/// Name of the header that a deleted row's record has when the row moved to another key.
const NEW_KEY: &str = "__debezium.newkey";
/// Name of the header that a created row's record has when the row came from another key.
const OLD_KEY: &str = "__debezium.oldkey";

impl<'a> Headers<'a> {
    pub(super) fn with_new_key(self, key: &'a [u8]) -> Self {
        Self { other_key: Some((NEW_KEY, key)), ..self }
    }

    pub(super) fn with_old_key(self, key: &'a [u8]) -> Self {
        Self { other_key: Some((OLD_KEY, key)), ..self }
    }

    /// The headers, in Debezium's order.
    pub fn iter(&self) -> impl Iterator<Item = Header<'a>> + use<'a> {
        let Self { other_key, op, again, source, metadata, sequence } = *self;
        let key = other_key.map(|(name, key)| Header { name, value: HeaderValue::Key(key) });
        let repeated = metadata.headers.iter().filter(move |field| again && field.is_operation());
        let added = metadata.headers.iter().chain(repeated).map(move |field| {
            let value = match metadata.value(field.metadata, op, source, sequence) {
                Value::Text(Some(text)) => HeaderValue::Text(text),
                Value::Long(Some(number)) => HeaderValue::Long(number),
                Value::Text(None) | Value::Long(None) => HeaderValue::Null,
            };
            Header { name: &field.name, value }
        });
        key.into_iter().chain(added)
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }
}
