use std::{path::Path, time::Duration};

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    auth::{Binding, authenticate},
    config::{Config, Host, SslMode, TargetSessionAttrs, invalid},
    connection::Connection,
    error::{Error, ErrorKind},
    session::values,
    socket::{Socket, Transport},
    tls::{Tls, end_point},
};

/// Protocol 3.0.
const VERSION: u32 = 196_608;
const SSL_REQUEST: [u8; 8] = [0, 0, 0, 8, 0x04, 0xD2, 0x16, 0x2F];
/// Settings that decide how values look as text; SQL may rely on them too.
const PINNED: [(&str, &str); 7] = [
    ("client_encoding", "UTF8"),
    ("DateStyle", "ISO"),
    ("IntervalStyle", "postgres"),
    ("TimeZone", "UTC"),
    ("extra_float_digits", "3"),
    ("bytea_output", "hex"),
    ("standard_conforming_strings", "on"),
];

/// What a session is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Purpose {
    Sql,
    Replication,
}

/// One way to try it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Attempt {
    Plain,
    TlsIfOffered,
    Tls,
}

/// A session that is ready for a command.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) connection: Connection,
    pub(super) version: u32,
    /// Whether it is a standby's, if the server said so by itself (PostgreSQL 14).
    standby: Option<bool>,
    /// Whether transactions are read-only unless they say otherwise; the same.
    read_only: Option<bool>,
}

/// The first session that is as wanted.
pub(super) async fn connect(config: &Config, purpose: Purpose) -> Result<Session, Error> {
    config.validate()?;
    let wanted = config.target_session_attrs();
    let rounds: &[_] = match wanted {
        TargetSessionAttrs::PreferStandby => {
            &[TargetSessionAttrs::Standby, TargetSessionAttrs::Any]
        }
        _ => &[wanted],
    };
    let mut last = None;
    for wanted in rounds {
        for host in config.hosts() {
            match one_host(config, host, *wanted, purpose).await {
                // Another server would be no other: the settings are wrong, or it is the right
                // server and does not let us in.
                Err(error) if !another_host(&error) => return Err(error),
                Err(error) => last = Some(error),
                session => return session,
            }
        }
    }
    Err(last.unwrap_or_else(|| invalid("no host")))
}

/// As libpq: whoever is not let in by one server is not to be let in by the next.
fn another_host(error: &Error) -> bool {
    match error.kind() {
        ErrorKind::Config | ErrorKind::Auth => false,
        ErrorKind::Server { .. } => error.is_retryable(),
        _ => true,
    }
}

async fn one_host(
    config: &Config,
    host: &Host,
    wanted: TargetSessionAttrs,
    purpose: Purpose,
) -> Result<Session, Error> {
    let whole = async {
        let mut session = attempts(config, host, purpose).await?;
        if !session.suits(wanted).await? {
            session.connection.terminate().await;
            let message = format!("{host} is not as target_session_attrs wants it");
            return Err(Error::new(ErrorKind::Connect, message));
        }
        Ok(session)
    };
    match config.connect_timeout() {
        Duration::ZERO => whole.await,
        limit => timeout(limit, whole).await.unwrap_or_else(|_| {
            let message = format!("the connection to {host} took too long to establish");
            Err(Error::new(ErrorKind::Timeout, message))
        }),
    }
}

async fn attempts(config: &Config, host: &Host, purpose: Purpose) -> Result<Session, Error> {
    let mode = match host.socket_path() {
        Some(_) => SslMode::Disable,
        None => config.ssl_mode(),
    };
    let tls = match mode {
        SslMode::Disable => None,
        _ => Some(Tls::new(config, host)?),
    };
    let (first, second) = match mode {
        SslMode::Disable => (Attempt::Plain, None),
        SslMode::Allow => (Attempt::Plain, Some(Attempt::Tls)),
        SslMode::Prefer => (Attempt::TlsIfOffered, Some(Attempt::Plain)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Attempt::Tls, None),
    };
    let tls = tls.as_ref();
    match (attempt(config, host, purpose, first, tls).await, second) {
        (Err(error), Some(second)) if worth_another(&error) => {
            // The other way may be no better; then the first failure says more.
            attempt(config, host, purpose, second, tls).await.map_err(|other| match other.kind() {
                ErrorKind::Tls => error,
                _ => other,
            })
        }
        (result, _) => result,
    }
}

