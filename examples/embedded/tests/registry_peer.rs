//! The crate schema_registry_converter against the embedded registry: register, fetch, evolve, and
//! be refused.
#![cfg(feature = "registry")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use embedded_services::registry::{Config, Registry};
use schema_registry_converter::async_impl::avro::{AvroDecoder, AvroEncoder};
use schema_registry_converter::async_impl::schema_registry::{
    SrSettings, get_all_subjects, get_all_versions, get_schema_by_guid, get_schema_by_id,
    get_schema_by_subject, is_compatible_schema, post_schema,
};
use schema_registry_converter::schema_registry_common::{
    SchemaType, SubjectNameStrategy, SuppliedSchema,
};
use serde::Serialize;

const FIRST: &str = r#"{"type":"record","name":"Row","namespace":"shop","fields":[
    {"name":"id","type":"long"},{"name":"name","type":"string"}]}"#;
const SECOND: &str = r#"{"type":"record","name":"Row","namespace":"shop","fields":[
    {"name":"id","type":"long"},{"name":"name","type":"string"},
    {"name":"age","type":["null","int"],"default":null}]}"#;
const UNFIT: &str = r#"{"type":"record","name":"Row","namespace":"shop","fields":[
    {"name":"id","type":"long"},{"name":"must","type":"string"}]}"#;

fn supplied(schema: &str) -> SuppliedSchema {
    SuppliedSchema::new(Some("shop.Row".to_owned()), SchemaType::Avro, schema.to_owned())
}

#[derive(Serialize)]
struct First {
    id: i64,
    name: &'static str,
}

#[derive(Serialize)]
struct Second {
    id: i64,
    name: &'static str,
    age: Option<i32>,
}

async fn start(config: Config) -> (Registry, SrSettings) {
    // An error means that another test has installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let registry = Registry::start(config).await.unwrap();
    let settings = SrSettings::new_builder(registry.url())
        .set_basic_authorization("me", Some("secret"))
        .no_proxy()
        .build()
        .unwrap();
    (registry, settings)
}

#[tokio::test]
async fn schemas_are_registered_fetched_and_evolve() {
    let (_registry, settings) = start(Config::new().with_basic_auth("me", "secret")).await;
    let subject = "orders-value".to_owned();
    let first = post_schema(&settings, subject.clone(), supplied(FIRST)).await.unwrap();
    let again = post_schema(&settings, subject.clone(), supplied(FIRST)).await.unwrap();
    assert_eq!(first.id, again.id);
    let found = get_schema_by_id(first.id, &settings).await.unwrap();
    assert_eq!(found.schema, FIRST);
    assert!(is_compatible_schema(&settings, subject.clone(), supplied(SECOND)).await.unwrap());
    assert!(!is_compatible_schema(&settings, subject.clone(), supplied(UNFIT)).await.unwrap());
    post_schema(&settings, subject.clone(), supplied(SECOND)).await.unwrap();
    let error = post_schema(&settings, subject.clone(), supplied(UNFIT)).await.unwrap_err();
    assert!(format!("{error:?}").contains("incompatible"), "{error:?}");

    let strategy = SubjectNameStrategy::TopicNameStrategy("orders".to_owned(), false);
    let latest = get_schema_by_subject(&settings, &strategy).await.unwrap();
    assert_eq!(latest.schema, SECOND);
    let guid = latest.guid.expect("a GUID");
    assert_eq!(get_schema_by_guid(&guid, &settings).await.unwrap().schema, SECOND);
    assert_eq!(get_all_subjects(&settings).await.unwrap(), [subject.as_str()]);
    assert_eq!(get_all_versions(&settings, subject).await.unwrap(), [1, 2]);

    let (_other, stranger) = start(Config::new().with_basic_auth("me", "other")).await;
    assert!(get_all_subjects(&stranger).await.is_err());
}

#[tokio::test]
async fn records_go_round() {
    let (_registry, settings) = start(Config::new().with_basic_auth("me", "secret")).await;
    // An encoder keeps the first schema of a subject for good.
    let encoder = || AvroEncoder::new(settings.clone());
    let with = |schema| {
        SubjectNameStrategy::TopicNameStrategyWithSchema("t".to_owned(), false, supplied(schema))
    };
    let old = encoder().encode_struct(First { id: 1, name: "a" }, &with(FIRST)).await.unwrap();
    let row = Second { id: 2, name: "b", age: Some(3) };
    let new = encoder().encode_struct(row, &with(SECOND)).await.unwrap();
    assert_eq!((&old[..5], &new[..5]), (&[0, 0, 0, 0, 1][..], &[0, 0, 0, 0, 2][..]));
    let decoder = AvroDecoder::new(settings.clone());
    for (bytes, expected) in [
        (&old, r#"Record([("id", Long(1)), ("name", String("a"))])"#),
        (&new, r#"Record([("id", Long(2)), ("name", String("b")), ("age", Union(1, Int(3)))])"#),
    ] {
        let decoded = decoder.decode(Some(bytes)).await.unwrap();
        assert_eq!(format!("{:?}", decoded.value), expected);
    }
    let unfit = encoder().encode_struct(First { id: 1, name: "a" }, &with(UNFIT)).await;
    assert!(unfit.is_err());
}
