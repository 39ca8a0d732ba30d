//! The type table: from a PostgreSQL type to its mapping.

use crate::column::ColumnDef;
use crate::mapping::{
    BinaryMode, DecimalMode, Fidelity, HstoreMode, IntervalMode, Mapping, TimeMode,
};
use crate::schema::{ConnectField, ConnectSchema, ConnectType};

/// How the values of a column are read and what they become.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Kind {
    Bool,
    Int16,
    Int32,
    Int64,
    Oid,
    Float32,
    Float64,
    Numeric(Decimal),
    Money(Decimal),
    Date(Days),
    Time(TimeUnit),
    TimeTz,
    Timestamp(TimeUnit),
    /// Fraction digits to print.
    TimestampTz(usize),
    Interval(IntervalMode),
    /// Binary form equal to the text form.
    Text(TextType),
    /// `name`: as text, but Debezium loses it while streaming.
    Name,
    /// `"char"`: one byte.
    Char,
    /// Text after a version byte in the binary form.
    Versioned(TextType),
    Enum(String),
    Uuid,
    Inet,
    Cidr,
    MacAddr,
    /// Text without a binary reading of ours.
    Opaque(TextType),
    Bytea(BinaryMode),
    BitBool,
    /// Declared length.
    Bits(i32),
    /// Zeros and ones as they are.
    BitText,
    Point,
    Hstore(HstoreMode),
    /// Of elements that may be null, or not.
    Array(Box<Self>, bool),
    /// A type without mapping of its own: the bytes of its text.
    Unknown(BinaryMode),
    /// The same, with numbers as Java prints them.
    Geometric(BinaryMode),
    /// Arrays of bit strings: Debezium gives them the schema of one element and only nulls.
    Lost(Box<Self>),
}

