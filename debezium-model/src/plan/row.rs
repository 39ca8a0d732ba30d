//! The columns of a row, one after the other.

use avro_wire::primitive::{
    write_boolean, write_bytes, write_double, write_float, write_int, write_long, write_string,
};
use pgoutput::Column;

use crate::error::ErrorKind;
use crate::kind::Kind;
use crate::mapping::{Fidelity, HstoreMode, Unrepresentable};
use crate::plan::common;
use crate::plan::placeholder::placeholder;
use crate::plan::treat::{self, Treat};
use crate::rules::Rule;
use crate::schema::{ConnectSchema, DefaultValue};
use crate::source_type::size;
use crate::table::{Mapped, MappedColumn, Table};
use crate::toast::ToastPolicy;
use crate::value::{
    ArrayItem, Elements, Ordered, Raw, Reading, Scalar, ValueScratch, convert, convert_element,
    zero,
};

/// Index of the null branch of a union whose default is null.
pub(super) const ABSENT: u8 = 0;
/// Index of the other branch of that union, as a zigzag long.
pub(super) const PRESENT: u8 = 2;

/// Buffers of the conversions.
#[derive(Clone, Debug, Default)]
pub(super) struct Buffers {
    value: ValueScratch,
    element: Vec<u8>,
    pairs: Ordered,
    pub(super) text: String,
}

#[derive(Debug)]
pub(super) struct Row {
    slots: Vec<Slot>,
}

/// What to write for one column.
#[derive(Debug)]
struct Slot {
    /// Place in the row.
    column: usize,
    kind: Kind,
    /// Branch of the union, before the value.
    branch: Option<u8>,
    /// The whole of it when the column is null; `None` where that is an error.
    null: Option<Vec<u8>>,
    /// The whole of it when the server did not send the value; `None` where nothing can stand for
    /// it.
    unavailable: Option<Vec<u8>>,
    /// Comes out null while streaming, in values.
    lost: bool,
    /// What stands for null stands for everything.
    constant: bool,
    treat: Option<Treat>,
    /// Values are written as they are.
    strict: bool,
    /// What becomes of those that have no representation then.
    policy: Unrepresentable,
}

impl Row {
    /// The columns of a key, in its order.
    pub(super) fn key(table: &Table) -> Self {
        let strict = table.mapping().fidelity == Fidelity::Corrected;
        let slot = |column: &MappedColumn| {
            let mapped = column.mapped.as_ref()?;
            let Mapped { kind, key_field, rules, .. } = mapped;
            // Debezium shows in the key what it hides in the row.
            let hashes: &[Rule] = if strict { rules } else { &[] };
            let plan = Treat::plan_key(hashes, kind);
            let place = position(column, table)?;
            Some(Slot::new(place, kind, &key_field.schema, plan, false, table))
        };
        Self { slots: table.key_columns().filter_map(slot).collect() }
    }

    /// The columns of a value.
    pub(super) fn value(table: &Table) -> Self {
        Self::image(table, |mapped| &mapped.field.schema)
    }

    /// The columns of an old row, where they differ from those of a value.
    pub(super) fn before(table: &Table) -> Option<Self> {
        let mut mapped = table.columns().iter().filter_map(|column| column.mapped.as_ref());
        mapped.any(|mapped| mapped.before_field.is_some()).then(|| {
            Self::image(table, |mapped| {
                &mapped.before_field.as_ref().unwrap_or(&mapped.field).schema
            })
        })
    }

    fn image(table: &Table, schema: impl Fn(&Mapped) -> &ConnectSchema) -> Self {
        let strict = table.mapping().fidelity == Fidelity::Corrected;
        let slot = |(place, column): (usize, &MappedColumn)| {
            let mapped = column.mapped.as_ref().filter(|_| column.in_value)?;
            let kind = &mapped.kind;
            let plan = Treat::plan(&mapped.rules, kind, size(&column.def).0, strict);
            Some(Slot::new(place, kind, schema(mapped), plan, true, table))
        };
        Self { slots: table.columns().iter().enumerate().filter_map(slot).collect() }
    }

    /// One column of a value.
    pub(super) fn single(place: usize, table: &Table) -> Self {
        let mut row = Self::value(table);
        row.slots.retain(|slot| slot.column == place);
        row
    }

