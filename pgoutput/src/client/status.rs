use crate::{Lsn, ProtocolVersion, Streaming};

use super::{
    error::{Error, ErrorKind},
    quote::quote_literal,
    session::{Client, Row},
    slot::{SystemId, lsn},
};

/// A slot as `pg_replication_slots` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlotStatus {
    /// The output plugin; none for a physical slot.
    pub plugin: Option<String>,
    /// The process of the server that somebody follows it by now.
    pub active_pid: Option<u32>,
    /// Where the server would have to read its log from.
    pub restart_lsn: Option<Lsn>,
    /// Up to where it was acknowledged.
    pub confirmed_flush_lsn: Option<Lsn>,
    /// `reserved`, `extended`, `unreserved` (about to be lost) or `lost`.
    pub wal_status: Option<String>,
    /// Why the server has given it up: its word since PostgreSQL 17, `conflicting` before on a
    /// standby.
    pub invalidation_reason: Option<String>,
    /// Whether it decodes prepared transactions at their PREPARE.
    pub two_phase: bool,
    /// Whether standbys keep a copy of it (PostgreSQL 17).
    pub failover: bool,
}

impl SlotStatus {
    fn new(row: &Row) -> Result<Self, Error> {
        let text = |name| row.by_name(name).map(ToOwned::to_owned);
        let position = |name| row.by_name(name).map(|_| lsn(row, name)).transpose();
        // PostgreSQL 16 says `conflicting` of a slot whose log was removed, too, but leaves that one
        // without a place to start from.
        let conflicting =
            row.by_name("conflicting") == Some("t") && row.by_name("restart_lsn").is_some();
        let reason =
            text("invalidation_reason").or_else(|| conflicting.then(|| "conflicting".into()));
        Ok(Self {
            plugin: text("plugin"),
            active_pid: row.by_name("active_pid").and_then(|pid| pid.parse().ok()),
            restart_lsn: position("restart_lsn")?,
            confirmed_flush_lsn: position("confirmed_flush_lsn")?,
            wal_status: text("wal_status"),
            invalidation_reason: reason,
            two_phase: row.by_name("two_phase") == Some("t"),
            failover: row.by_name("failover") == Some("t"),
        })
    }

    /// Whether the slot can still be followed.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WalRemoved`] or [`ErrorKind::SlotInvalidated`].
    pub fn check(&self) -> Result<(), Error> {
        match (self.wal_status.as_deref(), self.invalidation_reason.as_deref()) {
            (_, Some("wal_removed")) | (Some("lost"), None) => Err(Error::new(
                ErrorKind::WalRemoved,
                "the server has removed the log that the slot needs",
            )),
            (_, Some(reason)) => Err(Error::new(
                ErrorKind::SlotInvalidated,
                format!("the server has given the slot up: {reason}"),
            )),
            _ => Ok(()),
        }
    }
}

impl Client {
    /// Looks at a slot; none if there is none of this name.
    ///
    /// # Errors
    ///
    /// What the server says; a broken connection.
    pub async fn slot(&mut self, name: &str) -> Result<Option<SlotStatus>, Error> {
        let sql = format!(
            "SELECT * FROM pg_catalog.pg_replication_slots WHERE slot_name = {}",
            quote_literal(name)
        );
        self.query(&sql).await?.first().map(SlotStatus::new).transpose()
    }

    /// Whether a slot may be followed further here, where `flushed` is how far it was followed at
    /// `before`.
    ///
    /// It must be the same cluster. On a later timeline, which is to say after a failover, the
    /// slot must be one that standbys keep, and the timelines must have parted behind what was
    /// followed: else some of that never happened here, and some of what did was never seen.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::WrongServer`] if not; `Config` on a session that was not opened for
    /// replication; what the server says.
    pub async fn check_system(
        &mut self,
        before: &SystemId,
        slot: &str,
        flushed: Lsn,
    ) -> Result<SystemId, Error> {
        let now = self.identify_system().await?;
        let wrong = |message: String| Err(Error::new(ErrorKind::WrongServer, message));
        if now.system_id != before.system_id {
            return wrong(format!(
                "this is the cluster {}, and it was {}",
                now.system_id, before.system_id
            ));
        }
        if now.timeline < before.timeline {
            return wrong(format!(
                "this server is on timeline {}, and it was {} already",
                now.timeline, before.timeline
            ));
        }
        if now.timeline == before.timeline {
            return Ok(now);
        }
        let history = self.query(&format!("TIMELINE_HISTORY {}", now.timeline)).await?;
        let history = history.first().and_then(|row| row.by_name("content")).unwrap_or("");
        match switchpoint(history, before.timeline) {
            Some(at) if at >= flushed => {}
            Some(at) => {
                return wrong(format!(
                    "timeline {} ended at {at}, before {flushed}",
                    before.timeline
                ));
            }
            None => return wrong(format!("timeline {} is none of its past", before.timeline)),
        }
        match self.slot(slot).await? {
            Some(status) if status.failover => Ok(now),
            _ => wrong("after a failover only a failover slot can be followed further".into()),
        }
    }

    /// Refuses what this version of the server is too old for.
    pub(super) fn check_protocol(
        &self,
        protocol: ProtocolVersion,
        streaming: Streaming,
    ) -> Result<(), Error> {
        let (needed, since) = match (protocol, streaming) {
            (_, Streaming::Parallel) | (ProtocolVersion::V4, _) => (160_000, 16),
            (ProtocolVersion::V3, _) => (150_000, 15),
            (ProtocolVersion::V2, _) | (_, Streaming::On) => (140_000, 14),
            (ProtocolVersion::V1, Streaming::Off) => (0, 0),
        };
        if self.server_version() >= needed {
            return Ok(());
        }
        let message = format!(
            "protocol {} with streaming {streaming:?} needs PostgreSQL {since} or later",
            protocol.number()
        );
        Err(Error::new(ErrorKind::Unsupported, message))
    }

    /// What a refusal to start means.
    pub(super) async fn explain_refusal(&mut self, slot: &str, error: Error) -> Error {
        let kind = match error.sqlstate() {
            Some("55006") => ErrorKind::SlotInUse,
            // The plugin knows no such version, or no such option with it.
            Some("22023" | "0A000") => ErrorKind::Unsupported,
            Some("58P01") => ErrorKind::WalRemoved,
            // Not in the state for it: the catalog says in which state it is.
            Some("55000") => match self.slot(slot).await {
                Ok(Some(status)) => match status.check() {
                    Err(reason) => reason.kind(),
                    Ok(()) => return error,
                },
                _ => return error,
            },
            _ => return error,
        };
        error.with_kind(kind)
    }
}

/// Where a timeline ended: PostgreSQL documentation, "Timelines". A history file has lines of
/// timeline, position and reason.
fn switchpoint(history: &str, timeline: u32) -> Option<Lsn> {
    history.lines().filter(|line| !line.starts_with('#')).find_map(|line| {
        let mut fields = line.split_whitespace();
        let number = fields.next()?.parse::<u32>().ok()?;
        let at = fields.next()?.parse().ok()?;
        (number == timeline).then_some(at)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn switchpoints() {
        let history = "# comment\n1\t0/3000148\tno recovery target specified\n\n\
                       2\t1/AB\tbefore 2000-01-01 00:00:00+00\n";
        assert_eq!(switchpoint(history, 1), Some(Lsn::new(0x300_0148)));
        assert_eq!(switchpoint(history, 2), Some(Lsn::new(0x1_0000_00AB)));
        assert_eq!(switchpoint(history, 3), None);
        assert_eq!(switchpoint("", 1), None);
    }
}
