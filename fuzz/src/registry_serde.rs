//! Target of `registry-client`'s deserializer.

use std::cell::RefCell;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use registry_client::{
    AvroDeserializer, Client, Config, Error, ErrorKind, Part, Request, Response, Transport,
};
use serde::de::IgnoredAny;
use tokio::runtime::{Builder, Runtime};

/// What the registry answers to everything, behind its length (`u16`), and a message.
pub fn message(data: &[u8]) {
    let Some((length, data)) = data.split_first_chunk::<2>() else { return };
    let length = usize::from(u16::from_be_bytes(*length));
    let Some((answer, message)) = data.split_at_checked(length) else { return };
    let answer = Fixed(Bytes::copy_from_slice(answer));
    let config = Config::new("http://registry").with_retries(0).with_missing_ttl(Duration::ZERO);
    let Ok(client) = Client::with_transport(config, Arc::new(answer)) else { return };
    let deserializer = AvroDeserializer::new(client, Part::Value);
    RUNTIME.with_borrow(|runtime| {
        let Some(runtime) = runtime else { return };
        let decode =
            || runtime.block_on(deserializer.decode::<IgnoredAny>(message)).map_err(|e| e.kind());
        let first = decode();
        assert_eq!(first.is_ok(), decode().is_ok());
        match deserializer.try_reader([], message) {
            Some((reader, datum)) => {
                assert!(message.ends_with(datum));
                assert_eq!(reader.decode::<IgnoredAny>(datum).is_ok(), first.is_ok());
            }
            None => assert!(matches!(
                first,
                Err(ErrorKind::Undecodable | ErrorKind::Response | ErrorKind::Schema)
            )),
        }
    });
}

thread_local! {
    static RUNTIME: RefCell<Option<Runtime>> =
        RefCell::new(Builder::new_current_thread().enable_time().build().ok());
}

#[derive(Debug)]
struct Fixed(Bytes);

#[async_trait]
impl Transport for Fixed {
    async fn send(&self, _request: Request) -> Result<Response, Error> {
        Ok(Response::new(200, self.0.clone()))
    }
}
