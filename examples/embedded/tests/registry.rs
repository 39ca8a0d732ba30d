//! The registry over HTTP: every endpoint, every code, and `registry-client` against it.
#![cfg(feature = "registry")]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "test code"
)]

use std::collections::BTreeSet;

use embedded_services::registry::{CompatibilityLevel, Config, Registry};
use registry_client::{Client, ErrorKind, Missing, NewSchema, Subject, Version};
use reqwest::Method;
use serde_json::{Value, json};

/// A registry and a way to talk to it.
struct Fixture {
    registry: Registry,
    http: reqwest::Client,
}

impl Fixture {
    async fn start(config: Config) -> Self {
        // An error means that another test has installed it.
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self { registry: Registry::start(config).await.unwrap(), http: reqwest::Client::new() }
    }

    async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> (u16, Value) {
        let mut request = self.http.request(method, format!("{}{path}", self.registry.url()));
        if let Some(body) = body {
            request = request
                .header("content-type", "application/vnd.schemaregistry.v1+json")
                .body(body.to_string());
        }
        let response = request.send().await.unwrap();
        let media = response.headers()["content-type"].to_str().unwrap().to_owned();
        assert_eq!(media, "application/vnd.schemaregistry.v1+json", "{path}");
        let status = response.status().as_u16();
        (status, serde_json::from_str(&response.text().await.unwrap()).unwrap())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.send(Method::GET, path, None).await
    }

    async fn post(&self, path: &str, schema: &Value) -> (u16, Value) {
        self.send(Method::POST, path, Some(&json!({"schema": schema.to_string()}))).await
    }

    async fn put(&self, path: &str, body: Value) -> (u16, Value) {
        self.send(Method::PUT, path, Some(&body)).await
    }

    async fn delete(&self, path: &str) -> (u16, Value) {
        self.send(Method::DELETE, path, None).await
    }

    async fn register(&self, subject: &str, schema: &Value) -> u64 {
        let (status, body) = self.post(&format!("/subjects/{subject}/versions"), schema).await;
        assert_eq!(status, 200, "{body}");
        body["id"].as_u64().unwrap()
    }

    fn client(&self) -> Client {
        Client::new(registry_client::Config::new(&self.registry.url()).with_retries(0)).unwrap()
    }
}

/// Asserts a refusal by its code, whose first three digits are the status.
fn assert_refused((status, body): (u16, Value), code: u64) {
    let expected = if code > 999 { code / 100 } else { code };
    assert_eq!((u64::from(status), &body["error_code"]), (expected, &json!(code)), "{body}");
    assert!(!body["message"].as_str().unwrap().is_empty());
}

fn ok((status, body): (u16, Value)) -> Value {
    assert_eq!(status, 200, "{body}");
    body
}

fn record(fields: &[(&str, Value)]) -> Value {
    let fields: Vec<_> = fields
        .iter()
        .map(|(name, kind)| match kind.get("field") {
            Some(field) => field.clone(),
            None => json!({"name": name, "type": kind}),
        })
        .collect();
    json!({"type": "record", "name": "Row", "fields": fields})
}

fn any() -> Config {
    Config::new().with_compatibility(CompatibilityLevel::None)
}

#[tokio::test]
async fn contents_have_one_id_whatever_subject_holds_them() {
    let fixture = Fixture::start(any()).await;
    let (a, b) = (json!("int"), record(&[("x", json!("int"))]));
    assert_eq!(fixture.register("one", &a).await, 1);
    assert_eq!(fixture.register("one", &b).await, 2);
    assert_eq!(fixture.register("two", &b).await, 2);
    assert_eq!(fixture.register("two", &a).await, 1);
    assert_eq!(fixture.register("one", &a).await, 1);
    assert_eq!(ok(fixture.get("/subjects/one/versions").await), json!([1, 2]));
    assert_eq!(ok(fixture.get("/subjects").await), json!(["one", "two"]));
    let guid = ok(fixture.get("/subjects/two/versions/1").await)["guid"].clone();
    assert_eq!(
        ok(fixture.get("/schemas/ids/2").await),
        json!({"schema": b.to_string(), "guid": guid})
    );
    assert_eq!(ok(fixture.get("/schemas/ids/2/schema").await), b);
    assert_eq!(ok(fixture.get("/schemas/ids/2/subjects").await), json!(["one", "two"]));
    assert_eq!(
        ok(fixture.get("/schemas/ids/2/versions").await),
        json!([{"subject": "one", "version": 2}, {"subject": "two", "version": 1}])
    );
}

