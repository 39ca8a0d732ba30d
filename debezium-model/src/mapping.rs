use crate::flatten::Flatten;
use crate::names::NameAdjustment;
use crate::op::Op;
use crate::outbox::Outbox;
use crate::route::{Router, TopicPredicate};
use crate::rules::ColumnRules;
use crate::toast::ToastPolicy;

/// How temporal types without a time zone are mapped (`time.precision.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum TimeMode {
    /// Milliseconds up to precision 3, microseconds above.
    #[default]
    Adaptive,
    /// As `Adaptive`, but `time` is always microseconds.
    AdaptiveTimeMicroseconds,
    /// Connect's own `Date`, `Time` and `Timestamp`: milliseconds, the rest cut off.
    Connect,
    /// Microseconds whatever the precision.
    Microseconds,
    /// Nanoseconds whatever the precision.
    Nanoseconds,
    /// ISO 8601 text.
    IsoString,
}

/// How `numeric` and `money` are mapped (`decimal.handling.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecimalMode {
    /// Exact: two's complement bytes of the unscaled value.
    #[default]
    Precise,
    /// The nearest 64-bit float.
    Double,
    /// Plain decimal text.
    String,
}

/// How `bytea` is mapped (`binary.handling.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum BinaryMode {
    /// Bytes.
    #[default]
    Bytes,
    /// Text in base64 with the standard alphabet.
    Base64,
    /// Text in base64 with the URL-safe alphabet, padded.
    Base64UrlSafe,
    /// Text in lower-case hexadecimal.
    Hex,
}

/// How `interval` is mapped (`interval.handling.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum IntervalMode {
    /// Microseconds, a month being 30.4375 days.
    #[default]
    Numeric,
    /// `P1Y2M3DT4H5M6.7S`, every part present.
    String,
}

/// How `hstore` is mapped (`hstore.handling.mode`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum HstoreMode {
    /// JSON text.
    #[default]
    Json,
    /// A map from text to optional text.
    Map,
}

/// Whether known defects of Debezium's output are kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Fidelity {
    /// Byte for byte what Debezium with Confluent's converter at default settings writes: null in
    /// an optional column with a default comes out as the default, and columns of type `name` are
    /// null while streaming.
    #[default]
    Debezium,
    /// What the table in the crate's documentation lists is done right.
    Corrected,
}

/// What becomes of a value that the mapped type has no room for, such as a `numeric` that is not a
/// number, when [`Fidelity::Corrected`] is asked for. Debezium writes null, or another value.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Unrepresentable {
    /// An error that names the column.
    #[default]
    Fail,
    /// Null, where the column may be null; otherwise an error.
    Null,
}

/// The options that decide how a table becomes schemas and records.
///
/// [`Default`] is Debezium's default. [`Mapping::from_properties`] reads a connector's
/// configuration.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    pub(crate) time: TimeMode,
    pub(crate) decimal: DecimalMode,
    pub(crate) binary: BinaryMode,
    pub(crate) interval: IntervalMode,
    pub(crate) hstore: HstoreMode,
    pub(crate) money_fraction_digits: u16,
    pub(crate) placeholder: Vec<u8>,
    pub(crate) tombstones: bool,
    pub(crate) skip_create: bool,
    pub(crate) skip_update: bool,
    pub(crate) skip_delete: bool,
    pub(crate) skip_truncate: bool,
    pub(crate) schema_names: NameAdjustment,
    pub(crate) field_names: NameAdjustment,
    pub(crate) topic_delimiter: String,
    pub(crate) flatten: Option<Flatten>,
    /// How many routers stand before the flattening.
    pub(crate) flatten_behind: usize,
    pub(crate) fidelity: Fidelity,
    pub(crate) unrepresentable: Unrepresentable,
    pub(crate) toast: ToastPolicy,
    pub(crate) unknown_types: bool,
    pub(crate) skip_unchanged: bool,
    pub(crate) columns: ColumnRules,
    pub(crate) transaction_topic: String,
    pub(crate) heartbeat_prefix: String,
    pub(crate) flatten_where: Option<TopicPredicate>,
    pub(crate) outbox: Option<Outbox>,
    pub(crate) outbox_where: Option<TopicPredicate>,
    pub(crate) routers: Vec<(Router, Option<TopicPredicate>)>,
}

impl Default for Mapping {
    fn default() -> Self {
        Self {
            time: TimeMode::default(),
            decimal: DecimalMode::default(),
            binary: BinaryMode::default(),
            interval: IntervalMode::default(),
            hstore: HstoreMode::default(),
            money_fraction_digits: 2,
            placeholder: b"__debezium_unavailable_value".to_vec(),
            tombstones: true,
            skip_create: false,
            skip_update: false,
            skip_delete: false,
            skip_truncate: true,
            schema_names: NameAdjustment::default(),
            field_names: NameAdjustment::default(),
            topic_delimiter: ".".to_owned(),
            flatten: None,
            flatten_behind: 0,
            fidelity: Fidelity::default(),
            unrepresentable: Unrepresentable::default(),
            toast: ToastPolicy::default(),
            unknown_types: false,
            skip_unchanged: false,
            columns: ColumnRules::default(),
            transaction_topic: "transaction".to_owned(),
            heartbeat_prefix: "__debezium-heartbeat".to_owned(),
            flatten_where: None,
            outbox: None,
            outbox_where: None,
            routers: Vec::new(),
        }
    }
}

