//! Targets of `avro-wire`.

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::writer::datum::GenericDatumWriter;
use avro_wire::json::{self, Form};
use avro_wire::logical::{Date, Decimal, LocalTimestamp, Time, Timestamp, Uuid};
use avro_wire::{Compression, Error, Framing, IdSpace, Kind, Resolution, Schema, TypeView, ocf};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, SerializeSeq as _, Serializer};

/// A message with the header of a schema registry, read as each of the framings.
pub fn framing(data: &[u8]) {
    let one_way = [
        Framing::ConfluentHeader,
        Framing::ApicurioOptimistic(IdSpace::Global),
        Framing::ApicurioHeader(IdSpace::Content),
        Framing::GlueZlib,
    ];
    for framing in one_way {
        if let Err(error) = framing.split(data) {
            check(&error, data);
        }
    }
    let both_ways = [
        Framing::Confluent,
        Framing::ConfluentGuid,
        Framing::ConfluentPrefix,
        Framing::Apicurio4(IdSpace::Content),
        Framing::Apicurio8(IdSpace::Global),
        Framing::Glue,
        Framing::SingleObject,
    ];
    for framing in both_ways {
        match framing.split(data) {
            Ok(frame) if frame.compression == Compression::None => {
                let mut again = Vec::new();
                assert!(framing.write_header(frame.schema, &mut again).is_ok(), "{framing:?}");
                again.extend_from_slice(frame.datum);
                assert_eq!(again, data, "{framing:?}");
            }
            Ok(frame) => assert!(frame.datum.len() < data.len()),
            Err(error) => check(&error, data),
        }
    }
}