/// Order of attributes and white space do not make another schema; everything else does.
#[tokio::test]
async fn what_makes_another_schema() {
    let fixture = Fixture::start(any()).await;
    let register = async |text: &str| {
        let body = json!({"schema": text});
        let answer = fixture.send(Method::POST, "/subjects/s/versions", Some(&body)).await;
        ok(answer)["id"].as_u64().unwrap()
    };
    let plain = r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}]}"#;
    let id = register(plain).await;
    let spaced = r#"{ "fields": [{"type":"int", "name":"a"}], "name": "R",  "type": "record" }"#;
    assert_eq!(register(spaced).await, id);
    let others = [
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":1}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":2}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","doc":"d"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","aliases":["b"]}]}"#,
        r#"{"type":"record","name":"R","aliases":["Q"],"fields":[{"name":"a","type":"int"}]}"#,
        r#"{"type":"record","name":"R","namespace":"n","fields":[{"name":"a","type":"int"}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int"}],"connect.name":"R"}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"int","connect.version":1}}]}"#,
        r#"{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"int","logicalType":"date"}}]}"#,
    ];
    let mut ids = BTreeSet::from([id]);
    for other in others {
        ids.insert(register(other).await);
    }
    assert_eq!(ids.len(), 1 + others.len());
    assert_eq!(ok(fixture.get("/schemas/ids/1").await)["schema"], plain, "the text as it was sent");
}

#[tokio::test]
async fn concurrent_registrations_of_one_schema_give_one_id() {
    let fixture = std::sync::Arc::new(Fixture::start(any()).await);
    let calls: Vec<_> = (0..100)
        .map(|i| {
            let fixture = std::sync::Arc::clone(&fixture);
            tokio::spawn(async move {
                fixture.register(&format!("s{}", i % 5), &record(&[("x", json!("int"))])).await
            })
        })
        .collect();
    for call in calls {
        assert_eq!(call.await.unwrap(), 1);
    }
    for subject in 0..5 {
        assert_eq!(ok(fixture.get(&format!("/subjects/s{subject}/versions")).await), json!([1]));
    }
}

#[tokio::test]
async fn versions_are_found_by_number_name_and_content() {
    let fixture = Fixture::start(any()).await;
    for kind in ["int", "long", "string"] {
        fixture.register("s", &json!(kind)).await;
    }
    let second = ok(fixture.get("/subjects/s/versions/2").await);
    let guid = &second["guid"];
    let expected =
        json!({"subject": "s", "version": 2, "id": 2, "guid": guid, "schema": "\"long\""});
    assert_eq!(second, expected);
    assert_eq!(ok(fixture.post("/subjects/s", &json!("long")).await), second);
    for latest in ["latest", "-1", "3"] {
        let found = ok(fixture.get(&format!("/subjects/s/versions/{latest}")).await);
        assert_eq!((&found["version"], &found["id"]), (&json!(3), &json!(3)));
    }
    assert_eq!(ok(fixture.get("/subjects/s/versions/1/schema").await), json!("int"));
    assert_eq!(ok(fixture.get("/subjects/s/versions?offset=1&limit=1").await), json!([2]));

    for path in ["/subjects/x/versions", "/subjects/x/versions/1", "/subjects/x/versions/latest"] {
        assert_refused(fixture.get(path).await, 40401);
    }
    assert_refused(fixture.get("/subjects/s/versions/4").await, 40402);
    for bad in ["0", "-2", "x", "1.5", "2147483648"] {
        assert_refused(fixture.get(&format!("/subjects/s/versions/{bad}")).await, 42202);
    }
    assert_refused(fixture.post("/subjects/x", &json!("int")).await, 40401);
    assert_refused(fixture.post("/subjects/s", &json!("bytes")).await, 40403);
    for path in ["/schemas/ids/9", "/schemas/ids/0", "/schemas/ids/9/subjects"] {
        assert_refused(fixture.get(path).await, 40403);
    }
    assert_refused(fixture.get("/schemas/ids/x").await, 404);
}

