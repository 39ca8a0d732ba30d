//! A datum to any `Deserialize`.

mod access;

use serde::de::value::SeqDeserializer;
use serde::de::{Deserialize, Deserializer, IntoDeserializer, Visitor};

use self::access::{BlockItems, BranchEnum, RecordFields};
use crate::resolve::Promoted;
use crate::skip::Walk;
use crate::table::{Node, Resolved, is_variant};
use crate::{Error, ErrorKind, Schema};

/// Decodes the one datum in `datum` as a `T`, which may borrow strings and bytes from it.
///
/// The types meet as in [`encode`](crate::encode). Fields that `T` does not have are stepped over.
/// Types that take whatever comes see records and maps as maps, enums as strings, `bytes` and
/// `fixed` as bytes, null as unit, and the branch of a union without its name.
///
/// A record whose fields are those of the struct, in the same order, is given as a sequence, which
/// every derived `Deserialize` takes; a hand-written one needs `visit_seq` beside `visit_map`, and
/// has to take all fields there ([`ErrorKind::Value`] if it does not).
///
/// ```
/// # fn main() -> Result<(), avro_wire::Error> {
/// let schema = avro_wire::Schema::parse(r#"["null","string"]"#)?;
/// assert_eq!(avro_wire::decode::<Option<&str>>(b"\x02\x04hi", &schema)?, Some("hi"));
/// assert_eq!(avro_wire::decode::<Option<&str>>(b"\x00", &schema)?, None);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`ErrorKind::is_data`], with [`Error::offset`], and of [`ErrorKind::is_value`] when
/// `T` does not go with the schema. Bytes after the datum are an error.
#[inline]
pub fn decode<'a, T: Deserialize<'a>>(datum: &'a [u8], schema: &Schema) -> Result<T, Error> {
    decode_walk(Walk::new(schema.table(), datum), schema.root())
}

#[inline(always)]
pub(crate) fn decode_walk<'s, 'a, T: Deserialize<'a>>(
    mut walk: Walk<'s, 'a>,
    node: &'s Node,
) -> Result<T, Error> {
    match T::deserialize(Decoder { walk: &mut walk, node }) {
        Ok(value) => {
            walk.finish()?;
            Ok(value)
        }
        Err(error) => Err(error.or_offset(walk.reader.offset())),
    }
}

/// Decodes one value of the type `node`. Two pointers, so that it travels in registers.
struct Decoder<'w, 's, 'de> {
    walk: &'w mut Walk<'s, 'de>,
    node: &'s Node,
}

impl<'w, 's, 'de> Decoder<'w, 's, 'de> {
    /// The type under `node`, after the index of a branch where `node` is a union.
    #[inline]
    fn enter(&mut self) -> Result<&'s Node, Error> {
        match *self.node {
            Node::Option { .. } | Node::Union(_) | Node::Resolved(_) => {
                enter_union(self.walk, self.node)
            }
            _ => Ok(self.node),
        }
    }

    #[inline]
    fn number<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match *self.node {
            Node::Long => visitor.visit_i64(self.walk.reader.read_long()?),
            Node::Int => visitor.visit_i32(self.walk.reader.read_int()?),
            _ => self.other(visitor),
        }
    }

    /// The fields of a record, one level further in.
    #[inline]
    fn fields(self, index: u32) -> Result<RecordFields<'w, 's, 'de>, Error> {
        let record = self.walk.table.record(index);
        self.walk.descend()?;
        if record.min_size == 0 && self.walk.take_empty(1).is_none() {
            return Err(self.walk.reader.error(ErrorKind::ItemCount { count: 1 }));
        }
        RecordFields::new(self.walk, &record.fields)
    }

    /// A record for a visitor that may leave fields out.
    #[inline(never)]
    fn by_name<V: Visitor<'de>>(self, index: u32, visitor: V) -> Result<V::Value, Error> {
        let mut fields = self.fields(index)?;
        let value = visitor.visit_map(&mut fields)?;
        fields.finish()?;
        Ok(value)
    }

    #[inline]
    fn array<V: Visitor<'de>>(self, item: u32, visitor: V) -> Result<V::Value, Error> {
        let mut items = BlockItems::new(self.walk, item, false)?;
        let value = visitor.visit_seq(&mut items)?;
        items.finish()?;
        Ok(value)
    }

    #[inline]
    fn map<V: Visitor<'de>>(self, item: u32, visitor: V) -> Result<V::Value, Error> {
        let mut items = BlockItems::new(self.walk, item, true)?;
        let value = visitor.visit_map(&mut items)?;
        items.finish()?;
        Ok(value)
    }

    /// For a type of serde that does not mean one of Avro. Out of the way of those that do, which
    /// are compiled into each place that asks for them.
    #[cold]
    #[inline(never)]
    fn other<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    #[inline]
    fn at(self, node: &'s Node) -> Self {
        Self { node, ..self }
    }
}

