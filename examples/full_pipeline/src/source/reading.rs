//! A table while an incremental snapshot reads it: what its rows are told apart by, and its chunks.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    time::{Duration, Instant},
};

use debezium_model::ColumnDef;
use pgoutput::{
    Column,
    client::{self, Client, quote_literal},
    copy::CopyDecoder,
};

use super::{
    Source, catalog,
    incremental::{
        Collection, Key, KeyColumn, Progress, Seen, TableSql, Window, as_text, push_value,
    },
    postgres_error, snapshot,
    tables::Compiled,
};
use crate::error::{Error, Part};

/// What came of reading on.
#[derive(Debug)]
pub(super) enum Chunk {
    /// Some rows.
    Rows(Window),
    /// There are no more, for a reason that notifications give.
    Over(&'static str),
}

/// A table that is being read.
#[derive(Debug)]
pub(super) struct Reading {
    pub(super) collection: Collection,
    pub(super) table: Compiled,
    sql: TableSql,
    /// What chunks select: the table's columns, the texts of its key, and where rows are streamed
    /// as text, the texts that tell rows apart.
    columns: Vec<String>,
    /// The columns that tell rows apart: their names and places.
    identity: Vec<(String, usize)>,
    /// Whether those are all columns, for want of a key.
    pub(super) by_whole_row: bool,
    /// Whether the changes that are streamed do not say which row they are of.
    pub(super) is_blind: bool,
    /// The table, what it is a part of and its parts: changes of its rows come under any of these.
    pub(super) relations: HashSet<u32>,
    /// The places of the identity in the rows of each of them, once they are known.
    pub(super) places: HashMap<u32, Option<Vec<usize>>>,
    /// What the table looked like.
    shape: String,
    binary: bool,
}

/// What a query for a chunk gave.
enum Read {
    Rows(Window),
    /// The table has no rows.
    Empty,
    /// The table is no longer what it was.
    Changed,
}

/// Why the database did not do something.
enum Failure {
    /// It does not want to.
    Refused(client::Error),
    Other(Error),
}

impl From<client::Error> for Failure {
    fn from(error: client::Error) -> Self {
        if error.sqlstate().is_some() && !error.is_retryable() {
            return Self::Refused(error);
        }
        Self::Other(postgres_error("reading a chunk", error))
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Other(error)
    }
}

/// How long a transaction that was streamed may stay invisible before that is told.
const UNUSUAL: Duration = Duration::from_secs(10);

impl Reading {
    /// A chunk ends early when its rows take so many bytes.
    pub(super) const MOST_BYTES: usize = 8 << 20;

    /// Asks the catalog about a table. The inner error is why it cannot be read.
    pub(super) async fn look_up(
        source: &Source,
        client: &mut Client,
        collection: &Collection,
        binary: bool,
    ) -> Result<Result<Self, &'static str>, Error> {
        let (schema, name) = (&collection.schema, &collection.table);
        let found = facts(client, schema, name).await?;
        let Some(facts) = found.filter(|_| source.config.tables.includes(schema, name)) else {
            tracing::warn!("incremental snapshot: there is no table {}", collection.name());
            return Ok(Err("UNKNOWN_SCHEMA"));
        };
        let defs = source.snapshot_columns(client, &facts.table).await?;
        let table = match source.compile(schema, name, defs.clone()).await {
            Err(error) if error.part() == Part::Data => {
                tracing::error!("incremental snapshot: {}", error.report());
                return Ok(Err("UNKNOWN_SCHEMA"));
            }
            compiled => compiled?,
        };
        let primary = primary_key(&defs);
        let custom: Vec<String> = table
            .columns()
            .filter(|column| column.is_key())
            .map(|column| column.def().name().to_owned())
            .collect();
        let key = match &collection.surrogate {
            Some(surrogate) => vec![surrogate.clone()],
            None if primary.is_empty() => custom,
            None => primary.clone(),
        };
        let Some(key) = key_columns(client, facts.table.oid, &key).await? else {
            tracing::warn!(
                "incremental snapshot: {} has no primary key; name a column that orders its rows \
                 as surrogate-key",
                collection.name()
            );
            return Ok(Err("NO_PRIMARY_KEY"));
        };
        let by_whole_row = primary.is_empty();
        let streamed =
            catalog::streamed_columns(client, &source.config.publication, &facts.table).await?;
        let tells_apart = |name: &String| {
            if by_whole_row { streamed.contains(name) } else { primary.contains(name) }
        };
        let identity: Vec<(String, usize)> = defs
            .iter()
            .enumerate()
            .map(|(place, def)| (def.name().to_owned(), place))
            .filter(|(name, _)| tells_apart(name))
            .collect();
        let is_blind = match facts.identity.as_str() {
            "f" => false,
            "i" => by_whole_row || !primary.iter().all(|name| facts.index.contains(name)),
            _ => by_whole_row,
        };
        let sql = TableSql {
            schema: schema.clone(),
            table: name.clone(),
            filter: collection.filter.clone(),
            unique: collection.surrogate.is_none() && !by_whole_row,
            key,
        };
        let mut columns: Vec<String> = table.columns().map(snapshot::select).collect();
        columns.extend(sql.key_texts());
        if !binary {
            columns.extend(identity.iter().map(|(name, _)| as_text(name, by_whole_row)));
        }
        Ok(Ok(Self {
            collection: collection.clone(),
            table,
            sql,
            columns,
            identity,
            by_whole_row,
            is_blind,
            relations: facts.relations,
            places: HashMap::new(),
            shape: facts.shape,
            binary,
        }))
    }

