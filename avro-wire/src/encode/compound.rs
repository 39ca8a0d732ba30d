//! Records, arrays and maps, whose parts serde gives one by one.

use alloc::boxed::Box;
use alloc::vec::Vec;
use core::slice;

use serde::ser::{
    Impossible, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant,
    SerializeTuple, SerializeTupleStruct, SerializeTupleVariant,
};
use serde::{Serialize, Serializer};

use super::{Encoder, State, mismatch, none_index, wrong_length};
use crate::table::{Field, Node, Record, is_variant};
use crate::{Error, ErrorKind, primitive};

/// The parts of a sequence: of an array, of bytes number by number, or of a record by position.
pub(crate) struct Items<'s, 'o> {
    state: &'o mut State<'s>,
    target: Target<'s>,
    count: Counted,
}

enum Target<'s> {
    Array(&'s Node),
    Bytes,
    Fixed(u32),
    Record(&'s Record),
}

impl<'s, 'o> Items<'s, 'o> {
    #[inline]
    pub(super) fn new(mut encoder: Encoder<'s, 'o>, length: Option<usize>) -> Result<Self, Error> {
        let node = encoder.enter(|table, branch| match branch.node {
            Node::Array(_) => 4,
            Node::Fixed(size) if Some(size as usize) == length => 3,
            Node::Bytes => 2,
            Node::Record(index) if Some(table.record(index).fields.len()) == length => 1,
            _ => 0,
        })?;
        let state = encoder.state;
        state.descend()?;
        let (table, out) = (state.table, &mut state.out);
        let (target, count) = match *node {
            Node::Array(item) => {
                (Target::Array(table.node_ref(item)), Counted::open_block(length, out))
            }
            Node::Bytes => (Target::Bytes, Counted::open(length, out)),
            Node::Fixed(size) => (Target::Fixed(size), Counted::none(out)),
            Node::Record(index) => (Target::Record(table.record(index)), Counted::none(out)),
            _ => return Err(mismatch()),
        };
        Ok(Self { state, target, count })
    }

    #[inline]
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let node = match self.target {
            Target::Array(node) => node,
            Target::Bytes | Target::Fixed(_) => &Node::Byte,
            Target::Record(record) => match record.fields.get(self.count.items) {
                Some(field) => &field.node,
                None => return Err(wrong_length(record.fields.len(), self.count.items + 1)),
            },
        };
        self.count.items += 1;
        value.serialize(Encoder { state: self.state, node })
    }

    #[inline]
    fn finish(self) -> Result<(), Error> {
        self.state.depth += 1;
        let expected = match self.target {
            Target::Array(_) => {
                self.count.close_block(&mut self.state.out);
                return Ok(());
            }
            Target::Bytes => {
                self.count.close(&mut self.state.out);
                return Ok(());
            }
            Target::Fixed(size) => size as usize,
            Target::Record(record) => record.fields.len(),
        };
        if self.count.items == expected {
            Ok(())
        } else {
            Err(wrong_length(expected, self.count.items))
        }
    }
}

/// A count in front of what it counts, corrected at the end if serde announced another or none.
struct Counted {
    start: usize,
    announced: Option<usize>,
    items: usize,
}

impl Counted {
    #[inline]
    fn none(out: &[u8]) -> Self {
        Self { start: out.len(), announced: None, items: 0 }
    }

    #[inline]
    fn open(announced: Option<usize>, out: &mut Vec<u8>) -> Self {
        let start = out.len();
        if let Some(count) = announced {
            primitive::write_length(count, out);
        }
        Self { start, announced, items: 0 }
    }

    /// As Java writes: one block for all items, and none at all for no items.
    #[inline]
    fn open_block(announced: Option<usize>, out: &mut Vec<u8>) -> Self {
        let announced = announced.filter(|&count| count > 0);
        Self::open(announced, out)
    }

    #[inline]
    fn close(&self, out: &mut Vec<u8>) {
        if self.announced != Some(self.items) {
            self.correct(true, out);
        }
    }

    #[inline]
    fn close_block(&self, out: &mut Vec<u8>) {
        if self.announced.unwrap_or(0) != self.items {
            self.correct(self.items > 0, out);
        }
        out.push(0);
    }

    #[cold]
    fn correct(&self, write: bool, out: &mut Vec<u8>) {
        let mut old = Vec::new();
        if let Some(count) = self.announced {
            primitive::write_length(count, &mut old);
        }
        let mut new = Vec::new();
        if write {
            primitive::write_length(self.items, &mut new);
        }
        out.splice(self.start..self.start + old.len(), new);
    }
}

/// The fields of a struct or the entries of a map, into a record or into a map.
pub(crate) struct Fields<'s, 'o> {
    state: &'o mut State<'s>,
    /// The fields of a record that have not come yet, as long as all came in order.
    expected: slice::Iter<'s, Field>,
    rest: Rest<'s>,
}

