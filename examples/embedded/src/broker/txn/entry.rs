//! A transaction in the journal, each time as a whole.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _};

use super::state::{Owner, Phase, Transaction};
use crate::broker::batch::Outcome;
use crate::broker::group::Committed;
use crate::broker::journal::{put_entry, put_text, text};

pub(super) fn write(transaction: &Transaction, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    body.put_u8(LAYOUT);
    put_text(&mut body, &transaction.id);
    body.put_i64(transaction.owner.producer_id);
    body.put_i16(transaction.owner.epoch);
    body.put_i32(transaction.timeout_ms);
    body.put_u8(match transaction.phase {
        Phase::Empty => 0,
        Phase::Ongoing => 1,
        Phase::Decided(Outcome::Commit) => 2,
        Phase::Decided(Outcome::Abort) => 3,
        Phase::Done(Outcome::Commit) => 4,
        Phase::Done(Outcome::Abort) => 5,
    });
    body.put_i64(transaction.began_ms);
    put_count(&mut body, transaction.partitions.len());
    for (topic, partition) in &transaction.partitions {
        put_text(&mut body, topic);
        body.put_i32(*partition);
    }
    put_count(&mut body, transaction.offsets.len());
    for (group, offsets) in &transaction.offsets {
        put_text(&mut body, group);
        put_count(&mut body, offsets.len());
        for ((topic, partition), committed) in offsets {
            put_text(&mut body, topic);
            body.put_i32(*partition);
            body.put_i64(committed.offset);
            body.put_i32(committed.leader_epoch);
            put_text(&mut body, &committed.metadata);
        }
    }
    put_entry(out, &body);
}

pub(super) fn read(mut body: &[u8]) -> Option<Transaction> {
    let body = &mut body;
    if body.try_get_u8().ok()? != LAYOUT {
        return None;
    }
    let id = text(body)?;
    let owner = Owner { producer_id: body.try_get_i64().ok()?, epoch: body.try_get_i16().ok()? };
    let mut transaction = Transaction::new(id, owner, body.try_get_i32().ok()?);
    transaction.phase = match body.try_get_u8().ok()? {
        0 => Phase::Empty,
        1 => Phase::Ongoing,
        2 => Phase::Decided(Outcome::Commit),
        3 => Phase::Decided(Outcome::Abort),
        4 => Phase::Done(Outcome::Commit),
        5 => Phase::Done(Outcome::Abort),
        _ => return None,
    };
    transaction.began_ms = body.try_get_i64().ok()?;
    for _ in 0..body.try_get_u32().ok()? {
        transaction.partitions.insert((text(body)?, body.try_get_i32().ok()?));
    }
    for _ in 0..body.try_get_u32().ok()? {
        let group = text(body)?;
        let mut offsets = BTreeMap::new();
        for _ in 0..body.try_get_u32().ok()? {
            let place = (text(body)?, body.try_get_i32().ok()?);
            let committed = Committed {
                offset: body.try_get_i64().ok()?,
                leader_epoch: body.try_get_i32().ok()?,
                metadata: text(body)?,
            };
            offsets.insert(place, committed);
        }
        transaction.offsets.insert(group, offsets);
    }
    Some(transaction)
}

fn put_count(out: &mut Vec<u8>, count: usize) {
    out.put_u32(u32::try_from(count).unwrap_or(u32::MAX));
}

const LAYOUT: u8 = 1;

#[cfg(test)]
mod tests {
    use super::*;
    use kafka_protocol::protocol::StrBytes;

    #[test]
    fn every_phase_comes_back_and_a_short_entry_is_refused() {
        let name = StrBytes::from_static_str;
        let owner = Owner { producer_id: 7, epoch: 3 };
        let mut transaction = Transaction::new(name("id"), owner, 60_000);
        transaction.began_ms = 5;
        transaction.partitions.insert((name("t"), 1));
        let committed = Committed { offset: 9, leader_epoch: -1, metadata: name("m") };
        transaction.offsets.entry(name("g")).or_default().insert((name("t"), 0), committed);
        let outcomes = [Outcome::Commit, Outcome::Abort];
        let mut phases = vec![Phase::Empty, Phase::Ongoing];
        phases.extend(outcomes.map(Phase::Decided));
        phases.extend(outcomes.map(Phase::Done));
        for phase in phases {
            transaction.phase = phase;
            let mut entry = Vec::new();
            write(&transaction, &mut entry);
            let body = &entry[8..];
            assert_eq!(read(body).as_ref(), Some(&transaction));
            for len in 0..body.len() {
                assert_eq!(read(&body[..len]), None);
            }
        }
    }
}