    /// The places of the identity in streamed rows of a relation.
    pub(super) fn places_in(
        &mut self,
        relation: u32,
        table: Option<&Compiled>,
    ) -> Option<&Vec<usize>> {
        let identity = &self.identity;
        let places = self.places.entry(relation).or_insert_with(|| {
            let names: Vec<&str> = table?.columns().map(|column| column.def().name()).collect();
            let place = |name: &String| names.iter().position(|known| known == name);
            identity.iter().map(|(name, _)| place(name)).collect()
        });
        places.as_ref()
    }

    /// A key as a notification shows it.
    pub(super) fn shown(&self, key: &Key) -> String {
        let is_boolean =
            |place: usize| self.sql.key.get(place).is_some_and(|key| key.cast == "boolean");
        shown(key, is_boolean)
    }

    /// Reads the next rows.
    pub(super) async fn next(
        &mut self,
        source: &Source,
        client: &mut Client,
        progress: &mut Progress,
        rows: u32,
        recent: &VecDeque<u32>,
    ) -> Result<Chunk, Error> {
        loop {
            match self.chunk(client, progress, rows, recent).await {
                Ok(Read::Rows(window)) if window.len() == 0 => return Ok(Chunk::Over("SUCCEEDED")),
                Ok(Read::Rows(window)) => return Ok(Chunk::Rows(window)),
                Ok(Read::Empty) => return Ok(Chunk::Over("EMPTY")),
                Ok(Read::Changed) => {
                    let found =
                        Self::look_up(source, client, &self.collection, self.binary).await?;
                    match found {
                        Ok(again) => *self = again,
                        Err(status) => return Ok(Chunk::Over(status)),
                    }
                }
                Err(Failure::Refused(error)) => {
                    tracing::error!(
                        "incremental snapshot: {} cannot be read: {error}",
                        self.collection.name()
                    );
                    client.execute("ROLLBACK").await.map_err(|error| {
                        postgres_error("ending a chunk", error).with_retryable(true)
                    })?;
                    return Ok(Chunk::Over("SQL_EXCEPTION"));
                }
                Err(Failure::Other(error)) => return Err(error),
            }
        }
    }

