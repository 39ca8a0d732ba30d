//! Signals at work: reads the chunks of an incremental snapshot on a session of its own, and sends
//! their rows when the stream has come as far as they were read.

use std::{
    collections::{HashMap, VecDeque},
    future::Future,
    time::Duration,
};

use debezium_model::{Before, Change, Snapshot, SourceBlock};
use pgoutput::{
    Column, Lsn,
    client::{Client, quote_identifier, quote_literal},
    copy::Row as CopiedRow,
};

use super::{
    Source, catalog,
    incremental::{Collection, Progress, Window},
    ledger::Ledger,
    notifications::{About, random_uuid},
    offsets::Position,
    postgres_error,
    reading::{Chunk, Reading, identity},
    signals::{self, Command, Request, Signal},
    snapshot,
    stream::{Row, Session},
    tables::Compiled,
};
use crate::{
    config::Watermarks,
    error::{Error, Part},
};

/// Transactions streamed last that are remembered: one of them may not be visible yet.
const REMEMBERED: usize = 4096;

/// How long Kafka may take to acknowledge what was sent before a signal.
const PATIENCE: Duration = Duration::from_secs(60);

/// What the signal table of a connection has asked for.
#[derive(Debug)]
pub(super) struct Adhoc {
    table: (String, String),
    watermarks: Watermarks,
    /// The signal table's id in the stream.
    relation: Option<u32>,
    client: Option<Client>,
    progress: Progress,
    reading: Option<Reading>,
    window: Option<Window>,
    /// Id of the chunk whose end has not come by.
    chunk: Option<String>,
    /// Rows to read at once: fewer than configured while they are large.
    rows: u32,
    most_rows: u32,
    pub(super) ledger: Ledger,
    recent: VecDeque<u32>,
    binary: bool,
}

/// Where the stream is.
#[derive(Debug, Clone, Copy)]
pub(super) struct At {
    pub(super) number: usize,
    pub(super) xid: u32,
    pub(super) lsn: Lsn,
    /// Where the transaction commits.
    pub(super) commit: Lsn,
}

impl Adhoc {
    /// None without a signal table.
    pub(super) fn new(source: &Source, position: Position, binary: bool) -> Option<Self> {
        let config = &source.config.signals;
        Some(Self {
            table: config.table.clone()?,
            watermarks: config.watermarks,
            relation: None,
            client: None,
            progress: position.incremental.clone().unwrap_or_default(),
            reading: None,
            window: None,
            chunk: None,
            rows: config.chunk_rows,
            most_rows: config.chunk_rows,
            ledger: Ledger::new(position),
            recent: VecDeque::new(),
            binary,
        })
    }

    /// Whether rows of this relation matter here.
    pub(super) fn concerns(&self, relation: u32) -> bool {
        self.relation == Some(relation) || self.reads(relation)
    }

    /// Whether rows of this relation may be in the window.
    fn reads(&self, relation: u32) -> bool {
        self.window.is_some()
            && self.reading.as_ref().is_some_and(|reading| reading.relations.contains(&relation))
    }

    /// A transaction comes by.
    pub(super) fn began(&mut self, xid: u32) {
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back(xid);
    }

    /// A relation is described, for the first time or after a change.
    pub(super) fn described(&mut self, schema: &str, table: &str, relation: u32) {
        if self.table.0 == schema && self.table.1 == table {
            self.relation = Some(relation);
        }
        if let Some(reading) = &mut self.reading {
            reading.places.remove(&relation);
        }
    }

    /// A table is emptied.
    pub(super) fn truncated(&mut self, relation: u32, xid: u32) {
        if self.reads(relation)
            && let Some(window) = &mut self.window
            && !window.sees(xid)
        {
            window.spoil();
        }
    }

    /// Goes on with what was running when the connection before ended.
    pub(super) async fn resume(&mut self, source: &Source) -> Result<(), Error> {
        if !self.progress.is_running() {
            return Ok(());
        }
        tracing::info!("the incremental snapshot of {} goes on", self.progress.names());
        let number = source.tracker.begin();
        let read = self.next_chunk(source, number).await;
        self.ledger.write_later(&self.progress, number);
        source.tracker.commit(number, 0);
        read
    }

