//! Values to messages and back, over a registry in memory whose requests are counted.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use avro_wire::{Framing, IdSpace, Schema, SchemaRef};
use registry_client::{
    AvroDeserializer, AvroSerializer, Client, Config, ErrorKind, Guid, Metadata, MockRegistry,
    NewSchema, Part, Reference, SchemaChoice, SchemaId, SchemaType, SerdeProperties, Strictness,
    Subject, SubjectNaming, SubjectStrategy, Version,
};
use serde::{Deserialize, Serialize};

const ORDER: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"id","type":"long"},{"name":"note","type":"string"}]}"#;
/// As `ORDER`, with a field more that has a default.
const LATER: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"id","type":"long"},{"name":"note","type":"string"},
    {"name":"state","type":"string","default":"new"}]}"#;
/// Cannot read `ORDER`.
const OTHER: &str = r#"{"type":"record","name":"Order","namespace":"shop","fields":[
    {"name":"id","type":"long"},{"name":"note","type":"string"},
    {"name":"price","type":"double"}]}"#;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Order {
    id: i64,
    note: String,
}

fn order() -> Order {
    Order { id: 21, note: "x".to_owned() }
}

/// The datum of [`order`] by `ORDER`.
const DATUM: &[u8] = b"\x2a\x02x";

fn registry() -> (MockRegistry, Client) {
    let registry = MockRegistry::new();
    let config = Config::new("http://mock").with_retries(0);
    let client = Client::with_transport(config, Arc::new(registry.clone())).unwrap();
    (registry, client)
}

fn schema(text: &str) -> Schema {
    Schema::parse(text).unwrap()
}

fn prefixed(id: u8, datum: &[u8]) -> Vec<u8> {
    [&[0, 0, 0, 0, id], datum].concat()
}

async fn encode(serializer: &AvroSerializer, schema: &Schema) -> Vec<u8> {
    let mut out = b"before".to_vec();
    serializer.encode("t", &order(), schema, &mut out).await.unwrap();
    out.split_off(6)
}

#[tokio::test]
async fn there_and_back_with_one_request_each() {
    let (registry, client) = registry();
    let serializer = AvroSerializer::new(client.clone(), Part::Value);
    let own = schema(ORDER);
    for _ in 0..100 {
        assert_eq!(encode(&serializer, &own).await, prefixed(1, DATUM));
        assert_eq!(encode(&serializer, &own.clone()).await, prefixed(1, DATUM));
    }
    assert_eq!(registry.requests(), 1);
    assert_eq!(client.versions(&Subject::new("t-value")).await.unwrap().len(), 1);

    let deserializer = AvroDeserializer::new(client.clone(), Part::Value);
    let message = prefixed(1, DATUM);
    assert!(deserializer.try_reader([], &message).is_none());
    for _ in 0..100 {
        assert_eq!(deserializer.decode::<Order>(&message).await.unwrap(), order());
    }
    assert_eq!(registry.requests(), 3);

    #[derive(Debug, PartialEq, Deserialize)]
    struct Borrowed<'a> {
        note: &'a str,
    }
    let (reader, datum) = deserializer.try_reader([], &message).unwrap();
    assert_eq!(reader.decode::<Borrowed<'_>>(datum).unwrap(), Borrowed { note: "x" });
    assert_eq!(reader.writer_schema().name(), Some("shop.Order"));
}

#[tokio::test]
async fn concurrent_first_records_are_one_request() {
    let (registry, client) = registry();
    let (serializer, own) = (AvroSerializer::new(client.clone(), Part::Key), schema(ORDER));
    let deserializer = AvroDeserializer::new(client.clone(), Part::Key);
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let (serializer, own) = (serializer.clone(), own.clone());
            tokio::spawn(async move { encode(&serializer, &own).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), prefixed(1, DATUM));
    }
    assert_eq!(registry.requests(), 1);
    let calls: Vec<_> = (0..500)
        .map(|_| {
            let deserializer = deserializer.clone();
            tokio::spawn(async move { deserializer.decode::<Order>(&prefixed(1, DATUM)).await })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap().unwrap(), order());
    }
    assert_eq!(registry.requests(), 2);
}

