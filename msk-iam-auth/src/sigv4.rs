//! Signature Version 4 of a presigned request, for the one kind of request MSK wants: GET `/`, no
//! body, only the header `host`. Knows nothing of the rest of the crate.

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// SHA-256 of an empty body.
const EMPTY_BODY: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

pub(crate) const ALGORITHM: &str = "AWS4-HMAC-SHA256";

/// The two spellings of a signing time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AmzDate {
    /// `yyyyMMddTHHmmssZ`
    text: [u8; 16],
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
        let pairs = [year / 100, year % 100, month, day, time / 3_600, time / 60 % 60, time % 60];
        let [[y0, y1], [y2, y3], [m0, m1], [d0, d1], [h0, h1], [n0, n1], [s0, s1]] =
            pairs.map(two_digits);
        let text = [y0, y1, y2, y3, m0, m1, d0, d1, b'T', h0, h1, n0, n1, s0, s1, b'Z'];
        Some(Self { text })
    }

    /// Reads `yyyyMMddTHHmmssZ`, as seconds since 1970-01-01 UTC. `None` if there is no such time.
    pub(crate) fn parse(text: &str) -> Option<u64> {
        let number = |from: usize, to: usize| -> Option<u64> { text.get(from..to)?.parse().ok() };
        let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
        let time = number(9, 11)? * 3_600 + number(11, 13)? * 60 + number(13, 15)?;
        // Counted from March on again, see above.
        let march_year = year.checked_sub(u64::from(month <= 2))?;
        let march_month = (month + 9) % 12;
        let day_of_year = (153 * march_month + 2) / 5 + day.checked_sub(1)?;
        let days =
            march_year * 365 + march_year / 4 - march_year / 100 + march_year / 400 + day_of_year;
        let seconds = days.checked_sub(719_468)? * 86_400 + time;
        // A day that does not exist has become another one.
        (Self::from_unix(seconds)?.as_str() == text).then_some(seconds)
    }

    /// `yyyyMMddTHHmmssZ`
    pub(crate) fn as_str(&self) -> &str {
        std::str::from_utf8(&self.text).unwrap_or_default()
    }

    /// `yyyyMMdd`
    pub(crate) fn day(&self) -> &str {
        self.as_str().split_at_checked(8).map_or("", |(day, _)| day)
    }
}

fn two_digits(number: u64) -> [u8; 2] {
    let digit = |n: u64| b'0' + u8::try_from(n % 10).unwrap_or(0);
    [digit(number / 10), digit(number)]
}

/// Which day, region and service a signature is good for.
pub(crate) fn scope(day: &str, region: &str, service: &str) -> String {
    [day, "/", region, "/", service, "/aws4_request"].concat()
}

/// Appends RFC 3986 percent-encoding: all but unreserved characters, upper-case hex, space as
/// `%20`, `/` as `%2F`. What needs no encoding is copied a run at a time.
pub(crate) fn percent_encode(text: &str, out: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    while let Some(at) = rest.iter().position(|&byte| !is_unreserved(byte)) {
        let (plain, reserved) = rest.split_at_checked(at).unwrap_or((rest, &[]));
        out.extend_from_slice(plain);
        let Some((&byte, behind)) = reserved.split_first() else { return };
        let [high, low] = hex_digits(byte, HEX_UPPER);
        out.extend_from_slice(&[b'%', high, low]);
        rest = behind;
    }
    out.extend_from_slice(rest);
}

fn is_unreserved(byte: u8) -> bool {
    #[allow(clippy::indexing_slicing, reason = "evaluated by the compiler")]
    const TABLE: [bool; 256] = {
        let mut table = [false; 256];
        let unreserved = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
        let mut index = 0;
        while index < unreserved.len() {
            table[unreserved[index] as usize] = true;
            index += 1;
        }
        table
    };
    TABLE.get(usize::from(byte)).copied().unwrap_or(false)
}

/// SHA-256 of the canonical request.
pub(crate) fn hash_canonical_request(host: &str, query: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    let [start, middle, end] = ["GET\n/\n", "\nhost:", "\n\nhost\n"].map(str::as_bytes);
    for part in [start, query, middle, host.as_bytes(), end, EMPTY_BODY.as_bytes()] {
        hash.update(part);
    }
    hash.finalize().into()
}

/// What the signature is over, in `request` the hash of the canonical request.
pub(crate) fn string_to_sign(date: &AmzDate, scope: &str, request: &[u8; 32]) -> String {
    let mut text = String::with_capacity(192);
    for part in [ALGORITHM, "\n", date.as_str(), "\n", scope, "\n"] {
        text.push_str(part);
    }
    push_hex(request, &mut text);
    text
}

/// The key of one secret, day, region and service.
pub(crate) fn signing_key(
    secret: &str,
    day: &str,
    region: &str,
    service: &str,
) -> Zeroizing<[u8; 32]> {
    let mut first = Zeroizing::new(Vec::with_capacity(secret.len() + 4));
    first.extend_from_slice(b"AWS4");
    first.extend_from_slice(secret.as_bytes());
    let next = |mut mac: Hmac<Sha256>, part: &str| {
        mac.update(part.as_bytes());
        Zeroizing::new(mac.finalize().into_bytes().into())
    };
    let mut key: Zeroizing<[u8; 32]> = next(keyed(&first), day);
    for part in [region, service, "aws4_request"] {
        key = next(keyed(&*key), part);
    }
    key
}

/// A signing key, ready to sign. What it holds is overwritten when it is dropped.
#[derive(Clone)]
pub(crate) struct SigningKey {
    mac: Hmac<Sha256>,
}

impl SigningKey {
    pub(crate) fn new(key: &[u8; 32]) -> Self {
        Self { mac: keyed(key) }
    }

    /// The signature, in lower-case hex.
    pub(crate) fn sign(&self, string_to_sign: &str) -> String {
        let mut mac = self.mac.clone();
        mac.update(string_to_sign.as_bytes());
        let mut text = String::with_capacity(64);
        push_hex(&mac.finalize().into_bytes(), &mut text);
        text
    }
}

#[allow(clippy::expect_used, reason = "HMAC takes a key of any length")]
fn keyed(key: &[u8]) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key).expect("any length will do")
}

fn push_hex(bytes: &[u8], out: &mut String) {
    for &byte in bytes {
        let [high, low] = hex_digits(byte, HEX_LOWER);
        out.push(char::from(high));
        out.push(char::from(low));
    }
}

fn hex_digits(byte: u8, digits: &[u8; 16]) -> [u8; 2] {
    [byte >> 4, byte & 15]
        .map(|nibble| digits.get(usize::from(nibble)).copied().unwrap_or_default())
}

const HEX_LOWER: &[u8; 16] = b"0123456789abcdef";
const HEX_UPPER: &[u8; 16] = b"0123456789ABCDEF";
