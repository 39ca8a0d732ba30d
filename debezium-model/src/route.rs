//! Transformations that send records to other topics.

use regex::Regex;

use crate::names::topic_name;

/// A transformation that gives the records of tables another topic: Kafka's `RegexRouter` or
/// Debezium's `ByLogicalTableRouter`.
#[derive(Clone, Debug)]
pub struct Router {
    pattern: Regex,
    replacement: String,
    key: Option<KeyField>,
    logical: bool,
}

/// What keeps rows of several tables apart that share a topic and a key.
#[derive(Clone, Debug)]
struct KeyField {
    name: String,
    value: Option<(Regex, String)>,
}

impl PartialEq for Router {
    fn eq(&self, other: &Self) -> bool {
        let key = |router: &Self| {
            router.key.as_ref().map(|key| {
                let value = key.value.as_ref();
                (key.name.clone(), value.map(|(from, to)| (from.as_str().to_owned(), to.clone())))
            })
        };
        self.pattern.as_str() == other.pattern.as_str()
            && self.replacement == other.replacement
            && self.logical == other.logical
            && key(self) == key(other)
    }
}

/// Where the records of a table go.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Routed {
    /// The topic.
    pub topic: String,
    /// Whether the names of the schemas follow the topic.
    pub renames_schemas: bool,
    /// A field added to the key, and its text for all records of the table.
    pub key_field: Option<(String, String)>,
}

/// Name of the added field of the key where none is given.
const KEY_FIELD: &str = "__dbz__physicalTableIdentifier";

impl Router {
    /// `RegexRouter`: a topic that the pattern matches as a whole gets the replacement's name, with
    /// `$1` standing for the first group. `None` when the pattern is not a regular expression.
    #[must_use]
    pub fn regex(pattern: &str, replacement: &str) -> Option<Self> {
        let (pattern, replacement) = (whole(pattern)?, expansion(replacement));
        Some(Self { pattern, replacement, key: None, logical: false })
    }

    /// `ByLogicalTableRouter`: as [`Router::regex`], but schemas are renamed too, and keys get a
    /// field that tells the tables apart.
    #[must_use]
    pub fn logical_table(pattern: &str, replacement: &str) -> Option<Self> {
        let key = Some(KeyField { name: KEY_FIELD.to_owned(), value: None });
        Some(Self { key, logical: true, ..Self::regex(pattern, replacement)? })
    }

    /// The same router, leaving keys as they are (`key.enforce.uniqueness=false`).
    #[must_use]
    pub fn without_key_field(mut self) -> Self {
        self.key = None;
        self
    }

    /// The same router with another name for the field of the key.
    #[must_use]
    pub fn with_key_field(mut self, name: &str) -> Self {
        let value = self.key.and_then(|key| key.value);
        self.key = Some(KeyField { name: name.to_owned(), value });
        self
    }

    /// The same router, the field of the key being made from the topic by a pattern and its
    /// replacement. `None` when the pattern is not a regular expression.
    #[must_use]
    pub fn with_key_value(mut self, pattern: &str, replacement: &str) -> Option<Self> {
        let value = Some((whole(pattern)?, expansion(replacement)));
        let name = self.key.map_or_else(|| KEY_FIELD.to_owned(), |key| key.name);
        self.key = Some(KeyField { name, value });
        Some(self)
    }

    /// Where records of a topic go; `None` if they stay.
    ///
    /// ```
    /// use debezium_model::Router;
    ///
    /// let router = Router::logical_table("(.*)shard_[0-9]+", "$1shards")
    ///     .and_then(|router| router.with_key_field("shard").with_key_value("(.*)_([0-9]+)", "s$2"))
    ///     .unwrap();
    /// let routed = router.route("cdc.public.shard_7").unwrap();
    /// assert_eq!(routed.topic, "cdc.public.shards");
    /// assert_eq!(routed.key_field, Some(("shard".into(), "s7".into())));
    /// assert_eq!(router.route("cdc.public.memo"), None);
    /// ```
    #[must_use]
    pub fn route(&self, topic: &str) -> Option<Routed> {
        let new = replace(&self.pattern, &self.replacement, topic)?;
        let new = if self.logical { topic_name(&new) } else { new };
        if new.is_empty() {
            return None;
        }
        let key_field = self.key.as_ref().map(|key| {
            let value = key.value.as_ref();
            let value = value.and_then(|(pattern, to)| replace(pattern, to, topic));
            (key.name.clone(), value.unwrap_or_else(|| topic.to_owned()))
        });
        Some(Routed { topic: new, renames_schemas: self.logical, key_field })
    }
}

/// A transformation that only some topics are for: a predicate `TopicNameMatches`.
#[derive(Clone, Debug)]
pub(crate) struct TopicPredicate {
    pub(crate) pattern: Regex,
    pub(crate) negate: bool,
}

impl PartialEq for TopicPredicate {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.as_str() == other.pattern.as_str() && self.negate == other.negate
    }
}

impl TopicPredicate {
    pub(crate) fn holds(&self, topic: &str) -> bool {
        self.pattern.is_match(topic) != self.negate
    }
}

pub(crate) fn whole(pattern: &str) -> Option<Regex> {
    Regex::new(&format!("^(?:{pattern})$")).ok()
}

fn replace(pattern: &Regex, replacement: &str, topic: &str) -> Option<String> {
    let captures = pattern.captures(topic)?;
    let mut out = String::new();
    captures.expand(replacement, &mut out);
    Some(out)
}

/// Java takes the digits after a dollar as the group, whatever follows, and a backslash makes the
/// next character ordinary.
pub(crate) fn expansion(java: &str) -> String {
    let mut out = String::new();
    let mut chars = java.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\\' => match chars.next() {
                Some('$') => out.push_str("$$"),
                Some(c) => out.push(c),
                None => {}
            },
            '$' if chars.peek().is_some_and(char::is_ascii_digit) => {
                out.push_str("${");
                out.extend(chars.next());
                out.push('}');
            }
            c => out.push(c),
        }
    }
    out
}
