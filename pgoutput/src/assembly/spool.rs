use alloc::boxed::Box;
use core::fmt::Debug;

use crate::Xid;

/// What a spool fails with.
pub(super) type SpoolError = Box<dyn core::error::Error + Send + Sync>;

/// Keeps the bytes of transactions until it is known how they end.
///
/// Each transaction is a sequence of bytes of its own, appended to piece by piece and read from
/// its start once. Nothing has to outlive the process: after a restart the server sends again what
/// was not acknowledged.
pub trait Spool: Debug {
    /// Adds to the end of a transaction, which begins with its first bytes.
    ///
    /// # Errors
    ///
    /// Whatever prevents it; the transaction need not be usable any more then.
    fn append(&mut self, transaction: Xid, bytes: &[u8]) -> Result<(), SpoolError>;

    /// Fills `buffer` with the bytes from `offset` on, and says how many those were: fewer than fit
    /// only at the end of the transaction.
    ///
    /// # Errors
    ///
    /// Whatever prevents it.
    fn read(
        &mut self,
        transaction: Xid,
        offset: u64,
        buffer: &mut [u8],
    ) -> Result<usize, SpoolError>;

    /// Forgets a transaction, whether anything of it was kept or not.
    ///
    /// # Errors
    ///
    /// Whatever prevents it.
    fn remove(&mut self, transaction: Xid) -> Result<(), SpoolError>;
}

/// Copies what lies from `offset` on, and says how much that was.
pub(super) fn copy(from: &[u8], offset: u64, buffer: &mut [u8]) -> usize {
    let rest = usize::try_from(offset).ok().and_then(|offset| from.get(offset..)).unwrap_or(&[]);
    buffer.iter_mut().zip(rest).map(|(to, from)| *to = *from).count()
}
