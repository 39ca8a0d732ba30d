//! Column defaults, from the text of `pg_get_expr`.

use std::borrow::Cow;

use crate::kind::Kind;
use crate::schema::DefaultValue;
use crate::value::{Raw, Reading, Scalar, ValueScratch, convert};

/// The default of a column in its schema, if the expression is one whose value is known without
/// asking the server.
pub(crate) fn default_value(
    kind: &Kind,
    expression: &str,
    reading: Reading,
) -> Option<DefaultValue> {
    // Debezium gives no default to these.
    if matches!(kind, Kind::Bytea(_) | Kind::Array(..) | Kind::Lost(_) | Kind::Hstore(_)) {
        return None;
    }
    let text = match parse(expression)? {
        Expression::Literal(text) => text,
        Expression::Function => Cow::Borrowed(stand_in(kind)?),
    };
    let mut scratch = ValueScratch::default();
    Some(match convert(kind, Raw::Text(text.as_bytes()), reading, &mut scratch).ok()? {
        Scalar::Bool(value) => DefaultValue::Boolean(value),
        Scalar::Int(value) => DefaultValue::Integer(value.into()),
        Scalar::Long(value) => DefaultValue::Integer(value),
        Scalar::Float(value) => DefaultValue::Float(value),
        Scalar::Double(value) => DefaultValue::Double(value),
        Scalar::Text(value) => DefaultValue::Text(value.to_owned()),
        Scalar::Bytes(value) => DefaultValue::Bytes(value.to_owned()),
        // Structs have no default: KAFKA-12694 makes Connect refuse them.
        Scalar::Null | Scalar::VariableDecimal { .. } | Scalar::Point { .. } => return None,
    })
}

/// What stands for a value that is computed per row, so that the field stays optional for
/// writers: zero of its type.
fn stand_in(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::Oid => "0",
        Kind::Float32 | Kind::Float64 | Kind::Numeric(_) | Kind::Money(_) => "0",
        Kind::Date(_) => "1970-01-01",
        Kind::Time(_) => "00:00:00",
        Kind::TimeTz => "00:00:00+00",
        Kind::Timestamp(_) => "1970-01-01 00:00:00",
        Kind::TimestampTz(_) => "1970-01-01 00:00:00+00",
        Kind::Uuid => "00000000-0000-0000-0000-000000000000",
        _ => return None,
    })
}

enum Expression<'a> {
    Literal(Cow<'a, str>),
    Function,
}

/// Understands constants with any number of casts and parentheses around them, and calls of a
/// function; nothing else.
fn parse(expression: &str) -> Option<Expression<'_>> {
    let mut rest = expression.trim();
    while let Some(inner) = enclosed(rest) {
        rest = inner.trim();
    }
    let (value, tail) = primary(rest)?;
    if !is_casts(tail) {
        return None;
    }
    Some(value)
}

/// The inside of parentheses that enclose the whole text, with the casts after them cut off.
fn enclosed(text: &str) -> Option<&str> {
    let body = text.strip_prefix('(')?;
    let end = closing(body)?;
    let (inner, tail) = body.split_at(end);
    is_casts(tail.get(1..)?).then_some(inner)
}

/// Where the parenthesis that is already open closes. Quotes hide parentheses.
fn closing(text: &str) -> Option<usize> {
    let mut depth = 1_usize;
    let mut quote = None;
    for (index, c) in text.char_indices() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    return Some(index);
                }
            }
            (None, _) => {}
        }
    }
    None
}

/// `::type` any number of times, or nothing.
fn is_casts(text: &str) -> bool {
    let text = text.trim();
    text.is_empty()
        || text.strip_prefix("::").is_some_and(|name| {
            name.chars().all(|c| {
                c.is_alphanumeric()
                    || matches!(c, ' ' | '_' | '"' | '.' | ':' | '(' | ')' | ',' | '[' | ']')
            })
        })
}

fn primary(text: &str) -> Option<(Expression<'_>, &str)> {
    for (prefix, escapes) in [("'", false), ("B'", false), ("E'", true)] {
        if let Some(body) = text.strip_prefix(prefix) {
            let (value, tail) = quoted(body, escapes)?;
            // A string that names a moment rather than being one: 'now'::text::date.
            if matches!(&*value, "now" | "today") {
                return Some((Expression::Function, tail));
            }
            return Some((Expression::Literal(value), tail));
        }
    }
    let word = text
        .find(|c: char| !(c.is_alphanumeric() || matches!(c, '_' | '.' | '-' | '+' | '"')))
        .unwrap_or(text.len());
    let (word, tail) = text.split_at(word);
    if let Some(arguments) = tail.strip_prefix('(') {
        let end = closing(arguments)?;
        return Some((Expression::Function, arguments.get(end + 1..)?));
    }
    let numeric = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    let value = match word {
        "true" | "false" => Expression::Literal(Cow::Borrowed(word)),
        "CURRENT_TIMESTAMP" | "CURRENT_DATE" | "CURRENT_TIME" | "LOCALTIMESTAMP" | "LOCALTIME" => {
            Expression::Function
        }
        _ if !word.is_empty() && word.chars().all(numeric) => {
            Expression::Literal(Cow::Borrowed(word))
        }
        _ => return None,
    };
    Some((value, tail))
}

