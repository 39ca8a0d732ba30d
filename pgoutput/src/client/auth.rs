use bytes::{Buf, Bytes};
use postgres_protocol::authentication::{
    md5_hash,
    sasl::{ChannelBinding, ScramSha256},
};

use super::{
    config::{Config, Host},
    connection::Connection,
    error::{Error, ErrorKind},
};

const SCRAM: &str = "SCRAM-SHA-256";
const SCRAM_PLUS: &str = "SCRAM-SHA-256-PLUS";

/// How the channel can be bound to the login.
#[derive(Debug)]
pub(super) enum Binding {
    /// There is no TLS, or its certificate has no hash for it.
    Impossible,
    EndPoint(Vec<u8>),
}

/// Answers the server's Authentication messages until it is content.
///
/// PostgreSQL documentation, "Message Flow", Start-up, and "SASL Authentication".
pub(super) async fn authenticate(
    connection: &mut Connection,
    config: &Config,
    host: &Host,
    binding: Binding,
) -> Result<(), Error> {
    let mut scram = None;
    let mut binding = Some(binding);
    loop {
        let (tag, mut body) = connection.startup_message().await?;
        match tag {
            b'R' => {}
            b'E' => return Err(Error::response(body)),
            b'N' | b'v' => continue,
            other => return Err(Error::unexpected(other)),
        }
        let request = body.try_get_u32().map_err(|_| malformed())?;
        match (request, &mut scram) {
            // Login is complete only once the server has proved that it knows the password, too.
            (0, None) => return Ok(()),
            (0, Some(_)) => return Err(malformed()),
            (3, None) => {
                let password = password(config, host).await?;
                connection.put(b'p', &[password.as_bytes(), b"\0"])?;
            }
            (5, None) => {
                let mut salt = [0; 4];
                body.try_copy_to_slice(&mut salt).map_err(|_| malformed())?;
                let (user, password) = (config.user(), password(config, host).await?);
                let hash = md5_hash(user.as_bytes(), password.as_bytes(), salt);
                connection.put(b'p', &[hash.as_bytes(), b"\0"])?;
            }
            (10, None) => {
                let (mechanism, binding) = choose(&body, binding.take())?;
                let exchange = ScramSha256::new(password(config, host).await?.as_bytes(), binding);
                let first = exchange.message();
                let length = u32::try_from(first.len()).map_err(|_| malformed())?.to_be_bytes();
                connection.put(b'p', &[mechanism.as_bytes(), b"\0", &length, first])?;
                scram = Some(exchange);
            }
            (11, Some(exchange)) => {
                exchange.update(&body).map_err(failed)?;
                connection.put(b'p', &[exchange.message()])?;
            }
            (12, Some(exchange)) => {
                exchange.finish(&body).map_err(failed)?;
                scram = None;
                continue;
            }
            (3 | 5 | 10 | 11 | 12, _) => return Err(malformed()),
            (other, _) => {
                return Err(Error::new(
                    ErrorKind::Auth,
                    format!("the server wants authentication method {other}, which is not known"),
                ));
            }
        }
        connection.flush().await?;
    }
}

fn choose(
    offered: &Bytes,
    binding: Option<Binding>,
) -> Result<(&'static str, ChannelBinding), Error> {
    let offers = |name: &str| offered.split(|&byte| byte == 0).any(|item| item == name.as_bytes());
    match binding {
        Some(Binding::EndPoint(hash)) if offers(SCRAM_PLUS) => {
            Ok((SCRAM_PLUS, ChannelBinding::tls_server_end_point(hash)))
        }
        // Saying that we could have bound lets the server notice if its offer was taken out.
        Some(Binding::EndPoint(_)) if offers(SCRAM) => Ok((SCRAM, ChannelBinding::unrequested())),
        _ if offers(SCRAM) => Ok((SCRAM, ChannelBinding::unsupported())),
        _ => Err(Error::new(ErrorKind::Auth, "the server offers no sasl mechanism that is known")),
    }
}

async fn password(config: &Config, host: &Host) -> Result<String, Error> {
    config.find_password(host).await?.ok_or_else(|| {
        Error::new(ErrorKind::Auth, "the server wants a password and none was given")
    })
}

fn malformed() -> Error {
    Error::protocol("malformed or misplaced authentication message")
}

fn failed(error: std::io::Error) -> Error {
    Error::new(ErrorKind::Auth, "the server's part of the login is wrong").with_source(error)
}
