//! The parts of records, arrays, maps and unions, as serde asks for them.

use core::{mem, ptr, slice};

use serde::Deserializer;
use serde::de::value::{BorrowedStrDeserializer, StrDeserializer};
use serde::de::{
    DeserializeSeed, EnumAccess, IntoDeserializer, MapAccess, SeqAccess, VariantAccess, Visitor,
};

use super::Decoder;
use crate::skip::{Block, Walk};
use crate::table::{Field, Node, Role};
use crate::{Error, ErrorKind};

/// The fields of a record, as entries of a map or as a sequence.
///
/// Whatever stands behind a value is done right after it, also the end of the record, so that
/// nothing is left to do when a visitor has taken all fields: its result is then handed on as it
/// is, and a large value is not moved for it.
pub(super) struct RecordFields<'w, 's, 'de> {
    walk: &'w mut Walk<'s, 'de>,
    /// Starts with a field that the visitor sees, or is empty.
    fields: slice::Iter<'s, Field>,
    /// The field whose name was given out last, until its value is asked for.
    value: Option<&'s Field>,
}

impl<'w, 's, 'de> RecordFields<'w, 's, 'de> {
    #[inline]
    pub(super) fn new(walk: &'w mut Walk<'s, 'de>, fields: &'s [Field]) -> Result<Self, Error> {
        let mut fields = Self { walk, fields: fields.iter(), value: None };
        fields.prepare()?;
        Ok(fields)
    }

    #[inline]
    fn read<T: DeserializeSeed<'de>>(
        &mut self,
        field: &'s Field,
        seed: T,
    ) -> Result<T::Value, Error> {
        match seed.deserialize(Decoder { walk: self.walk, node: &field.node }) {
            Ok(value) => {
                self.prepare()?;
                Ok(value)
            }
            Err(error) => Err(self.walk.in_field(error, field)),
        }
    }

    /// Goes on to the next field that the visitor sees, or out of the record.
    #[inline]
    fn prepare(&mut self) -> Result<(), Error> {
        match self.fields.as_slice() {
            [] => self.walk.depth += 1,
            [field, ..] if field.role == Role::Value => {}
            _ => self.prepare_resolved()?,
        }
        Ok(())
    }

    /// For what a resolution puts between the fields.
    #[inline(never)]
    fn prepare_resolved(&mut self) -> Result<(), Error> {
        while let Some(field) = self.fields.as_slice().first() {
            match field.role {
                Role::Value => return Ok(()),
                Role::Default => {
                    self.walk.enter_default(field.slot);
                    return Ok(());
                }
                Role::Skipped => self.skip(field)?,
                Role::Resume => self.walk.leave_default(),
            }
            self.fields.next();
        }
        self.walk.depth += 1;
        Ok(())
    }

    fn skip(&mut self, field: &Field) -> Result<(), Error> {
        self.walk.skip_inline(&field.node).map_err(|error| self.walk.in_field(error, field))
    }

    /// Steps over what the visitor did not ask for.
    #[inline]
    pub(super) fn finish(&mut self) -> Result<(), Error> {
        if self.value.is_some() || self.fields.len() > 0 { self.skip_rest() } else { Ok(()) }
    }

    #[inline(never)]
    fn skip_rest(&mut self) -> Result<(), Error> {
        // The default that the visitor would have seen next has been entered.
        let mut entered = self.value.is_none();
        let given = self.value.take();
        let rest = mem::take(&mut self.fields);
        for field in given.into_iter().chain(rest) {
            match field.role {
                Role::Value | Role::Skipped => self.skip(field)?,
                Role::Default if entered || given.is_some_and(|given| ptr::eq(given, field)) => {}
                Role::Default => self.walk.enter_default(field.slot),
                Role::Resume => self.walk.leave_default(),
            }
            entered = false;
        }
        self.walk.depth += 1;
        Ok(())
    }
}

