//! One object that is being written: datums copied into container blocks, parts sent off when they
//! are large, nothing visible until it is finished.

use std::sync::Arc;

use avro_wire::{Schema, ocf};
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, path::Path};
use sha2::{Digest, Sha256};

use crate::{
    error::{Error, Part},
    metrics::ObjectWritten,
};

/// An object of one encoded partition.
pub(super) struct OpenObject {
    path: String,
    schema: u32,
    writer: ocf::Writer,
    buffer: Vec<u8>,
    upload: Option<Box<dyn MultipartUpload>>,
    uploaded: u64,
    records: u64,
    first_offset: i64,
    last_offset: i64,
}

impl std::fmt::Debug for OpenObject {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenObject").field("path", &self.path).finish_non_exhaustive()
    }
}

impl OpenObject {
    /// Starts the object at `path`, whose first record has `offset`.
    pub(super) fn new(
        path: String,
        schema_id: u32,
        schema: &Schema,
        codec: ocf::Codec,
        offset: i64,
    ) -> Self {
        let mut buffer = Vec::new();
        let writer = ocf::Writer::new(schema, codec, sync_marker(&path));
        writer.header(&mut buffer);
        Self {
            path,
            schema: schema_id,
            writer,
            buffer,
            upload: None,
            uploaded: 0,
            records: 0,
            first_offset: offset,
            last_offset: offset,
        }
    }

    /// The id of the schema its records have.
    pub(super) const fn schema(&self) -> u32 {
        self.schema
    }

    /// Adds one encoded record.
    pub(super) fn append(&mut self, offset: i64, datum: &[u8]) -> Result<(), Error> {
        self.writer.append(datum, &mut self.buffer).map_err(|error| {
            Error::new(Part::Data, format!("cannot add offset {offset} to {}", self.path))
                .with_cause(error)
        })?;
        self.records += 1;
        self.last_offset = offset;
        Ok(())
    }

    /// Bytes held in memory.
    pub(super) const fn held(&self) -> usize {
        self.buffer.len()
    }

    /// Sends what is held off as a part, which nobody sees before [`finish`](Self::finish).
    pub(super) async fn send_part(&mut self, store: &Arc<dyn ObjectStore>) -> Result<(), Error> {
        let part = std::mem::take(&mut self.buffer);
        self.uploaded += part.len() as u64;
        let failed = |error| store_error(&self.path, error);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => none.insert(
                store.put_multipart(&Path::from(self.path.as_str())).await.map_err(failed)?,
            ),
        };
        upload.put_part(PutPayload::from(part)).await.map_err(failed)
    }

    /// Makes the object visible under its name, all at once.
    pub(super) async fn finish(
        mut self,
        store: &Arc<dyn ObjectStore>,
        reason: &'static str,
    ) -> Result<ObjectWritten, Error> {
        self.writer.finish(&mut self.buffer).map_err(|error| {
            Error::new(Part::Data, format!("cannot finish {}", self.path)).with_cause(error)
        })?;
        let bytes = self.uploaded + self.buffer.len() as u64;
        let rest = PutPayload::from(std::mem::take(&mut self.buffer));
        let failed = |error| store_error(&self.path, error);
        match &mut self.upload {
            None => {
                store.put(&Path::from(self.path.as_str()), rest).await.map_err(failed)?;
            }
            Some(upload) => {
                upload.put_part(rest).await.map_err(failed)?;
                upload.complete().await.map_err(failed)?;
            }
        }
        Ok(ObjectWritten {
            path: self.path,
            records: self.records,
            bytes,
            first_offset: self.first_offset,
            last_offset: self.last_offset,
            reason,
        })
    }

    /// Gives the object up; best effort, since a bucket's lifecycle rule removes what stays.
    pub(super) async fn abort(mut self) {
        if let Some(upload) = &mut self.upload
            && let Err(error) = upload.abort().await
        {
            tracing::warn!("parts of {} stay behind: {error}", self.path);
        }
    }
}

/// The marker between blocks, from the name, so that writing an object again gives the same bytes.
fn sync_marker(path: &str) -> [u8; 16] {
    let digest = Sha256::digest(path.as_bytes());
    let mut marker = [0; 16];
    for (to, from) in marker.iter_mut().zip(digest) {
        *to = from;
    }
    marker
}

fn store_error(path: &str, error: object_store::Error) -> Error {
    Error::new(Part::Store, format!("cannot write {path}"))
        .with_cause(error)
        .with_retryable(true)
        .with_advice("see that the store is reachable, writable and not full")
}
