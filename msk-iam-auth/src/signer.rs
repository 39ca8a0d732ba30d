use std::io::Write as _;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use zeroize::Zeroizing;

use crate::sigv4::{
    ALGORITHM, AmzDate, SigningKey, hash_canonical_request, percent_encode, scope, signing_key,
    string_to_sign,
};
use crate::{Credentials, Error, ErrorKind, Region};

pub(crate) const SERVICE: &str = "kafka-cluster";
/// 7 days, the limit of SigV4 for presigned requests.
pub(crate) const LONGEST_SECONDS: u64 = 604_800;
pub(crate) const ACTION: &str = "kafka-cluster:Connect";

/// Signs for one region, for both of MSK's mechanisms. Clones share the signing key of the day.
///
/// ```
/// use std::time::{Duration, UNIX_EPOCH};
/// use msk_iam_auth::{Credentials, Region, Signer};
///
/// let signer = Signer::new(Region::new("us-east-1")?);
/// let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
/// let token = signer.token(&Credentials::new("AKIDEXAMPLE", "secret"), now)?;
/// assert_eq!(token.expires_at(), now + Duration::from_secs(900));
/// # Ok::<(), msk_iam_auth::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Signer {
    region: Region,
    endpoint_host: String,
    user_agent: String,
    lifetime_seconds: u64,
    cache: Arc<Mutex<Option<CachedKey>>>,
}

struct CachedKey {
    secret: Zeroizing<String>,
    day: String,
    key: SigningKey,
}

impl std::fmt::Debug for CachedKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CachedKey").field("day", &self.day).finish_non_exhaustive()
    }
}

/// What both mechanisms put around a signature.
pub(crate) struct Signed {
    pub(crate) credential: String,
    pub(crate) date: AmzDate,
    pub(crate) expires_seconds: u64,
    pub(crate) signature: String,
    pub(crate) issued_at: SystemTime,
}

impl Signer {
    /// Signs for 900 seconds, the longest MSK accepts, and names this crate as the user agent.
    #[must_use]
    pub fn new(region: Region) -> Self {
        Self {
            endpoint_host: format!("kafka.{region}.amazonaws.com"),
            region,
            user_agent: concat!("msk-iam-auth/", env!("CARGO_PKG_VERSION")).to_owned(),
            lifetime_seconds: 900,
            cache: Arc::default(),
        }
    }

    /// Names another user agent. It is not signed, but IAM policies can look at it.
    #[must_use]
    pub fn with_user_agent(mut self, agent: &str) -> Self {
        agent.clone_into(&mut self.user_agent);
        self
    }

    /// Signs for another time than 900 seconds; fractions of a second are dropped.
    ///
    /// # Errors
    /// [`ErrorKind::Lifetime`] for less than a second or more than 7 days, the limit of SigV4.
    pub fn with_lifetime(mut self, lifetime: Duration) -> Result<Self, Error> {
        self.lifetime_seconds = lifetime.as_secs();
        if (1..=LONGEST_SECONDS).contains(&self.lifetime_seconds) {
            Ok(self)
        } else {
            Err(Error::new(ErrorKind::Lifetime))
        }
    }

    /// Signs OAUTHBEARER tokens for another host than `kafka.<region>.amazonaws.com`, which all of
    /// Amazon's signers use in every partition.
    ///
    /// # Errors
    /// [`ErrorKind::Host`] if the host is empty or has characters no host has.
    pub fn with_endpoint_host(mut self, host: &str) -> Result<Self, Error> {
        check_host(host)?;
        host.clone_into(&mut self.endpoint_host);
        Ok(self)
    }

    /// The region signed for.
    #[must_use]
    pub const fn region(&self) -> &Region {
        &self.region
    }

    /// The user agent named.
    #[must_use]
    pub fn user_agent(&self) -> &str {
        &self.user_agent
    }

    pub(crate) fn endpoint_host(&self) -> &str {
        &self.endpoint_host
    }

