//! Writes JSON text in the exact form Jackson gives it, because registries compare schema text.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::schema::DefaultValue;

/// How bytes are shown: Connect's JSON uses base64, Avro defaults one character a byte.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Bytes {
    Base64,
    Latin1,
}

/// A growing JSON text; commas are put by itself.
#[derive(Default)]
pub(crate) struct Json {
    text: String,
    /// Whether the next element needs a comma before it.
    comma: bool,
}

impl Json {
    pub(crate) fn into_text(self) -> String {
        self.text
    }

    fn separate(&mut self) {
        if self.comma {
            self.text.push(',');
        }
        self.comma = true;
    }

    pub(crate) fn begin_object(&mut self) {
        self.separate();
        self.text.push('{');
        self.comma = false;
    }

    pub(crate) fn end_object(&mut self) {
        self.text.push('}');
        self.comma = true;
    }

    pub(crate) fn begin_array(&mut self) {
        self.separate();
        self.text.push('[');
        self.comma = false;
    }

    pub(crate) fn end_array(&mut self) {
        self.text.push(']');
        self.comma = true;
    }

    pub(crate) fn key(&mut self, key: &str) {
        self.separate();
        self.quote(key.chars());
        self.text.push(':');
        self.comma = false;
    }

    pub(crate) fn string(&mut self, value: &str) {
        self.separate();
        self.quote(value.chars());
    }

    pub(crate) fn boolean(&mut self, value: bool) {
        self.raw(if value { "true" } else { "false" });
    }

    pub(crate) fn integer(&mut self, value: i64) {
        self.raw(&value.to_string());
    }

    pub(crate) fn null(&mut self) {
        self.raw("null");
    }

    pub(crate) fn string_map(&mut self, entries: &[(String, String)]) {
        self.begin_object();
        for (key, value) in entries {
            self.key(key);
            self.string(value);
        }
        self.end_object();
    }

    pub(crate) fn default_value(&mut self, value: &DefaultValue, bytes: Bytes) {
        match value {
            DefaultValue::Boolean(value) => self.boolean(*value),
            DefaultValue::Integer(value) => self.integer(*value),
            DefaultValue::Float(value) => {
                self.float(f64::from(*value), |out| push_float(*value, out));
            }
            DefaultValue::Double(value) => self.float(*value, |out| push_double(*value, out)),
            DefaultValue::Text(value) => self.string(value),
            DefaultValue::Bytes(value) if bytes == Bytes::Base64 => {
                self.string(&STANDARD.encode(value));
            }
            DefaultValue::Bytes(value) => {
                self.separate();
                self.quote(value.iter().map(|&byte| char::from(byte)));
            }
        }
    }

    fn float(&mut self, value: f64, push: impl FnOnce(&mut String)) {
        self.separate();
        if value.is_finite() {
            push(&mut self.text);
        } else {
            self.text.push('"');
            push(&mut self.text);
            self.text.push('"');
        }
    }

    fn raw(&mut self, text: &str) {
        self.separate();
        self.text.push_str(text);
    }

    fn quote(&mut self, chars: impl Iterator<Item = char>) {
        push_quoted(chars, &mut self.text);
    }
}

/// Appends a whole number.
#[cfg(feature = "avro")]
pub(crate) fn push_integer(value: i64, out: &mut String) {
    if value < 0 {
        out.push('-');
    }
    push_unsigned(value.unsigned_abs(), out);
}

/// Appends a whole number without sign; by hand, because there are many in every record.
pub(crate) fn push_unsigned(value: u64, out: &mut String) {
    let mut digits = [0; 20];
    let mut rest = value;
    let mut start = digits.len();
    for slot in digits.iter_mut().rev() {
        *slot = b'0' + u8::try_from(rest % 10).unwrap_or(0);
        rest /= 10;
        start -= 1;
        if rest == 0 {
            break;
        }
    }
    out.push_str(digits.get(start..).and_then(|part| std::str::from_utf8(part).ok()).unwrap_or(""));
}

/// Appends a number as Java's `Double.toString` prints it.
pub(crate) fn push_double(value: f64, out: &mut String) {
    let two = |out: &mut String| write!(out, "{value:.1e}");
    push_java(value, |out| write!(out, "{value:e}"), two, out);
}

/// Appends a number as Java's `Float.toString` prints it.
pub(crate) fn push_float(value: f32, out: &mut String) {
    let two = |out: &mut String| write!(out, "{value:.1e}");
    push_java(f64::from(value), |out| write!(out, "{value:e}"), two, out);
}

