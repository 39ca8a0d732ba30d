//! OAuth 2.0 client credentials (RFC 6749, section 4.4).

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use serde::Deserialize;
use tokio::time::timeout;

use crate::auth::{ProvideToken, Token};
use crate::config::Config;
use crate::endpoint::{Endpoint, Path, basic, push_encoded};
use crate::error::{Error, ErrorKind};
use crate::exchange::{retry_after, timed_out};
use crate::secret::Secret;
use crate::transport::{Method, Request, Response, Transport};

/// The client id and secret with which a program gets its tokens. `Debug` hides both.
///
/// The secret goes into the `Authorization` header of the token request (RFC 6749, section
/// 2.3.1).
#[derive(Clone, Debug)]
pub struct ClientCredentials {
    token_url: Box<str>,
    id: Secret,
    secret: Secret,
    parameters: Vec<(Box<str>, Secret)>,
    in_body: bool,
}

impl ClientCredentials {
    /// Gets tokens at `token_url`, such as `https://login.example/oauth2/token`.
    #[must_use]
    pub fn new(token_url: &str, client_id: &str, client_secret: &str) -> Self {
        Self {
            token_url: token_url.into(),
            id: Secret::new(client_id),
            secret: Secret::new(client_secret),
            parameters: Vec::new(),
            in_body: false,
        }
    }

    /// What the token shall permit, several words separated by spaces.
    #[must_use]
    pub fn with_scope(self, scope: &str) -> Self {
        self.with_parameter("scope", scope)
    }

    /// A further parameter of the token request, such as `audience`.
    #[must_use]
    pub fn with_parameter(mut self, name: &str, value: &str) -> Self {
        self.parameters.push((name.into(), Secret::new(value)));
        self
    }

    /// Sends id and secret in the body instead of the header, as some servers demand.
    #[must_use]
    pub fn with_credentials_in_body(mut self) -> Self {
        self.in_body = true;
        self
    }
}

/// Asks a token endpoint.
#[derive(Debug)]
pub(crate) struct OAuth {
    url: String,
    authorization: Option<Secret>,
    body: Secret,
    transport: Arc<dyn Transport>,
    timeout: Duration,
}

impl OAuth {
    pub(crate) fn new(
        credentials: ClientCredentials,
        config: &Config,
        transport: Arc<dyn Transport>,
    ) -> Result<Self, Error> {
        let mut body = String::from("grant_type=client_credentials");
        let mut add = |name: &str, value: &Secret| {
            body.push('&');
            push_encoded(&mut body, name);
            body.push('=');
            push_encoded(&mut body, value.expose());
        };
        for (name, value) in &credentials.parameters {
            add(name, value);
        }
        let authorization = if credentials.in_body {
            add("client_id", &credentials.id);
            add("client_secret", &credentials.secret);
            None
        } else {
            let encoded = |secret: &Secret| {
                let mut text = String::new();
                push_encoded(&mut text, secret.expose());
                text
            };
            Some(basic(&encoded(&credentials.id), &encoded(&credentials.secret)))
        };
        Ok(Self {
            url: Endpoint::parse(&credentials.token_url)?.join(&Path::new()),
            authorization,
            body: Secret::new(body),
            transport,
            timeout: config.timeout,
        })
    }

    async fn ask(&self) -> Result<Token, Error> {
        let mut request = Request::new(Method::Post, &self.url, MAX_BYTES)
            .with_header("accept", Secret::new("application/json"))
            .with_header("content-type", Secret::new("application/x-www-form-urlencoded"))
            .with_body(Some(self.body.expose().to_owned().into()));
        if let Some(value) = &self.authorization {
            request = request.with_header("authorization", value.clone());
        }
        let response = timeout(self.timeout, self.transport.send(request))
            .await
            .map_err(|_| timed_out())??;
        match response.status() {
            200..=299 => {}
            _ => return Err(refusal(&response)),
        }
        // The source would quote nothing of the body: its text may be the token.
        let answer: WireToken = serde_json::from_slice(response.body()).map_err(|_| {
            Error::response("the token endpoint did not answer with a token")
                .at(&self.url, Some(response.status()))
        })?;
        let token = Token::new(&answer.access_token);
        Ok(match answer.expires_in {
            Some(seconds) if seconds >= 0.0 => {
                let lifetime = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
                token.with_lifetime(lifetime)
            }
            _ => token.with_lifetime(UNSAID),
        })
    }
}

#[async_trait]
impl ProvideToken for OAuth {
    async fn token(&self) -> Result<Token, Error> {
        self.ask().await.map_err(|error| error.at(&self.url, None))
    }
}

/// The typed form of a token endpoint's refusal (RFC 6749, section 5.2). Its words stay out of
/// the error: servers repeat what they were sent.
fn refusal(response: &Response) -> Error {
    let kind = match response.status() {
        400 | 401 | 403 | 407 => ErrorKind::Unauthorized,
        408 | 425 | 429 => ErrorKind::Busy,
        500..=599 => ErrorKind::Server,
        _ => ErrorKind::Refused,
    };
    Error::build(kind)
        .with_status(response.status())
        .with_detail("from the token endpoint")
        .with_retry_after(retry_after(response))
        .into()
}

#[derive(Deserialize)]
struct WireToken {
    access_token: Box<str>,
    #[serde(default)]
    expires_in: Option<f64>,
}

const MAX_BYTES: usize = 1 << 20;
/// Life of a token whose server does not say how long it lasts.
const UNSAID: Duration = Duration::from_secs(300);
