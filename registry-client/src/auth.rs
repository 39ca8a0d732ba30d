//! Who asks: fixed credentials, or tokens that are renewed.

use std::fmt;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;

use crate::cache::{Cache, Found, Lifetime};
use crate::config::{Config, Credentials};
use crate::error::Error;
use crate::oauth::OAuth;
use crate::secret::Secret;
use crate::transport::Transport;

/// Gets bearer tokens from wherever they come.
///
/// The client keeps a token for its lifetime, asks for the next one ahead of its end, asks one
/// at a time however many requests wait, and asks again when the registry refuses one (status
/// 401). An implementation needs to do none of that.
#[async_trait]
pub trait ProvideToken: Send + Sync + fmt::Debug {
    /// A token that is good now.
    ///
    /// # Errors
    /// [`Error::transport`] when there may be one later, [`Error::no_token`] when not.
    async fn token(&self) -> Result<Token, Error>;
}

/// A bearer token and how long it is good.
#[derive(Clone, Debug)]
pub struct Token {
    header: Result<Secret, Error>,
    lifetime: Option<Duration>,
}

impl Token {
    /// A token that is good until the registry refuses it.
    #[must_use]
    pub fn new(text: &str) -> Self {
        Self { header: bearer(text), lifetime: None }
    }

    /// Ends it after `lifetime`, counted from when the client gets it.
    #[must_use]
    pub fn with_lifetime(mut self, lifetime: Duration) -> Self {
        self.lifetime = Some(lifetime);
        self
    }
}

/// `Authorization` value of a bearer token (RFC 6750).
pub(crate) fn bearer(token: &str) -> Result<Secret, Error> {
    if token.is_empty() || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Error::config("the bearer token has characters that no header may have"));
    }
    Ok(Secret::new(format!("Bearer {token}")))
}

/// Where the `Authorization` header comes from.
#[derive(Debug)]
pub(crate) enum Authorization {
    Fixed(Secret),
    Tokens(Arc<Tokens>),
}

impl Authorization {
    pub(crate) fn new(
        credentials: Credentials,
        config: &Config,
        transport: &Arc<dyn Transport>,
    ) -> Result<Self, Error> {
        let provider: Arc<dyn ProvideToken> = match credentials {
            Credentials::Fixed(header) => return header.map(Self::Fixed),
            Credentials::Provider(provider) => provider,
            Credentials::OAuth(credentials) => {
                Arc::new(OAuth::new(credentials, config, Arc::clone(transport))?)
            }
        };
        let ahead = config.token_refresh_ahead;
        Ok(Self::Tokens(Arc::new(Tokens {
            provider,
            cache: Cache::new(NonZeroUsize::MIN, Duration::ZERO, move |token: &Token| {
                lifetime(token.lifetime, ahead)
            }),
        })))
    }

    /// The header's value, after waiting for a token if there is none that is good.
    pub(crate) async fn header(&self) -> Result<Secret, Error> {
        match self {
            Self::Fixed(header) => Ok(header.clone()),
            Self::Tokens(tokens) => tokens.get().await?.header,
        }
    }

    /// Forgets `used` because the registry refused it; whether there can be another.
    pub(crate) fn reject(&self, used: &Secret) -> bool {
        let Self::Tokens(tokens) = self else { return false };
        // Another request may have got a new one meanwhile.
        if let Some(Token { header: Ok(current), .. }) = tokens.cache.get(&())
            && current == *used
        {
            tokens.cache.forget(&());
        }
        true
    }
}

/// The token in use.
#[derive(Debug)]
pub(crate) struct Tokens {
    provider: Arc<dyn ProvideToken>,
    cache: Cache<(), Token>,
}

impl Tokens {
    async fn get(self: &Arc<Self>) -> Result<Token, Error> {
        match self.cache.look(&()) {
            Found::Fresh(token) | Found::Stale(token) => return Ok(token),
            Found::Refresh(token) => {
                let tokens = Arc::clone(self);
                tokio::spawn(async move {
                    tokens.cache.refresh(&(), || tokens.provider.token()).await;
                });
                return Ok(token);
            }
            Found::Nothing => {}
        }
        self.cache.get_or_fetch(&(), || self.provider.token()).await
    }
}

/// A token is renewed `ahead` of its end, but not in the first half of its life, and not used in
/// the last tenth of it or the last 10 seconds, whichever is shorter.
fn lifetime(token: Option<Duration>, ahead: Duration) -> Lifetime {
    let Some(whole) = token else { return Lifetime::ENDLESS };
    let usable = whole.saturating_sub(Duration::from_secs(10).min(whole / 10));
    let fresh = usable.saturating_sub(ahead).max(whole / 2);
    Lifetime { fresh, stale: usable.saturating_sub(fresh) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_renewed_ahead_but_not_at_once() {
        let parts = |whole, ahead| {
            let life = lifetime(Some(Duration::from_secs(whole)), Duration::from_secs(ahead));
            (life.fresh.as_secs(), life.stale.as_secs())
        };
        assert_eq!(parts(3_600, 300), (3_290, 300));
        assert_eq!(parts(300, 300), (150, 140));
        assert_eq!(parts(10, 300), (5, 4));
        assert_eq!(parts(0, 300), (0, 0));
        assert_eq!(lifetime(None, Duration::ZERO).fresh, Duration::MAX);
    }

    #[test]
    fn tokens_are_not_shown() {
        let token = Token::new("secret").with_lifetime(Duration::from_secs(1));
        assert!(!format!("{token:?}").contains("secret"));
        assert!(Token::new("a\r\nb").header.is_err());
    }
}
