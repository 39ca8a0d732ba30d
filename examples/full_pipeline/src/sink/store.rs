//! Where objects go: a folder, or a bucket of S3 or of something that speaks its protocol.

use std::{path::Path, sync::Arc, time::Duration};

use object_store::{
    BackoffConfig, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig,
    aws::{AmazonS3Builder, S3ConditionalPut},
    local::LocalFileSystem,
    path::Path as ObjectPath,
    prefix::PrefixStore,
};

use crate::{
    config::{BucketConfig, Encryption},
    error::{Error, Part},
};

/// A request is given up after this long, retries included: well below the time after which the
/// group believes that its member hangs.
const PATIENCE: Duration = Duration::from_secs(60);

/// A store, and what it takes beside bytes.
#[derive(Debug, Clone)]
pub(super) struct Store {
    pub(super) objects: Arc<dyn ObjectStore>,
    /// Whether it takes metadata.
    pub(super) attributes: bool,
    /// Tags for every object, if there are to be any.
    pub(super) tags: Option<Vec<(String, String)>>,
}

/// Opens the store that `--bucket` or the connector names, and writes and removes a small object in
/// a folder of its own so that a missing right is known before any record is read.
///
/// # Errors
///
/// The folder cannot be made or written, or the bucket cannot be used.
pub(super) async fn open(config: &BucketConfig) -> Result<Store, Error> {
    let bucket = config.location.strip_prefix("s3://");
    let objects = match bucket {
        Some(bucket) => s3(bucket, config)?,
        None => folder(&config.location)?,
    };
    let probe = ObjectPath::from(format!(".full-pipeline-probe-{}", std::process::id()));
    let refused = |error: object_store::Error| {
        let advice = match &error {
            object_store::Error::NotFound { .. } => "see that the bucket exists, in this region",
            _ => "give a place this user may write to with --bucket",
        };
        Error::new(Part::Store, format!("cannot write to {}", config.location))
            .with_cause(error)
            .with_advice(advice)
    };
    objects.put(&probe, PutPayload::from_static(b"probe")).await.map_err(refused)?;
    objects.delete(&probe).await.map_err(refused)?;
    let tags = config.tags.clone().filter(|_| bucket.is_some());
    Ok(Store { objects, attributes: bucket.is_some(), tags })
}

fn folder(name: &str) -> Result<Arc<dyn ObjectStore>, Error> {
    let path = Path::new(name.strip_prefix("file://").unwrap_or(name));
    std::fs::create_dir_all(path).map_err(|error| {
        Error::new(Part::Store, format!("cannot make the folder {}", path.display()))
            .with_cause(error)
            .with_advice("give a folder this user may write to with --bucket")
    })?;
    let store = LocalFileSystem::new_with_prefix(path).map_err(|error| {
        Error::new(Part::Store, format!("cannot use the folder {}", path.display()))
            .with_cause(error)
    })?;
    Ok(Arc::new(store))
}

/// Credentials, region and endpoint come from the usual `AWS_…` variables unless configured.
fn s3(bucket: &str, config: &BucketConfig) -> Result<Arc<dyn ObjectStore>, Error> {
    let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
    let backoff = BackoffConfig {
        init_backoff: Duration::from_millis(config.backoff_ms),
        ..BackoffConfig::default()
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_virtual_hosted_style_request(!config.path_style)
        .with_retry(RetryConfig { backoff, max_retries: config.retries, retry_timeout: PATIENCE })
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some((id, secret)) = &config.credentials {
        builder = builder.with_access_key_id(id).with_secret_access_key(secret.reveal());
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    builder = match &config.encryption {
        Encryption::Bucket => builder,
        Encryption::S3 => encrypt(builder, "AES256"),
        Encryption::Kms(Some(key)) => builder.with_sse_kms_encryption(key),
        Encryption::Kms(None) => encrypt(builder, "aws:kms"),
        Encryption::Customer(key) => builder.with_ssec_encryption(key.reveal()),
    };
    let store = builder.build().map_err(|error| {
        Error::new(Part::Config, format!("the bucket {bucket} cannot be used")).with_cause(error)
    })?;
    Ok(match prefix.trim_end_matches('/') {
        "" => Arc::new(store),
        prefix => Arc::new(PrefixStore::new(store, prefix)),
    })
}

/// The builder has methods only for encryption with a key; this key has no name of its own.
fn encrypt(builder: AmazonS3Builder, how: &str) -> AmazonS3Builder {
    match "aws_server_side_encryption".parse() {
        Ok(key) => builder.with_config(key, how),
        Err(_) => builder,
    }
}
