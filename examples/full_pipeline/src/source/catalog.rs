//! What the replication stream does not say: defaults, nullability, keys, enum labels and type
//! modifiers, asked of the catalog once per new or changed relation.

use std::collections::HashSet;

use debezium_model::{ColumnDef, Fidelity};
use pgoutput::{
    Lsn,
    client::{Client, Row, quote_literal},
};

use super::postgres_error;
use crate::error::{Error, Part};

/// The state of a replication slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct SlotState {
    pub(crate) plugin: String,
    pub(crate) active: bool,
    pub(crate) confirmed: Lsn,
    pub(crate) wal_status: Option<String>,
}

/// Refuses a server that cannot stream, and a publication that is not there.
pub(crate) async fn check_server(client: &mut Client, publication: &str) -> Result<(), Error> {
    let rows = query(client, "reading wal_level", "SHOW wal_level").await?;
    let level = rows.first().and_then(|row| row.get(0)).unwrap_or_default().to_owned();
    if level != "logical" {
        return Err(Error::new(
            Part::Postgres,
            format!(
                "the server has wal_level={level}; logical replication needs wal_level=logical"
            ),
        )
        .with_advice(
            "ALTER SYSTEM SET wal_level = logical and restart the server; on RDS and Aurora set \
             rds.logical_replication = 1 in the parameter group and reboot",
        ));
    }
    let sql = format!(
        "SELECT pubinsert, pubupdate, pubdelete FROM pg_publication WHERE pubname = {}",
        quote_literal(publication)
    );
    if query(client, "looking for the publication", &sql).await?.is_empty() {
        return Err(Error::new(
            Part::Postgres,
            format!("the publication {publication} does not exist"),
        )
        .with_advice(format!(
            "CREATE PUBLICATION {publication} FOR TABLE …; or name another with publication.name"
        )));
    }
    Ok(())
}

/// The tables of a publication in the order in which they are read.
pub(crate) async fn published_tables(
    client: &mut Client,
    publication: &str,
) -> Result<Vec<TableFacts>, Error> {
    let sql = format!(
        "SELECT p.schemaname, p.tablename, c.oid, \
                b.pubupdate OR b.pubdelete AS needs_identity, \
                c.relreplident IN ('f', 'i') OR EXISTS (SELECT FROM pg_index x \
                  WHERE x.indrelid = c.oid AND x.indisprimary AND c.relreplident = 'd') \
                AS has_identity \
         FROM pg_publication_tables p JOIN pg_publication b ON b.pubname = p.pubname \
         JOIN pg_namespace n ON n.nspname = p.schemaname \
         JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
         WHERE p.pubname = {} ORDER BY p.schemaname COLLATE \"C\", p.tablename COLLATE \"C\"",
        quote_literal(publication)
    );
    let rows = query(client, "listing the publication's tables", &sql).await?;
    rows.iter()
        .map(|row| {
            Ok(TableFacts {
                schema: text(row, "schemaname")?,
                table: text(row, "tablename")?,
                oid: number(row, "oid")?,
                lacks_identity: row.by_name("needs_identity") == Some("t")
                    && row.by_name("has_identity") != Some("t"),
            })
        })
        .collect()
}

/// The tables of a publication, all that they are partitions of, and all that are partitions of
/// them, in the order in which they are read.
pub(crate) async fn published_tables_and_kin(
    client: &mut Client,
    publication: &str,
) -> Result<Vec<TableFacts>, Error> {
    let sql = format!(
        "WITH published AS (SELECT c.oid FROM pg_publication_tables p \
           JOIN pg_namespace n ON n.nspname = p.schemaname \
           JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
           WHERE p.pubname = {}), \
         read AS (SELECT oid FROM published UNION \
           SELECT a.relid FROM published CROSS JOIN pg_partition_ancestors(published.oid) AS a(relid) \
           UNION SELECT t.relid FROM published CROSS JOIN pg_partition_tree(published.oid) AS t) \
         SELECT n.nspname AS schemaname, c.relname AS tablename, c.oid \
         FROM read JOIN pg_class c ON c.oid = read.oid \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        quote_literal(publication)
    );
    let rows = query(client, "listing the publication's tables", &sql).await?;
    rows.iter().map(unneeded_identity).collect()
}

/// A table where it does not matter whether its rows can be identified.
fn unneeded_identity(row: &Row) -> Result<TableFacts, Error> {
    Ok(TableFacts {
        schema: text(row, "schemaname")?,
        table: text(row, "tablename")?,
        oid: number(row, "oid")?,
        lacks_identity: false,
    })
}

