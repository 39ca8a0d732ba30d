//! Where the registry is and how patient to be.

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use crate::auth::{ProvideToken, bearer};
use crate::endpoint::{Endpoint, basic};
use crate::error::Error;
use crate::oauth::ClientCredentials;
use crate::secret::Secret;
use crate::subject::Context;

/// Where the registry is, who asks, and how patient to be.
///
/// `Debug` shows no credentials.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) endpoints: Result<Vec<Endpoint>, Error>,
    pub(crate) credentials: Option<Credentials>,
    pub(crate) token_refresh_ahead: Duration,
    pub(crate) headers: Result<Vec<(Box<str>, Secret)>, Error>,
    pub(crate) context: Context,
    #[cfg(feature = "reqwest")]
    pub(crate) tls: crate::tls::Tls,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) deadline: Duration,
    pub(crate) retries: u32,
    pub(crate) retry_wait: Duration,
    pub(crate) retry_max_wait: Duration,
    pub(crate) cache_capacity: usize,
    pub(crate) latest_ttl: Duration,
    pub(crate) latest_stale: Duration,
    pub(crate) missing_ttl: Duration,
    pub(crate) registration_grace: Duration,
    pub(crate) max_response_bytes: usize,
    pub(crate) max_in_flight: usize,
    pub(crate) breaker_failures: u32,
    pub(crate) breaker_pause: Duration,
    pub(crate) breaker_max_pause: Duration,
}

/// How the `Authorization` header comes about.
#[derive(Clone, Debug)]
pub(crate) enum Credentials {
    Fixed(Result<Secret, Error>),
    OAuth(ClientCredentials),
    Provider(Arc<dyn ProvideToken>),
}

impl Config {
    /// A registry at `url`, such as `http://registry:8081` or
    /// `https://user:password@host/apis/ccompat/v7`; several replicas are separated by commas.
    ///
    /// Paths of the API are added to the URL as it is. Userinfo becomes basic authentication.
    /// A URL that cannot be used is reported by [`Client::new`](crate::Client::new).
    #[must_use]
    pub fn new(url: &str) -> Self {
        Self {
            endpoints: url.split(',').map(Endpoint::parse).collect(),
            credentials: None,
            token_refresh_ahead: Duration::from_secs(300),
            headers: Ok(Vec::new()),
            context: Context::DEFAULT,
            #[cfg(feature = "reqwest")]
            tls: crate::tls::Tls::default(),
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
            retries: 3,
            retry_wait: Duration::from_millis(250),
            retry_max_wait: Duration::from_secs(10),
            cache_capacity: 1_000,
            latest_ttl: Duration::from_secs(60),
            latest_stale: Duration::from_secs(600),
            missing_ttl: Duration::from_secs(5),
            registration_grace: Duration::from_secs(30),
            max_response_bytes: 16 << 20,
            max_in_flight: 8,
            breaker_failures: 10,
            breaker_pause: Duration::from_secs(1),
            breaker_max_pause: Duration::from_secs(10),
        }
    }

    /// Basic authentication, in place of what the URL says.
    #[must_use]
    pub fn with_basic_auth(mut self, user: &str, password: &str) -> Self {
        // A colon would move the border between the two (RFC 7617, section 2).
        self.credentials = Some(Credentials::Fixed(if user.contains(':') {
            Err(Error::config("the user name has a colon"))
        } else {
            Ok(basic(user, password))
        }));
        self
    }

    /// A bearer token, in place of what the URL says.
    #[must_use]
    pub fn with_bearer_token(mut self, token: &str) -> Self {
        self.credentials = Some(Credentials::Fixed(bearer(token)));
        self
    }

    /// Tokens by OAuth 2.0 client credentials, in place of what the URL says. They are renewed
    /// [ahead](Self::with_token_refresh_ahead) of their end.
    #[must_use]
    pub fn with_oauth(mut self, credentials: ClientCredentials) -> Self {
        self.credentials = Some(Credentials::OAuth(credentials));
        self
    }

    /// Tokens from wherever `provider` has them, in place of what the URL says.
    #[must_use]
    pub fn with_token_provider(mut self, provider: Arc<dyn ProvideToken>) -> Self {
        self.credentials = Some(Credentials::Provider(provider));
        self
    }

    /// How long before a token's end the next one is fetched, while the old one is still used.
    /// Default 300 s; a token is never renewed in the first half of its life.
    #[must_use]
    pub fn with_token_refresh_ahead(mut self, ahead: Duration) -> Self {
        self.token_refresh_ahead = ahead;
        self
    }

    /// Confluent Cloud's logical cluster of the registry (`lsrc-…`), which goes with tokens.
    #[must_use]
    pub fn with_logical_cluster(self, cluster: &str) -> Self {
        self.with_header("target-sr-cluster", cluster)
    }

    /// Confluent Cloud's identity pool (`pool-…`), which goes with tokens.
    #[must_use]
    pub fn with_identity_pool(self, pool: &str) -> Self {
        self.with_header("confluent-identity-pool-id", pool)
    }

