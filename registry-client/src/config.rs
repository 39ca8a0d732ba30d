//! Where the registry is and how patient to be.

use std::num::NonZeroUsize;
use std::time::Duration;

use crate::endpoint::{Endpoint, basic};
use crate::error::Error;
use crate::secret::Secret;

/// Where the registry is, who asks, and how patient to be.
///
/// `Debug` shows no credentials.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) endpoints: Result<Vec<Endpoint>, Error>,
    pub(crate) authorization: Option<Result<Secret, Error>>,
    pub(crate) timeout: Duration,
    pub(crate) connect_timeout: Duration,
    pub(crate) deadline: Duration,
    pub(crate) retries: u32,
    pub(crate) retry_wait: Duration,
    pub(crate) retry_max_wait: Duration,
    pub(crate) cache_capacity: usize,
    pub(crate) latest_ttl: Duration,
    pub(crate) missing_ttl: Duration,
    pub(crate) max_response_bytes: usize,
    pub(crate) max_in_flight: usize,
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
            authorization: None,
            timeout: Duration::from_secs(10),
            connect_timeout: Duration::from_secs(5),
            deadline: Duration::from_secs(60),
            retries: 3,
            retry_wait: Duration::from_millis(250),
            retry_max_wait: Duration::from_secs(10),
            cache_capacity: 1_000,
            latest_ttl: Duration::from_secs(60),
            missing_ttl: Duration::from_secs(5),
            max_response_bytes: 16 << 20,
            max_in_flight: 8,
        }
    }

    /// Basic authentication, in place of what the URL says.
    #[must_use]
    pub fn with_basic_auth(mut self, user: &str, password: &str) -> Self {
        // A colon would move the border between the two (RFC 7617, section 2).
        self.authorization = Some(if user.contains(':') {
            Err(Error::config("the user name has a colon"))
        } else {
            Ok(basic(user, password))
        });
        self
    }

    /// A bearer token, in place of what the URL says.
    #[must_use]
    pub fn with_bearer_token(mut self, token: &str) -> Self {
        let valid = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
        self.authorization = Some(if valid {
            Ok(Secret::new(format!("Bearer {token}")))
        } else {
            Err(Error::config("the bearer token has characters that no header may have"))
        });
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

    /// How many schemas by id are kept; also how many subjects and registrations. Default 1,000;
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

    /// How long to remember that an id does not exist, so that a stream of records with a wrong
    /// id does not become a stream of requests. Default 5 s; zero: do not remember.
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