/// The text of a schema.
pub fn schema(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let schema = match Schema::parse(text) {
        Ok(schema) => schema,
        Err(error) => return check(&error, data),
    };
    assert_eq!(schema.as_str(), text);
    walk(schema.root_type(), 4);
    let canonical = schema.canonical_form();
    // A name without namespace under one with a namespace is another name when read again; the
    // specification's canonical form has that flaw.
    if !canonical.contains('.') {
        match Schema::parse(&canonical) {
            Ok(again) => {
                assert_eq!(again.canonical_form(), canonical);
                assert_eq!(again.fingerprint(), schema.fingerprint());
            }
            Err(error) => panic!("the canonical form of a schema is one: {error}: {canonical}"),
        }
    }
    let zeros = [0; 64];
    if let Ok(length) = schema.skip(&zeros) {
        assert!(length <= zeros.len());
    }
    let _ = Schema::parse_with(r#"{"type":"array","items":"string"}"#, &[schema]);
}

fn walk(view: TypeView<'_>, depth: u8) {
    let Some(depth) = depth.checked_sub(1) else { return };
    let _ = (view.logical(), view.name(), view.size(), view.symbols().count());
    match view.kind() {
        Kind::Record => {
            for field in view.fields().take(16) {
                let _ = (field.name(), field.default(), field.default_datum());
                walk(field.field_type(), depth);
            }
        }
        _ => {
            view.branches().take(16).for_each(|branch| walk(branch, depth));
            if let Some(items) = view.items() {
                walk(items, depth);
            }
        }
    }
}

/// A datum of one of [`SCHEMAS`]; the first byte says which.
pub fn datum(data: &[u8]) {
    let Some((&choice, datum)) = data.split_first() else { return };
    let Some(schema) = SCHEMAS.get(usize::from(choice) % SCHEMAS.len()) else { return };
    match avro_wire::decode::<Any>(datum, schema) {
        Ok(value) => {
            assert_eq!(schema.skip(datum).ok(), Some(datum.len()), "for {value:?}");
            let mut encoded = Vec::new();
            let outcome = avro_wire::encode(&value, schema, &mut encoded);
            assert!(outcome.is_ok(), "{outcome:?} for {value:?}, which was decoded");
            assert_eq!(schema.skip(&encoded).ok(), Some(encoded.len()));
            let again = avro_wire::decode::<Any>(&encoded, schema);
            assert_eq!(format!("{again:?}"), format!("{:?}", Ok::<_, Error>(&value)));
            if let Some(theirs) = THEIRS.get(usize::from(choice) % SCHEMAS.len()) {
                compare(value, datum, schema, theirs, None);
            }
        }
        Err(error) => check(&error, datum),
    }
    // May also take what `decode` does not: it looks into no string and no block with a size.
    match schema.skip(datum) {
        Ok(length) => assert!(length <= datum.len()),
        Err(error) => check(&error, datum),
    }
    for path in ["a", "b.c", "after.id", "source.lsn", "op", "next"] {
        let Some(reader) = schema.field_reader(path) else { continue };
        if let Err(error) = reader.read(datum) {
            check(&error, datum);
        }
    }
}

/// A datum of the writer's schema of one of [`PAIRS`], read with the reader's; the first byte says
/// which.
pub fn resolution(data: &[u8]) {
    let Some((&choice, datum)) = data.split_first() else { return };
    let Some(pair) = PAIRS.get(usize::from(choice) % PAIRS.len()) else { return };
    let value = match pair.resolution.decode::<Any>(datum) {
        Ok(value) => value,
        Err(error) => return check(&error, datum),
    };
    assert_eq!(pair.writer.skip(datum).ok(), Some(datum.len()), "for {value:?}");
    let mut encoded = Vec::new();
    let outcome = avro_wire::encode(&value, &pair.reader, &mut encoded);
    assert!(outcome.is_ok(), "{outcome:?} for {value:?}, which was decoded");
    match avro_wire::decode::<Any>(&encoded, &pair.reader) {
        Ok(again) => {
            assert_eq!(format!("{:?}", again.sorted()), format!("{:?}", value.clone().sorted()));
        }
        Err(error) => panic!("{error} for {value:?}, which was encoded"),
    }
    // Not about blocks that were stepped over by their size, of which it reads each item.
    if avro_wire::decode::<Any>(datum, &pair.writer).is_ok() {
        compare(value, datum, &pair.reader, &pair.their_writer, Some(&pair.their_reader));
    }
}

/// Whether apache-avro, if it accepts the datum too, finds the same `value`. It is asked only about
/// data accepted here, because it bounds neither depth nor the time for items of no bytes.
fn compare(
    value: Any,
    datum: &[u8],
    schema: &Schema,
    writer: &apache_avro::Schema,
    reader: Option<&apache_avro::Schema>,
) {
    // It keeps maps in hash tables, which have each key once.
    if value.repeats_key() {
        return;
    }
    let read = GenericDatumReader::builder(writer).maybe_reader_schema(reader).build();
    let theirs = read.and_then(|read| read.read_value(&mut &*datum));
    let write = GenericDatumWriter::builder(reader.unwrap_or(writer)).build();
    let theirs = theirs.and_then(|theirs| write.and_then(|write| write.write_value_to_vec(theirs)));
    if let Ok(theirs) = theirs {
        let theirs = avro_wire::decode::<Any>(&theirs, schema).map(Any::sorted);
        assert_eq!(format!("{theirs:?}"), format!("{:?}", Ok::<_, Error>(value.sorted())));
    }
}

/// A datum of one of [`SCHEMAS`] as JSON, in both forms; the first byte says which schema.
pub fn as_json(data: &[u8]) {
    let Some((&choice, datum)) = data.split_first() else { return };
    let Some(schema) = SCHEMAS.get(usize::from(choice) % SCHEMAS.len()) else { return };
    let decoded = avro_wire::decode::<Any>(datum, schema);
    for form in [Form::Avro, Form::Plain] {
        let mut written = Vec::new();
        let outcome = json::write(datum, schema, form, &mut written);
        match json::to_string(datum, schema, form) {
            Ok(text) => {
                assert!(outcome.is_ok() && written == text.as_bytes(), "{outcome:?}");
                let value = serde_json::from_str::<serde_json::Value>(&text);
                assert!(value.is_ok(), "{value:?}: {text}");
                assert!(decoded.is_ok(), "{decoded:?}");
            }
            Err(error) => {
                check(&error, datum);
                assert!(outcome.is_err());
                // A long decimal has no text.
                assert!(form == Form::Plain || decoded.is_err(), "{error}");
            }
        }
    }
}

/// The text of a decimal, UUID, date or time.
pub fn text(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    again::<Date>(text);
    again::<Time>(text);
    again::<Timestamp>(text);
    again::<LocalTimestamp>(text);
    again::<Uuid>(text);
    again::<Decimal<'_>>(text);
    match Decimal::parse(text, 3) {
        Ok(decimal) => {
            let plain = format!("{decimal:#}");
            assert_eq!(Decimal::parse(&plain, 3).ok(), Some(decimal), "{plain}");
        }
        Err(error) => check(&error, data),
    }
}

/// What a text means is shown in a text that means the same.
fn again<T: FromStr<Err = Error> + fmt::Display + fmt::Debug + PartialEq>(text: &str) {
    match text.parse::<T>() {
        Ok(value) => {
            let shown = value.to_string();
            assert_eq!(shown.parse::<T>().ok(), Some(value), "{text} became {shown}");
        }
        Err(error) => check(&error, text.as_bytes()),
    }
}

/// An object container file. Blocks may inflate to one MiB.
pub fn container(data: &[u8]) {
    let mut reader = match ocf::Reader::new(data) {
        Ok(reader) => reader.with_block_limit(1 << 20),
        Err(error) => return check(&error, data),
    };
    let schema = reader.schema().clone();
    loop {
        match reader.next() {
            Ok(Some(datum)) => assert_eq!(schema.skip(datum).ok(), Some(datum.len())),
            Ok(None) => return,
            // An offset here may count within an inflated block.
            Err(error) => return drop(error.to_string()),
        }
    }
}

fn check(error: &Error, data: &[u8]) {
    if let Some(offset) = error.offset() {
        assert!(offset <= data.len(), "{error} lies outside of {} bytes", data.len());
    }
    let _ = error.to_string();
}

/// No union here has two branches that a value could be mistaken for.
static SCHEMAS: LazyLock<Vec<Schema>> = LazyLock::new(|| {
    let texts = [
        r#""long""#,
        r#"["null","string"]"#,
        r#"{"type":"array","items":["null","long","string",{"type":"map","values":"bytes"}]}"#,
        r#"{"type":"map","values":{"type":"array","items":"double"}}"#,
        r#"{"type":"record","name":"Node","fields":[{"name":"a","type":"int"},
            {"name":"next","type":["null","Node"]}]}"#,
        r#"{"type":"record","name":"Tree","fields":[
            {"name":"children","type":{"type":"array","items":"Tree"}}]}"#,
        r#"{"type":"record","name":"Wide","fields":[
            {"name":"a","type":"boolean"},{"name":"f","type":"float"},
            {"name":"x","type":{"type":"fixed","name":"Six","size":6}},
            {"name":"e","type":{"type":"enum","name":"E","symbols":["p","q","r"]}},
            {"name":"b","type":{"type":"record","name":"B","fields":[{"name":"c","type":"string"}]}},
            {"name":"n","type":"null"},
            {"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}}]}"#,
        r#"{"type":"array","items":"null"}"#,
        r#"{"type":"record","name":"Envelope","namespace":"cdc.public.orders","fields":[
            {"name":"before","type":["null",{"type":"record","name":"Value","fields":[
                {"name":"id","type":"long"},{"name":"note","type":["null","string"],"default":null},
                {"name":"price","type":["null","bytes"],"default":null}]}],"default":null},
            {"name":"after","type":["null","Value"],"default":null},
            {"name":"source","type":{"type":"record","name":"Source","fields":[
                {"name":"db","type":"string"},{"name":"lsn","type":["null","long"]}]}},
            {"name":"op","type":"string"},{"name":"ts_ms","type":["null","long"]}]}"#,
        r#"{"type":"array","items":{"type":"record","name":"Logical","fields":[
            {"name":"de","type":{"type":"bytes","logicalType":"decimal","precision":99,"scale":7}},
            {"name":"bi","type":{"type":"bytes","logicalType":"big-decimal"}},
            {"name":"us","type":{"type":"string","logicalType":"uuid"}},
            {"name":"uf","type":{"type":"fixed","name":"U","size":16,"logicalType":"uuid"}},
            {"name":"du","type":{"type":"fixed","name":"D","size":12,"logicalType":"duration"}},
            {"name":"da","type":{"type":"int","logicalType":"date"}},
            {"name":"tm","type":{"type":"int","logicalType":"time-millis"}},
            {"name":"tu","type":{"type":"long","logicalType":"time-micros"}},
            {"name":"sm","type":{"type":"long","logicalType":"timestamp-millis"}},
            {"name":"su","type":{"type":"long","logicalType":"timestamp-micros"}},
            {"name":"sn","type":{"type":"long","logicalType":"timestamp-nanos"}},
            {"name":"lm","type":{"type":"long","logicalType":"local-timestamp-millis"}}]}}"#,
    ];
    texts.iter().filter_map(|text| Schema::parse(text).ok()).collect()
});

