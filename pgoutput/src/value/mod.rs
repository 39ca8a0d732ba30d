//! Columns as Rust values, by type (feature `postgres-types`).
//!
//! [`Types::decode`] gives the same [`Value`] for a column that came as text and for one that came
//! in binary form. It knows the types that every server has; what a database adds (enums,
//! composites, domains, its own ranges, `hstore`) is told to it once with [`Types::with`].
//!
//! Text is understood as the `client` module's sessions get it: `DateStyle` ISO, `IntervalStyle`
//! postgres, `client_encoding` UTF8. Two things the server itself does not say alike:
//!
//! - The object types (`regclass`, `regproc`, ...) have a name as text and an [`Oid`] in binary
//!   form.
//! - `money` is the digits as printed; how many of them are the fraction is the server's locale.
//!
//! The binary forms are those of the server's send functions, the text forms those of its output
//! functions; PostgreSQL documentation, chapter "Data Types".

mod binary;
mod definition;
mod geometric;
mod kind;
mod nested;
mod numeric;
mod output;
mod temporal;
mod text;
mod text_search;

pub use definition::{Definition, Types};
pub use geometric::{Circle, Line, Path, Point};
pub use nested::{Array, Bound, Dimension, Range};
pub use numeric::{Numeric, Sign};
pub use temporal::{Date, Extended, Interval, TimeTz};

use alloc::{
    borrow::{Cow, ToOwned},
    boxed::Box,
    vec::Vec,
};
use core::net::IpAddr;

use crate::{Lsn, Oid, PgTime};

