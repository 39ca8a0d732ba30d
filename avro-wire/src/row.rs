//! Records as flat rows, without serde and without a tree.

mod compile;
mod read;
mod write;

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;

use self::compile::{Compiled, Step};
use crate::{Error, Scalar, Schema, TypeView};

/// Reads and writes records as rows of [`Scalar`]s, one for each column of the schema.
///
/// The fields of records in records are columns of their own, with dots in their names. What comes
/// out of the schema:
///
/// * a scalar field, also an optional one: one column;
/// * a record field: the columns of its fields;
/// * an optional record: a column of its own name first, null or true, and then the columns of its
///   fields, which are all null where the record is;
/// * an array, a map, another union, a record that lies in itself: one column with the bytes as
///   they are in the datum. [`RowCodec::type_of`] tells what is in them.
///
/// The walk over the schema is compiled once to a list of steps. [`RowCodec::project`] compiles
/// only some columns; the rest is stepped over, and what stands behind the last is never looked at.
///
/// ```
/// use avro_wire::{RowCodec, Scalar, Schema};
///
/// let schema = Schema::parse(r#"{"type":"record","name":"R","fields":[
///     {"name":"id","type":"long"},{"name":"note","type":["null","string"]},
///     {"name":"at","type":["null",{"type":"record","name":"A","fields":[
///         {"name":"city","type":"string"}]}]}]}"#)?;
/// let codec = RowCodec::new(&schema)?;
/// assert_eq!(codec.columns().collect::<Vec<_>>(), ["id", "note", "at", "at.city"]);
/// let datum = b"\x2a\x00\x02\x0aDelft";
/// let mut row = Vec::new();
/// codec.read(datum, &mut row)?;
/// assert_eq!(row, [Scalar::Long(21), Scalar::Null, Scalar::Boolean(true), Scalar::String("Delft")]);
///
/// let mut out = Vec::new();
/// codec.write(&row, &mut out)?;
/// assert_eq!(out, datum);
///
/// let city = RowCodec::project(&schema, &["at.city"])?;
/// let mut row = Vec::new();
/// city.read(datum, &mut row)?;
/// assert_eq!(row, [Scalar::String("Delft")]);
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct RowCodec {
    schema: Schema,
    columns: Box<[Column]>,
    steps: Box<[Step]>,
    whole: bool,
}

#[derive(Debug, Clone)]
struct Column {
    name: String,
    slot: u32,
}

impl RowCodec {
    /// Compiles all columns of `schema`, whose outermost type must be a record.
    ///
    /// # Errors
    /// [`ErrorKind::TypeMismatch`](crate::ErrorKind::TypeMismatch) for other types.
    pub fn new(schema: &Schema) -> Result<Self, Error> {
        let Compiled { columns, steps } = compile::compile(schema, None)?;
        Ok(Self { schema: schema.clone(), columns, steps, whole: true })
    }

    /// Compiles the columns of these names, in the order of the schema. The codec only reads.
    ///
    /// # Errors
    /// As [`RowCodec::new`], and
    /// [`ErrorKind::UnknownField`](crate::ErrorKind::UnknownField) for a name that is not one of
    /// [`RowCodec::columns`].
    pub fn project(schema: &Schema, names: &[&str]) -> Result<Self, Error> {
        let Compiled { columns, steps } = compile::compile(schema, Some(names))?;
        Ok(Self { schema: schema.clone(), columns, steps, whole: false })
    }

    /// The names of the columns, in their order.
    #[must_use]
    pub fn columns(&self) -> impl ExactSizeIterator<Item = &str> {
        self.columns.iter().map(|column| &*column.name)
    }

    /// The type of a column; `None` when there are not so many.
    #[must_use]
    pub fn type_of(&self, column: usize) -> Option<TypeView<'_>> {
        self.columns.get(column).map(|column| TypeView::new(self.schema.table(), column.slot))
    }

    /// Reads `datum` into `row`, whose old content is lost. All of it is checked, and nothing may
    /// come behind it, if the codec has all columns; else only what comes up to the last of them.
    ///
    /// To use one buffer for datums that do not live equally long, see [`recycle`].
    ///
    /// # Errors
    /// Those of [`ErrorKind::is_data`](crate::ErrorKind::is_data), with the offset and the column
    /// in [`Error::field`]. `row` is then unspecified, but of use for the next datum.
    pub fn read<'a>(&'a self, datum: &'a [u8], row: &mut Vec<Scalar<'a>>) -> Result<(), Error> {
        read::read(self, datum, row)
    }

    /// Appends `row` as a datum to `out`; on an error `out` keeps its old length.
    ///
    /// Bytes of arrays, maps and larger unions are written as they are given: they are taken on
    /// trust. Ints are taken for longs where they fit and the other way round.
    ///
    /// # Errors
    /// [`ErrorKind::LengthMismatch`](crate::ErrorKind::LengthMismatch) when the row has not one
    /// scalar for each column, and the kinds of
    /// [`ErrorKind::is_value`](crate::ErrorKind::is_value), with the column in [`Error::field`].
    /// [`ErrorKind::TypeMismatch`](crate::ErrorKind::TypeMismatch) for every row when the codec
    /// was made by [`RowCodec::project`].
    pub fn write(&self, row: &[Scalar<'_>], out: &mut Vec<u8>) -> Result<(), Error> {
        let start = out.len();
        write::write(self, row, out).inspect_err(|_| out.truncate(start))
    }

    #[cold]
    fn in_column(&self, error: Error, column: usize) -> Error {
        match self.columns.get(column) {
            Some(column) => error.in_field(&column.name),
            None => error,
        }
    }
}

/// The buffer of a row, emptied, for a datum that lives longer or shorter.
///
/// ```
/// let codec = avro_wire::RowCodec::new(&avro_wire::Schema::parse(
///     r#"{"type":"record","name":"R","fields":[{"name":"s","type":"string"}]}"#)?)?;
/// let mut buffer = Vec::new();
/// for text in ["a", "b"] {
///     let message = format!("\x02{text}").into_bytes();
///     let mut row = avro_wire::recycle(buffer);
///     codec.read(&message, &mut row)?;
///     assert_eq!(row, [avro_wire::Scalar::String(text)]);
///     buffer = avro_wire::recycle(row);
/// }
/// # Ok::<(), avro_wire::Error>(())
/// ```
#[must_use]
pub fn recycle<'b>(mut row: Vec<Scalar<'_>>) -> Vec<Scalar<'b>> {
    row.clear();
    // Nothing is left to be converted, and collecting in place keeps the allocation.
    row.into_iter().map(|_| Scalar::Null).collect()
}
