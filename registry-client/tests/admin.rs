//! What every call sends, and what it makes of the answer.
#![cfg(feature = "reqwest")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs,
    unreachable_pub,
    reason = "test code"
)]

mod support;

use registry_client::{
    Client, CompatibilityLevel, Config, Context, Deleted, Deletion, ErrorKind, Force, Guid,
    Listing, Metadata, Missing, Mode, NewSchema, RuleSet, SchemaId, SchemaType, Scope, Settings,
    Subject, Version,
};
use support::{Seen, Server, json, refusal};

const GUID: &str = "8f2c2d1e-00ff-4abc-9def-0123456789ab";

/// A server that knows one answer, and a client of it.
async fn serve(status: u16, body: &str) -> (Server, Client) {
    let body = body.to_owned();
    let server = Server::start(move |_, _| json(status, &body)).await;
    let client = Client::new(Config::new(&server.url).with_retries(0)).unwrap();
    (server, client)
}

fn last(server: &Server) -> (String, String, String) {
    let Seen { method, path, body, .. } = server.seen().pop().expect("a request");
    (method, path, body)
}

macro_rules! sends {
    ($server:ident, $method:literal, $path:expr) => {
        sends!($server, $method, $path, "")
    };
    ($server:ident, $method:literal, $path:expr, $body:expr) => {
        assert_eq!(last(&$server), ($method.to_owned(), $path.to_owned(), $body.to_owned()))
    };
}

