//! Certificates, as PEM texts until they are needed.

use std::fmt;

/// What to trust, and what to show.
#[derive(Clone, Debug, Default)]
pub(crate) struct Tls {
    pub(crate) authorities: Option<Box<[u8]>>,
    pub(crate) identity: Option<Pem>,
}

/// A PEM text with a private key.
#[derive(Clone)]
pub(crate) struct Pem(Box<[u8]>);

impl Pem {
    pub(crate) fn new(text: &[u8]) -> Self {
        Self(text.into())
    }

    pub(crate) fn expose(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Pem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<hidden>")
    }
}
