//! A read-only walk over a compiled schema.

use alloc::string::String;

use serde_json::Value;

use crate::Logical;
use crate::table::{Field, Node, Table};

/// One type inside a schema; [`Schema::root_type`](crate::Schema::root_type) is the first.
///
/// ```
/// use avro_wire::{Kind, Logical, Schema};
///
/// let schema = Schema::parse(r#"{"type":"record","name":"R","fields":[
///     {"name":"day","type":["null",{"type":"int","logicalType":"date"}],"default":null}]}"#)?;
/// let day = schema.root_type().fields().next().unwrap();
/// assert_eq!(day.name(), "day");
/// assert_eq!(day.default(), Some("null".to_string()));
/// let branches: Vec<_> = day.field_type().branches().collect();
/// assert_eq!((branches[0].kind(), branches[1].kind()), (Kind::Null, Kind::Int));
/// assert_eq!(branches[1].logical(), Some(Logical::Date));
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct TypeView<'s> {
    table: &'s Table,
    node: Node,
    /// `None` for the null of an option, which has no slot of its own.
    slot: Option<u32>,
}

/// The sorts of types that Avro has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(clippy::exhaustive_enums, reason = "the types of Avro are a closed set")]
pub enum Kind {
    /// No bytes at all.
    Null,
    /// True or false.
    Boolean,
    /// 32 bits with a sign.
    Int,
    /// 64 bits with a sign.
    Long,
    /// IEEE 754 of 32 bits.
    Float,
    /// IEEE 754 of 64 bits.
    Double,
    /// Any number of bytes.
    Bytes,
    /// UTF-8.
    String,
    /// A set number of bytes, see [`TypeView::size`].
    Fixed,
    /// One of [`TypeView::symbols`].
    Enum,
    /// Any number of [`TypeView::items`].
    Array,
    /// Strings to [`TypeView::items`].
    Map,
    /// One of [`TypeView::branches`].
    Union,
    /// All of [`TypeView::fields`].
    Record,
}

/// One field of a record.
#[derive(Debug, Clone, Copy)]
pub struct FieldView<'s> {
    table: &'s Table,
    field: &'s Field,
}

impl<'s> TypeView<'s> {
    pub(crate) fn new(table: &'s Table, slot: u32) -> Self {
        Self { table, node: table.node(slot), slot: Some(slot) }
    }

    /// What sort of type this is.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self.node {
            Node::Null => Kind::Null,
            Node::Boolean => Kind::Boolean,
            Node::Int => Kind::Int,
            Node::Long => Kind::Long,
            Node::Float => Kind::Float,
            Node::Double => Kind::Double,
            Node::Bytes | Node::Byte | Node::Resolved(_) => Kind::Bytes,
            Node::String => Kind::String,
            Node::Fixed(_) => Kind::Fixed,
            Node::Enum(_) => Kind::Enum,
            Node::Array(_) => Kind::Array,
            Node::Map(_) => Kind::Map,
            Node::Option { .. } | Node::Union(_) => Kind::Union,
            Node::Record(_) => Kind::Record,
        }
    }

    /// The logical type, if it is one that this crate knows.
    #[must_use]
    pub fn logical(self) -> Option<Logical> {
        self.table.slots.get(self.slot? as usize)?.logical
    }

    /// The full name of a record, enum or fixed.
    #[must_use]
    pub fn name(self) -> Option<&'s str> {
        matches!(self.node, Node::Record(_) | Node::Enum(_) | Node::Fixed(_))
            .then_some(self.slot)?
            .map(|slot| self.table.type_name(slot))
    }

    /// The size of a fixed in bytes.
    #[must_use]
    pub const fn size(self) -> Option<u32> {
        match self.node {
            Node::Fixed(size) => Some(size),
            _ => None,
        }
    }

    /// The type of the items of an array or of the values of a map.
    #[must_use]
    pub fn items(self) -> Option<Self> {
        match self.node {
            Node::Array(slot) | Node::Map(slot) => Some(Self::new(self.table, slot)),
            _ => None,
        }
    }

    /// The symbols of an enum, in order; nothing for other types.
    pub fn symbols(self) -> impl Iterator<Item = &'s str> {
        let symbols = match self.node {
            Node::Enum(index) => &*self.table.enumeration(index).symbols,
            _ => &[],
        };
        symbols.iter().map(|symbol| &**symbol)
    }

    /// The branches of a union, in order; nothing for other types.
    pub fn branches(self) -> impl Iterator<Item = Self> {
        let table = self.table;
        let (pair, rest) = match self.node {
            Node::Option { null_first, inner } => {
                let null = Self { table, node: Node::Null, slot: None };
                let inner = Self::new(table, inner);
                (Some(if null_first { [null, inner] } else { [inner, null] }), &[][..])
            }
            Node::Union(index) => (None, table.branches(index)),
            _ => (None, &[][..]),
        };
        let rest = rest.iter().map(move |branch| Self::new(table, branch.slot));
        pair.into_iter().flatten().chain(rest)
    }

    /// The fields of a record, in order; nothing for other types.
    pub fn fields(self) -> impl Iterator<Item = FieldView<'s>> {
        let table = self.table;
        let fields = match self.node {
            Node::Record(index) => &*table.record(index).fields,
            _ => &[],
        };
        fields.iter().map(move |field| FieldView { table, field })
    }
}

impl<'s> FieldView<'s> {
    /// The name of the field.
    #[must_use]
    pub fn name(self) -> &'s str {
        &self.field.name
    }

    /// The type of the field.
    #[must_use]
    pub fn field_type(self) -> TypeView<'s> {
        TypeView::new(self.table, self.field.slot)
    }

    /// The default as JSON text (not necessarily the characters of the schema).
    #[must_use]
    pub fn default(self) -> Option<String> {
        self.field.default.as_ref().map(|default| alloc::format!("{}", default.json))
    }

    /// The default as a datum; `None` also when the schema gives one that does not fit the type.
    #[must_use]
    pub fn default_datum(self) -> Option<&'s [u8]> {
        self.field.default.as_ref()?.datum.as_deref()
    }

    /// Whether the schema gives JSON null as the default.
    #[must_use]
    pub fn defaults_to_null(self) -> bool {
        matches!(&self.field.default, Some(default) if default.json == Value::Null)
    }
}