#[tokio::test]
async fn strategies_are_asked_once_for_a_topic_and_schema() {
    let (_registry, client) = registry();
    let own = schema(ORDER);
    let subject_of = async |strategy: SubjectStrategy, part| {
        let serializer = AvroSerializer::new(client.clone(), part).with_strategy(strategy);
        serializer.writer("t", &own).await.map(|writer| writer.subject().to_string())
    };
    let by = |naming: SubjectNaming| SubjectStrategy::from(naming);
    assert_eq!(subject_of(by(SubjectNaming::TopicName), Part::Key).await.unwrap(), "t-key");
    assert_eq!(subject_of(by(SubjectNaming::RecordName), Part::Key).await.unwrap(), "shop.Order");
    let both = by(SubjectNaming::TopicRecordName);
    assert_eq!(subject_of(both, Part::Value).await.unwrap(), "t-shop.Order");

    // This registry knows no associations.
    let associated = |fallback| SubjectStrategy::Associated { kafka_cluster: None, fallback };
    let fallback = associated(Some(SubjectNaming::TopicName));
    assert_eq!(subject_of(fallback, Part::Value).await.unwrap(), "t-value");
    let error = subject_of(associated(None), Part::Value).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);
    let error = subject_of(SubjectStrategy::custom(|_, _, _| None), Part::Key).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Config);

    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let custom = SubjectStrategy::custom(move |topic, part, record| {
        counter.fetch_add(1, Ordering::SeqCst);
        Some(Subject::new(&format!("{topic}/{part:?}/{}", record?)))
    });
    let serializer = AvroSerializer::new(client.clone(), Part::Value).with_strategy(custom);
    for _ in 0..10 {
        encode(&serializer, &own).await;
    }
    assert_eq!(asked.load(Ordering::SeqCst), 1);
    serializer.encode("u", &order(), &own, &mut Vec::new()).await.unwrap();
    serializer.encode("u", &order(), &schema(ORDER), &mut Vec::new()).await.unwrap();
    assert_eq!(asked.load(Ordering::SeqCst), 3);
    assert!(client.subjects().await.unwrap().contains(&Subject::new("t/Value/shop.Order")));
}

#[tokio::test]
async fn lookup_registers_nothing() {
    let (registry, client) = registry();
    let serializer =
        AvroSerializer::new(client.clone(), Part::Value).with_schema_choice(SchemaChoice::Lookup);
    let own = schema(ORDER);
    for _ in 0..10 {
        let result = serializer.encode("t", &order(), &own, &mut Vec::new()).await;
        assert_eq!(result.unwrap_err().kind(), ErrorKind::NotFound);
    }
    assert_eq!(registry.requests(), 1, "an absence is remembered");
    client.register(&Subject::new("u-value"), &NewSchema::new(ORDER)).await.unwrap();
    let mut out = Vec::new();
    serializer.encode("u", &order(), &own, &mut out).await.unwrap();
    assert_eq!(out, prefixed(1, DATUM));
    assert_eq!(client.subjects().await.unwrap(), [Subject::new("u-value")]);
}

#[tokio::test(start_paused = true)]
async fn the_latest_version_is_written_by_and_looked_at_again() {
    let (registry, client) = registry();
    let subject = Subject::new("t-value");
    client.register(&subject, &NewSchema::new(ORDER)).await.unwrap();
    let serializer = AvroSerializer::new(client.clone(), Part::Value)
        .with_schema_choice(SchemaChoice::Latest(Strictness::Strict));
    let own = schema(ORDER);
    assert_eq!(encode(&serializer, &own).await, prefixed(1, DATUM));
    // Another program registers a version; within a minute and a moment it is in use.
    let config = Config::new("http://mock");
    let other = Client::with_transport(config, Arc::new(registry.clone())).unwrap();
    other.register(&subject, &NewSchema::new(LATER)).await.unwrap();
    let requests = registry.requests();
    for _ in 0..59 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(encode(&serializer, &own).await[4], 1);
    }
    assert_eq!(registry.requests(), requests);
    for _ in 0..4 {
        tokio::time::sleep(Duration::from_secs(1)).await;
        encode(&serializer, &own).await;
    }
    assert_eq!(encode(&serializer, &own).await, prefixed(2, b"\x2a\x02x\x06new"));
    assert_eq!(registry.requests(), requests + 1);
}