#[tokio::test]
async fn bad_schemas_and_bodies_are_refused() {
    let fixture = Fixture::start(any()).await;
    let paths =
        ["/subjects/s/versions", "/subjects/s", "/compatibility/subjects/s/versions/latest"];
    for path in paths {
        let send = async |body: Value| fixture.send(Method::POST, path, Some(&body)).await;
        for text in [
            "",
            "int",
            "{",
            "\"nope\"",
            "{}",
            r#"{"type":"record","name":"R"}"#,
            r#"{"type":"record","name":"R","fields":[{"name":"a","type":"int","default":"x"}]}"#,
            r#"["int","int"]"#,
            r#"{"type":"enum","name":"E","symbols":["A","A"]}"#,
            r#"{"type":"fixed","name":"F","size":-1}"#,
            r#"{"type":"record","name":"a-b","fields":[]}"#,
        ] {
            assert_refused(send(json!({"schema": text})).await, 42201);
        }
        assert_refused(send(json!({})).await, 42201);
        assert_refused(send(json!({"schema": "{}", "schemaType": "JSON"})).await, 42201);
        assert_refused(send(json!([])).await, 400);
        assert_refused(send(json!({"schema": 5})).await, 400);
        let deep = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
        assert_refused(send(json!({"schema": deep})).await, 42201);
    }
    assert_refused(fixture.post("/subjects/__GLOBAL/versions", &json!("int")).await, 42208);
    assert_refused(fixture.post("/subjects/a%0Ab/versions", &json!("int")).await, 42208);
    assert_eq!(ok(fixture.get("/subjects").await), json!([]));
}

#[tokio::test]
async fn any_subject_works_and_all_bases_are_one_registry() {
    let fixture = Fixture::start(any()).await;
    let names = ["a/b", "a%b", "a?b#c", "a b", ":.ctx:s", "é", "ord.ods.cdc_events-value"];
    let bases = ["", "/", "/apis/ccompat/v6", "/apis/ccompat/v7", "/apis/ccompat/v8"];
    for (index, name) in names.into_iter().enumerate() {
        let base = format!("{}{}", fixture.registry.url(), bases[index % bases.len()]);
        let client = Client::new(registry_client::Config::new(&base)).unwrap();
        let id = client.register(&Subject::new(name), &NewSchema::new("\"int\"")).await.unwrap();
        assert_eq!(id.get(), 1);
    }
    let id = fixture.client().schema(registry_client::SchemaId::new(1)).await.unwrap();
    assert_eq!(id.schema(), "\"int\"");
    let mut subjects: Vec<_> = names.into_iter().map(Subject::new).collect();
    subjects.sort();
    assert_eq!(fixture.client().subjects().await.unwrap(), subjects);
    for base in bases {
        ok(fixture.get(base).await);
    }
    assert_eq!(
        ok(fixture.get("/apis/ccompat/v6/subjects?subjectPrefix=a%2F").await),
        json!(["a/b"])
    );
}

#[tokio::test]
async fn versions_are_deleted_softly_then_for_good() {
    let fixture = Fixture::start(any()).await;
    for kind in ["int", "long", "string"] {
        fixture.register("s", &json!(kind)).await;
    }
    assert_refused(fixture.delete("/subjects/s/versions/3?permanent=true").await, 40407);
    assert_eq!(ok(fixture.delete("/subjects/s/versions/latest").await), json!(3));
    assert_refused(fixture.delete("/subjects/s/versions/3").await, 40406);
    assert_eq!(ok(fixture.get("/subjects/s/versions").await), json!([1, 2]));
    assert_eq!(ok(fixture.get("/subjects/s/versions?deleted=true").await), json!([1, 2, 3]));
    assert_eq!(ok(fixture.get("/subjects/s/versions?deletedOnly=true").await), json!([3]));
    assert_refused(fixture.get("/subjects/s/versions/3").await, 40402);
    assert_eq!(ok(fixture.get("/subjects/s/versions/3?deleted=true").await)["id"], 3);
    assert_eq!(ok(fixture.get("/subjects/s/versions/latest").await)["version"], 2);
    assert_refused(fixture.post("/subjects/s", &json!("string")).await, 40403);
    assert_eq!(ok(fixture.post("/subjects/s?deleted=true", &json!("string")).await)["version"], 3);
    ok(fixture.get("/schemas/ids/3").await);
    assert_eq!(ok(fixture.get("/schemas/ids/3/subjects").await), json!([]));
    assert_eq!(ok(fixture.get("/schemas/ids/3/subjects?deleted=true").await), json!(["s"]));

    assert_eq!(fixture.register("s", &json!("string")).await, 3, "the id comes back");
    assert_eq!(ok(fixture.get("/subjects/s/versions").await), json!([1, 2, 4]));
    assert_eq!(ok(fixture.delete("/subjects/s/versions/3?permanent=true").await), json!(3));
    assert_eq!(ok(fixture.get("/subjects/s/versions?deleted=true").await), json!([1, 2, 4]));
    assert_refused(fixture.delete("/subjects/s/versions/3").await, 40402);
    assert_refused(fixture.delete("/subjects/x/versions/1").await, 40401);
    assert_refused(fixture.delete("/subjects/s/versions/zero").await, 42202);
}