/// [`SCHEMAS`] for apache-avro, without logical types: it turns those into types of its own, which
/// not all data fit.
static THEIRS: LazyLock<Vec<apache_avro::Schema>> =
    LazyLock::new(|| SCHEMAS.iter().map(|schema| apache_schema(schema.as_str())).collect());

fn apache_schema(text: &str) -> apache_avro::Schema {
    match apache_avro::Schema::parse_str(&text.replace("logicalType", "logical")) {
        Ok(schema) => schema,
        Err(error) => panic!("{error}: {text}"),
    }
}

struct Pair {
    writer: Schema,
    reader: Schema,
    resolution: Resolution,
    their_writer: apache_avro::Schema,
    their_reader: apache_avro::Schema,
}

/// Writer and reader.
static PAIRS: LazyLock<Vec<Pair>> = LazyLock::new(|| {
    let texts = [
        (r#""int""#, r#"["null","double"]"#),
        (r#"["null","string"]"#, r#"["bytes","null"]"#),
        (r#"{"type":"array","items":"bytes"}"#, r#"{"type":"array","items":"string"}"#),
        (
            r#"{"type":"map","values":["int","string","null"]}"#,
            r#"{"type":"map","values":["null","string","long"]}"#,
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["a","b","c"]}"#,
            r#"{"type":"enum","name":"E","symbols":["c","a"],"default":"a"}"#,
        ),
        (
            r#"{"type":"enum","name":"E","symbols":["a","b"]}"#,
            r#"{"type":"enum","name":"E","symbols":["b"]}"#,
        ),
        (
            r#"{"type":"record","name":"Node","fields":[{"name":"gone","type":"string"},
                {"name":"a","type":"int"},{"name":"next","type":["null","Node"]}]}"#,
            r#"{"type":"record","name":"Node","fields":[{"name":"next","type":["null","Node"]},
                {"name":"new","type":{"type":"array","items":"int"},"default":[1,2]},
                {"name":"a","type":"long"}]}"#,
        ),
        (
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"float"},
                {"name":"m","type":{"type":"map","values":{"type":"array","items":"null"}}},
                {"name":"b","type":{"type":"fixed","name":"F","size":3}}]}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"b","type":["null",
                {"type":"fixed","name":"F","size":3}]},{"name":"A","aliases":["a"],"type":"double"},
                {"name":"c","type":["null","long"],"default":null}]}"#,
        ),
        (
            r#"{"type":"record","name":"Outer","fields":[{"name":"x","type":[{"type":"record",
                "name":"A","fields":[{"name":"n","type":"long"}]},{"type":"record","name":"B",
                "fields":[{"name":"s","type":"string"}]}]},{"name":"y","type":"A"}]}"#,
            r#"{"type":"record","name":"Outer","fields":[{"name":"x","type":[{"type":"record",
                "name":"A","fields":[{"name":"n","type":"double"}]},"null"]},{"name":"y",
                "type":{"type":"record","name":"C","aliases":["A"],"fields":[]}}]}"#,
        ),
    ];
    let compile = |(writer, reader): (&str, &str)| {
        let (their_writer, their_reader) = (apache_schema(writer), apache_schema(reader));
        let (writer, reader) = (Schema::parse(writer).ok()?, Schema::parse(reader).ok()?);
        let resolution = Resolution::new(&writer, &reader).ok()?;
        Some(Pair { writer, reader, resolution, their_writer, their_reader })
    };
    let pairs: Vec<_> = texts.into_iter().filter_map(compile).collect();
    assert_eq!(pairs.len(), texts.len());
    pairs
});

