//! What one would write by hand for the 12 columns of the scenario and nothing else: text in, a
//! framed key and envelope out. No options, no errors worth the name.
#![allow(dead_code, reason = "one bench uses it")]

use std::io::Write as _;

use avro_wire::primitive::{write_boolean, write_bytes, write_long, write_string};
use debezium_model::SourceBlock;
use pgoutput::Column;

fn text<'a>(column: &Column<'a>) -> Option<&'a str> {
    match column {
        Column::Text(bytes) => Some(std::str::from_utf8(bytes).unwrap()),
        _ => None,
    }
}

fn long(column: &Column<'_>) -> i64 {
    text(column).unwrap().parse().unwrap()
}

fn optional<'a>(column: &Column<'a>, out: &mut Vec<u8>) -> Option<&'a str> {
    let text = text(column);
    out.push(if text.is_some() { 2 } else { 0 });
    text
}

fn number(digits: &[u8]) -> i64 {
    digits.iter().fold(0, |number, digit| {
        assert!(digit.is_ascii_digit());
        number * 10 + i64::from(digit - b'0')
    })
}

/// A numeric(12,2): at most 64 bits.
fn decimal(text: &str, out: &mut Vec<u8>) {
    let (sign, text) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "00"));
    let unscaled = sign * (number(whole.as_bytes()) * 100 + number(fraction.as_bytes()));
    let bytes = unscaled.to_be_bytes();
    let mut from = 0;
    while from < 7
        && (bytes[from] == 0 && bytes[from + 1] < 0x80
            || bytes[from] == 0xff && bytes[from + 1] >= 0x80)
    {
        from += 1;
    }
    write_bytes(&bytes[from..], out);
}

/// `2024-05-06 07:08:09.123456` and, where there is one, a zone that is UTC.
fn micros(text: &str) -> i64 {
    let bytes = text.as_bytes();
    let (year, month, day) = (number(&bytes[..4]), number(&bytes[5..7]), number(&bytes[8..10]));
    assert!((1..=12).contains(&month) && (1..=31).contains(&day));
    let time = (number(&bytes[11..13]) * 60 + number(&bytes[14..16])) * 60 + number(&bytes[17..19]);
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day;
    let mut fraction = 0;
    if bytes.get(19) == Some(&b'.') {
        let digits = &bytes[20..];
        fraction = number(digits) * 10_i64.pow(6 - u32::try_from(digits.len()).unwrap());
    }
    ((days - 719_469) * 86_400 + time) * 1_000_000 + fraction
}

fn zoned(text: &str, out: &mut Vec<u8>) {
    let text = text.strip_suffix("+00").unwrap();
    let mut iso = *b"0000-00-00T00:00:00.000000Z";
    iso[..text.len()].copy_from_slice(text.as_bytes());
    iso[10] = b'T';
    write_bytes(&iso, out);
}

/// A text[] without nulls.
fn tags(text: &str, room: &mut Vec<u8>, out: &mut Vec<u8>) {
    let mut rest = &text.as_bytes()[1..text.len() - 1];
    let mut count = 0;
    room.clear();
    while let Some(first) = rest.first() {
        count += 1;
        room.push(2);
        if *first == b'"' {
            let mut item = Vec::new();
            let mut bytes = rest[1..].iter();
            while let Some(byte) = bytes.next() {
                match byte {
                    b'"' => break,
                    b'\\' => item.extend(bytes.next()),
                    byte => item.push(*byte),
                }
            }
            write_bytes(&item, room);
            rest = bytes.as_slice();
        } else {
            let end = rest.iter().position(|byte| *byte == b',').unwrap_or(rest.len());
            write_bytes(&rest[..end], room);
            rest = &rest[end..];
        }
        rest = rest.get(1..).unwrap_or_default();
    }
    if count > 0 {
        write_long(count, out);
        out.extend_from_slice(room);
    }
    out.push(0);
}

/// The framed key and value of an inserted row.
pub(crate) fn insert(
    row: &[Column<'_>],
    source: &SourceBlock<'_>,
    key: &mut Vec<u8>,
    value: &mut Vec<u8>,
    room: &mut Vec<u8>,
) {
    key.clear();
    key.extend_from_slice(&[0, 0, 0, 0, 1]);
    write_long(long(&row[0]), key);

    value.clear();
    value.extend_from_slice(&[0, 0, 0, 0, 2, 0, 2]);
    write_long(long(&row[0]), value);
    write_long(long(&row[1]), value);
    if let Some(text) = optional(&row[2], value) {
        write_long(text.parse().unwrap(), value);
    }
    if let Some(text) = optional(&row[3], value) {
        write_string(text, value);
    }
    if let Some(text) = optional(&row[4], value) {
        decimal(text, value);
    }
    write_string(text(&row[5]).unwrap(), value);
    zoned(text(&row[6]).unwrap(), value);
    if let Some(text) = optional(&row[7], value) {
        write_long(micros(text), value);
    }
    write_boolean(text(&row[8]).unwrap() == "t", value);
    if let Some(text) = optional(&row[9], value) {
        tags(text, room, value);
    }
    for column in &row[10..] {
        if let Some(text) = optional(column, value) {
            write_string(text, value);
        }
    }

    write_string(source.version, value);
    write_string("postgresql", value);
    write_string("cdc", value);
    write_long(source.ts_us.div_euclid(1000), value);
    value.push(0);
    write_string("false", value);
    write_string(source.db, value);
    value.push(2);
    room.clear();
    write!(room, "[\"{}\",\"{}\"]", source.last_commit_lsn.unwrap(), source.lsn).unwrap();
    write_bytes(room, value);
    for time in [source.ts_us, source.ts_us * 1000] {
        value.push(2);
        write_long(time, value);
    }
    write_string("ods", value);
    write_string("cdc_events", value);
    for number in [i64::from(source.tx_id.unwrap()), source.lsn.cast_signed()] {
        value.push(2);
        write_long(number, value);
    }
    value.extend_from_slice(&[0; 4]);
    write_string("c", value);
    let now = source.processed_ns;
    for time in [now.div_euclid(1_000_000), now.div_euclid(1000), now] {
        value.push(2);
        write_long(time, value);
    }
}