/// Java prints the shortest digits that read back, plain from 10^-3 to 10^7 and as `d.ddE±x`
/// outside; `shortest` is Rust's `d.ddde±x` of the same value, written behind the text first. It
/// prints at least two digits, which differ from the only one among the least numbers: `two`.
fn push_java(
    value: f64,
    shortest: impl FnOnce(&mut String) -> std::fmt::Result,
    two: impl FnOnce(&mut String) -> std::fmt::Result,
    out: &mut String,
) {
    if !value.is_finite() {
        out.push_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
        return;
    }
    let mut buffer = Digits::default();
    let start = out.len();
    // Writing to a string cannot fail.
    let _ = shortest(out);
    // Only the least numbers have a nearer one of two digits.
    if value.abs() < f64::from(f32::MIN_POSITIVE) && value != 0.0 {
        let has_one = out.get(start..).is_some_and(|text| !text.contains('.'));
        if has_one {
            out.truncate(start);
            let _ = two(out);
        }
    }
    buffer.take(out.get(start..).unwrap_or_default());
    out.truncate(start);
    let shortest = buffer.as_str();
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-3..7).contains(&exponent) {
        out.push_str(mantissa);
        out.push_str(if mantissa.contains('.') { "E" } else { ".0E" });
        let _ = write!(out, "{exponent}");
        return;
    }
    if mantissa.starts_with('-') {
        out.push('-');
    }
    let mut digits = mantissa.chars().filter(char::is_ascii_digit).peekable();
    if let Ok(exponent) = usize::try_from(exponent) {
        (0..=exponent).for_each(|_| out.push(digits.next().unwrap_or('0')));
        out.push('.');
        if digits.peek().is_none() {
            out.push('0');
        }
    } else {
        out.push_str("0.");
        (1..-exponent).for_each(|_| out.push('0'));
    }
    out.extend(digits);
}

/// Room for the shortest digits of any float: 17 of them, sign, point and exponent.
#[derive(Default)]
struct Digits {
    bytes: [u8; 32],
    len: usize,
}

impl Digits {
    fn take(&mut self, text: &str) {
        for (target, byte) in self.bytes.iter_mut().zip(text.bytes()) {
            *target = byte;
            self.len += 1;
        }
    }

    fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("0")
    }
}

/// As [`push_quoted`], for text at hand: what needs no escape is copied as a whole.
pub(crate) fn push_quoted_text(text: &str, out: &mut String) {
    out.push('"');
    let mut rest = text;
    while let Some(at) = rest.bytes().position(|byte| byte < b' ' || matches!(byte, b'"' | b'\\')) {
        let (plain, tail) = rest.split_at_checked(at).unwrap_or((rest, ""));
        out.push_str(plain);
        let mut tail = tail.chars();
        if let Some(c) = tail.next() {
            push_escaped(c, out);
        }
        rest = tail.as_str();
    }
    out.push_str(rest);
    out.push('"');
}

/// Jackson's escapes: short forms where they exist, upper-case `\u00XX` for other controls,
/// everything else as it is.
pub(crate) fn push_quoted(chars: impl Iterator<Item = char>, out: &mut String) {
    out.push('"');
    for c in chars {
        push_escaped(c, out);
    }
    out.push('"');
}

fn push_escaped(c: char, out: &mut String) {
    match c {
        '"' => out.push_str("\\\""),
        '\\' => out.push_str("\\\\"),
        '\u{8}' => out.push_str("\\b"),
        '\t' => out.push_str("\\t"),
        '\n' => out.push_str("\\n"),
        '\u{c}' => out.push_str("\\f"),
        '\r' => out.push_str("\\r"),
        c if c < ' ' => {
            out.push_str("\\u00");
            out.push(if c < '\u{10}' { '0' } else { '1' });
            out.extend(char::from_digit(u32::from(c) % 16, 16).map(|c| c.to_ascii_uppercase()));
        }
        c => out.push(c),
    }
}

#[cfg(test)]
mod tests {
    use super::{Bytes, Json};
    use crate::schema::DefaultValue;

    fn text(value: DefaultValue, bytes: Bytes) -> String {
        let mut json = Json::default();
        json.default_value(&value, bytes);
        json.into_text()
    }

    #[test]
    fn text_is_escaped_either_way() {
        for text in ["", "plain", "a\"b\\c\n", "\u{1}\u{1f}é\u{1f600}\t", "\""] {
            let (mut whole, mut single) = (String::new(), String::new());
            super::push_quoted_text(text, &mut whole);
            super::push_quoted(text.chars(), &mut single);
            assert_eq!(whole, single);
        }
        for value in [0, 7, -1, i64::MAX, i64::MIN] {
            let mut out = String::new();
            super::push_integer(value, &mut out);
            assert_eq!(out, value.to_string());
        }
    }

    #[test]
    fn floats_as_java_prints_them() {
        for (value, expected) in [
            (0.0, "0.0"),
            (1.5, "1.5"),
            (-2.25, "-2.25"),
            (100.0, "100.0"),
            (1_234_567.0, "1234567.0"),
            (1e7, "1.0E7"),
            (1.25e10, "1.25E10"),
            (0.001, "0.001"),
            (0.000_12, "1.2E-4"),
        ] {
            assert_eq!(text(DefaultValue::Double(value), Bytes::Base64), expected);
        }
        assert_eq!(text(DefaultValue::Float(0.1), Bytes::Base64), "0.1");
        assert_eq!(text(DefaultValue::Float(1e-45), Bytes::Base64), "1.4E-45");
        assert_eq!(text(DefaultValue::Double(5e-324), Bytes::Base64), "4.9E-324");
    }

    #[test]
    fn bytes_and_escapes() {
        let bytes = DefaultValue::Bytes(vec![0, 0x96, b'"']);
        assert_eq!(text(bytes.clone(), Bytes::Base64), "\"AJYi\"");
        assert_eq!(text(bytes, Bytes::Latin1), "\"\\u0000\u{96}\\\"\"");
        let control = DefaultValue::Text("a\u{1b}\n".into());
        assert_eq!(text(control, Bytes::Base64), "\"a\\u001B\\n\"");
    }
}
