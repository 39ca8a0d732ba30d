//! To and from the values of the crate `apache-avro`. Feature `apache-avro`.
//!
//! For programs that hold `apache_avro::types::Value`s and move over piece by piece: the value is
//! theirs, schema, limits and errors are ours. The schema of the other crate is not needed.
//!
//! ```
//! use avro_wire::apache::{self, Value};
//! use avro_wire::Schema;
//!
//! let schema = Schema::parse(r#"["null",{"type":"int","logicalType":"date"}]"#)?;
//! let value = apache::decode(b"\x02\x02", &schema)?;
//! assert_eq!(value, Value::Union(1, Box::new(Value::Date(1))));
//!
//! let mut datum = Vec::new();
//! apache::encode(&value, &schema, &mut datum)?;
//! assert_eq!(datum, b"\x02\x02");
//! # Ok::<(), avro_wire::Error>(())
//! ```

mod read;
mod write;

pub use apache_avro::types::Value;

use crate::{Error, Schema};

/// Decodes the one datum in `datum` as the value that `apache-avro` has for it.
///
/// Logical types become their variants. Text under `uuid` that is no UUID stays
/// [`Value::String`], and bytes under `big-decimal` that are none stay [`Value::Bytes`]; the other
/// crate refuses both. A decimal of no bytes at all is 0.
///
/// # Errors
/// Those of [`ErrorKind::is_data`](crate::ErrorKind::is_data). Bytes after the datum are an error,
/// and so is a datum that ends early, where the other crate sometimes gives null.
pub fn decode(datum: &[u8], schema: &Schema) -> Result<Value, Error> {
    read::decode(datum, schema)
}

/// Appends `value` to `out` as a datum of `schema`; on an error `out` keeps its old length.
///
/// Values go by their bytes, not by the name of their variant: `Long` and `TimestampMicros` both
/// go into any `long`, `Int` into `long` as well. A value that is not wrapped in [`Value::Union`]
/// goes into the first branch of a union that has its type. Fields are matched by name or
/// alias; one that is left out gets the default of the schema. Decimals keep their bytes in
/// `bytes` and are sign-extended to the size of a `fixed`.
///
/// # Errors
/// Those of [`ErrorKind::is_value`](crate::ErrorKind::is_value), with [`Error::field`];
/// [`ErrorKind::DepthLimit`](crate::ErrorKind::DepthLimit) beyond 64 levels.
pub fn encode(value: &Value, schema: &Schema, out: &mut Vec<u8>) -> Result<(), Error> {
    let start = out.len();
    let result = write::encode(value, schema, out);
    if result.is_err() {
        out.truncate(start);
    }
    result
}