#[tokio::test]
async fn subjects_are_deleted_softly_then_for_good() {
    let fixture = Fixture::start(any()).await;
    fixture.register("s", &json!("int")).await;
    fixture.register("s", &json!("long")).await;
    fixture.register("t", &json!("long")).await;
    ok(fixture.put("/config/s", json!({"compatibility": "FULL"})).await);
    assert_refused(fixture.delete("/subjects/x").await, 40401);
    assert_refused(fixture.delete("/subjects/s?permanent=true").await, 40405);
    assert_eq!(ok(fixture.delete("/subjects/s").await), json!([1, 2]));
    assert_refused(fixture.delete("/subjects/s").await, 40404);
    assert_refused(fixture.get("/config/s").await, 40408);
    assert_eq!(ok(fixture.get("/subjects").await), json!(["t"]));
    assert_eq!(ok(fixture.get("/subjects?deleted=true").await), json!(["s", "t"]));
    assert_eq!(ok(fixture.get("/subjects?deletedOnly=true").await), json!(["s"]));
    assert_refused(fixture.get("/subjects/s/versions").await, 40401);
    assert_eq!(ok(fixture.delete("/subjects/s?permanent=true").await), json!([1, 2]));
    assert_eq!(ok(fixture.get("/subjects?deleted=true").await), json!(["t"]));
    assert_refused(fixture.delete("/subjects/s").await, 40401);
    assert_refused(fixture.get("/schemas/ids/1").await, 40403);
    assert_eq!(fixture.register("s", &json!("int")).await, 3, "ids are never used again");
    assert_eq!(ok(fixture.get("/subjects/s/versions").await), json!([1]));
}

#[tokio::test]
async fn levels_are_set_globally_and_per_subject() {
    let fixture = Fixture::start(Config::new()).await;
    let level = |name: &str| json!({"compatibilityLevel": name});
    assert_eq!(ok(fixture.get("/config").await), level("BACKWARD"));
    for all in CompatibilityLevel::ALL {
        let name = all.as_str();
        let body = json!({"compatibility": name});
        assert_eq!(ok(fixture.put("/config", body.clone()).await), body);
        assert_eq!(ok(fixture.get("/config").await), level(name));
    }
    assert_refused(fixture.get("/config/s").await, 40408);
    assert_eq!(ok(fixture.get("/config/s?defaultToGlobal=true").await), level("FULL_TRANSITIVE"));
    ok(fixture.put("/config/s", json!({"compatibility": "forward"})).await);
    assert_eq!(ok(fixture.get("/config/s").await), level("FORWARD"));
    assert_eq!(ok(fixture.delete("/config/s").await), level("FORWARD"));
    assert_refused(fixture.delete("/config/s").await, 40401);
    assert_eq!(ok(fixture.delete("/config").await), level("FULL_TRANSITIVE"));
    assert_eq!(ok(fixture.get("/config").await), level("BACKWARD"));
    assert_refused(fixture.put("/config", json!({"compatibility": "SIDEWAYS"})).await, 42203);
    assert_refused(fixture.put("/config/s", json!({})).await, 42203);
    assert_refused(fixture.put("/config", json!(5)).await, 400);
    assert_eq!(ok(fixture.get("/subjects").await), json!([]), "a setting makes no subject");
}

