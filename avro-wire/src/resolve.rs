//! A writer's schema seen through a reader's.

use alloc::borrow::ToOwned;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;

use serde::Deserialize;

use crate::decode::decode_walk;
use crate::skip::Walk;
use crate::table::{Branch, Enum, Field, Node, Record, Resolved, Role, Slot, Table, Union};
use crate::{Error, ErrorKind, Schema};

/// Decodes data of a writer's schema as data of a reader's (Avro 1.12, "Schema Resolution").
///
/// All comparing of the two happens once, in [`Resolution::new`]; decoding then walks a table in
/// the order of the writer's bytes, and is about as fast as [`decode`](crate::decode()).
///
/// * Fields are matched by name, then by the reader's aliases; those that only the writer has are
///   stepped over, those that only the reader has get their default.
/// * Numbers widen (int to long, float and double; long to float and double; float to double), and
///   strings and bytes turn into each other.
/// * Records, enums and fixed match by the last part of their name, or by an alias of the reader.
/// * A symbol that the reader lacks becomes the default of its enum.
/// * For a value outside a union, the reader's union gives its first branch of the same type, or
///   else the first that takes it.
/// * Without an entry in the reader, a branch or symbol of the writer is an error only when a
///   datum has it: [`ErrorKind::Unresolvable`], with the offset.
///
/// ```
/// use avro_wire::{Resolution, Schema};
///
/// #[derive(Debug, PartialEq, serde::Deserialize)]
/// struct Order<'a> { total: f64, state: &'a str }
///
/// let writer = Schema::parse(r#"{"type":"record","name":"Order","fields":[
///     {"name":"id","type":"long"},{"name":"sum","type":"int"}]}"#)?;
/// let reader = Schema::parse(r#"{"type":"record","name":"Order","fields":[
///     {"name":"total","type":"double","aliases":["sum"]},
///     {"name":"state","type":"string","default":"new"}]}"#)?;
/// let resolution = Resolution::new(&writer, &reader)?;
/// let order: Order<'_> = resolution.decode(b"\x2a\x06")?;
/// assert_eq!(order, Order { total: 3.0, state: "new" });
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Clone)]
pub struct Resolution {
    inner: Arc<Inner>,
}

struct Inner {
    table: Table,
    root: u32,
    defaults: Vec<Box<[u8]>>,
}

impl Resolution {
    /// Compiles the way from `writer` to `reader`.
    ///
    /// # Errors
    /// [`ErrorKind::Unresolvable`] when no datum of `writer` can be read with `reader`, with
    /// [`Error::field`] and in [`Error::detail`] the type or field at fault;
    /// [`ErrorKind::DepthLimit`] for recursive types that take too long to meet again.
    pub fn new(writer: &Schema, reader: &Schema) -> Result<Self, Error> {
        let mut resolver = Resolver {
            tables: [writer.table(), reader.table()],
            table: Table::default(),
            known: BTreeMap::new(),
            defaults: Vec::new(),
            depth: 0,
        };
        let root = resolver.resolve(
            Place { side: WRITER, slot: writer.slot() },
            Place { side: READER, slot: reader.slot() },
        )?;
        resolver.refresh();
        resolver.table.finish();
        let (table, defaults) = (resolver.table, resolver.defaults);
        Ok(Self { inner: Arc::new(Inner { table, root, defaults }) })
    }

    /// Decodes the one datum in `datum`, which the writer's schema wrote, as a `T` of the reader's.
    ///
    /// Tuples and the like, which go by position, need both schemas to have their common fields in
    /// the same order; structs and maps do not.
    ///
    /// # Errors
    /// As [`decode`](crate::decode()), and [`ErrorKind::Unresolvable`].
    #[inline]
    pub fn decode<'a, T: Deserialize<'a>>(&'a self, datum: &'a [u8]) -> Result<T, Error> {
        let mut walk = Walk::new(&self.inner.table, datum);
        walk.defaults = &self.inner.defaults;
        decode_walk(walk, self.inner.table.node_ref(self.inner.root))
    }
}

impl fmt::Debug for Resolution {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Resolution").finish_non_exhaustive()
    }
}

