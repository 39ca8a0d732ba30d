//! Parquet files. The datums of a row group wait as they came, within the memory of all open
//! objects or in its file, and become columns when the row group is full; so an open object is
//! little more than its bytes, and where a row group ends hangs on its records alone.

mod column;
mod compress;
mod dictionary;
mod encoding;
mod plan;
mod shred;
mod thrift;

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use avro_wire::Schema;

use self::{column::Encoder, dictionary::Source, plan::Plan, shred::Column, thrift::Struct};
use crate::error::{Error, Part};

/// What a file begins and ends with.
const MAGIC: &[u8; 4] = b"PAR1";
/// A record that would take more memory than this when its row group is written is a bad one.
const LARGEST: usize = 256 << 20;

/// `parquet.codec`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Codec {
    None,
    Snappy,
    Gzip,
    Zstd,
}

impl Codec {
    /// What names of files have in front of `.parquet`.
    pub(crate) const fn extension(self) -> &'static str {
        match self {
            Self::None => ".parquet",
            Self::Snappy => ".snappy.parquet",
            Self::Gzip => ".gz.parquet",
            Self::Zstd => ".zstd.parquet",
        }
    }

    /// `CompressionCodec` of the format's Thrift definition.
    const fn number(self) -> i32 {
        match self {
            Self::None => 0,
            Self::Snappy => 1,
            Self::Gzip => 2,
            Self::Zstd => 6,
        }
    }
}

/// The settings of Parquet files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Settings {
    pub(crate) codec: Codec,
    /// The memory that a row group takes while it is written, in bytes.
    pub(crate) row_group: usize,
    /// Whether records are keys, which become the only field of one.
    pub(crate) keys: bool,
}

/// What row groups are written with, one after another, whatever file they are for.
#[derive(Debug, Clone, Default)]
pub(super) struct Workbench(Arc<Mutex<Tools>>);

#[derive(Debug, Default)]
struct Tools {
    columns: Vec<Column>,
    encoder: Encoder,
}

/// A schema's way to Parquet, or why there is none.
#[derive(Debug, Clone)]
pub(super) struct Way(Result<Arc<Plan>, String>);

impl Way {
    /// For values of this schema, or for keys.
    pub(super) fn new(schema: &Schema, keys: bool) -> Self {
        let plan = if keys { envelope(schema.as_str()) } else { Ok(schema.clone()) };
        Self(plan.and_then(|schema| Plan::new(&schema)).map(Arc::new))
    }

