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
        push_quoted_text(key, &mut self.text);
        self.text.push(':');
        self.comma = false;
    }

    pub(crate) fn string(&mut self, value: &str) {
        self.separate();
        push_quoted_text(value, &mut self.text);
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

/// Appends a number as Java's `Double.toString` prints it.
pub(crate) fn push_double(value: f64, out: &mut String) {
    out.push_str(java_double(value).as_str());
}

/// Appends a number as Java's `Float.toString` prints it.
pub(crate) fn push_float(value: f32, out: &mut String) {
    out.push_str(java_float(value).as_str());
}

/// A number as Java's `Double.toString` prints it.
pub(crate) fn java_double(value: f64) -> ShortText {
    java(value, |out| write!(out, "{value:e}"), |out| write!(out, "{value:.1e}"))
}

/// A number as Java's `Float.toString` prints it.
pub(crate) fn java_float(value: f32) -> ShortText {
    java(f64::from(value), |out| write!(out, "{value:e}"), |out| write!(out, "{value:.1e}"))
}

/// Java prints the shortest digits that read back, plain from 10^-3 to 10^7 and as `d.ddE±x`
/// outside; `shortest` is Rust's `d.ddde±x` of the same value. It prints at least two digits, which
/// differ from the only one among the least numbers: `two`.
fn java(
    value: f64,
    shortest: impl FnOnce(&mut ShortText) -> std::fmt::Result,
    two: impl FnOnce(&mut ShortText) -> std::fmt::Result,
) -> ShortText {
    let (mut digits, mut out) = (ShortText::default(), ShortText::default());
    // There is room for every number.
    let _ = shortest(&mut digits);
    // Only the least numbers have a nearer one of two digits.
    let is_least = value.abs() < f64::from(f32::MIN_POSITIVE) && value != 0.0;
    if is_least && !digits.as_str().contains('.') {
        digits = ShortText::default();
        let _ = two(&mut digits);
    }
    let _ = print_java(value, digits.as_str(), &mut out);
    out
}

fn print_java(value: f64, shortest: &str, out: &mut ShortText) -> std::fmt::Result {
    if !value.is_finite() {
        return out.write_str(if value.is_nan() {
            "NaN"
        } else if value > 0.0 {
            "Infinity"
        } else {
            "-Infinity"
        });
    }
    let (mantissa, exponent) = shortest.split_once('e').unwrap_or((shortest, "0"));
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if !(-3..7).contains(&exponent) {
        let letter = if mantissa.contains('.') { "E" } else { ".0E" };
        return write!(out, "{mantissa}{letter}{exponent}");
    }
    if mantissa.starts_with('-') {
        out.write_char('-')?;
    }
    let mut digits = mantissa.chars().filter(char::is_ascii_digit).peekable();
    if let Ok(exponent) = usize::try_from(exponent) {
        (0..=exponent).try_for_each(|_| out.write_char(digits.next().unwrap_or('0')))?;
        out.write_char('.')?;
        if digits.peek().is_none() {
            out.write_char('0')?;
        }
    } else {
        out.write_str("0.")?;
        (1..-exponent).try_for_each(|_| out.write_char('0'))?;
    }
    digits.try_for_each(|digit| out.write_char(digit))
}

/// Room for any float: 17 digits, sign, point and exponent.
#[derive(Default)]
pub(crate) struct ShortText {
    bytes: [u8; 32],
    len: usize,
}

impl ShortText {
    pub(crate) fn as_str(&self) -> &str {
        self.bytes.get(..self.len).and_then(|bytes| std::str::from_utf8(bytes).ok()).unwrap_or("0")
    }
}

impl std::fmt::Write for ShortText {
    fn write_str(&mut self, text: &str) -> std::fmt::Result {
        let end = self.len + text.len();
        let room = self.bytes.get_mut(self.len..end).ok_or(std::fmt::Error)?;
        room.copy_from_slice(text.as_bytes());
        self.len = end;
        Ok(())
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
        '\0'..' ' => out.push_str(u8::try_from(c).map_or("", control)),
        c => out.push(c),
    }
}

/// How a control character is written.
pub(crate) fn control(byte: u8) -> &'static str {
    CONTROLS.get(usize::from(byte)).copied().unwrap_or_default()
}

#[rustfmt::skip]
static CONTROLS: [&str; 32] = [
    "\\u0000", "\\u0001", "\\u0002", "\\u0003", "\\u0004", "\\u0005", "\\u0006", "\\u0007",
    "\\b", "\\t", "\\n", "\\u000B", "\\f", "\\r", "\\u000E", "\\u000F",
    "\\u0010", "\\u0011", "\\u0012", "\\u0013", "\\u0014", "\\u0015", "\\u0016", "\\u0017",
    "\\u0018", "\\u0019", "\\u001A", "\\u001B", "\\u001C", "\\u001D", "\\u001E", "\\u001F",
];

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
