//! The stream: batches of frames in, records out, positions back.

use std::{collections::HashSet, future, sync::atomic::Ordering, time::Duration};

use debezium_model::{Before, Change, MappedColumn, Op, SourceBlock, ToastPolicy};
use pgoutput::{
    Column, Decoder, Logical, Lsn, Message, OldTuple, ProtocolVersion, Tuple,
    client::{Acknowledger, Batch, Client, StreamOptions},
    replication::Frame,
};

use super::{
    Source,
    adhoc::{Adhoc, At},
    catalog,
    events::{self, Collection, Events, Progress},
    offsets::Position,
    outbox::Outbox,
    postgres_error,
    reselect::{self, Reselected},
    signals::Request,
    snapshot::Moment,
    tables::{self, Encoder, Tables},
};
use crate::error::{Error, Part};

/// How often the position is looked at when nothing else happens.
const TICK: Duration = Duration::from_millis(200);

/// The transaction whose changes are arriving.
#[derive(Debug, Clone, Copy)]
struct Open {
    number: usize,
    xid: u32,
    commit_us: i64,
    /// Where it commits.
    commit: Lsn,
}

/// Everything that belongs to one connection.
pub(super) struct Session<'s> {
    pub(super) source: &'s Source,
    catalog: Client,
    decoder: Decoder,
    pub(super) tables: Tables,
    /// Tables that cannot be mapped, where that is tolerated.
    unmapped: HashSet<u32>,
    pub(super) encoder: Encoder,
    binary: bool,
    open: Option<Open>,
    /// What the open transaction has had, when its metadata is wanted.
    progress: Option<Progress>,
    events: Events,
    pub(super) outbox: Outbox,
    /// What the signal table asks for, when there is one.
    adhoc: Option<Adhoc>,
    /// When the transaction seen last was committed.
    commit_us: Option<i64>,
    pub(super) last_commit: Option<u64>,
    acknowledger: Acknowledger,
}

impl Source {
    /// Streams until shutdown or until the connection fails.
    pub(super) async fn stream(&self, start: Lsn, position: Position) -> Result<(), Error> {
        let mut catalog = self.connect().await?;
        let client = Client::connect_replication(&self.config.postgres)
            .await
            .map_err(|error| postgres_error("opening the replication connection", error))?;
        // Rows are read again by keys in text form; a type that has only a text reading needs it too.
        let binary = client.server_version() >= 140_000
            && self.config.mapping.toast() != ToastPolicy::Reselect
            && !self.text_only.load(Ordering::Relaxed)
            && self.reads_binary(&mut catalog).await?;
        let options = StreamOptions::new(&self.config.slot, [&self.config.publication])
            .with_start(start)
            .with_binary(binary)
            .with_messages(client.server_version() >= 140_000)
            .with_queue_bytes(4 << 20);
        let mut stream = client
            .start_replication(options)
            .await
            .map_err(|error| postgres_error("starting replication", error))?;
        // Fails here rather than at the first change when the slot's tables can't be read.
        catalog::check_server(&mut catalog, &self.config.publication).await?;
        tracing::info!(slot = %self.config.slot, %start, binary, "streaming");
        let mut session = Session {
            source: self,
            catalog,
            decoder: Decoder::new(ProtocolVersion::V1),
            tables: Tables::default(),
            unmapped: HashSet::new(),
            encoder: Encoder::default(),
            binary,
            open: None,
            progress: None,
            events: Events::new(&self.config.topic_prefix, &self.config.mapping),
            outbox: Outbox::default(),
            adhoc: Adhoc::new(self, position, binary),
            commit_us: None,
            last_commit: Some(self.last_commit.load(Ordering::Relaxed))
                .filter(|commit| (1..=start.get()).contains(commit)),
            acknowledger: stream.acknowledger(),
        };
        if let Some(adhoc) = &mut session.adhoc {
            adhoc.resume(self).await?;
        }
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        let mut heartbeats = self.config.heartbeat.map(|every| {
            let mut beats = tokio::time::interval_at(tokio::time::Instant::now() + every, every);
            beats.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            beats
        });
        let outcome = loop {
            tokio::select! {
                () = self.shutdown.requested() => break Ok(()),
                _ = tick.tick() => {
                    if let Err(error) = session.acknowledge().and_then(|()| self.publisher.check()) {
                        break Err(error);
                    }
                }
                () = beat(&mut heartbeats) => {
                    if let Err(error) = session.heartbeat().await {
                        break Err(error);
                    }
                }
                batch = stream.next() => match batch {
                    Ok(Some(batch)) => {
                        let done = session.batch(&batch).await;
                        if let Err(error) = done.and_then(|()| session.acknowledge()) {
                            break Err(error);
                        }
                    }
                    Ok(None) => {
                        break Err(Error::new(Part::Postgres, "the server ended the stream")
                            .with_retryable(true));
                    }
                    Err(error) => break Err(postgres_error("streaming", error)),
                },
            }
        };
        if let Some(open) = session.open.take() {
            // Its commit has not been seen: the server sends all of it again.
            self.tracker.abandon(open.number);
        }
        if binary && self.text_only.load(Ordering::Relaxed) {
            // Goes on at once where it stopped, so nothing has to come twice.
            self.publisher.flush(Duration::from_secs(30)).await?;
        }
        if outcome.is_ok() {
            self.publisher.flush(Duration::from_secs(30)).await?;
            session.acknowledge()?;
            // Of an incremental snapshot something may have been written down just now.
            self.publisher.flush(Duration::from_secs(30)).await?;
            stream.stop().await.map_err(|error| postgres_error("ending the stream", error))?;
        }
        outcome
    }

