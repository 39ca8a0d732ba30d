//! Targets of `registry-client`.

use std::cell::RefCell;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use registry_client::{
    Client, Config, Error, NewSchema, Request, Response, SchemaId, Subject, Transport, Version,
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
    let config = Config::new("http://registry").with_retries(0);
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
    let _ = client.versions(&subject).await;
    let _ = client.register(&subject, &schema).await;
    let _ = client.is_compatible(&subject, Version::LATEST, &schema).await;
    let _ = client.subjects().await;
}

fn touch(registered: &registry_client::Registered) {
    let _ = (registered.subject(), registered.version(), registered.schema_type().as_str());
    let _ = (registered.schema().len(), registered.references().len());
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
