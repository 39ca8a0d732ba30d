use alloc::{collections::BTreeMap, vec::Vec};

use super::{
    Value, binary,
    kind::{Kind, built_in},
    text,
};
use crate::{Column, Error, ErrorKind, Oid, cursor::Cursor};

/// Deeper than any sensible type; a domain over itself would have no end.
const MAX_DEPTH: u8 = 32;

/// The types of a database: those every server has, and those it was told of.
///
/// ```
/// use pgoutput::{Column, Oid, value::{Types, Value}};
///
/// let types = Types::new();
/// let int4 = Oid::new(23);
/// assert_eq!(types.decode(int4, Column::Text(b"-7"))?, Value::Int4(-7));
/// assert_eq!(types.decode(int4, Column::Binary(&[0xFF, 0xFF, 0xFF, 0xF9]))?, Value::Int4(-7));
/// # Ok::<_, pgoutput::Error>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Types {
    custom: BTreeMap<Oid, Definition>,
}

/// What a type is that not every server has. `pg_type.typtype` and `typcategory` tell.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Definition {
    /// Text is the value, also in binary form: an enum, `citext`.
    Text,
    /// A domain over this type (`pg_type.typbasetype`).
    Domain(Oid),
    /// An array of this type (`pg_type.typelem`).
    Array(Oid),
    /// A range over this type (`pg_range.rngsubtype`).
    Range(Oid),
    /// A multirange whose ranges are over this type (`pg_range.rngsubtype`).
    Multirange(Oid),
    /// A composite type with fields of these types (`pg_attribute.atttypid`, without dropped ones).
    Composite(Vec<Oid>),
    /// The extension `hstore`'s type.
    Hstore,
}

impl Types {
    /// The types that every server has.
    #[must_use]
    pub const fn new() -> Self {
        Self { custom: BTreeMap::new() }
    }

    /// Adds a type; one that was added before under this id is replaced. Ids below 10000 belong to
    /// the server's own types, which cannot be replaced.
    #[must_use]
    pub fn with(mut self, id: Oid, definition: Definition) -> Self {
        self.custom.insert(id, definition);
        self
    }

    /// The value of a column of this type.
    ///
    /// Text of a type that is not known stays [`Value::Text`], its binary form
    /// [`Value::Opaque`].
    ///
    /// # Errors
    ///
    /// [`ErrorKind::InvalidValue`] for bytes that no value of the type has, with the type that was
    /// at fault, an element's for instance; [`ErrorKind::InvalidUtf8`]; for binary forms also
    /// [`ErrorKind::UnexpectedEnd`], [`ErrorKind::TrailingBytes`], [`ErrorKind::NegativeLength`];
    /// [`ErrorKind::TooDeep`] for types nested more than 32 times. The offset counts from the start
    /// of the column.
    pub fn decode<'a>(&self, type_oid: Oid, column: Column<'a>) -> Result<Value<'a>, Error> {
        let scope = Scope { types: self, depth: 0 };
        match column {
            Column::Null => Ok(Value::Null),
            Column::Unchanged => Ok(Value::Unchanged),
            Column::Binary(bytes) => binary::decode(scope, type_oid, Cursor::new(bytes)),
            // A byte above 127 of this type is no UTF-8.
            Column::Text(&[byte]) if type_oid.get() == 18 => Ok(Value::Char(byte)),
            Column::Text(bytes) => match core::str::from_utf8(bytes) {
                Ok(string) => text::decode(scope, type_oid, string, 0),
                Err(error) => Err(Error::new(ErrorKind::InvalidUtf8, error.valid_up_to())),
            },
        }
    }
}

/// The types, and how deep in a value we are.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'t> {
    types: &'t Types,
    depth: u8,
}

impl<'t> Scope<'t> {
    /// For the values inside of this one.
    pub(super) fn inner(self, at: usize) -> Result<Self, Error> {
        if self.depth >= MAX_DEPTH {
            return Err(Error::new(ErrorKind::TooDeep, at));
        }
        Ok(Self { depth: self.depth + 1, ..self })
    }

    pub(super) fn kind(self, id: Oid, at: usize) -> Result<Kind<'t>, Error> {
        let mut id = id;
        for _ in 0..MAX_DEPTH {
            if let Some(kind) = built_in(id) {
                return Ok(kind);
            }
            return Ok(match self.types.custom.get(&id) {
                None => Kind::Unknown,
                Some(Definition::Domain(base)) => {
                    id = *base;
                    continue;
                }
                Some(Definition::Text) => Kind::Text,
                Some(Definition::Array(element)) => Kind::Array(*element),
                Some(Definition::Range(element)) => Kind::Range(*element),
                Some(Definition::Multirange(element)) => Kind::Multirange(*element),
                Some(Definition::Composite(fields)) => Kind::Composite(Some(fields)),
                Some(Definition::Hstore) => Kind::Hstore,
            });
        }
        Err(Error::new(ErrorKind::TooDeep, at))
    }
}