    /// Whether every type of the tables that are followed has a binary reading. To find out at the
    /// first row instead would mean another connection, and the rows before it once more.
    async fn reads_binary(&self, catalog: &mut Client) -> Result<bool, Error> {
        let config = &self.config;
        let published = catalog::published_tables(catalog, &config.publication).await?;
        let followed: Vec<u32> = published
            .iter()
            .filter(|table| config.tables.includes(&table.schema, &table.table))
            .map(|table| table.oid)
            .collect();
        for relation in catalog::tables_of_all_types(catalog, &followed).await? {
            let columns = catalog::columns(catalog, relation, config.mapping.fidelity()).await?;
            if !tables::read_binary(config, columns) {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

impl Session<'_> {
    fn acknowledge(&mut self) -> Result<(), Error> {
        if let Some(adhoc) = &mut self.adhoc {
            adhoc.ledger.write_settled(self.source, self.open.map(|open| open.number))?;
        }
        let confirmed = self.source.tracker.confirmed();
        if confirmed > 0 {
            self.acknowledger.acknowledge(Lsn::new(confirmed));
            self.source.metrics.confirmed_lsn.set(confirmed);
        }
        self.source.count_messages();
        Ok(())
    }

    async fn batch(&mut self, batch: &Batch) -> Result<(), Error> {
        // Room for a row's columns, used again for every row of the batch.
        let mut new = Vec::new();
        let mut old = Vec::new();
        for frame in batch.frames() {
            match Frame::decode(frame).map_err(|error| decoding("a frame", error))? {
                Frame::Keepalive { end, .. }
                    // Nothing is in flight, so all before this point is either in Kafka or not for
                    // us: the slot may move on and the server may drop its WAL.
                    if self.open.is_none() && self.source.tracker.is_idle() => {
                        let nothing = self.source.tracker.begin();
                        self.source.tracker.commit(nothing, end.get());
                    }
                Frame::XLogData { start, data, .. } => {
                    let message =
                        self.decoder.decode(data).map_err(|error| decoding("a message", error))?;
                    self.message(message, start, &mut new, &mut old).await?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    async fn message<'b>(
        &mut self,
        message: Message<'b>,
        lsn: Lsn,
        new: &mut Vec<Column<'b>>,
        old: &mut Vec<Column<'b>>,
    ) -> Result<(), Error> {
        match message {
            Message::Begin(begin) => {
                self.source.publisher.ready().await?;
                let open = Open {
                    number: self.source.tracker.begin(),
                    xid: begin.xid.get(),
                    commit_us: begin.commit_time.unix_micros(),
                    commit: begin.final_lsn,
                };
                if let Some(adhoc) = &mut self.adhoc {
                    adhoc.began(open.xid);
                }
                self.open = Some(open);
                self.commit_us = Some(open.commit_us);
                if self.source.config.transaction_metadata {
                    self.progress = Some(Progress::default());
                    self.bound(open, lsn, false).await?;
                }
            }
            Message::Commit(commit) => {
                if let Some(open) = self.open {
                    self.bound(open, lsn, true).await?;
                    self.open = None;
                    self.source.tracker.commit(open.number, commit.end_lsn.get());
                }
                self.last_commit = Some(commit.end_lsn.get());
                self.source.last_commit.store(commit.end_lsn.get(), Ordering::Relaxed);
            }
            Message::Relation(relation) => self.relation(&relation).await?,
            Message::Insert(insert) => {
                collect(insert.new, new)?;
                self.change(insert.relation.get(), lsn, Row::Created(new)).await?;
            }
            Message::Update(update) => {
                collect(update.new, new)?;
                let before = match update.old {
                    Some(tuple) => Some(collect_old(tuple, old)?),
                    None => None,
                };
                self.change(update.relation.get(), lsn, Row::Updated(before, new)).await?;
            }
            Message::Delete(delete) => {
                let before = collect_old(delete.old, old)?;
                self.change(delete.relation.get(), lsn, Row::Deleted(before)).await?;
            }
            Message::Truncate(truncate) => {
                let skipped = self.source.config.mapping.skips(Op::Truncate);
                for relation in truncate.relations.iter() {
                    if let (Some(adhoc), Some(open)) = (&mut self.adhoc, self.open) {
                        adhoc.truncated(relation.get(), open.xid);
                    }
                    if !skipped {
                        self.change(relation.get(), lsn, Row::Truncated).await?;
                    }
                }
            }
            Message::Logical(message) => self.logical(&message).await?,
            // Types are read from the catalog; origins make no records.
            _ => {}
        }
        Ok(())
    }

    /// Sends the bound of a transaction, when that is wanted.
    async fn bound(&mut self, open: Open, lsn: Lsn, ends: bool) -> Result<(), Error> {
        let Some(progress) = &self.progress else { return Ok(()) };
        let (at, end_of) = ((open.xid, lsn), ends.then_some(progress));
        self.events.bound(self.source, open.number, at, open.commit_us, end_of).await?;
        if ends {
            self.progress = None;
        }
        Ok(())
    }

    async fn logical(&mut self, message: &Logical<'_>) -> Result<(), Error> {
        let config = &self.source.config;
        let open = self.open.filter(|_| message.is_transactional());
        if open.is_none() {
            // No commit will follow: it is its own.
            self.last_commit = Some(message.lsn.get());
        }
        if !config.messages.includes(message.prefix) {
            return Ok(());
        }
        self.source.publisher.ready().await?;
        let processed_ns = super::now_ns();
        let commit_us = self.commit_us.unwrap_or_else(|| processed_ns.div_euclid(1000));
        let mut block = SourceBlock::new(&self.source.database, message.lsn.get(), commit_us);
        block.processed_ns = processed_ns;
        block.last_commit_lsn = self.last_commit;
        if let Some(open) = open {
            block.tx_id = Some(open.xid);
            if let Some(progress) = &mut self.progress {
                let at = (open.xid, message.lsn);
                let place = progress.next(Collection::Messages, &config.mapping, at);
                block.transaction = Some(place);
            }
            self.events.message(self.source, open.number, message, &block).await?;
            if let Some(progress) = &mut self.progress {
                progress.count(Collection::Messages, 1, || {
                    events::messages_name(&config.mapping, self.source.address)
                });
            }
            return Ok(());
        }
        match self.open {
            Some(open) => self.events.message(self.source, open.number, message, &block).await,
            None => {
                let number = self.source.tracker.begin();
                let sent = self.events.message(self.source, number, message, &block).await;
                // The server may forget what is before it, not the message itself.
                self.source.tracker.commit(number, message.lsn.get());
                sent
            }
        }
    }

    /// Runs the query of the heartbeat, whose rows keep the slot moving, and sends the record.
    async fn heartbeat(&mut self) -> Result<(), Error> {
        if let Some(sql) = &self.source.config.heartbeat_action
            && let Err(error) = self.catalog.execute(sql).await
        {
            if error.sqlstate().is_none() {
                return Err(postgres_error("running heartbeat.action.query", error));
            }
            tracing::warn!("heartbeat.action.query: {error}");
        }
        match self.open {
            Some(open) => self.events.heartbeat(self.source, open.number).await,
            None => {
                let number = self.source.tracker.begin();
                let sent = self.events.heartbeat(self.source, number).await;
                self.source.tracker.commit(number, 0);
                sent
            }
        }
    }

    /// The server describes a relation once, and again after any change of it: also one that the
    /// message does not show, such as a dropped default or another primary key.
    async fn relation(&mut self, relation: &pgoutput::Relation<'_>) -> Result<(), Error> {
        let id = relation.id.get();
        let follows = self.source.config.tables.includes(relation.namespace, relation.name);
        let table = if follows {
            let fidelity = self.source.config.mapping.fidelity();
            let known = catalog::columns(&mut self.catalog, id, fidelity).await?;
            let columns = tables::merge(relation, known)?;
            let (schema, name) = (relation.namespace, relation.name);
            let table = self.source.compile_tolerantly(schema, name, columns).await?;
            if let Some(table) = &table
                && self.binary
                && !table.columns().all(MappedColumn::reads_binary)
            {
                self.source.text_only.store(true, Ordering::Relaxed);
                return Err(Error::new(
                    Part::Postgres,
                    format!("{} has a column that is read in text form", table.topic),
                )
                .with_retryable(true));
            }
            table
        } else {
            None
        };
        if follows && table.is_none() {
            self.unmapped.insert(id);
        } else {
            self.unmapped.remove(&id);
        }
        self.tables.put(id, table);
        if let Some(adhoc) = &mut self.adhoc {
            adhoc.described(relation.namespace, relation.name, id);
        }
        Ok(())
    }

    /// Sees to a signal, and to a row that an incremental snapshot may have read; gives a blocking
    /// snapshot that is to be taken after the row's record.
    async fn attend(
        &mut self,
        relation: u32,
        lsn: Lsn,
        row: Row<'_>,
    ) -> Result<Option<Request>, Error> {
        let (Some(mut adhoc), Some(open)) = (self.adhoc.take(), self.open) else { return Ok(None) };
        let at = At { number: open.number, xid: open.xid, lsn, commit: open.commit };
        let attended = adhoc.attend(self, at, relation, row).await;
        self.adhoc = Some(adhoc);
        attended
    }

    async fn change(&mut self, relation: u32, lsn: Lsn, row: Row<'_>) -> Result<(), Error> {
        self.source.publisher.ready().await?;
        let request = match &self.adhoc {
            Some(adhoc) if adhoc.concerns(relation) => self.attend(relation, lsn, row).await?,
            _ => None,
        };
        let Some(table) = self.tables.get(relation) else {
            if self.unmapped.contains(&relation) {
                self.source.metrics.source_bad.add(1);
            }
            return Ok(());
        };
        let Some(open) = self.open else {
            return Err(Error::new(Part::Postgres, "the server sent a row outside a transaction"));
        };
        let metrics = &self.source.metrics;
        metrics.changes.add(1);
        let reread: Reselected;
        let mut room = Vec::new();
        let mut change = match row {
            Row::Truncated => Change::truncate(),
            Row::Created(after) => Change::insert(after),
            Row::Deleted(before) => Change::delete(before),
            Row::Updated(before, after) => {
                metrics.unchanged_toast.add(missing(after));
                Change::update(before, after)
            }
        };
        if table.mapping().toast() == ToastPolicy::Reselect && change.missing().next().is_some() {
            metrics.reselected.add(1);
            let read = reselect::row(&mut self.catalog, table, &change).await;
            let Some(read) = self.source.tolerate(read.map(Some))? else { return Ok(()) };
            reread = read;
            change = change.filled(|place| reread.column(place), &mut room);
        }
        let mut source = SourceBlock::new(&self.source.database, lsn.get(), open.commit_us);
        source.tx_id = Some(open.xid);
        source.last_commit_lsn = self.last_commit;
        source.processed_ns = super::now_ns();
        let collection = Collection::Relation(relation);
        if let Some(progress) = &mut self.progress {
            let mapping = &self.source.config.mapping;
            source.transaction = Some(progress.next(collection, mapping, (open.xid, lsn)));
        }
        let events = if table.is_outbox() {
            let sent = self.outbox.publish(self.source, table, &change, &source, open.number).await;
            sent.map(|()| i64::from(!table.skips(change.op)))
        } else {
            let publisher = &self.source.publisher;
            self.encoder.publish(table, &change, &source, open.number, publisher, metrics)
        };
        let events = self.source.tolerate(events)?;
        if let Some(progress) = &mut self.progress {
            progress.count(collection, events, || table.full_name());
        }
        if let Some(request) = request {
            let (last_commit, tx_id) = (self.last_commit, Some(open.xid));
            let moment = Moment { lsn, ts_us: open.commit_us, tx_id, last_commit };
            self.source.blocking_snapshot(&request, moment, open.number).await?;
        }
        Ok(())
    }
}

/// Waits for the next heartbeat; for ever without any.
async fn beat(heartbeats: &mut Option<tokio::time::Interval>) {
    match heartbeats {
        Some(heartbeats) => {
            heartbeats.tick().await;
        }
        None => future::pending().await,
    }
}

/// One row's change with its columns collected.
#[derive(Clone, Copy)]
pub(super) enum Row<'v> {
    Created(&'v [Column<'v>]),
    Updated(Option<Before<'v>>, &'v [Column<'v>]),
    Deleted(Before<'v>),
    Truncated,
}

fn missing(columns: &[Column<'_>]) -> u64 {
    columns.iter().filter(|column| **column == Column::Unchanged).count() as u64
}

/// Columns of a tuple, in table order, into room that is used again.
fn collect<'b>(tuple: Tuple<'b>, columns: &mut Vec<Column<'b>>) -> Result<(), Error> {
    columns.clear();
    for column in tuple.columns() {
        columns.push(column.map_err(|error| decoding("a row", error))?);
    }
    Ok(())
}

fn collect_old<'b, 'v>(
    tuple: OldTuple<'b>,
    columns: &'v mut Vec<Column<'b>>,
) -> Result<Before<'v>, Error> {
    match tuple {
        OldTuple::Key(tuple) => collect(tuple, columns).map(|()| Before::Key(columns)),
        OldTuple::Full(tuple) => collect(tuple, columns).map(|()| Before::Full(columns)),
    }
}

fn decoding(what: &str, error: pgoutput::Error) -> Error {
    Error::new(Part::Postgres, format!("cannot decode {what} of the stream")).with_cause(error)
}
