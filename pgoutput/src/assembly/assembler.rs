use alloc::{
    collections::{BTreeMap, BTreeSet},
    vec::Vec,
};

use super::{
    error::{Error, ErrorKind},
    spool::Spool,
};
use crate::{
    Begin, Commit, CommitPrepared, Decoder, Lsn, Message, ProtocolVersion, StreamAbort,
    StreamCommit, StreamStart, Streaming, Xid,
};

/// Read from the spool at once; one message may be longer.
const CHUNK: usize = 64 * 1024;
/// Before each message in the spool: its length, and the (sub)transaction it belongs to.
const HEADER: usize = 8;

/// Puts transactions together; see the [module](self::super).
///
/// After an error it must be [`reset`](Self::reset), and the stream be started anew.
#[derive(Debug)]
pub struct Assembler<S> {
    decoder: Decoder,
    /// Reads what came inside of blocks.
    block_decoder: Decoder,
    spool: S,
    kept: BTreeMap<Xid, Kept>,
    current: Current,
    /// A transaction whose end is known, being given out.
    replay: Option<Replay>,
    record: Vec<u8>,
}

/// What the messages that come belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Current {
    Nothing,
    /// `B` to `C`, which goes through.
    Ordinary,
    /// `S` to `E`.
    Block(Xid),
    /// `b` to `P`.
    Preparing(Xid),
}

/// A transaction in the spool.
#[derive(Debug, Default)]
struct Kept {
    in_blocks: bool,
    /// Subtransactions that were rolled back.
    aborted: BTreeSet<Xid>,
    /// Where it was prepared.
    prepared: Option<Lsn>,
    length: u64,
}

#[derive(Debug)]
struct Replay {
    xid: Xid,
    kept: Kept,
    commit: Commit,
    /// How much of it was read into `chunk`.
    read: u64,
    chunk: Vec<u8>,
    /// Where in the chunk the next record begins.
    at: usize,
}

impl<S: Spool> Assembler<S> {
    /// For a stream started with these options.
    pub const fn new(version: ProtocolVersion, streaming: Streaming, spool: S) -> Self {
        let decoder = Decoder::new(version).with_streaming(streaming);
        Self {
            block_decoder: decoder.inside_block(),
            decoder,
            spool,
            kept: BTreeMap::new(),
            current: Current::Nothing,
            replay: None,
            record: Vec::new(),
        }
    }

    /// Takes the next message of the stream and gives the first one that can be given out, if any.
    /// Call [`next_message`](Self::next_message) until it gives none, and then this again.
    ///
    /// What comes out is as in protocol 1. A [`Logical`](Message::Logical) message that is not
    /// transactional comes out at once, between transactions.
    ///
    /// # Errors
    ///
    /// All kinds of [`ErrorKind`].
    pub fn push<'a>(&'a mut self, message: &'a [u8]) -> Result<Option<Message<'a>>, Error> {
        if self.replay.is_some() {
            return Err(Error::new(ErrorKind::Unfinished));
        }
        let decoded = self.decoder.decode(message)?;
        let letter = decoded.letter();
        let unexpected = || Err(Error::new(ErrorKind::Unexpected(letter)));
        match (self.current, decoded) {
            (Current::Nothing, Message::Begin(_)) => self.current = Current::Ordinary,
            (Current::Ordinary, Message::Commit(_)) => self.current = Current::Nothing,
            (Current::Nothing | Current::Ordinary, Message::Logical(m))
                if self.current == Current::Ordinary || !m.is_transactional() => {}
            (Current::Nothing, other) => {
                self.turn(other)?;
                return if self.replay.is_some() { self.begin() } else { Ok(None) };
            }
            (Current::Ordinary, ref change) if is_change(change) => {}
            (Current::Block(_), Message::StreamStop) => {
                self.current = Current::Nothing;
                return Ok(None);
            }
            (Current::Preparing(xid), Message::Prepare(m)) if m.xid == xid => {
                self.current = Current::Nothing;
                self.prepared(xid, m.prepare_lsn)?;
                return Ok(None);
            }
            (Current::Block(top) | Current::Preparing(top), ref change) if is_change(change) => {
                self.keep(top, xid(change).unwrap_or(top), message)?;
                return Ok(None);
            }
            _ => return unexpected(),
        }
        Ok(Some(decoded))
    }