    /// Looks at a row before its record is sent; gives a blocking snapshot to be taken after it.
    pub(super) async fn attend(
        &mut self,
        session: &mut Session<'_>,
        at: At,
        relation: u32,
        row: Row<'_>,
    ) -> Result<Option<Request>, Error> {
        let table = session.tables.get(relation);
        if self.reads(relation) {
            self.replace(table, at.xid, relation, row);
        }
        if self.relation != Some(relation) {
            return Ok(None);
        }
        let signal = match table.map(|table| self.signal(table, row)) {
            None | Some(Ok(None)) => return Ok(None),
            Some(Ok(Some(signal))) => signal,
            Some(Err(why)) => {
                tracing::warn!("a signal is passed over: {why}");
                return Ok(None);
            }
        };
        let handled = Some((at.commit.get(), at.lsn.get()));
        match &signal.command {
            Command::Open => return Ok(None),
            Command::Close => {
                let chunk = self.chunk.as_deref();
                if chunk.is_some_and(|chunk| signal.id.starts_with(chunk)) {
                    self.close(session, at).await?;
                }
                return Ok(None);
            }
            Command::Log(message) => {
                tracing::info!("{}", message.replacen("{}", &at.lsn.to_string(), 1));
                return Ok(None);
            }
            _ if handled <= self.ledger.signal() => {
                tracing::info!("the signal {} has been seen to before", signal.id);
                return Ok(None);
            }
            _ => {}
        }
        let source = session.source;
        tracing::info!("signal {}: {:?}", signal.id, signal.command);
        self.ledger.saw(handled);
        if let Command::Blocking(request) = signal.command {
            // Only when it is done is it seen to: until then the signal comes again.
            self.ledger.write_later(&self.progress, at.number);
            return Ok(Some(request));
        }
        // From here on all rows that were sent count as sent.
        source.publisher.flush(PATIENCE).await?;
        self.ledger.forget_pending();
        self.obey(source, at.number, signal).await?;
        Ok(None)
    }

    async fn obey(&mut self, source: &Source, number: usize, signal: Signal) -> Result<(), Error> {
        let Signal { id, command } = signal;
        match command {
            Command::Incremental(request) => {
                let collections = self.collections(source, &request).await?;
                let starts = self.progress.add(&id, collections);
                self.ledger.write(source, &self.progress, number)?;
                if starts {
                    self.tell(source, number, "STARTED").await?;
                    self.next_chunk(source, number).await?;
                    self.ledger.write_later(&self.progress, number);
                }
            }
            Command::Stop(patterns) => {
                if !self.progress.request_stop(patterns) {
                    tracing::warn!("signal {id}: there is no incremental snapshot to stop");
                }
                if self.chunk.is_none() {
                    self.leave_out(source, number).await?;
                }
                self.ledger.write(source, &self.progress, number)?;
            }
            Command::Pause if self.progress.pause() => {
                self.ledger.write(source, &self.progress, number)?;
                self.tell(source, number, "PAUSED").await?;
            }
            Command::Resume if self.progress.resume() => {
                self.ledger.write(source, &self.progress, number)?;
                self.tell(source, number, "RESUMED").await?;
                if self.chunk.is_none() {
                    self.next_chunk(source, number).await?;
                    self.ledger.write_later(&self.progress, number);
                }
            }
            _ => self.ledger.write(source, &self.progress, number)?,
        }
        Ok(())
    }

    /// The signal that a row of the signal table is; none for a row that has another meaning.
    fn signal(&self, table: &Compiled, row: Row<'_>) -> Result<Option<Signal>, String> {
        match row {
            Row::Created(after) => {
                let oids = table.columns().map(|column| column.def().type_oid());
                Signal::of_row(after, oids).map(Some)
            }
            Row::Deleted(Before::Key(before) | Before::Full(before))
                if self.watermarks == Watermarks::InsertDelete =>
            {
                let Some(Column::Text(id) | Column::Binary(id)) = before.first() else {
                    return Ok(None);
                };
                let id = String::from_utf8_lossy(id).into_owned();
                Ok(id.ends_with("-open").then_some(Signal { id, command: Command::Close }))
            }
            _ => Ok(None),
        }
    }