impl Session {
    async fn suits(&mut self, wanted: TargetSessionAttrs) -> Result<bool, Error> {
        if wanted == TargetSessionAttrs::Any {
            return Ok(true);
        }
        let (standby, read_only) = match (self.standby, self.read_only) {
            (Some(standby), Some(read_only)) => (standby, read_only),
            _ => self.ask().await?,
        };
        Ok(match wanted {
            TargetSessionAttrs::ReadWrite => !standby && !read_only,
            TargetSessionAttrs::ReadOnly => standby || read_only,
            TargetSessionAttrs::Primary => !standby,
            TargetSessionAttrs::Standby => standby,
            TargetSessionAttrs::Any | TargetSessionAttrs::PreferStandby => true,
        })
    }

    async fn ask(&mut self) -> Result<(bool, bool), Error> {
        let sql = b"SELECT CASE WHEN pg_catalog.pg_is_in_recovery() THEN 'on' ELSE 'off' END, \
            pg_catalog.current_setting('default_transaction_read_only')\0";
        self.connection.put(b'Q', &[sql])?;
        self.connection.flush().await?;
        let mut answer = None;
        loop {
            match self.connection.message().await? {
                (b'D', body) => answer = values(body),
                (b'E', body) => return Err(Error::response(body)),
                (b'Z', _) => break,
                _ => {}
            }
        }
        match answer.as_deref() {
            Some([Some(standby), Some(read_only)]) => Ok((standby == "on", read_only == "on")),
            _ => Err(Error::protocol("malformed answer to a query")),
        }
    }
}

/// Whether the other way could end differently: TLS failed, or the server has no rule that lets
/// this user in this way. A wrong password is wrong either way.
fn worth_another(error: &Error) -> bool {
    error.kind() == ErrorKind::Tls || error.sqlstate() == Some("28000")
}

async fn attempt(
    config: &Config,
    host: &Host,
    purpose: Purpose,
    attempt: Attempt,
    tls: Option<&Tls>,
) -> Result<Session, Error> {
    let (transport, binding) = match host.socket_path() {
        Some(path) => (open_socket(&path).await?, Binding::Impossible),
        None => open_tcp(host, attempt, tls).await?,
    };
    let mut connection = Connection::new(transport);
    startup(&mut connection, config, purpose).await?;
    authenticate(&mut connection, config, host, binding).await?;
    ready(connection).await
}

async fn open_tcp(
    host: &Host,
    attempt: Attempt,
    tls: Option<&Tls>,
) -> Result<(Transport, Binding), Error> {
    let mut stream = open(host).await?;
    let offered = match (attempt, tls) {
        (Attempt::Plain, _) | (_, None) => None,
        (_, Some(tls)) => offers_tls(&mut stream).await?.then_some(tls),
    };
    match offered {
        Some(tls) => {
            let stream = tls.handshake(Socket::new(stream)).await?;
            let binding = end_point(&stream).map_or(Binding::Impossible, Binding::EndPoint);
            Ok((Transport::Tls(Box::new(stream)), binding))
        }
        None if attempt == Attempt::Tls => Err(Error::new(ErrorKind::Tls, "the server has no tls")),
        None => Ok((Transport::Plain(Socket::new(stream)), Binding::Impossible)),
    }
}

#[cfg(unix)]
async fn open_socket(path: &Path) -> Result<Transport, Error> {
    let stream = tokio::net::UnixStream::connect(path).await.map_err(|error| {
        Error::new(ErrorKind::Connect, path.display().to_string()).with_source(error)
    })?;
    Ok(Transport::Unix(stream))
}

#[cfg(not(unix))]
async fn open_socket(_: &Path) -> Result<Transport, Error> {
    Err(invalid("there are no unix sockets here: give a host name"))
}

