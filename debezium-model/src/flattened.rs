//! A row without its envelope, as a consumer reads it.

use std::fmt;
use std::marker::PhantomData;

use serde::de::{DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, Visitor};
use serde::ser::{SerializeMap, Serializer};
use serde::{Deserialize, Serialize};

/// The value of a record that went through `ExtractNewRecordState`: the row, and beside it the
/// fields that tell where it comes from, whose names start with two underscores (`__op`,
/// `__deleted`, what `add.fields` asks for).
///
/// A row of the consumer's own type that wants none of that needs no `Flattened`; its
/// `Deserialize` leaves out what it does not know.
///
/// ```
/// use debezium_model::{FieldValue, Flattened, from_json};
///
/// #[derive(serde::Deserialize)]
/// struct Memo {
///     id: i32,
/// }
///
/// let json = br#"{"id":7,"__deleted":"false","__source_ts_ms":5}"#;
/// let record: Flattened<Memo> = from_json(json)?;
/// assert_eq!(record.row.id, 7);
/// assert!(!record.is_deleted());
/// assert_eq!(record.field("__source_ts_ms"), Some(&FieldValue::Long(5)));
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Flattened<R> {
    /// The row; of a deleted one the old row.
    #[serde(flatten)]
    pub row: R,
    #[serde(flatten)]
    fields: Fields,
}

/// In the order of the record.
#[derive(Clone, Debug, Default, PartialEq)]
struct Fields(Vec<(String, FieldValue)>);

/// The value of a field beside a flattened row.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum FieldValue {
    /// Nothing.
    Null,
    /// A truth value.
    Boolean(bool),
    /// A number.
    Long(i64),
    /// Text.
    Text(String),
}

/// How the names of these fields begin, unless `add.fields.prefix` says otherwise.
const PREFIX: &str = "__";

impl<R> Flattened<R> {
    /// The fields beside the row, in their order.
    pub fn fields(&self) -> impl Iterator<Item = (&str, &FieldValue)> {
        self.fields.0.iter().map(|(name, value)| (name.as_str(), value))
    }

    /// One of the fields beside the row, by its whole name.
    #[must_use]
    pub fn field(&self, name: &str) -> Option<&FieldValue> {
        self.fields().find(|field| field.0 == name).map(|field| field.1)
    }

    /// Whether the row was deleted: the field `__deleted`, which
    /// `delete.tombstone.handling.mode=rewrite` adds, says so.
    #[must_use]
    pub fn is_deleted(&self) -> bool {
        match self.field("__deleted") {
            Some(FieldValue::Text(text)) => text == "true",
            Some(FieldValue::Boolean(deleted)) => *deleted,
            _ => false,
        }
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

impl Serialize for FieldValue {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_none(),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Long(value) => serializer.serialize_i64(*value),
            Self::Text(value) => serializer.serialize_str(value),
        }
    }
}

impl<'de> Deserialize<'de> for FieldValue {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Any;
        impl Visitor<'_> for Any {
            type Value = FieldValue;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("text, a whole number, a truth value or null")
            }

            fn visit_unit<E>(self) -> Result<FieldValue, E> {
                Ok(FieldValue::Null)
            }

            fn visit_bool<E>(self, value: bool) -> Result<FieldValue, E> {
                Ok(FieldValue::Boolean(value))
            }

            fn visit_i64<E>(self, value: i64) -> Result<FieldValue, E> {
                Ok(FieldValue::Long(value))
            }

            fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<FieldValue, E> {
                i64::try_from(value).map(FieldValue::Long).map_err(E::custom)
            }

            fn visit_str<E>(self, value: &str) -> Result<FieldValue, E> {
                Ok(FieldValue::Text(value.to_owned()))
            }
        }
        deserializer.deserialize_any(Any)
    }
}

impl<'de, R: Deserialize<'de>> Deserialize<'de> for Flattened<R> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Both<R>(PhantomData<R>);
        impl<'de, R: Deserialize<'de>> Visitor<'de> for Both<R> {
            type Value = Flattened<R>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a flattened row")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Flattened<R>, A::Error> {
                let mut fields = Fields::default();
                let mut columns = Columns { map, fields: &mut fields };
                let deserializer = serde::de::value::MapAccessDeserializer::new(&mut columns);
                let row = R::deserialize(deserializer)?;
                // A row may be content before the end.
                while columns.next_key::<serde::de::IgnoredAny>()?.is_some() {
                    columns.next_value::<serde::de::IgnoredAny>()?;
                }
                Ok(Flattened { row, fields })
            }
        }
        deserializer.deserialize_map(Both(PhantomData))
    }
}

/// The entries that are the row's own; the others are put aside on the way.
struct Columns<'f, A> {
    map: A,
    fields: &'f mut Fields,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Columns<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        while let Some(name) = self.map.next_key::<String>()? {
            if !name.starts_with(PREFIX) {
                return seed.deserialize(name.into_deserializer()).map(Some);
            }
            let value = self.map.next_value()?;
            self.fields.0.push((name, value));
        }
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}