    /// Takes what a change replaces out of the window.
    fn replace(&mut self, table: Option<&Compiled>, xid: u32, relation: u32, row: Row<'_>) {
        let (Some(reading), Some(window)) = (&mut self.reading, &mut self.window) else { return };
        if window.sees(xid) {
            return;
        }
        let old = match row {
            Row::Truncated | Row::Created(_) => None,
            Row::Updated(Some(Before::Full(old)), _) | Row::Deleted(Before::Full(old)) => Some(old),
            // Something else than the key identifies these.
            Row::Updated(..) | Row::Deleted(_) if reading.is_blind => return window.spoil(),
            Row::Updated(Some(Before::Key(old)), _) | Row::Deleted(Before::Key(old)) => Some(old),
            Row::Updated(None, new) => Some(new),
        };
        let new = match row {
            Row::Created(new) | Row::Updated(_, new) if !reading.by_whole_row => Some(new),
            _ => None,
        };
        let places = reading.places_in(relation, table);
        for columns in [old, new].into_iter().flatten() {
            match places.and_then(|places| identity(columns, places)) {
                Some(identity) => window.remove(&identity),
                None => window.spoil(),
            }
        }
    }

    /// The end of a chunk has come by: sends what is left of its rows and reads the next.
    async fn close(&mut self, session: &mut Session<'_>, at: At) -> Result<(), Error> {
        self.chunk = None;
        if let Some(window) = self.window.take() {
            if window.is_stale() {
                tracing::debug!("a chunk is read again, as its table has changed");
                self.reading = None;
            } else {
                self.send(session, at, &window).await?;
                self.progress.last = Some(window.end);
                self.progress.scanned = window.scanned;
            }
        }
        self.next_chunk(session.source, at.number).await?;
        self.ledger.write_later(&self.progress, at.number);
        Ok(())
    }

    async fn send(&self, session: &mut Session<'_>, at: At, window: &Window) -> Result<(), Error> {
        let Some(Reading { table, .. }) = &self.reading else { return Ok(()) };
        let source = session.source;
        let mut columns = Vec::new();
        for (count, row) in window.rows() {
            source.publisher.ready().await?;
            columns.clear();
            snapshot::columns_of(CopiedRow::from_bytes(count, row), table, &mut columns)?;
            let now_ns = super::now_ns();
            let mut block =
                SourceBlock::new(&source.database, at.lsn.get(), now_ns.div_euclid(1000));
            block.processed_ns = now_ns;
            block.last_commit_lsn = session.last_commit;
            block.snapshot = Snapshot::Incremental;
            let change = Change::read(&columns);
            if table.is_outbox() {
                let sent = session.outbox.publish(source, table, &change, &block, at.number).await;
                source.tolerate(sent)?;
            } else {
                let (publisher, metrics) = (&source.publisher, &source.metrics);
                let encoder = &mut session.encoder;
                let sent = encoder.publish(table, &change, &block, at.number, publisher, metrics);
                source.tolerate(sent)?;
            }
            source.metrics.snapshot_rows.add(1);
        }
        Ok(())
    }

    /// Reads the next chunk that has rows, between two rows of the signal table.
    async fn next_chunk(&mut self, source: &Source, number: usize) -> Result<(), Error> {
        self.leave_out(source, number).await?;
        if !self.progress.is_running() || self.progress.paused {
            return Ok(());
        }
        let chunk = random_uuid();
        let opened = jiff::Timestamp::now();
        let table =
            format!("{}.{}", quote_identifier(&self.table.0), quote_identifier(&self.table.1));
        let row = |end: &str, kind: &str, data: &str| {
            let values = [format!("{chunk}-{end}"), kind.to_owned(), data.to_owned()];
            let values = values.map(|value| quote_literal(&value)).join(", ");
            format!("INSERT INTO {table} VALUES ({values})")
        };
        let opening = format!("{{\"openWindowTimestamp\": \"{opened:.9}\"");
        let open = row("open", "snapshot-window-open", &format!("{opening}}}"));
        if !self.mark(source, number, &open).await? {
            return Ok(());
        }
        while self.progress.is_running() {
            match self.read(source).await? {
                Chunk::Rows(window) => {
                    self.tell_progress(source, number, &window).await?;
                    self.window = Some(window);
                    break;
                }
                Chunk::Over(status) => self.table_is_over(source, number, status).await?,
            }
        }
        let close = match self.watermarks {
            Watermarks::InsertInsert => {
                let data = format!(
                    "{opening}, \"closeWindowTimestamp\": \"{:.9}\"}}",
                    jiff::Timestamp::now()
                );
                row("close", "snapshot-window-close", &data)
            }
            Watermarks::InsertDelete => {
                let id = quote_literal(&format!("{chunk}-open"));
                format!("DELETE FROM {table} WHERE id = {id}")
            }
        };
        if self.mark(source, number, &close).await? {
            self.chunk = Some(chunk);
        }
        if !self.progress.is_running() {
            self.client = None;
            self.reading = None;
        }
        Ok(())
    }

