//! The registry in memory answers as a real one does.
#![allow(clippy::unwrap_used, clippy::panic, reason = "test code")]

use std::sync::Arc;
use std::time::Duration;

use registry_client::{
    Client, Config, Context, Deleted, Deletion, ErrorKind, Listing, Metadata, MockRegistry,
    NewSchema, SchemaId, SchemaType, Subject, Version,
};

fn client(registry: &MockRegistry) -> Client {
    let config = Config::new("http://mock/apis/ccompat/v7")
        .with_retries(1)
        .with_retry_wait(Duration::ZERO, Duration::ZERO)
        .with_missing_ttl(Duration::ZERO)
        .with_registration_grace(Duration::ZERO);
    Client::with_transport(config, Arc::new(registry.clone())).unwrap()
}

#[tokio::test]
async fn what_is_registered_is_found() {
    let registry = MockRegistry::new();
    let client = client(&registry);
    let (s, t) = (Subject::new("a/b c"), Subject::in_context(&Context::new("x"), "t"));
    let int = NewSchema::new("\"int\"");
    let long = NewSchema::new("\"long\"").with_metadata(Metadata::new().with_property("a", "b"));
    let first = client.registration(&s, &int).await.unwrap();
    let second = client.registration(&s, &long).await.unwrap();
    assert_eq!((first.id.get(), second.id.get()), (1, 2));
    assert_eq!(second.version, Some(Version::new(2)));
    assert_eq!(client.register(&t, &long).await.unwrap(), second.id);
    assert_eq!(client.subjects().await.unwrap(), [t.clone(), s.clone()]);

    let latest = client.latest(&s).await.unwrap();
    assert_eq!((latest.id(), latest.version()), (second.id, Some(Version::new(2))));
    assert_eq!(latest.metadata().unwrap().properties()["a"], "b");
    assert_eq!(client.schema(first.id).await.unwrap().schema(), "\"int\"");
    let guid = first.guid.unwrap();
    assert_eq!(client.schema_by_guid(guid).await.unwrap().schema(), "\"int\"");
    assert_eq!(client.ids_of(guid).await.unwrap()[0].id, first.id);
    assert_eq!(client.lookup(&s, &long).await.unwrap().version(), Some(Version::new(2)));
    assert_eq!(client.lookup(&t, &int).await.unwrap_err().code(), Some(40403));
    assert!(client.is_compatible(&s, Version::LATEST, &int).await.unwrap().is_compatible());
    assert!(client.schema_types().await.unwrap().contains(&SchemaType::Avro));
}

#[tokio::test]
async fn what_is_deleted_is_gone_in_two_steps() {
    let registry = MockRegistry::new();
    let client = client(&registry);
    let subject = Subject::new("s");
    for text in ["\"int\"", "\"long\""] {
        client.register(&subject, &NewSchema::new(text)).await.unwrap();
    }
    let code = |error: registry_client::Error| error.code();
    let (one, both) = (Version::new(1), vec![Version::new(1), Version::new(2)]);
    assert_eq!(client.versions(&subject).await.unwrap(), both);
    let early = client.delete_version(&subject, one, Deletion::Permanent).await;
    assert_eq!(early.map_err(code), Err(Some(40407)));
    assert_eq!(client.delete_version(&subject, one, Deletion::Soft).await.unwrap(), one);
    let again = client.delete_version(&subject, one, Deletion::Soft).await;
    assert_eq!(again.map_err(code), Err(Some(40406)));
    assert_eq!(client.versions(&subject).await.unwrap(), [Version::new(2)]);
    let all = Listing::new().with_deleted(Deleted::Included);
    assert_eq!(client.list_versions(&subject, &all).await.unwrap(), both);
    assert_eq!(client.delete_version(&subject, one, Deletion::Permanent).await.unwrap(), one);

    let early = client.delete_subject(&subject, Deletion::Permanent).await;
    assert_eq!(early.map_err(code), Err(Some(40405)));
    let two = vec![Version::new(2)];
    assert_eq!(client.delete_subject(&subject, Deletion::Soft).await.unwrap(), two);
    assert_eq!(
        client.delete_subject(&subject, Deletion::Soft).await.map_err(code),
        Err(Some(40404))
    );
    assert_eq!(client.versions(&subject).await.map_err(code), Err(Some(40401)));
    assert!(client.subjects().await.unwrap().is_empty());
    // Registering again brings a new version and the old id.
    let back = client.registration(&subject, &NewSchema::new("\"long\"")).await.unwrap();
    assert_eq!((back.id, back.version), (SchemaId::new(2), Some(Version::new(3))));
    client.delete_subject(&subject, Deletion::Soft).await.unwrap();
    client.delete_subject(&subject, Deletion::Permanent).await.unwrap();
    assert!(client.list_subjects(&all).await.unwrap().is_empty());
    assert!(client.schema(SchemaId::new(1)).await.is_ok(), "ids stay");
}

#[tokio::test]
async fn nonsense_is_refused_and_failures_are_as_ordered() {
    let registry = MockRegistry::new();
    let client = client(&registry);
    let subject = Subject::new("s");
    let error = client.register(&subject, &NewSchema::new("{")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (ErrorKind::Invalid, Some(42201)));
    let proto = NewSchema::new("syntax").with_type(SchemaType::Protobuf);
    client.register(&subject, &proto).await.unwrap();
    assert_eq!(client.version(&subject, Version::new(0)).await.unwrap_err().code(), Some(42202));
    assert_eq!(client.version(&subject, Version::new(9)).await.unwrap_err().code(), Some(40402));
    assert_eq!(client.schema(SchemaId::new(0)).await.unwrap_err().code(), Some(40403));
    let elsewhere = client.server_version().await.unwrap_err();
    assert_eq!((elsewhere.kind(), elsewhere.code()), (ErrorKind::NotFound, Some(404)));

    let before = registry.requests();
    registry.fail(1, 0);
    client.schema(SchemaId::new(1)).await.unwrap();
    assert_eq!(registry.requests(), before + 2);
    registry.fail(2, 500);
    assert_eq!(client.subjects().await.unwrap_err().status(), Some(500));
    assert_eq!(registry.requests(), before + 4);
    client.subjects().await.unwrap();
}
