use std::fmt::{self, Write as _};
use std::time::SystemTime;

use zeroize::Zeroizing;

use crate::json::Reader;
use crate::signer::{ACTION, without_port};
use crate::sigv4::ALGORITHM;
use crate::{Credentials, Error, ErrorKind, Signer};

/// The one version of the mechanism's messages there is.
const VERSION: &str = "2020_10_22";

impl Signer {
    /// Signs the client's only message of the mechanism AWS_MSK_IAM: a JSON object. `host` is the
    /// broker's, as dialled; a port is cut off. Sign anew for every connection and for every
    /// re-authentication.
    ///
    /// # Errors
    /// [`ErrorKind::Host`], [`ErrorKind::CredentialsExpired`], [`ErrorKind::InvalidCredentials`] or
    /// [`ErrorKind::Clock`].
    pub fn sasl_payload(
        &self,
        host: &str,
        credentials: &Credentials,
        now: SystemTime,
    ) -> Result<Vec<u8>, Error> {
        let host = without_port(host);
        let room = 512 + 3 * credentials.session_token().map_or(0, str::len);
        // Only signed: the message has the same values in another form.
        let mut query = Zeroizing::new(Vec::with_capacity(room));
        let signed = self.sign(host, credentials, now, &mut query)?;
        let expires = signed.expires_seconds.to_string();
        let mut json = String::with_capacity(room);
        let mut pairs = vec![
            ("version", VERSION),
            ("host", host),
            ("user-agent", self.user_agent()),
            ("action", ACTION),
            ("x-amz-algorithm", ALGORITHM),
            ("x-amz-credential", &signed.credential),
            ("x-amz-date", signed.date.as_str()),
            ("x-amz-expires", &expires),
            ("x-amz-signedheaders", "host"),
            ("x-amz-signature", &signed.signature),
        ];
        if let Some(token) = credentials.session_token() {
            pairs.push(("x-amz-security-token", token));
        }
        for (index, (key, value)) in pairs.into_iter().enumerate() {
            json.push_str(if index == 0 { "{\"" } else { ",\"" });
            json.push_str(key);
            json.push_str("\":\"");
            escape(value, &mut json);
            json.push('"');
        }
        json.push('}');
        Ok(json.into_bytes())
    }
}

/// The client's side of one exchange of the mechanism AWS_MSK_IAM: it speaks once, the broker
/// answers once. A new one is needed for every connection and for every re-authentication.
///
/// ```
/// use std::time::SystemTime;
/// use msk_iam_auth::{Credentials, Exchange, Region, Signer};
///
/// let signer = Signer::new(Region::new("us-east-1")?);
/// let credentials = Credentials::new("AKIDEXAMPLE", "secret");
/// let payload = signer.sasl_payload("b-1.example", &credentials, SystemTime::now())?;
/// let mut exchange = Exchange::new(payload);
/// let message = exchange.evaluate(b"")?;
/// assert!(message.is_some_and(|message| message.starts_with(b"{")));
/// // What the broker answers:
/// assert_eq!(exchange.evaluate(br#"{"version":"2020_10_22","request-id":"1"}"#)?, None);
/// assert!(exchange.is_complete());
/// # Ok::<(), msk_iam_auth::Error>(())
/// ```
#[derive(Clone)]
pub struct Exchange {
    state: State,
}

#[derive(Clone)]
enum State {
    Unsent(Vec<u8>),
    Sent,
    Complete(Reply),
    Failed,
}

impl Exchange {
    /// An exchange that begins with this payload, of [`Signer::sasl_payload`].
    #[must_use]
    pub const fn new(payload: Vec<u8>) -> Self {
        Self { state: State::Unsent(payload) }
    }

    /// Takes what the broker has said, nothing at first, and gives what is to be sent, nothing at
    /// last.
    ///
    /// # Errors
    /// [`ErrorKind::OutOfOrder`] if the broker speaks first or the exchange is over, else as
    /// [`Reply::decode`]. The exchange has failed then.
    pub fn evaluate(&mut self, challenge: &[u8]) -> Result<Option<Vec<u8>>, Error> {
        match std::mem::replace(&mut self.state, State::Failed) {
            State::Unsent(payload) if challenge.is_empty() => {
                self.state = State::Sent;
                Ok(Some(payload))
            }
            State::Sent => {
                self.state = State::Complete(Reply::decode(challenge)?);
                Ok(None)
            }
            State::Unsent(_) | State::Complete(_) | State::Failed => {
                Err(Error::new(ErrorKind::OutOfOrder))
            }
        }
    }

    /// Whether the broker has accepted.
    #[must_use]
    pub const fn is_complete(&self) -> bool {
        matches!(self.state, State::Complete(_))
    }

    /// What the broker has answered, once it has accepted.
    #[must_use]
    pub const fn reply(&self) -> Option<&Reply> {
        match &self.state {
            State::Complete(reply) => Some(reply),
            _ => None,
        }
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = match self.state {
            State::Unsent(_) => "unsent",
            State::Sent => "sent",
            State::Complete(_) => "complete",
            State::Failed => "failed",
        };
        f.debug_struct("Exchange").field("state", &state).field("reply", &self.reply()).finish()
    }
}

/// The broker's answer to [`Signer::sasl_payload`] when it accepts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    request_id: Option<String>,
}

impl Reply {
    /// Reads the answer. Members other than the two known ones are skipped.
    ///
    /// ```
    /// use msk_iam_auth::Reply;
    ///
    /// let reply = Reply::decode(br#"{"version":"2020_10_22","request-id":"1-2-3"}"#)?;
    /// assert_eq!(reply.request_id(), Some("1-2-3"));
    /// assert!(Reply::decode(b"").is_err());
    /// # Ok::<(), msk_iam_auth::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::EmptyReply`], [`ErrorKind::ReplySyntax`] or [`ErrorKind::ReplyVersion`].
    pub fn decode(bytes: &[u8]) -> Result<Self, Error> {
        if bytes.is_empty() {
            return Err(Error::new(ErrorKind::EmptyReply));
        }
        let (mut version, mut request_id) = (None, None);
        let mut reader = Reader::new(bytes);
        reader
            .object(|key, text| match key {
                "version" => version = text,
                "request-id" => request_id = text,
                _ => {}
            })
            .map_err(|offset| Error::new(ErrorKind::ReplySyntax { offset }))?;
        if version.as_deref() != Some(VERSION) {
            return Err(Error::new(ErrorKind::ReplyVersion));
        }
        Ok(Self { request_id })
    }

    /// Amazon's name for this connection attempt, worth logging.
    #[must_use]
    pub fn request_id(&self) -> Option<&str> {
        self.request_id.as_deref()
    }
}

fn escape(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c < ' ' => {
                // Writing to a String cannot fail.
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            c => out.push(c),
        }
    }
}