#[tokio::test]
async fn a_latest_version_that_cannot_read_the_record_is_refused_unless_told_otherwise() {
    let (_registry, client) = registry();
    client.register(&Subject::new("t-value"), &NewSchema::new(OTHER)).await.unwrap();
    let own = schema(ORDER);
    let by = |strictness| {
        AvroSerializer::new(client.clone(), Part::Value)
            .with_schema_choice(SchemaChoice::Latest(strictness))
    };
    let mut out = b"kept".to_vec();
    let strict = by(Strictness::Strict);
    let error = strict.encode("t", &order(), &own, &mut out).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert!(source.contains("price"), "{source}");
    // Leniently it is up to the value.
    let lenient = by(Strictness::Lenient);
    let error = lenient.encode("t", &order(), &own, &mut out).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unencodable);
    assert_eq!(out, b"kept");
    #[derive(Serialize)]
    struct Priced<'a>(i64, &'a str, f64);
    lenient.encode("t", &Priced(21, "x", 0.0), &own, &mut out).await.unwrap();
    assert_eq!(out, [b"kept", &prefixed(1, DATUM)[..], &[0; 8]].concat());
}

#[tokio::test]
async fn versions_are_chosen_by_metadata_id_and_guid() {
    let (_registry, client) = registry();
    let subject = Subject::new("t-value");
    client.register(&subject, &NewSchema::new(OTHER)).await.unwrap();
    let later = client.registration(&subject, &NewSchema::new(LATER)).await.unwrap();
    let own = schema(ORDER);
    let by = |choice| AvroSerializer::new(client.clone(), Part::Value).with_schema_choice(choice);
    let datum = b"\x2a\x02x\x06new";

    let by_id = by(SchemaChoice::Id(later.id, Strictness::Strict));
    assert_eq!(encode(&by_id, &own).await, prefixed(2, datum));
    let guid = later.guid.unwrap();
    let by_guid = by(SchemaChoice::Guid(guid, Strictness::Strict));
    assert_eq!(encode(&by_guid, &own).await, prefixed(2, datum));
    let message = encode(&by_guid.clone().with_framing(Framing::ConfluentGuid), &own).await;
    assert_eq!(message, [&[1][..], &guid.get(), datum].concat());
    let refused = by(SchemaChoice::Id(SchemaId::new(1), Strictness::Strict));
    let error = refused.writer("t", &own).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Incompatible);
    let missing = by(SchemaChoice::Guid(Guid::new([7; 16]), Strictness::Lenient));
    assert_eq!(missing.writer("t", &own).await.unwrap_err().kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn the_guid_travels_in_a_header() {
    let (_registry, client) = registry();
    let own = schema(ORDER);
    for part in [Part::Key, Part::Value] {
        let serializer =
            AvroSerializer::new(client.clone(), part).with_framing(Framing::ConfluentHeader);
        let mut out = Vec::new();
        let header = serializer.encode("t", &order(), &own, &mut out).await.unwrap().unwrap();
        assert_eq!(out, DATUM);
        let guid = client.schema(SchemaId::new(1)).await.unwrap().guid().unwrap();
        assert_eq!(header.value(), [&[1][..], &guid.get()].concat());
        let name = if part == Part::Key { "__key_schema_id" } else { "__value_schema_id" };
        assert_eq!(header.name(), name);
        let headers = [("other", &b"x"[..]), (header.name(), header.value())];
        let deserializer = AvroDeserializer::new(client.clone(), part);
        let back: Order = deserializer.decode_record(headers, &out).await.unwrap();
        assert_eq!(back, order());
    }
}

#[tokio::test]
async fn apicurio_ids_are_ids_of_the_compatible_api() {
    let (_registry, client) = registry();
    let own = schema(ORDER);
    for (framing, header) in [
        (Framing::Apicurio4(IdSpace::Content), &[0, 0, 0, 0, 1][..]),
        (Framing::Apicurio8(IdSpace::Global), &[0, 0, 0, 0, 0, 0, 0, 0, 1][..]),
    ] {
        let serializer = AvroSerializer::new(client.clone(), Part::Value).with_framing(framing);
        let message = encode(&serializer, &own).await;
        assert_eq!(message, [header, DATUM].concat());
        let deserializer = AvroDeserializer::new(client.clone(), Part::Value).with_framing(framing);
        assert_eq!(deserializer.decode::<Order>(&message).await.unwrap(), order());
    }
    let glue = AvroSerializer::new(client.clone(), Part::Value).with_framing(Framing::GLUE);
    assert_eq!(glue.writer("t", &own).await.unwrap_err().kind(), ErrorKind::Config);
}

#[tokio::test]
async fn readers_see_their_own_schema() {
    #[derive(Debug, PartialEq, Deserialize)]
    struct Seen {
        number: f64,
        state: String,
    }
    let (registry, client) = registry();
    for text in [ORDER, LATER] {
        client.register(&Subject::new("t-value"), &NewSchema::new(text)).await.unwrap();
    }
    let reader = schema(
        r#"{"type":"record","name":"Order","namespace":"shop","fields":[
        {"name":"number","aliases":["id"],"type":"double"},
        {"name":"state","type":"string","default":"unknown"}]}"#,
    );
    let plain = AvroDeserializer::new(client.clone(), Part::Value);
    let deserializer = plain.clone().with_reader_schema(reader);
    let seen: Seen = deserializer.decode(&prefixed(1, DATUM)).await.unwrap();
    assert_eq!(seen, Seen { number: 21.0, state: "unknown".to_owned() });
    let seen: Seen = deserializer.decode(&prefixed(2, b"\x2a\x02x\x06old")).await.unwrap();
    assert_eq!(seen, Seen { number: 21.0, state: "old".to_owned() });

    let unfit = plain.clone().with_reader_schema(schema("\"string\""));
    let error = unfit.decode::<String>(&prefixed(1, DATUM)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Schema);
    assert_eq!(registry.requests(), 4);
}

