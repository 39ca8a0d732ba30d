//! What can be said about a schema beside its text. Carried, never executed.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::document::{Document, document};

/// Tags and properties of a schema (Confluent's data contracts). Fields this crate does not know
/// are kept as they came. Cheap to clone; `Debug` shows no values.
///
/// ```
/// use registry_client::Metadata;
///
/// let metadata: Metadata = r#"{"properties":{"owner":"sales"},"shape":[1.50]}"#.parse()?;
/// let metadata = metadata.with_property("major", "2").with_tags("Order.email", &["PII"]);
/// assert_eq!(metadata.properties()["owner"], "sales");
/// assert_eq!(metadata.field("shape"), Some("[1.50]"));
/// # Ok::<(), registry_client::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Metadata(pub(crate) Document);

document!(Metadata);

impl Metadata {
    /// Tags by path, such as `**.ssn` to `PII`.
    #[must_use]
    pub fn tags(&self) -> BTreeMap<String, Vec<String>> {
        self.0.get("tags").unwrap_or_default()
    }

    /// Properties by name.
    #[must_use]
    pub fn properties(&self) -> BTreeMap<String, String> {
        self.0.get("properties").unwrap_or_default()
    }

    /// Names of the properties whose values are secret.
    #[must_use]
    pub fn sensitive(&self) -> Vec<String> {
        self.0.get("sensitive").unwrap_or_default()
    }

    /// Sets the property `name`.
    #[must_use]
    pub fn with_property(self, name: &str, value: &str) -> Self {
        let mut properties = self.properties();
        properties.insert(name.to_owned(), value.to_owned());
        Self(self.0.with("properties", &properties))
    }

    /// Sets the tags of `path`.
    #[must_use]
    pub fn with_tags(self, path: &str, tags: &[&str]) -> Self {
        let mut known = self.tags();
        known.insert(path.to_owned(), tags.iter().map(|tag| (*tag).to_owned()).collect());
        Self(self.0.with("tags", &known))
    }

    /// Marks the property `name` as secret.
    #[must_use]
    pub fn with_sensitive(self, name: &str) -> Self {
        let mut names = self.sensitive();
        if !names.iter().any(|known| known == name) {
            names.push(name.to_owned());
        }
        Self(self.0.with("sensitive", &names))
    }
}

/// Rules of a schema: validation, field encryption, migration. This crate carries them, it does
/// not execute them. Fields it does not know are kept as they came.
///
/// ```
/// use registry_client::RuleSet;
///
/// let rules: RuleSet = r#"{"domainRules":[{"name":"adult","kind":"CONDITION",
///     "type":"CEL","mode":"WRITE","expr":"message.age >= 18","weight":3}]}"#.parse()?;
/// assert_eq!(rules.domain_rules()[0].name, "adult");
/// assert!(rules.to_json().contains(r#""weight":3"#));
/// # Ok::<(), registry_client::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RuleSet(pub(crate) Document);

document!(RuleSet);

impl RuleSet {
    /// Rules that bring a record from one version to another.
    #[must_use]
    pub fn migration_rules(&self) -> Vec<Rule> {
        self.0.get("migrationRules").unwrap_or_default()
    }

    /// Rules on the content of records.
    #[must_use]
    pub fn domain_rules(&self) -> Vec<Rule> {
        self.0.get("domainRules").unwrap_or_default()
    }

    /// Rules on the encoded bytes of records.
    #[must_use]
    pub fn encoding_rules(&self) -> Vec<Rule> {
        self.0.get("encodingRules").unwrap_or_default()
    }
}

/// One rule, read; what it has beyond these fields stays in its [`RuleSet`].
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
#[non_exhaustive]
pub struct Rule {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub doc: Option<String>,
    /// `TRANSFORM` or `CONDITION`.
    pub kind: Option<String>,
    /// When it runs: `UPGRADE`, `DOWNGRADE`, `UPDOWN`, `WRITE`, `READ`, `WRITEREAD`.
    pub mode: Option<String>,
    /// Who executes it, such as `CEL`, `JSONATA` or `ENCRYPT`.
    #[serde(rename = "type")]
    pub executor: Option<String>,
    /// Tags of the fields it is about.
    pub tags: Option<Vec<String>>,
    /// Settings of the executor.
    pub params: Option<BTreeMap<String, String>>,
    /// The expression.
    pub expr: Option<String>,
    /// What to do when it held.
    pub on_success: Option<String>,
    /// What to do when it did not hold.
    pub on_failure: Option<String>,
    /// Whether it is switched off.
    pub disabled: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edits_leave_the_rest_alone() {
        let text = r#"{"properties":{"a":"1"},"tags":null,"zeta":{"n":12345678901234567890123}}"#;
        let metadata: Metadata = text.parse().unwrap();
        assert!(metadata.tags().is_empty());
        let edited = metadata
            .with_property("b", "2")
            .with_tags("x", &["P", "Q"])
            .with_sensitive("b")
            .with_sensitive("b");
        assert_eq!(
            edited.to_json(),
            r#"{"properties":{"a":"1","b":"2"},"sensitive":["b"],"tags":{"x":["P","Q"]},"zeta":{"n":12345678901234567890123}}"#
        );
        assert!("[1]".parse::<Metadata>().is_err());
        assert_eq!(Metadata::new().to_json(), "{}");
    }

    #[test]
    fn rules_are_read() {
        let rules: RuleSet = r#"{"migrationRules":[{"name":"m","type":"JSONATA","mode":"UPGRADE",
            "onFailure":"ERROR","params":{"k":"v"},"tags":["t"],"disabled":true}],
            "domainRules":null,"encodingRules":"nonsense"}"#
            .parse()
            .unwrap();
        let migration = rules.migration_rules();
        assert_eq!(migration.len(), 1);
        assert_eq!(migration[0].executor.as_deref(), Some("JSONATA"));
        assert_eq!(migration[0].on_failure.as_deref(), Some("ERROR"));
        assert_eq!(migration[0].params.as_ref().unwrap()["k"], "v");
        assert!(migration[0].disabled);
        assert!(rules.domain_rules().is_empty() && rules.encoding_rules().is_empty());
        assert_eq!(rules.field("encodingRules"), Some("\"nonsense\""));
    }
}
