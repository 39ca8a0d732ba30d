//! A schema compiled to flat tables, which the codec walks by index.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicUsize, Ordering};

use serde_json::Value;

use crate::Logical;

/// Records, arrays and maps that may lie inside each other, in a schema and in a datum.
pub(crate) const DEPTH_LIMIT: u8 = 64;

/// Items of no bytes (null, empty records) that one datum may claim to have.
pub(crate) const EMPTY_ITEM_LIMIT: u32 = 4096;

/// One type: eight bytes, so it travels by value. Numbers index the tables of [`Table`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Node {
    Null,
    Boolean,
    Int,
    Long,
    Float,
    Double,
    Bytes,
    String,
    /// Size in bytes. The name is in [`Slot::name`].
    Fixed(u32),
    Enum(u32),
    /// Slot of the item.
    Array(u32),
    /// Slot of the value.
    Map(u32),
    /// A union of null and the type in the slot `inner`: by far the most common union.
    Option {
        null_first: bool,
        inner: u32,
    },
    Union(u32),
    Record(u32),
    /// In the table of a [`Resolution`](crate::Resolution): what is seldom and not a type.
    Resolved(u32),
    /// Not a type of Avro: one item of `bytes` or `fixed` that serde gives number by number.
    Byte,
}

/// A type at a place of the schema, with what the hot paths do not need.
#[derive(Debug, Clone)]
pub(crate) struct Slot {
    pub(crate) node: Node,
    pub(crate) logical: Option<Logical>,
    /// Full name of a fixed.
    pub(crate) name: Option<String>,
    /// Other full names of a named type.
    pub(crate) aliases: Vec<String>,
}

/// See [`Node::Resolved`]. The numbers are slots.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Resolved {
    /// A number of one type that is wanted as a float or double.
    Promote { from: Node, to: Node },
    /// A value of no union that stands for this branch of the reader's union.
    Chosen(u32),
    /// A value of the writer for which the reader has no place.
    Never(u32),
}

#[derive(Debug, Default)]
pub(crate) struct Table {
    pub(crate) slots: Vec<Slot>,
    /// The nodes of `slots`, close together for the hot paths; see [`Table::finish`].
    nodes: Box<[Node]>,
    pub(crate) records: Vec<Record>,
    pub(crate) enums: Vec<Enum>,
    pub(crate) unions: Vec<Union>,
    pub(crate) resolved: Vec<Resolved>,
}

#[derive(Debug)]
pub(crate) struct Record {
    pub(crate) name: String,
    pub(crate) fields: Vec<Field>,
    /// Indices of `fields` in the order of their names.
    by_name: Vec<u32>,
    /// Other names of fields: index and name.
    pub(crate) aliases: Vec<(usize, String)>,
    /// Lower bound of the size of a datum in bytes.
    pub(crate) min_size: u32,
    /// How many fields the reader sees.
    visible: usize,
    /// The last list of names that was found equal to the names of `fields`.
    same_fields: StaticAddress,
}

/// Kept within a cache line: the codec walks rows of these.
#[derive(Debug)]
pub(crate) struct Field {
    /// The node of `slot`, here to save a look-up.
    pub(crate) node: Node,
    /// The last static name that was found equal to `name`.
    same_name: StaticAddress,
    pub(crate) name: Box<str>,
    pub(crate) default: Option<Box<Default>>,
    /// For [`Role::Default`], the index of the datum instead.
    pub(crate) slot: u32,
    pub(crate) role: Role,
}

/// What a field does, in the table of a [`Resolution`](crate::Resolution). In a schema, all are
/// values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Role {
    /// It has bytes, and the reader wants them.
    Value,
    /// It has bytes that the reader does not know.
    Skipped,
    /// It has no bytes; the reader has a default. [`Role::Resume`] follows.
    Default,
    /// No field: the end of the default in front of it.
    Resume,
}

impl Role {
    pub(crate) const fn has_bytes(self) -> bool {
        matches!(self, Self::Value | Self::Skipped)
    }

    const fn is_visible(self) -> bool {
        matches!(self, Self::Value | Self::Default)
    }
}

const _: () = assert!(size_of::<Node>() == 8 && size_of::<Field>() <= 48);

#[derive(Debug, Clone)]
pub(crate) struct Default {
    pub(crate) json: Value,
    /// The default as a datum; `None` when it does not fit the type, which Java's parser can
    /// be told to let pass.
    pub(crate) datum: Option<Box<[u8]>>,
}

#[derive(Debug)]
pub(crate) struct Enum {
    pub(crate) name: String,
    pub(crate) symbols: Vec<String>,
    /// The symbol that stands for those a reader does not know.
    pub(crate) default: Option<String>,
    by_name: Vec<u32>,
}

