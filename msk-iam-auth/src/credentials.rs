use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::sigv4::percent_encode;
use crate::{Error, ErrorKind};

/// An AWS access key, perhaps a temporary one. Cheap to clone; the secret parts are overwritten
/// when the last clone goes, and never printed.
///
/// ```
/// use msk_iam_auth::Credentials;
///
/// let credentials = Credentials::new("AKIDEXAMPLE", "hush").with_session_token("token");
/// assert!(!format!("{credentials:?}").contains("hush"));
/// ```
#[derive(Clone)]
pub struct Credentials {
    access_key_id: Arc<str>,
    secret: Arc<Zeroizing<String>>,
    session_token: Option<Arc<SessionToken>>,
    expires_at: Option<SystemTime>,
    /// Whether every part could have come from AWS, which is looked at once and reported when
    /// something is to be signed.
    is_legal: bool,
}

/// A session token and what it looks like in every query.
struct SessionToken {
    text: Zeroizing<String>,
    encoded: Zeroizing<Vec<u8>>,
}

impl Credentials {
    /// A long-lived key. What it holds is checked when something is signed with it.
    #[must_use]
    pub fn new(access_key_id: &str, secret_access_key: &str) -> Self {
        Self {
            access_key_id: Arc::from(access_key_id),
            secret: Arc::new(Zeroizing::new(secret_access_key.to_owned())),
            session_token: None,
            expires_at: None,
            is_legal: is_legal(access_key_id) && is_legal(secret_access_key),
        }
    }

    /// Adds the session token of a temporary key. An empty one counts as none.
    #[must_use]
    pub fn with_session_token(mut self, token: &str) -> Self {
        self.is_legal &= token.is_empty() || is_legal(token);
        self.session_token = (!token.is_empty()).then(|| {
            // Room for all, so that no part stays behind in a block grown out of.
            let mut encoded = Zeroizing::new(Vec::with_capacity(3 * token.len()));
            percent_encode(token, &mut encoded);
            Arc::new(SessionToken { text: Zeroizing::new(token.to_owned()), encoded })
        });
        self
    }

    /// Says when the key expires. No signature will outlive it.
    #[must_use]
    pub const fn with_expires_at(mut self, expires_at: SystemTime) -> Self {
        self.expires_at = Some(expires_at);
        self
    }

    /// From `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY` and `AWS_SESSION_TOKEN`.
    ///
    /// # Errors
    /// [`ErrorKind::MissingCredentials`] if one of the first two is not set or empty.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    /// From the same variables, wherever they are looked up.
    ///
    /// # Errors
    /// [`ErrorKind::MissingCredentials`] if one of the first two is not there or empty.
    pub fn from_variables(look_up: impl Fn(&str) -> Option<String>) -> Result<Self, Error> {
        let required = |name: &'static str| {
            look_up(name)
                .filter(|value| !value.is_empty())
                .ok_or_else(|| Error::new(ErrorKind::MissingCredentials(name)))
        };
        let id = required("AWS_ACCESS_KEY_ID")?;
        let secret = Zeroizing::new(required("AWS_SECRET_ACCESS_KEY")?);
        let token = Zeroizing::new(look_up("AWS_SESSION_TOKEN").unwrap_or_default());
        Ok(Self::new(&id, &secret).with_session_token(&token))
    }

    /// The access key's id, which is no secret.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// When the key expires, if it does.
    #[must_use]
    pub const fn expires_at(&self) -> Option<SystemTime> {
        self.expires_at
    }

    /// Whether the two are clones of one.
    #[cfg(feature = "tokio")]
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.secret, &other.secret)
    }

    pub(crate) fn secret(&self) -> &str {
        &self.secret
    }

    pub(crate) fn session_token(&self) -> Option<&str> {
        self.session_token.as_ref().map(|token| token.text.as_str())
    }

    pub(crate) fn encoded_session_token(&self) -> Option<&[u8]> {
        self.session_token.as_ref().map(|token| token.encoded.as_slice())
    }

    /// A key that could not have come from AWS is found here rather than by a broker that says
    /// "Access denied".
    pub(crate) const fn check(&self) -> Result<(), Error> {
        if self.is_legal { Ok(()) } else { Err(Error::new(ErrorKind::InvalidCredentials)) }
    }
}

/// A tab is let through: it is odd, but signs like any other character.
fn is_legal(part: &str) -> bool {
    !part.is_empty() && !part.chars().any(|c| c.is_control() && c != '\t')
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("access_key_id", &self.access_key_id)
            .field("secret_access_key", &"..")
            .field("session_token", &self.session_token.as_ref().map(|_| ".."))
            .field("expires_at", &self.expires_at)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use zeroize::ZeroizeOnDrop;

    use super::*;

    #[test]
    fn secrets_are_overwritten_when_dropped() {
        fn wiped(_: &impl ZeroizeOnDrop) {}
        let credentials = Credentials::new("id", "secret").with_session_token("token");
        wiped(&*credentials.secret);
        let token = credentials.session_token.unwrap();
        wiped(&token.text);
        wiped(&token.encoded);
    }
}
