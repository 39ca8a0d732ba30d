//! JSON objects that are carried as they came, known fields and unknown ones.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};

/// The fields of a JSON object by name, each with its text as it was written: numbers keep their
/// digits and unknown fields their place. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct Document(Arc<Fields>);

type Fields = BTreeMap<Box<str>, Box<RawValue>>;

impl Document {
    pub(crate) fn parse(text: &[u8]) -> Result<Self, serde_json::Error> {
        serde_json::from_slice(text)
    }

    /// The field `name`, unless it is absent, null, or of another shape.
    pub(crate) fn get<T: DeserializeOwned>(&self, name: &str) -> Option<T> {
        self.0.get(name).and_then(|raw| serde_json::from_str(raw.get()).ok()).flatten()
    }

    /// The text of the field `name`.
    pub(crate) fn raw(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(|raw| raw.get())
    }

    /// Takes the field `name` out; `None` when it is absent or null.
    ///
    /// # Errors
    /// It has another shape.
    pub(crate) fn take<T: DeserializeOwned>(&mut self, name: &str) -> Result<Option<T>, Error> {
        let Some(raw) = Arc::make_mut(&mut self.0).remove(name) else { return Ok(None) };
        serde_json::from_str(raw.get())
            .map_err(|e| Error::build(ErrorKind::Response).with_source(e).into())
    }

    /// The same with `value` as the field `name`.
    pub(crate) fn with(mut self, name: &str, value: &impl Serialize) -> Self {
        // The values are texts, numbers, lists and maps of texts: those always have a JSON text.
        if let Ok(raw) = serde_json::value::to_raw_value(value) {
            Arc::make_mut(&mut self.0).insert(name.into(), raw);
        }
        self
    }

    /// The same with the field `old` under the name `new`, if it is there.
    pub(crate) fn renamed(mut self, old: &str, new: &str) -> Self {
        if self.0.contains_key(old) {
            let fields = Arc::make_mut(&mut self.0);
            if let Some(raw) = fields.remove(old) {
                fields.insert(new.into(), raw);
            }
        }
        self
    }

    pub(crate) fn to_json(&self) -> String {
        let fields: Vec<String> = self
            .0
            .iter()
            .map(|(name, raw)| format!("{}:{}", serde_json::Value::from(&**name), raw.get()))
            .collect();
        format!("{{{}}}", fields.join(","))
    }
}

impl<'de> Deserialize<'de> for Document {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Fields::deserialize(deserializer).map(|fields| Self(Arc::new(fields)))
    }
}

impl Serialize for Document {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl PartialEq for Document {
    fn eq(&self, other: &Self) -> bool {
        let texts = |document: &Self| -> Vec<(Box<str>, Box<str>)> {
            document.0.iter().map(|(name, raw)| (name.clone(), raw.get().into())).collect()
        };
        Arc::ptr_eq(&self.0, &other.0) || texts(self) == texts(other)
    }
}

impl Eq for Document {}

impl Hash for Document {
    fn hash<H: Hasher>(&self, state: &mut H) {
        for (name, raw) in &*self.0 {
            name.hash(state);
            raw.get().hash(state);
        }
    }
}

/// Shows the names only: properties of a schema can be marked as sensitive.
impl fmt::Debug for Document {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Gives a public type around a document what all of them have.
macro_rules! document {
    ($name:ident) => {
        impl $name {
            /// Without any field.
            #[must_use]
            pub fn new() -> Self {
                Self::default()
            }

            /// The whole of it as a JSON object, including fields this crate does not know.
            #[must_use]
            pub fn to_json(&self) -> String {
                self.0.to_json()
            }

            /// The JSON text of one field, known to this crate or not.
            #[must_use]
            pub fn field(&self, name: &str) -> Option<&str> {
                self.0.raw(name)
            }
        }

        /// Reads a JSON object, every field of which is kept as it is written.
        impl std::str::FromStr for $name {
            type Err = crate::error::Error;

            fn from_str(json: &str) -> Result<Self, crate::error::Error> {
                crate::document::Document::parse(json.as_bytes()).map(Self).map_err(|e| {
                    crate::error::Error::build(crate::error::ErrorKind::Config)
                        .with_source(e)
                        .into()
                })
            }
        }
    };
}
pub(crate) use document;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_keep_their_text() {
        let text = br#"{ "b": 1.00e400, "a" : {"x":[1 , 2]}, "\u00e9\"": null }"#;
        let document = Document::parse(text).unwrap();
        assert_eq!(document.raw("b"), Some("1.00e400"));
        assert_eq!(document.to_json(), r#"{"a":{"x":[1 , 2]},"b":1.00e400,"é\"":null}"#);
        assert_eq!(serde_json::to_string(&document).unwrap(), document.to_json());
        assert_eq!(document.get::<u32>("b"), None);
        assert_eq!(document.get::<u32>("é\""), None);
        assert_eq!(document.clone().with("b", &7).get::<u32>("b"), Some(7));
        assert_eq!(document, Document::parse(document.to_json().as_bytes()).unwrap());
        assert_ne!(document, document.clone().with("b", &7));
        assert!(!format!("{document:?}").contains("400"));
    }

    #[test]
    fn taking_tells_absent_from_wrong() {
        let mut document = Document::parse(br#"{"n":5,"s":"t","z":null}"#).unwrap();
        assert_eq!(document.take::<u32>("n").unwrap(), Some(5));
        assert_eq!(document.take::<u32>("n").unwrap(), None);
        assert_eq!(document.take::<u32>("z").unwrap(), None);
        assert_eq!(document.take::<u32>("s").unwrap_err().kind(), ErrorKind::Response);
        assert!(Document::parse(b"[]").is_err());
    }
}