macro_rules! number {
    ($($method:ident)*) => {
        $(
            #[inline]
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
                self.number(visitor)
            }
        )*
    };
}

impl<'de> Deserializer<'de> for Decoder<'_, '_, 'de> {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let node = self.enter()?;
        let reader = &mut self.walk.reader;
        match *node {
            Node::Null => visitor.visit_unit(),
            Node::Boolean => visitor.visit_bool(reader.read_boolean()?),
            Node::Int => visitor.visit_i32(reader.read_int()?),
            Node::Long => visitor.visit_i64(reader.read_long()?),
            Node::Float => visitor.visit_f32(reader.read_float()?),
            Node::Double => visitor.visit_f64(reader.read_double()?),
            Node::Bytes => visitor.visit_borrowed_bytes(reader.read_bytes()?),
            Node::String => visitor.visit_borrowed_str(reader.read_str()?),
            Node::Fixed(size) => visitor.visit_borrowed_bytes(reader.read_fixed(size as usize)?),
            Node::Enum(index) => visitor.visit_str(self.walk.symbol(index)?),
            Node::Record(index) => self.by_name(index, visitor),
            Node::Array(item) => self.array(item, visitor),
            Node::Map(item) => self.map(item, visitor),
            Node::Resolved(index) => match self.walk.table.resolution(index) {
                Resolved::Promote { from, to } => match self.walk.promoted(from, to)? {
                    Promoted::Long(value) => visitor.visit_i64(value),
                    Promoted::Float(value) => visitor.visit_f32(value),
                    Promoted::Double(value) => visitor.visit_f64(value),
                },
                _ => Err(Error::new(ErrorKind::Unresolvable)),
            },
            // A union lies in no union, and no schema has a `Byte`.
            Node::Option { .. } | Node::Union(_) | Node::Byte => {
                Err(Error::new(ErrorKind::TypeMismatch))
            }
        }
    }

    number! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    #[inline]
    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match *self.node {
            Node::Boolean => visitor.visit_bool(self.walk.reader.read_boolean()?),
            _ => self.other(visitor),
        }
    }

    #[inline]
    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match *self.node {
            Node::Float => visitor.visit_f32(self.walk.reader.read_float()?),
            _ => self.other(visitor),
        }
    }

    #[inline]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match *self.node {
            Node::Double => visitor.visit_f64(self.walk.reader.read_double()?),
            _ => self.other(visitor),
        }
    }

    #[inline]
    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match *self.node {
            Node::String => match self.walk.reader.try_str() {
                Some(text) => visitor.visit_borrowed_str(text),
                None => Err(self.walk.text_error()),
            },
            _ => self.other(visitor),
        }
    }

    #[inline]
    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_str(visitor)
    }

    #[inline]
    fn deserialize_bytes<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let node = self.enter()?;
        match *node {
            // The bytes of a string need no check.
            Node::Bytes | Node::String => {
                visitor.visit_borrowed_bytes(self.walk.reader.read_bytes()?)
            }
            _ => self.at(node).other(visitor),
        }
    }

    #[inline]
    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_bytes(visitor)
    }

    #[inline]
    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        // What is rare goes without the address of `self`, which else had to stay in memory.
        let some = match *self.node {
            Node::Option { null_first, inner } => match self.walk.reader.take_option(null_first) {
                Some(true) => Some(self.walk.table.node_ref(inner)),
                Some(false) => None,
                None => enter_option(self.walk, self.node)?,
            },
            _ => enter_option(self.walk, self.node)?,
        };
        // One call each: what is in the option is compiled into this function.
        match some {
            Some(node) => visitor.visit_some(self.at(node)),
            None => visitor.visit_none(),
        }
    }

    #[inline]
    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.enter()?;
        match *node {
            Node::Record(index) if self.walk.table.record(index).fields.is_empty() => {
                visitor.visit_unit()
            }
            _ => self.at(node).other(visitor),
        }
    }

    #[inline]
    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Error> {
        visitor.visit_newtype_struct(self)
    }

    #[inline]
    fn deserialize_seq<V: Visitor<'de>>(mut self, visitor: V) -> Result<V::Value, Error> {
        let node = self.enter()?;
        match *node {
            Node::Array(item) => self.array(item, visitor),
            Node::Bytes => byte_by_byte(self.walk.reader.read_bytes()?, visitor),
            Node::Fixed(size) => byte_by_byte(self.walk.reader.read_fixed(size as usize)?, visitor),
            _ => self.at(node).other(visitor),
        }
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        mut self,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.enter()?;
        match *node {
            Node::Record(index) => {
                let mut fields = self.fields(index)?;
                let value = visitor.visit_seq(&mut fields)?;
                fields.finish()?;
                Ok(value)
            }
            _ => self.at(node).deserialize_seq(visitor),
        }
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        length: usize,
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    #[inline]
    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    #[inline]
    fn deserialize_struct<V: Visitor<'de>>(
        mut self,
        _: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let node = self.enter()?;
        match *node {
            // All that `visit_seq` of a struct gives is all that there is, see `RecordFields`.
            Node::Record(index) if self.walk.table.record(index).has_fields(fields) => {
                visitor.visit_seq(self.fields(index)?)
            }
            Node::Record(index) => self.by_name(index, visitor),
            _ => self.at(node).other(visitor),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let table = self.walk.table;
        let (name, node) = match *self.node {
            Node::Option { null_first, inner } => {
                if self.walk.is_some(null_first)? {
                    (table.type_name(inner), table.node_ref(inner))
                } else {
                    ("null", &Node::Null)
                }
            }
            Node::Union(index) => {
                let branch = self.walk.branch(index)?;
                (table.type_name(branch.slot), self.walk.resolved(&branch.node)?)
            }
            Node::Resolved(index) => match table.resolution(index) {
                Resolved::Chosen(slot) => (table.type_name(slot), table.node_ref(slot)),
                _ => ("", self.node),
            },
            _ => ("", self.node),
        };
        if !name.is_empty()
            && let Some(variant) = variants.iter().find(|variant| is_variant(name, variant))
        {
            return visitor.visit_enum(BranchEnum { variant, value: self.at(node) });
        }
        match *node {
            Node::Enum(index) => visitor.visit_enum(self.walk.symbol(index)?.into_deserializer()),
            Node::String => visitor.visit_enum(self.walk.reader.read_str()?.into_deserializer()),
            _ if name.is_empty() => self.at(node).deserialize_any(visitor),
            _ => Err(Error::named(ErrorKind::UnknownVariant, name)),
        }
    }

    #[inline]
    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_any(visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        self.walk.skip(self.node)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

#[inline(never)]
fn enter_union<'s>(walk: &mut Walk<'s, '_>, node: &'s Node) -> Result<&'s Node, Error> {
    match *node {
        Node::Option { null_first, inner } => {
            Ok(if walk.is_some(null_first)? { walk.table.node_ref(inner) } else { &Node::Null })
        }
        Node::Union(index) => {
            let branch = walk.branch(index)?;
            walk.resolved(&branch.node)
        }
        _ => walk.resolved(node),
    }
}

/// What is in an option, if anything is. Of a larger union that is the union itself: what serde
/// has in the option may be an enum that asks for the branch by its name.
#[cold]
#[inline(never)]
fn enter_option<'s>(walk: &mut Walk<'s, '_>, node: &'s Node) -> Result<Option<&'s Node>, Error> {
    match *node {
        Node::Null => Ok(None),
        Node::Option { null_first, inner } => {
            Ok(if walk.is_some(null_first)? { Some(walk.table.node_ref(inner)) } else { None })
        }
        Node::Union(_) | Node::Resolved(_) => {
            let before = walk.reader.clone();
            if *enter_union(walk, node)? == Node::Null {
                return Ok(None);
            }
            walk.reader = before;
            Ok(Some(node))
        }
        _ => Ok(Some(node)),
    }
}

/// For `Vec<u8>` and `[u8; N]`, which ask for a sequence.
fn byte_by_byte<'de, V: Visitor<'de>>(bytes: &[u8], visitor: V) -> Result<V::Value, Error> {
    let mut items = SeqDeserializer::<_, Error>::new(bytes.iter().copied());
    let value = visitor.visit_seq(&mut items)?;
    items.end()?;
    Ok(value)
}
