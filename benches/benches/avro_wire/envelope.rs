//! The envelope as structs, and 2,000 of them.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Visitor};
use serde::{Serialize, Serializer};
use serde_json::{Value, json};

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Envelope<S, R> {
    pub(crate) before: Option<R>,
    pub(crate) after: Option<R>,
    pub(crate) source: Source<S>,
    pub(crate) transaction: Option<Block<S>>,
    pub(crate) op: S,
    pub(crate) ts_ms: Option<i64>,
    pub(crate) ts_us: Option<i64>,
    pub(crate) ts_ns: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename = "Value")]
pub(crate) struct Row<S, B> {
    pub(crate) event_id: i64,
    pub(crate) customer_id: i64,
    pub(crate) order_id: Option<i64>,
    pub(crate) employee: Option<S>,
    pub(crate) amount: Option<B>,
    pub(crate) status: S,
    pub(crate) created_at: S,
    pub(crate) updated_at: Option<i64>,
    pub(crate) is_active: bool,
    pub(crate) tags: Option<Vec<Option<S>>>,
    pub(crate) ext_ref: Option<S>,
    pub(crate) note: Option<S>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct Source<S> {
    pub(crate) version: S,
    pub(crate) connector: S,
    pub(crate) name: S,
    pub(crate) ts_ms: i64,
    pub(crate) snapshot: Option<S>,
    pub(crate) db: S,
    pub(crate) sequence: Option<S>,
    pub(crate) ts_us: Option<i64>,
    pub(crate) ts_ns: Option<i64>,
    pub(crate) schema: S,
    pub(crate) table: S,
    #[serde(rename = "txId")]
    pub(crate) tx_id: Option<i64>,
    pub(crate) lsn: Option<i64>,
    pub(crate) xmin: Option<i64>,
    pub(crate) origin: Option<S>,
    pub(crate) origin_lsn: Option<i64>,
}

#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(rename = "block")]
pub(crate) struct Block<S> {
    pub(crate) id: S,
    pub(crate) total_order: i64,
    pub(crate) data_collection_order: i64,
}

pub(crate) type BorrowedRow<'a> = Row<&'a str, Blob<&'a [u8]>>;
pub(crate) type Borrowed<'a> = Envelope<&'a str, BorrowedRow<'a>>;
pub(crate) type OwnedRow = Row<String, Blob<Vec<u8>>>;
pub(crate) type Owned = Envelope<String, OwnedRow>;

/// The row as a later version of a reader has it; see [`later`].
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub(crate) struct LaterRow<'a> {
    pub(crate) event_id: i64,
    pub(crate) customer_id: f64,
    pub(crate) region: &'a str,
    pub(crate) order_id: Option<i64>,
    pub(crate) employee: Option<&'a str>,
    #[serde(borrow)]
    pub(crate) amount: Option<Blob<&'a [u8]>>,
    pub(crate) status: &'a str,
    pub(crate) updated_at: Option<i64>,
    pub(crate) created_at: &'a str,
    pub(crate) is_active: bool,
    pub(crate) tags: Option<Vec<Option<&'a str>>>,
    pub(crate) remark: Option<&'a str>,
}

pub(crate) type Later<'a> = Envelope<&'a str, LaterRow<'a>>;

/// The schema of [`Later`]: a number is promoted, a field has a default, one is gone, one has
/// another name, and two stand in another order.
pub(crate) fn later(text: &str) -> String {
    let mut schema: Value = serde_json::from_str(text).unwrap();
    let fields = schema["fields"][0]["type"][1]["fields"].as_array_mut().unwrap();
    fields[1]["type"] = "double".into();
    fields.insert(2, json!({"name": "region", "type": "string", "default": "unknown"}));
    fields.swap(7, 8);
    fields.remove(11);
    fields[11]["name"] = "remark".into();
    fields[11]["aliases"] = json!(["note"]);
    schema.to_string()
}

/// Bytes that say so to serde.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Blob<T>(pub(crate) T);

impl<T: AsRef<[u8]>> Serialize for Blob<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0.as_ref())
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Blob<&'a [u8]> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&[u8]>::deserialize(deserializer).map(Blob)
    }
}

