//! The fixed head of a record batch, the unit in which records are stored and served.
//!
//! | offset | size | field |
//! |---|---|---|
//! | 0 | 8 | offset of the first record |
//! | 8 | 4 | bytes that follow this field |
//! | 12 | 4 | partition leader epoch |
//! | 16 | 1 | magic, 2 |
//! | 17 | 4 | CRC-32C of everything from offset 21 on |
//! | 21 | 2 | attributes: bits 0-2 compression, 3 timestamp type, 4 transactional, 5 control |
//! | 23 | 4 | offset of the last record less that of the first |
//! | 27 | 8 | timestamp of the first record, milliseconds since 1970 |
//! | 35 | 8 | highest timestamp |
//! | 43 | 8 | producer id, -1 for none |
//! | 51 | 2 | producer epoch |
//! | 53 | 4 | sequence number of the first record |
//! | 57 | 4 | number of records |
//!
//! The first sixteen bytes are outside the checksum: the broker fills in the offset and the epoch
//! without touching the rest.

use bytes::{Buf as _, BufMut as _};
use kafka_protocol::ResponseError;

/// Bytes of the head.
pub(super) const HEADER_LEN: usize = 61;
/// Epoch written into each batch: a single node never changes its leader.
pub(super) const LEADER_EPOCH: i32 = 0;

const MAGIC_OFFSET: usize = 16;
const CRC_START: usize = 21;
/// Bytes in front of the part that the length field counts.
const LENGTH_END: usize = 12;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BatchHeader {
    pub(super) base_offset: i64,
    /// Bytes of the whole batch, head included.
    pub(super) len: usize,
    pub(super) crc: u32,
    pub(super) attributes: i16,
    pub(super) last_offset_delta: i32,
    pub(super) base_timestamp: i64,
    pub(super) max_timestamp: i64,
    pub(super) producer_id: i64,
    pub(super) producer_epoch: i16,
    pub(super) base_sequence: i32,
    pub(super) record_count: i32,
}

impl BatchHeader {
    /// Reads the head at the start of `bytes`, which may be shorter or longer than the batch.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, ResponseError> {
        // Older message formats have their magic at the same place, so look before the length.
        match bytes.get(MAGIC_OFFSET) {
            Some(2) => {}
            Some(0 | 1) => return Err(ResponseError::UnsupportedForMessageFormat),
            _ => return Err(ResponseError::CorruptMessage),
        }
        let mut head: &[u8] =
            bytes.first_chunk::<HEADER_LEN>().ok_or(ResponseError::CorruptMessage)?;
        let base_offset = head.get_i64();
        let length = usize::try_from(head.get_i32()).map_err(|_| ResponseError::CorruptMessage)?;
        let len = length + LENGTH_END;
        if len < HEADER_LEN {
            return Err(ResponseError::CorruptMessage);
        }
        let _epoch = head.get_i32();
        let _magic = head.get_i8();
        let header = Self {
            base_offset,
            len,
            crc: head.get_u32(),
            attributes: head.get_i16(),
            last_offset_delta: head.get_i32(),
            base_timestamp: head.get_i64(),
            max_timestamp: head.get_i64(),
            producer_id: head.get_i64(),
            producer_epoch: head.get_i16(),
            base_sequence: head.get_i32(),
            record_count: head.get_i32(),
        };
        if header.last_offset_delta < 0 || header.record_count < 0 {
            return Err(ResponseError::CorruptMessage);
        }
        Ok(header)
    }

    /// Whether `batch`, which is exactly this batch, has the checksum its head promises.
    pub(super) fn is_intact(&self, batch: &[u8]) -> bool {
        batch.len() == self.len
            && batch.get(CRC_START..).is_some_and(|covered| crc32c::crc32c(covered) == self.crc)
    }

    /// Checks what a producer sent: one whole batch that it may write.
    pub(super) fn accept(batch: &[u8]) -> Result<Self, ResponseError> {
        let header = Self::parse(batch)?;
        if header.len < batch.len() {
            // A request carries one batch for each partition.
            return Err(ResponseError::InvalidRecord);
        }
        if !header.is_intact(batch) {
            return Err(ResponseError::CorruptMessage);
        }
        let in_step = header.last_offset_delta.checked_add(1) == Some(header.record_count);
        let sequenced =
            header.producer_id < 0 || (header.base_sequence >= 0 && header.producer_epoch >= 0);
        if !in_step || !sequenced || header.is_control() || header.compression() > MAX_COMPRESSION {
            return Err(ResponseError::InvalidRecord);
        }
        if header.is_transactional() && header.producer_id < 0 {
            return Err(ResponseError::InvalidRecord);
        }
        Ok(header)
    }

    /// Offset after the last record.
    pub(super) fn next_offset(&self) -> i64 {
        self.base_offset.saturating_add(i64::from(self.last_offset_delta)).saturating_add(1)
    }

    pub(super) const fn compression(&self) -> i16 {
        self.attributes & 0b111
    }

    pub(super) const fn is_transactional(&self) -> bool {
        self.attributes & TRANSACTIONAL != 0
    }

    pub(super) const fn is_control(&self) -> bool {
        self.attributes & CONTROL != 0
    }
}

/// Writes the base offset and the leader epoch into the first bytes of a batch.
pub(super) fn stamp(batch: &mut [u8], base_offset: i64) {
    if let Some(field) = batch.get_mut(..8) {
        field.copy_from_slice(&base_offset.to_be_bytes());
    }
    if let Some(field) = batch.get_mut(LENGTH_END..MAGIC_OFFSET) {
        field.copy_from_slice(&LEADER_EPOCH.to_be_bytes());
    }
}

