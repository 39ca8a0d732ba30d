use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::signer::{LONGEST_SECONDS, SERVICE};
use crate::sigv4::AmzDate;
use crate::{Error, ErrorKind};

/// What an OAUTHBEARER token says, whichever of the signers made it: who signs, for where, and how
/// long. To find out why a broker refuses; nothing here says that the signature is right.
///
/// ```
/// use std::time::SystemTime;
/// use msk_iam_auth::{Claims, Credentials, Region, Signer};
///
/// let signer = Signer::new(Region::new("us-east-1")?);
/// let token = signer.token(&Credentials::new("AKIDEXAMPLE", "secret"), SystemTime::now())?;
/// let claims = Claims::decode(token.as_str())?;
/// assert_eq!(claims.access_key_id(), "AKIDEXAMPLE");
/// assert_eq!(claims.expires_at(), token.expires_at());
/// # Ok::<(), msk_iam_auth::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claims {
    host: String,
    access_key_id: String,
    region: String,
    issued_at: SystemTime,
    expires_at: SystemTime,
    has_session_token: bool,
    user_agent: Option<String>,
}

impl Claims {
    /// Reads a token. The parameters may come in any order, as they do in those of Amazon's
    /// signers.
    ///
    /// # Errors
    /// [`ErrorKind::TokenSyntax`] or [`ErrorKind::TokenParameter`].
    pub fn decode(token: &str) -> Result<Self, Error> {
        let syntax = || Error::new(ErrorKind::TokenSyntax);
        let url = URL_SAFE_NO_PAD.decode(token).map_err(|_| syntax())?;
        let url = std::str::from_utf8(&url).map_err(|_| syntax())?;
        let (host, query) = url
            .strip_prefix("https://")
            .and_then(|rest| rest.split_once("/?"))
            .filter(|(host, _)| !host.is_empty())
            .ok_or_else(syntax)?;
        let mut parameters = BTreeMap::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or_else(syntax)?;
            if parameters.insert(name, decoded(value).ok_or_else(syntax)?).is_some() {
                let known = NAMES.iter().find(|known| **known == name);
                return Err(known.map_or_else(syntax, |name| wrong(name)));
            }
        }
        let named = |name: &'static str| {
            parameters.get(name).filter(|value| !value.is_empty()).ok_or_else(|| wrong(name))
        };

        let mut credential = named("X-Amz-Credential")?.rsplit('/');
        let (Some("aws4_request"), Some(SERVICE), Some(region), Some(day), Some(access_key_id)) = (
            credential.next(),
            credential.next(),
            credential.next(),
            credential.next(),
            credential.next(),
        ) else {
            return Err(wrong("X-Amz-Credential"));
        };
        let date = named("X-Amz-Date")?;
        let issued = AmzDate::parse(date)
            .filter(|_| date.starts_with(day))
            .ok_or_else(|| wrong("X-Amz-Date"))?;
        let lifetime: u64 = named("X-Amz-Expires")?
            .parse()
            .ok()
            .filter(|seconds| (1..=LONGEST_SECONDS).contains(seconds))
            .ok_or_else(|| wrong("X-Amz-Expires"))?;
        named("X-Amz-Signature")?;
        let issued_at = UNIX_EPOCH + Duration::from_secs(issued);
        Ok(Self {
            host: host.to_owned(),
            access_key_id: access_key_id.to_owned(),
            region: region.to_owned(),
            issued_at,
            expires_at: issued_at + Duration::from_secs(lifetime),
            has_session_token: parameters.contains_key("X-Amz-Security-Token"),
            user_agent: parameters.get("User-Agent").cloned(),
        })
    }

    /// The host that is signed.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The id of the access key that signs.
    #[must_use]
    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    /// The region signed for, as written.
    #[must_use]
    pub fn region(&self) -> &str {
        &self.region
    }

    /// When it was signed, in whole seconds.
    #[must_use]
    pub const fn issued_at(&self) -> SystemTime {
        self.issued_at
    }

    /// When it expires, in whole seconds.
    #[must_use]
    pub const fn expires_at(&self) -> SystemTime {
        self.expires_at
    }

    /// Whether the key is a temporary one, as those of roles are.
    #[must_use]
    pub const fn has_session_token(&self) -> bool {
        self.has_session_token
    }

    /// The program that the signer says it is, which is not signed.
    #[must_use]
    pub fn user_agent(&self) -> Option<&str> {
        self.user_agent.as_deref()
    }
}

const NAMES: [&str; 4] = ["X-Amz-Credential", "X-Amz-Date", "X-Amz-Expires", "X-Amz-Signature"];

#[cold]
const fn wrong(name: &'static str) -> Error {
    Error::new(ErrorKind::TokenParameter(name))
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let digit = |byte: u8| char::from(byte).to_digit(16);
            let code = digit(bytes.next()?)? * 16 + digit(bytes.next()?)?;
            out.push(u8::try_from(code).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}