#[tokio::test]
async fn a_read_only_subject_takes_nothing_new() {
    let fixture = Fixture::start(any()).await;
    assert_eq!(ok(fixture.get("/mode").await), json!({"mode": "READWRITE"}));
    assert_refused(fixture.get("/mode/s").await, 40409);
    assert_eq!(
        ok(fixture.put("/mode/s", json!({"mode": "READONLY"})).await),
        json!({"mode": "READONLY"})
    );
    assert_refused(fixture.post("/subjects/s/versions", &json!("int")).await, 42205);
    fixture.register("t", &json!("int")).await;
    ok(fixture.put("/mode", json!({"mode": "READONLY"})).await);
    assert_refused(fixture.post("/subjects/u/versions", &json!("int")).await, 42205);
    ok(fixture.put("/mode/s", json!({"mode": "READWRITE"})).await);
    fixture.register("s", &json!("int")).await;
    ok(fixture.put("/mode", json!({"mode": "READONLY_OVERRIDE"})).await);
    assert_refused(fixture.post("/subjects/s/versions", &json!("long")).await, 42205);
    assert_eq!(
        ok(fixture.get("/mode/u?defaultToGlobal=true").await),
        json!({"mode": "READONLY_OVERRIDE"})
    );
    assert_eq!(ok(fixture.delete("/mode/s").await), json!({"mode": "READWRITE"}));
    assert_refused(fixture.delete("/mode/s").await, 40401);
    assert_refused(fixture.put("/mode", json!({"mode": "SLEEPING"})).await, 42204);
}

/// Every pair of `testdata/registry/compatibility.json`, in both directions.
#[tokio::test]
async fn pairs_are_judged_as_the_table_says() {
    let fixture = Fixture::start(any()).await;
    let table: Vec<Value> =
        serde_json::from_str(include_str!("../testdata/registry/compatibility.json")).unwrap();
    assert!(table.len() >= 60);
    for (index, case) in table.iter().enumerate() {
        let subject = format!("s{index}");
        fixture.register(&subject, &case["old"]).await;
        let judge = async |level: &str| {
            ok(fixture.put(&format!("/config/{subject}"), json!({"compatibility": level})).await);
            let path = format!("/compatibility/subjects/{subject}/versions/latest?verbose=true");
            let verdict = ok(fixture.post(&path, &case["new"]).await);
            let compatible = verdict["is_compatible"].as_bool().unwrap();
            assert_eq!(verdict["messages"].as_array().unwrap().is_empty(), compatible, "{case}");
            compatible
        };
        let (backward, forward) = (&case["backward"], &case["forward"]);
        let both = backward.as_bool().unwrap() && forward.as_bool().unwrap();
        assert_eq!(judge("BACKWARD").await, *backward, "{case}");
        assert_eq!(judge("FORWARD").await, *forward, "{case}");
        assert_eq!(judge("FULL").await, both, "{case}");
        assert!(judge("NONE").await);

        // Registration, under FULL, says the same.
        ok(fixture.put(&format!("/config/{subject}"), json!({"compatibility": "FULL"})).await);
        let path = format!("/subjects/{subject}/versions");
        let answer = fixture.post(&path, &case["new"]).await;
        if both || case["old"] == case["new"] {
            ok(answer);
        } else {
            assert_refused(answer, 409);
        }
    }
}

