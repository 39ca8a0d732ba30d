//! Where objects go: a folder, or a bucket of S3 or of something that speaks its protocol.

use std::{path::Path, sync::Arc};

use object_store::{
    ObjectStore, ObjectStoreExt, PutPayload,
    aws::{AmazonS3Builder, S3ConditionalPut},
    local::LocalFileSystem,
    path::Path as ObjectPath,
    prefix::PrefixStore,
};

use crate::{
    config::SinkConfig,
    error::{Error, Part},
};

/// Opens the store that `--bucket` or the connector names, and writes and removes a small object in
/// a folder of its own so that a missing right is known before any record is read.
///
/// # Errors
///
/// The folder cannot be made or written, or the bucket cannot be used.
pub(super) async fn open(config: &SinkConfig) -> Result<Arc<dyn ObjectStore>, Error> {
    let store = match config.bucket.strip_prefix("s3://") {
        Some(bucket) => s3(bucket, config)?,
        None => folder(&config.bucket)?,
    };
    let probe = ObjectPath::from(format!(".full-pipeline-probe-{}", std::process::id()));
    let refused = |error: object_store::Error| {
        Error::new(Part::Store, format!("cannot write to {}", config.bucket))
            .with_cause(error)
            .with_advice("give a place this user may write to with --bucket")
    };
    store.put(&probe, PutPayload::from_static(b"probe")).await.map_err(refused)?;
    store.delete(&probe).await.map_err(refused)?;
    Ok(store)
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
fn s3(bucket: &str, config: &SinkConfig) -> Result<Arc<dyn ObjectStore>, Error> {
    let (bucket, prefix) = bucket.split_once('/').unwrap_or((bucket, ""));
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(bucket)
        .with_conditional_put(S3ConditionalPut::ETagMatch);
    if let Some(region) = &config.region {
        builder = builder.with_region(region);
    }
    if let Some(endpoint) = &config.endpoint {
        builder = builder.with_endpoint(endpoint).with_allow_http(endpoint.starts_with("http://"));
    }
    let store = builder.build().map_err(|error| {
        Error::new(Part::Config, format!("the bucket {bucket} cannot be used")).with_cause(error)
    })?;
    Ok(match prefix.trim_end_matches('/') {
        "" => Arc::new(store),
        prefix => Arc::new(PrefixStore::new(store, prefix)),
    })
}
