use std::time::Duration;

use socket2::{SockRef, TcpKeepalive};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, lookup_host},
    time::timeout,
};

use super::{
    auth::{Binding, authenticate},
    config::{Config, SslMode},
    connection::Connection,
    error::{Error, ErrorKind},
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

/// A session that is ready for a command, and the server's version.
pub(super) async fn connect(config: &Config, purpose: Purpose) -> Result<(Connection, u32), Error> {
    config.validate()?;
    let tls = match config.ssl_mode() {
        SslMode::Disable => None,
        _ => Some(Tls::new(config)?),
    };
    let attempts = attempts(config, purpose, tls.as_ref());
    match config.connect_timeout() {
        Duration::ZERO => attempts.await,
        limit => timeout(limit, attempts).await.unwrap_or_else(|_| {
            Err(Error::new(ErrorKind::Timeout, "the connection took too long to establish"))
        }),
    }
}

async fn attempts(
    config: &Config,
    purpose: Purpose,
    tls: Option<&Tls>,
) -> Result<(Connection, u32), Error> {
    let (first, second) = match config.ssl_mode() {
        SslMode::Disable => (Attempt::Plain, None),
        SslMode::Allow => (Attempt::Plain, Some(Attempt::Tls)),
        SslMode::Prefer => (Attempt::TlsIfOffered, Some(Attempt::Plain)),
        SslMode::Require | SslMode::VerifyCa | SslMode::VerifyFull => (Attempt::Tls, None),
    };
    match (attempt(config, purpose, first, tls).await, second) {
        (Err(error), Some(second)) if worth_another(&error) => {
            // The other way may be no better; then the first failure says more.
            attempt(config, purpose, second, tls).await.map_err(|other| match other.kind() {
                ErrorKind::Tls => error,
                _ => other,
            })
        }
        (result, _) => result,
    }
}

/// Whether the other way could end differently: TLS failed, or the server has no rule that lets
/// this user in this way. A wrong password is wrong either way.
fn worth_another(error: &Error) -> bool {
    error.kind() == ErrorKind::Tls || error.sqlstate() == Some("28000")
}

async fn attempt(
    config: &Config,
    purpose: Purpose,
    attempt: Attempt,
    tls: Option<&Tls>,
) -> Result<(Connection, u32), Error> {
    let mut stream = open(config).await?;
    let mut binding = Binding::Impossible;
    let offered = match (attempt, tls) {
        (Attempt::Plain, _) | (_, None) => None,
        (_, Some(tls)) => offers_tls(&mut stream).await?.then_some(tls),
    };
    let transport = match offered {
        Some(tls) => {
            let stream = tls.handshake(Socket::new(stream)).await?;
            if let Some(hash) = end_point(&stream) {
                binding = Binding::EndPoint(hash);
            }
            Transport::Tls(Box::new(stream))
        }
        None if attempt == Attempt::Tls => {
            return Err(Error::new(ErrorKind::Tls, "the server has no tls"));
        }
        None => Transport::Plain(Socket::new(stream)),
    };
    let mut connection = Connection::new(transport);
    startup(&mut connection, config, purpose).await?;
    authenticate(&mut connection, config, binding).await?;
    let version = ready(&mut connection).await?;
    Ok((connection, version))
}

async fn open(config: &Config) -> Result<TcpStream, Error> {
    let failed = |error| {
        let place = format!("{}:{}", config.host(), config.port());
        Error::new(ErrorKind::Connect, place).with_source(error)
    };
    let mut last = None;
    for address in lookup_host((config.host(), config.port())).await.map_err(failed)? {
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

/// Reads to the first ReadyForQuery; gives the server's version.
async fn ready(connection: &mut Connection) -> Result<u32, Error> {
    let mut version = 0;
    loop {
        let (tag, body) = connection.startup_message().await?;
        match tag {
            b'S' => {
                if let Some(text) = body.strip_prefix(b"server_version\0") {
                    version = version_number(text);
                }
            }
            b'Z' => return Ok(version),
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