    /// The next message of the transaction that [`push`](Self::push) has completed; none at its
    /// end.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Spool`], [`ErrorKind::Corrupt`], [`ErrorKind::Message`] for a row that came
    /// malformed.
    pub fn next_message(&mut self) -> Result<Option<Message<'_>>, Error> {
        loop {
            let Some(replay) = &mut self.replay else { return Ok(None) };
            let Some((range, xid)) = replay.next_record(&mut self.spool)? else {
                let Replay { xid, commit, .. } = *replay;
                self.replay = None;
                self.spool.remove(xid).map_err(Error::spool)?;
                return Ok(Some(Message::Commit(commit)));
            };
            if replay.kept.aborted.contains(&xid) {
                continue;
            }
            let decoder =
                if replay.kept.in_blocks { &mut self.block_decoder } else { &mut self.decoder };
            // Borrowed anew, since what was borrowed above cannot be given out of a loop.
            let Some(replay) = &self.replay else { return Ok(None) };
            let record = replay.chunk.get(range).unwrap_or_default();
            return Ok(Some(without_xid(decoder.decode(record)?)));
        }
    }

    /// Forgets everything, for a stream that is started anew.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Spool`] if it cannot forget a transaction.
    pub fn reset(&mut self) -> Result<(), Error> {
        self.decoder.reset();
        self.current = Current::Nothing;
        let replayed = self.replay.take().map(|replay| replay.xid);
        let kept = core::mem::take(&mut self.kept);
        for xid in kept.into_keys().chain(replayed) {
            self.spool.remove(xid).map_err(Error::spool)?;
        }
        Ok(())
    }

    /// The position that must not be acknowledged as long as this is so: where the oldest
    /// transaction was prepared that is neither committed nor rolled back. Acknowledged, its
    /// changes would not come again after a restart.
    #[must_use]
    pub fn oldest_prepared(&self) -> Option<Lsn> {
        self.kept.values().filter_map(|kept| kept.prepared).min()
    }

    /// How many transactions are kept.
    #[must_use]
    pub fn open_transactions(&self) -> usize {
        self.kept.len()
    }

    /// The spool.
    pub const fn spool(&self) -> &S {
        &self.spool
    }

    /// What stands between transactions.
    fn turn(&mut self, message: Message<'_>) -> Result<(), Error> {
        match message {
            Message::StreamStart(StreamStart { xid, first_segment }) => {
                match (self.kept.contains_key(&xid), first_segment) {
                    (false, true) => self.open(xid, true)?,
                    (true, false) => {}
                    (true, true) => return Err(Error::new(ErrorKind::Repeated(xid))),
                    (false, false) => return Err(unknown(xid)),
                }
                self.current = Current::Block(xid);
            }
            Message::BeginPrepare(m) => {
                self.open(m.xid, false)?;
                self.current = Current::Preparing(m.xid);
            }
            Message::StreamPrepare(m) => self.prepared(m.xid, m.prepare_lsn)?,
            Message::StreamAbort(StreamAbort { xid, subxid, .. }) if xid != subxid => {
                if let Some(kept) = self.kept.get_mut(&xid) {
                    kept.aborted.insert(subxid);
                }
            }
            Message::StreamAbort(StreamAbort { xid, .. }) => self.forget(xid)?,
            Message::RollbackPrepared(m) => self.forget(m.xid)?,
            Message::StreamCommit(StreamCommit {
                xid,
                flags,
                commit_lsn,
                end_lsn,
                commit_time,
            })
            | Message::CommitPrepared(CommitPrepared {
                xid,
                flags,
                commit_lsn,
                end_lsn,
                commit_time,
                ..
            }) => {
                let prepared = matches!(message, Message::CommitPrepared(_));
                // Looked at before it is taken out: what is refused stays, for `reset` to forget.
                let kept = self.kept.get(&xid).ok_or_else(|| unknown(xid))?;
                if kept.prepared.is_some() != prepared {
                    return Err(Error::new(ErrorKind::Unexpected(message.letter())));
                }
                let kept = self.kept.remove(&xid).unwrap_or_default();
                let commit = Commit { flags, commit_lsn, end_lsn, commit_time };
                let chunk = Vec::new();
                self.replay = Some(Replay { xid, kept, commit, read: 0, chunk, at: 0 });
            }
            other => return Err(Error::new(ErrorKind::Unexpected(other.letter()))),
        }
        Ok(())
    }

    fn begin(&self) -> Result<Option<Message<'_>>, Error> {
        Ok(self.replay.as_ref().map(|replay| {
            let Commit { commit_lsn, commit_time, .. } = replay.commit;
            Message::Begin(Begin { final_lsn: commit_lsn, commit_time, xid: replay.xid })
        }))
    }

    fn open(&mut self, xid: Xid, in_blocks: bool) -> Result<(), Error> {
        if self.kept.contains_key(&xid) {
            return Err(Error::new(ErrorKind::Repeated(xid)));
        }
        self.kept.insert(xid, Kept { in_blocks, ..Kept::default() });
        Ok(())
    }

    fn prepared(&mut self, xid: Xid, at: Lsn) -> Result<(), Error> {
        let kept = self.kept.get_mut(&xid).ok_or_else(|| unknown(xid))?;
        kept.prepared = Some(at);
        Ok(())
    }

    /// Of a transaction that was rolled back nothing need have come.
    fn forget(&mut self, xid: Xid) -> Result<(), Error> {
        match self.kept.remove(&xid) {
            Some(_) => self.spool.remove(xid).map_err(Error::spool),
            None => Ok(()),
        }
    }

    fn keep(&mut self, top: Xid, xid: Xid, message: &[u8]) -> Result<(), Error> {
        let kept = self.kept.get_mut(&top).ok_or_else(|| unknown(top))?;
        let length = u32::try_from(message.len()).map_err(|_| Error::new(ErrorKind::Corrupt))?;
        self.record.clear();
        self.record.extend_from_slice(&length.to_be_bytes());
        self.record.extend_from_slice(&xid.get().to_be_bytes());
        self.record.extend_from_slice(message);
        self.spool.append(top, &self.record).map_err(Error::spool)?;
        kept.length += u64::from(length) + HEADER as u64;
        Ok(())
    }
}

