//! The compiled way from the columns of a change to framed Avro records.

mod common;
mod digits;
mod headers;
mod metadata;
mod outbox;
mod placeholder;
mod quote;
mod row;
mod streams;
mod transcode;
mod treat;

use std::ops::ControlFlow;
use std::sync::Arc;

use pgoutput::Column;

use crate::error::{Error, ErrorKind};
use crate::flatten::DeleteHandling;
use crate::op::Op;
pub use crate::plan::headers::{Header, HeaderValue, Headers};
use crate::plan::metadata::Metadatas;
pub use crate::plan::outbox::OutboxEvent;
use crate::plan::row::{Buffers, Row};
pub use crate::plan::streams::{EventStream, KeyAndValue, TransactionBound};
pub use crate::plan::transcode::JsonWriter;
use crate::source::SourceBlock;
use crate::table::Table;

/// A change of one row, or the truncation of the table. Columns are in the table's order.
///
/// Columns of a [`Before::Key`] that do not belong to the replica identity are null.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Change<'a> {
    /// What happened.
    pub op: Op,
    /// The old row, as far as the replica identity gives it.
    pub before: Option<Before<'a>>,
    /// The new row.
    pub after: Option<&'a [Column<'a>]>,
}

/// The old row of an update or delete.
#[derive(Clone, Copy, Debug)]
#[allow(clippy::exhaustive_enums, reason = "a closed set of the wire format")]
pub enum Before<'a> {
    /// Only columns of the replica identity have values.
    Key(&'a [Column<'a>]),
    /// The whole row.
    Full(&'a [Column<'a>]),
}

impl<'a> Before<'a> {
    /// The columns.
    #[must_use]
    pub const fn columns(self) -> &'a [Column<'a>] {
        match self {
            Self::Key(columns) | Self::Full(columns) => columns,
        }
    }
}

impl<'a> Change<'a> {
    /// An inserted row.
    #[must_use]
    pub const fn insert(after: &'a [Column<'a>]) -> Self {
        Self { op: Op::Create, before: None, after: Some(after) }
    }

    /// A row of a snapshot.
    #[must_use]
    pub const fn read(after: &'a [Column<'a>]) -> Self {
        Self { op: Op::Read, before: None, after: Some(after) }
    }

    /// An updated row.
    #[must_use]
    pub const fn update(before: Option<Before<'a>>, after: &'a [Column<'a>]) -> Self {
        Self { op: Op::Update, before, after: Some(after) }
    }

    /// A deleted row.
    #[must_use]
    pub const fn delete(before: Before<'a>) -> Self {
        Self { op: Op::Delete, before: Some(before), after: None }
    }

    /// The table was emptied.
    #[must_use]
    pub const fn truncate() -> Self {
        Self { op: Op::Truncate, before: None, after: None }
    }
}

/// Ids under which the table's schemas are registered.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct SchemaIds {
    /// Of the key schema; none for a table without key.
    pub key: Option<u32>,
    /// Of the value schema.
    pub value: u32,
}

impl SchemaIds {
    /// Ids of the key and the value schema.
    #[must_use]
    pub const fn new(key: Option<u32>, value: u32) -> Self {
        Self { key, value }
    }
}

/// A record for the table's topic: zero, the schema id in four big-endian bytes, and the datum.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Record<'a> {
    /// The key; none for a table without primary key and for a truncation.
    pub key: Option<&'a [u8]>,
    /// The value; none for a tombstone.
    pub value: Option<&'a [u8]>,
    /// Columns whose value the server did not send, which hold the placeholder.
    pub unavailable: usize,
    /// What goes into the record's headers.
    pub headers: Headers<'a>,
    /// The topic, where `route.by.field` takes it from the row; otherwise it is the table's.
    pub topic: Option<&'a str>,
}

/// Buffers that [`Plan::encode`] reuses; one per thread serves all tables.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    key: Vec<u8>,
    old_key: Vec<u8>,
    value: Vec<u8>,
    old_value: Vec<u8>,
    sequence: String,
    buffers: Buffers,
}