/// The value of a string literal whose opening quote is gone, and what follows it.
fn quoted(text: &str, escapes: bool) -> Option<(Cow<'_, str>, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().peekable();
    while let Some((index, c)) = chars.next() {
        match c {
            '\'' if chars.peek().is_some_and(|(_, next)| *next == '\'') => {
                chars.next();
                value.push('\'');
            }
            '\'' => return Some((Cow::Owned(value), text.get(index + 1..)?)),
            // `pg_get_expr` writes E'' only to double backslashes.
            '\\' if escapes => value.push(chars.next()?.1),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{default_value, parse};
    use crate::column::ColumnDef;
    use crate::kind::Kind;
    use crate::mapping::Mapping;
    use crate::schema::DefaultValue;
    use crate::value::Reading;

    fn value(oid: u32, name: &str, typmod: i32, expression: &str) -> Option<DefaultValue> {
        let column = ColumnDef::new("c", oid, name).with_typmod(typmod);
        default_value(&Kind::of(&column, &Mapping::default()).unwrap(), expression, Reading::Stream)
    }

    #[test]
    fn expressions_of_pg_get_expr() {
        use DefaultValue::{Boolean, Bytes, Integer, Text};
        for (oid, name, typmod, expression, expected) in [
            (23, "int4", -1, "5", Some(Integer(5))),
            (23, "int4", -1, "'-1'::integer", Some(Integer(-1))),
            (23, "int4", -1, "(-1)", Some(Integer(-1))),
            (23, "int4", -1, "nextval('sq'::regclass)", Some(Integer(0))),
            (23, "int4", -1, "(1 + 2)", None),
            (25, "text", -1, "'it''s'::text", Some(Text("it's".into()))),
            (25, "text", -1, r"E'a\\b'::text", Some(Text(r"a\b".into()))),
            (25, "text", -1, "NULL::text", None),
            (25, "text", -1, "md5('x'::text)", None),
            (25, "text", -1, "'a'::text || 'b'::text", None),
            (25, "text", -1, "(')'::text)", Some(Text(")".into()))),
            (1043, "varchar", 16, "(1.25)::character varying(12)", Some(Text("1.25".into()))),
            (1043, "varchar", 14, "'abc'::character varying", Some(Text("abc".into()))),
            (16, "bool", -1, "true", Some(Boolean(true))),
            (1700, "numeric", (8 << 16 | 2) + 4, "1.50", Some(Bytes(vec![0, 150]))),
            (1700, "numeric", (12 << 16 | 2) + 4, "0", Some(Bytes(vec![0]))),
            (1700, "numeric", -1, "3.14", None),
            (1560, "bit", 3, "B'101'::\"bit\"", Some(Bytes(vec![5]))),
            (17, "bytea", -1, r"'\x01'::bytea", None),
            (1186, "interval", -1, "'1 day'::interval", Some(Integer(86_400_000_000))),
            (1082, "date", -1, "'2021-02-03'::date", Some(Integer(18661))),
            (1082, "date", -1, "CURRENT_DATE", Some(Integer(0))),
            (1083, "time", -1, "'01:02:03'::time without time zone", Some(Integer(3_723_000_000))),
        ] {
            assert_eq!(value(oid, name, typmod, expression), expected, "{expression}");
        }
        assert_eq!(
            value(1184, "timestamptz", -1, "now()"),
            Some(Text("1970-01-01T00:00:00.000000Z".into()))
        );
        assert_eq!(
            value(
                1184,
                "timestamptz",
                -1,
                "'2024-05-06 07:08:09.123456+00'::timestamp with time zone"
            ),
            Some(Text("2024-05-06T07:08:09.123456Z".into()))
        );
    }

    #[test]
    fn broken_expressions_have_no_value() {
        for text in ["", "(", "'", "'a", "((", "f(", "E'\\", "'a'::", "::int", "B'", "()", "a(b"] {
            let _ = parse(text);
        }
    }
}
