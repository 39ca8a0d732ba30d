//! The schema `registry` of a Postgres database.
//!
//! Writers take the one row of `registry.state` for update, so that they come one after another
//! over all processes: each sees what the one before has done when it decides, and the numbers it
//! gives to its changes grow in the order of the commits. A reader that knows the highest number
//! it has seen asks for what is above it and misses nothing.

use std::fmt::Write as _;
use std::time::Duration;

use pgoutput::client::{Client, Config, Error, Row, quote_literal};
use tokio::time::timeout;

use super::{Change, StorageError, decode, encode};

/// A connection, made again when it breaks.
#[derive(Debug)]
pub(crate) struct Postgres {
    config: Config,
    client: Option<Client>,
    /// The highest number of a change that was seen.
    seen: i64,
}

impl Postgres {
    pub(crate) async fn open(config: Config) -> Result<Self, StorageError> {
        let mut postgres = Self { config, client: None, seen: 0 };
        postgres.query(SETUP).await?;
        Ok(postgres)
    }

    /// What was changed since the last call.
    pub(crate) async fn news(&mut self) -> Result<Vec<Change>, StorageError> {
        let sql = self.unseen();
        let rows = self.query(&sql).await?;
        self.take_in(&rows)
    }

    fn take_in(&mut self, rows: &[Row]) -> Result<Vec<Change>, StorageError> {
        let mut changes = Vec::with_capacity(rows.len());
        let mut seen = self.seen;
        for row in rows {
            changes.push(decode(row.get(0).ok_or(StorageError::NoRegistry)?, row.get(1))?);
            let number = row.get(2).and_then(|number| number.parse().ok());
            seen = seen.max(number.ok_or(StorageError::NoRegistry)?);
        }
        self.seen = seen;
        Ok(changes)
    }

    fn unseen(&self) -> String {
        format!(
            "SELECT key, value, number FROM registry.entries WHERE number > {} ORDER BY number",
            self.seen
        )
    }

    pub(crate) async fn begin(&mut self) -> Result<Vec<Change>, StorageError> {
        // What a call that was cut short may have left open.
        const BEGIN: &str = "ROLLBACK; BEGIN; SELECT number FROM registry.state FOR UPDATE";
        let rows = self.query(BEGIN).await?;
        let number = rows.first().and_then(|row| row.get(0)?.parse::<i64>().ok());
        if number.ok_or(StorageError::NoRegistry)? == self.seen {
            return Ok(Vec::new());
        }
        let rows = self.query_here(&self.unseen()).await?;
        self.take_in(&rows)
    }

    pub(crate) async fn commit(&mut self, changes: &[Change]) -> Result<(), StorageError> {
        let number = self.seen + 1;
        let mut sql = String::new();
        for change in changes {
            let (key, value) = encode(change)?;
            let value = value.as_deref().map_or_else(|| "NULL".to_owned(), quote_literal);
            // Writing to a String cannot fail.
            let _ = write!(
                sql,
                "INSERT INTO registry.entries VALUES ({}, {value}, {number}) \
                 ON CONFLICT (key) DO UPDATE SET value = EXCLUDED.value, number = EXCLUDED.number;",
                quote_literal(&key)
            );
        }
        let _ = write!(sql, "UPDATE registry.state SET number = {number}; COMMIT");
        self.query_here(&sql).await?;
        self.seen = number;
        Ok(())
    }

    pub(crate) async fn rollback(&mut self) -> Result<(), StorageError> {
        self.query("ROLLBACK").await.map(drop)
    }

    /// Asks on the connection that is there: a transaction must not go on on another one.
    async fn query_here(&mut self, sql: &str) -> Result<Vec<Row>, StorageError> {
        let mut client = self.client.take().ok_or(StorageError::NoRegistry)?;
        let rows = limited(client.query(sql)).await?;
        self.client = Some(client);
        Ok(rows)
    }

    /// Asks, on a new connection if there is none, or if the old one turns out to be broken.
    async fn query(&mut self, sql: &str) -> Result<Vec<Row>, StorageError> {
        if let Some(mut client) = self.client.take()
            && let Ok(rows) = limited(client.query(sql)).await
        {
            self.client = Some(client);
            return Ok(rows);
        }
        let mut client = limited(Client::connect(&self.config)).await?;
        // No one may wait for a process that is gone without a word.
        limited(client.execute("SET idle_in_transaction_session_timeout = '15s'")).await?;
        let rows = limited(client.query(sql)).await?;
        self.client = Some(client);
        Ok(rows)
    }
}

async fn limited<T>(call: impl Future<Output = Result<T, Error>>) -> Result<T, StorageError> {
    timeout(TIMEOUT, call).await.map_err(|_| StorageError::Timeout)?.map_err(StorageError::from)
}

const TIMEOUT: Duration = Duration::from_secs(10);

/// Under a lock: making the same thing twice at once fails in spite of `IF NOT EXISTS`.
const SETUP: &str = "
BEGIN;
SELECT pg_advisory_xact_lock(hashtext('registry'), 0);
CREATE SCHEMA IF NOT EXISTS registry;
CREATE TABLE IF NOT EXISTS registry.entries (
    key text PRIMARY KEY,
    value json,
    number bigint NOT NULL
);
CREATE INDEX IF NOT EXISTS entries_number ON registry.entries (number);
CREATE TABLE IF NOT EXISTS registry.state (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    number bigint NOT NULL
);
INSERT INTO registry.state (number) VALUES (0) ON CONFLICT DO NOTHING;
COMMIT";