impl Replay {
    /// Where in the chunk the next message lies, and whose it is.
    fn next_record(
        &mut self,
        spool: &mut impl Spool,
    ) -> Result<Option<(core::ops::Range<usize>, Xid)>, Error> {
        let buffered = self.chunk.len().saturating_sub(self.at);
        if buffered == 0 && self.read == self.kept.length {
            return Ok(None);
        }
        self.fill(spool, HEADER)?;
        let header = self.chunk.get(self.at..).and_then(<[u8]>::first_chunk::<HEADER>);
        let [a, b, c, d, xid @ ..] = *header.ok_or_else(corrupt)?;
        // The length was that of a message in memory.
        let length = u32::from_be_bytes([a, b, c, d]) as usize;
        self.fill(spool, HEADER.saturating_add(length))?;
        let start = self.at + HEADER;
        let range = start..start + length;
        self.at = range.end;
        Ok(Some((range, Xid::new(u32::from_be_bytes(xid)))))
    }

    /// Makes sure that so many bytes lie in the chunk from `at` on.
    fn fill(&mut self, spool: &mut impl Spool, wanted: usize) -> Result<(), Error> {
        let buffered = self.chunk.len().saturating_sub(self.at);
        if buffered >= wanted {
            return Ok(());
        }
        self.chunk.drain(..self.at);
        self.at = 0;
        // Not more than is there: the length of a record is only believed so far.
        let left = usize::try_from(self.kept.length.saturating_sub(self.read));
        let room = wanted.max(CHUNK).min(buffered.saturating_add(left.unwrap_or(usize::MAX)));
        if room < wanted {
            return Err(corrupt());
        }
        self.chunk.resize(room, 0);
        let free = self.chunk.get_mut(buffered..).unwrap_or_default();
        let expected = free.len();
        let count = spool.read(self.xid, self.read, free).map_err(Error::spool)?;
        if count != expected {
            return Err(corrupt());
        }
        self.read += u64::try_from(count).unwrap_or(u64::MAX);
        Ok(())
    }
}

#[cold]
const fn unknown(xid: Xid) -> Error {
    Error::new(ErrorKind::UnknownTransaction(xid))
}

#[cold]
const fn corrupt() -> Error {
    Error::new(ErrorKind::Corrupt)
}

/// What a transaction is made of.
const fn is_change(message: &Message<'_>) -> bool {
    matches!(
        message,
        Message::Origin(_)
            | Message::Relation(_)
            | Message::Type(_)
            | Message::Insert(_)
            | Message::Update(_)
            | Message::Delete(_)
            | Message::Truncate(_)
            | Message::Logical(_)
    )
}

const fn xid(message: &Message<'_>) -> Option<Xid> {
    match message {
        Message::Relation(m) => m.xid,
        Message::Type(m) => m.xid,
        Message::Insert(m) => m.xid,
        Message::Update(m) => m.xid,
        Message::Delete(m) => m.xid,
        Message::Truncate(m) => m.xid,
        Message::Logical(m) => m.xid,
        _ => None,
    }
}

const fn without_xid(mut message: Message<'_>) -> Message<'_> {
    match &mut message {
        Message::Relation(m) => m.xid = None,
        Message::Type(m) => m.xid = None,
        Message::Insert(m) => m.xid = None,
        Message::Update(m) => m.xid = None,
        Message::Delete(m) => m.xid = None,
        Message::Truncate(m) => m.xid = None,
        Message::Logical(m) => m.xid = None,
        _ => {}
    }
    message
}