/// A number of [`Resolved::Promote`].
pub(crate) enum Promoted {
    Long(i64),
    Float(f32),
    Double(f64),
}

impl<'s> Walk<'s, '_> {
    /// The type under `node`, if that is [`Node::Resolved`]; numbers to be promoted stay.
    #[inline(never)]
    pub(crate) fn resolved(&self, node: &'s Node) -> Result<&'s Node, Error> {
        let Node::Resolved(index) = *node else { return Ok(node) };
        match self.table.resolution(index) {
            Resolved::Promote { .. } => Ok(node),
            Resolved::Chosen(slot) => self.resolved(self.table.node_ref(slot)),
            Resolved::Never(_) => Err(self.reader.error(ErrorKind::Unresolvable)),
        }
    }

    #[inline(never)]
    #[allow(clippy::cast_precision_loss, reason = "the specification allows it, Java does it")]
    pub(crate) fn promoted(&mut self, from: Node, to: Node) -> Result<Promoted, Error> {
        let integer = match from {
            Node::Int => self.reader.read_int()?.into(),
            Node::Long => self.reader.read_long()?,
            _ => return Ok(Promoted::Double(self.reader.read_float()?.into())),
        };
        Ok(match to {
            Node::Long => Promoted::Long(integer),
            Node::Float => Promoted::Float(integer as f32),
            _ => Promoted::Double(integer as f64),
        })
    }
}

const WRITER: usize = 0;
const READER: usize = 1;

/// A type of one of the two schemas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    side: usize,
    slot: u32,
}

struct Resolver<'a> {
    tables: [&'a Table; 2],
    table: Table,
    /// Pairs of records that are compiled or being compiled. With both of one schema, that is a
    /// copy: for what is skipped, and for defaults.
    known: BTreeMap<(Place, Place), Result<u32, Error>>,
    defaults: Vec<Box<[u8]>>,
    depth: usize,
}