#[tokio::test]
async fn a_decoder_follows_the_schema_from_message_to_message() {
    let (registry, client) = registry();
    let subject = Subject::new("t-value");
    for text in ["\"string\"", "\"bytes\""] {
        client.register(&subject, &NewSchema::new(text)).await.unwrap();
    }
    let mut decoder = AvroDeserializer::new(client, Part::Value).decoder();
    for id in [1, 1, 2, 1, 2, 2] {
        let message = prefixed(id, b"\x04hi");
        if id == 1 {
            assert_eq!(decoder.decode::<&str>([], &message).await.unwrap(), "hi");
        } else {
            assert_eq!(decoder.decode::<&[u8]>([], &message).await.unwrap(), b"hi");
        }
        let broken = decoder.decode::<&str>([], b"\x07").await.unwrap_err();
        assert_eq!(broken.kind(), ErrorKind::Undecodable);
        let missing = decoder.decode::<&str>([], &prefixed(9, b"")).await.unwrap_err();
        assert_eq!(missing.kind(), ErrorKind::NotFound);
    }
    assert_eq!(registry.requests(), 5);
}

#[tokio::test]
async fn broken_messages_cost_no_request_and_spoil_nothing() {
    let (registry, client) = registry();
    client.register(&Subject::new("t-value"), &NewSchema::new(ORDER)).await.unwrap();
    let deserializer = AvroDeserializer::new(client.clone(), Part::Value);
    for bad in [&b""[..], b"\0", b"\0\0\0\0", b"\x05\0\0\0\x01", b"\x01short", b"{\"id\":1}"] {
        let error = deserializer.decode::<Order>(bad).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{bad:?}");
        assert!(deserializer.try_reader([], bad).is_none());
    }
    assert_eq!(registry.requests(), 1);
    for datum in [&b""[..], b"\x2a", b"\x2a\xff\xff\xff\xff\x0fx", b"\x2a\x02x trailing"] {
        let error = deserializer.decode::<Order>(&prefixed(1, datum)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Undecodable, "{datum:?}");
    }
    assert_eq!(deserializer.decode::<Order>(&prefixed(1, DATUM)).await.unwrap(), order());
    for _ in 0..10 {
        let error = deserializer.decode::<Order>(&prefixed(9, DATUM)).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NotFound);
    }
    assert_eq!(registry.requests(), 3, "an absence is remembered");
    // A failure is not.
    registry.fail(1, 503);
    let error = deserializer.decode::<Order>(&prefixed(8, DATUM)).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Server);
    client.register(&Subject::new("u"), &NewSchema::new("\"int\"")).await.unwrap();
    assert_eq!(deserializer.decode::<i32>(&prefixed(2, b"\x02")).await.unwrap(), 1);
}

#[tokio::test]
async fn schemas_that_are_no_avro_are_told_apart() {
    let (_registry, client) = registry();
    let subject = Subject::new("s");
    let proto = NewSchema::new("syntax = \"proto3\";").with_type(SchemaType::Protobuf);
    for new in [proto, NewSchema::new("{}"), NewSchema::new("\"Nowhere\"")] {
        let id = client.register(&subject, &new).await.unwrap();
        let deserializer = AvroDeserializer::new(client.clone(), Part::Value);
        let message = prefixed(u8::try_from(id.get()).unwrap(), DATUM);
        let error = deserializer.decode::<Order>(&message).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema);
    }
}

