use std::sync::Arc;

use bytes::{Buf, Bytes};

use super::{
    config::{Config, invalid},
    connect::{Purpose, Session, connect},
    connection::Connection,
    copy_out::CopyOut,
    error::Error,
};

/// One connection to the server, for one command at a time.
///
/// Text comes in UTF-8, times in UTC and ISO form, floats exactly. A future of it that is dropped
/// before its end leaves the connection usable: the next command waits for the answer of the one
/// given up, and throws it away. Dropping the client closes the connection.
#[derive(Debug)]
pub struct Client {
    pub(super) connection: Connection,
    pub(super) purpose: Purpose,
    version: u32,
    /// A command was sent and its ReadyForQuery has not been seen.
    pub(super) busy: bool,
}

impl Client {
    /// Opens an ordinary session, for queries and COPY.
    ///
    /// # Errors
    ///
    /// [`Config`](super::ErrorKind::Config), [`Connect`](super::ErrorKind::Connect),
    /// [`Tls`](super::ErrorKind::Tls), [`Auth`](super::ErrorKind::Auth),
    /// [`Timeout`](super::ErrorKind::Timeout), and what the server says.
    pub async fn connect(config: &Config) -> Result<Self, Error> {
        Self::open(config, Purpose::Sql).await
    }

    /// Opens a session that also takes replication commands (`replication=database`). The user
    /// needs the REPLICATION attribute.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_replication(config: &Config) -> Result<Self, Error> {
        Self::open(config, Purpose::Replication).await
    }

    async fn open(config: &Config, purpose: Purpose) -> Result<Self, Error> {
        let Session { connection, version, .. } = connect(config, purpose).await?;
        Ok(Self { connection, purpose, version, busy: false })
    }

    /// The server's version as one number: 150018 for 15.18.
    #[must_use]
    pub const fn server_version(&self) -> u32 {
        self.version
    }

    /// Runs SQL by the simple protocol and gives the rows, as text, of the last statement that
    /// returned any.
    ///
    /// All rows are held in memory; [`copy_out`](Self::copy_out) reads tables.
    ///
    /// # Errors
    ///
    /// What the server says; `Protocol` if a value is not UTF-8; a broken connection.
    pub async fn query(&mut self, sql: &str) -> Result<Vec<Row>, Error> {
        self.send(sql).await?;
        let mut names: Arc<[String]> = Arc::default();
        let mut rows = Vec::new();
        while let Some((tag, body)) = self.answer().await? {
            match tag {
                b'T' => {
                    names = field_names(body).ok_or_else(malformed)?;
                    rows.clear();
                }
                b'D' => {
                    let values = values(body).ok_or_else(malformed)?;
                    rows.push(Row { names: Arc::clone(&names), values });
                }
                _ => {}
            }
        }
        Ok(rows)
    }

    /// Runs SQL and throws rows away.
    ///
    /// # Errors
    ///
    /// What the server says; a broken connection.
    pub async fn execute(&mut self, sql: &str) -> Result<(), Error> {
        self.send(sql).await?;
        while self.answer().await?.is_some() {}
        Ok(())
    }

    /// Starts a `COPY ... TO STDOUT`.
    ///
    /// # Errors
    ///
    /// What the server says; `Config` if it is no such command; a broken connection.
    pub async fn copy_out(&mut self, sql: &str) -> Result<CopyOut<'_>, Error> {
        self.connection.expect_bulk();
        self.send(sql).await?;
        match self.answer().await? {
            Some((b'H', _)) => Ok(CopyOut::new(self)),
            // The rest of the answer is thrown away before the next command.
            _ => Err(invalid("the command does not copy out")),
        }
    }

    /// Sends one simple query, after what an abandoned one has left.
    pub(super) async fn send(&mut self, sql: &str) -> Result<(), Error> {
        if sql.contains('\0') {
            return Err(invalid("a command holds a zero byte"));
        }
        // An abandoned command may not even be sent in full.
        self.connection.flush().await?;
        while self.busy {
            if self.connection.message().await?.0 == b'Z' {
                self.busy = false;
            }
        }
        self.busy = true;
        self.connection.put(b'Q', &[sql.as_bytes(), b"\0"])?;
        self.connection.flush().await
    }

    /// The next message of the answer to a query, none at its end.
    pub(super) async fn answer(&mut self) -> Result<Option<(u8, Bytes)>, Error> {
        match self.connection.message().await? {
            (b'Z', _) => {
                self.busy = false;
                Ok(None)
            }
            (b'E', body) => Err(self.refused(body).await),
            (b'G', _) => {
                // Nothing is ever copied in; the server turns this into an error of its own.
                self.connection.put(b'f', &[b"not supported\0"])?;
                self.connection.flush().await?;
                Ok(Some((b'G', Bytes::new())))
            }
            message => Ok(Some(message)),
        }
    }

    /// Reads to the end of a failed command. The server's error matters more than one in doing so,
    /// as when it closes the connection.
    pub(super) async fn refused(&mut self, body: Bytes) -> Error {
        let error = Error::response(body);
        while self.busy {
            match self.connection.message().await {
                Ok((b'Z', _)) => self.busy = false,
                Ok(_) => {}
                Err(_) => break,
            }
        }
        error
    }
}

fn malformed() -> Error {
    Error::protocol("malformed row, or text that is not utf-8")
}

/// One row of a query's result, as text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    names: Arc<[String]>,
    values: Vec<Option<String>>,
}

impl Row {
    /// The value of a column by its place, counted from 0; none for NULL and past the end.
    #[must_use]
    pub fn get(&self, index: usize) -> Option<&str> {
        self.values.get(index)?.as_deref()
    }

    /// The value of the first column of this name; none for NULL and for an unknown name.
    #[must_use]
    pub fn by_name(&self, name: &str) -> Option<&str> {
        self.get(self.names.iter().position(|known| known == name)?)
    }

    /// The number of columns.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there are no columns.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

/// RowDescription: of each field, its name and 18 bytes that text does not need.
fn field_names(mut body: Bytes) -> Option<Arc<[String]>> {
    let count = body.try_get_u16().ok()?;
    let mut names = Vec::new();
    for _ in 0..count {
        let end = body.iter().position(|&byte| byte == 0)?;
        names.push(String::from_utf8(body.split_to(end).to_vec()).ok()?);
        if body.len() < 19 {
            return None;
        }
        body.advance(19);
    }
    Some(names.into())
}

/// DataRow: of each value its length, -1 for NULL, and its bytes.
pub(super) fn values(mut body: Bytes) -> Option<Vec<Option<String>>> {
    let count = body.try_get_u16().ok()?;
    let mut values = Vec::new();
    for _ in 0..count {
        let length = body.try_get_i32().ok()?;
        values.push(match usize::try_from(length) {
            Ok(length) if length <= body.len() => {
                Some(String::from_utf8(body.split_to(length).to_vec()).ok()?)
            }
            Err(_) if length == -1 => None,
            _ => return None,
        });
    }
    Some(values)
}
