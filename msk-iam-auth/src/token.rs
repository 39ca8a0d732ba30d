use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::sigv4::percent_encode;
use crate::{Credentials, Error, Signer};

/// A token for the mechanism OAUTHBEARER: a presigned URL in unpadded base64url. Whoever has it can
/// connect until it expires, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: Arc<str>,
    issued_at: SystemTime,
    expires_at: SystemTime,
}

impl Signer {
    /// Signs a token, valid from `now` on.
    ///
    /// # Errors
    /// [`ErrorKind::CredentialsExpired`](crate::ErrorKind::CredentialsExpired),
    /// [`ErrorKind::InvalidCredentials`](crate::ErrorKind::InvalidCredentials) or
    /// [`ErrorKind::Clock`](crate::ErrorKind::Clock).
    pub fn token(&self, credentials: &Credentials, now: SystemTime) -> Result<Token, Error> {
        let host = self.endpoint_host();
        let signed = self.sign(&host, credentials, now)?;
        let mut url =
            format!("https://{host}/?{}&X-Amz-Signature={}", signed.query, signed.signature);
        url.push_str("&User-Agent=");
        percent_encode(self.user_agent(), &mut url);
        Ok(Token {
            text: URL_SAFE_NO_PAD.encode(url).into(),
            issued_at: signed.issued_at,
            expires_at: signed.issued_at + Duration::from_secs(signed.expires_seconds),
        })
    }
}

impl Token {
    /// The principal that Amazon's Java client names. Clients that want one only log it.
    pub const PRINCIPAL: &'static str = "kafka-cluster";

    /// The token.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// When it was signed, in whole seconds.
    #[must_use]
    pub const fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// When it expires, in whole seconds: never later than the credentials.
    #[must_use]
    pub const fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// When it expires, in milliseconds since 1970-01-01 UTC (librdkafka's `md_lifetime_ms`).
    #[must_use]
    pub fn expires_at_unix_ms(&self) -> i64 {
        self.expires_at
            .duration_since(UNIX_EPOCH)
            .ok()
            .and_then(|since| i64::try_from(since.as_millis()).ok())
            .unwrap_or(i64::MAX)
    }

    /// The client's first message of the mechanism (RFC 7628, 3.1), without extensions. A broker
    /// that accepts answers with no bytes; one that refuses answers with JSON, and expects `\x01`.
    #[must_use]
    pub fn sasl_message(&self) -> Vec<u8> {
        format!("n,,\x01auth=Bearer {}\x01\x01", self.text).into_bytes()
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token")
            .field("issued_at", &self.issued_at)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}
