//! Options for single columns: which ones are left out, and which are changed on their way.

use crate::column::ColumnDef;
use crate::error::{Error, ErrorKind};
use crate::mapping::{Fidelity, Mapping};
use crate::patterns::{KeyColumns, Patterns};
use crate::table::TableId;

/// What happens to the columns that an option names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Text and bytes are cut to a number of UTF-16 units, of bytes respectively.
    Truncate(usize),
    /// Every value, null too, becomes that many asterisks.
    Mask(usize),
    /// Text becomes the hexadecimal digest of it and a salt.
    Hash(Hash),
    /// The schema tells the column's type.
    Propagate,
}

/// How a digest is made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Hash {
    pub(crate) algorithm: Algorithm,
    pub(crate) salt: String,
    /// The first version hashes Java's serialized form of the text, the second the text.
    pub(crate) serialized: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Algorithm {
    Sha224,
    Sha256,
    Sha384,
    Sha512,
}

/// A rule and the columns it is for.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct ColumnRule {
    pub(crate) rule: Rule,
    patterns: Patterns,
    /// The patterns are of types, not of columns.
    by_type: bool,
}

impl ColumnRule {
    /// Debezium looks for the first rule that matches, in this order; that a hash of the second
    /// version comes after propagation shows where both match.
    fn rank(&self) -> u8 {
        match &self.rule {
            Rule::Truncate(_) => 0,
            Rule::Mask(_) => 1,
            Rule::Hash(hash) if hash.serialized => 2,
            Rule::Propagate if self.by_type => 4,
            Rule::Propagate => 3,
            Rule::Hash(_) => 5,
        }
    }

    fn matches(&self, id: &TableId, column: &ColumnDef) -> bool {
        if self.by_type {
            let name = column.source_type_name();
            return self.patterns.matches(&format!("{id}.{name}")) || self.patterns.matches(&name);
        }
        self.patterns.matches(&format!("{id}.{}", column.name))
    }
}

/// Options for single columns, in the order in which they are looked through.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct ColumnRules {
    rules: Vec<ColumnRule>,
    include: Option<Patterns>,
    exclude: Option<Patterns>,
    keys: Vec<KeyColumns>,
}

/// What happens to one column.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Treatment {
    /// Changes of the value, first to last.
    pub(crate) value: Vec<Rule>,
    /// The schema tells the column's type.
    pub(crate) propagate: bool,
}

impl ColumnRules {
    /// Takes an option of a single column; says whether it is one.
    pub(crate) fn option(&mut self, key: &str, value: &str) -> Result<bool, Error> {
        let invalid = || Error::option(ErrorKind::InvalidOption, key);
        let patterns = || Patterns::parse(value).ok_or_else(invalid);
        let rule = match key {
            "column.include.list" | "column.whitelist" => {
                self.include = Some(patterns()?).filter(|_| !value.is_empty());
                return Ok(true);
            }
            "column.exclude.list" | "column.blacklist" => {
                self.exclude = Some(patterns()?).filter(|_| !value.is_empty());
                return Ok(true);
            }
            "message.key.columns" => {
                self.keys = KeyColumns::parse_list(value).ok_or_else(invalid)?;
                return Ok(true);
            }
            "column.propagate.source.type" | "datatype.propagate.source.type" => Rule::Propagate,
            _ => match rule(key)? {
                Some(rule) => rule,
                None => return Ok(false),
            },
        };
        let by_type = key == "datatype.propagate.source.type";
        self.rules.push(ColumnRule { rule, patterns: patterns()?, by_type });
        self.rules.sort_by_key(ColumnRule::rank);
        Ok(true)
    }

    /// Whether values have the column.
    pub(crate) fn includes(&self, id: &TableId, column: &str) -> bool {
        if self.include.is_none() && self.exclude.is_none() {
            return true;
        }
        let name = format!("{id}.{column}");
        self.include.as_ref().is_none_or(|list| list.matches(&name))
            && !self.exclude.as_ref().is_some_and(|list| list.matches(&name))
    }

    /// The places of the columns of a key that an option gives, in its order.
    pub(crate) fn key(&self, id: &TableId, columns: &[&str]) -> Vec<usize> {
        let table = id.to_string();
        let mut places = Vec::new();
        for pattern in self.keys.iter().flat_map(|entry| entry.columns_of(&table)) {
            for (place, column) in columns.iter().enumerate() {
                if pattern.is_match(column) && !places.contains(&place) {
                    places.push(place);
                }
            }
        }
        places
    }

    pub(crate) fn treatment(
        &self,
        id: &TableId,
        column: &ColumnDef,
        mapping: &Mapping,
    ) -> Treatment {
        let mut matching = self.rules.iter().filter(|rule| rule.matches(id, column));
        let mut treatment = Treatment::default();
        let mut add = |rule: &ColumnRule| match &rule.rule {
            Rule::Propagate => treatment.propagate = true,
            rule => treatment.value.push(rule.clone()),
        };
        match mapping.fidelity {
            Fidelity::Debezium => {
                if let Some(rule) = matching.next() {
                    add(rule);
                }
            }
            // Nothing that was to be hidden may show because another rule matches too: all of
            // them apply, what hides before what cuts.
            Fidelity::Corrected => {
                matching.for_each(&mut add);
                treatment.value.sort_by_key(|rule| match rule {
                    Rule::Mask(_) => 0,
                    Rule::Hash(_) => 1,
                    Rule::Truncate(_) | Rule::Propagate => 2,
                });
            }
        }
        treatment
    }
}

/// The rule that a key with numbers or names in it stands for.
fn rule(key: &str) -> Result<Option<Rule>, Error> {
    let count = |rest: &str| -> Option<usize> { rest.strip_suffix(".chars")?.parse().ok() };
    let invalid = || Error::option(ErrorKind::InvalidOption, key);
    if let Some(rest) = key.strip_prefix("column.truncate.to.") {
        let length = count(rest).filter(|length| *length > 0).ok_or_else(invalid)?;
        return Ok(Some(Rule::Truncate(length)));
    }
    if let Some(rest) = key.strip_prefix("column.mask.with.") {
        let length = count(rest).filter(|length| *length <= MAX_MASK).ok_or_else(invalid)?;
        return Ok(Some(Rule::Mask(length)));
    }
    let Some(rest) = key.strip_prefix("column.mask.hash.") else { return Ok(None) };
    let (rest, serialized) = match rest.strip_prefix("v2.") {
        Some(rest) => (rest, false),
        None => (rest, true),
    };
    let (algorithm, salt) = rest.split_once(".with.salt.").ok_or_else(invalid)?;
    let algorithm = match algorithm.to_ascii_uppercase().as_str() {
        "SHA-224" => Algorithm::Sha224,
        "SHA-256" => Algorithm::Sha256,
        "SHA-384" => Algorithm::Sha384,
        "SHA-512" => Algorithm::Sha512,
        _ => return Err(Error::option(ErrorKind::UnsupportedOption, key)),
    };
    Ok(Some(Rule::Hash(Hash { algorithm, salt: salt.to_owned(), serialized })))
}

/// Longer masks are typos.
const MAX_MASK: usize = 100_000;
