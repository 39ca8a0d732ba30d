//! Masks, hashes and truncation of single columns.

use avro_wire::primitive::{write_bytes, write_string};
use sha2::{Digest, Sha224, Sha256, Sha384, Sha512};

use super::row::write_scalar;
use crate::kind::Kind;
use crate::mapping::BinaryMode;
use crate::rules::{Algorithm, Hash, Rule};
use crate::value::Scalar;

/// What becomes of a value between its conversion and the record.
#[derive(Debug, Default)]
pub(super) struct Treat {
    /// With the column's declared length, which cuts the digest.
    hash: Option<(Hash, usize)>,
    truncate: Option<usize>,
}

/// What the rules of a column come down to.
#[derive(Debug)]
pub(super) enum Plan {
    /// Values go through as they are.
    Plain,
    /// One text stands for every value.
    Constant(String),
    /// No value goes through.
    Nothing,
    Treat(Treat),
}

impl Treat {
    /// `strict` lets nothing through that a rule wants hidden but cannot hide.
    pub(super) fn plan(rules: &[Rule], kind: &Kind, length: i32, strict: bool) -> Plan {
        let mut treat = Self::default();
        for rule in rules {
            match rule {
                Rule::Mask(_) | Rule::Hash(_) if !kind.is_text() => {
                    if strict {
                        return Plan::Nothing;
                    }
                }
                Rule::Mask(length) => return Plan::Constant("*".repeat(*length)),
                Rule::Hash(hash) if treat.hash.is_none() => {
                    let length = usize::try_from(length).unwrap_or(usize::MAX);
                    treat.hash = Some((hash.clone(), length));
                }
                Rule::Truncate(length) => {
                    let shortest = treat.truncate.map_or(*length, |other| other.min(*length));
                    treat.truncate = Some(shortest);
                }
                Rule::Hash(_) | Rule::Propagate => {}
            }
        }
        if treat.hash.is_none() && treat.truncate.is_none() {
            return Plan::Plain;
        }
        Plan::Treat(treat)
    }

    /// What becomes of a column of a key: hashes are whole, so that rows stay apart, and nothing
    /// is cut.
    pub(super) fn plan_key(rules: &[Rule], kind: &Kind) -> Plan {
        let hashes = rules.iter().filter(|rule| matches!(rule, Rule::Hash(_)));
        let hashes: Vec<Rule> = hashes.cloned().collect();
        Self::plan(&hashes, kind, -1, false)
    }

    /// Writes what becomes of a value. `text` is a buffer the value does not borrow from.
    pub(super) fn write(
        &self,
        kind: &Kind,
        value: &Scalar<'_>,
        text: &mut String,
        out: &mut Vec<u8>,
    ) {
        match (value.with_str(), self.truncate) {
            (Scalar::Text(value), truncate) => {
                let value = match &self.hash {
                    Some((hash, length)) => {
                        hash.hex(value, text);
                        cut(text, *length)
                    }
                    None => value,
                };
                write_string(truncate.map_or(value, |length| cut(value, length)), out);
            }
            (Scalar::Bytes(value), Some(length))
                if matches!(
                    kind,
                    Kind::Bytea(BinaryMode::Bytes) | Kind::Unknown(BinaryMode::Bytes)
                ) =>
            {
                write_bytes(value.get(..length).unwrap_or(value), out);
            }
            _ => write_scalar(value, out),
        }
    }
}

/// The first UTF-16 units of a text; half a pair is left out.
fn cut(text: &str, units: usize) -> &str {
    if text.len() <= units {
        return text;
    }
    let mut seen = 0;
    for (at, c) in text.char_indices() {
        seen += c.len_utf16();
        if seen > units {
            return text.get(..at).unwrap_or(text);
        }
    }
    text
}

impl Hash {
    fn hex(&self, value: &str, out: &mut String) {
        out.clear();
        match self.algorithm {
            Algorithm::Sha224 => self.digest::<Sha224>(value, out),
            Algorithm::Sha256 => self.digest::<Sha256>(value, out),
            Algorithm::Sha384 => self.digest::<Sha384>(value, out),
            Algorithm::Sha512 => self.digest::<Sha512>(value, out),
        }
    }

    fn digest<D: Digest>(&self, value: &str, out: &mut String) {
        let mut digest = D::new();
        digest.update(self.salt.as_bytes());
        if self.serialized {
            serialized(value, |bytes| digest.update(bytes));
        } else {
            digest.update(value.as_bytes());
        }
        for byte in digest.finalize() {
            for nibble in [byte >> 4, byte & 15] {
                out.extend(char::from_digit(nibble.into(), 16));
            }
        }
    }
}

/// Java's object stream with one string in it: magic and version, the type of a string or of a
/// long one, its length, and the text with each UTF-16 unit outside ASCII in two or three bytes.
fn serialized(value: &str, mut write: impl FnMut(&[u8])) {
    let length: usize = value
        .chars()
        .map(|c| match c.len_utf8() {
            1 if c == '\0' => 2,
            4 => 6,
            length => length,
        })
        .sum();
    write(&[0xac, 0xed, 0, 5]);
    match u16::try_from(length) {
        Ok(length) => {
            write(b"t");
            write(&length.to_be_bytes());
        }
        Err(_) => {
            write(b"|");
            write(&(length as u64).to_be_bytes());
        }
    }
    for c in value.chars() {
        match c.len_utf8() {
            1 if c == '\0' => write(&[0xc0, 0x80]),
            4 => {
                for unit in c.encode_utf16(&mut [0; 2]) {
                    let [high, low] = unit.to_be_bytes();
                    write(&[
                        0xe0 | high >> 4,
                        0x80 | (high & 15) << 2 | low >> 6,
                        0x80 | low & 0x3f,
                    ]);
                }
            }
            _ => write(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Hash, cut, serialized};

    #[test]
    fn text_is_cut_between_characters() {
        assert_eq!(cut("日本語日本語", 5), "日本語日本");
        assert_eq!(cut("a\u{1f600}b", 2), "a");
        assert_eq!(cut("abc", 3), "abc");
    }

    #[test]
    fn java_serialization() {
        let mut bytes = Vec::new();
        serialized("é\u{1f600}", |part| bytes.extend_from_slice(part));
        let expected = b"\xac\xed\0\x05t\0\x08\xc3\xa9\xed\xa0\xbd\xed\xb8\x80";
        assert_eq!(bytes, expected);
    }

    #[test]
    fn both_versions_of_the_hash() {
        let mut hash =
            Hash { algorithm: Algorithm::Sha256, salt: "CzQMA0cB5K".into(), serialized: true };
        let mut out = String::new();
        hash.hex("secret", &mut out);
        assert_eq!(out, "122e56d6f15256f7a553c665138b101b52d5201a2cd0fd8f61b54c0c28a14efa");
        hash.serialized = false;
        hash.hex("secret", &mut out);
        assert_eq!(out, "8b41ea6bee11d6298cbf86dab70bb64aabef4ff6119d9c929ace2a16123117a5");
    }
}