impl Mapping {
    /// The same mapping with another `time.precision.mode`.
    #[must_use]
    pub fn with_time(mut self, mode: TimeMode) -> Self {
        self.time = mode;
        self
    }

    /// The same mapping with another `decimal.handling.mode`.
    #[must_use]
    pub fn with_decimal(mut self, mode: DecimalMode) -> Self {
        self.decimal = mode;
        self
    }

    /// The same mapping with another `binary.handling.mode`.
    #[must_use]
    pub fn with_binary(mut self, mode: BinaryMode) -> Self {
        self.binary = mode;
        self
    }

    /// The same mapping with another `interval.handling.mode`.
    #[must_use]
    pub fn with_interval(mut self, mode: IntervalMode) -> Self {
        self.interval = mode;
        self
    }

    /// The same mapping with another `hstore.handling.mode`.
    #[must_use]
    pub fn with_hstore(mut self, mode: HstoreMode) -> Self {
        self.hstore = mode;
        self
    }

    /// The same mapping with another `unavailable.value.placeholder`, which stands for values
    /// that PostgreSQL stores out of line and did not send because they did not change: text, or
    /// `hex:` and the bytes that stand for binary values.
    #[must_use]
    pub fn with_placeholder(mut self, placeholder: &str) -> Self {
        let bytes = placeholder.strip_prefix("hex:").and_then(bytes_of_hex);
        self.placeholder = bytes.unwrap_or_else(|| placeholder.as_bytes().to_vec());
        self
    }

    /// The same mapping with name adjustment for schemas and for fields.
    #[must_use]
    pub fn with_names(mut self, schemas: NameAdjustment, fields: NameAdjustment) -> Self {
        self.schema_names = schemas;
        self.field_names = fields;
        self
    }

    /// The same mapping with flattened values instead of envelopes. Routers that are added later
    /// leave the names of their schemas as they are.
    #[must_use]
    pub fn with_flatten(mut self, flatten: Flatten) -> Self {
        self.flatten = Some(flatten);
        self.flatten_behind = self.routers.len();
        self
    }

    /// The same mapping, its tables being outboxes.
    #[must_use]
    pub fn with_outbox(mut self, outbox: Outbox) -> Self {
        self.outbox = Some(outbox);
        self
    }

    /// The same mapping with one more router, behind those it has.
    #[must_use]
    pub fn with_router(mut self, router: Router) -> Self {
        self.routers.push((router, None));
        self
    }

    /// The same mapping, keeping or correcting Debezium's known defects.
    #[must_use]
    pub fn with_fidelity(mut self, fidelity: Fidelity) -> Self {
        self.fidelity = fidelity;
        self
    }

    /// The same mapping with another way with values that have no place in their mapped type.
    #[must_use]
    pub fn with_unrepresentable(mut self, policy: Unrepresentable) -> Self {
        self.unrepresentable = policy;
        self
    }

    /// The same mapping with another way with values that were not sent.
    #[must_use]
    pub fn with_toast(mut self, policy: ToastPolicy) -> Self {
        self.toast = policy;
        self
    }

    /// What becomes of values that were not sent.
    #[must_use]
    pub const fn toast(&self) -> ToastPolicy {
        self.toast
    }

    /// Appends what identifies a transaction in its metadata: its number and the position of the
    /// event at hand, as Debezium has it, so that events of one transaction differ; the number
    /// alone when [`Fidelity::Corrected`] is asked for.
    pub fn write_transaction_id(&self, xid: u32, lsn: u64, out: &mut String) {
        use std::fmt::Write as _;
        // Writing to a string cannot fail.
        let _ = match self.fidelity {
            Fidelity::Debezium => write!(out, "{xid}:{lsn}"),
            Fidelity::Corrected => write!(out, "{xid}"),
        };
    }

    /// Whether a delete is followed by a tombstone (`tombstones.on.delete`).
    #[must_use]
    pub fn tombstones_on_delete(&self) -> bool {
        self.tombstones
    }

    /// Whether changes of this kind make no records (`skipped.operations`).
    #[must_use]
    pub fn skips(&self, op: Op) -> bool {
        match op {
            Op::Create => self.skip_create,
            Op::Update => self.skip_update,
            Op::Delete => self.skip_delete,
            Op::Truncate => self.skip_truncate,
            Op::Read | Op::Message => false,
        }
    }

    /// Whether Debezium's known defects are kept.
    #[must_use]
    pub const fn fidelity(&self) -> Fidelity {
        self.fidelity
    }

    /// Whether rows are events of an outbox, which `Table::outbox_event` reads; of a table's own
    /// mapping, the predicate of the option has been asked already.
    #[must_use]
    pub const fn is_outbox(&self) -> bool {
        self.outbox.is_some()
    }

    /// How values are flattened, if they are.
    #[must_use]
    pub fn flatten(&self) -> Option<&Flatten> {
        self.flatten.as_ref()
    }
}

/// The bytes that pairs of hexadecimal digits stand for.
fn bytes_of_hex(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let pairs = pairs.iter().map(|pair| u8::from_str_radix(str::from_utf8(pair).ok()?, 16).ok());
    pairs.collect::<Option<_>>().filter(|_| rest.is_empty())
}
