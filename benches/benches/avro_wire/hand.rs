//! Straight-line code for this one schema: what a generator could at best write in safe Rust.

use avro_wire::primitive::{Reader, write_boolean, write_bytes, write_long, write_string};
use avro_wire::{Error, Scalar};

use crate::envelope::{Blob, Block, Borrowed, BorrowedRow, Envelope, Row, Source};

pub(crate) fn encode(envelope: &Borrowed<'_>, out: &mut Vec<u8>) {
    optional(envelope.before.as_ref(), out, encode_row);
    optional(envelope.after.as_ref(), out, encode_row);
    encode_source(&envelope.source, out);
    optional(envelope.transaction.as_ref(), out, |block, out| {
        write_string(block.id, out);
        write_long(block.total_order, out);
        write_long(block.data_collection_order, out);
    });
    write_string(envelope.op, out);
    optional(envelope.ts_ms, out, write_long);
    optional(envelope.ts_us, out, write_long);
    optional(envelope.ts_ns, out, write_long);
}

fn encode_row(row: &BorrowedRow<'_>, out: &mut Vec<u8>) {
    write_long(row.event_id, out);
    write_long(row.customer_id, out);
    optional(row.order_id, out, write_long);
    optional(row.employee, out, write_string);
    optional(row.amount.as_ref(), out, |amount, out| write_bytes(amount.0, out));
    write_string(row.status, out);
    write_string(row.created_at, out);
    optional(row.updated_at, out, write_long);
    write_boolean(row.is_active, out);
    optional(row.tags.as_ref(), out, |tags, out| {
        if !tags.is_empty() {
            write_long(i64::try_from(tags.len()).unwrap_or(i64::MAX), out);
        }
        for tag in tags {
            optional(*tag, out, write_string);
        }
        out.push(0);
    });
    optional(row.ext_ref, out, write_string);
    optional(row.note, out, write_string);
}

#[inline]
fn encode_source(source: &Source<&str>, out: &mut Vec<u8>) {
    write_string(source.version, out);
    write_string(source.connector, out);
    write_string(source.name, out);
    write_long(source.ts_ms, out);
    match source.snapshot {
        Some(snapshot) => {
            out.push(0);
            write_string(snapshot, out);
        }
        None => out.push(2),
    }
    write_string(source.db, out);
    optional(source.sequence, out, write_string);
    optional(source.ts_us, out, write_long);
    optional(source.ts_ns, out, write_long);
    write_string(source.schema, out);
    write_string(source.table, out);
    optional(source.tx_id, out, write_long);
    optional(source.lsn, out, write_long);
    optional(source.xmin, out, write_long);
    optional(source.origin, out, write_string);
    optional(source.origin_lsn, out, write_long);
}

#[inline]
fn optional<T>(value: Option<T>, out: &mut Vec<u8>, write: impl Fn(T, &mut Vec<u8>)) {
    match value {
        Some(value) => {
            out.push(2);
            write(value, out);
        }
        None => out.push(0),
    }
}

/// Into the same struct as the decoders for serde.
pub(crate) fn decode(datum: &[u8]) -> Result<Borrowed<'_>, Error> {
    let r = &mut Reader::new(datum);
    let envelope = Envelope {
        before: if is_some(r)? { Some(decode_row(r)?) } else { None },
        after: if is_some(r)? { Some(decode_row(r)?) } else { None },
        source: decode_source(r)?,
        transaction: if is_some(r)? {
            Some(Block {
                id: r.read_str()?,
                total_order: r.read_long()?,
                data_collection_order: r.read_long()?,
            })
        } else {
            None
        },
        op: r.read_str()?,
        ts_ms: long(r)?,
        ts_us: long(r)?,
        ts_ns: long(r)?,
    };
    r.finish()?;
    Ok(envelope)
}

fn decode_row<'a>(r: &mut Reader<'a>) -> Result<BorrowedRow<'a>, Error> {
    Ok(Row {
        event_id: r.read_long()?,
        customer_id: r.read_long()?,
        order_id: long(r)?,
        employee: string(r)?,
        amount: if is_some(r)? { Some(Blob(r.read_bytes()?)) } else { None },
        status: r.read_str()?,
        created_at: r.read_str()?,
        updated_at: long(r)?,
        is_active: r.read_boolean()?,
        tags: if is_some(r)? { Some(tags(r)?) } else { None },
        ext_ref: string(r)?,
        note: string(r)?,
    })
}

fn tags<'a>(r: &mut Reader<'a>) -> Result<Vec<Option<&'a str>>, Error> {
    let mut tags = Vec::new();
    loop {
        let count = block(r)?;
        if count == 0 {
            return Ok(tags);
        }
        for _ in 0..count {
            tags.push(string(r)?);
        }
    }
}

