//! Signature Version 4 of a presigned request, for the one kind of request MSK wants: GET `/`, no
//! body, only the header `host`. Knows nothing of the rest of the crate.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

/// SHA-256 of an empty body.
const EMPTY_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The two spellings of a signing time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AmzDate {
    /// `yyyyMMddTHHmmssZ`
    text: String,
}

impl AmzDate {
    /// From seconds since 1970-01-01 UTC; `None` from the year 10000 on.
    pub(crate) fn from_unix(seconds: u64) -> Option<Self> {
        // 9999-12-31T23:59:59Z
        if seconds > 253_402_300_799 {
            return None;
        }
        let (days, time) = (seconds / 86_400, seconds % 86_400);
        // Counting from 0000-03-01 puts the leap day at the end of a year.
        let shifted = days + 719_468;
        let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
        let year_of_era =
            (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let march_month = (5 * day_of_year + 2) / 153;
        let day = day_of_year - (153 * march_month + 2) / 5 + 1;
        let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
        let year = era * 400 + year_of_era + u64::from(month <= 2);
        let (hour, minute, second) = (time / 3_600, time / 60 % 60, time % 60);
        let text = format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}Z");
        Some(Self { text })
    }

    /// `yyyyMMddTHHmmssZ`
    pub(crate) fn as_str(&self) -> &str {
        &self.text
    }

    /// `yyyyMMdd`
    pub(crate) fn day(&self) -> &str {
        self.text.split('T').next().unwrap_or_default()
    }
}

/// Which day, region and service a signature is good for.
pub(crate) fn scope(day: &str, region: &str, service: &str) -> String {
    format!("{day}/{region}/{service}/aws4_request")
}

/// Appends RFC 3986 percent-encoding: all but unreserved characters, upper-case hex, space as
/// `%20`, `/` as `%2F`.
pub(crate) fn percent_encode(text: &str, out: &mut String) {
    const HEX: [char; 16] =
        ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'A', 'B', 'C', 'D', 'E', 'F'];
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            out.push(char::from(byte));
        } else {
            out.push('%');
            out.extend(
                [byte >> 4, byte & 15]
                    .map(|nibble| HEX.get(usize::from(nibble)).copied().unwrap_or('0')),
            );
        }
    }
}

/// Joins parameters that are sorted by name already.
pub(crate) fn canonical_query(parameters: &[(&str, &str)]) -> String {
    let mut query = String::with_capacity(1_024);
    for (index, (name, value)) in parameters.iter().enumerate() {
        if index > 0 {
            query.push('&');
        }
        percent_encode(name, &mut query);
        query.push('=');
        percent_encode(value, &mut query);
    }
    query
}

pub(crate) fn canonical_request(host: &str, query: &str) -> String {
    format!("GET\n/\n{query}\nhost:{host}\n\nhost\n{EMPTY_BODY}")
}

pub(crate) fn string_to_sign(date: &AmzDate, scope: &str, canonical_request: &str) -> String {
    let hash = hex(&Sha256::digest(canonical_request.as_bytes()));
    format!("{ALGORITHM}\n{}\n{scope}\n{hash}", date.as_str())
}

/// The key of one secret, day, region and service.
pub(crate) fn signing_key(secret: &str, day: &str, region: &str, service: &str) -> [u8; 32] {
    let mut first = Vec::with_capacity(secret.len() + 4);
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret.as_bytes());
    let key = hmac(&first, day.as_bytes());
    zeroize::Zeroize::zeroize(&mut first);
    let key = hmac(&key, region.as_bytes());
    let key = hmac(&key, service.as_bytes());
    hmac(&key, b"aws4_request")
}

/// The signature, in lower-case hex.
pub(crate) fn sign(key: &[u8; 32], string_to_sign: &str) -> String {
    hex(&hmac(key, string_to_sign.as_bytes()))
}

#[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn hmac(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("any length will do");
    mac.update(message);
    mac.finalize().into_bytes().into()
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}
