//! Targets of `msk-iam-auth`.

use msk_iam_auth::{Claims, ErrorKind, Exchange, Region, Reply};

/// The host of a broker.
pub fn region(data: &[u8]) {
    let Ok(host) = std::str::from_utf8(data) else { return };
    match Region::from_host(host) {
        Ok(region) => {
            assert_eq!(Region::new(region.as_str()).ok(), Some(region.clone()));
            assert!(host.to_ascii_lowercase().contains(&format!(".{region}.")));
        }
        Err(error) => drop(error.to_string()),
    }
    let _ = Region::new(host);
}

/// A broker's answer in the mechanism AWS_MSK_IAM, also as the end of an exchange.
pub fn reply(data: &[u8]) {
    let mut exchange = Exchange::new(b"{}".to_vec());
    assert!(matches!(exchange.evaluate(b""), Ok(Some(_))));
    assert_eq!(exchange.evaluate(data).is_ok(), exchange.is_complete());
    assert_eq!(exchange.reply(), Reply::decode(data).ok().as_ref());
    assert!(exchange.evaluate(data).is_err(), "it is over");
    match Reply::decode(data) {
        Ok(reply) => assert!(reply.request_id().is_none_or(|id| id.len() <= data.len())),
        Err(error) => assert!(error.offset().is_none_or(|offset| offset <= data.len()), "{error}"),
    }
}

/// An OAUTHBEARER token, as it is, and the URL in one.
pub fn token(data: &[u8]) {
    let mut found = Vec::new();
    if let Ok(token) = std::str::from_utf8(data) {
        found.push(Claims::decode(token));
    }
    found.push(Claims::decode(&base64url(data)));
    for claims in found {
        match claims {
            Ok(claims) => {
                assert!(claims.issued_at() < claims.expires_at());
                assert!(!claims.access_key_id().contains('/') && !claims.host().is_empty());
            }
            Err(error) => assert!(matches!(
                error.kind(),
                ErrorKind::TokenSyntax | ErrorKind::TokenParameter(_)
            )),
        }
    }
}

fn base64url(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let bits = three.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte));
        let bits = bits << (8 * (3 - three.len()));
        for digit in 0..=three.len() {
            let index = usize::try_from(bits >> (18 - 6 * digit) & 63).unwrap_or(0);
            text.push(char::from(DIGITS.get(index).copied().unwrap_or_default()));
        }
    }
    text
}
