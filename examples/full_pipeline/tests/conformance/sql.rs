//! Scripts run statement by statement, because a script sent at once is one transaction.

/// The statements of a script.
pub(crate) fn statements(script: &str) -> Vec<&str> {
    let bytes = script.as_bytes();
    let (mut found, mut start, mut at) = (Vec::new(), 0, 0);
    while at < bytes.len() {
        // Inside a character there is nothing to see, as all that matters is ASCII.
        let rest = script.get(at..).unwrap_or_default();
        at += match bytes[at] {
            b'\'' => {
                // Only in E'…' does a backslash hide a quote.
                let escapes = at > 0
                    && bytes[at - 1].eq_ignore_ascii_case(&b'e')
                    && !(at > 1 && is_word(bytes[at - 2]));
                quoted(rest, b'\'', escapes)
            }
            b'"' => quoted(rest, b'"', false),
            b'-' if rest.starts_with("--") => rest.find('\n').unwrap_or(rest.len()),
            b'/' if rest.starts_with("/*") => rest.find("*/").map_or(rest.len(), |end| end + 2),
            b'$' if at == 0 || !is_word(bytes[at - 1]) => dollars(rest),
            b';' => {
                found.push(&script[start..at]);
                start = at + 1;
                1
            }
            _ => 1,
        };
    }
    found.push(&script[start..]);
    found.retain(|statement| !statement.trim().is_empty());
    found
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

/// Length of a quoted text at the start of `rest`; a doubled quote reads as two texts in a row.
fn quoted(rest: &str, quote: u8, escapes: bool) -> usize {
    let bytes = rest.as_bytes();
    let mut at = 1;
    while at < bytes.len() && bytes[at] != quote {
        at += if escapes && bytes[at] == b'\\' { 2 } else { 1 };
    }
    (at + 1).min(bytes.len())
}

/// Length of a dollar-quoted text, or of the lone dollar sign.
fn dollars(rest: &str) -> usize {
    let Some(end) = rest[1..].find('$') else { return 1 };
    let tag = &rest[..end + 2];
    if !tag[1..=end].bytes().all(is_word) || tag.as_bytes()[1].is_ascii_digit() {
        return 1;
    }
    rest[tag.len()..].find(tag).map_or(rest.len(), |close| tag.len() * 2 + close)
}

#[test]
fn statements_end_at_semicolons_outside_of_quotes() {
    let script =
        "a 'x;''y;'; b E'\\';' ;\n c $$ ; $$ $1 ; -- no; end\n d /* ; */ \"q;\"; $t$ $$; $t$";
    assert_eq!(
        statements(script),
        [
            "a 'x;''y;'",
            " b E'\\';' ",
            "\n c $$ ; $$ $1 ",
            " -- no; end\n d /* ; */ \"q;\"",
            " $t$ $$; $t$"
        ]
    );
    assert!(statements(" ;\n").is_empty());
}