#[derive(Debug)]
pub(crate) struct Union {
    pub(crate) branches: Vec<Branch>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Branch {
    pub(crate) node: Node,
    pub(crate) slot: u32,
}

impl Table {
    #[inline]
    pub(crate) fn node(&self, slot: u32) -> Node {
        self.slots.get(slot as usize).map_or(Node::Null, |slot| slot.node)
    }

    /// As [`Table::node`], once the table is finished.
    #[inline]
    pub(crate) fn node_ref(&self, slot: u32) -> &Node {
        self.nodes.get(slot as usize).unwrap_or(&Node::Null)
    }

    /// Compiles what needs all types to be known.
    ///
    /// The sizes of records start at 1, which is right for those that contain themselves; each
    /// pass carries exact sizes one level further out. Records stand after those that they lie in,
    /// so going backwards mostly needs one pass. A record that always contains itself has no datum
    /// at all; any bound above zero is true.
    pub(crate) fn finish(&mut self) {
        for _ in 0..DEPTH_LIMIT {
            let mut changed = false;
            for index in (0..self.records.len()).rev() {
                let Some(record) = self.records.get(index) else { continue };
                let fields = record.fields.iter().filter(|field| field.role.has_bytes());
                let size =
                    fields.fold(0_u32, |sum, field| sum.saturating_add(self.min_size(field.node)));
                if let Some(record) = self.records.get_mut(index)
                    && record.min_size != size
                {
                    record.min_size = size;
                    changed = true;
                }
            }
            if !changed {
                break;
            }
        }
        self.nodes = self.slots.iter().map(|slot| slot.node).collect();
    }

    #[inline]
    pub(crate) fn record(&self, index: u32) -> &Record {
        self.records.get(index as usize).unwrap_or(&EMPTY_RECORD)
    }

    pub(crate) fn resolution(&self, index: u32) -> Resolved {
        self.resolved.get(index as usize).copied().unwrap_or(Resolved::Never(u32::MAX))
    }

    #[inline]
    pub(crate) fn enumeration(&self, index: u32) -> &Enum {
        self.enums.get(index as usize).unwrap_or(&EMPTY_ENUM)
    }

    #[inline]
    pub(crate) fn branches(&self, index: u32) -> &[Branch] {
        self.unions.get(index as usize).map_or(&[], |union| &union.branches)
    }

    /// Lower bound of the bytes of a datum. Zero only for types whose every datum is empty.
    pub(crate) fn min_size(&self, node: Node) -> u32 {
        match node {
            Node::Null => 0,
            Node::Float => 4,
            Node::Double => 8,
            Node::Fixed(size) => size,
            Node::Record(index) => self.record(index).min_size,
            Node::Resolved(index) => match self.resolution(index) {
                Resolved::Promote { from, .. } => self.min_size(from),
                Resolved::Chosen(slot) | Resolved::Never(slot) => self.min_size(self.node(slot)),
            },
            _ => 1,
        }
    }

    /// The name by which serde's enums and errors know the type in `slot`: a full name, or
    /// the name of the type.
    pub(crate) fn type_name(&self, slot: u32) -> &str {
        let Some(slot) = self.slots.get(slot as usize) else { return "" };
        match slot.node {
            Node::Resolved(index) => match self.resolution(index) {
                Resolved::Promote { to: Node::Long, .. } => "long",
                Resolved::Promote { to: Node::Float, .. } => "float",
                Resolved::Promote { .. } => "double",
                Resolved::Chosen(slot) => self.type_name(slot),
                Resolved::Never(_) => "",
            },
            Node::Null => "null",
            Node::Boolean => "boolean",
            Node::Int => "int",
            Node::Long => "long",
            Node::Float => "float",
            Node::Double => "double",
            Node::Bytes | Node::Byte => "bytes",
            Node::String => "string",
            Node::Fixed(_) => slot.name.as_deref().unwrap_or("fixed"),
            Node::Enum(index) => &self.enumeration(index).name,
            Node::Array(_) => "array",
            Node::Map(_) => "map",
            Node::Option { .. } | Node::Union(_) => "union",
            Node::Record(index) => &self.record(index).name,
        }
    }
}

/// Whether serde's name `variant` means the branch `name`: in full, its last part, or in another
/// case for the types without a name (`Long` for `long`).
pub(crate) fn is_variant(name: &str, variant: &str) -> bool {
    name == variant
        || name.rsplit_once('.').is_some_and(|(_, last)| last == variant)
        || (is_unnamed(name) && name.eq_ignore_ascii_case(variant))
}

pub(crate) fn is_unnamed(name: &str) -> bool {
    UNNAMED.contains(&name)
}

const UNNAMED: [&str; 10] =
    ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "array", "map"];