    /// Appends the canonical query, which the signature follows elsewhere, to `out`.
    pub(crate) fn sign(
        &self,
        host: &str,
        credentials: &Credentials,
        now: SystemTime,
        out: &mut Vec<u8>,
    ) -> Result<Signed, Error> {
        credentials.check()?;
        check_host(host)?;
        let now_seconds = unix_seconds(now)?;
        let expires_seconds = self.expires_seconds(credentials, now_seconds)?;
        let date = AmzDate::from_unix(now_seconds).ok_or_else(|| Error::new(ErrorKind::Clock))?;
        let scope = scope(date.day(), self.region.as_str(), SERVICE);
        let credential = [credentials.access_key_id(), "/", &scope].concat();

        let start = out.len();
        // Sorted by name, as the canonical form wants it.
        out.extend_from_slice(b"Action=");
        percent_encode(ACTION, out);
        out.extend_from_slice(b"&X-Amz-Algorithm=");
        out.extend_from_slice(ALGORITHM.as_bytes());
        out.extend_from_slice(b"&X-Amz-Credential=");
        percent_encode(&credential, out);
        out.extend_from_slice(b"&X-Amz-Date=");
        out.extend_from_slice(date.as_str().as_bytes());
        out.extend_from_slice(b"&X-Amz-Expires=");
        // Writing to a vector cannot fail.
        let _ = write!(out, "{expires_seconds}");
        if let Some(token) = credentials.encoded_session_token() {
            out.extend_from_slice(b"&X-Amz-Security-Token=");
            out.extend_from_slice(token);
        }
        out.extend_from_slice(b"&X-Amz-SignedHeaders=host");

        let query = out.get(start..).unwrap_or_default();
        let text = string_to_sign(&date, &scope, &hash_canonical_request(host, query));
        let signature = self.key(credentials.secret(), date.day()).sign(&text);
        let issued_at = UNIX_EPOCH + Duration::from_secs(now_seconds);
        Ok(Signed { credential, date, expires_seconds, signature, issued_at })
    }

    /// A whole number of seconds, at least 1: never what is left of a second, nor what is past.
    fn expires_seconds(&self, credentials: &Credentials, now_seconds: u64) -> Result<u64, Error> {
        let Some(expires_at) = credentials.expires_at() else { return Ok(self.lifetime_seconds) };
        let left = unix_seconds(expires_at).unwrap_or(0).saturating_sub(now_seconds);
        match left.min(self.lifetime_seconds) {
            0 => Err(Error::new(ErrorKind::CredentialsExpired)),
            seconds => Ok(seconds),
        }
    }

    /// Four of the five HMACs give the same key all day.
    fn key(&self, secret: &str, day: &str) -> SigningKey {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(cached) = &*cache
            && cached.day == day
            && *cached.secret == secret
        {
            return cached.key.clone();
        }
        let key = SigningKey::new(&signing_key(secret, day, self.region.as_str(), SERVICE));
        let (secret, day) = (Zeroizing::new(secret.to_owned()), day.to_owned());
        *cache = Some(CachedKey { secret, day, key: key.clone() });
        key
    }
}

/// The host without a port at its end.
pub(crate) fn without_port(host: &str) -> &str {
    match host.rsplit_once(':') {
        Some((name, port))
            if !name.contains(':')
                && !port.is_empty()
                && port.bytes().all(|b| b.is_ascii_digit()) =>
        {
            name
        }
        _ => host,
    }
}

fn check_host(host: &str) -> Result<(), Error> {
    if host.is_empty() || host.chars().any(|c| c.is_control() || c.is_whitespace()) {
        return Err(Error::new(ErrorKind::Host));
    }
    Ok(())
}

/// Whole seconds since 1970-01-01 UTC, rounded down.
fn unix_seconds(time: SystemTime) -> Result<u64, Error> {
    time.duration_since(UNIX_EPOCH)
        .map(|since| since.as_secs())
        .map_err(|_| Error::new(ErrorKind::Clock))
}
