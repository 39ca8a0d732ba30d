use std::sync::Arc;

/// What went wrong, and where: the option, the table or the column it happened at.
///
/// One pointer wide; the details live on the heap because errors are rare and rows are not.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{}", self.inner.message())]
pub struct Error {
    inner: Box<Inner>,
}

#[derive(Clone, Debug)]
struct Inner {
    kind: ErrorKind,
    option: Option<String>,
    table: Option<String>,
    column: Option<String>,
    json: Option<Arc<serde_json::Error>>,
}

/// The reason of an [`Error`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The value of an option is not one Debezium knows.
    #[error("value not understood")]
    InvalidOption,
    /// The option is known, but this version cannot do what it asks for.
    #[error("not supported yet")]
    UnsupportedOption,
    /// The description of a table contradicts itself: positions in the primary key that repeat
    /// or leave a gap, or two fields that end up with the same name.
    #[error("inconsistent table description")]
    InvalidTable,
    /// Avro does not allow the name of a column as that of a field.
    #[error("not a name for Avro; set field.name.adjustment.mode to avro or avro_unicode")]
    InvalidName,
    /// The text form of a column value is not one PostgreSQL prints for its type.
    #[error("malformed text value")]
    MalformedText,
    /// The binary form of a column value is not one PostgreSQL sends for its type.
    #[error("malformed binary value")]
    MalformedBinary,
    /// A string value is not UTF-8; the session must use `client_encoding` UTF8.
    #[error("text is not UTF-8")]
    InvalidUtf8,
    /// The value has no representation in the mapped type.
    #[error("value out of range")]
    OutOfRange,
    /// The type has no exact reading of its binary form; ask the server for text.
    #[error("binary form of this type is not supported")]
    UnsupportedBinary,
    /// A row has another number of columns than its table.
    #[error("row has {found} columns, the table {expected}")]
    ColumnCount {
        /// Columns of the table.
        expected: usize,
        /// Columns of the row.
        found: usize,
    },
    /// The server did not send the value because it did not change, and nothing can stand for it.
    #[error(
        "value was not sent, and nothing can stand for it; read the row again, or set REPLICA IDENTITY FULL"
    )]
    Unavailable,
    /// The value is null, in a column that is not.
    #[error("null in a column that is not null")]
    UnexpectedNull,
    /// The old row does not have a column of the key.
    #[error("the replica identity lacks a column of the key")]
    IncompleteIdentity,
    /// A mask would give all rows the same key.
    #[error("a column of the key can be hashed, if it is text, but not masked")]
    MaskedKey,
    /// The operation needs a row that the change does not carry.
    #[error("change without the row its operation needs")]
    MissingRow,
    /// The table has a key, but no id of a registered key schema was given.
    #[error("no schema id for the key")]
    MissingKeyId,
    /// A stream of events was asked for an event of another one.
    #[error("not an event of this stream")]
    WrongStream,
    /// A datum was not written with the schema it is read with.
    #[error("datum does not fit its schema")]
    MalformedDatum,
    /// A JSON message does not have the expected shape.
    #[error("malformed JSON message")]
    MalformedJson,
}

impl Inner {
    fn message(&self) -> String {
        let mut text = String::new();
        if let Some(option) = &self.option {
            text.push_str("option ");
            text.push_str(option);
            text.push_str(": ");
        }
        if let Some(table) = &self.table {
            text.push_str("table ");
            text.push_str(table);
            if let Some(column) = &self.column {
                text.push_str(", column ");
                text.push_str(column);
            }
            text.push_str(": ");
        }
        text.push_str(&self.kind.to_string());
        text
    }
}

impl Error {
    #[cold]
    fn build(kind: ErrorKind) -> Self {
        Self {
            inner: Box::new(Inner { kind, option: None, table: None, column: None, json: None }),
        }
    }

    /// An error about a value that is all there is.
    pub(crate) fn value(kind: ErrorKind) -> Self {
        Self::build(kind)
    }

    pub(crate) fn option(kind: ErrorKind, key: &str) -> Self {
        let mut error = Self::build(kind);
        error.inner.option = Some(key.to_owned());
        error
    }

    pub(crate) fn table(kind: ErrorKind, table: &str) -> Self {
        let mut error = Self::build(kind);
        error.inner.table = Some(table.to_owned());
        error
    }

    pub(crate) fn column(kind: ErrorKind, table: &str, column: &str) -> Self {
        let mut error = Self::table(kind, table);
        error.inner.column = Some(column.to_owned());
        error
    }

    pub(crate) fn json(cause: serde_json::Error) -> Self {
        let mut error = Self::build(ErrorKind::MalformedJson);
        error.inner.json = Some(Arc::new(cause));
        error
    }

    /// The reason.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.inner.kind
    }

    /// The configuration key at fault, as it was given.
    #[must_use]
    pub fn option_key(&self) -> Option<&str> {
        self.inner.option.as_deref()
    }

    /// The table at fault, as `schema.table`.
    #[must_use]
    pub fn table_name(&self) -> Option<&str> {
        self.inner.table.as_deref()
    }

    /// The column at fault, as PostgreSQL names it.
    #[must_use]
    pub fn column_name(&self) -> Option<&str> {
        self.inner.column.as_deref()
    }

    /// The parser's complaint about a JSON message.
    #[must_use]
    pub fn json_error(&self) -> Option<&serde_json::Error> {
        self.inner.json.as_deref()
    }
}