impl Record {
    pub(crate) const fn new(name: String) -> Self {
        Self {
            name,
            fields: Vec::new(),
            by_name: Vec::new(),
            aliases: Vec::new(),
            min_size: 1,
            visible: 0,
            same_fields: StaticAddress::new(),
        }
    }

    /// Sets the fields; the first name given twice is handed back.
    pub(crate) fn set_fields(&mut self, fields: Vec<Field>) -> Result<(), String> {
        self.by_name = sorted_index(&fields, |field| &*field.name)?;
        self.visible = fields.len();
        self.fields = fields;
        Ok(())
    }

    /// Sets fields that may have other roles; they are not looked up by name.
    pub(crate) fn set_resolved(&mut self, fields: Vec<Field>) {
        self.visible = fields.iter().filter(|field| field.role.is_visible()).count();
        self.fields = fields;
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        search(&self.by_name, name, |index| self.fields.get(index).map(|field| &*field.name))
    }

    /// Whether `names` are the names of the fields, all of them and in their order.
    #[inline]
    pub(crate) fn has_fields(&self, names: &'static [&'static str]) -> bool {
        if names.len() != self.visible {
            return false;
        }
        let address = names.as_ptr().addr();
        self.same_fields.is(address) || {
            let visible = self.fields.iter().filter(|field| field.role.is_visible());
            let equal = visible.zip(names).all(|(field, name)| *field.name == **name);
            if equal {
                self.same_fields.set(address);
            }
            equal
        }
    }
}

impl Field {
    pub(crate) const fn new(name: Box<str>, node: Node, slot: u32) -> Self {
        let same_name = StaticAddress::new();
        Self { node, same_name, name, default: None, slot, role: Role::Value }
    }

    #[inline]
    pub(crate) fn is_named(&self, name: &'static str) -> bool {
        name.len() == self.name.len() && {
            let address = name.as_ptr().addr();
            self.same_name.is(address) || {
                let equal = *self.name == *name;
                if equal {
                    self.same_name.set(address);
                }
                equal
            }
        }
    }
}

impl Enum {
    pub(crate) fn new(name: String, symbols: Vec<String>) -> Result<Self, String> {
        let by_name = sorted_index(&symbols, |symbol| symbol.as_str())?;
        Ok(Self { name, symbols, default: None, by_name })
    }

    /// An enum whose symbols stand in the order of a writer; those without one are empty.
    pub(crate) const fn resolved(name: String, symbols: Vec<String>) -> Self {
        Self { name, symbols, default: None, by_name: Vec::new() }
    }

    pub(crate) fn position(&self, symbol: &str) -> Option<usize> {
        search(&self.by_name, symbol, |index| self.symbols.get(index).map(|s| &**s))
    }
}

/// Remembers the address of the last static string or slice that was compared and found equal, so
/// that the next comparison is one of addresses. Serde hands out names as `'static`, and what
/// lies at a static address never changes; the caller compares the length as well, because
/// literals may share their bytes.
#[derive(Debug)]
struct StaticAddress(AtomicUsize);

impl StaticAddress {
    const fn new() -> Self {
        Self(AtomicUsize::new(0))
    }

    #[inline]
    fn is(&self, address: usize) -> bool {
        self.0.load(Ordering::Relaxed) == address
    }

    fn set(&self, address: usize) {
        self.0.store(address, Ordering::Relaxed);
    }
}

fn sorted_index<T>(items: &[T], name: fn(&T) -> &str) -> Result<Vec<u32>, String> {
    let mut pairs: Vec<(&str, u32)> = items.iter().map(name).zip(0..).collect();
    pairs.sort_unstable();
    let mut previous = None;
    for &(name, _) in &pairs {
        if previous == Some(name) {
            return Err(name.into());
        }
        previous = Some(name);
    }
    Ok(pairs.into_iter().map(|(_, index)| index).collect())
}

fn search<'a>(
    sorted: &[u32],
    name: &str,
    name_of: impl Fn(usize) -> Option<&'a str>,
) -> Option<usize> {
    let found = sorted.binary_search_by(|&index| name_of(index as usize).cmp(&Some(name))).ok()?;
    sorted.get(found).map(|&index| index as usize)
}

// Stand in for an index that no compiled schema holds.
static EMPTY_RECORD: Record = Record::new(String::new());
static EMPTY_ENUM: Enum = Enum::resolved(String::new(), Vec::new());
