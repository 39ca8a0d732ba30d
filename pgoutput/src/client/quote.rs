/// A text as an SQL literal with its quotes.
///
/// ```
/// assert_eq!(pgoutput::client::quote_literal("it's"), "'it''s'");
/// assert_eq!(pgoutput::client::quote_literal(r"a\b"), r"E'a\\b'");
/// ```
#[must_use]
pub fn quote_literal(text: &str) -> String {
    if text.contains('\\') {
        // This form means the same whatever standard_conforming_strings says.
        return format!("E{}", doubled(text, '\'', &['\'', '\\']));
    }
    doubled(text, '\'', &['\''])
}

/// A name as an SQL identifier with its quotes.
///
/// ```
/// assert_eq!(pgoutput::client::quote_identifier("Tab\"le"), "\"Tab\"\"le\"");
/// ```
#[must_use]
pub fn quote_identifier(name: &str) -> String {
    doubled(name, '"', &['"'])
}

/// A literal of the replication command language, which knows no escape but the doubled quote.
pub(super) fn replication_literal(text: &str) -> String {
    doubled(text, '\'', &['\''])
}

fn doubled(text: &str, quote: char, special: &[char]) -> String {
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for char in text.chars() {
        if special.contains(&char) {
            out.push(char);
        }
        out.push(char);
    }
    out.push(quote);
    out
}
