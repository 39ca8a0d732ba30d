//! Lists of regular expressions, as Debezium's options give them.

use regex::{Regex, RegexBuilder};

/// Patterns that match whole names, whatever their case.
#[derive(Clone, Debug)]
pub(crate) struct Patterns {
    text: String,
    patterns: Vec<Regex>,
}

impl PartialEq for Patterns {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Patterns {
    /// Reads a comma-separated list; a comma of a pattern has a backslash before it. `None` when
    /// one of the patterns is not a regular expression.
    pub(crate) fn parse(list: &str) -> Option<Self> {
        let patterns = split(list, ',').iter().map(|part| whole(part)).collect::<Option<_>>()?;
        Some(Self { text: list.to_owned(), patterns })
    }

    pub(crate) fn matches(&self, name: &str) -> bool {
        self.patterns.iter().any(|pattern| pattern.is_match(name))
    }
}

/// A pattern for a whole name.
fn whole(pattern: &str) -> Option<Regex> {
    RegexBuilder::new(&format!("^(?:{pattern})$")).case_insensitive(true).build().ok()
}

/// The parts of a list that are not empty, without the blanks around them.
fn split(list: &str, separator: char) -> Vec<String> {
    let mut parts = vec![String::new()];
    let mut chars = list.chars().peekable();
    while let Some(c) = chars.next() {
        if c == separator {
            parts.push(String::new());
            continue;
        }
        let Some(part) = parts.last_mut() else { break };
        match chars.peek() {
            Some(&next) if c == '\\' && next == separator => {
                part.push(separator);
                chars.next();
            }
            // Any other escape belongs to the pattern, with what it escapes.
            Some(&next) if c == '\\' => {
                part.extend([c, next]);
                chars.next();
            }
            _ => part.push(c),
        }
    }
    parts
        .iter()
        .map(|part| part.trim())
        .filter(|part| !part.is_empty())
        .map(str::to_owned)
        .collect()
}

/// One entry of `message.key.columns`: tables, and the columns of their keys in order.
#[derive(Clone, Debug)]
pub(crate) struct KeyColumns {
    text: String,
    table: Regex,
    columns: Vec<Regex>,
}

impl PartialEq for KeyColumns {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl KeyColumns {
    /// Reads `table:column,column;table:…`, all of them patterns.
    pub(crate) fn parse_list(list: &str) -> Option<Vec<Self>> {
        split(list, ';')
            .iter()
            .map(|entry| {
                let (table, columns) = entry.rsplit_once(':')?;
                let columns: Vec<Regex> =
                    split(columns, ',').iter().map(|part| whole(part)).collect::<Option<_>>()?;
                if columns.is_empty() {
                    return None;
                }
                Some(Self { text: entry.clone(), table: whole(table.trim())?, columns })
            })
            .collect()
    }

    /// The patterns of the key's columns if the table is meant, named `schema.table`.
    pub(crate) fn columns_of(&self, table: &str) -> &[Regex] {
        if self.table.is_match(table) { &self.columns } else { &[] }
    }
}

#[cfg(test)]
mod tests {
    use super::{KeyColumns, Patterns, split};

    #[test]
    fn names_match_as_a_whole_and_in_any_case() {
        let list = Patterns::parse(r"public.sk.(id|a), public\..*\.c_{1\,2}x").unwrap();
        for (name, expected) in [
            ("public.sk.id", true),
            ("PUBLIC.SK.A", true),
            ("public.sk.aa", false),
            ("xpublic.sk.id", false),
            ("public.t.c__x", true),
        ] {
            assert_eq!(list.matches(name), expected, "{name}");
        }
        assert!(Patterns::parse("(").is_none());
    }

    #[test]
    fn escapes_stay_with_what_they_escape() {
        assert_eq!(split(r"a\.b , c\\,d\,e,,", ','), [r"a\.b", r"c\\", "d,e"]);
    }

    #[test]
    fn key_columns_by_table() {
        let list = KeyColumns::parse_list("public.mk:c_key,id;(.*).orders:pk3").unwrap();
        assert_eq!(list[0].columns_of("public.mk").len(), 2);
        assert!(list[0].columns_of("public.mk2").is_empty());
        assert_eq!(list[1].columns_of("x.orders").len(), 1);
        assert!(KeyColumns::parse_list("public.mk").is_none());
        assert!(KeyColumns::parse_list("public.mk:").is_none());
    }
}