impl Scratch {
    /// Empty buffers; they grow to the largest record and stay.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// A table compiled to the steps that write its records. Cheap to clone.
///
/// ```
/// use debezium_model::{Change, ColumnDef, Mapping, SchemaIds, Scratch, SourceBlock, Table, TableId};
/// use pgoutput::Column;
/// use std::ops::ControlFlow;
///
/// let columns = vec![
///     ColumnDef::new("id", 23, "int4").with_not_null().with_key_position(1),
///     ColumnDef::new("note", 25, "text"),
/// ];
/// let table = Table::new("cdc", TableId::new("public", "memo"), columns, &Mapping::default())?;
/// let row = [Column::Text(b"7"), Column::Null];
/// let source = SourceBlock::new("shop", 0x1234, 1_700_000_000_000_000);
/// let (ids, mut scratch) = (SchemaIds::new(Some(1), 2), Scratch::new());
/// let mut keys = Vec::new();
/// table.plan().encode(&Change::insert(&row), &source, ids, &mut scratch, &mut |record| {
///     keys.push(record.key.unwrap().to_vec());
///     ControlFlow::Continue(())
/// })?;
/// assert_eq!(keys, [[0, 0, 0, 0, 1, 14]]);
/// # Ok::<(), debezium_model::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Plan {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    table: Table,
    key: Option<Row>,
    /// What routers add to every key.
    key_tail: Vec<u8>,
    row: Row,
    /// Of old rows, where they differ.
    before: Option<Row>,
    metadata: Metadatas,
    /// Column with the topic.
    route_by: Option<usize>,
}

impl Table {
    /// Compiles the table.
    #[must_use]
    pub fn plan(&self) -> Plan {
        let key = self.key_schema().map(|_| Row::key(self));
        let row = Row::value(self);
        let mut key_tail = Vec::new();
        for text in self.key_tail() {
            avro_wire::primitive::write_string(text, &mut key_tail);
        }
        let route_by = self.mapping().flatten.as_ref().and_then(|f| f.route_by.as_deref());
        let route_by = route_by
            .and_then(|name| self.columns().iter().position(|column| column.def.name() == name));
        Plan {
            inner: Arc::new(Inner {
                table: self.clone(),
                key,
                key_tail,
                row,
                before: Row::before(self),
                metadata: Metadatas::new(self),
                route_by,
            }),
        }
    }
}

/// Which of the two row images a value shows.
#[derive(Clone, Copy)]
enum Image<'a> {
    Before(&'a [Column<'a>]),
    After { after: &'a [Column<'a>], before: Option<Before<'a>>, shown: bool },
    Neither,
}

impl Plan {
    /// Encodes a change and hands out the records it makes, in Debezium's order: a delete is
    /// followed by its tombstone, and a change of the key is a delete, a tombstone and a create.
    /// Nothing comes out for operations that are skipped or dropped.
    ///
    /// When `emit` breaks, the remaining records of the change are left out.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::ColumnCount`], [`ErrorKind::MissingRow`] and [`ErrorKind::MissingKeyId`] for a
    /// change that does not fit the table; the kinds about values, with table and column, when
    /// the bytes of a column do not fit its type. Nothing has been emitted then.
    pub fn encode(
        &self,
        change: &Change<'_>,
        source: &SourceBlock<'_>,
        ids: SchemaIds,
        scratch: &mut Scratch,
        emit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.check(change)?;
        let mapping = self.inner.table.mapping();
        if mapping.skips(change.op) {
            return Ok(());
        }
        match (change.op, change.before, change.after) {
            (Op::Create | Op::Read, _, Some(after)) => {
                let image = Image::After { after, before: None, shown: false };
                self.single(change.op, image, source, ids, scratch, emit)
            }
            (Op::Update, before, Some(after)) => {
                if let Some(before) = before
                    && self.key_changed(before, after, ids, scratch)?
                {
                    return self.moved(before, after, source, ids, scratch, emit);
                }
                if let Some(Before::Full(before)) = before
                    && mapping.skip_unchanged
                    && self.inner.row.same(before, after)
                {
                    return Ok(());
                }
                let image = Image::After { after, before, shown: true };
                self.single(Op::Update, image, source, ids, scratch, emit)
            }
            (Op::Delete, Some(before), _) => {
                self.check_identity(before)?;
                let columns = before.columns();
                let Scratch { old_key, old_value, sequence, buffers, .. } = scratch;
                self.key(columns, true, ids, buffers, old_key)?;
                let lost = self.deleted(columns, source, ids, buffers, old_value)?;
                let headers = self.headers(Op::Delete, source, sequence);
                let topic = self.routed(columns);
                let _ = self.emit_delete(old_key, old_value, lost, headers, topic, emit);
                Ok(())
            }
            (Op::Truncate, ..) => {
                if mapping.flatten.is_some() {
                    return Ok(());
                }
                let Scratch { value, sequence, buffers, .. } = scratch;
                self.value(Op::Truncate, Image::Neither, source, ids, buffers, value)?;
                let headers = self.headers(Op::Truncate, source, sequence);
                let value = Some(value.as_slice());
                let _ = emit(Record { key: None, value, unavailable: 0, headers, topic: None });
                Ok(())
            }
            _ => Err(self.error(ErrorKind::MissingRow)),
        }
    }