/// Every table of the database, whether published or not, in the order in which they are read.
pub(crate) async fn all_tables(client: &mut Client) -> Result<Vec<TableFacts>, Error> {
    let sql = "SELECT n.nspname AS schemaname, c.relname AS tablename, c.oid FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast' \
         ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"";
    let rows = query(client, "listing the tables", sql).await?;
    rows.iter().map(unneeded_identity).collect()
}

/// Every table of the database under whose name rows are streamed, or would be: of a partitioned
/// table either itself or its leaves, as the publication says.
pub(crate) async fn tables_once(
    client: &mut Client,
    publication: &str,
) -> Result<Vec<TableFacts>, Error> {
    let sql = format!(
        "WITH published AS (SELECT c.oid FROM pg_publication_tables p \
           JOIN pg_namespace n ON n.nspname = p.schemaname \
           JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = p.tablename \
           WHERE p.pubname = {}) \
         SELECT n.nspname AS schemaname, c.relname AS tablename, c.oid FROM pg_class c \
         JOIN pg_namespace n ON n.oid = c.relnamespace \
         WHERE c.relkind IN ('r', 'p') AND c.relpersistence <> 't' \
           AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_toast' \
           AND (c.oid IN (SELECT oid FROM published) OR (c.relkind = 'r' AND NOT EXISTS ( \
             SELECT FROM pg_partition_ancestors(c.oid) AS a(relid) \
             WHERE a.relid IN (SELECT oid FROM published)))) \
         ORDER BY n.nspname COLLATE \"C\", c.relname COLLATE \"C\"",
        quote_literal(publication)
    );
    let rows = query(client, "listing the tables", &sql).await?;
    rows.iter().map(unneeded_identity).collect()
}

/// A table that may be followed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TableFacts {
    pub(crate) schema: String,
    pub(crate) table: String,
    pub(crate) oid: u32,
    /// Updates and deletes are published, and nothing would say of which row: Postgres refuses
    /// them.
    pub(crate) lacks_identity: bool,
}

/// So many of these tables that every type of their columns occurs in one.
pub(crate) async fn tables_of_all_types(
    client: &mut Client,
    tables: &[u32],
) -> Result<Vec<u32>, Error> {
    let list: Vec<String> = tables.iter().map(u32::to_string).collect();
    let sql = format!(
        "SELECT DISTINCT attrelid FROM (SELECT DISTINCT ON (atttypid) attrelid FROM pg_attribute \
           WHERE attrelid = ANY ('{{{}}}') AND attnum > 0 AND NOT attisdropped) AS one",
        list.join(",")
    );
    let rows = query(client, "asking for the types of the columns", &sql).await?;
    rows.iter().map(|row| number(row, "attrelid")).collect()
}

/// The columns of a table as the model wants them, in table order. The key is the primary key, as
/// for Debezium, or that of the replica identity, whose columns are those that old rows have.
pub(crate) async fn columns(
    client: &mut Client,
    relation: u32,
    fidelity: Fidelity,
) -> Result<Vec<ColumnDef>, Error> {
    let by_identity = fidelity == Fidelity::Corrected;
    // A domain is described by the type it ends at; a type modifier of the domain counts where the
    // column has none.
    let sql = format!(
        "WITH RECURSIVE base(attnum, typid, typmod, depth) AS ( \
           SELECT attnum, atttypid, atttypmod, 0 FROM pg_attribute \
            WHERE attrelid = {relation} AND attnum > 0 AND NOT attisdropped \
           UNION ALL \
           SELECT b.attnum, t.typbasetype, \
                  CASE WHEN b.typmod = -1 THEN t.typtypmod ELSE b.typmod END, b.depth + 1 \
             FROM base b JOIN pg_type t ON t.oid = b.typid WHERE t.typtype = 'd'), \
         resolved AS (SELECT DISTINCT ON (attnum) * FROM base ORDER BY attnum, depth DESC) \
         SELECT a.attname, a.atttypid, t.typname, a.atttypmod, a.attnotnull, \
                CASE WHEN a.attgenerated = '' THEN pg_get_expr(d.adbin, d.adrelid) END AS default, \
                CASE WHEN array_position(i.indkey::int2[], a.attnum) < i.indnkeyatts \
                  THEN array_position(i.indkey::int2[], a.attnum) END AS key_position, \
                a.attndims, c.relreplident = 'f' AS identity, \
                r.depth AS domain_depth, r.typid AS base_oid, bt.typname AS base_name, \
                r.typmod AS base_typmod, e.oid AS element_oid, e.typname AS element_name, \
                (SELECT string_agg(l.enumlabel, E'\\x01' ORDER BY l.enumsortorder) FROM pg_enum l \
                  WHERE l.enumtypid = COALESCE(e.oid, r.typid)) AS labels \
           FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_type t ON t.oid = a.atttypid \
           JOIN resolved r ON r.attnum = a.attnum JOIN pg_type bt ON bt.oid = r.typid \
           LEFT JOIN pg_type e ON e.oid = bt.typelem AND bt.typcategory = 'A' \
           LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum \
           LEFT JOIN pg_index i ON i.indrelid = a.attrelid \
             AND CASE WHEN {by_identity} AND c.relreplident = 'i' THEN i.indisreplident \
                 ELSE i.indisprimary END \
          WHERE a.attrelid = {relation} AND a.attnum > 0 AND NOT a.attisdropped \
          ORDER BY a.attnum"
    );
    let rows = query(client, "reading the catalog", &sql).await?;
    rows.iter().map(column).collect()
}

