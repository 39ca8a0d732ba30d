use super::*;
use crate::broker::batch;
use crate::broker::group::Committed;
use crate::broker::partition::Isolation;
use crate::broker::settings::Settings;

fn name(text: &'static str) -> StrBytes {
    StrBytes::from_static_str(text)
}

fn open(dir: &std::path::Path) -> Node {
    Node::open(Config::new(dir), "localhost", 1).unwrap()
}

/// A batch of one record in a transaction: a marker that says it is none.
fn records(owner: Owner) -> Vec<u8> {
    let (_, mut bytes) = batch::marker(owner.producer_id, owner.epoch, Outcome::Commit, 0);
    bytes[21..23].copy_from_slice(&(1i16 << 4).to_be_bytes());
    bytes[53..57].copy_from_slice(&0i32.to_be_bytes());
    let crc = crc32c::crc32c(&bytes[21..]);
    bytes[17..21].copy_from_slice(&crc.to_be_bytes());
    bytes
}

/// Begins a transaction with a record and an offset.
fn begin(node: &Node) -> Owner {
    let owner = node.transactions.init(node, &name("id"), 60_000, None).unwrap();
    let transactions = &node.transactions;
    transactions.add_partitions(&name("id"), owner, &[(name("t"), 0)]).unwrap();
    let partition = node.topics.get("t").unwrap().partition(0).unwrap().clone();
    let batch = records(owner);
    transactions.write_in(owner, "t", 0, || partition.append(&batch, 1000)).unwrap();
    transactions.add_group(&name("id"), owner, &name("g")).unwrap();
    let committed = Committed { offset: 7, leader_epoch: -1, metadata: name("") };
    let commit = Commit { topic: name("t"), partition: 0, committed };
    transactions.add_offsets(&name("id"), owner, &name("g"), vec![commit]).unwrap();
    owner
}

/// Dies between the decision and its first marker.
#[test]
fn what_was_decided_is_carried_out_after_a_crash() {
    for (outcome, aborted, offset) in [(Outcome::Commit, 0, Some(7)), (Outcome::Abort, 1, None)] {
        let dir = tempfile::tempdir().unwrap();
        let node = open(dir.path());
        node.topics.create("t", 1, Settings::default()).unwrap();
        let owner = begin(&node);
        let shared = node.transactions.find(&name("id")).unwrap();
        node.transactions.decide(&mut lock(&shared), outcome, Bump::No).unwrap();
        let partition = |node: &Node| node.topics.get("t").unwrap().partition(0).unwrap().clone();
        assert_eq!(partition(&node).offsets().last_stable, 0);
        drop((node, shared));

        let node = open(dir.path());
        let offsets = partition(&node).offsets();
        assert_eq!((offsets.last_stable, offsets.high_watermark), (2, 2));
        let read = partition(&node).read(0, 1000, true, Isolation::Committed).unwrap();
        assert_eq!(read.aborted.unwrap().len(), aborted);
        let committed = node.groups.committed(&name("g"), &name("t"), 0);
        assert_eq!(committed.map(|committed| committed.offset), offset);
        // The client that never got its answer asks again.
        assert_eq!(node.transactions.end(&node, &name("id"), owner, outcome), Ok(()));
        assert_eq!(partition(&node).offsets().high_watermark, 2);
    }
}

#[test]
fn a_used_up_epoch_makes_way_for_a_new_producer_id() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    let first = node.transactions.init(&node, &name("id"), 60_000, None).unwrap();
    let shared = node.transactions.find(&name("id")).unwrap();
    lock(&shared).owner.epoch = LAST_EPOCH;
    let next = node.transactions.init(&node, &name("id"), 60_000, None).unwrap();
    assert!(next.producer_id != first.producer_id && next.epoch == 0);
    let old = Owner { epoch: LAST_EPOCH, ..first };
    let written = node.transactions.write_in(old, "t", 0, || Ok(()));
    assert_eq!(written, Err(ResponseError::InvalidProducerIdMapping));
}

#[test]
fn only_who_has_the_newest_epoch_may_change_anything() {
    let dir = tempfile::tempdir().unwrap();
    let node = open(dir.path());
    node.topics.create("t", 1, Settings::default()).unwrap();
    let old = begin(&node);
    let new = node.transactions.init(&node, &name("id"), 60_000, None).unwrap();
    let transactions = &node.transactions;
    let fenced = Err(ResponseError::ProducerFenced);
    assert_eq!(transactions.add_partitions(&name("id"), old, &[(name("t"), 0)]), fenced);
    assert_eq!(transactions.end(&node, &name("id"), old, Outcome::Commit), fenced);
    assert_eq!(transactions.init(&node, &name("id"), 60_000, Some(old)).map(|_| ()), fenced);
    let written = transactions.write_in(old, "t", 0, || Ok(()));
    assert_eq!(written, Err(ResponseError::InvalidProducerEpoch));
    // Nothing has been begun by the new one.
    let nothing = Err(ResponseError::InvalidTxnState);
    assert_eq!(transactions.end(&node, &name("id"), new, Outcome::Commit), nothing);
    assert_eq!(transactions.write_in(new, "t", 0, || Ok(())), nothing);
}
