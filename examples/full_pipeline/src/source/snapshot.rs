//! The rows that are already there: read by `COPY … (FORMAT binary)` under the slot's own snapshot,
//! encoded by the same plan as the stream, marked as Debezium marks them.

use debezium_model::{Change, ColumnDef, Fidelity, MappedColumn, Snapshot, SourceBlock};
use pgoutput::{
    Column, Lsn,
    client::{Client, quote_identifier},
    copy::{CopyDecoder, Row},
};

use super::{
    Source,
    catalog::{self, TableFacts},
    notifications::About,
    outbox::Outbox,
    postgres_error, recycle,
    signals::{self, Request},
    tables::{Compiled, Encoder},
};
use crate::error::{Error, Part};

/// What every record of one snapshot has in common.
#[derive(Debug, Clone)]
pub(super) struct Moment {
    /// The position the snapshot belongs to.
    pub(super) lsn: Lsn,
    /// Microseconds since 1970 at the server when the snapshot began.
    pub(super) ts_us: i64,
    /// The transaction that reads, or that has asked for the snapshot.
    pub(super) tx_id: Option<u32>,
    /// Where the transaction streamed before ended.
    pub(super) last_commit: Option<u64>,
}

/// Where the markers of a snapshot stand: they say of a row what only the row after it tells, so
/// one row is always held back.
struct Markers<'t> {
    held: Option<Held<'t>>,
    /// Bytes of the held row: its batch may be gone when its turn comes.
    kept: Vec<u8>,
    /// Room for one row's columns.
    room: Vec<Column<'static>>,
    in_first_table: bool,
    outbox: Outbox,
}

struct Held<'t> {
    table: &'t Compiled,
    columns: u16,
    in_first_table: bool,
    first_of_table: bool,
}

/// A table with the rows that are wanted of it.
#[derive(Debug)]
pub(super) struct Selected {
    table: Compiled,
    /// What stands for the table behind `FROM`, when that is not the table itself.
    rows: Option<String>,
}

impl Source {
    /// Reads every wanted table. `client` is a session in a transaction on the right snapshot.
    pub(super) async fn snapshot_tables(
        &self,
        client: &mut Client,
        moment: &Moment,
        transaction: usize,
    ) -> Result<u64, Error> {
        let (tables, captured) = self.compile_published(client, |_, _| true).await?;
        if tables.is_empty() {
            return Err(Error::new(
                Part::Config,
                format!(
                    "no table is left to read by the include and exclude lists and the publication {}",
                    self.config.publication
                ),
            )
            .with_advice(format!(
                "ALTER PUBLICATION {} ADD TABLE …, or correct table.include.list",
                self.config.publication
            )));
        }
        let tables: Vec<Selected> =
            tables.into_iter().map(|table| Selected { table, rows: None }).collect();
        self.read_tables(client, &tables, &captured, moment, transaction).await
    }

    /// Takes the snapshot that a signal has asked for, while the stream waits. What the database
    /// refuses ends the snapshot and nothing else.
    pub(super) async fn blocking_snapshot(
        &self,
        request: &Request,
        moment: Moment,
        transaction: usize,
    ) -> Result<(), Error> {
        self.notify(transaction, About::Snapshot, "STARTED", &[]).await?;
        match self.blocking_tables(request, moment, transaction).await {
            Ok(rows) => {
                tracing::info!(rows, "blocking snapshot complete");
                self.notify(transaction, About::Snapshot, "COMPLETED", &[]).await
            }
            Err(error) if error.part() == Part::Postgres && !error.is_retryable() => {
                tracing::error!("the blocking snapshot is given up: {}", error.report());
                self.notify(transaction, About::Snapshot, "ABORTED", &[]).await
            }
            Err(error) => Err(error),
        }
    }

    async fn blocking_tables(
        &self,
        request: &Request,
        mut moment: Moment,
        transaction: usize,
    ) -> Result<u64, Error> {
        let patterns: Vec<_> = request
            .collections
            .iter()
            .flat_map(|list| list.split(','))
            .filter_map(|pattern| signals::whole(pattern.trim(), true).ok())
            .collect();
        let mut client = self.connect().await?;
        let run = |error| postgres_error("starting a blocking snapshot", error);
        client.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY").await.map_err(run)?;
        moment.ts_us = server_time(&mut client).await?;
        let wanted = |schema: &str, table: &str| {
            let names = [format!("{schema}.{table}"), format!("\"{schema}\".\"{table}\"")];
            patterns.iter().any(|pattern| names.iter().any(|name| pattern.is_match(name)))
        };
        let (tables, captured) = self.compile_published(&mut client, wanted).await?;
        if tables.is_empty() {
            tracing::warn!(
                "blocking snapshot: no table is named {}",
                request.collections.join(", ")
            );
        }
        let select = |table: Compiled| {
            let rows = request.filter(&table.full_name()).map(|filter| {
                let first = filter.split_whitespace().next().unwrap_or_default();
                if first.eq_ignore_ascii_case("select") || first.eq_ignore_ascii_case("with") {
                    return format!("({filter}) AS selected");
                }
                format!("{} WHERE ({filter})", table.sql_name())
            });
            Selected { table, rows }
        };
        let tables: Vec<Selected> = tables.into_iter().map(select).collect();
        let rows = self.read_tables(&mut client, &tables, &captured, &moment, transaction).await?;
        client.execute("COMMIT").await.map_err(run)?;
        Ok(rows)
    }

