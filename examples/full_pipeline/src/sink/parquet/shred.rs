//! The walk over a datum: once when it arrives, which says whether it is one and how much memory
//! its values take, and once when its row group is written, which takes it apart into columns.

use avro_wire::primitive::Reader;

use super::super::walk::block;
use super::plan::{Absent, Node, Plan, Primitive};

/// What a value takes in a column, with its levels.
const VALUE: usize = 10;
/// What the levels of an absent value take.
const ABSENT: usize = 2;

/// Why a datum is none of its schema.
#[derive(Debug)]
pub(super) enum Fault {
    /// Its bytes are not.
    Bytes(avro_wire::Error),
    /// Its text is not UTF-8.
    Text,
    /// It names a branch, a symbol or a column that there is not, or counts more than there is.
    Number,
}

impl From<avro_wire::Error> for Fault {
    fn from(error: avro_wire::Error) -> Self {
        Self::Bytes(error)
    }
}

/// What becomes of the values on the way.
trait Target {
    /// Whether text has to be looked at; what was looked at once stays good.
    const CHECKS: bool;

    fn value(&mut self, column: usize, rep: u8, word: u64) -> Result<(), Fault>;
    fn absent(&mut self, columns: Absent, rep: u8) -> Result<(), Fault>;
}

/// Adds up the memory that the values are going to take.
struct Cost(usize);

impl Target for Cost {
    const CHECKS: bool = true;

    #[inline]
    fn value(&mut self, _column: usize, _rep: u8, _word: u64) -> Result<(), Fault> {
        self.0 += VALUE;
        Ok(())
    }

    #[inline]
    fn absent(&mut self, columns: Absent, _rep: u8) -> Result<(), Fault> {
        self.0 += (columns.end - columns.first) * ABSENT;
        Ok(())
    }
}

/// The values of one column of a row group.
#[derive(Debug, Default)]
pub(super) struct Column {
    /// Numbers; the place of what is bytes in the row group; the numbers of enums' symbols.
    pub(super) words: Vec<u64>,
    /// Definition levels, where not all values are there.
    pub(super) defs: Vec<u8>,
    /// Repetition levels, likewise.
    pub(super) reps: Vec<u8>,
    max_def: u8,
    max_rep: u8,
    /// Whether some value was absent, so that there are definition levels.
    has_absent: bool,
}

impl Column {
    /// Prepares for other values, with the memory of the last.
    fn begin(&mut self, max_def: u8, max_rep: u8) {
        self.words.clear();
        self.defs.clear();
        self.reps.clear();
        (self.max_def, self.max_rep, self.has_absent) = (max_def, max_rep, false);
    }

    /// The memory that is kept for the next values.
    pub(super) fn held(&self) -> usize {
        self.words.capacity() * size_of::<u64>() + self.defs.capacity() + self.reps.capacity()
    }

    /// How many values and absent values there are.
    pub(super) const fn len(&self) -> usize {
        if self.has_absent { self.defs.len() } else { self.words.len() }
    }

    /// Notes that a value is absent.
    #[inline]
    fn absent(&mut self, def: u8, rep: u8) {
        if !self.has_absent {
            self.has_absent = true;
            self.defs.resize(self.words.len(), self.max_def);
        }
        self.defs.push(def);
        if self.max_rep > 0 {
            self.reps.push(rep);
        }
    }
}

/// Bytes in a row group as one number.
#[inline]
fn place(end: usize, len: usize) -> Result<u64, Fault> {
    // Row groups are far smaller than this allows.
    let start = u32::try_from(end - len).map_err(|_| Fault::Number)?;
    let len = u32::try_from(len).map_err(|_| Fault::Number)?;
    Ok(u64::from(start) << 32 | u64::from(len))
}

/// The bytes at a [`place`].
#[inline]
pub(super) fn at(group: &[u8], place: u64) -> &[u8] {
    let [a, b, c, d, e, f, g, h] = place.to_le_bytes();
    let len = u32::from_le_bytes([a, b, c, d]) as usize;
    let start = u32::from_le_bytes([e, f, g, h]) as usize;
    group.get(start..start + len).unwrap_or_default()
}

/// How many bytes lie at a [`place`].
#[inline]
pub(super) const fn len(place: u64) -> usize {
    let [a, b, c, d, ..] = place.to_le_bytes();
    u32::from_le_bytes([a, b, c, d]) as usize
}

struct Columns<'c>(&'c mut [Column]);

impl Target for Columns<'_> {
    const CHECKS: bool = false;

    #[inline]
    fn value(&mut self, column: usize, rep: u8, word: u64) -> Result<(), Fault> {
        let column = self.0.get_mut(column).ok_or(Fault::Number)?;
        column.words.push(word);
        if column.has_absent {
            column.defs.push(column.max_def);
        }
        if column.max_rep > 0 {
            column.reps.push(rep);
        }
        Ok(())
    }

    #[inline]
    fn absent(&mut self, columns: Absent, rep: u8) -> Result<(), Fault> {
        for column in self.0.get_mut(columns.first..columns.end).ok_or(Fault::Number)? {
            column.absent(columns.def, rep);
        }
        Ok(())
    }
}

impl Plan {
    /// Whether this is a datum, and the memory that its row group needs for it.
    pub(super) fn cost(&self, datum: &[u8]) -> Result<usize, Fault> {
        let mut reader = Reader::new(datum);
        let mut cost = Cost(datum.len());
        self.value(0, &mut reader, 0, &mut cost)?;
        reader.finish()?;
        Ok(cost.0)
    }