    /// Whether two rows are the same in the columns of this one, as far as both are known.
    pub(super) fn same(&self, old: &[Column<'_>], new: &[Column<'_>]) -> bool {
        self.slots.iter().all(|slot| match (old.get(slot.column), new.get(slot.column)) {
            (_, Some(Column::Unchanged)) => true,
            (old, new) => old == new,
        })
    }

    /// Appends the row and counts the columns whose value was not sent. `old` is the whole old
    /// row, where such a value may still be. An error comes with the place of its column.
    pub(super) fn encode(
        &self,
        columns: &[Column<'_>],
        old: Option<&[Column<'_>]>,
        streaming: bool,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Result<usize, (ErrorKind, usize)> {
        let mut unavailable = 0;
        for slot in &self.slots {
            if slot.constant {
                slot.write_null(out)?;
                continue;
            }
            let column = columns.get(slot.column).copied();
            let raw = match column {
                Some(Column::Unchanged) => {
                    let Some(raw) = raw(old.and_then(|old| old.get(slot.column).copied())) else {
                        let Some(stand_in) = &slot.unavailable else {
                            return Err((ErrorKind::Unavailable, slot.column));
                        };
                        out.extend_from_slice(stand_in);
                        unavailable += 1;
                        continue;
                    };
                    Some(raw)
                }
                column => raw(column),
            };
            let Some(raw) = raw.filter(|_| !(streaming && slot.lost)) else {
                slot.write_null(out)?;
                continue;
            };
            if slot.treat.is_none() && common::write(&slot.kind, slot.branch, raw, out).is_some() {
                continue;
            }
            let start = out.len();
            out.extend(slot.branch);
            match write_value(slot, raw, streaming, buffers, out) {
                Ok(Written::Value) => {}
                // Nothing is lost without a word.
                Ok(Written::Null) | Err(ErrorKind::OutOfRange)
                    if slot.strict
                        && (slot.policy == Unrepresentable::Fail || !slot.optional()) =>
                {
                    return Err((ErrorKind::OutOfRange, slot.column));
                }
                Err(kind) if kind != ErrorKind::OutOfRange || !slot.strict => {
                    return Err((kind, slot.column));
                }
                Ok(Written::Null) | Err(_) => {
                    out.truncate(start);
                    slot.write_null(out)?;
                }
            }
        }
        Ok(unavailable)
    }
}

fn position(column: &MappedColumn, table: &Table) -> Option<usize> {
    table.columns().iter().position(|other| std::ptr::eq(other, column))
}

fn raw(column: Option<Column<'_>>) -> Option<Raw<'_>> {
    match column? {
        Column::Text(bytes) => Some(Raw::Text(bytes)),
        Column::Binary(bytes) => Some(Raw::Binary(bytes)),
        Column::Null | Column::Unchanged => None,
    }
}

impl Slot {
    /// `plan` says what becomes of the values.
    fn new(
        column: usize,
        kind: &Kind,
        schema: &ConnectSchema,
        plan: treat::Plan,
        in_value: bool,
        table: &Table,
    ) -> Self {
        let mapping = table.mapping();
        let strict = mapping.fidelity == Fidelity::Corrected;
        let default = schema.default_value();
        // The branch of the default is the first one of the union.
        let (value_branch, null_branch) = match (schema.is_optional(), default) {
            (false, _) => (None, None),
            (true, None) => (Some(PRESENT), Some(ABSENT)),
            (true, Some(_)) => (Some(ABSENT), Some(PRESENT)),
        };
        let mut null = Vec::new();
        match (default, null_branch) {
            (None, Some(branch)) => null.push(branch),
            (Some(_), Some(branch)) if strict => null.push(branch),
            (Some(default), _) => {
                null.extend(value_branch);
                write_default(default, &mut null);
            }
            (None, None) => write_zero(kind, &mut null),
        }
        let lost = in_value && *kind == Kind::Name && !strict;
        let mut treat = None;
        let mut constant = false;
        match plan {
            treat::Plan::Constant(text) => {
                null.clear();
                null.extend(value_branch);
                write_string(&text, &mut null);
                constant = true;
            }
            treat::Plan::Nothing => constant = true,
            treat::Plan::Treat(found) => treat = Some(found),
            treat::Plan::Plain => {}
        }
        let mut unavailable = Vec::from_iter(value_branch);
        let placeholder_text = String::from_utf8_lossy(&mapping.placeholder);
        let stand_in = Scalar::Text(&placeholder_text);
        match &treat {
            Some(treat) if kind.is_text() => {
                treat.write(kind, &stand_in, &mut String::new(), &mut unavailable);
            }
            _ if placeholder(kind, &mapping.placeholder, strict, &mut unavailable) => {}
            _ => unavailable.clone_from(&null),
        }
        // The placeholder is all that tells that a value is not there.
        let has_stand_in = !strict || unavailable != null;
        let lenient = mapping.unrepresentable == Unrepresentable::Null && null_branch.is_some();
        let may_stand = mapping.toast != ToastPolicy::Fail && (has_stand_in || lenient);
        let unavailable = Some(unavailable).filter(|_| may_stand);
        let null = Some(null).filter(|_| !strict || constant || null_branch.is_some());
        let (kind, branch, policy) = (kind.clone(), value_branch, mapping.unrepresentable);
        Self { column, kind, branch, null, unavailable, lost, constant, treat, strict, policy }
    }

    /// Whether the column may be null.
    fn optional(&self) -> bool {
        self.branch.is_some()
    }

    fn write_null(&self, out: &mut Vec<u8>) -> Result<(), (ErrorKind, usize)> {
        let null = self.null.as_ref().ok_or((ErrorKind::UnexpectedNull, self.column))?;
        out.extend_from_slice(null);
        Ok(())
    }
}

/// Whether something was written, or the value turned out to have no representation.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Written {
    Value,
    Null,
}

fn write_value(
    slot: &Slot,
    raw: Raw<'_>,
    streaming: bool,
    buffers: &mut Buffers,
    out: &mut Vec<u8>,
) -> Result<Written, ErrorKind> {
    let reading = match (slot.strict, streaming) {
        (true, _) => Reading::Exact,
        (false, true) => Reading::Stream,
        (false, false) => Reading::Snapshot,
    };
    match &slot.kind {
        Kind::Array(element, nulls) => {
            let elements = Elements::new(raw)?;
            let mut array = Array { leaf: element, nulls: *nulls, reading, depth: 1 };
            while let Kind::Array(inner, nulls) = array.leaf {
                (array.leaf, array.nulls, array.depth) = (inner, *nulls, array.depth + 1);
            }
            array.write(elements, array.depth, buffers, out)
        }
        Kind::Hstore(HstoreMode::Map) => map(raw, buffers, out),
        kind => Ok(match convert(kind, raw, reading, &mut buffers.value)? {
            Scalar::Null => Written::Null,
            scalar => {
                match &slot.treat {
                    Some(treat) => treat.write(kind, &scalar, &mut buffers.text, out),
                    None => write_scalar(&scalar, out),
                }
                Written::Value
            }
        }),
    }
}

/// How an array is written.
#[derive(Clone, Copy)]
struct Array<'k> {
    /// What is in the innermost arrays.
    leaf: &'k Kind,
    /// Whether that may be null.
    nulls: bool,
    reading: Reading,
    /// How many arrays are in each other.
    depth: usize,
}

impl Array<'_> {
    /// One block with its count, then the block of none that ends an array.
    fn write(
        self,
        mut elements: Elements<'_>,
        depth: usize,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Result<Written, ErrorKind> {
        let exact = self.reading == Reading::Exact;
        let start = out.len();
        out.push(0);
        let mut count = 0;
        while let Some(item) = elements.next(&mut buffers.element)? {
            count += 1;
            let scalar = match item {
                ArrayItem::Nested(inner) if depth > 1 => {
                    match self.write(inner, depth - 1, buffers, out)? {
                        Written::Value => continue,
                        Written::Null => return Ok(Written::Null),
                    }
                }
                // Declared with other dimensions than it has.
                _ if depth > 1 => return Ok(Written::Null),
                ArrayItem::Value(raw) => {
                    // Moments in arrays are not like others.
                    let usual = !matches!(self.leaf, Kind::Timestamp(_) | Kind::TimestampTz(_));
                    let branch = self.nulls.then_some(PRESENT);
                    if usual && common::write(self.leaf, branch, raw, out).is_some() {
                        continue;
                    }
                    match convert_element(self.leaf, raw, self.reading, &mut buffers.value)? {
                        Scalar::Null if exact => return Ok(Written::Null),
                        scalar => scalar,
                    }
                }
                ArrayItem::Nested(_) if exact => return Ok(Written::Null),
                ArrayItem::Null | ArrayItem::Nested(_) => Scalar::Null,
            };
            match (scalar, self.nulls) {
                (Scalar::Null, true) => out.push(ABSENT),
                (Scalar::Null, false) => return Ok(Written::Null),
                (scalar, nulls) => {
                    if nulls {
                        out.push(PRESENT);
                    }
                    write_scalar(&scalar, out);
                }
            }
        }
        if count > 0 {
            put_length(count, start, out);
            out.push(0);
        }
        Ok(Written::Value)
    }
}

fn map(raw: Raw<'_>, buffers: &mut Buffers, out: &mut Vec<u8>) -> Result<Written, ErrorKind> {
    let count = buffers.pairs.sort(raw, &mut buffers.element)?;
    if count > 0 {
        write_count(count, out)?;
    }
    for mut pairs in buffers.pairs.pairs(raw) {
        let Some(key) = pairs.next_key(&mut buffers.element)? else { break };
        write_string(key, out);
        match pairs.value(&mut buffers.element)? {
            Some(value) => {
                out.push(PRESENT);
                write_string(value, out);
            }
            None => out.push(ABSENT),
        }
    }
    write_long(0, out);
    Ok(Written::Value)
}

fn write_count(count: usize, out: &mut Vec<u8>) -> Result<(), ErrorKind> {
    write_long(i64::try_from(count).map_err(|_| ErrorKind::OutOfRange)?, out);
    Ok(())
}

/// Puts a length or a count in the place of the one byte before what it is of. Most take no more;
/// for others that moves.
pub(super) fn put_length(length: usize, place: usize, out: &mut Vec<u8>) {
    // Nothing in memory is longer.
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    let end = out.len();
    write_long(length, out);
    if let Some(&[byte]) = out.get(end..) {
        out.truncate(end);
        out.iter_mut().skip(place).take(1).for_each(|first| *first = byte);
    } else {
        let moved = out.len() - end;
        out.remove(place);
        out.get_mut(place..).unwrap_or_default().rotate_right(moved);
    }
}

pub(super) fn write_scalar(scalar: &Scalar<'_>, out: &mut Vec<u8>) {
    match *scalar {
        Scalar::Null => {}
        Scalar::Bool(value) => write_boolean(value, out),
        Scalar::Int(value) => write_int(value, out),
        Scalar::Long(value) => write_long(value, out),
        Scalar::Float(value) => write_float(value, out),
        Scalar::Double(value) => write_double(value, out),
        Scalar::Text(value) => write_string(value, out),
        Scalar::Utf8(value) | Scalar::Bytes(value) => write_bytes(value, out),
        Scalar::VariableDecimal { scale, unscaled } => {
            write_int(scale, out);
            write_bytes(unscaled, out);
        }
        Scalar::Point { x, y } => {
            write_double(x, out);
            write_double(y, out);
            // Well-known binary: little-endian, a point, its coordinates.
            out.push(PRESENT);
            write_long(21, out);
            out.extend_from_slice(&[1, 1, 0, 0, 0]);
            out.extend_from_slice(&x.to_le_bytes());
            out.extend_from_slice(&y.to_le_bytes());
            out.push(ABSENT);
        }
    }
}

fn write_zero(kind: &Kind, out: &mut Vec<u8>) {
    match kind {
        Kind::Array(..) | Kind::Hstore(HstoreMode::Map) => write_long(0, out),
        _ => write_scalar(&zero(kind), out),
    }
}

fn write_default(default: &DefaultValue, out: &mut Vec<u8>) {
    match default {
        DefaultValue::Boolean(value) => write_boolean(*value, out),
        // Zigzag of an int and of a long are the same bytes.
        DefaultValue::Integer(value) => write_long(*value, out),
        DefaultValue::Float(value) => write_float(*value, out),
        DefaultValue::Double(value) => write_double(*value, out),
        DefaultValue::Text(value) => write_string(value, out),
        DefaultValue::Bytes(value) => write_bytes(value, out),
    }
}
