//! A web server on loopback that answers what it is told to and remembers what it was asked.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;

#[derive(Clone, Debug)]
pub struct Request {
    pub method: String,
    /// Path and query.
    pub target: String,
    /// By lower-case name.
    pub headers: BTreeMap<String, String>,
    pub body: String,
    /// How many requests came before.
    pub number: usize,
}

impl Request {
    /// A field of the form in the body, decoded.
    pub fn field(&self, name: &str) -> Option<String> {
        let pair = self.body.split('&').find_map(|pair| pair.strip_prefix(&format!("{name}=")))?;
        let mut parts = pair.split('%');
        let mut out = parts.next()?.to_owned();
        for part in parts {
            let (code, rest) = part.split_at(2);
            out.push(char::from(u8::from_str_radix(code, 16).ok()?));
            out.push_str(rest);
        }
        Some(out)
    }

    /// The access key that signed the request.
    pub fn signed_by(&self) -> &str {
        let header = self.headers.get("authorization").map_or("", String::as_str);
        header.split("Credential=").nth(1).and_then(|rest| rest.split('/').next()).unwrap_or("")
    }
}

pub type Answer = (u16, String);

pub struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Request>>>,
    stopped: Arc<AtomicBool>,
}

impl Fake {
    pub fn start(answer: impl Fn(&Request) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let stopped = Arc::new(AtomicBool::new(false));
        let (answer, log, stop) = (Arc::new(answer), Arc::clone(&requests), Arc::clone(&stopped));
        thread::spawn(move || {
            for stream in listener.incoming() {
                if stop.load(Ordering::SeqCst) {
                    return;
                }
                let (Ok(stream), answer, log) = (stream, Arc::clone(&answer), Arc::clone(&log))
                else {
                    continue;
                };
                // A client that goes away in the middle is no failure of the test.
                thread::spawn(move || drop(serve(stream, &*answer, &log)));
            }
        });
        Self { address, requests, stopped }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn requests(&self) -> Vec<Request> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.stopped.store(true, Ordering::SeqCst);
        // Wakes the thread that accepts.
        drop(TcpStream::connect(self.address));
    }
}

fn serve(
    mut stream: TcpStream,
    answer: &dyn Fn(&Request) -> Answer,
    log: &Mutex<Vec<Request>>,
) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut line = String::new();
    reader.read_line(&mut line)?;
    let mut words = line.split(' ').map(str::to_owned);
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut headers = BTreeMap::new();
    loop {
        line.clear();
        reader.read_line(&mut line)?;
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.insert(name.to_lowercase(), value.trim().to_owned());
    }
    let length = headers.get("content-length").and_then(|text| text.parse().ok()).unwrap_or(0);
    let mut body = vec![0; length];
    reader.read_exact(&mut body)?;
    let body = String::from_utf8_lossy(&body).into_owned();
    let request = {
        let mut log = log.lock().unwrap();
        let request = Request { method, target, headers, body, number: log.len() };
        log.push(request.clone());
        request
    };
    let (status, body) = answer(&request);
    write!(
        stream,
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\nX-Aws-Ec2-Metadata-Token-Ttl-Seconds: 21600\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}
