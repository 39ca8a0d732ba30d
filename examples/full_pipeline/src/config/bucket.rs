//! Where the sink's objects go, by the S3 connector's own keys.

use super::{Endpoints, Properties};

/// A folder or a bucket, and how to reach it.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub struct BucketConfig {
    /// A folder, or `s3://bucket/prefix`.
    pub location: String,
    /// `s3.region`.
    pub region: Option<String>,
    /// `store.url`: an endpoint other than Amazon's.
    pub endpoint: Option<String>,
    /// `aws.access.key.id` and `aws.secret.access.key`; else the `AWS_…` variables and the
    /// machine's role count.
    pub credentials: Option<(String, Secret)>,
    /// `s3.path.style.access.enabled`; true unless said otherwise, as the connector has it.
    pub path_style: bool,
    /// `s3.ssea.name` and the keys that go with it.
    pub encryption: Encryption,
    /// `s3.object.tagging`: further tags beside the offsets and the count.
    pub tags: Option<Vec<(String, String)>>,
    /// `s3.part.retries`: how often a failing request is made again.
    pub retries: usize,
    /// `s3.retry.backoff.ms`: the first pause before that.
    pub backoff_ms: u64,
    /// `s3.part.size`: bytes that make a part of an upload.
    pub part_size: usize,
}

/// Text that is never shown.
#[derive(Clone)]
pub struct Secret(String);

impl Secret {
    /// The text.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

/// Encryption on the server's side.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum Encryption {
    /// What the bucket does by itself.
    #[default]
    Bucket,
    /// `AES256`.
    S3,
    /// `aws:kms`, with `s3.sse.kms.key.id` if there is one.
    Kms(Option<String>),
    /// `s3.sse.customer.key`: a key of 256 bits in base64 that comes with every request.
    Customer(Secret),
}

/// S3 takes no smaller part but the last.
const SMALLEST_PART: usize = 5 << 20;

impl BucketConfig {
    pub(super) fn take(properties: &mut Properties, endpoints: &Endpoints) -> Self {
        let location = properties.take(&["s3.bucket.name"]).map(|bucket| format!("s3://{bucket}"));
        let location = endpoints.bucket.clone().or(location).unwrap_or_else(|| {
            properties.problem("the bucket is missing: give --bucket or s3.bucket.name".to_owned());
            String::new()
        });
        let part_size = properties
            .parsed::<usize>("s3.part.size", "a number of bytes")
            .unwrap_or(SMALLEST_PART);
        if part_size < SMALLEST_PART {
            properties.problem(format!("s3.part.size: {part_size} is below {SMALLEST_PART}"));
        }
        let id = properties.take(&["aws.access.key.id"]);
        let secret = properties.take(&["aws.secret.access.key"]).map(Secret);
        let credentials = match (id, secret) {
            (Some(id), Some(secret)) => Some((id, secret)),
            (None, None) => None,
            _ => {
                properties
                    .problem("aws.access.key.id and aws.secret.access.key go together".to_owned());
                None
            }
        };
        Self {
            location,
            region: properties.take(&["s3.region"]),
            endpoint: properties.take(&["store.url"]),
            credentials,
            path_style: properties.truth("s3.path.style.access.enabled").unwrap_or(true),
            encryption: encryption(properties),
            tags: tags(properties),
            retries: properties.parsed("s3.part.retries", "a whole number").unwrap_or(3),
            backoff_ms: properties
                .parsed("s3.retry.backoff.ms", "a number of milliseconds")
                .unwrap_or(200),
            part_size,
        }
    }
}

fn encryption(properties: &mut Properties) -> Encryption {
    let key = properties.take(&["s3.sse.kms.key.id"]);
    let customer = properties.take(&["s3.sse.customer.key"]).map(Secret);
    match (properties.take(&["s3.ssea.name"]).as_deref(), customer) {
        (None | Some(""), None) => Encryption::Bucket,
        (Some("AES256") | None | Some(""), Some(customer)) => Encryption::Customer(customer),
        (Some("AES256"), None) => Encryption::S3,
        (Some("aws:kms"), None) => Encryption::Kms(key),
        (Some(other), _) => {
            properties.problem(format!(
                "s3.ssea.name: {other:?}; use AES256, or aws:kms without s3.sse.customer.key"
            ));
            Encryption::Bucket
        }
    }
}

fn tags(properties: &mut Properties) -> Option<Vec<(String, String)>> {
    let pairs = properties.take(&["s3.object.tagging.key.value.pairs"]).unwrap_or_default();
    let mut tags = Vec::new();
    for pair in pairs.split(',').filter(|pair| !pair.trim().is_empty()) {
        match pair.split_once(':') {
            Some((name, value)) => tags.push((name.trim().to_owned(), value.trim().to_owned())),
            None => properties.problem(format!(
                "s3.object.tagging.key.value.pairs: {pair:?} is not of the form name:value"
            )),
        }
    }
    properties.truth("s3.object.tagging").unwrap_or(false).then_some(tags)
}
