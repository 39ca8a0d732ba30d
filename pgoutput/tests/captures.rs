//! Every field of every captured message against a decode made by another program.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails by panicking and reports by printing"
)]

mod support;

use std::{collections::BTreeMap, fmt::Write};

use pgoutput::{
    Column, Lsn, Message, Observed, OldTuple, PgTime, Relations, Tuple, TupleBuf, Xid,
    replication::Frame,
};
use serde_json::{Map, Value, json};

#[test]
fn every_field_of_every_message() {
    for capture in support::captures() {
        let mut decoder = capture.decoder();
        let mut relations = Relations::new();
        let mut kinds = BTreeMap::<String, usize>::new();
        let expected = capture.decoded();
        assert_eq!(capture.frames.len(), expected.len(), "{}", capture.name);
        for (n, (frame, mut expected)) in capture.frames.iter().zip(expected).enumerate() {
            let Value::Object(found) = frame_json(frame, |message_bytes| {
                let message = decoder.decode(message_bytes).unwrap();
                check_encoding(message_bytes, &message);
                if let Message::Relation(relation) = &message {
                    check_relations(&mut relations, relation);
                }
                message_json(&message)
            }) else {
                panic!("an object")
            };
            let kind = found.get("kind").map_or("keepalive", |kind| kind.as_str().unwrap());
            *kinds.entry(kind.to_owned()).or_default() += 1;
            // The number of the line says nothing about the frame.
            assert_eq!(expected.as_object_mut().unwrap().remove("n"), Some(json!(n)));
            assert_eq!(Value::Object(found), expected, "{} frame {n}", capture.name);
        }
        let kinds: Vec<_> = kinds.iter().map(|(kind, count)| format!("{kind} {count}")).collect();
        println!(
            "{}: {} frames equal and encoded again: {}",
            capture.name,
            capture.frames.len(),
            kinds.join(", ")
        );
    }
}

/// Encoded again it is the same, also when its rows are put together from their columns.
fn check_encoding(bytes: &[u8], message: &Message<'_>) {
    let mut out = b"before".to_vec();
    message.encode(&mut out).unwrap();
    assert_eq!(out, [b"before", bytes].concat());
    let rebuilt = |tuple: Tuple<'_>| {
        let mut row = TupleBuf::new();
        tuple.columns().for_each(|column| row.push(column.unwrap()).unwrap());
        row
    };
    let mut message = *message;
    let (mut new_row, mut old_row) = (TupleBuf::new(), TupleBuf::new());
    match &mut message {
        Message::Insert(m) => new_row = rebuilt(m.new),
        Message::Update(m) => {
            new_row = rebuilt(m.new);
            old_row = m.old.map_or_else(TupleBuf::new, |old| rebuilt(old.tuple()));
        }
        Message::Delete(m) => old_row = rebuilt(m.old.tuple()),
        _ => return,
    }
    let old = |old| match old {
        OldTuple::Key(_) => OldTuple::Key(old_row.as_tuple()),
        OldTuple::Full(_) => OldTuple::Full(old_row.as_tuple()),
    };
    match &mut message {
        Message::Insert(m) => m.new = new_row.as_tuple(),
        Message::Update(m) => {
            m.new = new_row.as_tuple();
            m.old = m.old.map(old);
        }
        Message::Delete(m) => m.old = old(m.old),
        _ => {}
    }
    out.clear();
    message.encode(&mut out).unwrap();
    assert_eq!(out, bytes);
}

fn check_relations(relations: &mut Relations, relation: &pgoutput::Relation<'_>) {
    let known = relations.get(relation.id).cloned();
    let now = pgoutput::OwnedRelation::new(relation).unwrap();
    match (relations.observe(relation).unwrap(), known) {
        (Observed::New(new), None) => assert_eq!(*new, now),
        (Observed::Same(same), Some(known)) => assert_eq!((same, &now), (&known, &known)),
        (Observed::Changed { relation, previous }, Some(known)) => {
            assert_eq!((relation, &previous), (&now, &known));
            assert_ne!(now, known);
        }
        (observed, known) => panic!("{observed:?} {known:?}"),
    }
}

fn frame_json<'a>(frame: &'a [u8], message: impl FnOnce(&'a [u8]) -> Map<String, Value>) -> Value {
    let decoded = Frame::decode(frame).unwrap();
    let mut again = Vec::new();
    decoded.encode(&mut again);
    assert_eq!(again, frame);
    match decoded {
        Frame::XLogData { start, end, sent, data } => {
            let mut out = message(data);
            out.insert("frame".into(), json!("w"));
            out.insert("wal_start".into(), lsn(start));
            out.insert("wal_end".into(), lsn(end));
            out.insert("send_time".into(), time(sent));
            Value::Object(out)
        }
        Frame::Keepalive { end, sent, reply_requested } => json!({
            "frame": "k",
            "wal_end": lsn(end),
            "send_time": time(sent),
            "reply": u8::from(reply_requested),
        }),
        other => panic!("{other:?}"),
    }
}