    /// Reads a chunk.
    async fn chunk(
        &self,
        client: &mut Client,
        progress: &mut Progress,
        rows: u32,
        recent: &VecDeque<u32>,
    ) -> Result<Read, Failure> {
        let Some(seen) = self.begin(client, recent).await? else {
            client.execute("ROLLBACK").await?;
            return Ok(Read::Changed);
        };
        if progress.maximum.is_none() {
            let found = client.query(&self.sql.maximum()).await?;
            progress.maximum = found
                .first()
                .map(|row| (0..row.len()).map(|place| row.get(place).map(str::to_owned)).collect());
        }
        let Some(maximum) = &progress.maximum else {
            client.execute("ROLLBACK").await?;
            return Ok(Read::Empty);
        };
        let select = self.sql.chunk(&self.columns, progress.last.as_ref(), maximum, rows);
        let mut window = Window::new(seen);
        let mut copy =
            client.copy_out(&format!("COPY ({select}) TO STDOUT (FORMAT binary)")).await?;
        let mut decoder = CopyDecoder::new();
        while let Some(batch) = copy.next().await? {
            for frame in batch.frames() {
                for row in decoder.decode(frame).map_err(odd_row)? {
                    let row = row.map_err(odd_row)?;
                    // Where keys repeat, a chunk cannot end at any row.
                    if self.sql.unique && window.len_bytes() >= Self::MOST_BYTES {
                        continue;
                    }
                    let columns: Vec<Column<'_>> =
                        row.columns().collect::<Result<_, _>>().map_err(odd_row)?;
                    let count = u16::try_from(columns.len()).unwrap_or(u16::MAX);
                    window.end = self.key(&columns);
                    window.push(self.identity(&columns), count, row.as_bytes());
                }
            }
        }
        client.execute("COMMIT").await?;
        window.scanned = progress.scanned + window.len() as u64;
        Ok(Read::Rows(window))
    }

