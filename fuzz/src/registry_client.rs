//! Targets of `registry-client`.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use registry_client::{
    Client, Config, Context, Deletion, Error, ErrorKind, Force, Guid, Listing, Metadata, Mode,
    NewSchema, Part, Request, Response, RuleSet, SchemaId, Scope, Settings, Subject, Transport,
    Version,
};
use tokio::runtime::{Builder, Runtime};

/// The answer to every call: two bytes of status, a byte of length and so many of `Retry-After`,
/// and the body.
pub fn response(data: &[u8]) {
    let Some(([high, low, length], data)) = data.split_first_chunk::<3>() else { return };
    let Some((after, body)) = data.split_at_checked(usize::from(*length)) else { return };
    // A status in 200 ..= 299 for half of all inputs.
    let status = match u16::from_be_bytes([*high, *low]) {
        status @ 0..=999 => status,
        status => 200 + status % 100,
    };
    let mut answer = Response::new(status, Bytes::copy_from_slice(body));
    if let Ok(after) = std::str::from_utf8(after)
        && !after.is_empty()
    {
        answer = answer.with_retry_after(after);
    }
    if let Ok(body) = std::str::from_utf8(body) {
        documents(body);
    }
    let config = Config::new("http://registry").with_retries(0).with_circuit_breaker(
        0,
        Duration::ZERO,
        Duration::ZERO,
    );
    let Ok(client) = Client::with_transport(config, Arc::new(Fixed(answer))) else { return };
    RUNTIME.with_borrow(|runtime| {
        let Some(runtime) = runtime else { return };
        runtime.block_on(calls(&client));
    });
}

async fn calls(client: &Client) {
    let (subject, schema, id) = (Subject::new("s"), NewSchema::new("\"long\""), SchemaId::new(7));
    match client.schema(id).await {
        Ok(registered) => {
            assert_eq!(registered.id(), id);
            assert!(client.try_get(id).is_some());
            touch(&registered);
        }
        Err(error) => {
            assert!(client.try_get(id).is_none());
            drop(error.to_string());
        }
    }
    let answers = [
        client.latest(&subject).await,
        client.version(&subject, Version::new(1)).await,
        client.lookup(&subject, &schema).await,
    ];
    for answer in answers {
        match answer {
            Ok(registered) => touch(&registered),
            Err(error) => {
                let _ = (error.kind(), error.status(), error.code(), error.is_retryable());
                drop(error.to_string());
            }
        }
    }
    if let Ok(registration) = client.registration(&subject, &schema).await {
        assert_eq!(client.register(&subject, &schema).await.ok(), Some(registration.id));
    }
    let guid = Guid::new([7; 16]);
    match client.schema_by_guid(guid).await {
        Ok(definition) => assert_eq!(definition.guid(), Some(guid)),
        Err(_) => assert!(client.try_get_guid(guid).is_none()),
    }
    lists(client, &subject).await;
    administration(client, &subject).await;
}

async fn lists(client: &Client, subject: &Subject) {
    let (id, all, guid) = (SchemaId::new(7), Listing::new(), Guid::new([7; 16]));
    let schema = NewSchema::new("\"long\"");
    let _ = client.versions(subject).await;
    let _ = client.is_compatible(subject, Version::LATEST, &schema).await;
    let _ = client.may_register(subject, &schema).await;
    let _ = client.latest_with_metadata(subject, &[("a", "b")]).await;
    let _ = client.schema_for(id, &Subject::in_context(&Context::new("x"), "s")).await;
    for registered in client.list_schemas(&all).await.unwrap_or_default() {
        touch(&registered);
    }
    for name in client.subjects().await.unwrap_or_default() {
        assert_eq!(Subject::in_context(&name.context(), name.name()).context(), name.context());
    }
    for context in client.list_contexts(&all).await.unwrap_or_default() {
        assert!(context.as_str().starts_with('.'));
    }
    let _ = client.schema_types().await;
    let _ = client.subjects_of(id, &all).await;
    let _ = client.versions_of(id, &all).await;
    let _ = client.ids_of(guid).await;
    let _ = client.referenced_by(subject, Version::LATEST, &all).await;
    let _ = client.associated_subject("t", Part::Value, None).await;
    let _ = client.schema_text(id, None).await;
    let _ = client.version_text(subject, Version::LATEST, None).await;
}

async fn administration(client: &Client, subject: &Subject) {
    let scope = Scope::Subject(subject.clone());
    if let Ok(settings) = client.settings(&scope).await {
        let _ = (settings.compatibility(), settings.alias(), settings.default_rule_set());
        assert_eq!(settings.to_json().parse::<Settings>().ok(), Some(settings));
    }
    let _ = client.update_settings(&scope, &Settings::new()).await;
    let _ = client.delete_settings(&scope).await;
    if let Ok(mode) = client.mode(&scope).await {
        assert_eq!(Mode::from(mode.as_str()), mode);
    }
    let _ = client.update_mode(&scope, &Mode::ReadOnly, Force::Yes).await;
    let _ = client.delete_mode(&scope).await;
    let _ = client.delete_subject(subject, Deletion::Soft).await;
    let _ = client.delete_version(subject, Version::LATEST, Deletion::Permanent).await;
    let _ = client.delete_context(&Context::new("x")).await;
    let _ = client.server_version().await;
    let _ = client.server_id().await;
    match client.server_deployment().await {
        Ok(text) => assert!(text.starts_with('{')),
        Err(error) => assert_ne!(error.kind(), ErrorKind::Config),
    }
}

/// What is carried comes out as it went in.
fn documents(text: &str) {
    if let Ok(metadata) = text.parse::<Metadata>() {
        let _ = (metadata.tags(), metadata.sensitive());
        assert_eq!(metadata.to_json().parse::<Metadata>().ok().as_ref(), Some(&metadata));
        let properties = metadata.with_property("k", "v").properties();
        assert_eq!(properties.get("k").map(String::as_str), Some("v"));
    }
    if let Ok(rules) = text.parse::<RuleSet>() {
        let _ = (rules.migration_rules(), rules.domain_rules(), rules.encoding_rules());
        assert_eq!(rules.to_json().parse::<RuleSet>().ok(), Some(rules));
    }
    if let Ok(guid) = text.parse::<Guid>() {
        assert_eq!(guid.to_string().parse::<Guid>().ok(), Some(guid));
    }
}

fn touch(registered: &registry_client::Registered) {
    let _ = (registered.subject(), registered.version(), registered.schema_type().as_str());
    let _ = (registered.schema().len(), registered.references().len());
    if let Some(metadata) = registered.metadata() {
        documents(&metadata.to_json());
    }
    if let Some(rules) = registered.rule_set() {
        documents(&rules.to_json());
    }
}

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> =
        RefCell::new(Builder::new_current_thread().enable_time().build().ok());
}

#[derive(Debug)]
struct Fixed(Response);

#[async_trait]
impl Transport for Fixed {
    async fn send(&self, _request: Request) -> Result<Response, Error> {
        Ok(self.0.clone())
    }
}