fn message_json(message: &Message<'_>) -> Map<String, Value> {
    let mut xid = None;
    let mut out = match *message {
        Message::Begin(m) => json!({
            "kind": "B",
            "final_lsn": lsn(m.final_lsn), "commit_time": time(m.commit_time), "xid": id(m.xid),
        }),
        Message::Commit(m) => json!({
            "kind": "C", "flags": m.flags,
            "commit_lsn": lsn(m.commit_lsn), "end_lsn": lsn(m.end_lsn),
            "commit_time": time(m.commit_time),
        }),
        Message::Origin(m) => json!({
            "kind": "O", "commit_lsn": lsn(m.commit_lsn), "name": m.name,
        }),
        Message::Relation(m) => {
            xid = m.xid;
            let columns: Vec<_> = m
                .columns()
                .map(|column| {
                    let c = column.unwrap();
                    assert_eq!(c.is_key(), c.flags == 1);
                    json!({
                        "flags": c.flags, "name": c.name,
                        "type_oid": c.type_oid.get(), "typmod": c.typmod,
                    })
                })
                .collect();
            assert_eq!(columns.len(), m.len());
            json!({
                "kind": "R", "oid": m.id.get(), "namespace": m.namespace, "name": m.name,
                "replica_identity": char::from(m.replica_identity.letter()).to_string(),
                "columns": columns,
            })
        }
        Message::Type(m) => {
            xid = m.xid;
            json!({ "kind": "Y", "oid": m.id.get(), "namespace": m.namespace, "name": m.name })
        }
        Message::Insert(m) => {
            xid = m.xid;
            json!({ "kind": "I", "rel": m.relation.get(), "new": tuple(m.new) })
        }
        Message::Update(m) => {
            xid = m.xid;
            let mut out = json!({
                "kind": "U", "rel": m.relation.get(), "old_kind": null, "new": tuple(m.new),
            });
            if let Some(old) = m.old {
                out["old_kind"] = old_kind(old);
                out["old"] = tuple(old.tuple());
            }
            out
        }
        Message::Delete(m) => {
            xid = m.xid;
            json!({
                "kind": "D", "rel": m.relation.get(),
                "old_kind": old_kind(m.old), "old": tuple(m.old.tuple()),
            })
        }
        Message::Truncate(m) => {
            xid = m.xid;
            assert_eq!(m.options, u8::from(m.cascade()) | u8::from(m.restart_identity()) << 1);
            let relations: Vec<_> = m.relations.iter().map(pgoutput::Oid::get).collect();
            assert_eq!(relations.len(), m.relations.len());
            json!({ "kind": "T", "options": m.options, "rels": relations })
        }
        Message::Logical(m) => {
            xid = m.xid;
            assert_eq!(u8::from(m.is_transactional()), m.flags);
            json!({
                "kind": "M", "flags": m.flags, "lsn": lsn(m.lsn), "prefix": m.prefix,
                "content_hex": hex(m.content),
            })
        }
        Message::StreamStart(m) => json!({
            "kind": "S", "xid": id(m.xid), "first_segment": u8::from(m.first_segment),
        }),
        Message::StreamStop => json!({ "kind": "E" }),
        Message::StreamCommit(m) => json!({
            "kind": "c", "xid": id(m.xid), "flags": m.flags,
            "commit_lsn": lsn(m.commit_lsn), "end_lsn": lsn(m.end_lsn),
            "commit_time": time(m.commit_time),
        }),
        Message::StreamAbort(m) => {
            let mut out = json!({ "kind": "A", "xid": id(m.xid), "subxid": id(m.subxid) });
            if let (Some(at), Some(when)) = (m.abort_lsn, m.abort_time) {
                out["abort_lsn"] = lsn(at);
                out["abort_time"] = time(when);
            }
            out
        }
        Message::BeginPrepare(m) => json!({
            "kind": "b",
            "prepare_lsn": lsn(m.prepare_lsn), "end_lsn": lsn(m.end_lsn),
            "prepare_time": time(m.prepare_time), "xid": id(m.xid), "gid": m.gid,
        }),
        Message::Prepare(m) | Message::StreamPrepare(m) => json!({
            "kind": if matches!(message, Message::Prepare(_)) { "P" } else { "p" },
            "flags": m.flags, "prepare_lsn": lsn(m.prepare_lsn), "end_lsn": lsn(m.end_lsn),
            "prepare_time": time(m.prepare_time), "xid": id(m.xid), "gid": m.gid,
        }),
        Message::CommitPrepared(m) => json!({
            "kind": "K", "flags": m.flags,
            "commit_lsn": lsn(m.commit_lsn), "end_lsn": lsn(m.end_lsn),
            "commit_time": time(m.commit_time), "xid": id(m.xid), "gid": m.gid,
        }),
        Message::RollbackPrepared(m) => json!({
            "kind": "r", "flags": m.flags,
            "prepare_end_lsn": lsn(m.prepare_end_lsn),
            "rollback_end_lsn": lsn(m.rollback_end_lsn),
            "prepare_time": time(m.prepare_time), "rollback_time": time(m.rollback_time),
            "xid": id(m.xid), "gid": m.gid,
        }),
        ref other => panic!("{other:?}"),
    };
    if let Some(xid) = xid {
        out["xid"] = id(xid);
    }
    match out {
        Value::Object(out) => out,
        _ => unreachable!("all are objects"),
    }
}

fn lsn(lsn: Lsn) -> Value {
    assert_eq!(lsn.to_string().parse(), Ok(lsn));
    json!(lsn.get())
}

fn time(time: PgTime) -> Value {
    json!(time.get())
}

fn id(xid: Xid) -> Value {
    json!(xid.get())
}

fn old_kind(old: OldTuple<'_>) -> Value {
    match old {
        OldTuple::Key(_) => json!("K"),
        OldTuple::Full(_) => json!("O"),
    }
}

fn tuple(tuple: Tuple<'_>) -> Value {
    let columns: Vec<_> = tuple
        .columns()
        .map(|column| match column.unwrap() {
            Column::Null => json!({ "k": "n" }),
            Column::Unchanged => json!({ "k": "u" }),
            Column::Text(bytes) => json!({ "k": "t", "hex": hex(bytes) }),
            Column::Binary(bytes) => json!({ "k": "b", "hex": hex(bytes) }),
        })
        .collect();
    assert_eq!(columns.len(), tuple.len());
    Value::Array(columns)
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut out, byte| {
        write!(out, "{byte:02x}").unwrap();
        out
    })
}