    /// For keys that are text.
    pub(super) fn text_keys() -> Self {
        static TEXT: OnceLock<Way> = OnceLock::new();
        TEXT.get_or_init(|| Self::of_keys(r#"["null","string"]"#)).clone()
    }

    /// For keys that are bytes.
    pub(super) fn bytes_keys() -> Self {
        static BYTES: OnceLock<Way> = OnceLock::new();
        BYTES.get_or_init(|| Self::of_keys(r#"["null","bytes"]"#)).clone()
    }

    fn of_keys(schema: &str) -> Self {
        Self(envelope(schema).and_then(|schema| Plan::new(&schema)).map(Arc::new))
    }

    fn plan(&self) -> Result<&Arc<Plan>, Error> {
        self.0.as_ref().map_err(|problem| {
            Error::new(Part::Data, format!("Parquet has no place for {problem}"))
                .with_advice("use AvroFormat for this topic")
        })
    }

    /// Whether a datum can be written, and the memory that its row group needs for it.
    pub(super) fn check(&self, datum: &[u8]) -> Result<usize, Error> {
        match self.plan()?.cost(datum) {
            Ok(cost) if cost <= LARGEST => Ok(cost),
            Ok(cost) => Err(Error::new(
                Part::Data,
                format!("a record whose columns take {cost} bytes of memory"),
            )),
            Err(fault) => Err(malformed(fault)),
        }
    }
}

/// A record around a key, as Confluent's sink makes it.
fn envelope(key: &str) -> Result<Schema, String> {
    let text = format!(
        r#"{{"type":"record","name":"RecordKey","fields":[{{"name":"key","type":{key}}}]}}"#
    );
    Schema::parse(&text).map_err(|error| format!("this key: {error}"))
}

#[cold]
fn malformed(fault: shred::Fault) -> Error {
    let error = Error::new(Part::Data, "the bytes are not a datum of their schema");
    match fault {
        shred::Fault::Bytes(cause) => error.with_cause(cause),
        shred::Fault::Text => error.with_advice("its producer must write text as UTF-8"),
        shred::Fault::Number => error,
    }
}

/// A file that is being written.
#[derive(Debug)]
pub(super) struct Open {
    plan: Arc<Plan>,
    settings: Settings,
    workbench: Workbench,
    /// Bytes of the file so far.
    offset: u64,
    /// Rows of the row group begun, and the memory that it needs.
    rows: i64,
    cost: usize,
    /// All rows, and what the footer says of the row groups.
    total: i64,
    groups: Vec<u8>,
    group_count: usize,
}

impl Open {
    /// Begins a file of records that go this way.
    pub(super) fn begin(
        way: &Way,
        settings: Settings,
        workbench: &Workbench,
        out: &mut Vec<u8>,
    ) -> Result<Self, Error> {
        out.extend_from_slice(MAGIC);
        Ok(Self {
            plan: Arc::clone(way.plan()?),
            settings,
            workbench: workbench.clone(),
            offset: MAGIC.len() as u64,
            rows: 0,
            cost: 0,
            total: 0,
            groups: Vec::new(),
            group_count: 0,
        })
    }

    /// The size that a row group is begun with.
    pub(super) const fn row_group(&self) -> usize {
        self.settings.row_group
    }

    /// Notes a row in the row group begun.
    pub(super) const fn note(&mut self, cost: usize) {
        self.rows += 1;
        self.cost += cost;
    }

    /// Whether the row group is to be written.
    pub(super) const fn is_full(&self) -> bool {
        self.cost >= self.settings.row_group
    }

    /// Writes the row group begun, whose datums these are, column by column.
    pub(super) fn close_group(
        &mut self,
        datums: &[u8],
        mut push: impl FnMut(Vec<u8>),
    ) -> Result<(), Error> {
        let (rows, start) = (std::mem::take(&mut self.rows), self.offset);
        self.cost = 0;
        let mut tools = self.workbench.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Tools { columns, encoder } = &mut *tools;
        // Every datum was looked at when it came.
        self.plan.shred(datums, rows, columns).map_err(malformed)?;
        let mut chunks = Vec::new();
        let mut uncompressed = 0;
        for (column, leaf) in columns.iter().zip(&self.plan.columns) {
            let mut pages = Vec::new();
            let source = Source { group: datums, leaf };
            let codec = self.settings.codec;
            uncompressed += encoder
                .write(column, source, codec, self.offset, &mut pages, &mut chunks)
                .map_err(|error| {
                    Error::new(Part::Data, "cannot compress a page").with_cause(error)
                })?;
            self.offset += pages.len() as u64;
            pages.shrink_to_fit();
            push(pages);
        }
        let held: usize = columns.iter().map(Column::held).sum();
        if held > self.settings.row_group.saturating_mul(4) {
            // One record was far larger than a row group.
            columns.clear();
        }
        drop(tools);
        let (number, compressed) = (self.group_count, self.offset - start);
        Struct::write(&mut self.groups, |group| {
            group.structures(1, self.plan.columns.len(), |out| out.append(&mut chunks));
            group.count(2, uncompressed);
            group.i64(3, rows);
            group.i64(5, i64::try_from(start).unwrap_or(i64::MAX));
            group.i64(6, i64::try_from(compressed).unwrap_or(i64::MAX));
            if let Ok(number) = i16::try_from(number) {
                group.i16(7, number);
            }
        });
        self.group_count += 1;
        self.total += rows;
        Ok(())
    }

    /// What the file ends with.
    pub(super) fn footer(&mut self) -> Vec<u8> {
        let mut out = Vec::new();
        let columns = self.plan.columns.len();
        Struct::write(&mut out, |file| {
            file.i32(1, 1);
            file.structures(2, self.plan.element_count, |out| {
                out.extend_from_slice(&self.plan.elements);
            });
            file.i64(3, self.total);
            file.structures(4, self.group_count, |out| out.append(&mut self.groups));
            file.structures(5, 2, |out| {
                for (key, value) in [
                    ("parquet.avro.schema", self.plan.avro.as_str()),
                    ("writer.model.name", "avro"),
                ] {
                    Struct::write(out, |pair| {
                        pair.binary(1, key.as_bytes());
                        pair.binary(2, value.as_bytes());
                    });
                }
            });
            file.binary(6, concat!("full-pipeline version ", env!("CARGO_PKG_VERSION")).as_bytes());
            // Bounds are in the order of the columns' types.
            file.structures(7, columns, |out| {
                for _ in 0..columns {
                    Struct::write(out, |order| order.structure(1, |_| {}));
                }
            });
        });
        let len = u32::try_from(out.len()).unwrap_or(u32::MAX);
        out.extend_from_slice(&len.to_le_bytes());
        out.extend_from_slice(MAGIC);
        out
    }
}