    /// A header line for every request, such as Apicurio's `x-registry-groupid`. The value is
    /// treated as a secret. Of the same name the last one counts; names that this crate sets
    /// are refused.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        let name = name.to_ascii_lowercase();
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let text = |byte: u8| byte == b' ' || byte.is_ascii_graphic();
        let ours = ["accept", "authorization", "content-length", "content-type", "host"];
        if name.is_empty() || !name.bytes().all(token) || ours.contains(&&*name) {
            self.headers = Err(Error::config("not the name of a header that may be added"));
        } else if !value.bytes().all(text) {
            self.headers = Err(Error::config("a header has characters that none may have"));
        } else if let Ok(headers) = &mut self.headers {
            headers.retain(|(known, _)| **known != *name);
            headers.push((name.into(), Secret::new(value)));
        }
        self
    }

    /// Asks everything in `context`: subjects and ids are those of the context.
    #[must_use]
    pub fn with_context(mut self, context: Context) -> Self {
        self.context = context;
        self
    }

    /// Trusts only these certificate authorities (PEM, one or more) instead of those of the
    /// operating system.
    #[cfg(feature = "reqwest")]
    #[must_use]
    pub fn with_ca_certificates(mut self, pem: &[u8]) -> Self {
        self.tls.authorities = Some(pem.into());
        self
    }

    /// Shows the server this certificate: PEM with the certificate, its chain and the private
    /// key, unencrypted.
    #[cfg(feature = "reqwest")]
    #[must_use]
    pub fn with_client_certificate(mut self, pem: &[u8]) -> Self {
        self.tls.identity = Some(crate::tls::Pem::new(pem));
        self
    }

    /// How long one request may take, with its answer read to the end. Default 10 s.
    #[must_use]
    pub fn with_timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// How long connecting may take, within the [`timeout`](Self::with_timeout). Default 5 s.
    #[must_use]
    pub fn with_connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long a call may take with all its retries and waits. Default 60 s.
    #[must_use]
    pub fn with_deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// How often a call is tried again after a failure that may pass. Default 3.
    #[must_use]
    pub fn with_retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// Waits before retries: the n-th is chosen at random between zero and `base * 2^n`, but
    /// not above `max`. Default 250 ms and 10 s.
    ///
    /// A registry's `Retry-After` comes on top and may exceed `max`; one that exceeds the
    /// [`deadline`](Self::with_deadline) ends the call.
    #[must_use]
    pub fn with_retry_wait(mut self, base: Duration, max: Duration) -> Self {
        self.retry_wait = base;
        self.retry_max_wait = max;
        self
    }

    /// How many schemas by id are kept; also how many by GUID, subjects, registrations, and
    /// things that do not exist. Default 1,000;
    /// zero is taken as one.
    #[must_use]
    pub fn with_cache_capacity(mut self, schemas: usize) -> Self {
        self.cache_capacity = schemas;
        self
    }

    /// How long an answer of [`Client::latest`](crate::Client::latest) is kept. Default 60 s.
    #[must_use]
    pub fn with_latest_ttl(mut self, ttl: Duration) -> Self {
        self.latest_ttl = ttl;
        self
    }

    /// How long after its time an answer of [`Client::latest`](crate::Client::latest) is still
    /// used, while a new one is fetched in the background, and while the registry is away.
    /// Default 10 minutes; zero: never.
    #[must_use]
    pub fn with_latest_stale(mut self, stale: Duration) -> Self {
        self.latest_stale = stale;
        self
    }

    /// How long after a registration the registry may still say that the thing does not exist,
    /// because a replica has not heard of it: such an answer is retried. Default 30 s; zero:
    /// it is believed at once.
    #[must_use]
    pub fn with_registration_grace(mut self, grace: Duration) -> Self {
        self.registration_grace = grace;
        self
    }

    /// Leaves a URL alone for `pause` after so many `failures` in a row (no answer, status 408,
    /// 429 or 5xx), then lets one request through; every time that fails as well, the pause
    /// doubles, up to `max_pause`. Calls meanwhile fail at once, with
    /// [`ErrorKind::CircuitOpen`](crate::ErrorKind::CircuitOpen). Default 10 failures, 1 s and
    /// 10 s; zero failures: never.
    #[must_use]
    pub fn with_circuit_breaker(
        mut self,
        failures: u32,
        pause: Duration,
        max_pause: Duration,
    ) -> Self {
        self.breaker_failures = failures;
        self.breaker_pause = pause;
        self.breaker_max_pause = max_pause;
        self
    }

    /// How long to remember that an id, a GUID or a subject does not exist, so that a stream of
    /// records with a wrong id does not become a stream of requests. Default 5 s; zero: do not
    /// remember.
    #[must_use]
    pub fn with_missing_ttl(mut self, ttl: Duration) -> Self {
        self.missing_ttl = ttl;
        self
    }

    /// Largest accepted body of an answer. Default 16 MiB.
    #[must_use]
    pub fn with_max_response_bytes(mut self, bytes: usize) -> Self {
        self.max_response_bytes = bytes;
        self
    }

    /// How many requests may be open at once; others wait their turn. Default 8; zero is taken
    /// as one.
    #[must_use]
    pub fn with_max_in_flight(mut self, requests: usize) -> Self {
        self.max_in_flight = requests;
        self
    }

    pub(crate) fn capacity(&self) -> NonZeroUsize {
        NonZeroUsize::new(self.cache_capacity).unwrap_or(NonZeroUsize::MIN)
    }
}