#[tokio::test]
async fn lists_of_names() {
    let (server, client) = serve(200, r#"["a",":.x:b"]"#).await;
    let all = Listing::new();
    let names = client.subjects().await.unwrap();
    assert_eq!(names, [Subject::new("a"), Subject::in_context(&Context::new("x"), "b")]);
    sends!(server, "GET", "/subjects");
    let page = Listing::new().with_prefix(":*:a b").with_deleted(Deleted::Only).with_page(20, 10);
    client.list_subjects(&page).await.unwrap();
    sends!(
        server,
        "GET",
        "/subjects?subjectPrefix=%3A%2A%3Aa%20b&deleted=true&deletedOnly=true&offset=20&limit=10"
    );
    client.subjects_of(SchemaId::new(7), &all).await.unwrap();
    sends!(server, "GET", "/schemas/ids/7/subjects");
    client.subjects_of(SchemaId::new(7), &all.clone().with_prefix("s")).await.unwrap();
    sends!(server, "GET", "/schemas/ids/7/subjects?subject=s");
    client.list_contexts(&Listing::new().with_prefix(".x")).await.unwrap();
    sends!(server, "GET", "/contexts?contextPrefix=.x");
    let types = client.schema_types().await.unwrap();
    assert_eq!(types[0], SchemaType::Other("a".into()));
    sends!(server, "GET", "/schemas/types");

    let (_server, client) = serve(200, r#"[":.:"]"#).await;
    assert_eq!(client.list_contexts(&all).await.unwrap(), [Context::DEFAULT]);
}

#[tokio::test]
async fn lists_of_numbers() {
    let (server, client) = serve(200, "[1,2]").await;
    let subject = Subject::new("s/t");
    let numbers = [Version::new(1), Version::new(2)];
    assert_eq!(client.versions(&subject).await.unwrap(), numbers);
    sends!(server, "GET", "/subjects/s%2Ft/versions");
    let deleted = Listing::new().with_deleted(Deleted::Included);
    client.list_versions(&subject, &deleted).await.unwrap();
    sends!(server, "GET", "/subjects/s%2Ft/versions?deleted=true");
    let ids = client.referenced_by(&subject, Version::new(3), &Listing::new()).await.unwrap();
    assert_eq!(ids, [SchemaId::new(1), SchemaId::new(2)]);
    sends!(server, "GET", "/subjects/s%2Ft/versions/3/referencedby");
    let gone = client.delete_subject(&subject, Deletion::Soft).await.unwrap();
    assert_eq!(gone, numbers);
    sends!(server, "DELETE", "/subjects/s%2Ft");
    client.delete_subject(&subject, Deletion::Permanent).await.unwrap();
    sends!(server, "DELETE", "/subjects/s%2Ft?permanent=true");

    let (server, client) = serve(200, "4").await;
    let gone = client.delete_version(&subject, Version::LATEST, Deletion::Soft).await.unwrap();
    assert_eq!(gone, Version::new(4));
    sends!(server, "DELETE", "/subjects/s%2Ft/versions/latest");
    client.delete_version(&subject, Version::new(4), Deletion::Permanent).await.unwrap();
    sends!(server, "DELETE", "/subjects/s%2Ft/versions/4?permanent=true");
}

#[tokio::test]
async fn lists_of_objects() {
    let (server, client) = serve(200, r#"[{"subject":"s","version":2}]"#).await;
    let places = client.versions_of(SchemaId::new(7), &Listing::new()).await.unwrap();
    assert_eq!((places[0].subject.as_str(), places[0].version), ("s", Version::new(2)));
    sends!(server, "GET", "/schemas/ids/7/versions");

    let (server, client) =
        serve(200, r#"[{"context":".x","id":3},{"context":".","id":4},{"id":5}]"#).await;
    let ids = client.ids_of(GUID.parse().unwrap()).await.unwrap();
    assert_eq!((ids[0].context.as_str(), ids[0].id.get()), (".x", 3));
    assert!(ids[1].context.is_default() && ids[2].context.is_default());
    sends!(server, "GET", format!("/schemas/guids/{GUID}/ids"));

    let (server, client) =
        serve(200, r#"[{"subject":"s","version":1,"id":9,"schema":"\"int\""}]"#).await;
    let listing = Listing::new().with_prefix("s").with_newest_only();
    let schemas = client.list_schemas(&listing).await.unwrap();
    assert_eq!((schemas.len(), schemas[0].id().get()), (1, 9));
    sends!(server, "GET", "/schemas?subjectPrefix=s&latestOnly=true");
}

#[tokio::test]
async fn schemas_by_guid_are_kept() {
    let (server, client) = serve(200, r#"{"schema":"\"long\"","ts":1.50}"#).await;
    let guid: Guid = GUID.parse().unwrap();
    assert!(client.try_get_guid(guid).is_none());
    for _ in 0..3 {
        let schema = client.schema_by_guid(guid).await.unwrap();
        assert_eq!((schema.schema(), schema.guid()), ("\"long\"", Some(guid)));
        assert_eq!(schema.field("ts"), Some("1.50"));
    }
    assert!(client.try_get_guid(guid).is_some());
    sends!(server, "GET", format!("/schemas/guids/{GUID}"));
    assert_eq!(server.count(), 1);
}

#[tokio::test]
async fn ids_are_those_of_their_context() {
    let (server, client) = serve(200, r#"{"schema":"\"long\""}"#).await;
    let here = Subject::in_context(&Context::new("x"), "s");
    for _ in 0..2 {
        client.schema_for(SchemaId::new(7), &here).await.unwrap();
    }
    sends!(server, "GET", "/schemas/ids/7?subject=%3A.x%3As");
    client.schema_for(SchemaId::new(7), &Subject::new("s")).await.unwrap();
    sends!(server, "GET", "/schemas/ids/7");
    assert_eq!(server.count(), 2);

    let config = Config::new(&format!("{}/apis/ccompat/v8", server.url));
    let inside = Client::new(config.with_context(Context::new(".x"))).unwrap();
    inside.schema(SchemaId::new(7)).await.unwrap();
    sends!(server, "GET", "/apis/ccompat/v8/contexts/.x/schemas/ids/7");
    inside.delete_context(&Context::new("y z")).await.unwrap();
    sends!(server, "DELETE", "/apis/ccompat/v8/contexts/.x/contexts/.y%20z");
}

#[tokio::test]
async fn registering_sends_all_there_is_and_reads_all_that_comes() {
    let body = format!(
        r#"{{"id":9,"guid":"{GUID}","version":3,"schema":"\"int\"","metadata":{{"properties":{{"k":"v"}},"new":1.0}},"ruleSet":{{"domainRules":[{{"name":"r","x":[2.00]}}]}}}}"#
    );
    let (server, client) = serve(200, &body).await;
    let metadata: Metadata = r#"{"properties":{"k":"v"},"new":1.0}"#.parse().unwrap();
    let rules: RuleSet = r#"{"domainRules":[{"name":"r","x":[2.00]}]}"#.parse().unwrap();
    let schema = NewSchema::new("\"int\"")
        .with_metadata(metadata.clone())
        .with_rule_set(rules.clone())
        .with_id(SchemaId::new(9))
        .with_version(3)
        .with_normalization();
    let subject = Subject::new("s");
    let registration = client.registration(&subject, &schema).await.unwrap();
    assert_eq!((registration.id.get(), registration.version), (9, Some(Version::new(3))));
    assert_eq!(registration.guid, Some(GUID.parse().unwrap()));
    let sent = r#"{"schema":"\"int\"","metadata":{"new":1.0,"properties":{"k":"v"}},"ruleSet":{"domainRules":[{"name":"r","x":[2.00]}]},"id":9,"version":3}"#;
    sends!(server, "POST", "/subjects/s/versions?normalize=true", sent);
    assert_eq!(client.register(&subject, &schema).await.unwrap().get(), 9);
    assert_eq!(server.count(), 1);

    let found = client.lookup(&subject, &schema).await.unwrap();
    sends!(server, "POST", "/subjects/s?normalize=true", sent);
    assert_eq!((found.metadata(), found.rule_set()), (Some(&metadata), Some(&rules)));
    assert_eq!(found.guid(), registration.guid);
    client.latest_with_metadata(&subject, &[("a", "1&2"), ("b", "")]).await.unwrap();
    sends!(server, "GET", "/subjects/s/metadata?key=a&value=1%262&key=b&value=");

    // A deletion makes the registration count again.
    let _ = client.delete_subject(&subject, Deletion::Soft).await;
    client.register(&subject, &schema).await.unwrap();
    assert_eq!(server.count(), 5);
}

#[tokio::test]
async fn every_request_says_what_it_understands() {
    let (server, client) = serve(200, "[]").await;
    client.subjects().await.unwrap();
    let headers = server.seen().pop().unwrap().headers;
    assert_eq!(headers["confluent-accept-unknown-properties"], "true");
    assert_eq!(headers["x-confluent-accept-unknown-properties"], "true");
    assert!(headers["confluent-client-version"].starts_with("rust/"));
    assert!(headers["accept"].contains("application/json; q=0.5"));
}

#[tokio::test]
async fn compatibility_with_one_and_with_all() {
    let (server, client) = serve(200, r#"{"is_compatible":false,"messages":["why"]}"#).await;
    let (subject, schema) = (Subject::new("s"), NewSchema::new("\"int\""));
    let one = client.is_compatible(&subject, Version::LATEST, &schema).await.unwrap();
    assert_eq!((one.is_compatible(), one.messages()), (false, &["why".to_owned()][..]));
    let sent = r#"{"schema":"\"int\""}"#;
    sends!(server, "POST", "/compatibility/subjects/s/versions/latest?verbose=true", sent);
    client.may_register(&subject, &schema.with_normalization()).await.unwrap();
    let path = "/compatibility/subjects/s/versions?normalize=true&verbose=true";
    sends!(server, "POST", path, sent);
}

#[tokio::test]
async fn settings_of_everything_and_of_a_subject() {
    let (server, client) = serve(200, r#"{"compatibilityLevel":"FULL","x":1.0}"#).await;
    let subject = Scope::Subject(Subject::new("s"));
    let settings = client.settings(&Scope::Global).await.unwrap();
    assert_eq!(settings.compatibility(), Some(CompatibilityLevel::Full));
    assert_eq!(settings.field("x"), Some("1.0"));
    sends!(server, "GET", "/config");
    client.settings(&subject).await.unwrap();
    sends!(server, "GET", "/config/s");
    client.settings(&Scope::Effective(Subject::new("s"))).await.unwrap();
    sends!(server, "GET", "/config/s?defaultToGlobal=true");
    let change = Settings::new().with_compatibility(CompatibilityLevel::None);
    client.update_settings(&subject, &change).await.unwrap();
    sends!(server, "PUT", "/config/s", r#"{"compatibility":"NONE"}"#);
    client.update_settings(&Scope::Global, &settings).await.unwrap();
    sends!(server, "PUT", "/config", r#"{"compatibility":"FULL","x":1.0}"#);
    client.delete_settings(&subject).await.unwrap();
    sends!(server, "DELETE", "/config/s");
}

#[tokio::test]
async fn modes_of_everything_and_of_a_subject() {
    let (server, client) = serve(200, r#"{"mode":"IMPORT"}"#).await;
    let subject = Scope::from(&Subject::new("s"));
    assert_eq!(client.mode(&Scope::Global).await.unwrap(), Mode::Import);
    sends!(server, "GET", "/mode");
    client.mode(&Scope::Effective(Subject::new("s"))).await.unwrap();
    sends!(server, "GET", "/mode/s?defaultToGlobal=true");
    client.update_mode(&subject, &Mode::Import, Force::Yes).await.unwrap();
    sends!(server, "PUT", "/mode/s?force=true", r#"{"mode":"IMPORT"}"#);
    let unknown = Mode::Other("LATER\"".into());
    client.update_mode(&Scope::Global, &unknown, Force::No).await.unwrap();
    sends!(server, "PUT", "/mode", r#"{"mode":"LATER\""}"#);
    client.delete_mode(&subject).await.unwrap();
    sends!(server, "DELETE", "/mode/s");

    let server = Server::start(|_, _| refusal(404, 40409, "none of its own")).await;
    let client = Client::new(Config::new(&server.url)).unwrap();
    let error = client.mode(&subject).await.unwrap_err();
    assert_eq!((error.kind(), error.missing()), (ErrorKind::NotFound, Some(Missing::Setting)));
}

#[tokio::test]
async fn texts_come_as_they_are() {
    let (server, client) = serve(200, "\"long\"").await;
    let text = client.schema_text(SchemaId::new(7), None).await.unwrap();
    assert_eq!(text, "\"long\"");
    sends!(server, "GET", "/schemas/ids/7/schema");
    let subject = Subject::new("s");
    client.version_text(&subject, Version::new(2), Some("resolved")).await.unwrap();
    sends!(server, "GET", "/subjects/s/versions/2/schema?format=resolved");
}

#[tokio::test]
async fn the_server_describes_itself() {
    let (server, client) = serve(200, r#"{"version":"8.1.0","commitId":"abc"}"#).await;
    let version = client.server_version().await.unwrap();
    assert_eq!((&*version.version, version.commit_id.as_deref()), ("8.1.0", Some("abc")));
    sends!(server, "GET", "/v1/metadata/version");
    let (server, client) = serve(
        200,
        r#"{"id":"","scope":{"path":[],"clusters":{"kafka-cluster":"k","schema-registry-cluster":"r"}}}"#,
    )
    .await;
    let id = client.server_id().await.unwrap();
    assert_eq!((&*id.registry_cluster, id.kafka_cluster.as_deref()), ("r", Some("k")));
    sends!(server, "GET", "/v1/metadata/id");
    assert!(client.server_deployment().await.unwrap().contains("scope"));
    sends!(server, "GET", "/v1/metadata/deployment");
}

#[tokio::test]
async fn answers_of_another_shape_are_told_apart_from_refusals() {
    let (server, client) = serve(200, r#"{"unexpected":true}"#).await;
    let subject = Subject::new("s");
    let errors = [
        client.subjects().await.unwrap_err(),
        client.versions(&subject).await.unwrap_err(),
        client.mode(&Scope::Global).await.unwrap_err(),
        client.delete_subject(&subject, Deletion::Soft).await.unwrap_err(),
        client.register(&subject, &NewSchema::new("{}")).await.unwrap_err(),
        client.latest(&subject).await.unwrap_err(),
        client.schema_by_guid(GUID.parse().unwrap()).await.unwrap_err(),
    ];
    for error in errors {
        assert_eq!((error.kind(), error.status()), (ErrorKind::Response, Some(200)));
        assert!(error.url().unwrap().starts_with(&server.url) && !error.is_retryable());
    }
}