/// Any datum. Integers and floats are widened; maps and records keep their order.
#[derive(Debug, Clone)]
enum Any {
    Null,
    Boolean(bool),
    Long(i64),
    Double(f64),
    Bytes(Vec<u8>),
    String(String),
    List(Vec<Self>),
    Map(Vec<(String, Self)>),
}

impl Any {
    /// The same with the fields of records and the entries of maps by name.
    fn sorted(self) -> Self {
        match self {
            Self::List(items) => Self::List(items.into_iter().map(Self::sorted).collect()),
            Self::Map(entries) => {
                let sorted = entries.into_iter().map(|(key, value)| (key, value.sorted()));
                let mut entries: Vec<_> = sorted.collect();
                entries.sort_by(|a, b| a.0.cmp(&b.0));
                Self::Map(entries)
            }
            other => other,
        }
    }

    fn repeats_key(&self) -> bool {
        match self {
            Self::List(items) => items.iter().any(Self::repeats_key),
            Self::Map(entries) => {
                let mut keys: Vec<_> = entries.iter().map(|(key, _)| key).collect();
                keys.sort_unstable();
                keys.windows(2).any(|pair| matches!(pair, [a, b] if a == b))
                    || entries.iter().any(|(_, value)| value.repeats_key())
            }
            _ => false,
        }
    }
}