#[tokio::test]
async fn transitive_levels_look_at_every_version() {
    let fixture = Fixture::start(any()).await;
    let with = |field: Value| record(&[("a", json!("int")), ("b", json!({"field": field}))]);
    // Version 1 has no b, version 2 a b with a default.
    fixture.register("s", &record(&[("a", json!("int"))])).await;
    fixture.register("s", &with(json!({"name": "b", "type": "int", "default": 0}))).await;
    // A b without default reads version 2, but not version 1.
    let new = with(json!({"name": "b", "type": "int"}));
    for (level, allowed) in [
        ("NONE", true),
        ("BACKWARD", true),
        ("BACKWARD_TRANSITIVE", false),
        ("FORWARD", true),
        ("FORWARD_TRANSITIVE", true),
        ("FULL", true),
        ("FULL_TRANSITIVE", false),
    ] {
        ok(fixture.put("/config/s", json!({"compatibility": level})).await);
        let verdict = fixture.post("/compatibility/subjects/s/versions", &new).await;
        assert_eq!(ok(verdict), json!({"is_compatible": allowed}), "{level}");
    }
    assert_refused(fixture.post("/subjects/s/versions", &new).await, 409);
    // A single version is compared with that one only.
    ok(fixture.put("/config/s", json!({"compatibility": "BACKWARD"})).await);
    let with_first = fixture.post("/compatibility/subjects/s/versions/1", &new).await;
    assert_eq!(ok(with_first), json!({"is_compatible": false}));
    let with_second = fixture.post("/compatibility/subjects/s/versions/2", &new).await;
    assert_eq!(ok(with_second), json!({"is_compatible": true}));
    assert_refused(fixture.post("/compatibility/subjects/s/versions/3", &new).await, 40402);
    assert_refused(fixture.post("/compatibility/subjects/x/versions/1", &new).await, 40401);
    let first = fixture.post("/compatibility/subjects/x/versions/latest", &new).await;
    assert_eq!(ok(first), json!({"is_compatible": true}));
}

#[tokio::test]
async fn references_are_resolved_and_protect_what_they_name() {
    let fixture = Fixture::start(Config::new()).await;
    let colour = json!({"type": "enum", "name": "n.Colour", "symbols": ["RED"]});
    fixture.register("colour", &colour).await;
    let car = |version: i64| {
        let text = record(&[("colour", json!("n.Colour"))]).to_string();
        let reference = json!({"name": "n.Colour", "subject": "colour", "version": version});
        json!({"schema": text, "references": [reference]})
    };
    let path = "/subjects/car/versions";
    let id = ok(fixture.send(Method::POST, path, Some(&car(1))).await)["id"].clone();
    assert_eq!(id, 2);
    let found = ok(fixture.get("/subjects/car/versions/1").await);
    assert_eq!(found["references"], car(1)["references"]);
    assert_eq!(ok(fixture.get("/subjects/colour/versions/1/referencedby").await), json!([2]));
    assert_refused(fixture.send(Method::POST, path, Some(&car(7))).await, 42201);
    assert_refused(fixture.delete("/subjects/colour/versions/1").await, 42206);
    assert_refused(fixture.delete("/subjects/colour").await, 42206);

    // Another version of what is referred to is another schema, and compared as such.
    let more = json!({"type": "enum", "name": "n.Colour", "symbols": ["RED", "BLUE"]});
    fixture.register("colour", &more).await;
    assert_eq!(ok(fixture.send(Method::POST, path, Some(&car(2))).await)["id"], 4);
    assert_refused(fixture.send(Method::POST, "/subjects/car", Some(&car(9))).await, 42201);
    assert_eq!(ok(fixture.send(Method::POST, "/subjects/car", Some(&car(1))).await)["version"], 1);

    ok(fixture.delete("/subjects/car").await);
    ok(fixture.delete("/subjects/colour").await);
}

#[tokio::test]
async fn the_rest_of_the_surface() {
    let fixture = Fixture::start(any()).await;
    assert_eq!(ok(fixture.get("/schemas/types").await), json!(["AVRO"]));
    assert_eq!(ok(fixture.get("/contexts").await), json!(["."]));
    assert_eq!(ok(fixture.get("/health").await), json!({"status": "up"}));
    assert_refused(fixture.get("/nothing").await, 404);
    assert_refused(fixture.get("/apis/ccompat/v6/nothing").await, 404);
    assert_refused(fixture.delete("/schemas/types").await, 405);
    assert_refused(fixture.delete("/apis/ccompat/v7/schemas/types").await, 405);
}

