//! A broker's judge of IAM logins, in both mechanisms. It is written from AWS's signing rules, on
//! another cryptography crate than the signer, and shares no code with it.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use base64::Engine as _;
use embedded_services::broker::{Login, Rejected, Verifier, bearer_token};
use ring::{digest, hmac};

/// Somebody whose signatures are good.
#[derive(Debug, Clone)]
pub struct Account {
    pub secret: String,
    pub session_token: Option<String>,
    pub principal: String,
}

/// Judges by the accounts it knows. Clones judge alike.
#[derive(Debug, Clone)]
pub struct Iam {
    region: String,
    /// The broker's host, as clients of AWS_MSK_IAM dial it.
    host: String,
    session: Option<Duration>,
    accounts: Arc<Mutex<BTreeMap<String, Account>>>,
    denies: Arc<AtomicBool>,
    verdicts: Arc<Mutex<Vec<Result<String, String>>>>,
}

impl Iam {
    pub fn new(region: &str, host: &str) -> Self {
        Self {
            region: region.to_owned(),
            host: host.to_owned(),
            session: None,
            accounts: Arc::default(),
            denies: Arc::default(),
            verdicts: Arc::default(),
        }
    }

    #[allow(dead_code, reason = "the example program has no sessions that end")]
    pub fn with_session(mut self, lifetime: Duration) -> Self {
        self.session = Some(lifetime);
        self
    }

    pub fn allow(&self, key: &str, secret: &str, session_token: Option<&str>, principal: &str) {
        let account = Account {
            secret: secret.to_owned(),
            session_token: session_token.map(str::to_owned),
            principal: principal.to_owned(),
        };
        self.accounts.lock().unwrap().insert(key.to_owned(), account);
    }

    /// Refuses everybody, or no longer.
    #[allow(dead_code, reason = "the example program does not")]
    pub fn deny(&self, everybody: bool) {
        self.denies.store(everybody, Ordering::SeqCst);
    }

    /// What came of each login: the key that was let in, or why not.
    pub fn verdicts(&self) -> Vec<Result<String, String>> {
        self.verdicts.lock().unwrap().clone()
    }

    /// The key and the principal of whoever signed an OAUTHBEARER token.
    pub fn check_token(&self, token: &str) -> Result<(String, String), String> {
        let url = base64::engine::general_purpose::URL_SAFE_NO_PAD
            .decode(token)
            .map_err(|e| e.to_string())?;
        let url = String::from_utf8(url).map_err(|e| e.to_string())?;
        let host = format!("kafka.{}.amazonaws.com", self.region);
        let query = url.strip_prefix(&format!("https://{host}/?")).ok_or("wrong host")?;
        let mut parameters = BTreeMap::new();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').ok_or("no value")?;
            parameters.insert(name.to_owned(), unescape(value)?);
        }
        // Signers add it behind the signature.
        parameters.remove("User-Agent").ok_or("no user agent")?;
        self.check(&host, parameters)
    }

    /// The same of a message of AWS_MSK_IAM.
    pub fn check_message(&self, message: &[u8]) -> Result<(String, String), String> {
        let fields: BTreeMap<String, String> =
            serde_json::from_slice(message).map_err(|e| e.to_string())?;
        let field = |name: &str| fields.get(name).cloned().ok_or_else(|| format!("no {name}"));
        if field("version")? != "2020_10_22" || field("user-agent")?.is_empty() {
            return Err("wrong version or no user agent".to_owned());
        }
        let host = field("host")?;
        if host != self.host {
            return Err("wrong host".to_owned());
        }
        let mut parameters = BTreeMap::new();
        for (name, query) in [
            ("action", "Action"),
            ("x-amz-algorithm", "X-Amz-Algorithm"),
            ("x-amz-credential", "X-Amz-Credential"),
            ("x-amz-date", "X-Amz-Date"),
            ("x-amz-expires", "X-Amz-Expires"),
            ("x-amz-signedheaders", "X-Amz-SignedHeaders"),
            ("x-amz-signature", "X-Amz-Signature"),
        ] {
            parameters.insert(query.to_owned(), field(name)?);
        }
        if let Ok(token) = field("x-amz-security-token") {
            parameters.insert("X-Amz-Security-Token".to_owned(), token);
        }
        let known = parameters.len() + 3;
        if fields.len() != known {
            return Err(format!("{} fields instead of {known}", fields.len()));
        }
        self.check(&host, parameters)
    }

    /// AWS Signature Version 4 of a presigned GET of `/` with nothing but the host signed.
    fn check(
        &self,
        host: &str,
        mut parameters: BTreeMap<String, String>,
    ) -> Result<(String, String), String> {
        let signature = parameters.remove("X-Amz-Signature").ok_or("no signature")?;
        let get = |name: &str| parameters.get(name).map_or("", String::as_str);
        let stamp = get("X-Amz-Date");
        let day = stamp.get(..8).ok_or("short date")?;
        let scope = format!("{day}/{}/kafka-cluster/aws4_request", self.region);
        let key =
            get("X-Amz-Credential").strip_suffix(&format!("/{scope}")).ok_or("wrong scope")?;
        let accounts = self.accounts.lock().unwrap();
        let account = accounts.get(key).ok_or("unknown key")?;
        if get("Action") != "kafka-cluster:Connect"
            || get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256"
            || get("X-Amz-SignedHeaders") != "host"
        {
            return Err("wrong action, algorithm or headers".to_owned());
        }
        if parameters.get("X-Amz-Security-Token") != account.session_token.as_ref() {
            return Err("wrong session token".to_owned());
        }
        let expires: i64 = get("X-Amz-Expires").parse().map_err(|_| "no whole seconds")?;
        let issued = seconds(stamp).ok_or("no date")?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
        let now = i64::try_from(now).unwrap();
        if !(1..=900).contains(&expires) || issued > now + 300 || now >= issued + expires {
            return Err("expired".to_owned());
        }
        let query: Vec<String> =
            parameters.iter().map(|(k, v)| format!("{}={}", escape(k), escape(v))).collect();
        let request = format!(
            "GET\n/\n{}\nhost:{host}\n\nhost\n{}",
            query.join("&"),
            hex(digest::digest(&digest::SHA256, b"").as_ref())
        );
        let hashed = hex(digest::digest(&digest::SHA256, request.as_bytes()).as_ref());
        let to_sign = format!("AWS4-HMAC-SHA256\n{stamp}\n{scope}\n{hashed}");
        let mut derived = format!("AWS4{}", account.secret).into_bytes();
        for part in [day, self.region.as_str(), "kafka-cluster", "aws4_request"] {
            derived = sign(&derived, part);
        }
        if hex(&sign(&derived, &to_sign)) == signature {
            Ok((key.to_owned(), account.principal.clone()))
        } else {
            Err("wrong signature".to_owned())
        }
    }
}