/// What is seldom needed while the fields come in order.
enum Rest<'s> {
    Record { record: &'s Record, strays: Option<Box<Strays>>, key: usize },
    Map { item: &'s Node, count: Counted },
}

/// Fields that came out of order, in the order in which they came.
struct Strays {
    /// Fields before this one are written, in order.
    next: usize,
    /// The others that are written: index and start.
    written: Vec<(usize, usize)>,
}

impl<'s, 'o> Fields<'s, 'o> {
    #[inline]
    pub(super) fn new(
        mut encoder: Encoder<'s, 'o>,
        length: Option<usize>,
        name: &str,
    ) -> Result<Self, Error> {
        let node = encoder.enter(|table, branch| match branch.node {
            Node::Record(_) if is_variant(table.type_name(branch.slot), name) => 3,
            Node::Record(_) => 2,
            Node::Map(_) => 1,
            _ => 0,
        })?;
        let state = encoder.state;
        state.descend()?;
        match *node {
            Node::Record(index) => {
                let record = state.table.record(index);
                let rest = Rest::Record { record, strays: None, key: 0 };
                Ok(Self { state, expected: record.fields.iter(), rest })
            }
            Node::Map(item) => {
                let item = state.table.node_ref(item);
                let count = Counted::open_block(length, &mut state.out);
                Ok(Self { state, expected: [].iter(), rest: Rest::Map { item, count } })
            }
            _ => Err(mismatch()),
        }
    }

    #[inline]
    fn field<T: Serialize + ?Sized>(&mut self, key: &'static str, value: &T) -> Result<(), Error> {
        if let Some(field) = self.expected.as_slice().first()
            && field.is_named(key)
        {
            self.expected.next();
            return self.write(field, value);
        }
        self.unexpected(key, value)
    }

    #[inline]
    fn write<T: Serialize + ?Sized>(&mut self, field: &'s Field, value: &T) -> Result<(), Error> {
        value
            .serialize(Encoder { state: self.state, node: &field.node })
            .map_err(|error| error.in_field(&field.name))
    }

    #[inline(never)]
    fn unexpected<T: Serialize + ?Sized>(&mut self, key: &str, value: &T) -> Result<(), Error> {
        match &self.rest {
            Rest::Record { record, .. } => {
                let index = find(record, key)?;
                self.stray(index, value)
            }
            Rest::Map { .. } => {
                primitive::write_string(key, &mut self.state.out);
                self.entry(value)
            }
        }
    }

    /// The value of a map entry.
    fn entry<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let Rest::Map { item, count } = &mut self.rest else { return Err(mismatch()) };
        count.items += 1;
        value.serialize(Encoder { state: self.state, node: item })
    }

    /// Writes a field that is not the next one behind all others, to be moved at the end.
    fn stray<T: Serialize + ?Sized>(&mut self, index: usize, value: &T) -> Result<(), Error> {
        let Rest::Record { record, strays, .. } = &mut self.rest else { return Err(mismatch()) };
        let Some(field) = record.fields.get(index) else { return Err(mismatch()) };
        let strays = strays.get_or_insert_with(|| {
            let next = record.fields.len() - self.expected.len();
            self.expected = [].iter();
            Box::new(Strays { next, written: Vec::new() })
        });
        if index < strays.next || strays.written.iter().any(|&(known, _)| known == index) {
            return Err(Error::named(ErrorKind::Duplicate, &field.name));
        }
        strays.written.push((index, self.state.out.len()));
        self.write(field, value)
    }

    #[inline]
    fn finish(self) -> Result<(), Error> {
        self.state.depth += 1;
        match self.rest {
            Rest::Record { strays: None, .. } if self.expected.len() == 0 => Ok(()),
            Rest::Record { record, strays, .. } => {
                let next = record.fields.len() - self.expected.len();
                let strays = strays.map_or(Strays { next, written: Vec::new() }, |strays| *strays);
                strays.put_in_order(record, &mut self.state.out)
            }
            Rest::Map { count, .. } => {
                count.close_block(&mut self.state.out);
                Ok(())
            }
        }
    }
}

impl Strays {
    /// Writes the strays once more, in the order of the schema, with what was left out.
    #[inline(never)]
    fn put_in_order(self, record: &Record, out: &mut Vec<u8>) -> Result<(), Error> {
        let start = self.written.first().map_or(out.len(), |&(_, start)| start);
        let written = out.split_off(start);
        let mut pieces = Vec::with_capacity(self.written.len());
        let mut rest = &*written;
        let ends = self.written.iter().skip(1).map(|&(_, start)| start);
        let ends = ends.chain([start + written.len()]);
        for (&(index, from), to) in self.written.iter().zip(ends) {
            let (piece, after) = rest.split_at_checked(to - from).unwrap_or_default();
            pieces.push((index, piece));
            rest = after;
        }
        pieces.sort_unstable_by_key(|&(index, _)| index);
        let mut pieces = pieces.into_iter().peekable();
        for (index, field) in record.fields.iter().enumerate().skip(self.next) {
            if let Some((_, piece)) = pieces.next_if(|&(found, _)| found == index) {
                out.extend_from_slice(piece);
            } else {
                write_absent(field, out)?;
            }
        }
        Ok(())
    }
}

