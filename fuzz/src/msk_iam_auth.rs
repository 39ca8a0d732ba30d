//! Targets of `msk-iam-auth`.

use msk_iam_auth::{Region, Reply};

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

/// A broker's answer in the mechanism AWS_MSK_IAM.
pub fn reply(data: &[u8]) {
    match Reply::decode(data) {
        Ok(reply) => assert!(reply.request_id().is_none_or(|id| id.len() <= data.len())),
        Err(error) => assert!(error.offset().is_none_or(|offset| offset <= data.len()), "{error}"),
    }
}
