use core::{iter::FusedIterator, str};

use crate::{Column, Columns, Error, ErrorKind, Tuple};

impl<'a> Tuple<'a> {
    /// The columns, with text as `str`.
    ///
    /// The whole row is checked to be UTF-8 in one pass, headers of columns and all, which costs a
    /// fraction of checking column by column; what is then left to do for a text is to look whether
    /// it begins and ends between two characters. A row with something that is not UTF-8 is checked
    /// column by column: binary columns and lengths from 128 on are such.
    #[inline]
    pub fn str_columns(&self) -> StrColumns<'a> {
        let (_, bytes) = self.raw();
        StrColumns { columns: self.columns(), valid: whole(bytes), len: bytes.len() }
    }
}

/// One column of a row, its text checked to be UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(clippy::exhaustive_enums, reason = "a closed set of the wire format")]
pub enum StrColumn<'a> {
    /// As [`Column::Null`].
    Null,
    /// As [`Column::Unchanged`].
    Unchanged,
    /// As [`Column::Text`].
    Text(&'a str),
    /// As [`Column::Binary`].
    Binary(&'a [u8]),
}

/// The columns of a [`Tuple`] with text as `str`, in order. After an error it ends.
#[derive(Debug, Clone)]
#[must_use = "iterators do nothing until read"]
pub struct StrColumns<'a> {
    columns: Columns<'a>,
    /// The whole row, or nothing if that is not UTF-8.
    valid: &'a str,
    len: usize,
}

impl<'a> Iterator for StrColumns<'a> {
    type Item = Result<StrColumn<'a>, Error>;

    #[inline(always)]
    fn next(&mut self) -> Option<Self::Item> {
        Some(match self.columns.next()? {
            Ok(Column::Text(value)) => {
                let end = self.len.wrapping_sub(self.columns.cursor.rest().len());
                let text = match self.valid.get(end.wrapping_sub(value.len())..end) {
                    Some(text) => Ok(text),
                    None => alone(value),
                };
                match text {
                    Ok(text) => Ok(StrColumn::Text(text)),
                    Err(before_end) => {
                        Err(self.columns.fail_in_last(ErrorKind::InvalidUtf8, before_end))
                    }
                }
            }
            Ok(Column::Binary(value)) => Ok(StrColumn::Binary(value)),
            Ok(Column::Null) => Ok(StrColumn::Null),
            Ok(Column::Unchanged) => Ok(StrColumn::Unchanged),
            Err(error) => Err(error),
        })
    }

    #[inline]
    fn size_hint(&self) -> (usize, Option<usize>) {
        self.columns.size_hint()
    }
}

impl FusedIterator for StrColumns<'_> {}

/// The bytes as `str` if they are UTF-8 throughout.
#[inline]
fn whole(bytes: &[u8]) -> &str {
    #[cfg(feature = "simd")]
    let checked = simdutf8::basic::from_utf8(bytes);
    #[cfg(not(feature = "simd"))]
    let checked = str::from_utf8(bytes);
    checked.unwrap_or_default()
}

/// A text in a row that is not UTF-8 throughout; or how many bytes before its end it stops to be.
#[inline(never)]
fn alone(value: &[u8]) -> Result<&str, usize> {
    str::from_utf8(value).map_err(|error| value.len() - error.valid_up_to())
}

#[cfg(test)]
mod tests {
    use alloc::{string::String, vec::Vec};

    use super::*;
    use crate::{Decoder, Message, ProtocolVersion};

    fn insert(columns: &[(u8, &[u8])]) -> Vec<u8> {
        let mut message = b"I\0\0\x40\0N".to_vec();
        message.extend_from_slice(&u16::try_from(columns.len()).unwrap().to_be_bytes());
        for (kind, value) in columns {
            message.push(*kind);
            if matches!(kind, b't' | b'b') {
                message.extend_from_slice(&u32::try_from(value.len()).unwrap().to_be_bytes());
                message.extend_from_slice(value);
            }
        }
        message
    }

    fn read(message: &[u8]) -> Result<Vec<StrColumn<'_>>, Error> {
        let Message::Insert(insert) = Decoder::new(ProtocolVersion::V1).decode(message)? else {
            panic!("not an insert")
        };
        insert.new.str_columns().collect()
    }

    #[test]
    fn gives_what_each_column_alone_would() {
        // Texts around the lengths whose last byte is no character, or begins one of 2 to 4 bytes.
        let texts: Vec<String> = [0, 1, 127, 128, 0xC3, 0xE2, 0xF0, 0xFF, 256, 0x1C3, 70_000]
            .into_iter()
            .map(|length| {
                "é€𝄞x"
                    .chars()
                    .cycle()
                    .scan(0, |at, c| {
                        *at += c.len_utf8();
                        (*at <= length).then_some(c)
                    })
                    .chain("yyyyy".chars())
                    .collect()
            })
            .collect();
        for first in &texts {
            for second in &texts {
                let columns: [(u8, &[u8]); 6] = [
                    (b'u', b""),
                    (b't', first.as_bytes()),
                    (b'b', b"\xFF\xC3"),
                    (b't', second.as_bytes()),
                    (b'n', b""),
                    (b't', "ü".as_bytes()),
                ];
                assert_eq!(
                    read(&insert(&columns)).unwrap(),
                    [
                        StrColumn::Unchanged,
                        StrColumn::Text(first),
                        StrColumn::Binary(b"\xFF\xC3"),
                        StrColumn::Text(second),
                        StrColumn::Null,
                        StrColumn::Text("ü"),
                    ]
                );
            }
        }
    }

    #[test]
    fn reads_a_row_that_is_utf8_to_its_end() {
        let mut message = insert(&[(b'n', b""), (b't', "ü".as_bytes()), (b'u', b""), (b't', b"")]);
        let columns =
            [StrColumn::Null, StrColumn::Text("ü"), StrColumn::Unchanged, StrColumn::Text("")];
        assert_eq!(read(&message).unwrap(), columns);
        message.push(b'n');
        let error = read(&message).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::TrailingBytes, message.len() - 1));
        message.pop();
        message[7] += 1;
        let error = read(&message).unwrap_err();
        let missing = ErrorKind::UnexpectedEnd { missing: 1 };
        assert_eq!((error.kind(), error.offset()), (missing, message.len()));
    }

    #[test]
    fn tells_where_text_is_not_utf8() {
        for (bad, at) in [(&b"ab\xFFc"[..], 2), (b"\xC3", 0), (b"abc\xE2\x82", 3)] {
            let message = insert(&[(b't', b"ok"), (b't', bad), (b't', b"never read")]);
            let Message::Insert(insert) =
                Decoder::new(ProtocolVersion::V1).decode(&message).unwrap()
            else {
                panic!("not an insert")
            };
            let mut columns = insert.new.str_columns();
            assert_eq!(columns.next().unwrap().unwrap(), StrColumn::Text("ok"));
            let error = columns.next().unwrap().unwrap_err();
            assert_eq!((error.kind(), error.offset()), (ErrorKind::InvalidUtf8, 8 + 7 + 5 + at));
            assert!(columns.next().is_none());
        }
    }

    #[test]
    fn a_length_and_a_value_that_make_a_character_together_are_none() {
        // The length ends in 0xC3, the value begins with 0xA9: "é" across the border.
        let mut value = [b'x'; 0xC3];
        value[0] = 0xA9;
        let error = read(&insert(&[(b't', &value)])).unwrap_err();
        assert_eq!((error.kind(), error.offset()), (ErrorKind::InvalidUtf8, 8 + 5));
    }
}
