//! One object that is being written, with the files of its keys and headers beside it: parts are
//! sent off when there is enough for one, nothing is visible until it is finished.

use std::io;

use object_store::{
    Attribute, Attributes, MultipartUpload, PutMultipartOptions, PutOptions, PutPayload, TagSet,
    UploadPart,
    path::{Path, PathPart},
};
use sha2::{Digest, Sha256};
use tokio::task::JoinHandle;

use super::{
    content::{Budget, Content},
    form::{Blocks, Format, Item},
    store::Store,
};
use crate::{
    error::{Error, Part},
    metrics::ObjectWritten,
};

/// An object of one encoded partition.
#[derive(Debug)]
pub(super) struct OpenObject {
    /// Schema of the values.
    schema: Option<u32>,
    /// Values, keys and headers, as far as they are written; completed in this order.
    files: Vec<File>,
    records: u64,
    first_offset: i64,
    last_offset: i64,
}

impl OpenObject {
    /// Starts an object whose first record has `offset`.
    pub(super) const fn new(schema: Option<u32>, offset: i64) -> Self {
        Self { schema, files: Vec::new(), records: 0, first_offset: offset, last_offset: offset }
    }

    /// Adds a file at `path`, whose records are as this one.
    pub(super) fn add_file(
        &mut self,
        path: String,
        format: &Format,
        first: Item<'_>,
        budget: &Budget,
    ) -> Result<(), Error> {
        let mut head = Vec::new();
        let blocks = format.begin(first, sync_marker(&path), budget, &mut head)?;
        let mut content = Content::new(budget.share());
        if !head.is_empty() {
            content.push(head);
        }
        self.files.push(File { path, blocks, content, upload: None, part: None, uploaded: 0 });
        Ok(())
    }

    /// Adds one record: what each file holds of it, in the order the files were added, and what
    /// that adds to the size of the block.
    pub(super) fn append<R: AsRef<[u8]>>(
        &mut self,
        offset: i64,
        records: impl IntoIterator<Item = (R, usize)>,
    ) -> Result<(), Error> {
        for (file, (record, cost)) in self.files.iter_mut().zip(records) {
            file.append(record.as_ref(), cost)?;
        }
        self.records += 1;
        self.last_offset = offset;
        Ok(())
    }

    /// Sends off the parts that are complete, which nobody sees before [`finish`](Self::finish).
    pub(super) async fn send_parts(&mut self, store: &Store, part: usize) -> Result<(), Error> {
        if self.files.iter().all(|file| file.content.pending() < part) {
            return Ok(());
        }
        let options = self.description();
        for file in &mut self.files {
            while file.content.pending() >= part {
                let payload = file.content.take(part).map_err(|error| file.spilled(error))?;
                file.send_along(payload, store, &options).await?;
            }
        }
        Ok(())
    }

    /// Waits until the parts have arrived that are under way.
    pub(super) async fn parts_sent(&mut self) -> Result<(), Error> {
        for file in &mut self.files {
            file.part_sent().await?;
        }
        Ok(())
    }

    /// Bytes in memory.
    pub(super) fn held(&self) -> usize {
        self.files.iter().map(|file| file.content.held()).sum()
    }

    /// Puts away what is in memory.
    pub(super) fn spill(&mut self) -> Result<(), Error> {
        for file in &mut self.files {
            file.content.spill().map_err(|error| spill_error(&file.path, error))?;
        }
        Ok(())
    }

    /// Makes the object visible under its name, each file all at once.
    pub(super) async fn finish(
        mut self,
        store: &Store,
        reason: &'static str,
    ) -> Result<ObjectWritten, Error> {
        let mut options = self.description();
        options.push(("last_offset", self.last_offset.to_string()));
        options.push(("records", self.records.to_string()));
        let mut bytes = 0;
        let mut finished = Ok(());
        for file in &mut self.files {
            finished = file.finish(store, &options).await;
            bytes += file.uploaded;
            if finished.is_err() {
                break;
            }
        }
        if let Err(error) = finished {
            self.abort().await;
            return Err(error);
        }
        Ok(ObjectWritten {
            path: self.files.first().map_or_else(String::new, |file| file.path.clone()),
            records: self.records,
            bytes,
            first_offset: self.first_offset,
            last_offset: self.last_offset,
            reason,
        })
    }

    /// Gives the object up; best effort, since a bucket's lifecycle rule removes what stays.
    pub(super) async fn abort(self) {
        for mut file in self.files {
            if let Some(part) = file.part.take() {
                // Nobody needs to know any more whether it arrived.
                let _outcome = part.await;
            }
            if let Some(upload) = &mut file.upload
                && let Err(error) = upload.abort().await
            {
                tracing::warn!("parts of {} stay behind: {error}", file.path);
            }
        }
    }

    /// What is known of the object from its first record on.
    fn description(&self) -> Vec<(&'static str, String)> {
        let mut known = vec![("first_offset", self.first_offset.to_string())];
        if let Some(id) = self.schema {
            known.push(("schema_id", id.to_string()));
        }
        known
    }
}

/// One file of an object.
struct File {
    path: String,
    blocks: Blocks,
    content: Content,
    upload: Option<Box<dyn MultipartUpload>>,
    /// The last part, while it is under way.
    part: Option<JoinHandle<object_store::Result<()>>>,
    uploaded: u64,
}

