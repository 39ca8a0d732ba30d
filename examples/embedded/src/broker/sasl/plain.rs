use std::collections::BTreeMap;
use std::fmt;

use super::{Login, Rejected, Verifier};

/// Users and passwords for `PLAIN` (RFC 4616).
#[derive(Clone, Default)]
#[must_use]
pub struct Plain {
    passwords: BTreeMap<String, String>,
}

impl Plain {
    /// Nobody may come in yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Lets `user` in with `password`.
    pub fn with_user(mut self, user: &str, password: &str) -> Self {
        self.passwords.insert(user.to_owned(), password.to_owned());
        self
    }
}

impl Verifier for Plain {
    fn mechanisms(&self) -> Vec<String> {
        vec!["PLAIN".to_owned()]
    }

    /// The message is an authorization id, which has to be empty or the user, the user and the
    /// password, with zero bytes between them.
    fn verify(&self, _mechanism: &str, message: &[u8]) -> Result<Login, Rejected> {
        let rejected = || Rejected::new("wrong user or password");
        let text = std::str::from_utf8(message).map_err(|_| rejected())?;
        let mut parts = text.split('\0');
        let (Some(acting), Some(user), Some(password), None) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(rejected());
        };
        let known = self.passwords.get(user).ok_or_else(rejected)?;
        if (acting.is_empty() || acting == user) && equal(known.as_bytes(), password.as_bytes()) {
            Ok(Login::new(user))
        } else {
            Err(rejected())
        }
    }
}

/// Takes as long whichever byte differs.
fn equal(one: &[u8], other: &[u8]) -> bool {
    one.len() == other.len()
        && one.iter().zip(other).fold(0, |seen, (one, other)| seen | (one ^ other)) == 0
}

impl fmt::Debug for Plain {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Plain").field("users", &self.passwords.keys()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_right_password_of_a_known_user_is_let_in() {
        let plain = Plain::new().with_user("ann", "secret");
        assert!(!format!("{plain:?}").contains("secret"));
        for good in [&b"\0ann\0secret"[..], b"ann\0ann\0secret"] {
            assert_eq!(plain.verify("PLAIN", good), Ok(Login::new("ann")));
        }
        let bad =
            ["\0ann\0", "\0bob\0secret", "bob\0ann\0secret", "ann\0secret", "\0ann\0secret\0"];
        for bad in bad {
            assert!(plain.verify("PLAIN", bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