    fn single(
        &self,
        op: Op,
        image: Image<'_>,
        source: &SourceBlock<'_>,
        ids: SchemaIds,
        scratch: &mut Scratch,
        emit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let Scratch { key, value, sequence, buffers, .. } = scratch;
        let mut topic = None;
        if let Image::After { after, .. } = image {
            self.key(after, op != Op::Read, ids, buffers, key)?;
            topic = self.routed(after);
        }
        let unavailable = self.value(op, image, source, ids, buffers, value)?;
        let key = self.inner.key.as_ref().map(|_| key.as_slice());
        let headers = self.headers(op, source, sequence);
        let _ = emit(Record { key, value: Some(value), unavailable, headers, topic });
        Ok(())
    }

    /// A row with a new key: the old one goes, the new one comes, as far as deletes and creates are
    /// wanted.
    fn moved(
        &self,
        before: Before<'_>,
        after: &[Column<'_>],
        source: &SourceBlock<'_>,
        ids: SchemaIds,
        scratch: &mut Scratch,
        emit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let mapping = self.inner.table.mapping();
        let Scratch { key, old_key, value, old_value, sequence, buffers } = scratch;
        let lost = self.deleted(before.columns(), source, ids, buffers, old_value)?;
        let image = Image::After { after, before: Some(before), shown: false };
        // Two events, one after the other.
        let mut second = *source;
        if let Some(place) = &mut second.transaction
            && !mapping.skips(Op::Delete)
        {
            place.total_order += 1;
            place.data_collection_order += 1;
        }
        let unavailable = self.value(Op::Create, image, &second, ids, buffers, value)?;
        let headers = self.headers(Op::Delete, source, sequence);
        let topic = self.routed(before.columns());
        let deleted = headers.with_new_key(self.own_key(key));
        if !mapping.skips(Op::Delete)
            && self.emit_delete(old_key, old_value, lost, deleted, topic, emit).is_break()
        {
            return Ok(());
        }
        if mapping.skips(Op::Create) {
            return Ok(());
        }
        let headers = Headers { op: Op::Create, source: &second, ..headers };
        let headers = headers.with_old_key(self.own_key(old_key));
        let topic = self.routed(after);
        let (key, value) = (Some(key.as_slice()), Some(value.as_slice()));
        let _ = emit(Record { key, value, unavailable, headers, topic });
        Ok(())
    }

    /// The records of a delete.
    fn emit_delete(
        &self,
        key: &[u8],
        value: &[u8],
        unavailable: usize,
        headers: Headers<'_>,
        topic: Option<&str>,
        emit: &mut dyn FnMut(Record<'_>) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        let mapping = self.inner.table.mapping();
        let key = self.inner.key.as_ref().map(|_| key);
        let record = Record { key, value: Some(value), unavailable, headers, topic };
        let flatten = mapping.flatten.as_ref();
        let replaced = Record { value: None, unavailable: 0, ..record };
        // A tombstone shares the headers of the delete before it. Next to a rewritten one the
        // transformation adds what it knows even of a tombstone.
        let rewritten = flatten.is_some_and(|flatten| flatten.deletes == DeleteHandling::Rewrite);
        let headers = Headers { again: rewritten, ..headers };
        let tombstone = Record { topic: None, headers, ..replaced };
        match flatten.map(|flatten| flatten.deletes) {
            Some(DeleteHandling::Drop) => {}
            Some(DeleteHandling::Tombstone) => emit(replaced)?,
            Some(DeleteHandling::Rewrite) | None => emit(record)?,
        }
        if mapping.tombstones && flatten.is_none_or(|flatten| flatten.tombstones) {
            emit(tombstone)?;
        }
        ControlFlow::Continue(())
    }

    /// What the headers of a record are made from.
    fn headers<'a>(
        &'a self,
        op: Op,
        source: &'a SourceBlock<'a>,
        sequence: &'a mut String,
    ) -> Headers<'a> {
        let metadata = &self.inner.metadata;
        if metadata.sequence_header {
            metadata::sequence(source, sequence);
        }
        Headers { other_key: None, op, again: false, source, metadata, sequence }
    }

