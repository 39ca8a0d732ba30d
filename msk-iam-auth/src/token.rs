use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use zeroize::Zeroizing;

use crate::sigv4::percent_encode;
use crate::{Credentials, Error, Signer};

/// A token for the mechanism OAUTHBEARER: a presigned URL in unpadded base64url. Whoever has it can
/// connect until it expires, so it is not printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Token {
    text: Arc<Zeroizing<String>>,
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
        let session_token = credentials.encoded_session_token().map_or(0, <[u8]>::len);
        let agent = self.user_agent();
        // Room for all, so that no part of a secret stays behind in a block grown out of.
        let mut url =
            Zeroizing::new(Vec::with_capacity(512 + host.len() + session_token + 3 * agent.len()));
        for part in ["https://", host, "/?"] {
            url.extend_from_slice(part.as_bytes());
        }
        let signed = self.sign(host, credentials, now, &mut url)?;
        url.extend_from_slice(b"&X-Amz-Signature=");
        url.extend_from_slice(signed.signature.as_bytes());
        url.extend_from_slice(b"&User-Agent=");
        percent_encode(agent, &mut url);
        let mut text = String::with_capacity(url.len().div_ceil(3) * 4);
        URL_SAFE_NO_PAD.encode_string(&*url, &mut text);
        Ok(Token {
            text: Arc::new(Zeroizing::new(text)),
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
        ["n,,\x01auth=Bearer ", self.as_str(), "\x01\x01"].concat().into_bytes()
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

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use zeroize::ZeroizeOnDrop;

    use super::*;
    use crate::Region;

    #[test]
    fn the_token_is_overwritten_when_dropped() -> Result<(), Error> {
        fn wiped(_: &impl ZeroizeOnDrop) {}
        let signer = Signer::new(Region::new("us-east-1")?);
        let token = signer.token(&Credentials::new("id", "secret"), UNIX_EPOCH)?;
        wiped(&*token.text);
        Ok(())
    }
}