fn find(record: &Record, key: &str) -> Result<usize, Error> {
    record.position(key).ok_or_else(|| Error::named(ErrorKind::UnknownField, key))
}

fn write_absent(field: &Field, out: &mut Vec<u8>) -> Result<(), Error> {
    match (field.default.as_ref().and_then(|default| default.datum.as_ref()), field.node) {
        (Some(datum), _) => out.extend_from_slice(datum),
        (None, Node::Option { null_first, .. }) => out.push(none_index(null_first)),
        (None, Node::Null) => {}
        _ => return Err(Error::named(ErrorKind::MissingField, &field.name)),
    }
    Ok(())
}

impl SerializeSeq for Items<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl SerializeTuple for Items<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_element<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl SerializeTupleStruct for Items<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl SerializeTupleVariant for Items<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        self.item(value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl SerializeStruct for Fields<'_, '_> {
    type Ok = ();
    type Error = Error;

    #[inline]
    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(key, value)
    }

    #[inline]
    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl SerializeStructVariant for Fields<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_field<T: Serialize + ?Sized>(
        &mut self,
        key: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.field(key, value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

impl SerializeMap for Fields<'_, '_> {
    type Ok = ();
    type Error = Error;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Error> {
        match &mut self.rest {
            Rest::Record { record, key: found, .. } => {
                *found = key.serialize(KeyFinder { record, expected: self.expected.as_slice() })?;
                Ok(())
            }
            Rest::Map { .. } => key.serialize(Encoder { state: self.state, node: &Node::String }),
        }
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Error> {
        let Rest::Record { record, key, .. } = self.rest else { return self.entry(value) };
        if let Some(field) = self.expected.as_slice().first()
            && key == record.fields.len() - self.expected.len()
        {
            self.expected.next();
            return self.write(field, value);
        }
        self.stray(key, value)
    }

    fn end(self) -> Result<(), Error> {
        self.finish()
    }
}

/// Turns a map key into the index of the field of that name, without making a `String` of it.
struct KeyFinder<'s> {
    record: &'s Record,
    expected: &'s [Field],
}

macro_rules! not_a_name {
    ($($method:ident: $type:ty,)*) => {
        $(fn $method(self, _: $type) -> Result<usize, Error> { Err(mismatch()) })*
    };
}

impl Serializer for KeyFinder<'_> {
    type Ok = usize;
    type Error = Error;
    type SerializeSeq = Impossible<usize, Error>;
    type SerializeTuple = Impossible<usize, Error>;
    type SerializeTupleStruct = Impossible<usize, Error>;
    type SerializeTupleVariant = Impossible<usize, Error>;
    type SerializeMap = Impossible<usize, Error>;
    type SerializeStruct = Impossible<usize, Error>;
    type SerializeStructVariant = Impossible<usize, Error>;

    not_a_name! {
        serialize_bool: bool, serialize_i8: i8, serialize_i16: i16, serialize_i32: i32,
        serialize_i64: i64, serialize_u8: u8, serialize_u16: u16, serialize_u32: u32,
        serialize_u64: u64, serialize_f32: f32, serialize_f64: f64, serialize_bytes: &[u8],
        serialize_unit_struct: &'static str,
    }

    fn serialize_str(self, key: &str) -> Result<usize, Error> {
        match self.expected.first() {
            Some(field) if *field.name == *key => {
                Ok(self.record.fields.len() - self.expected.len())
            }
            _ => find(self.record, key),
        }
    }

    fn serialize_char(self, key: char) -> Result<usize, Error> {
        self.serialize_str(key.encode_utf8(&mut [0; 4]))
    }

    fn serialize_none(self) -> Result<usize, Error> {
        Err(mismatch())
    }

    fn serialize_some<T: Serialize + ?Sized>(self, key: &T) -> Result<usize, Error> {
        key.serialize(self)
    }

    fn serialize_unit(self) -> Result<usize, Error> {
        Err(mismatch())
    }

    fn serialize_unit_variant(
        self,
        _: &'static str,
        _: u32,
        variant: &'static str,
    ) -> Result<usize, Error> {
        self.serialize_str(variant)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        key: &T,
    ) -> Result<usize, Error> {
        key.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: &T,
    ) -> Result<usize, Error> {
        Err(mismatch())
    }

    fn serialize_seq(self, _: Option<usize>) -> Result<Self::SerializeSeq, Error> {
        Err(mismatch())
    }

    fn serialize_tuple(self, _: usize) -> Result<Self::SerializeTuple, Error> {
        Err(mismatch())
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleStruct, Error> {
        Err(mismatch())
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeTupleVariant, Error> {
        Err(mismatch())
    }

    fn serialize_map(self, _: Option<usize>) -> Result<Self::SerializeMap, Error> {
        Err(mismatch())
    }

    fn serialize_struct(self, _: &'static str, _: usize) -> Result<Self::SerializeStruct, Error> {
        Err(mismatch())
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        _: &'static str,
        _: usize,
    ) -> Result<Self::SerializeStructVariant, Error> {
        Err(mismatch())
    }
}