impl Verifier for Iam {
    fn mechanisms(&self) -> Vec<String> {
        vec!["OAUTHBEARER".to_owned(), "AWS_MSK_IAM".to_owned()]
    }

    fn verify(&self, mechanism: &str, message: &[u8]) -> Result<Login, Rejected> {
        let judged = if self.denies.load(Ordering::SeqCst) {
            Err("not now".to_owned())
        } else if mechanism == "AWS_MSK_IAM" {
            self.check_message(message)
        } else {
            bearer_token(message)
                .ok_or_else(|| "no token".to_owned())
                .and_then(|token| self.check_token(token))
        };
        let verdict = judged.as_ref().map(|(key, _)| key.clone()).map_err(Clone::clone);
        self.verdicts.lock().unwrap().push(verdict);
        let (_, principal) = judged.map_err(|_| Rejected::new("[7b2f0c7e]: Access denied"))?;
        let mut login = Login::new(&principal);
        if mechanism == "AWS_MSK_IAM" {
            login = login.with_reply(br#"{"version":"2020_10_22","request-id":"7b2f0c7e"}"#);
        }
        Ok(match self.session {
            Some(lifetime) => login.with_session_lifetime(lifetime),
            None => login,
        })
    }
}

fn sign(key: &[u8], text: &str) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), text.as_bytes()).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

/// `yyyyMMddTHHmmssZ` in seconds since 1970, by counting days.
fn seconds(stamp: &str) -> Option<i64> {
    let number = |from: usize, to: usize| stamp.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    let is_leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = [31, if is_leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let months = usize::try_from(month.checked_sub(1)?).ok()?;
    let days = (1970..year).map(|year| if is_leap(year) { 366 } else { 365 }).sum::<i64>()
        + lengths.get(..months)?.iter().sum::<i64>()
        + day
        - 1;
    Some(days * 86_400 + number(9, 11)? * 3_600 + number(11, 13)? * 60 + number(13, 15)?)
}

fn escape(text: &str) -> String {
    text.bytes().fold(String::new(), |mut out, byte| {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            out.push(char::from(byte));
        } else {
            write!(out, "%{byte:02X}").unwrap();
        }
        out
    })
}

fn unescape(text: &str) -> Result<String, String> {
    let mut parts = text.split('%');
    let mut out = parts.next().unwrap_or_default().as_bytes().to_vec();
    for part in parts {
        let code = part.get(..2).ok_or("half an escape")?;
        out.push(u8::from_str_radix(code, 16).map_err(|e| e.to_string())?);
        out.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(out).map_err(|e| e.to_string())
}