/// Schema name of a string type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TextType {
    Plain,
    Json,
    Xml,
    Ltree,
    Tsvector,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decimal {
    /// Precision where declared, and scale.
    Fixed(Option<u16>, usize),
    /// Scale as the value has it.
    Variable,
    Double,
    /// Scale where declared.
    Text(Option<usize>),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Days {
    Debezium,
    Connect,
    Iso,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum TimeUnit {
    Millis,
    Micros,
    Nanos,
    /// Milliseconds under Connect's own schema name.
    Connect,
    Iso,
}

/// OIDs of built-in types (`pg_type.dat` of the server sources); they never change.
mod oid {
    pub(super) const BOOL: u32 = 16;
    pub(super) const BYTEA: u32 = 17;
    pub(super) const CHAR: u32 = 18;
    pub(super) const NAME: u32 = 19;
    pub(super) const INT8: u32 = 20;
    pub(super) const INT2: u32 = 21;
    pub(super) const INT4: u32 = 23;
    pub(super) const TEXT: u32 = 25;
    pub(super) const OID: u32 = 26;
    pub(super) const JSON: u32 = 114;
    pub(super) const XML: u32 = 142;
    pub(super) const POINT: u32 = 600;
    pub(super) const CIDR: u32 = 650;
    pub(super) const FLOAT4: u32 = 700;
    pub(super) const FLOAT8: u32 = 701;
    pub(super) const MACADDR8: u32 = 774;
    pub(super) const MONEY: u32 = 790;
    pub(super) const MACADDR: u32 = 829;
    pub(super) const INET: u32 = 869;
    pub(super) const BPCHAR: u32 = 1042;
    pub(super) const VARCHAR: u32 = 1043;
    pub(super) const DATE: u32 = 1082;
    pub(super) const TIME: u32 = 1083;
    pub(super) const TIMESTAMP: u32 = 1114;
    pub(super) const TIMESTAMPTZ: u32 = 1184;
    pub(super) const INTERVAL: u32 = 1186;
    pub(super) const TIMETZ: u32 = 1266;
    pub(super) const BIT: u32 = 1560;
    pub(super) const VARBIT: u32 = 1562;
    pub(super) const NUMERIC: u32 = 1700;
    pub(super) const UUID: u32 = 2950;
    pub(super) const TSVECTOR: u32 = 3614;
    pub(super) const JSONB: u32 = 3802;
    /// lseg, path, box, polygon, line, circle.
    pub(super) const GEOMETRIC: [u32; 6] = [601, 602, 603, 604, 628, 718];
    pub(super) const RANGES: [u32; 6] = [3904, 3906, 3908, 3910, 3912, 3926];

    /// Array types and their elements. `name`, `money`, `interval`, `xml`, `point` and `varbit`
    /// arrays are not here: Debezium has no mapping for them.
    pub(super) const ARRAYS: [(u32, u32); 33] = [
        (1000, BOOL),
        (1001, BYTEA),
        (1002, CHAR),
        (1016, INT8),
        (1005, INT2),
        (1007, INT4),
        (1009, TEXT),
        (1028, OID),
        (199, JSON),
        (651, CIDR),
        (1021, FLOAT4),
        (1022, FLOAT8),
        (775, MACADDR8),
        (1040, MACADDR),
        (1041, INET),
        (1014, BPCHAR),
        (1015, VARCHAR),
        (1561, BIT),
        (1182, DATE),
        (1183, TIME),
        (1115, TIMESTAMP),
        (1185, TIMESTAMPTZ),
        (1270, TIMETZ),
        (1231, NUMERIC),
        (2951, UUID),
        (3643, TSVECTOR),
        (3807, JSONB),
        (3905, RANGES_INT4),
        (3907, RANGES_NUM),
        (3909, RANGES_TS),
        (3911, RANGES_TSTZ),
        (3913, RANGES_DATE),
        (3927, RANGES_INT8),
    ];
    const RANGES_INT4: u32 = 3904;
    const RANGES_NUM: u32 = 3906;
    const RANGES_TS: u32 = 3908;
    const RANGES_TSTZ: u32 = 3910;
    const RANGES_DATE: u32 = 3912;
    const RANGES_INT8: u32 = 3926;
}

impl Kind {
    /// The mapping of a column, or `None` where Debezium leaves the column out.
    pub(crate) fn of(column: &ColumnDef, mapping: &Mapping) -> Option<Self> {
        let (type_oid, type_name, typmod) = column.effective_type();
        let name = plain_type_name(type_name);
        let element = match &column.element {
            Some((oid, name)) => Some((*oid, plain_type_name(name))),
            None => oid::ARRAYS
                .iter()
                .find(|(array, _)| *array == type_oid)
                .map(|(_, element)| (*element, ""))
                .or_else(|| name.strip_prefix('_').map(|element| (0, element)))
                .or_else(|| name.strip_suffix("[]").map(|element| (0, element))),
        };
        if let Some((element_oid, element_name)) = element {
            if !array_element_is_mapped(element_oid) {
                return None;
            }
            let element = Self::scalar(element_oid, element_name, typmod, column, mapping)?;
            if mapping.fidelity == Fidelity::Corrected {
                // An inner array is never null.
                let innermost = Self::Array(Box::new(element), true);
                let around = column.dimensions.saturating_sub(1);
                let nest = |inner, _| Self::Array(Box::new(inner), false);
                return Some((0..around).fold(innermost, nest));
            }
            return Some(match element {
                Self::Bits(_) | Self::BitBool => Self::Lost(Box::new(element)),
                element @ (Self::Enum(_) | Self::Opaque(TextType::Tsvector)) => {
                    Self::Array(Box::new(element), false)
                }
                element => Self::Array(Box::new(element), true),
            });
        }
        let known = Self::scalar(type_oid, name, typmod, column, mapping);
        known.or_else(|| {
            let geometric = oid::GEOMETRIC.contains(&type_oid);
            let unknown = if geometric { Self::Geometric } else { Self::Unknown };
            mapping.unknown_types.then(|| unknown(mapping.binary))
        })
    }

    fn scalar(
        type_oid: u32,
        type_name: &str,
        typmod: i32,
        column: &ColumnDef,
        mapping: &Mapping,
    ) -> Option<Self> {
        Some(match type_oid {
            oid::BOOL => Self::Bool,
            oid::INT2 => Self::Int16,
            oid::INT4 => Self::Int32,
            oid::INT8 => Self::Int64,
            oid::OID => Self::Oid,
            oid::FLOAT4 => Self::Float32,
            oid::FLOAT8 => Self::Float64,
            oid::NUMERIC => Self::Numeric(numeric(typmod, mapping)),
            oid::MONEY => Self::Money(money(mapping)),
            oid::DATE => Self::Date(match mapping.time {
                TimeMode::Connect => Days::Connect,
                TimeMode::IsoString => Days::Iso,
                _ => Days::Debezium,
            }),
            oid::TIME => Self::Time(time_unit(mapping.time, typmod, true)),
            oid::TIMETZ => Self::TimeTz,
            oid::TIMESTAMP => Self::Timestamp(time_unit(mapping.time, typmod, false)),
            oid::TIMESTAMPTZ => Self::TimestampTz(usize::try_from(typmod).map_or(6, |p| p.min(6))),
            oid::INTERVAL => Self::Interval(mapping.interval),
            oid::TEXT | oid::VARCHAR | oid::BPCHAR => Self::Text(TextType::Plain),
            // With its unknown types, Debezium knows this one, too.
            oid::NAME if mapping.unknown_types => Self::Text(TextType::Plain),
            oid::NAME => Self::Name,
            oid::CHAR => Self::Char,
            oid::JSON => Self::Text(TextType::Json),
            oid::JSONB => Self::Versioned(TextType::Json),
            oid::XML => Self::Text(TextType::Xml),
            oid::UUID => Self::Uuid,
            oid::INET => Self::Inet,
            oid::CIDR => Self::Cidr,
            oid::MACADDR | oid::MACADDR8 => Self::MacAddr,
            oid::TSVECTOR => Self::Opaque(TextType::Tsvector),
            oid::BYTEA => Self::Bytea(mapping.binary),
            // Without a modifier `bit` is one bit long.
            oid::BIT if typmod <= 1 => Self::BitBool,
            oid::BIT => Self::Bits(typmod),
            // The number in the bytes has lost its length and the zeros in front.
            oid::VARBIT if mapping.fidelity == Fidelity::Corrected => Self::BitText,
            oid::VARBIT => Self::Bits(if typmod < 0 { i32::MAX } else { typmod }),
            oid::POINT => Self::Point,
            oid if oid::RANGES.contains(&oid) => Self::Opaque(TextType::Plain),
            _ if column.enum_labels.is_some() => {
                Self::Enum(column.enum_labels.as_deref().unwrap_or_default().join(","))
            }
            // Types of extensions have no fixed OID.
            _ => match type_name {
                "citext" => Self::Text(TextType::Plain),
                "ltree" => Self::Versioned(TextType::Ltree),
                "hstore" => Self::Hstore(mapping.hstore),
                "isbn" => Self::Opaque(TextType::Plain),
                _ => return None,
            },
        })
    }

    /// The schema, required and without default.
    pub(crate) fn schema(&self) -> ConnectSchema {
        let new = ConnectSchema::new;
        let named = |kind, name: &str| new(kind).with_name(name).with_version(1);
        match self {
            Self::Bool | Self::BitBool => new(ConnectType::Boolean),
            Self::Int16 => new(ConnectType::Int16),
            Self::Int32 => new(ConnectType::Int32),
            Self::Int64 | Self::Oid => new(ConnectType::Int64),
            Self::Float32 => new(ConnectType::Float32),
            Self::Float64 => new(ConnectType::Float64),
            Self::Numeric(decimal) | Self::Money(decimal) => decimal.schema(),
            Self::Date(days) => match days {
                Days::Debezium => named(ConnectType::Int32, "io.debezium.time.Date"),
                Days::Connect => named(ConnectType::Int32, "org.apache.kafka.connect.data.Date"),
                Days::Iso => named(ConnectType::String, "io.debezium.time.IsoDate"),
            },
            Self::Time(unit) => match unit {
                TimeUnit::Millis => named(ConnectType::Int32, "io.debezium.time.Time"),
                TimeUnit::Micros => named(ConnectType::Int64, "io.debezium.time.MicroTime"),
                TimeUnit::Nanos => named(ConnectType::Int64, "io.debezium.time.NanoTime"),
                TimeUnit::Connect => {
                    named(ConnectType::Int32, "org.apache.kafka.connect.data.Time")
                }
                TimeUnit::Iso => named(ConnectType::String, "io.debezium.time.IsoTime"),
            },
            Self::Timestamp(unit) => match unit {
                TimeUnit::Millis => named(ConnectType::Int64, "io.debezium.time.Timestamp"),
                TimeUnit::Micros => named(ConnectType::Int64, "io.debezium.time.MicroTimestamp"),
                TimeUnit::Nanos => named(ConnectType::Int64, "io.debezium.time.NanoTimestamp"),
                TimeUnit::Connect => {
                    named(ConnectType::Int64, "org.apache.kafka.connect.data.Timestamp")
                }
                TimeUnit::Iso => named(ConnectType::String, "io.debezium.time.IsoTimestamp"),
            },
            Self::TimeTz => named(ConnectType::String, "io.debezium.time.ZonedTime"),
            Self::TimestampTz(_) => named(ConnectType::String, "io.debezium.time.ZonedTimestamp"),
            Self::Interval(IntervalMode::Numeric) => {
                named(ConnectType::Int64, "io.debezium.time.MicroDuration")
            }
            Self::Interval(IntervalMode::String) => {
                named(ConnectType::String, "io.debezium.time.Interval")
            }
            Self::Text(text) | Self::Versioned(text) | Self::Opaque(text) => text.schema(),
            Self::Name | Self::Char | Self::Inet | Self::Cidr | Self::MacAddr | Self::BitText => {
                TextType::Plain.schema()
            }
            Self::Enum(labels) => named(ConnectType::String, "io.debezium.data.Enum")
                .with_parameter("allowed", labels),
            Self::Uuid => named(ConnectType::String, "io.debezium.data.Uuid"),
            Self::Bytea(mode) | Self::Unknown(mode) | Self::Geometric(mode) => {
                new(if *mode == BinaryMode::Bytes {
                    ConnectType::Bytes
                } else {
                    ConnectType::String
                })
            }
            Self::Bits(length) => named(ConnectType::Bytes, "io.debezium.data.Bits")
                .with_parameter("length", &length.to_string()),
            Self::Point => {
                let fields = vec![
                    ConnectField::new("x", new(ConnectType::Float64)),
                    ConnectField::new("y", new(ConnectType::Float64)),
                    ConnectField::new("wkb", new(ConnectType::Bytes).optional()),
                    ConnectField::new("srid", new(ConnectType::Int32).optional()),
                ];
                named(ConnectType::Struct(fields), "io.debezium.data.geometry.Point")
                    .with_doc("Geometry (POINT)")
            }
            Self::Hstore(HstoreMode::Json) => TextType::Json.schema(),
            Self::Hstore(HstoreMode::Map) => {
                new(ConnectType::Map(new(ConnectType::String).optional()))
            }
            Self::Array(element, nulls) => {
                let schema = element.schema();
                new(ConnectType::Array(if *nulls { schema.optional() } else { schema }))
            }
            Self::Lost(element) => element.schema(),
        }
    }

    /// Whether the values are text, so that they can be masked and hashed.
    #[cfg_attr(not(feature = "avro"), allow(dead_code, reason = "records need it"))]
    pub(crate) fn is_text(&self) -> bool {
        matches!(
            self,
            Self::Text(_)
                | Self::Name
                | Self::Char
                | Self::Versioned(_)
                | Self::Enum(_)
                | Self::Uuid
                | Self::Inet
                | Self::Cidr
                | Self::MacAddr
                | Self::BitText
                | Self::Opaque(_)
        )
    }

    /// Whether the binary form of every value can be read exactly.
    pub(crate) fn reads_binary(&self) -> bool {
        match self {
            Self::Opaque(_) | Self::Unknown(_) | Self::Geometric(_) => false,
            Self::Array(element, _) => element.reads_binary(),
            _ => true,
        }
    }
}

impl TextType {
    fn schema(self) -> ConnectSchema {
        let schema = ConnectSchema::new(ConnectType::String);
        let name = match self {
            Self::Plain => return schema,
            Self::Json => "io.debezium.data.Json",
            Self::Xml => "io.debezium.data.Xml",
            Self::Ltree => "io.debezium.data.Ltree",
            Self::Tsvector => "io.debezium.data.Tsvector",
        };
        schema.with_name(name).with_version(1)
    }
}

impl Decimal {
    fn schema(self) -> ConnectSchema {
        match self {
            Self::Fixed(precision, scale) => {
                let schema = ConnectSchema::new(ConnectType::Bytes)
                    .with_name("org.apache.kafka.connect.data.Decimal")
                    .with_version(1)
                    .with_parameter("scale", &scale.to_string());
                match precision {
                    Some(precision) => {
                        schema.with_parameter("connect.decimal.precision", &precision.to_string())
                    }
                    None => schema,
                }
            }
            Self::Variable => {
                let fields = vec![
                    ConnectField::new("scale", ConnectSchema::new(ConnectType::Int32)),
                    ConnectField::new("value", ConnectSchema::new(ConnectType::Bytes)),
                ];
                ConnectSchema::new(ConnectType::Struct(fields))
                    .with_name("io.debezium.data.VariableScaleDecimal")
                    .with_version(1)
                    .with_doc("Variable scaled decimal")
            }
            Self::Double => ConnectSchema::new(ConnectType::Float64),
            Self::Text(_) => ConnectSchema::new(ConnectType::String),
        }
    }
}

/// The modifier of `numeric(p,s)` is `((p << 16) | (s & 0x7ff)) + 4`. Debezium reads the scale
/// without its sign, so `numeric(4,-2)` has scale 2046 there, and so it has here, unless corrected:
/// then it is a whole number of as many more digits.
fn numeric(typmod: i32, mapping: &Mapping) -> Decimal {
    let declared = u32::try_from(typmod.wrapping_sub(4)).ok().filter(|_| typmod >= 4).map(|bits| {
        let precision = u16::try_from(bits >> 16).unwrap_or(u16::MAX);
        let scale = u16::try_from(bits & 0x7ff).unwrap_or(0);
        if scale >= 0x400 && mapping.fidelity == Fidelity::Corrected {
            return (precision.saturating_add(0x800 - scale), 0);
        }
        (precision, usize::from(scale))
    });
    match (mapping.decimal, declared) {
        (DecimalMode::Precise, Some((precision, scale))) => Decimal::Fixed(Some(precision), scale),
        (DecimalMode::Precise, None) => Decimal::Variable,
        (DecimalMode::Double, _) => Decimal::Double,
        (DecimalMode::String, declared) => Decimal::Text(declared.map(|(_, scale)| scale)),
    }
}

fn money(mapping: &Mapping) -> Decimal {
    let scale = usize::from(mapping.money_fraction_digits);
    match mapping.decimal {
        DecimalMode::Precise => Decimal::Fixed(None, scale),
        DecimalMode::Double => Decimal::Double,
        DecimalMode::String => Decimal::Text(Some(scale)),
    }
}

fn time_unit(mode: TimeMode, typmod: i32, time: bool) -> TimeUnit {
    match mode {
        TimeMode::AdaptiveTimeMicroseconds if time => TimeUnit::Micros,
        TimeMode::Adaptive | TimeMode::AdaptiveTimeMicroseconds => {
            if (0..=3).contains(&typmod) {
                TimeUnit::Millis
            } else {
                TimeUnit::Micros
            }
        }
        TimeMode::Connect => TimeUnit::Connect,
        TimeMode::Microseconds => TimeUnit::Micros,
        TimeMode::Nanoseconds => TimeUnit::Nanos,
        TimeMode::IsoString => TimeUnit::Iso,
    }
}

/// Whether Debezium reads the defaults of columns of this type; those of domains, of extensions'
/// types and of many built-in ones it leaves out.
pub(crate) fn keeps_default(column: &ColumnDef) -> bool {
    let known = [
        oid::BOOL,
        oid::INT2,
        oid::INT4,
        oid::INT8,
        oid::FLOAT4,
        oid::FLOAT8,
        oid::NUMERIC,
        oid::TEXT,
        oid::VARCHAR,
        oid::BPCHAR,
        oid::BIT,
        oid::VARBIT,
        oid::DATE,
        oid::TIME,
        oid::TIMESTAMP,
        oid::TIMESTAMPTZ,
        oid::INTERVAL,
        oid::JSON,
        oid::JSONB,
        oid::XML,
        oid::UUID,
    ];
    let is_enum = column.enum_labels.is_some()
        && column.base.is_none()
        && column.element.is_none()
        && !column.type_name.starts_with('_');
    known.contains(&column.type_oid) || is_enum
}

fn array_element_is_mapped(element_oid: u32) -> bool {
    let dropped = [oid::NAME, oid::MONEY, oid::INTERVAL, oid::VARBIT, oid::XML, oid::POINT];
    !dropped.contains(&element_oid)
}

/// The element type of a built-in array type.
pub(crate) fn element_of(array: u32) -> Option<u32> {
    oid::ARRAYS.iter().find(|(known, _)| *known == array).map(|(_, element)| *element)
}

/// Name of the built-in types that occur most, for columns described without it.
pub(crate) fn builtin_type_name(type_oid: u32) -> &'static str {
    match type_oid {
        oid::BOOL => "bool",
        oid::BYTEA => "bytea",
        oid::CHAR => "char",
        oid::NAME => "name",
        oid::INT8 => "int8",
        oid::INT2 => "int2",
        oid::INT4 => "int4",
        oid::TEXT => "text",
        oid::OID => "oid",
        oid::JSON => "json",
        oid::XML => "xml",
        oid::POINT => "point",
        oid::FLOAT4 => "float4",
        oid::FLOAT8 => "float8",
        oid::MONEY => "money",
        oid::BPCHAR => "bpchar",
        oid::VARCHAR => "varchar",
        oid::DATE => "date",
        oid::TIME => "time",
        oid::TIMESTAMP => "timestamp",
        oid::TIMESTAMPTZ => "timestamptz",
        oid::INTERVAL => "interval",
        oid::TIMETZ => "timetz",
        oid::BIT => "bit",
        oid::VARBIT => "varbit",
        oid::NUMERIC => "numeric",
        oid::UUID => "uuid",
        oid::JSONB => "jsonb",
        _ => "",
    }
}

/// The type name without schema and quotes: `public.citext` and `"citext"` are `citext`.
pub(crate) fn plain_type_name(name: &str) -> &str {
    name.rsplit_once('.').map_or(name, |(_, name)| name).trim_matches('"')
}