    /// Writes into the signal table. Where that cannot be done the snapshot ends: nothing would
    /// tell how far the stream is.
    async fn mark(&mut self, source: &Source, number: usize, sql: &str) -> Result<bool, Error> {
        let client = session_of(&mut self.client, source).await?;
        match unless_stopped(source, client.execute(sql)).await? {
            Ok(()) => Ok(true),
            Err(error) if error.sqlstate().is_some() && !error.is_retryable() => {
                tracing::error!(
                    "the incremental snapshot of {} is given up: its watermarks cannot be written \
                     into {}.{}: {error}; the user needs the right to, and id room for 42 characters",
                    self.progress.names(),
                    self.table.0,
                    self.table.1,
                );
                self.tell(source, number, "ABORTED").await?;
                self.progress = Progress::default();
                (self.window, self.reading, self.client) = (None, None, None);
                Ok(false)
            }
            Err(error) => Err(postgres_error("writing into the signal table", error)),
        }
    }

    /// Reads the next chunk of the current table.
    async fn read(&mut self, source: &Source) -> Result<Chunk, Error> {
        let client = session_of(&mut self.client, source).await?;
        let Some(collection) = self.progress.collections.front() else {
            return Ok(Chunk::Over("SKIPPED"));
        };
        if self.reading.as_ref().is_none_or(|reading| reading.collection != *collection) {
            let found = Reading::look_up(source, client, collection, self.binary);
            match unless_stopped(source, found).await?? {
                Ok(reading) => self.reading = Some(reading),
                Err(status) => return Ok(Chunk::Over(status)),
            }
        }
        let Some(reading) = &mut self.reading else { return Ok(Chunk::Over("UNKNOWN_SCHEMA")) };
        let rows = reading.next(source, client, &mut self.progress, self.rows, &self.recent);
        let chunk = unless_stopped(source, rows).await??;
        if let Chunk::Rows(window) = &chunk {
            let read = u32::try_from(window.len()).unwrap_or(u32::MAX);
            self.rows = if window.len_bytes() >= Reading::MOST_BYTES {
                read
            } else {
                self.rows.saturating_mul(2).min(self.most_rows)
            };
        }
        Ok(chunk)
    }

    async fn table_is_over(
        &mut self,
        source: &Source,
        number: usize,
        status: &str,
    ) -> Result<(), Error> {
        let scanned = self.progress.scanned.to_string();
        let (names, name) = (self.progress.names(), self.current());
        let data = [
            ("data_collections", names.as_str()),
            ("scanned_collection", &name),
            ("total_rows_scanned", &scanned),
            ("status", status),
        ];
        self.notify(source, number, "TABLE_SCAN_COMPLETED", &data).await?;
        tracing::info!("incremental snapshot: {name} is read: {status}, {scanned} rows");
        self.reading = None;
        self.rows = self.most_rows;
        self.next_table(source, number).await
    }

    async fn next_table(&mut self, source: &Source, number: usize) -> Result<(), Error> {
        if self.progress.next_collection() {
            self.notify(source, number, "COMPLETED", &[]).await?;
            self.progress.id = None;
        }
        Ok(())
    }