impl<'a> Resolver<'a> {
    fn from(&self, place: Place) -> &'a Table {
        self.tables.get(place.side).copied().unwrap_or(self.tables[READER])
    }

    fn node(&self, place: Place) -> Node {
        self.from(place).node(place.slot)
    }

    fn name(&self, place: Place) -> &'a str {
        self.from(place).type_name(place.slot)
    }

    /// The branches of a union, where `None` is the null of an option; nothing for other types.
    fn branches(&self, place: Place) -> Option<Vec<Option<Place>>> {
        let at = |slot| Some(Place { slot, ..place });
        match self.node(place) {
            Node::Option { null_first: true, inner } => Some([None, at(inner)].into()),
            Node::Option { null_first: false, inner } => Some([at(inner), None].into()),
            Node::Union(index) => {
                let branches = self.from(place).branches(index);
                Some(branches.iter().map(|branch| at(branch.slot)).collect())
            }
            _ => None,
        }
    }

    fn slot(&mut self, node: Node) -> Result<u32, Error> {
        let slot = to_u32(self.table.slots.len())?;
        self.table.slots.push(Slot { node, logical: None, name: None, aliases: Vec::new() });
        Ok(slot)
    }

    fn special(&mut self, resolved: Resolved) -> Result<u32, Error> {
        let index = to_u32(self.table.resolved.len())?;
        self.table.resolved.push(resolved);
        self.slot(Node::Resolved(index))
    }

    /// The slot that reads `writer` as `reader`.
    fn resolve(&mut self, writer: Place, reader: Place) -> Result<u32, Error> {
        if self.depth == MAX_DEPTH {
            return Err(Error::new(ErrorKind::DepthLimit));
        }
        self.depth += 1;
        let slot = self.compile(writer, reader);
        self.depth -= 1;
        slot
    }

    fn compile(&mut self, writer: Place, reader: Place) -> Result<u32, Error> {
        if let Some(branches) = self.branches(writer) {
            return self.writer_union(writer, &branches, reader);
        }
        if let Some(branches) = self.branches(reader) {
            let chosen = self.choose(Some(writer), &branches);
            let Some(chosen) = chosen else { return Err(self.unresolvable(writer)) };
            let slot = match chosen {
                Some(chosen) => self.resolve(writer, chosen)?,
                None => self.slot(Node::Null)?,
            };
            return self.special(Resolved::Chosen(slot));
        }
        if !self.matches(writer, reader) {
            return Err(self.unresolvable(writer));
        }
        let at = |slot| Place { slot, ..writer };
        let to = |slot| Place { slot, ..reader };
        match (self.node(writer), self.node(reader)) {
            (Node::Array(written), Node::Array(read)) => {
                let item = self.resolve(at(written), to(read))?;
                self.slot(Node::Array(item))
            }
            (Node::Map(written), Node::Map(read)) => {
                let item = self.resolve(at(written), to(read))?;
                self.slot(Node::Map(item))
            }
            (Node::Enum(written), Node::Enum(read)) => {
                let target = self.from(reader).enumeration(read);
                let symbols = self.from(writer).enumeration(written).symbols.iter();
                let symbols = symbols.map(|symbol| match target.position(symbol) {
                    Some(_) => symbol.clone(),
                    None => target.default.clone().unwrap_or_default(),
                });
                let resolved = Enum::resolved(target.name.clone(), symbols.collect());
                let index = to_u32(self.table.enums.len())?;
                self.table.enums.push(resolved);
                self.slot(Node::Enum(index))
            }
            (Node::Fixed(size), Node::Fixed(_)) => {
                let name = self.name(reader).to_owned();
                let slot = self.slot(Node::Fixed(size))?;
                if let Some(slot) = self.table.slots.get_mut(slot as usize) {
                    slot.name = Some(name);
                }
                Ok(slot)
            }
            (Node::Record(written), Node::Record(read)) => {
                self.record((writer, written), (reader, read))
            }
            // The bytes of an int are those of a long, but only a few of those of a long are an int's.
            (from @ Node::Int, to @ Node::Long)
            | (from @ (Node::Int | Node::Long), to @ (Node::Float | Node::Double))
            | (from @ Node::Float, to @ Node::Double) => {
                self.special(Resolved::Promote { from, to })
            }
            // The bytes of a string are those of bytes.
            (_, node) => self.slot(node),
        }
    }

    /// Whether the types are of one kind, or one turns into the other. Says nothing of their parts.
    fn matches(&self, writer: Place, reader: Place) -> bool {
        match (self.node(writer), self.node(reader)) {
            (Node::Array(_), Node::Array(_)) | (Node::Map(_), Node::Map(_)) => true,
            (Node::Fixed(a), Node::Fixed(b)) => a == b && self.same_name(writer, reader),
            (Node::Record(_), Node::Record(_)) | (Node::Enum(_), Node::Enum(_)) => {
                self.same_name(writer, reader)
            }
            (a, b) if a == b => true,
            (from, to) => matches!(
                (from, to),
                (Node::Int, Node::Long | Node::Float | Node::Double)
                    | (Node::Long, Node::Float | Node::Double)
                    | (Node::Float, Node::Double)
                    | (Node::String, Node::Bytes)
                    | (Node::Bytes, Node::String)
            ),
        }
    }

    fn same_name(&self, writer: Place, reader: Place) -> bool {
        let written = self.name(writer);
        let last = |name: &'a str| name.rsplit_once('.').map_or(name, |(_, last)| last);
        let slot = self.from(reader).slots.get(reader.slot as usize);
        last(written) == last(self.name(reader))
            || slot.is_some_and(|slot| slot.aliases.iter().any(|alias| alias == written))
    }

    /// The branch of a reader's union for a value of `writer`: one of the same type and full name,
    /// or of the same type, or else one that it turns into.
    fn choose(&self, writer: Option<Place>, branches: &[Option<Place>]) -> Option<Option<Place>> {
        let rank = |branch: &Option<Place>| match (writer, *branch) {
            (None, None) => 3,
            (Some(writer), None) => 3 * u8::from(self.node(writer) == Node::Null),
            (None, Some(branch)) => 3 * u8::from(self.node(branch) == Node::Null),
            (Some(writer), Some(branch)) if self.matches(writer, branch) => {
                let same = self.name(writer) == self.name(branch);
                let kind = core::mem::discriminant;
                if same {
                    3
                } else {
                    1 + u8::from(kind(&self.node(writer)) == kind(&self.node(branch)))
                }
            }
            _ => 0,
        };
        // Of equals the last is the maximum, so this goes backwards.
        branches.iter().rev().max_by_key(|branch| rank(branch)).filter(|b| rank(b) > 0).copied()
    }

    fn writer_union(
        &mut self,
        writer: Place,
        branches: &[Option<Place>],
        reader: Place,
    ) -> Result<u32, Error> {
        if let (Node::Option { null_first, inner }, Node::Option { inner: read, .. }) =
            (self.node(writer), self.node(reader))
        {
            // Both have null, so only the other branch can have no place.
            let (inner, read) = (Place { slot: inner, ..writer }, Place { slot: read, ..reader });
            let inner = self.resolve(inner, read).or_else(|error| self.never(inner, error))?;
            return self.slot(Node::Option { null_first, inner });
        }
        let targets = self.branches(reader);
        let mut resolved = Vec::new();
        let (mut found, mut reason) = (false, None);
        for &branch in branches {
            let target = match &targets {
                Some(targets) => self.choose(branch, targets),
                None => Some(Some(reader)),
            };
            let slot = match (branch, target) {
                (None, Some(None)) => self.slot(Node::Null),
                (None, Some(Some(target))) if self.node(target) == Node::Null => {
                    self.slot(Node::Null)
                }
                (Some(branch), Some(None)) if self.node(branch) == Node::Null => {
                    self.slot(Node::Null)
                }
                (Some(branch), Some(Some(target))) => self.resolve(branch, target),
                (branch, _) => Err(self.unresolvable(branch.unwrap_or(writer))),
            };
            let slot = match slot {
                Ok(slot) => {
                    found = true;
                    slot
                }
                Err(error) if error.kind() == ErrorKind::DepthLimit => return Err(error),
                Err(error) => {
                    reason.get_or_insert(error);
                    let copy = match branch {
                        Some(branch) => self.resolve(branch, branch)?,
                        None => self.slot(Node::Null)?,
                    };
                    self.special(Resolved::Never(copy))?
                }
            };
            resolved.push(Branch { node: self.table.node(slot), slot });
        }
        match reason {
            Some(reason) if !found => return Err(reason),
            _ => {}
        }
        let index = to_u32(self.table.unions.len())?;
        self.table.unions.push(Union { branches: resolved });
        self.slot(Node::Union(index))
    }

    /// In the place of what cannot be resolved, something that fails when a datum has it.
    fn never(&mut self, place: Place, error: Error) -> Result<u32, Error> {
        if error.kind() == ErrorKind::DepthLimit {
            return Err(error);
        }
        let copy = self.resolve(place, place)?;
        self.special(Resolved::Never(copy))
    }

    fn record(&mut self, writer: (Place, u32), reader: (Place, u32)) -> Result<u32, Error> {
        let ((writer, written), (reader, read)) = (writer, reader);
        if let Some(known) = self.known.get(&(writer, reader)) {
            return known.clone();
        }
        let written = self.from(writer).record(written);
        let read = self.from(reader).record(read);
        let position = self.table.records.len();
        let slot = self.slot(Node::Record(to_u32(position)?))?;
        self.known.insert((writer, reader), Ok(slot));
        self.table.records.push(Record::new(read.name.clone()));
        match self.fields((writer, written), (reader, read)) {
            Ok(fields) => {
                if let Some(record) = self.table.records.get_mut(position) {
                    record.set_resolved(fields);
                }
                Ok(slot)
            }
            Err(error) => {
                // Records that lie in this one may lead back to it already.
                self.known.insert((writer, reader), Err(error.clone()));
                let never = self.never(writer, error.clone())?;
                let node = self.table.node(never);
                if let Some(slot) = self.table.slots.get_mut(slot as usize) {
                    slot.node = node;
                }
                Err(error)
            }
        }
    }

    /// The fields in the order of the writer's bytes.
    fn fields(
        &mut self,
        (writer, written): (Place, &Record),
        (reader, read): (Place, &Record),
    ) -> Result<Vec<Field>, Error> {
        let sources = sources(written, read);
        for (source, field) in sources.iter().zip(&read.fields) {
            if source.is_none() && field.default.is_none() {
                return Err(Error::named(ErrorKind::Unresolvable, &field.name));
            }
        }
        let in_order =
            sources.iter().flatten().zip(sources.iter().flatten().skip(1)).all(|(a, b)| a < b);
        let mut fields = Vec::new();
        let mut defaults = read.fields.iter().zip(&sources).peekable();
        for (index, field) in written.fields.iter().enumerate() {
            let target = sources.iter().position(|source| *source == Some(index));
            let at = Place { slot: field.slot, ..writer };
            let Some(target) = target.and_then(|target| read.fields.get(target)) else {
                let slot = self.resolve(at, at)?;
                let mut skipped = Field::new("".into(), self.table.node(slot), slot);
                skipped.role = Role::Skipped;
                fields.push(skipped);
                continue;
            };
            if in_order {
                // Defaults take no bytes, so they can come where the reader has them.
                while let Some((field, _)) = defaults.next_if(|(_, source)| source.is_none()) {
                    fields.extend(self.default(reader, field)?);
                }
                defaults.next();
            }
            let to = Place { slot: target.slot, ..reader };
            let slot = self.resolve(at, to).map_err(|error| error.in_field(&target.name))?;
            fields.push(Field::new(target.name.clone(), self.table.node(slot), slot));
        }
        for (field, source) in defaults {
            if source.is_none() {
                fields.extend(self.default(reader, field)?);
            }
        }
        Ok(fields)
    }

    /// Sets the nodes that stand beside their slot once more: some became known later.
    fn refresh(&mut self) {
        let Table { slots, records, unions, .. } = &mut self.table;
        let node = |slot: u32| slots.get(slot as usize).map_or(Node::Null, |slot| slot.node);
        for field in records.iter_mut().flat_map(|record| &mut record.fields) {
            if field.role.has_bytes() {
                field.node = node(field.slot);
            }
        }
        for branch in unions.iter_mut().flat_map(|union| &mut union.branches) {
            branch.node = node(branch.slot);
        }
    }

    fn default(&mut self, reader: Place, field: &Field) -> Result<[Field; 2], Error> {
        let datum = field.default.as_ref().and_then(|default| default.datum.clone());
        let datum = datum.ok_or_else(|| Error::named(ErrorKind::Unresolvable, &field.name))?;
        let place = Place { slot: field.slot, ..reader };
        let slot = self.resolve(place, place)?;
        let index = to_u32(self.defaults.len())?;
        self.defaults.push(datum);
        let mut resolved = Field::new(field.name.clone(), self.table.node(slot), index);
        resolved.role = Role::Default;
        let mut resume = Field::new("".into(), Node::Null, 0);
        resume.role = Role::Resume;
        Ok([resolved, resume])
    }

    #[cold]
    fn unresolvable(&self, writer: Place) -> Error {
        Error::named(ErrorKind::Unresolvable, self.name(writer))
    }
}

/// For each field of the reader, the field of the writer that it is read from.
fn sources(written: &Record, read: &Record) -> Vec<Option<usize>> {
    let mut taken = alloc::vec![false; written.fields.len()];
    let mut take = |index: usize| {
        let free = taken.get_mut(index)?;
        (!core::mem::replace(free, true)).then_some(index)
    };
    let mut sources: Vec<_> =
        read.fields.iter().map(|field| written.position(&field.name).and_then(&mut take)).collect();
    for (target, alias) in &read.aliases {
        if let Some(source @ None) = sources.get_mut(*target) {
            *source = written.position(alias).and_then(&mut take);
        }
    }
    sources
}

fn to_u32(number: usize) -> Result<u32, Error> {
    u32::try_from(number).map_err(|_| Error::new(ErrorKind::DepthLimit))
}

/// Records that use each other in cycles of different lengths meet in new pairs for a long time.
const MAX_DEPTH: usize = 256;