async fn open(host: &Host) -> Result<TcpStream, Error> {
    let failed = |error| Error::new(ErrorKind::Connect, host.to_string()).with_source(error);
    let mut last = None;
    for address in lookup_host((host.name.as_str(), host.port)).await.map_err(failed)? {
        match TcpStream::connect(address).await {
            Ok(stream) => {
                stream.set_nodelay(true).map_err(failed)?;
                // Notices a vanished server within minutes instead of hours.
                let keepalive = TcpKeepalive::new()
                    .with_time(Duration::from_secs(60))
                    .with_interval(Duration::from_secs(15));
                SockRef::from(&stream).set_tcp_keepalive(&keepalive).map_err(failed)?;
                return Ok(stream);
            }
            Err(error) => last = Some(error),
        }
    }
    Err(failed(last.unwrap_or_else(|| std::io::ErrorKind::AddrNotAvailable.into())))
}

/// SSLRequest. Exactly one byte is read, so that nothing sent in the clear behind it can be taken
/// for something that came through TLS.
async fn offers_tls(stream: &mut TcpStream) -> Result<bool, Error> {
    stream.write_all(&SSL_REQUEST).await.map_err(Error::io)?;
    match stream.read_u8().await.map_err(Error::io)? {
        b'S' => Ok(true),
        b'N' => Ok(false),
        other => Err(Error::unexpected(other)),
    }
}

async fn startup(
    connection: &mut Connection,
    config: &Config,
    purpose: Purpose,
) -> Result<(), Error> {
    let version = VERSION.to_be_bytes();
    let mut body: Vec<&[u8]> = vec![&version];
    let own = [
        ("user", config.user()),
        ("database", config.database()),
        ("application_name", config.application_name()),
    ];
    let replication = (purpose == Purpose::Replication).then_some(("replication", "database"));
    let options = config.options().map(|options| ("options", options));
    for (name, value) in own.into_iter().chain(PINNED).chain(replication).chain(options) {
        body.extend([name.as_bytes(), b"\0", value.as_bytes(), b"\0"]);
    }
    body.push(b"\0");
    connection.put_untagged(&body)?;
    connection.flush().await
}

/// Reads to the first ReadyForQuery, and what the server tells of itself before.
async fn ready(mut connection: Connection) -> Result<Session, Error> {
    let (mut version, mut standby, mut read_only) = (0, None, None);
    loop {
        let (tag, body) = connection.startup_message().await?;
        match tag {
            b'S' => {
                if let Some(text) = body.strip_prefix(b"server_version\0") {
                    version = version_number(text);
                } else if let Some(text) = body.strip_prefix(b"in_hot_standby\0") {
                    standby = Some(text == b"on\0");
                } else if let Some(text) = body.strip_prefix(b"default_transaction_read_only\0") {
                    read_only = Some(text == b"on\0");
                }
            }
            b'Z' => return Ok(Session { connection, version, standby, read_only }),
            b'E' => return Err(Error::response(body)),
            b'K' | b'N' => {}
            other => return Err(Error::unexpected(other)),
        }
    }
}

/// `15.18 (Debian ...)` to 150018, as the server's own `server_version_num`.
fn version_number(text: &[u8]) -> u32 {
    let mut numbers = text
        .split(|byte| !byte.is_ascii_digit())
        .map_while(|digits| str::from_utf8(digits).ok()?.parse::<u32>().ok());
    let major = numbers.next().unwrap_or(0);
    let second = numbers.next().unwrap_or(0);
    if major >= 10 {
        // After "18beta1" the next number is none of the version's.
        let minor = if text.contains(&b'.') { second } else { 0 };
        return major * 10_000 + minor;
    }
    major * 10_000 + second * 100 + numbers.next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for (text, number) in [
            ("15.18 (Debian 15.18-1.pgdg120+1)\0", 150_018),
            ("18.6\0", 180_006),
            ("18beta1\0", 180_000),
            ("14\0", 140_000),
            ("9.6.24\0", 90_624),
            ("", 0),
        ] {
            assert_eq!(version_number(text.as_bytes()), number, "{text}");
        }
    }
}
