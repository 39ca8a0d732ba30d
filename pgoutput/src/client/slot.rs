use crate::Lsn;

use super::{
    config::invalid,
    connect::Purpose,
    error::{Error, ErrorKind},
    quote::quote_identifier,
    session::{Client, Row},
};

/// What IDENTIFY_SYSTEM tells.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SystemId {
    /// Names the database cluster; a copy made by replication has the same.
    pub system_id: u64,
    /// The timeline, one more after each failover.
    pub timeline: u32,
    /// How far the log is flushed.
    pub flushed: Lsn,
    /// The database the session is in.
    pub database: Option<String>,
}

/// What a new slot does with the snapshot of its consistent point.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum SnapshotAction {
    /// Nothing.
    #[default]
    Nothing,
    /// Exports it under a name, for `SET TRANSACTION SNAPSHOT` in other sessions. It lives until
    /// the session that made the slot runs its next command or ends.
    Export,
    /// Uses it in the transaction that makes the slot, which must be of isolation level REPEATABLE
    /// READ and without any statement before.
    Use,
}

/// How to make a slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct SlotOptions {
    snapshot: SnapshotAction,
    temporary: bool,
    two_phase: bool,
    failover: bool,
}

impl SlotOptions {
    /// A permanent slot, without a snapshot.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            snapshot: SnapshotAction::Nothing,
            temporary: false,
            two_phase: false,
            failover: false,
        }
    }

    /// Does something with the snapshot.
    #[must_use]
    pub const fn with_snapshot(mut self, action: SnapshotAction) -> Self {
        self.snapshot = action;
        self
    }

    /// Lets the slot vanish with the session.
    #[must_use]
    pub const fn with_temporary(mut self, temporary: bool) -> Self {
        self.temporary = temporary;
        self
    }

    /// Decodes prepared transactions at their PREPARE (PostgreSQL 14).
    #[must_use]
    pub const fn with_two_phase(mut self, two_phase: bool) -> Self {
        self.two_phase = two_phase;
        self
    }

    /// Lets standbys keep a copy of the slot (PostgreSQL 17).
    #[must_use]
    pub const fn with_failover(mut self, failover: bool) -> Self {
        self.failover = failover;
        self
    }

    /// The command. Options in parentheses are the newer form, and the only one documented since
    /// PostgreSQL 15.
    fn command(self, name: &str, version: u32) -> Result<String, Error> {
        if self.failover && version < 170_000 {
            return Err(Error::new(
                ErrorKind::Unsupported,
                "failover slots need PostgreSQL 17 or later",
            ));
        }
        let temporary = if self.temporary { " TEMPORARY" } else { "" };
        let start = format!(
            "CREATE_REPLICATION_SLOT {}{temporary} LOGICAL pgoutput",
            quote_identifier(name)
        );
        if version < 150_000 {
            let snapshot = match self.snapshot {
                SnapshotAction::Nothing => "NOEXPORT_SNAPSHOT",
                SnapshotAction::Export => "EXPORT_SNAPSHOT",
                SnapshotAction::Use => "USE_SNAPSHOT",
            };
            let two_phase = if self.two_phase { " TWO_PHASE" } else { "" };
            return Ok(format!("{start} {snapshot}{two_phase}"));
        }
        let snapshot = match self.snapshot {
            SnapshotAction::Nothing => "nothing",
            SnapshotAction::Export => "export",
            SnapshotAction::Use => "use",
        };
        let two_phase = if self.two_phase { ", TWO_PHASE" } else { "" };
        let failover = if self.failover { ", FAILOVER" } else { "" };
        Ok(format!("{start} (SNAPSHOT '{snapshot}'{two_phase}{failover})"))
    }
}

/// A slot just made.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct CreatedSlot {
    /// Where its stream begins: the snapshot shows exactly what was committed before.
    pub consistent_point: Lsn,
    /// The name of the exported snapshot.
    pub snapshot_name: Option<String>,
}

impl Client {
    /// Asks which cluster this is.
    ///
    /// # Errors
    ///
    /// `Config` on a session that was not opened for replication; what the server says.
    pub async fn identify_system(&mut self) -> Result<SystemId, Error> {
        let row = self.command("IDENTIFY_SYSTEM").await?;
        Ok(SystemId {
            system_id: number(&row, "systemid")?,
            timeline: number(&row, "timeline")?,
            flushed: lsn(&row, "xlogpos")?,
            database: row.by_name("dbname").map(ToOwned::to_owned),
        })
    }

    /// Makes a slot for pgoutput. Waits for all transactions that are open at that moment.
    ///
    /// # Errors
    ///
    /// `Config` on a session that was not opened for replication; `Unsupported` by this version;
    /// what the server says, such as 42710 for a slot that exists and 53400 for one too many.
    pub async fn create_slot(
        &mut self,
        name: &str,
        options: &SlotOptions,
    ) -> Result<CreatedSlot, Error> {
        let command = options.command(name, self.server_version())?;
        let row = self.command(&command).await?;
        Ok(CreatedSlot {
            consistent_point: lsn(&row, "consistent_point")?,
            snapshot_name: row.by_name("snapshot_name").map(ToOwned::to_owned),
        })
    }

    /// Drops a slot. Waits if it is in use.
    ///
    /// # Errors
    ///
    /// `Config` on a session that was not opened for replication; what the server says, such as
    /// 42704 for a slot that does not exist.
    pub async fn drop_slot(&mut self, name: &str) -> Result<(), Error> {
        self.check_replication()?;
        self.execute(&format!("DROP_REPLICATION_SLOT {} WAIT", quote_identifier(name))).await
    }

    async fn command(&mut self, command: &str) -> Result<Row, Error> {
        self.check_replication()?;
        let missing = || Error::protocol("a replication command returned no row");
        self.query(command).await?.pop().ok_or_else(missing)
    }

    pub(super) fn check_replication(&self) -> Result<(), Error> {
        match self.purpose {
            Purpose::Replication => Ok(()),
            Purpose::Sql => Err(invalid("a session for replication is needed")),
        }
    }
}

fn number<T: std::str::FromStr>(row: &Row, name: &str) -> Result<T, Error> {
    let malformed = || Error::protocol("a replication command returned a malformed number");
    row.by_name(name).and_then(|text| text.parse().ok()).ok_or_else(malformed)
}

pub(super) fn lsn(row: &Row, name: &str) -> Result<Lsn, Error> {
    let malformed = || Error::protocol("a replication command returned a malformed position");
    row.by_name(name).and_then(|text| text.parse().ok()).ok_or_else(malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands() {
        let export = SlotOptions::new().with_snapshot(SnapshotAction::Export);
        assert_eq!(
            export.command("a", 140_005).unwrap(),
            "CREATE_REPLICATION_SLOT \"a\" LOGICAL pgoutput EXPORT_SNAPSHOT"
        );
        assert_eq!(
            export.with_temporary(true).with_two_phase(true).command("a", 150_000).unwrap(),
            "CREATE_REPLICATION_SLOT \"a\" TEMPORARY LOGICAL pgoutput \
             (SNAPSHOT 'export', TWO_PHASE)"
        );
        let failover = SlotOptions::new().with_failover(true);
        assert_eq!(failover.command("a", 160_009).unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(
            failover.command("a\"b", 170_000).unwrap(),
            "CREATE_REPLICATION_SLOT \"a\"\"b\" LOGICAL pgoutput (SNAPSHOT 'nothing', FAILOVER)"
        );
    }
}