/// Writes length, highest timestamp and number of records into the head of a whole batch, and the
/// checksum that then is right, which is returned.
pub(super) fn reseal(batch: &mut [u8], max_timestamp: i64, record_count: i32) -> Option<u32> {
    let length = i32::try_from(batch.len().checked_sub(LENGTH_END)?).ok()?;
    batch.get_mut(8..LENGTH_END)?.copy_from_slice(&length.to_be_bytes());
    batch.get_mut(35..43)?.copy_from_slice(&max_timestamp.to_be_bytes());
    batch.get_mut(57..HEADER_LEN)?.copy_from_slice(&record_count.to_be_bytes());
    let crc = crc32c::crc32c(batch.get(CRC_START..)?);
    batch.get_mut(17..CRC_START)?.copy_from_slice(&crc.to_be_bytes());
    Some(crc)
}

/// How a transaction ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Commit,
    Abort,
}

/// The batch that ends a producer's transaction in a partition: one record whose key is a version
/// and a type (0 abort, 1 commit), and whose value is a version and the coordinator's epoch.
pub(super) fn marker(
    producer_id: i64,
    producer_epoch: i16,
    outcome: Outcome,
    now: i64,
) -> (BatchHeader, Vec<u8>) {
    let kind = match outcome {
        Outcome::Abort => 0,
        Outcome::Commit => 1,
    };
    // Length 16, attributes, both deltas; key of 4 bytes, value of 6; no headers. In zigzag.
    let record = [32, 0, 0, 0, 8, 0, 0, 0, kind, 12, 0, 0, 0, 0, 0, 0, 0];
    let attributes = TRANSACTIONAL | CONTROL;
    let mut covered = Vec::new();
    covered.put_i16(attributes);
    covered.put_i32(0);
    covered.put_i64(now);
    covered.put_i64(now);
    covered.put_i64(producer_id);
    covered.put_i16(producer_epoch);
    covered.put_i32(-1);
    covered.put_i32(1);
    covered.put_slice(&record);
    let crc = crc32c::crc32c(&covered);
    let len = CRC_START + covered.len();
    let mut batch = Vec::with_capacity(len);
    batch.put_i64(0);
    batch.put_i32(i32::try_from(len - LENGTH_END).unwrap_or(i32::MAX));
    batch.put_i32(LEADER_EPOCH);
    batch.put_i8(2);
    batch.put_u32(crc);
    batch.put_slice(&covered);
    let header = BatchHeader {
        base_offset: 0,
        len,
        crc,
        attributes,
        last_offset_delta: 0,
        base_timestamp: now,
        max_timestamp: now,
        producer_id,
        producer_epoch,
        base_sequence: -1,
        record_count: 1,
    };
    (header, batch)
}

/// What a control batch says; `None` for control batches of other kinds.
pub(super) fn outcome(batch: &[u8]) -> Option<Outcome> {
    let mut records = batch.get(HEADER_LEN..)?;
    let mut record = split_record(&mut records)?.get(1..)?;
    let (_timestamp, _offset) = (zigzag(&mut record)?, zigzag(&mut record)?);
    let _key_length = zigzag(&mut record)?;
    match record.get(..4)? {
        [_, _, 0, 0] => Some(Outcome::Abort),
        [_, _, 0, 1] => Some(Outcome::Commit),
        _ => None,
    }
}

/// Offset after the last of these whole batches.
pub(super) fn end_offset(mut batches: &[u8]) -> Option<i64> {
    let mut end = None;
    while let Ok(header) = BatchHeader::parse(batches) {
        end = Some(header.next_offset());
        batches = batches.get(header.len..)?;
    }
    end
}

/// How many leading bytes of `bytes` are whole batches.
pub(super) fn whole_batches(bytes: &[u8]) -> usize {
    let mut end = 0;
    while let Some(rest) = bytes.get(end..) {
        match BatchHeader::parse(rest) {
            Ok(header) if header.len <= rest.len() => end += header.len,
            _ => break,
        }
    }
    end
}

/// The first record of an uncompressed batch whose timestamp is at least `since`, as offset and
/// timestamp. A compressed batch answers with its first record, which is never too late.
pub(super) fn first_since(header: &BatchHeader, batch: &[u8], since: i64) -> (i64, i64) {
    let fallback = (header.base_offset, header.base_timestamp);
    if header.compression() != 0 {
        return fallback;
    }
    let mut records = batch.get(HEADER_LEN..).unwrap_or_default();
    for _ in 0..header.record_count {
        let Some(mut record) = split_record(&mut records) else { break };
        let Some((timestamp_delta, offset_delta)) = record_deltas(&mut record) else { break };
        let timestamp = header.base_timestamp.saturating_add(timestamp_delta);
        if timestamp >= since {
            return (header.base_offset.saturating_add(offset_delta), timestamp);
        }
    }
    fallback
}

pub(super) fn split_record<'a>(records: &mut &'a [u8]) -> Option<&'a [u8]> {
    let len = usize::try_from(zigzag(records)?).ok()?;
    let (record, rest) = records.split_at_checked(len)?;
    *records = rest;
    Some(record)
}

/// Of the timestamp and of the offset, at the start of what [`split_record`] gives.
pub(super) fn record_deltas(record: &mut &[u8]) -> Option<(i64, i64)> {
    let (_attributes, rest) = record.split_first()?;
    *record = rest;
    Some((zigzag(record)?, zigzag(record)?))
}

pub(super) fn zigzag(bytes: &mut &[u8]) -> Option<i64> {
    let mut value = 0u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some((value >> 1).cast_signed() ^ -(value & 1).cast_signed());
        }
    }
    None
}

const TRANSACTIONAL: i16 = 1 << 4;
const CONTROL: i16 = 1 << 5;
/// zstd has the highest code.
const MAX_COMPRESSION: i16 = 4;
