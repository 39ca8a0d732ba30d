use alloc::{collections::BTreeMap, vec::Vec};

use thiserror::Error as ThisError;

use super::spool::{Spool, SpoolError, copy};
use crate::Xid;

/// A [`Spool`] in memory, up to a number of bytes.
#[derive(Debug, Clone, Default)]
pub struct MemorySpool {
    limit: usize,
    used: usize,
    transactions: BTreeMap<Xid, Vec<u8>>,
}

/// The bytes of all transactions together became more than a [`MemorySpool`] may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ThisError)]
#[error("more than {limit} bytes of unfinished transactions")]
#[non_exhaustive]
pub struct SpoolFull {
    /// How many it may hold.
    pub limit: usize,
}

impl MemorySpool {
    /// A spool for at most so many bytes.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self { limit, used: 0, transactions: BTreeMap::new() }
    }

    /// How many bytes it holds.
    #[must_use]
    pub const fn len_bytes(&self) -> usize {
        self.used
    }
}

impl Spool for MemorySpool {
    fn append(&mut self, transaction: Xid, bytes: &[u8]) -> Result<(), SpoolError> {
        if bytes.len() > self.limit.saturating_sub(self.used) {
            return Err(SpoolFull { limit: self.limit }.into());
        }
        self.used += bytes.len();
        self.transactions.entry(transaction).or_default().extend_from_slice(bytes);
        Ok(())
    }

    fn read(
        &mut self,
        transaction: Xid,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, SpoolError> {
        let bytes = self.transactions.get(&transaction).map_or(&[][..], Vec::as_slice);
        Ok(copy(bytes, offset, buffer))
    }

    fn remove(&mut self, transaction: Xid) -> Result<(), SpoolError> {
        if let Some(bytes) = self.transactions.remove(&transaction) {
            self.used = self.used.saturating_sub(bytes.len());
        }
        Ok(())
    }
}
