//! The rows that are already there: read by `COPY … (FORMAT binary)` under the slot's own snapshot,
//! encoded by the same plan as the stream, marked as Debezium marks them.

use debezium_model::{Change, ColumnDef, Fidelity, MappedColumn, Snapshot, SourceBlock};
use pgoutput::{
    Column, Lsn,
    client::{Client, quote_identifier},
    copy::{CopyDecoder, Row},
};

use super::{
    Source, catalog,
    outbox::Outbox,
    postgres_error, recycle,
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
    /// The transaction that reads.
    pub(super) tx_id: Option<u32>,
}

/// Where the markers of a snapshot stand: they say of a row what only the row after it tells, so
/// one row is always held back.
struct Markers<'t> {
    held: Option<Held<'t>>,
    /// Bytes of the held row: its batch may be gone when its turn comes.
    kept: Vec<u8>,
    /// Room for one row's columns.
    room: Vec<Column<'static>>,
    any: bool,
    outbox: Outbox,
}

struct Held<'t> {
    table: &'t Compiled,
    columns: u16,
    first: bool,
    first_of_table: bool,
}

impl Source {
    /// Reads every wanted table. `client` is a session in a transaction on the right snapshot.
    pub(super) async fn snapshot_tables(
        &self,
        client: &mut Client,
        moment: &Moment,
        transaction: usize,
    ) -> Result<u64, Error> {
        let tables = self.compile_published(client).await?;
        let mut encoder = Encoder::default();
        let mut markers = Markers {
            held: None,
            kept: Vec::new(),
            room: Vec::new(),
            any: false,
            outbox: Outbox::default(),
        };
        let mut rows = 0;
        for table in &tables {
            let columns: Vec<String> = table.columns().map(select).collect();
            let sql = format!(
                "COPY (SELECT {} FROM {}.{}) TO STDOUT (FORMAT binary)",
                columns.join(", "),
                quote_identifier(&table.schema),
                quote_identifier(&table.name),
            );
            let what = format!("reading {}.{}", table.schema, table.name);
            let mut copy =
                client.copy_out(&sql).await.map_err(|error| postgres_error(&what, error))?;
            let mut decoder = CopyDecoder::new();
            let mut first_of_table = true;
            while let Some(batch) =
                copy.next().await.map_err(|error| postgres_error(&what, error))?
            {
                self.publisher.ready().await?;
                for frame in batch.frames() {
                    for row in decoder.decode(frame).map_err(|error| decoding(&what, error))? {
                        let row = row.map_err(|error| decoding(&what, error))?;
                        self.release(&mut markers, Some(table), &mut encoder, moment, transaction)
                            .await?;
                        markers.kept.clear();
                        markers.kept.extend_from_slice(row.as_bytes());
                        markers.held = Some(Held {
                            table,
                            columns: u16::try_from(row.len()).unwrap_or(u16::MAX),
                            first: !markers.any,
                            first_of_table,
                        });
                        markers.any = true;
                        first_of_table = false;
                        rows += 1;
                        self.metrics.snapshot_rows.add(1);
                    }
                }
                if self.shutdown.is_requested() {
                    return Err(Error::new(Part::Interrupted, "stopped during the snapshot"));
                }
            }
            tracing::info!("snapshot: {}.{} is read", table.schema, table.name);
        }
        self.release(&mut markers, None, &mut encoder, moment, transaction).await?;
        Ok(rows)
    }

    async fn compile_published(&self, client: &mut Client) -> Result<Vec<Compiled>, Error> {
        let mut tables = Vec::new();
        // As Debezium: lists choose among all tables of the database; without lists, only what will
        // be followed later is read, and the tables that it is partitions of, so that their rows
        // come twice. Corrected, every row comes once, with the columns that are streamed.
        let publication = &self.config.publication;
        let fidelity = self.config.mapping.fidelity();
        let corrected = fidelity == Fidelity::Corrected;
        let candidates = match (self.config.tables.is_given(), corrected) {
            (true, false) => catalog::all_tables(client).await?,
            (true, true) => catalog::tables_once(client, publication).await?,
            (false, false) => catalog::published_tables_and_parents(client, publication).await?,
            (false, true) => catalog::published_tables(client, publication).await?,
        };
        for published in candidates {
            if self.config.tables.includes(&published.schema, &published.table) {
                let mut columns = catalog::columns(client, published.oid, fidelity).await?;
                if corrected {
                    let streamed =
                        catalog::streamed_columns(client, publication, &published).await?;
                    columns.retain(|column| streamed.contains(column.name()));
                } else {
                    columns = columns.into_iter().map(ColumnDef::with_snapshot_size).collect();
                }
                tables.push(self.compile(&published.schema, &published.table, columns).await?);
            }
        }
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
        Ok(tables)
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
            _ if held.first => Snapshot::First,
            Some(_) if !same_table => Snapshot::LastInDataCollection,
            Some(_) if held.first_of_table => Snapshot::FirstInDataCollection,
            Some(_) => Snapshot::True,
        };
        let row = Row::from_bytes(held.columns, &markers.kept);
        let mut columns = recycle(std::mem::take(&mut markers.room));
        for column in row.columns() {
            columns.push(column.map_err(|error| decoding("reading a row", error))?);
        }
        for (column, mapped) in columns.iter_mut().zip(held.table.columns()) {
            if let (Column::Binary(text), false) = (*column, mapped.reads_binary()) {
                *column = Column::Text(text);
            }
        }
        let mut source = SourceBlock::new(&self.database, moment.lsn.get(), moment.ts_us);
        source.tx_id = moment.tx_id;
        source.snapshot = marker;
        source.processed_ns = super::now_ns();
        let (table, change) = (held.table, Change::read(&columns));
        if table.is_outbox() {
            markers.outbox.publish(self, table, &change, &source, transaction).await?;
        } else {
            let Self { publisher, metrics, .. } = self;
            encoder.publish(table, &change, &source, transaction, publisher, metrics)?;
        }
        markers.room = recycle(columns);
        Ok(())
    }
}

/// A column in binary form, or as text where only text has a reading; text is its own binary form.
fn select(column: &MappedColumn) -> String {
    let name = quote_identifier(column.def().name());
    if column.reads_binary() { name } else { format!("{name}::text") }
}

fn decoding(what: &str, error: pgoutput::Error) -> Error {
    Error::new(Part::Postgres, format!("{what}: the rows cannot be decoded")).with_cause(error)
}