fn refer(name: &str, subject: &str) -> Reference {
    Reference::new(name, Subject::new(subject), Version::new(1))
}

#[tokio::test]
async fn references_are_put_together_by_name() {
    let (registry, client) = registry();
    let add = async |subject: &str, text: &str, references: &[Reference]| {
        let new = NewSchema::new(text).with_references(references);
        client.register(&Subject::new(subject), &new).await.unwrap()
    };
    // A diamond: Top needs Left and Right, and both need Base.
    let field = |name: &str, of: &str| {
        format!(r#"{{"type":"record","name":"{name}","fields":[{{"name":"f","type":"{of}"}}]}}"#)
    };
    add("base", r#"{"type":"fixed","name":"Base","size":1}"#, &[]).await;
    add("left", &field("Left", "Base"), &[refer("Base", "base")]).await;
    add("right", &field("Right", "Base"), &[refer("Base", "base")]).await;
    let text = r#"{"type":"record","name":"Top","fields":[
        {"name":"l","type":"Left"},{"name":"r","type":"Right"}]}"#;
    let both = [refer("Left", "left"), refer("Right", "right")];
    let top = add("top", text, &both).await;
    let deserializer = AvroDeserializer::new(client.clone(), Part::Value);
    let before = registry.requests();
    let message = prefixed(u8::try_from(top.get()).unwrap(), b"ab");
    #[derive(Debug, PartialEq, Deserialize)]
    struct Half {
        f: [u8; 1],
    }
    #[derive(Debug, PartialEq, Deserialize)]
    struct Top {
        l: Half,
        r: Half,
    }
    let value: Top = deserializer.decode(&message).await.unwrap();
    assert_eq!(value, Top { l: Half { f: *b"a" }, r: Half { f: *b"b" } });
    assert_eq!(registry.requests(), before + 4, "each of the four once");

    // A serializer sends the references along.
    let parts: Vec<Schema> = [&field("Left", "Base"), &field("Right", "Base")]
        .into_iter()
        .map(|text| {
            let base = schema(r#"{"type":"fixed","name":"Base","size":1}"#);
            Schema::parse_with(text, &[base]).unwrap()
        })
        .collect();
    let own = Schema::parse_with(text, &parts).unwrap();
    let serializer = AvroSerializer::new(client.clone(), Part::Value);
    let writer = serializer.writer_with("t", &own, &both).await.unwrap();
    assert_eq!(writer.schema_ref(), SchemaRef::Id(top.get()));

    // A circle, and a chain that does not end.
    let circle = add("circle", &field("C", "C"), &[refer("C", "circle")]).await;
    add("x0", r#"{"type":"fixed","name":"X0","size":1}"#, &[]).await;
    let mut last = circle;
    for n in 1..40 {
        let below = format!("X{}", n - 1);
        let reference = refer(&below, &format!("x{}", n - 1));
        last = add(&format!("x{n}"), &field(&format!("X{n}"), &below), &[reference]).await;
    }
    for id in [circle, last] {
        let message = prefixed(u8::try_from(id.get()).unwrap(), b"a");
        let error = deserializer.decode::<Top>(&message).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Schema, "{error}");
    }
}

#[tokio::test]
async fn properties_make_the_pair() {
    let (registry, client) = registry();
    client
        .register(
            &Subject::new("shop.Order"),
            &NewSchema::new(LATER).with_metadata(Metadata::new().with_property("v", "1")),
        )
        .await
        .unwrap();
    let properties = SerdeProperties::new([
        ("schema.registry.url", "http://mock"),
        ("auto.register.schemas", "false"),
        ("use.latest.version", "true"),
        ("value.subject.name.strategy", "RecordNameStrategy"),
        ("value.schema.id.serializer", "HeaderSchemaIdSerializer"),
    ])
    .unwrap();
    assert!(properties.unknown().is_empty());
    let serializer = properties.serializer(client.clone(), Part::Value);
    let mut out = Vec::new();
    let header = serializer.encode("t", &order(), &schema(ORDER), &mut out).await.unwrap();
    let header = header.unwrap();
    let deserializer = properties.deserializer(client.clone(), Part::Value);
    let headers = [(header.name(), header.value())];
    assert_eq!(deserializer.decode_record::<Order>(headers, &out).await.unwrap(), order());
    assert_eq!(registry.requests(), 3);
}