impl std::fmt::Debug for File {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("File").field("path", &self.path).finish_non_exhaustive()
    }
}

impl File {
    fn append(&mut self, record: &[u8], cost: usize) -> Result<(), Error> {
        self.content.append(record, self.blocks.size());
        self.blocks.note(record.len(), cost);
        if self.blocks.is_full(self.content.block_len()) { self.close_block() } else { Ok(()) }
    }

    fn close_block(&mut self) -> Result<(), Error> {
        if self.content.block_len() == 0 {
            return Ok(());
        }
        let block = self.content.take_block().map_err(|error| self.spilled(error))?;
        self.blocks.close(block, |piece| self.content.push(piece))
    }

    async fn send(
        &mut self,
        part: PutPayload,
        store: &Store,
        options: &[(&'static str, String)],
    ) -> Result<UploadPart, Error> {
        self.uploaded += part.content_length() as u64;
        let failed = |error| store_error(&self.path, error);
        let upload = match &mut self.upload {
            Some(upload) => upload,
            none => {
                let (attributes, tags) = describe(store, options);
                let options = PutMultipartOptions { attributes, tags, ..Default::default() };
                let path = place(&self.path);
                none.insert(store.objects.put_multipart_opts(&path, options).await.map_err(failed)?)
            }
        };
        Ok(upload.put_part(part))
    }

    /// Sends a part off while the next one is filled; one of all objects' is under way at a time.
    async fn send_along(
        &mut self,
        part: PutPayload,
        store: &Store,
        options: &[(&'static str, String)],
    ) -> Result<(), Error> {
        self.part_sent().await?;
        let turn = self.content.turn().acquire_owned().await;
        let part = self.send(part, store, options).await?;
        self.part = Some(tokio::spawn(async move {
            let sent = part.await;
            drop(turn);
            sent
        }));
        Ok(())
    }

    /// Waits until the part has arrived that is under way.
    async fn part_sent(&mut self) -> Result<(), Error> {
        match self.part.take() {
            None => Ok(()),
            Some(part) => part
                .await
                .unwrap_or_else(|error| Err(error.into()))
                .map_err(|error| store_error(&self.path, error)),
        }
    }

    async fn finish(
        &mut self,
        store: &Store,
        options: &[(&'static str, String)],
    ) -> Result<(), Error> {
        self.close_block()?;
        if let Some(end) = self.blocks.end() {
            self.content.push(end);
        }
        let rest =
            self.content.take(self.content.pending()).map_err(|error| self.spilled(error))?;
        self.part_sent().await?;
        if self.upload.is_some() {
            if rest.content_length() > 0 {
                let part = self.send(rest, store, options).await?;
                part.await.map_err(|error| store_error(&self.path, error))?;
            }
            if let Some(upload) = &mut self.upload {
                upload.complete().await.map_err(|error| store_error(&self.path, error))?;
            }
            return Ok(());
        }
        self.uploaded = rest.content_length() as u64;
        let (attributes, tags) = describe(store, options);
        let options = PutOptions { attributes, tags, ..Default::default() };
        let put = store.objects.put_opts(&place(&self.path), rest, options).await;
        put.map_err(|error| store_error(&self.path, error)).map(drop)
    }

    fn spilled(&self, error: io::Error) -> Error {
        spill_error(&self.path, error)
    }
}

/// The name as it is, as far as the store's client lets it be: what it does not allow — empty and
/// dotted directories, control characters — is escaped or left out.
pub(super) fn place(path: &str) -> Path {
    let names = path.split('/').filter(|name| !name.is_empty());
    names.map(|name| PathPart::parse(name).unwrap_or_else(|_| PathPart::from(name))).collect()
}

/// What is known of an object, as the store takes it.
fn describe(store: &Store, known: &[(&'static str, String)]) -> (Attributes, TagSet) {
    let mut attributes = Attributes::new();
    if store.attributes {
        for (name, value) in known {
            attributes.insert(Attribute::Metadata((*name).into()), value.clone().into());
        }
    }
    let mut tags = TagSet::default();
    if let Some(extra) = &store.tags {
        for (name, value) in known {
            let name = match *name {
                "first_offset" => "startOffset",
                "last_offset" => "endOffset",
                "records" => "recordCount",
                _ => continue,
            };
            tags.push(name, value);
        }
        for (name, value) in extra {
            tags.push(name, value);
        }
    }
    (attributes, tags)
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
    let advice = match &error {
        object_store::Error::NotFound { .. } => "see that the bucket exists, in this region",
        object_store::Error::PermissionDenied { .. }
        | object_store::Error::Unauthenticated { .. } => {
            "see that the credentials may write to the bucket"
        }
        _ => "see that the store is reachable, writable and not full",
    };
    Error::new(Part::Store, format!("cannot write {path}"))
        .with_cause(error)
        .with_retryable(true)
        .with_advice(advice)
}

fn spill_error(path: &str, error: io::Error) -> Error {
    Error::new(Part::Store, format!("cannot put away what is open of {path}"))
        .with_cause(error)
        .with_retryable(true)
        .with_advice("see that sink.spill.dir has space, or raise sink.memory.bytes")
}
