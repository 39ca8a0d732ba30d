//! A scripted HTTP/1.1 server: answers what the test says and remembers what it was asked.
#![allow(dead_code, reason = "no test file uses all of it")]

use std::collections::HashMap;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// A request as it came over the wire.
#[derive(Clone, Debug)]
pub struct Seen {
    pub method: String,
    pub path: String,
    pub headers: HashMap<String, String>,
    pub body: String,
}

/// What to answer.
#[derive(Clone, Debug)]
pub enum Reply {
    /// A status and a body with its right length.
    Body(u16, String),
    /// A status, further header lines, and a body.
    With(u16, &'static str, String),
    /// These bytes, then the connection is closed.
    Raw(String),
    /// A head that promises this many bytes, then one byte every 10 ms.
    Drip(usize),
    /// A chunked body that never ends.
    Endless,
    /// Another reply, once the gate is open.
    Gated(watch::Receiver<bool>, Box<Self>),
}

pub fn json(status: u16, body: &str) -> Reply {
    Reply::Body(status, body.to_owned())
}

pub fn refusal(status: u16, code: i32, message: &str) -> Reply {
    Reply::Body(status, format!(r#"{{"error_code":{code},"message":"{message}"}}"#))
}

pub fn schema() -> Reply {
    json(200, r#"{"schema":"\"long\""}"#)
}

pub struct Server {
    pub url: String,
    seen: Arc<Mutex<Vec<Seen>>>,
    most_at_once: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    /// Answers every request with what `script` makes of it and of its number, from 0.
    pub async fn start(script: impl Fn(usize, &Seen) -> Reply + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let most_at_once = Arc::new(AtomicUsize::new(0));
        let now = Arc::new(AtomicUsize::new(0));
        let script = Arc::new(script);
        let task = {
            let (seen, most_at_once) = (Arc::clone(&seen), Arc::clone(&most_at_once));
            tokio::spawn(async move {
                while let Ok((socket, _)) = listener.accept().await {
                    let (script, seen) = (Arc::clone(&script), Arc::clone(&seen));
                    let (now, most) = (Arc::clone(&now), Arc::clone(&most_at_once));
                    tokio::spawn(async move {
                        let mut socket = BufReader::new(socket);
                        while let Some(request) = read(&mut socket).await {
                            let reply = {
                                let mut seen = seen.lock().unwrap();
                                seen.push(request.clone());
                                script(seen.len() - 1, &request)
                            };
                            most.fetch_max(
                                now.fetch_add(1, Ordering::SeqCst) + 1,
                                Ordering::SeqCst,
                            );
                            let kept = write(socket.get_mut(), reply).await;
                            now.fetch_sub(1, Ordering::SeqCst);
                            if kept.is_err() {
                                break;
                            }
                        }
                    });
                }
            })
        };
        Self { url, seen, most_at_once, task }
    }

    pub fn seen(&self) -> Vec<Seen> {
        self.seen.lock().unwrap().clone()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    pub fn most_at_once(&self) -> usize {
        self.most_at_once.load(Ordering::SeqCst)
    }

    /// Waits until `count` requests have come.
    pub async fn wait_for(&self, count: usize) {
        let all = async {
            while self.count() < count {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(30), all).await.expect("requests in time");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn read(socket: &mut BufReader<TcpStream>) -> Option<Seen> {
    let mut line = String::new();
    socket.read_line(&mut line).await.ok().filter(|length| *length > 0)?;
    let mut words = line.split(' ');
    let (method, path) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let mut line = String::new();
        socket.read_line(&mut line).await.ok()?;
        let Some((name, value)) = line.split_once(':') else { break };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    socket.read_exact(&mut body).await.ok()?;
    Some(Seen { method, path, headers, body: String::from_utf8(body).ok()? })
}

/// Writes one reply; an error means that the connection is over.
async fn write(socket: &mut TcpStream, mut reply: Reply) -> io::Result<()> {
    while let Reply::Gated(mut gate, then) = reply {
        let _ = gate.wait_for(|open| *open).await;
        reply = *then;
    }
    let full = |status, more: &str, body: &str| {
        format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{more}\r\n{body}", body.len())
    };
    let text = match reply {
        Reply::Body(status, body) => full(status, "", &body),
        Reply::With(status, more, body) => full(status, more, &body),
        Reply::Raw(text) => {
            socket.write_all(text.as_bytes()).await?;
            socket.shutdown().await?;
            return Err(io::ErrorKind::ConnectionAborted.into());
        }
        Reply::Drip(length) => {
            let head = format!("HTTP/1.1 200 X\r\ncontent-length: {length}\r\n\r\n");
            socket.write_all(head.as_bytes()).await?;
            for _ in 0..length {
                socket.write_all(b" ").await?;
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            return Ok(());
        }
        Reply::Endless => {
            socket.write_all(b"HTTP/1.1 200 X\r\ntransfer-encoding: chunked\r\n\r\n").await?;
            let chunk = format!("10000\r\n{}\r\n", " ".repeat(0x10000));
            loop {
                socket.write_all(chunk.as_bytes()).await?;
            }
        }
        Reply::Gated(..) => unreachable!("opened above"),
    };
    socket.write_all(text.as_bytes()).await
}
