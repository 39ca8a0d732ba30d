//! The transport over HTTP/1.1 and TLS.

use std::sync::Once;
use std::time::Duration;

use async_trait::async_trait;
use bytes::{Bytes, BytesMut};

use crate::error::{Error, ErrorKind};
use crate::tls::Tls;
use crate::transport::{Method, Request, Response, Transport};

/// The [`Transport`] over HTTP and HTTPS: connections are pooled and kept open, TLS is rustls
/// with ring and trusts the certificates of the operating system, redirects are not followed.
#[derive(Clone, Debug)]
pub struct HttpTransport {
    client: reqwest::Client,
}

impl HttpTransport {
    /// A transport that gives up connecting after `connect_timeout`.
    ///
    /// Makes ring the process's default provider of cryptography when there is none yet.
    ///
    /// # Errors
    /// [`ErrorKind::Config`] when TLS cannot be set up.
    pub fn new(connect_timeout: Duration) -> Result<Self, Error> {
        Self::build(connect_timeout, &Tls::default())
    }

    pub(crate) fn build(connect_timeout: Duration, tls: &Tls) -> Result<Self, Error> {
        install_crypto_provider();
        let unusable = |detail| {
            move |e: reqwest::Error| {
                Error::from(Error::build(ErrorKind::Config).with_detail(detail).with_source(e))
            }
        };
        let mut builder = reqwest::Client::builder()
            .user_agent(concat!("registry-client/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(connect_timeout)
            .redirect(reqwest::redirect::Policy::none());
        if let Some(pem) = &tls.authorities {
            let authorities = reqwest::Certificate::from_pem_bundle(pem)
                .map_err(unusable("the certificate authorities are not PEM"))?;
            if authorities.is_empty() {
                return Err(Error::config("the PEM text of the authorities has no certificate"));
            }
            builder = builder.tls_certs_only(authorities);
        }
        if let Some(pem) = &tls.identity {
            let identity = reqwest::Identity::from_pem(pem.expose())
                .map_err(unusable("the client certificate and key are not PEM"))?;
            builder = builder.identity(identity);
        }
        let client = builder.build().map_err(unusable("TLS cannot be set up"))?;
        Ok(Self { client })
    }
}

#[async_trait]
impl Transport for HttpTransport {
    async fn send(&self, request: Request) -> Result<Response, Error> {
        let method = match request.method() {
            Method::Get => reqwest::Method::GET,
            Method::Post => reqwest::Method::POST,
            Method::Put => reqwest::Method::PUT,
            Method::Delete => reqwest::Method::DELETE,
        };
        let mut builder = self.client.request(method, request.url());
        for (name, value) in request.headers() {
            let mut value = reqwest::header::HeaderValue::from_str(value)
                .map_err(|e| Error::build(ErrorKind::Config).with_source(e))?;
            value.set_sensitive(name == "authorization");
            builder = builder.header(name, value);
        }
        if let Some(body) = request.body() {
            builder = builder.body(body.clone());
        }
        // The error's own URL is dropped: ours is known to be free of credentials.
        let response = builder.send().await.map_err(|e| Error::transport(e.without_url()))?;
        let status = response.status().as_u16();
        let header = |name| {
            response.headers().get(name).and_then(|value| value.to_str().ok()).map(str::to_owned)
        };
        let retry_after = header(reqwest::header::RETRY_AFTER);
        let content_type = header(reqwest::header::CONTENT_TYPE);
        let limit = request.max_response_bytes();
        let body = if (200..300).contains(&status) {
            read(response, limit).await.map_err(|error| error.answered(status))?
        } else {
            read_refusal(response, limit.min(MAX_REFUSAL_BYTES)).await
        };
        let mut answer = Response::new(status, body);
        if let Some(value) = retry_after {
            answer = answer.with_retry_after(&value);
        }
        if let Some(value) = content_type {
            answer = answer.with_content_type(&value);
        }
        Ok(answer)
    }
}

/// Reads a body chunk by chunk, so that a length that was only announced costs nothing.
async fn read(mut response: reqwest::Response, limit: usize) -> Result<Bytes, Error> {
    let announced = response.content_length().unwrap_or(0);
    if usize::try_from(announced).map_or(true, |announced| announced > limit) {
        return Err(Error::response_too_large());
    }
    let mut body = BytesMut::new();
    while let Some(chunk) = response.chunk().await.map_err(|e| Error::transport(e.without_url()))? {
        if chunk.len() > limit.saturating_sub(body.len()) {
            return Err(Error::response_too_large());
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.freeze())
}

/// Reads the body of a refusal as far as it comes: the status says enough without it.
async fn read_refusal(mut response: reqwest::Response, limit: usize) -> Bytes {
    let mut body = BytesMut::new();
    while body.len() < limit
        && let Ok(Some(chunk)) = response.chunk().await
    {
        let room = limit - body.len();
        body.extend_from_slice(chunk.get(..room).unwrap_or(&chunk));
    }
    body.freeze()
}

/// Largest body of a refusal; what a registry says in one is a line.
const MAX_REFUSAL_BYTES: usize = 64 << 10;

/// rustls is built with ring only, but other crates of the program may bring another provider;
/// then rustls wants to be told which one to use.
fn install_crypto_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        if rustls::crypto::CryptoProvider::get_default().is_none() {
            // An error means that somebody else was faster, which is as good.
            let _ = rustls::crypto::ring::default_provider().install_default();
        }
    });
}
