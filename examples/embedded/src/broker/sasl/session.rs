//! How far a connection's client has come.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kafka_protocol::ResponseError;
use kafka_protocol::messages::{
    ApiKey, SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest,
    SaslHandshakeResponse,
};
use kafka_protocol::protocol::StrBytes;

use super::{Login, Rejected, Verifier};
use crate::broker::wire::Refused;

#[derive(Debug)]
pub(in crate::broker) struct Session {
    /// `None` lets everyone do everything.
    verifier: Option<Arc<dyn Verifier>>,
    state: State,
    identity: Option<Identity>,
}

#[derive(Debug)]
enum State {
    /// Nothing chosen; whether requests are answered depends on the identity.
    Idle,
    Chosen {
        mechanism: String,
        framing: Framing,
    },
    /// The client was refused and is let go after the reply.
    Over,
}

/// How the message of the mechanism comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Framing {
    /// In a `SaslAuthenticate` request.
    Request,
    /// As it is, after a length: what followed version 0 of `SaslHandshake`.
    Bare,
}

#[derive(Debug)]
struct Identity {
    principal: String,
    until: Option<Instant>,
}

impl Session {
    pub(in crate::broker) const fn new(verifier: Option<Arc<dyn Verifier>>) -> Self {
        Self { verifier, state: State::Idle, identity: None }
    }

    /// Whether the connection has to be closed once the last reply is sent.
    pub(in crate::broker) const fn is_over(&self) -> bool {
        matches!(self.state, State::Over)
    }

    /// Whether this request may be answered now.
    pub(in crate::broker) fn admit(&self, key: ApiKey) -> Result<(), Refused> {
        let Some(_) = self.verifier else { return Ok(()) };
        let in_order = match (&self.state, key) {
            (State::Over, _) => false,
            (State::Chosen { .. }, _) => key == ApiKey::SaslAuthenticate,
            // Answered with an error.
            (
                State::Idle,
                ApiKey::ApiVersions | ApiKey::SaslHandshake | ApiKey::SaslAuthenticate,
            ) => true,
            (State::Idle, _) => self
                .identity
                .as_ref()
                .is_some_and(|identity| identity.until.is_none_or(|until| Instant::now() < until)),
        };
        if in_order { Ok(()) } else { Err(Refused::Unauthenticated) }
    }

    pub(in crate::broker) fn handshake(
        &mut self,
        request: &SaslHandshakeRequest,
        version: i16,
    ) -> SaslHandshakeResponse {
        let Some(verifier) = &self.verifier else {
            return SaslHandshakeResponse::default()
                .with_error_code(ResponseError::IllegalSaslState.code());
        };
        let mechanisms = verifier.mechanisms();
        let framing = if version == 0 { Framing::Bare } else { Framing::Request };
        let error = match mechanisms.iter().find(|known| *known == request.mechanism.as_str()) {
            Some(known) => {
                self.state = State::Chosen { mechanism: known.clone(), framing };
                0
            }
            None => {
                self.state = State::Over;
                ResponseError::UnsupportedSaslMechanism.code()
            }
        };
        SaslHandshakeResponse::default()
            .with_error_code(error)
            .with_mechanisms(mechanisms.into_iter().map(StrBytes::from_string).collect())
    }

    pub(in crate::broker) fn authenticate(
        &mut self,
        request: &SaslAuthenticateRequest,
        version: i16,
    ) -> SaslAuthenticateResponse {
        let refused = |error: ResponseError, message: String| {
            SaslAuthenticateResponse::default()
                .with_error_code(error.code())
                .with_error_message(Some(StrBytes::from_string(message)))
        };
        if !matches!(self.state, State::Chosen { framing: Framing::Request, .. }) {
            if self.verifier.is_some() {
                self.state = State::Over;
            }
            let message = "a SaslHandshake has to come first".to_owned();
            return refused(ResponseError::IllegalSaslState, message);
        }
        // A client that cannot be told of the end of its session is not held to it.
        match self.log_in(&request.auth_bytes, version >= 1) {
            Ok(login) => SaslAuthenticateResponse::default()
                .with_session_lifetime_ms(login.session.map_or(0, millis))
                .with_auth_bytes(login.reply.into()),
            Err(rejected) => refused(ResponseError::SaslAuthenticationFailed, rejected.to_string()),
        }
    }

    /// Whether the next frame is no request but a bare message.
    pub(in crate::broker) const fn expects_bare(&self) -> bool {
        matches!(self.state, State::Chosen { framing: Framing::Bare, .. })
    }

    /// Judges a bare message. A client that is refused only sees its connection closed.
    pub(in crate::broker) fn bare(&mut self, message: &Bytes) -> Result<Vec<u8>, Refused> {
        self.log_in(message, false)
            .map(|login| login.reply)
            .map_err(|_rejected| Refused::Unauthenticated)
    }

    fn log_in(&mut self, message: &[u8], keeps_time: bool) -> Result<Login, Rejected> {
        let state = std::mem::replace(&mut self.state, State::Over);
        let (State::Chosen { mechanism, .. }, Some(verifier)) = (state, &self.verifier) else {
            return Err(Rejected::new("out of order"));
        };
        let login = verifier.verify(&mechanism, message)?;
        if self.identity.as_ref().is_some_and(|known| known.principal != login.principal) {
            return Err(Rejected::new("a session cannot change its principal"));
        }
        let session = login.session.filter(|_| keeps_time);
        let until = session.and_then(|session| Instant::now().checked_add(session));
        self.identity = Some(Identity { principal: login.principal.clone(), until });
        self.state = State::Idle;
        Ok(login)
    }
}

fn millis(duration: Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}