    /// Takes the datums of a row group apart, which lie one behind another.
    pub(super) fn shred(
        &self,
        group: &[u8],
        rows: i64,
        columns: &mut Vec<Column>,
    ) -> Result<(), Fault> {
        columns.resize_with(self.columns.len().max(columns.len()), Column::default);
        for (column, leaf) in columns.iter_mut().zip(&self.columns) {
            column.begin(leaf.max_def, leaf.max_rep);
        }
        let mut reader = Reader::new(group);
        let mut columns = Columns(columns);
        for _ in 0..rows {
            self.value(0, &mut reader, 0, &mut columns)?;
        }
        Ok(reader.finish()?)
    }

    /// One value of a node. The plan is no deeper than schemas may be.
    fn value<T: Target>(
        &self,
        node: usize,
        reader: &mut Reader<'_>,
        rep: u8,
        target: &mut T,
    ) -> Result<(), Fault> {
        match self.nodes.get(node).ok_or(Fault::Number)? {
            Node::Value(column, primitive) => scalar(*column, *primitive, reader, rep, target),
            Node::Nullable { null, column, primitive, absent } => {
                nullable(*null, *column, *primitive, *absent, reader, rep, target)
            }
            Node::Record(fields) => {
                for field in fields {
                    // Most fields are these.
                    match self.nodes.get(*field) {
                        Some(Node::Value(column, primitive)) => {
                            scalar(*column, *primitive, reader, rep, target)?;
                        }
                        Some(Node::Nullable { null, column, primitive, absent }) => {
                            nullable(*null, *column, *primitive, *absent, reader, rep, target)?;
                        }
                        _ => self.value(*field, reader, rep, target)?,
                    }
                }
                Ok(())
            }
            Node::Option { null, inner, absent } => match reader.read_long()? {
                branch if branch == *null => target.absent(*absent, rep),
                0 | 1 => self.value(*inner, reader, rep, target),
                _ => Err(Fault::Number),
            },
            Node::List { item, rep: deeper, absent } => {
                items(reader, rep, *deeper, *absent, target, |reader, rep, target| {
                    self.value(*item, reader, rep, target)
                })
            }
            Node::Map { key, value, rep: deeper, absent } => {
                items(reader, rep, *deeper, *absent, target, |reader, rep, target| {
                    scalar(*key, Primitive::String, reader, rep, target)?;
                    self.value(*value, reader, rep, target)
                })
            }
            Node::Union { branches, absent } => {
                let chosen = usize::try_from(reader.read_long()?).map_err(|_| Fault::Number)?;
                if branches.get(chosen).ok_or(Fault::Number)?.is_none() {
                    return target.absent(*absent, rep);
                }
                for (index, branch) in branches.iter().enumerate() {
                    match branch {
                        Some((node, _)) if index == chosen => {
                            self.value(*node, reader, rep, target)?;
                        }
                        Some((_, absent)) => target.absent(*absent, rep)?,
                        None => {}
                    }
                }
                Ok(())
            }
        }
    }
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "a call takes longer than the work")]
fn nullable<T: Target>(
    null: i64,
    column: usize,
    primitive: Primitive,
    absent: Absent,
    reader: &mut Reader<'_>,
    rep: u8,
    target: &mut T,
) -> Result<(), Fault> {
    match reader.read_long()? {
        branch if branch == null => target.absent(absent, rep),
        0 | 1 => scalar(column, primitive, reader, rep, target),
        _ => Err(Fault::Number),
    }
}

#[inline(always)]
#[allow(clippy::inline_always, reason = "a call takes longer than the work")]
fn scalar<T: Target>(
    column: usize,
    primitive: Primitive,
    reader: &mut Reader<'_>,
    rep: u8,
    target: &mut T,
) -> Result<(), Fault> {
    let word = match primitive {
        Primitive::Boolean => u64::from(reader.read_boolean()?),
        Primitive::Int => i64::from(reader.read_int()?).cast_unsigned(),
        Primitive::Long => reader.read_long()?.cast_unsigned(),
        Primitive::Float => u64::from(reader.read_float()?.to_bits()),
        Primitive::Double => reader.read_double()?.to_bits(),
        Primitive::String if T::CHECKS => {
            let text = reader.read_bytes()?;
            // Quicker to know, and nearly always so.
            if !text.is_ascii() && std::str::from_utf8(text).is_err() {
                return Err(Fault::Text);
            }
            0
        }
        Primitive::Bytes | Primitive::String => {
            let len = reader.read_bytes()?.len();
            place(reader.offset(), len)?
        }
        Primitive::Fixed(size) => {
            reader.read_fixed(size)?;
            place(reader.offset(), size)?
        }
        Primitive::Enum(symbols) => {
            let symbol = u32::try_from(reader.read_int()?).map_err(|_| Fault::Number)?;
            if symbol as usize >= symbols {
                return Err(Fault::Number);
            }
            u64::from(symbol)
        }
    };
    target.value(column, rep, word)
}

/// Items in their blocks: the first is repeated where the list is, the others within the list.
fn items<T: Target>(
    reader: &mut Reader<'_>,
    rep: u8,
    deeper: u8,
    absent: Absent,
    target: &mut T,
    mut item: impl FnMut(&mut Reader<'_>, u8, &mut T) -> Result<(), Fault>,
) -> Result<(), Fault> {
    let mut next = rep;
    let mut any = false;
    loop {
        // Each item takes a byte at least, since there are no columns of nulls.
        let count = block(reader, 0)?.ok_or(Fault::Number)?;
        if count == 0 {
            return if any { Ok(()) } else { target.absent(absent, rep) };
        }
        any = true;
        for _ in 0..count {
            item(reader, next, target)?;
            next = deeper;
        }
    }
}