    /// The topic that a row names, if it does.
    fn routed<'c>(&self, row: &[Column<'c>]) -> Option<&'c str> {
        let (Column::Text(bytes) | Column::Binary(bytes)) = *row.get(self.inner.route_by?)? else {
            return None;
        };
        std::str::from_utf8(bytes).ok().filter(|topic| !topic.is_empty())
    }

    /// Encodes both keys into their buffers and compares them; a table without key never changes
    /// it.
    fn key_changed(
        &self,
        before: Before<'_>,
        after: &[Column<'_>],
        ids: SchemaIds,
        scratch: &mut Scratch,
    ) -> Result<bool, Error> {
        if self.inner.key.is_none() {
            return Ok(false);
        }
        self.check_identity(before)?;
        let Scratch { key, old_key, buffers, .. } = scratch;
        self.key(before.columns(), true, ids, buffers, old_key)?;
        self.key(after, true, ids, buffers, key)?;
        Ok(key != old_key)
    }

    fn key(
        &self,
        columns: &[Column<'_>],
        streaming: bool,
        ids: SchemaIds,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Result<(), Error> {
        out.clear();
        let Some(row) = &self.inner.key else { return Ok(()) };
        let id = ids.key.ok_or_else(|| self.error(ErrorKind::MissingKeyId))?;
        frame(id, out);
        row.encode(columns, None, streaming, buffers, out)
            .map_err(|(kind, column)| self.column_error(kind, column))?;
        out.extend_from_slice(&self.inner.key_tail);
        Ok(())
    }

    /// A framed key without what routers added.
    fn own_key<'k>(&self, key: &'k [u8]) -> &'k [u8] {
        key.strip_suffix(self.inner.key_tail.as_slice()).unwrap_or(key)
    }

    /// An old row that cannot have the whole key has another key than the row had.
    fn check_identity(&self, before: Before<'_>) -> Result<(), Error> {
        if matches!(before, Before::Key(_)) && !self.inner.table.complete_identity() {
            return Err(self.error(ErrorKind::IncompleteIdentity));
        }
        Ok(())
    }

    /// The value of a delete, if there is a record to have it: flattening may leave none, and not
    /// every old row can be flattened.
    fn deleted(
        &self,
        before: &[Column<'_>],
        source: &SourceBlock<'_>,
        ids: SchemaIds,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        let flatten = self.inner.table.mapping().flatten.as_ref();
        if flatten.is_none_or(|flatten| flatten.deletes == DeleteHandling::Rewrite) {
            return self.value(Op::Delete, Image::Before(before), source, ids, buffers, out);
        }
        out.clear();
        Ok(0)
    }

    /// Writes a value; says how many columns were unavailable.
    fn value(
        &self,
        op: Op,
        image: Image<'_>,
        source: &SourceBlock<'_>,
        ids: SchemaIds,
        buffers: &mut Buffers,
        out: &mut Vec<u8>,
    ) -> Result<usize, Error> {
        out.clear();
        frame(ids.value, out);
        let streaming = op != Op::Read;
        let mut lost = 0;
        let (new, old) = (&self.inner.row, self.inner.before.as_ref().unwrap_or(&self.inner.row));
        let mut write =
            |row: &Row, columns: &[Column<'_>], old: Option<&[Column<'_>]>, out: &mut Vec<u8>| {
                let result = row.encode(columns, old, streaming, buffers, out);
                let count = result.map_err(|(kind, column)| self.column_error(kind, column))?;
                lost += count;
                Ok::<(), Error>(())
            };
        if self.inner.table.mapping().flatten.is_some() {
            match image {
                Image::Before(before) => write(new, before, None, out)?,
                Image::After { after, before, .. } => {
                    write(new, after, before.map(Before::columns), out)?;
                }
                Image::Neither => {}
            }
            self.inner.metadata.flattened(op, source, &mut buffers.text, out);
            return Ok(lost);
        }
        match image {
            Image::Before(before) => {
                out.push(row::PRESENT);
                write(old, before, None, out)?;
                out.push(row::ABSENT);
            }
            Image::After { after, before, shown } => {
                let before = before.map(Before::columns);
                match before {
                    Some(before) if shown => {
                        out.push(row::PRESENT);
                        write(old, before, None, out)?;
                    }
                    _ => out.push(row::ABSENT),
                }
                out.push(row::PRESENT);
                write(new, after, before, out)?;
            }
            Image::Neither => out.extend_from_slice(&[row::ABSENT; 2]),
        }
        self.inner.metadata.envelope(op, source, out);
        Ok(lost)
    }

    fn check(&self, change: &Change<'_>) -> Result<(), Error> {
        let expected = self.inner.table.columns().len();
        let rows = [change.before.map(Before::columns), change.after];
        for row in rows.into_iter().flatten() {
            if row.len() != expected {
                let found = row.len();
                return Err(self.error(ErrorKind::ColumnCount { expected, found }));
            }
        }
        Ok(())
    }

    fn error(&self, kind: ErrorKind) -> Error {
        Error::table(kind, &self.inner.table.id().to_string())
    }

    fn column_error(&self, kind: ErrorKind, column: usize) -> Error {
        let name = self.inner.table.columns().get(column).map_or("", |column| column.def.name());
        Error::column(kind, &self.inner.table.id().to_string(), name)
    }
}

/// The header of Confluent's wire format.
fn frame(id: u32, out: &mut Vec<u8>) {
    out.push(0);
    out.extend_from_slice(&id.to_be_bytes());
}
