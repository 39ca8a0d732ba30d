//! What a registry can be told about itself and about its subjects.

use std::fmt;

use crate::document::{Document, document};
use crate::metadata::{Metadata, RuleSet};
use crate::subject::Subject;

/// Whose settings or mode: the whole registry's, or one subject's.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Scope {
    /// Everything that has no setting of its own.
    Global,
    /// One subject. Asking fails with [`Missing::Setting`](crate::Missing::Setting) when the
    /// subject has none of its own.
    Subject(Subject),
    /// One subject, and for asking, what is in force for it: its own, or the global one.
    Effective(Subject),
}

impl From<&Subject> for Scope {
    fn from(subject: &Subject) -> Self {
        Self::Subject(subject.clone())
    }
}

macro_rules! names {
    ($(#[$doc:meta])* $name:ident { $($(#[$item:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum $name {
            $($(#[$item])* $variant,)*
            /// One that this crate does not know, by the registry's name for it.
            Other(Box<str>),
        }

        impl $name {
            /// The registry's name for it.
            #[must_use]
            pub fn as_str(&self) -> &str {
                match self {
                    $(Self::$variant => $text,)*
                    Self::Other(name) => name,
                }
            }
        }

        impl From<&str> for $name {
            fn from(name: &str) -> Self {
                match name {
                    $($text => Self::$variant,)*
                    other => Self::Other(other.into()),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

names! {
    /// Which changes of a schema a registry allows.
    CompatibilityLevel {
        /// Any.
        None = "NONE",
        /// The new schema reads what the last one wrote.
        Backward = "BACKWARD",
        /// The new schema reads what any earlier one wrote.
        BackwardTransitive = "BACKWARD_TRANSITIVE",
        /// The last schema reads what the new one writes.
        Forward = "FORWARD",
        /// Every earlier schema reads what the new one writes.
        ForwardTransitive = "FORWARD_TRANSITIVE",
        /// Backward and forward.
        Full = "FULL",
        /// Backward and forward, with every earlier schema.
        FullTransitive = "FULL_TRANSITIVE",
    }
}

names! {
    /// What a registry lets its clients do.
    Mode {
        /// Everything.
        ReadWrite = "READWRITE",
        /// Reading.
        ReadOnly = "READONLY",
        /// Reading, whatever the mode of a subject says.
        ReadOnlyOverride = "READONLY_OVERRIDE",
        /// Registering with a given id and version.
        Import = "IMPORT",
        /// Registering is passed on to another registry.
        Forward = "FORWARD",
    }
}

/// Settings of a registry or subject. Fields this crate does not know are kept as they came.
/// Cheap to clone.
///
/// ```
/// use registry_client::{CompatibilityLevel, Settings};
///
/// let settings = Settings::new().with_compatibility(CompatibilityLevel::Full);
/// assert_eq!(settings.compatibility(), Some(CompatibilityLevel::Full));
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Settings(Document);

document!(Settings);

impl Settings {
    /// Takes what registries answer: an object that names the level one way or the other, or
    /// only the name of the level.
    pub(crate) fn from_answer(body: &[u8]) -> Result<Self, serde_json::Error> {
        if let Ok(level) = serde_json::from_slice::<String>(body) {
            return Ok(Self(Document::default().with(LEVEL, &level)));
        }
        Ok(Self(Document::parse(body)?.renamed(LEVEL_IN_REQUESTS, LEVEL)))
    }

    /// Body of a change: requests call the level otherwise than answers.
    pub(crate) fn to_body(&self) -> String {
        self.0.clone().renamed(LEVEL, LEVEL_IN_REQUESTS).to_json()
    }

    /// Which changes of a schema are allowed.
    #[must_use]
    pub fn compatibility(&self) -> Option<CompatibilityLevel> {
        let level: Option<String> = self.0.get(LEVEL).or_else(|| self.0.get(LEVEL_IN_REQUESTS));
        level.map(|name| (&*name).into())
    }

    /// Whether schemas are normalized when they are registered or looked up.
    #[must_use]
    pub fn normalize(&self) -> Option<bool> {
        self.0.get("normalize")
    }

    /// The subject that this one stands for.
    #[must_use]
    pub fn alias(&self) -> Option<Subject> {
        self.0.get("alias").map(|name: String| Subject::new(&name))
    }

    /// Name of the metadata property by which schemas are compared only among equals.
    #[must_use]
    pub fn compatibility_group(&self) -> Option<String> {
        self.0.get("compatibilityGroup")
    }

    /// Metadata of schemas that come without any.
    #[must_use]
    pub fn default_metadata(&self) -> Option<Metadata> {
        self.0.get("defaultMetadata").map(Metadata)
    }

    /// Metadata that every schema gets.
    #[must_use]
    pub fn override_metadata(&self) -> Option<Metadata> {
        self.0.get("overrideMetadata").map(Metadata)
    }

    /// Rules of schemas that come without any.
    #[must_use]
    pub fn default_rule_set(&self) -> Option<RuleSet> {
        self.0.get("defaultRuleSet").map(RuleSet)
    }

    /// Rules that every schema gets.
    #[must_use]
    pub fn override_rule_set(&self) -> Option<RuleSet> {
        self.0.get("overrideRuleSet").map(RuleSet)
    }

    /// Sets which changes of a schema are allowed.
    #[must_use]
    pub fn with_compatibility(self, level: CompatibilityLevel) -> Self {
        Self(self.0.with(LEVEL, &level.as_str()))
    }

    /// Sets whether schemas are normalized when they are registered or looked up.
    #[must_use]
    pub fn with_normalize(self, normalize: bool) -> Self {
        Self(self.0.with("normalize", &normalize))
    }

    /// Makes the subject stand for another.
    #[must_use]
    pub fn with_alias(self, subject: &Subject) -> Self {
        Self(self.0.with("alias", &subject.as_str()))
    }

    /// Sets the metadata property by which schemas are compared only among equals.
    #[must_use]
    pub fn with_compatibility_group(self, property: &str) -> Self {
        Self(self.0.with("compatibilityGroup", &property))
    }

    /// Sets the metadata of schemas that come without any.
    #[must_use]
    pub fn with_default_metadata(self, metadata: &Metadata) -> Self {
        Self(self.0.with("defaultMetadata", &metadata.0))
    }

    /// Sets the metadata that every schema gets.
    #[must_use]
    pub fn with_override_metadata(self, metadata: &Metadata) -> Self {
        Self(self.0.with("overrideMetadata", &metadata.0))
    }

    /// Sets the rules of schemas that come without any.
    #[must_use]
    pub fn with_default_rule_set(self, rules: &RuleSet) -> Self {
        Self(self.0.with("defaultRuleSet", &rules.0))
    }

    /// Sets the rules that every schema gets.
    #[must_use]
    pub fn with_override_rule_set(self, rules: &RuleSet) -> Self {
        Self(self.0.with("overrideRuleSet", &rules.0))
    }
}

const LEVEL: &str = "compatibilityLevel";
const LEVEL_IN_REQUESTS: &str = "compatibility";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_and_requests_name_the_level_differently() {
        for answer in [
            r#"{"compatibilityLevel":"FULL","later":1.0}"#,
            r#"{"compatibility":"FULL","later":1.0}"#,
        ] {
            let settings = Settings::from_answer(answer.as_bytes()).unwrap();
            assert_eq!(settings.compatibility(), Some(CompatibilityLevel::Full));
            assert_eq!(settings.to_body(), r#"{"compatibility":"FULL","later":1.0}"#);
        }
        let only = Settings::from_answer(b"\"NONE\"").unwrap();
        assert_eq!(only.compatibility(), Some(CompatibilityLevel::None));
        assert!(Settings::from_answer(b"3").is_err());
        let unknown = Settings::from_answer(br#"{"compatibilityLevel":"SOMEHOW"}"#).unwrap();
        assert_eq!(unknown.compatibility(), Some(CompatibilityLevel::Other("SOMEHOW".into())));
    }

    #[test]
    fn every_setting_reads_back() {
        let metadata = Metadata::new().with_property("a", "b");
        let rules: RuleSet = r#"{"domainRules":[]}"#.parse().unwrap();
        let settings = Settings::new()
            .with_compatibility(CompatibilityLevel::ForwardTransitive)
            .with_normalize(true)
            .with_alias(&Subject::new("other"))
            .with_compatibility_group("major")
            .with_default_metadata(&metadata)
            .with_override_metadata(&metadata)
            .with_default_rule_set(&rules)
            .with_override_rule_set(&rules);
        let back: Settings = settings.to_body().parse().unwrap();
        assert_eq!(back.compatibility(), Some(CompatibilityLevel::ForwardTransitive));
        assert_eq!(back.normalize(), Some(true));
        assert_eq!(back.alias(), Some(Subject::new("other")));
        assert_eq!(back.compatibility_group().as_deref(), Some("major"));
        assert_eq!(back.default_metadata(), Some(metadata.clone()));
        assert_eq!(back.override_metadata(), Some(metadata));
        assert_eq!(back.default_rule_set(), Some(rules.clone()));
        assert_eq!(back.override_rule_set(), Some(rules));
    }
}