    /// Leaves out the tables that are to be stopped.
    async fn leave_out(&mut self, source: &Source, number: usize) -> Result<(), Error> {
        if self.progress.stop.is_empty() {
            return Ok(());
        }
        let patterns = std::mem::take(&mut self.progress.stop);
        let names: Vec<String> =
            self.captured(source).await?.iter().map(Collection::name).collect();
        let current = self.current();
        let names = signals::expand(&patterns, &names);
        let (mut stopped, stops_current) = self.progress.leave_out(&names);
        if stops_current {
            stopped.push(current);
            self.reading = None;
            self.next_table(source, number).await?;
        }
        let stopped = stopped.join(",");
        tracing::info!("incremental snapshot: {stopped} left out");
        self.notify(source, number, "ABORTED", &[("data_collections", &stopped)]).await
    }

    fn current(&self) -> String {
        self.progress.collections.front().map(Collection::name).unwrap_or_default()
    }

    /// The tables that a signal asks for.
    async fn collections(
        &mut self,
        source: &Source,
        request: &Request,
    ) -> Result<Vec<Collection>, Error> {
        let captured = self.captured(source).await?;
        let names: Vec<String> = captured.iter().map(Collection::name).collect();
        let wanted = signals::expand(&request.collections, &names);
        let collections = wanted.into_iter().map(|name| {
            let known = names.iter().position(|known| *known == name);
            let known = known.and_then(|place| captured.get(place));
            let (schema, table) = match known {
                Some(known) => (known.schema.clone(), known.table.clone()),
                None => {
                    let (schema, table) = name.split_once('.').unwrap_or(("", &name));
                    (schema.to_owned(), table.to_owned())
                }
            };
            let filter = request.filter(&name).map(str::to_owned);
            Collection { schema, table, filter, surrogate: request.surrogate.clone() }
        });
        Ok(collections.collect())
    }

    /// The tables that the source follows, in the order of Debezium's set of them.
    async fn captured(&mut self, source: &Source) -> Result<Vec<Collection>, Error> {
        let client = session_of(&mut self.client, source).await?;
        let tables = catalog::all_tables(client).await?;
        let included = tables
            .into_iter()
            .filter(|table| source.config.tables.includes(&table.schema, &table.table));
        let mut found: HashMap<String, Collection> = included
            .map(|facts| {
                let (schema, table) = (facts.schema, facts.table);
                let collection = Collection { schema, table, filter: None, surrogate: None };
                (collection.name(), collection)
            })
            .collect();
        let mut names: Vec<String> = found.keys().cloned().collect();
        names.sort_unstable();
        signals::sort_as_set(&mut names);
        Ok(names.iter().filter_map(|name| found.remove(name)).collect())
    }

    async fn tell(&self, source: &Source, number: usize, kind: &str) -> Result<(), Error> {
        let names = self.progress.names();
        self.notify(source, number, kind, &[("data_collections", &names)]).await
    }

    async fn tell_progress(
        &self,
        source: &Source,
        number: usize,
        window: &Window,
    ) -> Result<(), Error> {
        let Some(reading) = &self.reading else { return Ok(()) };
        let (names, name) = (self.progress.names(), self.current());
        let maximum = self.progress.maximum.as_ref().map(|key| reading.shown(key));
        let last = reading.shown(&window.end);
        let data = [
            ("data_collections", names.as_str()),
            ("current_collection_in_progress", &name),
            ("maximum_key", maximum.as_deref().unwrap_or("<null>")),
            ("last_processed_key", &last),
        ];
        self.notify(source, number, "IN_PROGRESS", &data).await
    }

    async fn notify(
        &self,
        source: &Source,
        number: usize,
        kind: &str,
        data: &[(&str, &str)],
    ) -> Result<(), Error> {
        source.notify(number, About::Incremental(self.progress.id.as_deref()), kind, data).await
    }
}

/// The session for chunks.
async fn session_of<'c>(
    client: &'c mut Option<Client>,
    source: &Source,
) -> Result<&'c mut Client, Error> {
    if client.is_none() {
        *client = Some(source.connect().await?);
    }
    client.as_mut().ok_or_else(|| Error::new(Part::Postgres, "no session"))
}

/// Waits for the database, but not when the source is to stop: a chunk that is not read is read by
/// the next start.
async fn unless_stopped<T>(source: &Source, work: impl Future<Output = T>) -> Result<T, Error> {
    tokio::select! {
        done = work => Ok(done),
        () = source.shutdown.requested() => {
            Err(Error::new(Part::Interrupted, "stopped during an incremental snapshot"))
        }
    }
}