#[tokio::test]
async fn a_password_keeps_others_out() {
    let fixture = Fixture::start(any().with_basic_auth("me", "p:w")).await;
    assert!(!format!("{:?}", any().with_basic_auth("me", "secret")).contains("secret"));
    assert_refused(fixture.get("/subjects").await, 401);
    assert_refused(fixture.get("/apis/ccompat/v7/subjects").await, 401);
    ok(fixture.get("/health").await);
    let url = format!("{}/subjects", fixture.registry.url());
    for (user, password, status) in [("me", "p:w", 200), ("me", "pw", 401), ("you", "p:w", 401)] {
        let request = fixture.http.get(&url).basic_auth(user, Some(password));
        assert_eq!(request.send().await.unwrap().status().as_u16(), status, "{user} {password}");
    }
    let config = registry_client::Config::new(&fixture.registry.url()).with_basic_auth("me", "p:w");
    assert_eq!(Client::new(config).unwrap().subjects().await.unwrap(), []);
}

#[tokio::test]
async fn faults_are_answered_as_ordered_and_change_nothing() {
    let fixture = Fixture::start(any().with_fault(1, 503)).await;
    assert_refused(fixture.post("/subjects/s/versions", &json!("int")).await, 503);
    assert_eq!(ok(fixture.get("/subjects").await), json!([]));
    fixture.registry.fail_next(2, 500);
    ok(fixture.get("/health").await);
    for _ in 0..2 {
        assert_refused(fixture.post("/subjects/s/versions", &json!("int")).await, 50001);
    }
    assert_eq!(fixture.register("s", &json!("int")).await, 1);

    fixture.registry.fail_next(3, 500);
    let retrying = registry_client::Config::new(&fixture.registry.url())
        .with_retry_wait(std::time::Duration::ZERO, std::time::Duration::ZERO);
    let client = Client::new(retrying).unwrap();
    assert_eq!(client.latest(&Subject::new("s")).await.unwrap().id().get(), 1);
}

#[tokio::test]
async fn the_client_understands_the_registry() {
    let fixture = Fixture::start(Config::new()).await;
    let client = fixture.client();
    let subject = Subject::new("orders-value");
    let missing = async |client: &Client| client.latest(&subject).await.unwrap_err().missing();
    assert_eq!(missing(&client).await, Some(Missing::Subject));

    let row = |kind: &str| NewSchema::new(&record(&[("a", json!(kind))]).to_string());
    let id = client.register(&subject, &row("int")).await.unwrap();
    assert_eq!(client.schema(id).await.unwrap().schema(), row("int").as_str());
    let latest = client.latest(&subject).await.unwrap();
    assert_eq!((latest.id(), latest.version()), (id, Some(Version::new(1))));
    assert_eq!(latest.subject(), Some(&subject));
    assert_eq!(client.lookup(&subject, &row("int")).await.unwrap().id(), id);
    assert_eq!(
        client.lookup(&subject, &row("long")).await.unwrap_err().missing(),
        Some(Missing::Schema)
    );
    assert_eq!(client.versions(&subject).await.unwrap(), [Version::new(1)]);
    assert_eq!(
        client.version(&subject, Version::new(2)).await.unwrap_err().missing(),
        Some(Missing::Version)
    );

    let check = |kind| {
        let (client, subject, schema) = (client.clone(), subject.clone(), row(kind));
        async move { client.is_compatible(&subject, Version::LATEST, &schema).await.unwrap() }
    };
    assert!(check("long").await.is_compatible());
    let verdict = check("string").await;
    assert!(!verdict.is_compatible());
    assert!(verdict.messages()[0].ends_with("/a: string cannot hold int"), "{verdict:?}");
    let error = client.register(&subject, &row("string")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Incompatible, Some(409)));
    assert!(error.registry_message().unwrap().contains("/a: string cannot hold int"));
    let error = client.register(&subject, &NewSchema::new("nonsense")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some(42201)));
}

#[tokio::test]
async fn it_stops_and_frees_its_port() {
    let fixture = Fixture::start(any()).await;
    fixture.register("s", &json!("int")).await;
    let address = fixture.registry.address();
    let url = fixture.registry.url();
    fixture.registry.shutdown().await;
    assert!(fixture.http.get(format!("{url}/subjects")).send().await.is_err());

    let again = Registry::start(any().with_listen(address)).await.unwrap();
    assert_eq!(again.url(), url);
    let taken = Registry::start(any().with_listen(address)).await.unwrap_err();
    assert!(std::error::Error::source(&taken).is_some());
    drop(again);
    let gone = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), gone)
        .await
        .expect("stops when dropped");
}
