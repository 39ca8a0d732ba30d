use std::fmt;
use std::str::FromStr;

use crate::{Error, ErrorKind};

/// An AWS region, such as `ap-southeast-2`. There is no list of known ones.
///
/// ```
/// use msk_iam_auth::Region;
///
/// let region = Region::from_host("b-1.demo-us-west-1-app.abc123.c2.kafka.us-west-2.amazonaws.com:9098")?;
/// assert_eq!(region.as_str(), "us-west-2");
/// # Ok::<(), msk_iam_auth::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Region(String);

impl Region {
    /// A region by its name: lower-case letters, digits and dashes.
    ///
    /// # Errors
    /// [`ErrorKind::Region`] for anything else.
    pub fn new(name: &str) -> Result<Self, Error> {
        let legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
        if name.is_empty() || name.len() > 63 || !name.bytes().all(legal) {
            return Err(ErrorKind::Region(name.to_owned()).into());
        }
        Ok(Self(name.to_owned()))
    }

    /// The region that the host of an MSK broker (with or without a port) is in.
    ///
    /// The host must end with the domain of an AWS partition, label by label; the region is the
    /// label after the last one that is `kafka` or `kafka-serverless`. Names of clusters that look
    /// like regions, and hosts that only contain an AWS domain, do not mislead it.
    ///
    /// # Errors
    /// [`ErrorKind::NoRegionInHost`] for a host that does not say, such as a custom name.
    pub fn from_host(host: &str) -> Result<Self, Error> {
        find(&host.to_ascii_lowercase())
            .and_then(|region| Self::new(region).ok())
            .ok_or_else(|| ErrorKind::NoRegionInHost(host.to_owned()).into())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Region {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self, Error> {
        Self::new(name)
    }
}

/// The domains of the AWS partitions; none is a suffix of another one, label by label.
const DOMAINS: [&str; 7] = [
    "amazonaws.com.cn",
    "amazonaws.com",
    "amazonaws.eu",
    "c2s.ic.gov",
    "sc2s.sgov.gov",
    "cloud.adc-e.uk",
    "csp.hci.ic.gov",
];

fn find(host: &str) -> Option<&str> {
    let host = crate::signer::without_port(host);
    let host = host.strip_suffix('.').unwrap_or(host);
    let name = DOMAINS
        .iter()
        .find_map(|domain| host.strip_suffix(domain).and_then(|rest| rest.strip_suffix('.')))?;
    // Endpoints of AWS PrivateLink have one more label.
    let name = name.strip_suffix(".vpce").unwrap_or(name);
    let mut region = None;
    let mut labels = name.split('.').peekable();
    while let Some(label) = labels.next() {
        if matches!(label, "kafka" | "kafka-serverless") {
            region = labels.peek().copied();
        }
    }
    region.filter(|region| is_shaped_like_a_region(region))
}

/// Letters, then one or more words, then a number, all with dashes between.
fn is_shaped_like_a_region(label: &str) -> bool {
    let mut parts = label.split('-');
    let first = parts.next().unwrap_or("");
    let last = parts.next_back().unwrap_or("");
    let mut words = 0;
    let words_fit = parts.all(|word| {
        words += 1;
        !word.is_empty() && word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
    });
    first.len() >= 2
        && first.bytes().all(|b| b.is_ascii_lowercase())
        && words_fit
        && words >= 1
        && !last.is_empty()
        && last.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts() {
        for (host, region) in [
            ("b-1.x.kafka.us-east-1.vpce.amazonaws.com", Some("us-east-1")),
            ("b-1.x.kafka.us-east-1.amazonaws.com.:9098", Some("us-east-1")),
            ("kafka.amazonaws.com", None),
            ("kafka.useast1.amazonaws.com", None),
            ("kafka.us-1.amazonaws.com", None),
            ("kafka.us--1.amazonaws.com", None),
            ("kafka.us-east-1x.amazonaws.com", None),
            ("kafka.us-east-1.xamazonaws.com", None),
        ] {
            assert_eq!(Region::from_host(host).ok().as_ref().map(Region::as_str), region, "{host}");
        }
        let long = format!("b-1.x.kafka.us-west-{}.amazonaws.com", "1".repeat(60));
        assert!(Region::from_host(&long).is_err(), "longer than a label may be");
        for name in ["", "US-EAST-1", "us east 1", "us-east-1\n", "us/east"] {
            assert!(Region::new(name).is_err(), "{name}");
        }
    }
}
