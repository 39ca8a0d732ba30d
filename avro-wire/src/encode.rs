//! Any `Serialize` to a datum.

mod compound;

use alloc::vec::Vec;
use core::mem;

use serde::{Serialize, Serializer};

use self::compound::{Fields, Items};
use crate::table::{Branch, DEPTH_LIMIT, Node, Table, is_variant};
use crate::{Error, ErrorKind, Schema, primitive};

/// Appends `value` to `out` as a datum of `schema`; on an error `out` keeps its old length.
///
/// How serde's types meet those of Avro:
///
/// * Structs and maps become records: fields are matched by name, in any order (the order of the
///   schema is faster and needs no allocation). A field that is left out gets the default of the
///   schema, or null where that is allowed. Tuples become records by position.
/// * `Option` and `()` go into unions with null at either place. Into larger unions a value goes
///   by its type, or, as a serde enum, by the name of the variant: `Long(i64)` or the name of the
///   record, enum or fixed.
/// * Unit variants and strings become the enum symbol of that name.
/// * Bytes (and sequences of `u8`) become `bytes` or `fixed`, as they are: decimals are the two's
///   complement that the caller made.
/// * Integers fit `int` and `long` within their range, and `float` and `double` where those are
///   exact; `f64` is rounded to `float`.
///
/// ```
/// # fn main() -> Result<(), avro_wire::Error> {
/// let schema = avro_wire::Schema::parse(r#"{"type":"map","values":["null","int"]}"#)?;
/// let value = std::collections::BTreeMap::from([("a", Some(1)), ("b", None)]);
/// let mut out = Vec::new();
/// avro_wire::encode(&value, &schema, &mut out)?;
/// assert_eq!(out, b"\x04\x02a\x02\x02\x02b\x00\x00");
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// Those of [`ErrorKind::is_value`], with [`Error::field`]; [`ErrorKind::DepthLimit`] beyond 64
/// levels.
#[inline]
pub fn encode<T: Serialize + ?Sized>(
    value: &T,
    schema: &Schema,
    out: &mut Vec<u8>,
) -> Result<(), Error> {
    let start = out.len();
    let state = State { out: mem::take(out), table: schema.table(), depth: DEPTH_LIMIT };
    let mut loan = Loan { state, owner: out };
    let result = value.serialize(Encoder { state: &mut loan.state, node: schema.root() });
    if result.is_err() {
        loan.state.out.truncate(start);
    }
    result
}

/// What every part of an encoding shares. The buffer stands here itself, because reaching it
/// through one more pointer shows in every byte that is written.
struct State<'s> {
    out: Vec<u8>,
    table: &'s Table,
    /// Levels that may still be entered.
    depth: u8,
}

/// Gives the buffer back, also when the `Serialize` of the caller panics.
struct Loan<'s, 'v> {
    state: State<'s>,
    owner: &'v mut Vec<u8>,
}

impl Drop for Loan<'_, '_> {
    #[inline]
    fn drop(&mut self) {
        *self.owner = mem::take(&mut self.state.out);
    }
}

impl State<'_> {
    #[inline]
    fn descend(&mut self) -> Result<(), Error> {
        self.depth = self.depth.checked_sub(1).ok_or_else(|| Error::new(ErrorKind::DepthLimit))?;
        Ok(())
    }
}

/// Encodes one value as `node`. Two pointers, so that it travels in registers.
struct Encoder<'s, 'o> {
    state: &'o mut State<'s>,
    node: &'s Node,
}