impl<'de> SeqAccess<'de> for RecordFields<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        match self.fields.next() {
            Some(field) => self.read(field, seed).map(Some),
            None => Ok(None),
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

impl<'de> MapAccess<'de> for RecordFields<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        let Some(field) = self.fields.next() else { return Ok(None) };
        self.value = Some(field);
        seed.deserialize(StrDeserializer::new(&field.name)).map(Some)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        match self.value.take() {
            Some(field) => self.read(field, seed),
            None => Err(Error::new(ErrorKind::Value)),
        }
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.fields.len())
    }
}

/// The items of an array, or the entries of a map, block by block.
pub(super) struct BlockItems<'w, 's, 'de> {
    walk: &'w mut Walk<'s, 'de>,
    item: &'s Node,
    keyed: bool,
    /// Items left in the block; 0 only at the end.
    left: usize,
    /// See [`Block::end`](crate::skip::Block).
    end: Option<usize>,
    seen: usize,
}

impl<'w, 's, 'de> BlockItems<'w, 's, 'de> {
    #[inline]
    pub(super) fn new(walk: &'w mut Walk<'s, 'de>, item: u32, keyed: bool) -> Result<Self, Error> {
        walk.descend()?;
        let item = walk.table.node_ref(item);
        let Block { count, end, .. } = walk.block(item, keyed)?;
        Ok(Self { walk, item, keyed, left: count, end, seen: 0 })
    }

    /// Counts one item down; reads the head of the next block behind the last item of one.
    #[inline]
    fn advance(&mut self) -> Result<(), Error> {
        self.seen += 1;
        self.left = self.left.saturating_sub(1);
        if self.left == 0 {
            self.walk.end_block(self.end)?;
            let block = self.walk.block(self.item, self.keyed)?;
            (self.left, self.end) = (block.count, block.end);
        }
        Ok(())
    }

    #[inline]
    fn read<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        let value = seed.deserialize(Decoder { walk: self.walk, node: self.item })?;
        self.advance()?;
        Ok(value)
    }

    /// Checks that the visitor took all items: tuples and arrays take as many as they have.
    #[inline]
    pub(super) fn finish(self) -> Result<(), Error> {
        if self.left == 0 {
            self.walk.depth += 1;
            return Ok(());
        }
        let kind = ErrorKind::LengthMismatch { expected: self.seen, actual: self.seen + self.left };
        Err(self.walk.reader.error(kind))
    }
}

impl<'de> SeqAccess<'de> for BlockItems<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        self.read(seed).map(Some)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

impl<'de> MapAccess<'de> for BlockItems<'_, '_, 'de> {
    type Error = Error;

    #[inline]
    fn next_key_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, Error> {
        if self.left == 0 {
            return Ok(None);
        }
        let key = self.walk.reader.read_str()?;
        seed.deserialize(BorrowedStrDeserializer::new(key)).map(Some)
    }

    #[inline]
    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, Error> {
        self.read(seed)
    }

    #[inline]
    fn size_hint(&self) -> Option<usize> {
        Some(self.left)
    }
}

/// The branch of a union as the variant of a serde enum.
pub(super) struct BranchEnum<'w, 's, 'de> {
    pub(super) variant: &'static str,
    pub(super) value: Decoder<'w, 's, 'de>,
}

impl<'w, 's, 'de> EnumAccess<'de> for BranchEnum<'w, 's, 'de> {
    type Error = Error;
    type Variant = Decoder<'w, 's, 'de>;

    fn variant_seed<V: DeserializeSeed<'de>>(
        self,
        seed: V,
    ) -> Result<(V::Value, Self::Variant), Error> {
        let variant: StrDeserializer<'_, Error> = self.variant.into_deserializer();
        Ok((seed.deserialize(variant)?, self.value))
    }
}

impl<'de> VariantAccess<'de> for Decoder<'_, '_, 'de> {
    type Error = Error;

    fn unit_variant(self) -> Result<(), Error> {
        self.walk.skip(self.node)
    }

    fn newtype_variant_seed<T: DeserializeSeed<'de>>(self, seed: T) -> Result<T::Value, Error> {
        seed.deserialize(self)
    }

    fn tuple_variant<V: Visitor<'de>>(self, length: usize, visitor: V) -> Result<V::Value, Error> {
        self.deserialize_tuple(length, visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        self,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        self.deserialize_struct("", fields, visitor)
    }
}