    async fn read_tables(
        &self,
        client: &mut Client,
        tables: &[Selected],
        captured: &str,
        moment: &Moment,
        transaction: usize,
    ) -> Result<u64, Error> {
        let mut encoder = Encoder::default();
        let mut markers = Markers {
            held: None,
            kept: Vec::new(),
            room: Vec::new(),
            in_first_table: true,
            outbox: Outbox::default(),
        };
        let mut names: Vec<String> =
            tables.iter().map(|selected| selected.table.full_name()).collect();
        // Of these Debezium makes a set before it tells.
        signals::sort_as_set(&mut names);
        let as_set = names.join(",");
        let mut rows = 0;
        for selected in tables {
            let name = selected.table.full_name();
            let data =
                [("current_collection_in_progress", name.as_str()), ("data_collections", &as_set)];
            self.notify(transaction, About::Snapshot, "IN_PROGRESS", &data).await?;
            let read =
                self.read_table(client, selected, &mut markers, &mut encoder, moment, transaction);
            let read = read.await;
            markers.in_first_table = false;
            let count = match read {
                Ok(count) => count,
                Err(error) => {
                    if error.part() == Part::Postgres && !error.is_retryable() {
                        let data =
                            [("scanned_collection", name.as_str()), ("status", "SQL_EXCEPTION")];
                        self.notify(transaction, About::Snapshot, "TABLE_SCAN_COMPLETED", &data)
                            .await?;
                    }
                    return Err(error);
                }
            };
            rows += count;
            let count = count.to_string();
            let data = [
                ("scanned_collection", name.as_str()),
                ("data_collections", captured),
                ("total_rows_scanned", &count),
                ("status", "SUCCEEDED"),
            ];
            self.notify(transaction, About::Snapshot, "TABLE_SCAN_COMPLETED", &data).await?;
            tracing::info!("snapshot: {name} is read");
        }
        self.release(&mut markers, None, &mut encoder, moment, transaction).await?;
        Ok(rows)
    }

