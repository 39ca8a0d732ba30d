//! The parts of records, arrays, maps and unions, as serde asks for them.

use core::slice;

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
pub(super) struct RecordFields<'w, 's, 'de> {
    walk: &'w mut Walk<'s, 'de>,
    fields: slice::Iter<'s, Field>,
    /// The field whose name was given out last, until its value is asked for.
    value: Option<&'s Field>,
}

impl<'w, 's, 'de> RecordFields<'w, 's, 'de> {
    #[inline]
    pub(super) fn new(walk: &'w mut Walk<'s, 'de>, fields: &'s [Field]) -> Self {
        Self { walk, fields: fields.iter(), value: None }
    }

    #[inline]
    fn read<T: DeserializeSeed<'de>>(
        &mut self,
        field: &'s Field,
        seed: T,
    ) -> Result<T::Value, Error> {
        match seed.deserialize(Decoder { walk: self.walk, node: &field.node }) {
            Ok(value) => Ok(value),
            Err(error) => Err(self.walk.in_field(error, field)),
        }
    }

    fn skip(&mut self, field: &Field) -> Result<(), Error> {
        self.walk.skip(&field.node).map_err(|error| error.in_field(&field.name))
    }

    /// The next field that the reader knows.
    #[inline]
    fn next(&mut self) -> Result<Option<&'s Field>, Error> {
        match self.fields.next() {
            Some(field) if field.role != Role::Value => self.special(field),
            field => Ok(field),
        }
    }

    /// What a resolution puts between the fields.
    #[cold]
    fn special(&mut self, first: &'s Field) -> Result<Option<&'s Field>, Error> {
        let mut field = Some(first);
        while let Some(found) = field {
            match found.role {
                Role::Value => break,
                Role::Skipped => self.walk.skip(&found.node)?,
                Role::Resume => self.walk.leave_default(),
                Role::Default => {
                    self.walk.enter_default(found.slot);
                    break;
                }
            }
            field = self.fields.next();
        }
        Ok(field)
    }

    /// Steps over what the visitor did not ask for.
    #[inline]
    pub(super) fn finish(mut self) -> Result<(), Error> {
        if self.value.is_some() || self.fields.len() > 0 {
            self.skip_rest()?;
        }
        self.walk.depth += 1;
        Ok(())
    }

    #[inline(never)]
    fn skip_rest(&mut self) -> Result<(), Error> {
        if let Some(field) = self.value.take()
            && field.role == Role::Value
        {
            self.skip(field)?;
        }
        while let Some(field) = self.fields.next() {
            match field.role {
                Role::Value | Role::Skipped => self.skip(field)?,
                Role::Default => self.walk.enter_default(field.slot),
                Role::Resume => self.walk.leave_default(),
            }
        }
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
        match self.next()? {
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
        let Some(field) = self.next()? else { return Ok(None) };
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
