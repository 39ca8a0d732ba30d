//! What a request says besides its path.

use std::convert::Infallible;

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::super::answer::Refusal;
use super::super::change::{Deletion, Given};
use super::super::record::{Content, Reference};
use super::super::state::{Deleted, Sent, State};
use super::super::subject::{DEFAULT_CONTEXT, Subject};
use super::Result;

/// The context that the path began with.
#[derive(Clone, Debug)]
pub(super) struct Home(pub(super) String);

impl Default for Home {
    fn default() -> Self {
        Self(DEFAULT_CONTEXT.to_owned())
    }
}

/// The query and the context.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) home: String,
    query: Vec<(String, String)>,
}

impl<S: Send + Sync> FromRequestParts<S> for Asked {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> std::result::Result<Self, Infallible> {
        let home = parts.extensions.get::<Home>().cloned().unwrap_or_default().0;
        let pairs =
            parts.uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty());
        let query = pairs.filter_map(|pair| {
            let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
            Some((decode(&key.replace('+', " "))?, decode(&value.replace('+', " "))?))
        });
        Ok(Self { home, query: query.collect() })
    }
}

impl Asked {
    pub(super) fn all<'a>(&'a self, key: &'a str) -> impl Iterator<Item = &'a str> {
        self.query.iter().filter(move |(found, _)| found == key).map(|(_, value)| &**value)
    }

    pub(super) fn text(&self, key: &str) -> Option<&str> {
        self.query.iter().find(|(found, _)| found == key).map(|(_, value)| &**value)
    }

    pub(super) fn is(&self, key: &str) -> bool {
        self.text(key).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }

    pub(super) fn deleted(&self) -> Deleted {
        match (self.is("deletedOnly"), self.is("deleted")) {
            (true, _) => Deleted::Only,
            (false, true) => Deleted::Shown,
            (false, false) => Deleted::Hidden,
        }
    }

    pub(super) fn deletion(&self) -> Deletion {
        if self.is("permanent") { Deletion::Permanent } else { Deletion::Soft }
    }

    /// The asked-for part of a list; a negative limit is none.
    pub(super) fn page<T>(&self, items: impl IntoIterator<Item = T>) -> Vec<T> {
        let number = |key| self.text(key).and_then(|text| text.parse::<i64>().ok());
        let offset = number("offset").and_then(|n| usize::try_from(n).ok()).unwrap_or_default();
        let limit = number("limit").and_then(|n| usize::try_from(n).ok()).unwrap_or(usize::MAX);
        items.into_iter().skip(offset).take(limit).collect()
    }

    /// A subject of the path.
    pub(super) fn subject(&self, text: &str) -> Subject {
        Subject::parse(text, &self.home)
    }

    /// A subject of the path, or the one it stands for.
    pub(super) fn resolve(&self, text: &str, state: &State) -> Subject {
        let subject = self.subject(text);
        let config = state.config(&subject.to_string());
        match config.as_ref().and_then(|config| config.get("alias")?.as_str()) {
            Some(alias) if !alias.is_empty() => Subject::parse(alias, &subject.context),
            _ => subject,
        }
    }
}

/// A schema as it is sent.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(super) struct SchemaBody {
    schema: Option<String>,
    schema_type: Option<String>,
    references: Option<Vec<Reference>>,
    metadata: Option<Value>,
    rule_set: Option<Value>,
    id: Option<i64>,
    version: Option<i64>,
}

impl SchemaBody {
    /// Checks the schema, in its one spelling if that is asked for or set for the subject.
    pub(super) fn check(&self, state: &State, subject: &Subject, asked: &Asked) -> Result<Sent> {
        if self.schema_type.as_deref().is_some_and(|kind| kind != "AVRO") {
            return Err(Refusal::invalid_schema("only AVRO is supported"));
        }
        let content = Content {
            schema: self.schema.clone().unwrap_or_default(),
            references: self.references.clone().unwrap_or_default(),
            metadata: self.metadata.clone(),
            rule_set: self.rule_set.clone(),
        };
        if content.schema.trim().is_empty() {
            return Err(Refusal::invalid_schema("Empty schema"));
        }
        let mut sent = state.check(content, &subject.context)?;
        let set = state.effective(subject, "normalize").and_then(Value::as_bool);
        if asked.is("normalize") || (asked.text("normalize").is_none() && set == Some(true)) {
            sent.content.schema.clone_from(&sent.checked.canonical);
        }
        Ok(sent)
    }

    pub(super) fn given(&self) -> Given {
        let number = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok()).filter(|n| *n > 0);
        Given { id: number(self.id), version: number(self.version) }
    }
}

/// A body of JSON.
#[derive(Debug)]
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, state: &S) -> Result<Self> {
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            if rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE {
                Refusal::too_large()
            } else {
                Refusal::plain(400, "the body ended too early")
            }
        })?;
        // An array would do for a struct, too.
        let body = serde_json::from_slice::<Map<String, Value>>(&bytes)
            .and_then(|body| serde_json::from_value(Value::Object(body)));
        body.map(Self).map_err(|_| Refusal::plain(400, "the body is not as expected"))
    }
}

/// Takes the percent signs out of a part of a URL.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        let code = match (byte, after) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: u8| char::from(byte).to_digit(16);
                digit(*high)
                    .zip(digit(*low))
                    .and_then(|(high, low)| u8::try_from(high * 16 + low).ok())
            }
            _ => None,
        };
        if let Some(code) = code {
            bytes.push(code);
            rest = after.get(2..).unwrap_or_default();
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn percent_signs_are_taken_out() {
        for (text, expected) in [("a%2Fb", "a/b"), ("%C3%A9", "é"), ("50%", "50%"), ("%zz", "%zz")]
        {
            assert_eq!(super::decode(text).as_deref(), Some(expected));
        }
        assert_eq!(super::decode("%FF"), None);
    }
}