impl<'de> Deserialize<'de> for Any {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyVisitor)
    }
}

struct AnyVisitor;

impl<'de> Visitor<'de> for AnyVisitor {
    type Value = Any;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("anything")
    }

    fn visit_unit<E>(self) -> Result<Any, E> {
        Ok(Any::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Any, E> {
        Ok(Any::Boolean(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Any, E> {
        Ok(Any::Long(value))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Any, E> {
        Ok(Any::Double(value))
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Any, E> {
        Ok(Any::Bytes(value.to_vec()))
    }

    fn visit_str<E>(self, value: &str) -> Result<Any, E> {
        Ok(Any::String(value.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Any, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Any::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Any, A::Error> {
        let mut map = Vec::new();
        while let Some(entry) = entries.next_entry()? {
            map.push(entry);
        }
        Ok(Any::Map(map))
    }
}

impl Serialize for Any {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => serializer.serialize_unit(),
            Self::Boolean(value) => serializer.serialize_bool(*value),
            Self::Long(value) => serializer.serialize_i64(*value),
            Self::Double(value) => serializer.serialize_f64(*value),
            Self::Bytes(value) => serializer.serialize_bytes(value),
            Self::String(value) => serializer.serialize_str(value),
            Self::List(items) => {
                let mut list = serializer.serialize_seq(Some(items.len()))?;
                for item in items {
                    list.serialize_element(item)?;
                }
                list.end()
            }
            Self::Map(entries) => {
                let mut map = serializer.serialize_map(Some(entries.len()))?;
                for (key, value) in entries {
                    map.serialize_entry(key, value)?;
                }
                map.end()
            }
        }
    }
}
