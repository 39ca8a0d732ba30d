//! Thrift's compact protocol, as far as Parquet's headers and footers need it: structures are
//! written field by field, in the order of their numbers.

/// Types as a field's header has them.
const TRUE: u8 = 1;
const FALSE: u8 = 2;
const I16: u8 = 4;
const I32: u8 = 5;
const I64: u8 = 6;
const BINARY: u8 = 8;
const LIST: u8 = 9;
const STRUCT: u8 = 12;

/// One structure that is being written.
#[derive(Debug)]
pub(super) struct Struct<'o> {
    out: &'o mut Vec<u8>,
    last: u8,
}

impl<'o> Struct<'o> {
    /// Writes a structure; `fields` writes what is in it.
    pub(super) fn write(out: &'o mut Vec<u8>, fields: impl FnOnce(&mut Self)) {
        let mut structure = Self { out, last: 0 };
        fields(&mut structure);
        structure.out.push(0);
    }

    fn header(&mut self, field: u8, kind: u8) {
        // Fields are fewer than 16 apart in all structures of Parquet.
        let delta = field.saturating_sub(self.last);
        self.out.push(delta << 4 | kind);
        self.last = field;
    }

    pub(super) fn bool(&mut self, field: u8, value: bool) {
        self.header(field, if value { TRUE } else { FALSE });
    }

    pub(super) fn i16(&mut self, field: u8, value: i16) {
        self.header(field, I16);
        zigzag(value.into(), self.out);
    }

    pub(super) fn i32(&mut self, field: u8, value: i32) {
        self.header(field, I32);
        zigzag(value.into(), self.out);
    }

    pub(super) fn i64(&mut self, field: u8, value: i64) {
        self.header(field, I64);
        zigzag(value, self.out);
    }

    /// A length or a count.
    pub(super) fn count(&mut self, field: u8, value: usize) {
        self.i64(field, i64::try_from(value).unwrap_or(i64::MAX));
    }

    pub(super) fn binary(&mut self, field: u8, value: &[u8]) {
        self.header(field, BINARY);
        binary(value, self.out);
    }

    pub(super) fn structure(&mut self, field: u8, fields: impl FnOnce(&mut Struct<'_>)) {
        self.header(field, STRUCT);
        Struct::write(self.out, fields);
    }

    pub(super) fn i32s(&mut self, field: u8, values: &[i32]) {
        self.list(field, I32, values.len());
        for value in values {
            zigzag((*value).into(), self.out);
        }
    }

    pub(super) fn binaries(&mut self, field: u8, values: &[String]) {
        self.list(field, BINARY, values.len());
        for value in values {
            binary(value.as_bytes(), self.out);
        }
    }

    /// A list of structures; `items` writes as many as `count` says.
    pub(super) fn structures(&mut self, field: u8, count: usize, items: impl FnOnce(&mut Vec<u8>)) {
        self.list(field, STRUCT, count);
        items(self.out);
    }

    fn list(&mut self, field: u8, kind: u8, count: usize) {
        self.header(field, LIST);
        match u8::try_from(count) {
            Ok(count) if count < 15 => self.out.push(count << 4 | kind),
            _ => {
                self.out.push(0xf0 | kind);
                varint(count as u64, self.out);
            }
        }
    }
}

fn binary(value: &[u8], out: &mut Vec<u8>) {
    varint(value.len() as u64, out);
    out.extend_from_slice(value);
}

fn zigzag(value: i64, out: &mut Vec<u8>) {
    varint((value.cast_unsigned() << 1) ^ (value >> 63).cast_unsigned(), out);
}

/// A number in groups of seven bits, the lowest first.
pub(super) fn varint(mut value: u64, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = value.to_le_bytes();
        value >>= 7;
        if value == 0 {
            out.push(low & 0x7f);
            return;
        }
        out.push(low | 0x80);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_structure_of_each_sort_of_field() {
        let mut out = Vec::new();
        Struct::write(&mut out, |all| {
            all.i32(1, -3);
            all.bool(2, true);
            all.i64(4, 300);
            all.structure(5, |inner| inner.bool(1, false));
            all.i32s(9, &[1, 2]);
            all.binaries(10, &["ab".to_owned()]);
            all.structures(11, 16, |out| out.extend([0; 16]));
            all.i16(12, 1);
        });
        let mut expected = vec![
            0x15, 5, 0x11, 0x26, 0xd8, 0x04, 0x1c, 0x12, 0, 0x49, 0x25, 2, 4, 0x19, 0x18, 2, b'a',
            b'b', 0x19, 0xfc, 16,
        ];
        expected.extend([0; 16]);
        expected.extend([0x14, 2, 0]);
        assert_eq!(out, expected);
    }
}
