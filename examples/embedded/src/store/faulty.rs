use std::{fmt, sync::Arc};

use async_trait::async_trait;
use futures_util::{
    StreamExt, TryStreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt, PutMultipartOptions, PutOptions, PutPayload, PutResult, RenameOptions, Result,
    UploadPart, path::Path,
};
use tokio::time::sleep;

use super::faults::{Fault, Faults, Operation, place};

/// Another store, with [`Faults`]. Needs a tokio runtime with time.
#[derive(Debug, Clone)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl FaultyStore {
    /// Around `inner`, and without faults until some are ordered.
    #[must_use]
    pub fn new(inner: Arc<dyn ObjectStore>) -> Self {
        Self { inner, faults: Faults::default() }
    }

    /// The handle to order faults by.
    #[must_use]
    pub fn faults(&self) -> Faults {
        self.faults.clone()
    }
}

/// Does `work`, or what is ordered in its place.
async fn guarded<T>(
    faults: &Faults,
    operation: Operation,
    location: Option<&Path>,
    work: impl Future<Output = Result<T>> + Send,
) -> Result<T> {
    let (fault, delay) = faults.meet(operation);
    if !delay.is_zero() {
        sleep(delay).await;
    }
    match fault {
        None => work.await,
        Some(fault) => {
            if fault == Fault::LostAnswer {
                work.await?;
            }
            Err(fault.error(&place(location)))
        }
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        let work = self.inner.put_opts(location, payload, options);
        guarded(&self.faults, Operation::Put, Some(location), work).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        let work = self.inner.put_multipart_opts(location, options);
        let inner = guarded(&self.faults, Operation::Begin, Some(location), work).await?;
        Ok(Box::new(FaultyUpload {
            inner,
            faults: self.faults.clone(),
            location: location.clone(),
        }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let work = self.inner.get_opts(location, options);
        guarded(&self.faults, Operation::Get, Some(location), work).await
    }

    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (inner, faults) = (Arc::clone(&self.inner), self.faults.clone());
        locations
            .and_then(move |location| {
                let (inner, faults) = (Arc::clone(&inner), faults.clone());
                async move {
                    let work = inner.delete(&location);
                    guarded(&faults, Operation::Delete, Some(&location), work).await?;
                    Ok(location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (inner, faults) = (Arc::clone(&self.inner), self.faults.clone());
        let prefix = prefix.cloned();
        stream::once(async move {
            let work = async { Ok(inner.list(prefix.as_ref())) };
            guarded(&faults, Operation::List, prefix.as_ref(), work).await
        })
        .try_flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        let work = self.inner.list_with_delimiter(prefix);
        guarded(&self.faults, Operation::List, prefix, work).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        let work = self.inner.copy_opts(from, to, options);
        guarded(&self.faults, Operation::Copy, Some(to), work).await
    }

    async fn rename_opts(&self, from: &Path, to: &Path, options: RenameOptions) -> Result<()> {
        let work = self.inner.rename_opts(from, to, options);
        guarded(&self.faults, Operation::Copy, Some(to), work).await
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FaultyStore({})", self.inner)
    }
}

/// An upload in parts whose parts and completion can fail. To abort it always works.
#[derive(Debug)]
struct FaultyUpload {
    inner: Box<dyn MultipartUpload>,
    faults: Faults,
    location: Path,
}

#[async_trait]
impl MultipartUpload for FaultyUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let (faults, location) = (self.faults.clone(), self.location.clone());
        let work = self.inner.put_part(data);
        Box::pin(async move { guarded(&faults, Operation::Part, Some(&location), work).await })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let work = self.inner.complete();
        guarded(&self.faults, Operation::Complete, Some(&self.location), work).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.inner.abort().await
    }
}