    async fn read_table<'t>(
        &self,
        client: &mut Client,
        selected: &'t Selected,
        markers: &mut Markers<'t>,
        encoder: &mut Encoder,
        moment: &Moment,
        transaction: usize,
    ) -> Result<u64, Error> {
        let Selected { table, rows: from } = selected;
        let columns: Vec<String> = table.columns().map(select).collect();
        let sql = format!(
            "COPY (SELECT {} FROM {}) TO STDOUT (FORMAT binary)",
            columns.join(", "),
            from.clone().unwrap_or_else(|| table.sql_name()),
        );
        let what = format!("reading {}", table.full_name());
        let mut copy = client.copy_out(&sql).await.map_err(|error| postgres_error(&what, error))?;
        let mut decoder = CopyDecoder::new();
        let mut rows = 0;
        while let Some(batch) = copy.next().await.map_err(|error| postgres_error(&what, error))? {
            self.publisher.ready().await?;
            for frame in batch.frames() {
                for row in decoder.decode(frame).map_err(|error| decoding(&what, error))? {
                    let row = row.map_err(|error| decoding(&what, error))?;
                    self.release(markers, Some(table), encoder, moment, transaction).await?;
                    markers.kept.clear();
                    markers.kept.extend_from_slice(row.as_bytes());
                    markers.held = Some(Held {
                        table,
                        columns: u16::try_from(row.len()).unwrap_or(u16::MAX),
                        in_first_table: markers.in_first_table,
                        first_of_table: rows == 0,
                    });
                    rows += 1;
                    self.metrics.snapshot_rows.add(1);
                }
            }
            if self.shutdown.is_requested() {
                return Err(Error::new(Part::Interrupted, "stopped during the snapshot"));
            }
        }
        Ok(rows)
    }

    /// The tables that a snapshot reads, as far as they are `wanted`, and the names of those and of
    /// the signal table, whose rows are not read: old signals are of no use.
    async fn compile_published(
        &self,
        client: &mut Client,
        wanted: impl Fn(&str, &str) -> bool,
    ) -> Result<(Vec<Compiled>, String), Error> {
        // As Debezium: lists choose among all tables of the database; without lists, only what will
        // be followed later is read, and the tables that it is partitions of or has for partitions,
        // so that their rows come twice. Corrected, every row comes once, with the columns that are
        // streamed.
        let publication = &self.config.publication;
        let corrected = self.config.mapping.fidelity() == Fidelity::Corrected;
        let mut candidates = match (self.config.tables.is_given(), corrected) {
            (true, false) => catalog::all_tables(client).await?,
            (true, true) => catalog::tables_once(client, publication).await?,
            (false, false) => catalog::published_tables_and_kin(client, publication).await?,
            (false, true) => catalog::published_tables(client, publication).await?,
        };
        let filter = &self.config.tables;
        candidates.retain(|facts| {
            filter.includes(&facts.schema, &facts.table) && wanted(&facts.schema, &facts.table)
        });
        candidates.sort_by_key(|facts| filter.rank(&facts.schema, &facts.table));
        let names: Vec<String> =
            candidates.iter().map(|facts| format!("{}.{}", facts.schema, facts.table)).collect();
        if let Some((schema, table)) = &self.config.signals.table {
            candidates.retain(|facts| facts.schema != *schema || facts.table != *table);
        }
        let mut tables = Vec::new();
        for facts in candidates {
            let columns = self.snapshot_columns(client, &facts).await?;
            tables.extend(self.compile_tolerantly(&facts.schema, &facts.table, columns).await?);
        }
        Ok((tables, names.join(",")))
    }

    /// The columns of a table that a snapshot reads.
    pub(super) async fn snapshot_columns(
        &self,
        client: &mut Client,
        facts: &TableFacts,
    ) -> Result<Vec<ColumnDef>, Error> {
        let fidelity = self.config.mapping.fidelity();
        let mut columns = catalog::columns(client, facts.oid, fidelity).await?;
        if fidelity == Fidelity::Corrected {
            let publication = &self.config.publication;
            let streamed = catalog::streamed_columns(client, publication, facts).await?;
            columns.retain(|column| streamed.contains(column.name()));
        } else {
            columns = columns.into_iter().map(ColumnDef::with_snapshot_size).collect();
        }
        Ok(columns)
    }

    /// Sends the held row now that the table of the next one (`None` at the end) is known.
    async fn release(
        &self,
        markers: &mut Markers<'_>,
        next: Option<&Compiled>,
        encoder: &mut Encoder,
        moment: &Moment,
        transaction: usize,
    ) -> Result<(), Error> {
        let Some(held) = markers.held.take() else { return Ok(()) };
        let same_table = next.is_some_and(|next| std::ptr::eq(next, held.table));
        let marker = match next {
            None => Snapshot::Last,
            Some(_) if held.in_first_table && held.first_of_table => Snapshot::First,
            Some(_) if !same_table => Snapshot::LastInDataCollection,
            Some(_) if held.first_of_table => Snapshot::FirstInDataCollection,
            Some(_) => Snapshot::True,
        };
        let row = Row::from_bytes(held.columns, &markers.kept);
        let mut columns = recycle(std::mem::take(&mut markers.room));
        columns_of(row, held.table, &mut columns)?;
        let mut source = SourceBlock::new(&self.database, moment.lsn.get(), moment.ts_us);
        source.tx_id = moment.tx_id;
        source.last_commit_lsn = moment.last_commit;
        source.snapshot = marker;
        source.processed_ns = super::now_ns();
        let (table, change) = (held.table, Change::read(&columns));
        if table.is_outbox() {
            let sent = markers.outbox.publish(self, table, &change, &source, transaction).await;
            self.tolerate(sent)?;
        } else {
            let Self { publisher, metrics, .. } = self;
            let sent = encoder.publish(table, &change, &source, transaction, publisher, metrics);
            self.tolerate(sent)?;
        }
        markers.room = recycle(columns);
        Ok(())
    }
}

/// A row's columns of a table, which may be followed by others.
pub(super) fn columns_of<'r>(
    row: Row<'r>,
    table: &Compiled,
    columns: &mut Vec<Column<'r>>,
) -> Result<(), Error> {
    for (column, mapped) in row.columns().zip(table.columns()) {
        let column = column.map_err(|error| decoding("reading a row", error))?;
        columns.push(match column {
            Column::Binary(text) if !mapped.reads_binary() => Column::Text(text),
            column => column,
        });
    }
    Ok(())
}

/// Microseconds since 1970 at the server.
pub(super) async fn server_time(client: &mut Client) -> Result<i64, Error> {
    let sql = "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us";
    let rows = catalog::query(client, "asking for the time", sql).await?;
    let row = rows.first();
    let row = row.ok_or_else(|| Error::new(Part::Postgres, "the server does not say the time"))?;
    catalog::number(row, "now_us")
}

/// A column in binary form, or as text where only text has a reading; text is its own binary form.
pub(super) fn select(column: &MappedColumn) -> String {
    let name = quote_identifier(column.def().name());
    if column.reads_binary() { name } else { format!("{name}::text") }
}

fn decoding(what: &str, error: pgoutput::Error) -> Error {
    Error::new(Part::Postgres, format!("{what}: the rows cannot be decoded")).with_cause(error)
}