impl<'de> Deserialize<'de> for Blob<Vec<u8>> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;

        impl Visitor<'_> for Bytes {
            type Value = Blob<Vec<u8>>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("bytes")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Self::Value, E> {
                Ok(Blob(bytes.to_vec()))
            }
        }

        deserializer.deserialize_bytes(Bytes)
    }
}

/// Records after the example of one that was captured: as many inserts as updates, a few deletes,
/// with all columns of the old row; every optional column is null now and then; numbers and texts
/// of many lengths. The same every time.
pub(crate) fn vary(captured: &Owned, count: i64) -> Vec<Owned> {
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let template = captured.after.as_ref().unwrap();
    (1..=count)
        .map(|n| {
            let mut envelope = captured.clone();
            let before = row(template, n, &mut random);
            let after = row(template, n, &mut random);
            let op = ["c", "u", "c", "u", "c", "u", "c", "u", "r", "d"][random.below(10)];
            envelope.op = op.to_owned();
            envelope.before = matches!(op, "u" | "d").then_some(before);
            envelope.after = (op != "d").then_some(after);
            let source = &mut envelope.source;
            source.ts_ms += n;
            source.ts_us = source.ts_us.map(|t| t + n * 1009);
            source.ts_ns = source.ts_ns.map(|t| t + n * 1_009_013);
            source.lsn = source.lsn.map(|lsn| lsn + n * 328);
            source.tx_id = source.tx_id.map(|id| id + n / 5);
            let lsn = source.lsn.unwrap_or_default();
            source.sequence = Some(format!("[\"{}\",\"{lsn}\"]", lsn - 1640));
            envelope.ts_ms = envelope.ts_ms.map(|t| t + n);
            envelope.ts_us = envelope.ts_us.map(|t| t + n * 1013);
            envelope.ts_ns = envelope.ts_ns.map(|t| t + n * 1_013_009);
            envelope
        })
        .collect()
}

fn row(template: &OwnedRow, n: i64, random: &mut Random) -> OwnedRow {
    let mut row = template.clone();
    row.event_id = n;
    row.customer_id = i64::try_from(random.below(200_000)).unwrap();
    row.order_id = random.mostly(|r| i64::try_from(r.below(50_000_000)).unwrap());
    row.employee =
        random.mostly(|r| format!("{{\"id\": {}, \"name\": \"{}\"}}", r.below(10_000), r.text(20)));
    row.amount = random.mostly(|r| {
        let cents = u32::try_from(r.below(2_000_000_000)).unwrap().to_be_bytes();
        Blob(cents[r.below(3)..].to_vec())
    });
    row.status = ["NEW", "PAID", "SHIPPED", "RETURNED"][random.below(4)].to_owned();
    row.updated_at =
        random.mostly(|r| 1_700_000_000_000_000 + i64::try_from(r.below(1 << 40)).unwrap());
    row.is_active = random.below(2) == 0;
    row.tags = random.mostly(|r| {
        let count = r.below(3);
        (0..count).map(|_| r.mostly(|r| r.text(8))).collect()
    });
    row.ext_ref = random.mostly(|r| {
        let (a, b) = (r.below(1 << 32), r.below(1 << 48));
        format!("{a:08x}-0000-4000-8000-{b:012x}")
    });
    row.note = random.mostly(|r| r.text(NOTE));
    row
}

/// Brings the mean message to the 343 bytes that the goals speak of.
const NOTE: u64 = 40;

struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, end: u64) -> usize {
        usize::try_from((self.next() >> 11) % end).unwrap()
    }

    fn mostly<T>(&mut self, value: impl FnOnce(&mut Self) -> T) -> Option<T> {
        (self.below(4) > 0).then(|| value(self))
    }

    /// Words of ASCII and a few other letters, up to `limit` characters.
    fn text(&mut self, limit: u64) -> String {
        let length = self.below(limit);
        let letters = ["a", "e", "n", "r", "t", "s", "i", "o", " ", "l", "d", "u"];
        (0..length)
            .map(|_| if self.below(64) == 0 { "é" } else { letters[self.below(12)] })
            .collect()
    }
}
