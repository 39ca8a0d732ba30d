//! Column defaults, from the text of `pg_get_expr`.

use std::borrow::Cow;

use crate::column::ColumnDef;
use crate::kind::{Days, Kind, TextType, TimeUnit, keeps_default};
use crate::schema::DefaultValue;
use crate::value::{Raw, Reading, Scalar, ValueScratch, convert};

/// The default of a column in its schema, if Debezium understands the expression: it looks at the
/// text alone, so that of `'a' || b` the `a` is left, and a call of a function is the zero of its
/// type.
pub(crate) fn default_value(
    column: &ColumnDef,
    kind: &Kind,
    expression: &str,
    reading: Reading,
) -> Option<DefaultValue> {
    if !keeps_default(column) {
        return None;
    }
    let text = constant(kind, expression)?;
    if reading != Reading::Exact
        && let Some(limit) = limit(kind, &text)
    {
        return limit;
    }
    match kind {
        // Whatever is not true is false.
        Kind::BitBool | Kind::Bits(_) if !text.bytes().all(|byte| matches!(byte, b'0' | b'1')) => {
            Some(if *kind == Kind::BitBool {
                DefaultValue::Boolean(false)
            } else {
                DefaultValue::Bytes(Vec::new())
            })
        }
        Kind::Bool => Some(DefaultValue::Boolean(text.eq_ignore_ascii_case("true"))),
        _ => converted(kind, &completed(kind, &text), reading),
    }
}

fn converted(kind: &Kind, text: &str, reading: Reading) -> Option<DefaultValue> {
    let mut scratch = ValueScratch::default();
    let value = convert(kind, Raw::Text(text.as_bytes()), reading, &mut scratch).ok()?;
    Some(match value.with_str() {
        Scalar::Bool(value) => DefaultValue::Boolean(value),
        Scalar::Int(value) => DefaultValue::Integer(value.into()),
        Scalar::Long(value) => DefaultValue::Integer(value),
        Scalar::Float(value) => DefaultValue::Float(value),
        Scalar::Double(value) => DefaultValue::Double(value),
        Scalar::Text(value) => DefaultValue::Text(value.to_owned()),
        Scalar::Bytes(value) => DefaultValue::Bytes(value.to_owned()),
        // Structs have no default: KAFKA-12694 makes Connect refuse them.
        Scalar::Null | Scalar::Utf8(_) | Scalar::VariableDecimal { .. } | Scalar::Point { .. } => {
            return None;
        }
    })
}

/// What Debezium takes for the value: the zero of the type for a call of a function, else the
/// first string in quotes, else the expression as it is.
fn constant<'a>(kind: &Kind, expression: &'a str) -> Option<Cow<'a, str>> {
    let expression = expression.trim();
    if expression.starts_with("NULL::") {
        return None;
    }
    if let Kind::Enum(_) = kind {
        return expression.strip_prefix('\'').and_then(quoted).map(Cow::Owned);
    }
    if is_call(expression) || is_clock(kind, expression) {
        return stand_in(kind).map(Cow::Borrowed);
    }
    match expression.split_once('\'') {
        Some((_, literal)) => quoted(literal).map(Cow::Owned),
        None => Some(Cow::Borrowed(expression)),
    }
}

/// Whether the text begins with a call, in at most one parenthesis: `f(…)` or `(f(…) + 1)`.
fn is_call(expression: &str) -> bool {
    let text = expression.strip_prefix('(').unwrap_or(expression);
    let name = text.find(|c: char| !(c.is_ascii_alphanumeric() || matches!(c, '_' | '.')));
    name.is_some_and(|end| {
        end > 0
            && text
                .get(end..)
                .and_then(|rest| rest.lines().next())
                .is_some_and(|rest| rest.starts_with('(') && rest.contains(')'))
    })
}

/// Whether the expression is the current time, without parentheses.
fn is_clock(kind: &Kind, expression: &str) -> bool {
    matches!(kind, Kind::Date(_) | Kind::Time(_) | Kind::Timestamp(_) | Kind::TimestampTz(_))
        && matches!(
            expression,
            "CURRENT_TIMESTAMP" | "CURRENT_DATE" | "CURRENT_TIME" | "LOCALTIMESTAMP" | "LOCALTIME"
        )
}

/// What stands for a value that is computed per row, so that the field stays optional for
/// writers: zero of its type.
fn stand_in(kind: &Kind) -> Option<&'static str> {
    Some(match kind {
        Kind::Int16 | Kind::Int32 | Kind::Int64 | Kind::BitBool => "0",
        Kind::Float32 | Kind::Float64 => "0",
        Kind::Numeric(_) => "0.0",
        Kind::Bool => "false",
        Kind::Date(_) => "1970-01-01",
        Kind::Time(_) | Kind::Interval(_) => "00:00:00",
        Kind::Timestamp(_) => "1970-01-01 00:00:00",
        Kind::TimestampTz(_) => "1970-01-01 00:00:00+00",
        Kind::Uuid => "00000000-0000-0000-0000-000000000000",
        Kind::Text(TextType::Json) | Kind::Versioned(TextType::Json) => "{}",
        Kind::Text(_) | Kind::Bits(_) | Kind::BitText => "",
        _ => return None,
    })
}

