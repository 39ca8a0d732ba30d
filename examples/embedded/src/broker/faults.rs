//! Troubles on demand, for tests of what a client does about them.

use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// A trouble a broker can be told to have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Every reply is held back for this long.
    Delay(Duration),
    /// Once this many more bytes have been sent, to whichever clients, the connection that is
    /// being written to is cut, in the middle of a reply if need be. Happens once.
    CutAfter(u64),
    /// New connections are closed at once. Those that are open stay so.
    Refuse,
    /// Produce, fetch and offset lookups are told that another broker leads the partition.
    NotLeader,
    /// Replies to produce and fetch announce this throttle time, and the connection is not read
    /// meanwhile, as when a quota is exceeded.
    Throttle(Duration),
    /// Nothing more can be written to any file.
    DiskFull,
    /// Every flush to the disk takes this much longer. Without
    /// [`with_fsync`](super::Config::with_fsync) there are none.
    SlowFsync(Duration),
}

/// The troubles a running broker has; see [`Broker::faults`](super::Broker::faults). Clones act on
/// the same broker.
#[derive(Debug, Clone, Default)]
pub struct Faults {
    active: Arc<Mutex<Active>>,
}

#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Active {
    pub(super) delay: Duration,
    pub(super) refuse: bool,
    pub(super) not_leader: bool,
    pub(super) throttle: Duration,
    cut_after: Option<u64>,
    disk_full: bool,
    slow_fsync: Duration,
}

impl Faults {
    /// Begins a trouble. One of the same kind is replaced, others go on.
    pub fn set(&self, fault: Fault) {
        let mut active = self.lock();
        match fault {
            Fault::Delay(delay) => active.delay = delay,
            Fault::CutAfter(bytes) => active.cut_after = Some(bytes),
            Fault::Refuse => active.refuse = true,
            Fault::NotLeader => active.not_leader = true,
            Fault::Throttle(time) => active.throttle = time,
            Fault::DiskFull => active.disk_full = true,
            Fault::SlowFsync(time) => active.slow_fsync = time,
        }
    }

    /// Ends all troubles.
    pub fn clear(&self) {
        *self.lock() = Active::default();
    }

    pub(super) fn now(&self) -> Active {
        *self.lock()
    }

    /// Counts bytes about to be sent. Returns how many of them still go out when the connection
    /// has to be cut.
    pub(super) fn cut(&self, bytes: usize) -> Option<usize> {
        let mut active = self.lock();
        let left = usize::try_from(active.cut_after?).unwrap_or(usize::MAX);
        if bytes < left {
            active.cut_after = u64::try_from(left - bytes).ok();
            None
        } else {
            active.cut_after = None;
            Some(left)
        }
    }

    /// To be asked before each write to a file.
    pub(super) fn before_write(&self) -> io::Result<()> {
        if self.lock().disk_full { Err(io::ErrorKind::StorageFull.into()) } else { Ok(()) }
    }

    /// To be called before each flush.
    pub(super) fn before_sync(&self) {
        let time = self.lock().slow_fsync;
        if !time.is_zero() {
            std::thread::sleep(time);
        }
    }

    /// Apart from those of any other broker.
    pub(super) fn renew(&mut self) {
        *self = Self::default();
    }

    fn lock(&self) -> MutexGuard<'_, Active> {
        self.active.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
