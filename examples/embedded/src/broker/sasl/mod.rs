//! Who may talk to the broker: what a verifier says, and the order in which a client has to ask.

mod plain;
mod session;

use std::fmt;
use std::time::Duration;

pub use plain::Plain;
pub(super) use session::Session;

/// Decides who may come in; given to [`Config::with_sasl`](super::Config::with_sasl).
///
/// Mechanisms of one message are served: `PLAIN`, `OAUTHBEARER`, `AWS_MSK_IAM` and their like.
pub trait Verifier: fmt::Debug + Send + Sync {
    /// The mechanisms a client may choose, by their SASL names.
    fn mechanisms(&self) -> Vec<String>;

    /// Judges the client's message, whose format the mechanism defines.
    ///
    /// # Errors
    /// [`Rejected`] when the client may not come in.
    fn verify(&self, mechanism: &str, message: &[u8]) -> Result<Login, Rejected>;
}

/// A client that may come in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct Login {
    pub(super) principal: String,
    pub(super) session: Option<Duration>,
    pub(super) reply: Vec<u8>,
}

impl Login {
    /// Lets `principal` in for as long as the connection lasts.
    pub fn new(principal: &str) -> Self {
        Self { principal: principal.to_owned(), session: None, reply: Vec::new() }
    }

    /// Ends the session after `lifetime`: by then the client has to authenticate anew on the same
    /// connection, as the same principal (KIP-368).
    pub const fn with_session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session = Some(lifetime);
        self
    }

    /// The mechanism's own answer to the client, empty by default.
    pub fn with_reply(mut self, reply: &[u8]) -> Self {
        self.reply = reply.to_vec();
        self
    }
}

/// A client that may not come in. It is told why.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{reason}")]
pub struct Rejected {
    reason: String,
}

impl Rejected {
    /// `reason` is sent to the client, so it should not help to guess.
    #[must_use]
    pub fn new(reason: &str) -> Self {
        Self { reason: reason.to_owned() }
    }
}

/// The token of an `OAUTHBEARER` message (RFC 7628, 3.1): `n,,`, then pairs of key and value, each
/// between bytes 0x01; the token follows `Bearer` in the value of `auth`.
#[must_use]
pub fn bearer_token(message: &[u8]) -> Option<&str> {
    let message = std::str::from_utf8(message).ok()?;
    let (header, pairs) = message.split_once('\u{1}')?;
    if !header.starts_with("n,") {
        return None;
    }
    let value = pairs.split('\u{1}').find_map(|pair| pair.strip_prefix("auth="))?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_token_is_found_among_other_pairs_only_in_its_form() {
        let good = b"n,a=user,\x01host=h\x01auth=Bearer a.b-c\x01port=1\x01\x01";
        assert_eq!(bearer_token(good), Some("a.b-c"));
        for bad in [&b""[..], b"n,,", b"y,,\x01auth=Bearer t\x01\x01", b"n,,\x01auth=Basic t\x01"] {
            assert_eq!(bearer_token(bad), None);
        }
    }
}