/// A value of a column. Borrows from the message where the bytes are the value already.
///
/// Equality is Rust's: a float NaN is not equal to itself.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Value<'a> {
    /// NULL; in a [`Key`](crate::OldTuple::Key) row, not part of the key.
    Null,
    /// Not sent, because it is stored out of line and the update did not touch it.
    Unchanged,
    /// `boolean`
    Bool(bool),
    /// `smallint`
    Int2(i16),
    /// `integer`
    Int4(i32),
    /// `bigint`
    Int8(i64),
    /// `real`
    Float4(f32),
    /// `double precision`
    Float8(f64),
    /// `numeric`
    Numeric(Numeric<'a>),
    /// `money`, in the smallest unit of the server's `lc_monetary` (cents, for most).
    Money(i64),
    /// `oid`, `xid`, `cid`; in binary form also the object types such as `regclass`.
    Oid(Oid),
    /// `xid8`
    Xid8(u64),
    /// `pg_lsn`
    Lsn(Lsn),
    /// `"char"`: one byte, zero for the empty one.
    Char(u8),
    /// `text`, `varchar`, `char(n)` with its padding, `name`, `xml`, enums; also types whose text
    /// is the handiest form: `tid`, `tsvector`, `tsquery`, `pg_snapshot`, `jsonpath`.
    Text(Cow<'a, str>),
    /// `json` as written, `jsonb` as the server prints it.
    Json(Cow<'a, str>),
    /// `bytea`
    Bytes(Cow<'a, [u8]>),
    /// `bit`, `varbit`: the number of bits, and the bits from the highest of the first byte on.
    Bits(u32, Cow<'a, [u8]>),
    /// `uuid`
    Uuid([u8; 16]),
    /// `date`
    Date(Extended<Date>),
    /// `time`: microseconds since midnight, 86,400,000,000 for `24:00:00`.
    Time(i64),
    /// `timetz`
    TimeTz(TimeTz),
    /// `timestamp`: as if the wall clock showed UTC.
    Timestamp(Extended<PgTime>),
    /// `timestamptz`
    TimestampTz(Extended<PgTime>),
    /// `interval`
    Interval(Extended<Interval>),
    /// `inet`: an address and the length of its network's prefix.
    Inet(IpAddr, u8),
    /// `cidr`: a network and the length of its prefix.
    Cidr(IpAddr, u8),
    /// `macaddr`
    MacAddr([u8; 6]),
    /// `macaddr8`
    MacAddr8([u8; 8]),
    /// `point`
    Point(Point),
    /// `line`
    Line(Line),
    /// `lseg`: its two ends.
    Lseg([Point; 2]),
    /// `box`: its upper right and its lower left corner.
    Box([Point; 2]),
    /// `path`
    Path(Path),
    /// `polygon`: its corners.
    Polygon(Vec<Point>),
    /// `circle`
    Circle(Circle),
    /// Arrays, `int2vector` and `oidvector`.
    Array(Array<'a>),
    /// Ranges.
    Range(Box<Range<'a>>),
    /// Multiranges: their ranges in order.
    Multirange(Vec<Range<'a>>),
    /// Composite types and records: their fields in order.
    Composite(Vec<Self>),
    /// `hstore`: keys and values, in the order they are stored.
    Hstore(Vec<(Cow<'a, str>, Option<Cow<'a, str>>)>),
    /// The binary form of a type that is not known.
    Opaque(Cow<'a, [u8]>),
}

impl Value<'_> {
    /// The same value, owning everything.
    #[must_use]
    pub fn into_owned(self) -> Value<'static> {
        match self {
            Self::Null => Value::Null,
            Self::Unchanged => Value::Unchanged,
            Self::Bool(value) => Value::Bool(value),
            Self::Int2(value) => Value::Int2(value),
            Self::Int4(value) => Value::Int4(value),
            Self::Int8(value) => Value::Int8(value),
            Self::Float4(value) => Value::Float4(value),
            Self::Float8(value) => Value::Float8(value),
            Self::Numeric(value) => Value::Numeric(value.into_owned()),
            Self::Money(value) => Value::Money(value),
            Self::Oid(value) => Value::Oid(value),
            Self::Xid8(value) => Value::Xid8(value),
            Self::Lsn(value) => Value::Lsn(value),
            Self::Char(value) => Value::Char(value),
            Self::Text(value) => Value::Text(owned(value)),
            Self::Json(value) => Value::Json(owned(value)),
            Self::Bytes(value) => Value::Bytes(owned(value)),
            Self::Bits(count, value) => Value::Bits(count, owned(value)),
            Self::Uuid(value) => Value::Uuid(value),
            Self::Date(value) => Value::Date(value),
            Self::Time(value) => Value::Time(value),
            Self::TimeTz(value) => Value::TimeTz(value),
            Self::Timestamp(value) => Value::Timestamp(value),
            Self::TimestampTz(value) => Value::TimestampTz(value),
            Self::Interval(value) => Value::Interval(value),
            Self::Inet(address, prefix) => Value::Inet(address, prefix),
            Self::Cidr(address, prefix) => Value::Cidr(address, prefix),
            Self::MacAddr(value) => Value::MacAddr(value),
            Self::MacAddr8(value) => Value::MacAddr8(value),
            Self::Point(value) => Value::Point(value),
            Self::Line(value) => Value::Line(value),
            Self::Lseg(value) => Value::Lseg(value),
            Self::Box(value) => Value::Box(value),
            Self::Path(value) => Value::Path(value),
            Self::Polygon(value) => Value::Polygon(value),
            Self::Circle(value) => Value::Circle(value),
            Self::Array(value) => Value::Array(value.into_owned()),
            Self::Range(value) => Value::Range(Box::new(value.into_owned())),
            Self::Multirange(value) => {
                Value::Multirange(value.into_iter().map(Range::into_owned).collect())
            }
            Self::Composite(value) => {
                Value::Composite(value.into_iter().map(Value::into_owned).collect())
            }
            Self::Hstore(value) => Value::Hstore(
                value.into_iter().map(|(key, value)| (owned(key), value.map(owned))).collect(),
            ),
            Self::Opaque(value) => Value::Opaque(owned(value)),
        }
    }
}

fn owned<T: ToOwned + ?Sized>(value: Cow<'_, T>) -> Cow<'static, T> {
    Cow::Owned(value.into_owned())
}