    /// Begins a transaction that sees what every transaction streamed so far has done; none when
    /// the table has changed its shape.
    async fn begin(
        &self,
        client: &mut Client,
        recent: &VecDeque<u32>,
    ) -> Result<Option<Seen>, Failure> {
        let mut began = Instant::now();
        loop {
            client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await?;
            let shape = shape(&self.collection.schema, &self.collection.table);
            let sql = format!("SELECT pg_current_snapshot() AS seen, ({shape}) AS shape");
            let rows = client.query(&sql).await?;
            let row = rows.first();
            let seen = row.and_then(|row| Seen::parse(row.by_name("seen")?));
            let seen = seen.ok_or_else(|| {
                Error::new(Part::Postgres, "the server does not say what a query sees")
            })?;
            // A commit is streamed a moment before others see what it has done; longer where it
            // waits for a synchronous standby.
            if seen.running().iter().any(|xid| recent.contains(xid)) {
                client.execute("ROLLBACK").await?;
                if began.elapsed() > UNUSUAL {
                    tracing::warn!("a chunk waits for a commit that is streamed, but not visible");
                    began = Instant::now();
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
                continue;
            }
            let same = row.and_then(|row| row.by_name("shape")) == Some(self.shape.as_str());
            return Ok(same.then_some(seen));
        }
    }

    /// The text of the key, which stands behind the table's columns.
    fn key(&self, columns: &[Column<'_>]) -> Key {
        let texts = columns.iter().skip(self.sql_columns()).take(self.sql.key.len());
        texts
            .map(|column| match column {
                Column::Binary(text) | Column::Text(text) => {
                    Some(String::from_utf8_lossy(text).into_owned())
                }
                _ => None,
            })
            .collect()
    }

    /// What tells a row apart, in the form in which rows are streamed.
    fn identity(&self, columns: &[Column<'_>]) -> Vec<u8> {
        let mut identity = Vec::new();
        let texts = self.sql_columns() + self.sql.key.len();
        for (index, (_, place)) in self.identity.iter().enumerate() {
            let place = if self.binary { *place } else { texts + index };
            match columns.get(place) {
                Some(Column::Binary(value) | Column::Text(value)) => {
                    push_value(&mut identity, Some(value));
                }
                _ => push_value(&mut identity, None),
            }
        }
        identity
    }

    fn sql_columns(&self) -> usize {
        self.table.columns().count()
    }
}

/// What tells a streamed row apart; none when a value of it was not sent.
pub(super) fn identity(columns: &[Column<'_>], places: &[usize]) -> Option<Vec<u8>> {
    let mut identity = Vec::new();
    for place in places {
        match columns.get(*place)? {
            Column::Null => push_value(&mut identity, None),
            Column::Text(value) | Column::Binary(value) => push_value(&mut identity, Some(value)),
            _ => return None,
        }
    }
    Some(identity)
}

/// The key of a table's row as a notification shows it.
fn shown<'k>(key: &'k Key, is_boolean: impl Fn(usize) -> bool) -> String {
    let shown = |(place, value): (usize, &'k Option<String>)| match value.as_deref() {
        None => "<null>",
        Some("t") if is_boolean(place) => "true",
        Some("f") if is_boolean(place) => "false",
        Some(text) => text,
    };
    key.iter().enumerate().map(shown).collect::<Vec<_>>().join(",")
}

fn odd_row(error: pgoutput::Error) -> Error {
    Error::new(Part::Postgres, "reading a chunk: the rows cannot be decoded").with_cause(error)
}

/// Names of the primary key's columns in the order of the key.
fn primary_key(defs: &[ColumnDef]) -> Vec<String> {
    let mut key: Vec<(usize, &str)> =
        defs.iter().filter_map(|def| Some((def.key_position()?, def.name()))).collect();
    key.sort_unstable();
    key.into_iter().map(|(_, name)| name.to_owned()).collect()
}

/// Columns of a key by name, in that order; none when there are none, or one is missing.
async fn key_columns(
    client: &mut Client,
    relation: u32,
    names: &[String],
) -> Result<Option<Vec<KeyColumn>>, Error> {
    // Without a type modifier, since one would cut values; and not by the name that SQL has for
    // the type then, which may stand for one character.
    let sql = format!(
        "SELECT attname, format_type(atttypid, -1) AS type, attnotnull FROM pg_attribute \
         WHERE attrelid = {relation} AND attnum > 0 AND NOT attisdropped"
    );
    let rows = catalog::query(client, "asking for the key", &sql).await?;
    let mut key = Vec::new();
    for name in names {
        let Some(row) = rows.iter().find(|row| row.by_name("attname") == Some(name)) else {
            return Ok(None);
        };
        key.push(KeyColumn {
            name: name.clone(),
            cast: catalog::text(row, "type")?,
            nullable: row.by_name("attnotnull") != Some("t"),
        });
    }
    Ok(Some(key).filter(|key| !key.is_empty()))
}

/// What the catalog says of a table.
struct Facts {
    table: catalog::TableFacts,
    /// Its replica identity, and the columns of the index that it may be.
    identity: String,
    index: Vec<String>,
    relations: HashSet<u32>,
    shape: String,
}

/// SQL for a text that changes with the table.
fn shape(schema: &str, table: &str) -> String {
    format!(
        "SELECT string_agg(format('%s %I %s %s %s', c.oid, a.attname, a.atttypid, a.atttypmod, \
           a.attnotnull), ',' ORDER BY a.attnum) \
         FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
         JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped \
         WHERE n.nspname = {} AND c.relname = {}",
        quote_literal(schema),
        quote_literal(table)
    )
}

async fn facts(client: &mut Client, schema: &str, table: &str) -> Result<Option<Facts>, Error> {
    let sql = format!(
        "WITH RECURSIVE it AS (SELECT c.oid, c.relreplident FROM pg_class c \
           JOIN pg_namespace n ON n.oid = c.relnamespace \
           WHERE n.nspname = {} AND c.relname = {} AND c.relkind IN ('r', 'p')), \
         parts(oid) AS (SELECT oid FROM it UNION \
           SELECT i.inhrelid FROM pg_inherits i JOIN parts ON i.inhparent = parts.oid), \
         wholes(oid) AS (SELECT oid FROM it UNION \
           SELECT i.inhparent FROM pg_inherits i JOIN wholes ON i.inhrelid = wholes.oid) \
         SELECT it.oid, it.relreplident, \
           (SELECT string_agg(oid::text, ',') FROM (TABLE parts UNION TABLE wholes) AS all_of_it) \
             AS relations, \
           (SELECT string_agg(a.attname, E'\\x01') FROM pg_index x JOIN pg_attribute a \
              ON a.attrelid = x.indrelid AND a.attnum = ANY (x.indkey) \
              WHERE x.indrelid = it.oid AND x.indisreplident) AS index, \
           ({}) AS shape FROM it",
        quote_literal(schema),
        quote_literal(table),
        shape(schema, table)
    );
    let rows = catalog::query(client, "asking for the table", &sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let relations = row.by_name("relations").unwrap_or_default().split(',');
    let index = row.by_name("index").unwrap_or_default().split('\u{1}');
    Ok(Some(Facts {
        table: catalog::TableFacts {
            schema: schema.to_owned(),
            table: table.to_owned(),
            oid: catalog::number(row, "oid")?,
            lacks_identity: false,
        },
        identity: catalog::text(row, "relreplident")?,
        index: index.map(str::to_owned).collect(),
        relations: relations.filter_map(|oid| oid.parse().ok()).collect(),
        shape: row.by_name("shape").unwrap_or_default().to_owned(),
    }))
}