/// The ends of Java's calendar, which stand for what is infinite, and the last moment of a day,
/// which stands for 24:00; none where the number has no room for them.
fn limit(kind: &Kind, text: &str) -> Option<Option<DefaultValue>> {
    let infinite = match text {
        "infinity" => Some(true),
        "-infinity" => Some(false),
        _ => None,
    };
    Some(match (kind, infinite) {
        (Kind::Time(unit), _) if text.starts_with("24:00:00") => Some(match unit {
            TimeUnit::Millis | TimeUnit::Connect => DefaultValue::Integer(86_399_999),
            TimeUnit::Micros => DefaultValue::Integer(86_399_999_999),
            TimeUnit::Nanos => DefaultValue::Integer(86_399_999_999_999),
            TimeUnit::Iso => DefaultValue::Text("23:59:59.999999999Z".to_owned()),
        }),
        (Kind::TimestampTz(_), Some(_)) => None,
        (Kind::Date(Days::Iso), Some(last)) => Some(DefaultValue::Text(
            if last { "+999999999-12-31Z" } else { "-999999999-01-01Z" }.to_owned(),
        )),
        // The days of those dates, cut to 32 bits.
        (Kind::Date(_), Some(last)) => {
            Some(DefaultValue::Integer(if last { 169_560_311 } else { -170_999_002 }))
        }
        (Kind::Timestamp(TimeUnit::Iso), Some(last)) => Some(DefaultValue::Text(
            if last {
                "+999999999-12-31T23:59:59.999999999Z"
            } else {
                "-999999999-01-01T00:00:00Z"
            }
            .to_owned(),
        )),
        // Seconds as microseconds saturate, and adding those after the second wraps.
        (Kind::Timestamp(TimeUnit::Micros), Some(last)) => Some(DefaultValue::Integer(if last {
            i64::MAX.wrapping_add(999_999)
        } else {
            i64::MIN
        })),
        (Kind::Timestamp(_), Some(_)) => None,
        _ => return None,
    })
}

/// A moment that is written as one of another type, as `'2024-01-01'::date` is where a timestamp is
/// asked for.
fn completed<'a>(kind: &Kind, text: &'a str) -> Cow<'a, str> {
    let (date, time) = text.split_once(' ').unwrap_or((text, ""));
    match kind {
        Kind::Date(_) if time.contains(':') => {
            let era = if time.ends_with(" BC") { " BC" } else { "" };
            Cow::Owned(format!("{date}{era}"))
        }
        Kind::Timestamp(_) if time.is_empty() => Cow::Owned(format!("{text} 00:00:00")),
        Kind::TimestampTz(_) if time.is_empty() => Cow::Owned(format!("{text} 00:00:00+00")),
        Kind::TimestampTz(_) if !time.contains(['+', '-', ' ']) => Cow::Owned(format!("{text}+00")),
        _ => Cow::Borrowed(text),
    }
}

/// The value of a string literal whose opening quote is gone.
fn quoted(text: &str) -> Option<String> {
    let mut value = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '\'' if chars.peek() == Some(&'\'') => {
                chars.next();
                value.push('\'');
            }
            '\'' => return Some(value),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::{constant, default_value};
    use crate::column::ColumnDef;
    use crate::kind::{Kind, TextType};
    use crate::mapping::Mapping;
    use crate::schema::DefaultValue;
    use crate::value::Reading;

    fn value(oid: u32, name: &str, typmod: i32, expression: &str) -> Option<DefaultValue> {
        let column = ColumnDef::new("c", oid, name).with_typmod(typmod);
        let kind = Kind::of(&column, &Mapping::default()).unwrap();
        default_value(&column, &kind, expression, Reading::Stream)
    }

    #[test]
    fn expressions_of_pg_get_expr() {
        use DefaultValue::{Boolean, Bytes, Integer, Text};
        for (oid, name, typmod, expression, expected) in [
            (23, "int4", -1, "5", Some(Integer(5))),
            (23, "int4", -1, "'-1'::integer", Some(Integer(-1))),
            (23, "int4", -1, "nextval('sq'::regclass)", Some(Integer(0))),
            (23, "int4", -1, "(1 + 2)", None),
            (25, "text", -1, "'it''s'::text", Some(Text("it's".into()))),
            (23, "int4", -1, "(f() + 1)", Some(Integer(0))),
            (23, "int4", -1, "(1 + f())", None),
            (25, "text", -1, r"'a\b'::text", Some(Text(r"a\b".into()))),
            (25, "text", -1, "NULL::text", None),
            (25, "text", -1, "md5('x'::text)", Some(Text(String::new()))),
            (25, "text", -1, "('a'::text || f())", Some(Text("a".into()))),
            (25, "text", -1, "(')'::text)", Some(Text(")".into()))),
            (25, "text", -1, "CURRENT_USER", Some(Text("CURRENT_USER".into()))),
            (25, "text", -1, "CASE\n WHEN f() THEN 'x'::text\nEND", Some(Text("x".into()))),
            (16, "bool", -1, "(1 = 1)", Some(Boolean(false))),
            (19, "name", -1, "'x'::name", None),
            (790, "money", -1, "'1.5'::money", None),
            (869, "inet", -1, "'10.0.0.1'::inet", None),
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
            (1082, "date", -1, "('now'::text)::date", None),
            (1082, "date", -1, "'infinity'::date", Some(Integer(169_560_311))),
            (1082, "date", -1, "'2020-01-01 00:00:00'::timestamp", Some(Integer(18262))),
            (1083, "time", -1, "'24:00:00'::time", Some(Integer(86_399_999_999))),
            (1114, "timestamp", -1, "'2020-01-01'::date", Some(Integer(1_577_836_800_000_000))),
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
            let _ = constant(&Kind::Text(TextType::Plain), text);
        }
    }
}
