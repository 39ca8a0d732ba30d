//! An S3 server in this process: s3s-fs on a folder, behind a layer that notes every request and
//! answers some of them itself, as badly as ordered.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex},
    time::Duration,
};

use http_body_util::BodyExt;
use hyper::{
    Method, Request, Response, StatusCode, body::Incoming, server::conn::http1, service::service_fn,
};
use hyper_util::rt::TokioIo;
use s3s::{
    Body,
    auth::SimpleAuth,
    service::{S3Service, S3ServiceBuilder},
};
use s3s_fs::FileSystem;
use tokio::{net::TcpListener, task::JoinHandle};

pub(crate) const KEY: &str = "id";
pub(crate) const SECRET: &str = "secret";
/// The one bucket there is.
pub(crate) const BUCKET: &str = "objects";

/// What a request asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Operation {
    Put,
    Begin,
    Part,
    Complete,
    Abort,
    Other,
}

/// What comes instead of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// This status, with a code of S3's.
    Status(u16, &'static str),
    /// A code of S3's behind the status 200, which only the completion of an upload does.
    InBody(&'static str),
    /// The right answer, after a while.
    Slow(Duration),
    /// The connection is closed when half of the body has come.
    Cut,
    /// All is done as asked, and the connection closed without a word of it.
    LostAnswer,
}

/// A request for something below `topics/`.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) operation: Operation,
    /// Without the bucket.
    pub(crate) key: String,
    pub(crate) headers: BTreeMap<String, String>,
    /// Whether it met a fault.
    pub(crate) faulty: bool,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    pub(crate) fn length(&self) -> u64 {
        self.header("content-length").map_or(0, |length| length.parse().unwrap())
    }
}

/// The server, until it is dropped.
pub(crate) struct Server {
    pub(crate) url: String,
    root: tempfile::TempDir,
    shared: Arc<Shared>,
    task: JoinHandle<()>,
}

struct Shared {
    inner: S3Service,
    root: PathBuf,
    orders: Mutex<BTreeMap<Operation, Fault>>,
    seen: Mutex<Vec<Seen>>,
    /// The server looks whether an object exists and then writes it, so only one may at a time.
    writing: tokio::sync::Mutex<()>,
}

/// Makes hyper close the connection.
#[derive(Debug)]
struct Closed;

impl std::fmt::Display for Closed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("closed as ordered")
    }
}

impl std::error::Error for Closed {}

impl Server {
    pub(crate) async fn start() -> Self {
        let root = tempfile::tempdir().unwrap();
        std::fs::create_dir(root.path().join(BUCKET)).unwrap();
        let mut service = S3ServiceBuilder::new(FileSystem::new(root.path()).unwrap());
        service.set_auth(SimpleAuth::from_single(KEY, SECRET));
        let shared = Arc::new(Shared {
            inner: service.build(),
            root: root.path().to_owned(),
            orders: Mutex::default(),
            seen: Mutex::default(),
            writing: tokio::sync::Mutex::default(),
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let accepting = shared.clone();
        let task = tokio::spawn(async move {
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((socket, _)) = listener.accept().await {
                let shared = accepting.clone();
                let answer = service_fn(move |request| Shared::answer(shared.clone(), request));
                connections.spawn(async move {
                    // An error is a fault that was ordered, or a client that was killed.
                    let _ended =
                        http1::Builder::new().serve_connection(TokioIo::new(socket), answer).await;
                });
            }
        });
        Self { url, root, shared, task }
    }

    /// The folder that is the bucket.
    pub(crate) fn bucket(&self) -> PathBuf {
        self.root.path().join(BUCKET)
    }

    /// Every request of this kind meets the fault, until [`heal`](Self::heal).
    pub(crate) fn fail(&self, operation: Operation, fault: Fault) {
        self.shared.orders.lock().unwrap().insert(operation, fault);
    }

    pub(crate) fn heal(&self) {
        self.shared.orders.lock().unwrap().clear();
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.shared.seen.lock().unwrap().clone()
    }

    /// How many requests of this kind have met a fault.
    pub(crate) fn faults(&self, operation: Operation) -> usize {
        let seen = self.shared.seen.lock().unwrap();
        seen.iter().filter(|seen| seen.operation == operation && seen.faulty).count()
    }

    /// Parts of uploads that are neither complete nor aborted.
    pub(crate) fn left_over_parts(&self) -> usize {
        let entries = std::fs::read_dir(self.root.path()).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names.filter(|name| name.contains(".part-")).count()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Shared {
    async fn answer(self: Arc<Self>, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let path = request.uri().path().trim_start_matches('/').to_owned();
        let (bucket, key) = path.split_once('/').unwrap_or((&path, ""));
        if !self.root.join(bucket).is_dir() {
            return Ok(refusal(404, "NoSuchBucket"));
        }
        if !key.starts_with("topics/") {
            return self.pass(request).await;
        }
        let operation = operation(request.method(), request.uri().query().unwrap_or_default());
        let fault = self.orders.lock().unwrap().get(&operation).copied();
        let headers = request.headers().iter();
        self.seen.lock().unwrap().push(Seen {
            operation,
            key: key.to_owned(),
            headers: headers
                .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
                .collect(),
            faulty: fault.is_some(),
        });
        match fault {
            None => self.pass(request).await,
            Some(Fault::Slow(time)) => {
                tokio::time::sleep(time).await;
                self.pass(request).await
            }
            Some(Fault::Status(status, code)) => {
                // As S3 mostly does: the answer comes when all has been read.
                read(request, u64::MAX).await;
                Ok(refusal(status, code))
            }
            Some(Fault::InBody(code)) => {
                read(request, u64::MAX).await;
                Ok(refusal(200, code))
            }
            Some(Fault::Cut) => {
                let length = request.headers().get("content-length");
                let length = length.map_or(0, |text| text.to_str().unwrap().parse().unwrap());
                read(request, length / 2).await;
                Err(Closed)
            }
            Some(Fault::LostAnswer) => {
                // A completion is done while its answer is read.
                let answer = self.pass(request).await?;
                let _done = answer.into_body().collect().await;
                Err(Closed)
            }
        }
    }

    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Body>, Closed> {
        let _alone = self.writing.lock().await;
        self.inner.call(request.map(Body::from)).await.map_err(|_| Closed)
    }
}

/// Reads this many bytes of the body, or more as they come.
async fn read(mut request: Request<Incoming>, wanted: u64) {
    let mut got = 0;
    while got < wanted
        && let Some(Ok(frame)) = request.body_mut().frame().await
    {
        got += frame.data_ref().map_or(0, |data| data.len() as u64);
    }
}

fn refusal(status: u16, code: &str) -> Response<Body> {
    let text = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\
         <Error><Code>{code}</Code><Message>as ordered</Message></Error>"
    );
    let mut response = Response::new(Body::from(text));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

fn operation(method: &Method, query: &str) -> Operation {
    let has = |name: &str| query.split('&').any(|pair| pair.split('=').next() == Some(name));
    match *method {
        Method::PUT if has("partNumber") => Operation::Part,
        Method::PUT => Operation::Put,
        Method::POST if has("uploads") => Operation::Begin,
        Method::POST if has("uploadId") => Operation::Complete,
        Method::DELETE if has("uploadId") => Operation::Abort,
        _ => Operation::Other,
    }
}