fn column(row: &Row) -> Result<ColumnDef, Error> {
    let name = text(row, "attname")?;
    let mut column =
        ColumnDef::new(&name, number(row, "atttypid")?, row.by_name("typname").unwrap_or_default())
            .with_typmod(number(row, "atttypmod")?)
            .with_dimensions(number(row, "attndims")?);
    if row.by_name("identity") == Some("t") {
        column = column.with_replica_identity();
    }
    if row.by_name("attnotnull") == Some("t") {
        column = column.with_not_null();
    }
    if let Some(expression) = row.by_name("default") {
        column = column.with_default_expression(expression);
    }
    if row.by_name("key_position").is_some() {
        // array_position counts an int2vector from its own lower bound, which is zero.
        column = column.with_key_position(number::<usize>(row, "key_position")? + 1);
    }
    if row.by_name("domain_depth") != Some("0") {
        column = column.with_base_type(
            number(row, "base_oid")?,
            row.by_name("base_name").unwrap_or_default(),
            number(row, "base_typmod")?,
        );
    }
    if row.by_name("element_oid").is_some() {
        column = column.with_element_type(
            number(row, "element_oid")?,
            row.by_name("element_name").unwrap_or_default(),
        );
    }
    if let Some(labels) = row.by_name("labels") {
        column = column.with_enum_labels(labels.split('\u{1}'));
    }
    Ok(column)
}

/// Names of the columns of a table whose values are streamed: without the generated ones, before
/// PostgreSQL 18, and without those that a column list of the publication leaves out.
pub(crate) async fn streamed_columns(
    client: &mut Client,
    publication: &str,
    table: &TableFacts,
) -> Result<HashSet<String>, Error> {
    let version = client.server_version();
    let (relation, publication) = (table.oid, quote_literal(publication));
    let listed = if version < 150_000 {
        String::new()
    } else {
        format!(
            "AND COALESCE((SELECT a.attname = ANY (p.attnames) FROM pg_publication_tables p \
               WHERE p.pubname = {publication} AND p.schemaname = {} AND p.tablename = {}), true)",
            quote_literal(&table.schema),
            quote_literal(&table.table)
        )
    };
    let generated = if version < 180_000 { "AND a.attgenerated = ''" } else { "" };
    let sql = format!(
        "SELECT a.attname FROM pg_attribute a WHERE a.attrelid = {relation} AND a.attnum > 0 \
         AND NOT a.attisdropped {generated} {listed}"
    );
    let rows = query(client, "asking which columns are published", &sql).await?;
    rows.iter().map(|row| text(row, "attname")).collect()
}

/// The slot's state, or `None` when it does not exist.
pub(crate) async fn slot(client: &mut Client, name: &str) -> Result<Option<SlotState>, Error> {
    let sql = format!(
        "SELECT plugin, active, COALESCE(confirmed_flush_lsn, '0/0') AS confirmed, \
         wal_status FROM pg_replication_slots WHERE slot_name = {}",
        quote_literal(name)
    );
    let rows = query(client, "looking for the slot", &sql).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    Ok(Some(SlotState {
        plugin: text(row, "plugin")?,
        active: row.by_name("active") == Some("t"),
        confirmed: number(row, "confirmed")?,
        wal_status: row.by_name("wal_status").map(str::to_owned),
    }))
}

/// Runs a query; `what` is what the error says was being done.
pub(crate) async fn query(client: &mut Client, what: &str, sql: &str) -> Result<Vec<Row>, Error> {
    client.query(sql).await.map_err(|error| postgres_error(what, error))
}

pub(crate) fn text(row: &Row, column: &str) -> Result<String, Error> {
    row.by_name(column).map(str::to_owned).ok_or_else(|| odd_catalog(column))
}

pub(crate) fn number<T: std::str::FromStr>(row: &Row, column: &str) -> Result<T, Error> {
    row.by_name(column).and_then(|text| text.parse().ok()).ok_or_else(|| odd_catalog(column))
}

fn odd_catalog(column: &str) -> Error {
    Error::new(Part::Postgres, format!("the catalog's answer has no usable {column}"))
}