#[inline]
fn decode_source<'a>(r: &mut Reader<'a>) -> Result<Source<&'a str>, Error> {
    Ok(Source {
        version: r.read_str()?,
        connector: r.read_str()?,
        name: r.read_str()?,
        ts_ms: r.read_long()?,
        snapshot: if is_some(r)? { None } else { Some(r.read_str()?) },
        db: r.read_str()?,
        sequence: string(r)?,
        ts_us: long(r)?,
        ts_ns: long(r)?,
        schema: r.read_str()?,
        table: r.read_str()?,
        tx_id: long(r)?,
        lsn: long(r)?,
        xmin: long(r)?,
        origin: string(r)?,
        origin_lsn: long(r)?,
    })
}

/// Into the same flat row as `RowCodec`: the fields of records one after the other, a column in
/// front of each optional record, arrays as their bytes.
pub(crate) fn decode_flat<'a>(datum: &'a [u8], row: &mut Vec<Scalar<'a>>) -> Result<(), Error> {
    row.clear();
    row.reserve(50);
    let r = &mut Reader::new(datum);
    flat_row(r, row)?;
    flat_row(r, row)?;
    row.push(Scalar::String(r.read_str()?));
    row.push(Scalar::String(r.read_str()?));
    row.push(Scalar::String(r.read_str()?));
    row.push(Scalar::Long(r.read_long()?));
    row.push(if is_some(r)? { Scalar::Null } else { Scalar::String(r.read_str()?) });
    row.push(Scalar::String(r.read_str()?));
    row.push(flat_string(r)?);
    row.push(flat_long(r)?);
    row.push(flat_long(r)?);
    row.push(Scalar::String(r.read_str()?));
    row.push(Scalar::String(r.read_str()?));
    row.push(flat_long(r)?);
    row.push(flat_long(r)?);
    row.push(flat_long(r)?);
    row.push(flat_string(r)?);
    row.push(flat_long(r)?);
    if is_some(r)? {
        row.push(Scalar::Boolean(true));
        row.push(Scalar::String(r.read_str()?));
        row.push(Scalar::Long(r.read_long()?));
        row.push(Scalar::Long(r.read_long()?));
    } else {
        row.resize(row.len() + 4, Scalar::Null);
    }
    row.push(Scalar::String(r.read_str()?));
    row.push(flat_long(r)?);
    row.push(flat_long(r)?);
    row.push(flat_long(r)?);
    r.finish()
}

fn flat_row<'a>(r: &mut Reader<'a>, row: &mut Vec<Scalar<'a>>) -> Result<(), Error> {
    if !is_some(r)? {
        row.resize(row.len() + 13, Scalar::Null);
        return Ok(());
    }
    row.push(Scalar::Boolean(true));
    row.push(Scalar::Long(r.read_long()?));
    row.push(Scalar::Long(r.read_long()?));
    row.push(flat_long(r)?);
    row.push(flat_string(r)?);
    row.push(if is_some(r)? { Scalar::Bytes(r.read_bytes()?) } else { Scalar::Null });
    row.push(Scalar::String(r.read_str()?));
    row.push(Scalar::String(r.read_str()?));
    row.push(flat_long(r)?);
    row.push(Scalar::Boolean(r.read_boolean()?));
    row.push(flat_tags(r)?);
    row.push(flat_string(r)?);
    row.push(flat_string(r)?);
    Ok(())
}

fn flat_tags<'a>(r: &mut Reader<'a>) -> Result<Scalar<'a>, Error> {
    let start = r.rest();
    if is_some(r)? {
        loop {
            let count = block(r)?;
            if count == 0 {
                break;
            }
            for _ in 0..count {
                if is_some(r)? {
                    r.read_bytes()?;
                }
            }
        }
    }
    Ok(Scalar::Bytes(&start[..start.len() - r.rest().len()]))
}

#[inline]
fn is_some(r: &mut Reader<'_>) -> Result<bool, Error> {
    match r.read_long()? {
        0 => Ok(false),
        1 => Ok(true),
        // Any error will do.
        _ => Reader::new(&[]).read_boolean(),
    }
}

#[inline]
fn block(r: &mut Reader<'_>) -> Result<u64, Error> {
    let count = r.read_long()?;
    if count < 0 {
        r.read_long()?;
    }
    Ok(count.unsigned_abs())
}

#[inline]
fn long(r: &mut Reader<'_>) -> Result<Option<i64>, Error> {
    Ok(if is_some(r)? { Some(r.read_long()?) } else { None })
}

#[inline]
fn string<'a>(r: &mut Reader<'a>) -> Result<Option<&'a str>, Error> {
    Ok(if is_some(r)? { Some(r.read_str()?) } else { None })
}

#[inline]
fn flat_long<'a>(r: &mut Reader<'a>) -> Result<Scalar<'a>, Error> {
    Ok(if is_some(r)? { Scalar::Long(r.read_long()?) } else { Scalar::Null })
}

#[inline]
fn flat_string<'a>(r: &mut Reader<'a>) -> Result<Scalar<'a>, Error> {
    Ok(if is_some(r)? { Scalar::String(r.read_str()?) } else { Scalar::Null })
}
