use std::{fmt, iter::FusedIterator};

use bytes::{Buf, Bytes, BytesMut};

use super::error::Error;

/// Some CopyData messages as they came off the socket, in one block shared by reference count.
///
/// Cloning costs one count. A batch kept for long keeps its block, up to half a mebibyte shared
/// with its neighbours.
#[derive(Clone)]
pub struct Batch {
    /// Whole messages: `d`, length, body.
    bytes: Bytes,
}

impl Batch {
    /// The bodies of the messages, in order: for [`Frame::decode`](crate::replication::Frame) of a
    /// stream, for [`CopyDecoder`](crate::copy::CopyDecoder) of a COPY.
    #[inline]
    pub fn frames(&self) -> Frames<'_> {
        Frames { rest: &self.bytes }
    }

    /// The size of the batch, with 5 bytes of header for each message.
    #[inline]
    #[must_use]
    pub const fn len_bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Takes the whole CopyData messages at the front of what was read, if there are any.
    pub(super) fn take(inbox: &mut BytesMut) -> Result<Option<Self>, Error> {
        let mut frames = Frames { rest: inbox };
        while frames.next().is_some() {}
        let taken = inbox.len() - frames.rest.len();
        if taken == 0 {
            return Ok(None);
        }
        Ok(Some(Self { bytes: inbox.split_to(taken).freeze() }))
    }
}

impl fmt::Debug for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Batch")
            .field("frames", &self.frames().count())
            .field("len_bytes", &self.len_bytes())
            .finish()
    }
}

/// The bodies of the CopyData messages of a [`Batch`], in order.
#[derive(Debug, Clone)]
#[must_use = "iterators do nothing until read"]
pub struct Frames<'a> {
    rest: &'a [u8],
}

impl<'a> Iterator for Frames<'a> {
    type Item = &'a [u8];

    /// Stops at the first thing that is not a whole CopyData message, which in a batch is its end.
    #[inline]
    fn next(&mut self) -> Option<&'a [u8]> {
        let ([tag, length @ ..], rest) = self.rest.split_first_chunk::<5>()?;
        if *tag != b'd' {
            return None;
        }
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?.checked_sub(4)?;
        let (body, rest) = rest.split_at_checked(length)?;
        self.rest = rest;
        Some(body)
    }
}

impl FusedIterator for Frames<'_> {}

/// Takes the message at the front of what was read, if it is whole.
pub(super) fn take_message(inbox: &mut BytesMut) -> Result<Option<(u8, Bytes)>, Error> {
    let Some(([tag, length @ ..], rest)) = inbox.split_first_chunk::<5>() else { return Ok(None) };
    let tag = *tag;
    let length = body_length(*length)?;
    if rest.len() < length {
        return Ok(None);
    }
    inbox.advance(5);
    Ok(Some((tag, inbox.split_to(length).freeze())))
}

/// Refuses a length that no server sends, before waiting for that many bytes.
pub(super) fn check_front(inbox: &BytesMut) -> Result<(), Error> {
    match inbox.split_first_chunk::<5>() {
        Some(([_, length @ ..], _)) => body_length(*length).map(drop),
        None => Ok(()),
    }
}

fn body_length(length: [u8; 4]) -> Result<usize, Error> {
    const LARGEST: u32 = 0x4000_0000;
    let length = u32::from_be_bytes(length);
    if !(4..=LARGEST).contains(&length) {
        return Err(Error::protocol("impossible length of a message"));
    }
    usize::try_from(length - 4).map_err(|_| Error::protocol("impossible length of a message"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn takes_whole_messages_only() {
        let stream = b"d\0\0\0\x06abd\0\0\0\x04d\0\0\0\x05cC\0\0\0\x06x\0d\0\0\0\x05z";
        for cut in 0..=stream.len() {
            let mut inbox = BytesMut::from(&stream[..cut]);
            let whole = [7, 12, 18].into_iter().filter(|&end| end <= cut).max().unwrap_or(0);
            match Batch::take(&mut inbox).unwrap() {
                Some(batch) => assert_eq!(batch.len_bytes(), whole),
                None => assert_eq!(whole, 0),
            }
            assert_eq!(inbox.len(), cut - whole);
        }
        let mut inbox = BytesMut::from(&stream[..]);
        let batch = Batch::take(&mut inbox).unwrap().unwrap();
        assert_eq!(batch.frames().collect::<Vec<_>>(), [&b"ab"[..], b"", b"c"]);
        let (tag, body) = take_message(&mut inbox).unwrap().unwrap();
        assert_eq!((tag, &body[..]), (b'C', &b"x\0"[..]));
        assert_eq!(Batch::take(&mut inbox).unwrap().unwrap().frames().count(), 1);
    }

    #[test]
    fn refuses_impossible_lengths() {
        for bad in [&b"d\0\0\0\x03"[..], b"d\xFF\xFF\xFF\xFF", b"Z\x40\0\0\x01", b"d\0\0\0\0"] {
            assert!(check_front(&BytesMut::from(bad)).is_err());
            assert!(take_message(&mut BytesMut::from(bad)).is_err());
        }
    }
}