impl<'s> Encoder<'s, '_> {
    /// The type to encode as, after the index of a branch where `node` is a union. `rank` says how
    /// well a type fits: the highest wins, of equals the first, and 0 never.
    #[inline]
    fn enter(&mut self, rank: impl Fn(&Table, Branch) -> u8) -> Result<&'s Node, Error> {
        match *self.node {
            Node::Option { null_first, inner } => {
                self.state.out.push(some_index(null_first));
                Ok(self.state.table.node_ref(inner))
            }
            Node::Union(index) => self.choose(index, rank),
            _ => Ok(self.node),
        }
    }

    #[inline(never)]
    fn choose(
        &mut self,
        union: u32,
        rank: impl Fn(&Table, Branch) -> u8,
    ) -> Result<&'s Node, Error> {
        let (mut best, mut found) = (0, None);
        for (position, branch) in (0_i32..).zip(self.state.table.branches(union)) {
            let rank = rank(self.state.table, *branch);
            if rank > best {
                (best, found) = (rank, Some((position, &branch.node)));
            }
        }
        let (position, node) = found.ok_or_else(|| Error::new(ErrorKind::TypeMismatch))?;
        primitive::write_int(position, &mut self.state.out);
        Ok(node)
    }

    /// Enters the branch that the variant of a serde enum names.
    fn enter_variant(&mut self, variant: &str) -> Result<&'s Node, Error> {
        let unknown = || Error::named(ErrorKind::UnknownVariant, variant);
        match *self.node {
            Node::Option { null_first, inner } => {
                if is_variant(self.state.table.type_name(inner), variant) {
                    self.state.out.push(some_index(null_first));
                    Ok(self.state.table.node_ref(inner))
                } else if is_variant("null", variant) {
                    self.state.out.push(none_index(null_first));
                    Ok(&Node::Null)
                } else {
                    Err(unknown())
                }
            }
            Node::Union(union) => {
                let found = (0_i32..).zip(self.state.table.branches(union)).find(|(_, branch)| {
                    is_variant(self.state.table.type_name(branch.slot), variant)
                });
                let (position, branch) = found.ok_or_else(unknown)?;
                primitive::write_int(position, &mut self.state.out);
                Ok(&branch.node)
            }
            _ => Err(mismatch()),
        }
    }

    #[inline]
    fn integer(mut self, value: i64) -> Result<(), Error> {
        let node = self.enter(|_, branch| match branch.node {
            Node::Long => 4,
            Node::Int if i32::try_from(value).is_ok() => 3,
            Node::Double => 2,
            Node::Float => 1,
            _ => 0,
        })?;
        match *node {
            Node::Long => primitive::write_long(value, &mut self.state.out),
            Node::Int => {
                let value = i32::try_from(value).map_err(|_| out_of_range())?;
                primitive::write_int(value, &mut self.state.out);
            }
            _ => return self.integer_as(*node, value),
        }
        Ok(())
    }

    #[cold]
    #[allow(clippy::cast_precision_loss, reason = "the range checks leave only exact values")]
    fn integer_as(self, node: Node, value: i64) -> Result<(), Error> {
        match node {
            Node::Byte => {
                self.state.out.push(u8::try_from(value).map_err(|_| out_of_range())?);
            }
            Node::Double if value.unsigned_abs() <= 1 << 53 => {
                primitive::write_double(value as f64, &mut self.state.out);
            }
            Node::Float if value.unsigned_abs() <= 1 << 24 => {
                primitive::write_float(value as f32, &mut self.state.out);
            }
            Node::Double | Node::Float => return Err(out_of_range()),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    #[inline]
    fn symbol(self, index: u32, position: usize, symbol: &str) -> Result<(), Error> {
        let enumeration = self.state.table.enumeration(index);
        let position = if enumeration.symbols.get(position).is_some_and(|s| s == symbol) {
            position
        } else {
            enumeration
                .position(symbol)
                .ok_or_else(|| Error::named(ErrorKind::UnknownVariant, symbol))?
        };
        // An enum index has the form of a length.
        primitive::write_length(position, &mut self.state.out);
        Ok(())
    }
}

impl<'s, 'o> Serializer for Encoder<'s, 'o> {
    type Ok = ();
    type Error = Error;
    type SerializeSeq = Items<'s, 'o>;
    type SerializeTuple = Items<'s, 'o>;
    type SerializeTupleStruct = Items<'s, 'o>;
    type SerializeTupleVariant = Items<'s, 'o>;
    type SerializeMap = Fields<'s, 'o>;
    type SerializeStruct = Fields<'s, 'o>;
    type SerializeStructVariant = Fields<'s, 'o>;

    #[inline]
    fn serialize_bool(mut self, value: bool) -> Result<(), Error> {
        match *self.enter(|_, branch| u8::from(branch.node == Node::Boolean))? {
            Node::Boolean => primitive::write_boolean(value, &mut self.state.out),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    #[inline]
    fn serialize_i8(self, value: i8) -> Result<(), Error> {
        self.serialize_i32(value.into())
    }

    #[inline]
    fn serialize_i16(self, value: i16) -> Result<(), Error> {
        self.serialize_i32(value.into())
    }

    #[inline]
    fn serialize_i32(mut self, value: i32) -> Result<(), Error> {
        let node = self.enter(|_, branch| match branch.node {
            Node::Int => 4,
            Node::Long => 3,
            Node::Double => 2,
            Node::Float => 1,
            _ => 0,
        })?;
        match *node {
            Node::Int | Node::Long => primitive::write_int(value, &mut self.state.out),
            _ => return self.integer_as(*node, value.into()),
        }
        Ok(())
    }

    #[inline]
    fn serialize_i64(self, value: i64) -> Result<(), Error> {
        self.integer(value)
    }

    #[inline]
    fn serialize_u8(self, value: u8) -> Result<(), Error> {
        if *self.node == Node::Byte {
            self.state.out.push(value);
            return Ok(());
        }
        self.serialize_i32(value.into())
    }

    #[inline]
    fn serialize_u16(self, value: u16) -> Result<(), Error> {
        self.serialize_i32(value.into())
    }

    #[inline]
    fn serialize_u32(self, value: u32) -> Result<(), Error> {
        self.integer(value.into())
    }

    #[inline]
    fn serialize_u64(self, value: u64) -> Result<(), Error> {
        self.integer(i64::try_from(value).map_err(|_| out_of_range())?)
    }

    #[inline]
    fn serialize_f32(mut self, value: f32) -> Result<(), Error> {
        let node = self.enter(|_, branch| match branch.node {
            Node::Float => 2,
            Node::Double => 1,
            _ => 0,
        })?;
        match *node {
            Node::Float => primitive::write_float(value, &mut self.state.out),
            Node::Double => primitive::write_double(value.into(), &mut self.state.out),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    #[inline]
    #[allow(clippy::cast_possible_truncation, reason = "rounding to float is documented")]
    fn serialize_f64(mut self, value: f64) -> Result<(), Error> {
        let node = self.enter(|_, branch| match branch.node {
            Node::Double => 2,
            Node::Float => 1,
            _ => 0,
        })?;
        match *node {
            Node::Double => primitive::write_double(value, &mut self.state.out),
            Node::Float => primitive::write_float(value as f32, &mut self.state.out),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    #[inline]
    fn serialize_char(self, value: char) -> Result<(), Error> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    #[inline]
    fn serialize_str(mut self, value: &str) -> Result<(), Error> {
        let node = self.enter(|table, branch| match branch.node {
            Node::Enum(index) if table.enumeration(index).position(value).is_some() => 2,
            Node::String => 1,
            _ => 0,
        })?;
        match *node {
            Node::String => primitive::write_string(value, &mut self.state.out),
            Node::Enum(index) => return self.symbol(index, 0, value),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    #[inline]
    fn serialize_bytes(mut self, value: &[u8]) -> Result<(), Error> {
        let node = self.enter(|_, branch| match branch.node {
            Node::Fixed(size) if size as usize == value.len() => 2,
            Node::Bytes => 1,
            _ => 0,
        })?;
        match *node {
            Node::Bytes => primitive::write_bytes(value, &mut self.state.out),
            Node::Fixed(size) if size as usize == value.len() => {
                self.state.out.extend_from_slice(value)
            }
            Node::Fixed(size) => return Err(wrong_length(size as usize, value.len())),
            _ => return Err(mismatch()),
        }
        Ok(())
    }

    #[inline]
    fn serialize_none(self) -> Result<(), Error> {
        match *self.node {
            Node::Option { null_first, .. } => self.state.out.push(none_index(null_first)),
            Node::Null => {}
            _ => return self.serialize_unit(),
        }
        Ok(())
    }

    #[inline]
    fn serialize_some<T: Serialize + ?Sized>(mut self, value: &T) -> Result<(), Error> {
        if let Node::Option { null_first, inner } = *self.node {
            self.state.out.push(some_index(null_first));
            self.node = self.state.table.node_ref(inner);
        }
        value.serialize(self)
    }

    fn serialize_unit(mut self) -> Result<(), Error> {
        match *self.node {
            Node::Option { null_first, .. } => self.state.out.push(none_index(null_first)),
            // A record without fields is as empty as a unit struct.
            Node::Record(index) if self.state.table.record(index).fields.is_empty() => {}
            _ => {
                if *self.enter(|_, branch| u8::from(branch.node == Node::Null))? != Node::Null {
                    return Err(mismatch());
                }
            }
        }
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Error> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(
        mut self,
        _: &'static str,
        position: u32,
        variant: &'static str,
    ) -> Result<(), Error> {
        if let Node::Option { null_first, inner } = *self.node
            && !matches!(self.state.table.node(inner), Node::Enum(_) | Node::String)
            && is_variant("null", variant)
        {
            self.state.out.push(none_index(null_first));
            return Ok(());
        }
        let node = self.enter(|table, branch| match branch.node {
            Node::Enum(index) if table.enumeration(index).position(variant).is_some() => 3,
            Node::Null if is_variant("null", variant) => 2,
            Node::String => 1,
            _ => 0,
        })?;
        match *node {
            Node::Enum(index) => self.symbol(index, position as usize, variant),
            Node::String => {
                primitive::write_string(variant, &mut self.state.out);
                Ok(())
            }
            Node::Null => Ok(()),
            _ => Err(mismatch()),
        }
    }

    #[inline]
    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        value.serialize(self)
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        value: &T,
    ) -> Result<(), Error> {
        self.node = self.enter_variant(variant)?;
        value.serialize(self)
    }

    fn serialize_seq(self, length: Option<usize>) -> Result<Items<'s, 'o>, Error> {
        Items::new(self, length)
    }

    fn serialize_tuple(self, length: usize) -> Result<Items<'s, 'o>, Error> {
        Items::new(self, Some(length))
    }

    fn serialize_tuple_struct(
        self,
        _: &'static str,
        length: usize,
    ) -> Result<Items<'s, 'o>, Error> {
        Items::new(self, Some(length))
    }

    fn serialize_tuple_variant(
        mut self,
        _: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Items<'s, 'o>, Error> {
        self.node = self.enter_variant(variant)?;
        Items::new(self, Some(length))
    }

    fn serialize_map(self, length: Option<usize>) -> Result<Fields<'s, 'o>, Error> {
        Fields::new(self, length, "")
    }

    #[inline]
    fn serialize_struct(self, name: &'static str, length: usize) -> Result<Fields<'s, 'o>, Error> {
        Fields::new(self, Some(length), name)
    }

    fn serialize_struct_variant(
        mut self,
        name: &'static str,
        _: u32,
        variant: &'static str,
        length: usize,
    ) -> Result<Fields<'s, 'o>, Error> {
        self.node = self.enter_variant(variant)?;
        Fields::new(self, Some(length), name)
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// The index of the branch that is not null, as a datum.
#[inline]
const fn some_index(null_first: bool) -> u8 {
    if null_first { 2 } else { 0 }
}

/// The index of the null branch, as a datum.
#[inline]
const fn none_index(null_first: bool) -> u8 {
    if null_first { 0 } else { 2 }
}

#[cold]
fn mismatch() -> Error {
    Error::new(ErrorKind::TypeMismatch)
}

#[cold]
fn out_of_range() -> Error {
    Error::new(ErrorKind::NumberRange)
}

#[cold]
fn wrong_length(expected: usize, actual: usize) -> Error {
    Error::new(ErrorKind::LengthMismatch { expected, actual })
}
