use alloc::vec;
use alloc::vec::Vec;

use super::*;

const GUID: SchemaRef = SchemaRef::Guid(*b"0123456789abcdef");

fn all() -> Vec<(Framing, SchemaRef, Vec<u8>)> {
    use IdSpace::{Content, Global};
    let content = SchemaRef::ContentId(ContentId::new(7));
    let global = SchemaRef::GlobalId(GlobalId::new(7));
    let guid = |head: &[u8]| [head, b"0123456789abcdef"].concat();
    let eight = vec![0, 0, 0, 0, 0, 0, 0, 0, 7];
    vec![
        (Framing::Confluent, SchemaRef::Id(7), vec![0, 0, 0, 0, 7]),
        (Framing::ConfluentGuid, GUID, guid(&[1])),
        (Framing::ConfluentPrefix, SchemaRef::Id(7), vec![0, 0, 0, 0, 7]),
        (Framing::ConfluentPrefix, GUID, guid(&[1])),
        (Framing::Apicurio4(Content), content, vec![0, 0, 0, 0, 7]),
        (Framing::Apicurio4(Global), global, vec![0, 0, 0, 0, 7]),
        (Framing::Apicurio8(Content), content, eight.clone()),
        (Framing::Apicurio8(Global), global, eight),
        (Framing::ApicurioOptimistic(Content), content, vec![0, 0, 0, 0, 7]),
        (Framing::Glue, GUID, guid(&[3, 0])),
        (Framing::SingleObject, SchemaRef::Fingerprint(7), vec![0xc3, 1, 7, 0, 0, 0, 0, 0, 0, 0]),
    ]
}

#[test]
fn every_framing_writes_its_bytes_and_reads_them_again() {
    for (framing, schema, header) in all() {
        let mut message = b"before".to_vec();
        framing.write(schema, b"datum", &mut message).unwrap();
        let message = &message[6..];
        assert_eq!(message, [&*header, b"datum"].concat(), "{framing:?}");
        let frame = framing.split(message).unwrap();
        assert_eq!((frame.schema, frame.datum), (schema, &b"datum"[..]), "{framing:?}");
        assert_eq!(frame.inflate(5, &mut Vec::new()).unwrap(), b"datum");
        assert_eq!(framing.header(Part::Value, schema).unwrap(), None);
        // Headers mean nothing to a framing in the message.
        let headers = [("__value_schema_id", &[9][..]), ("apicurio.value.globalId", &[])];
        assert_eq!(framing.split_record(Part::Value, headers, message).unwrap(), frame);
    }
}

#[test]
fn short_and_foreign_messages_are_refused() {
    for (framing, _, header) in all() {
        for length in 0..header.len() {
            let error = framing.split(&header[..length]).unwrap_err();
            let missing = u64::try_from(header.len() - length).unwrap();
            // Without a first byte it is open which of two forms is missing.
            if !(framing == Framing::ConfluentPrefix && length == 0) {
                assert_eq!(error.kind(), ErrorKind::UnexpectedEnd { missing }, "{framing:?}");
            }
        }
        let mut foreign = header.clone();
        foreign[0] = 0x7b;
        let error = framing.split(&foreign).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::UnknownMagic { byte: 0x7b });
        assert_eq!(error.offset(), Some(0));
    }
    let error = Framing::SingleObject.split(&[0xc3, 2, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::UnknownMagic { byte: 2 }, Some(1)));
    let mut glue = [3; 18];
    assert_eq!(
        Framing::Glue.split(&glue).unwrap_err().kind(),
        ErrorKind::UnknownCompression { byte: 3 }
    );
    glue[1] = 5;
    assert_eq!(Framing::Glue.split(&glue).unwrap().compression, Compression::Zlib);
    let negative = [0, 0x80, 0, 0, 0, 0, 0, 0, 0];
    let error = Framing::Apicurio8(IdSpace::Global).split(&negative).unwrap_err();
    assert_eq!((error.kind(), error.offset()), (ErrorKind::InvalidId, Some(1)));
}

#[test]
fn references_go_only_where_they_mean_something() {
    let references = [
        SchemaRef::Id(1),
        SchemaRef::ContentId(ContentId::new(1)),
        SchemaRef::GlobalId(GlobalId::new(1)),
        GUID,
        SchemaRef::Fingerprint(1),
    ];
    for (framing, own, _) in all() {
        for reference in references {
            let mut out = vec![42];
            let kind = |r: SchemaRef| core::mem::discriminant(&r);
            let fits = kind(reference) == kind(own)
                || (framing == Framing::ConfluentPrefix
                    && matches!(reference, SchemaRef::Id(_) | SchemaRef::Guid(_)));
            let result = framing.write_header(reference, &mut out);
            assert_eq!(result.is_ok(), fits, "{framing:?} {reference:?}");
            if let Err(error) = result {
                assert_eq!(error.kind(), ErrorKind::UnsupportedReference);
                assert_eq!(out, [42]);
            }
        }
    }
    let large = SchemaRef::ContentId(ContentId::new(1 << 32));
    let mut out = Vec::new();
    assert!(Framing::Apicurio4(IdSpace::Content).write_header(large, &mut out).is_err());
    assert!(Framing::ApicurioOptimistic(IdSpace::Content).write_header(large, &mut out).is_err());
    assert!(Framing::Apicurio8(IdSpace::Content).write_header(large, &mut out).is_ok());
    let negative = SchemaRef::ContentId(ContentId::new(u64::MAX));
    assert!(Framing::Apicurio8(IdSpace::Content).write_header(negative, &mut out).is_err());
}

#[test]
fn the_optimistic_form_reads_both_widths() {
    let framing = Framing::ApicurioOptimistic(IdSpace::Global);
    let id = SchemaRef::GlobalId(GlobalId::new(9));
    for (message, datum) in
        [(&[0, 0, 0, 0, 9, 1, 2][..], &[1, 2][..]), (&[0, 0, 0, 0, 0, 0, 0, 0, 9, 1, 2], &[1, 2])]
    {
        let frame = framing.split(message).unwrap();
        assert_eq!((frame.schema, frame.datum), (id, datum));
    }
    // Too short to be the wide form.
    let frame = framing.split(&[0, 0, 0, 0, 0, 1]).unwrap();
    assert_eq!((frame.schema, frame.datum), (SchemaRef::GlobalId(GlobalId::new(0)), &[1][..]));
}

#[test]
fn confluent_headers_come_before_the_prefix() {
    let framing = Framing::ConfluentHeader;
    for (part, name) in [(Part::Key, "__key_schema_id"), (Part::Value, "__value_schema_id")] {
        for schema in [SchemaRef::Id(7), GUID] {
            let header = framing.header(part, schema).unwrap().unwrap();
            assert_eq!(header.name(), name);
            let mut message = Vec::new();
            framing.write(schema, b"\x00\x00\x00\x00\x05datum", &mut message).unwrap();
            let old = [1; 17];
            let headers = [("other", &b"x"[..]), (name, &old), (name, header.value()), ("z", b"")];
            let frame = framing.split_record(part, headers, &message).unwrap();
            assert_eq!((frame.schema, frame.datum), (schema, &*message));
            // The header of the other part does not count.
            let other = if part == Part::Key { Part::Value } else { Part::Key };
            let frame = framing.split_record(other, headers, &message).unwrap();
            assert_eq!((frame.schema, frame.datum), (SchemaRef::Id(5), &b"datum"[..]));
        }
        for broken in [&[][..], &[0], &[0, 1, 2, 3, 4, 5], &[1; 16], &[1; 18], &[2; 5]] {
            assert!(framing.split_record(part, [(name, broken)], &[0; 20]).is_err(), "{broken:?}");
        }
    }
    assert!(framing.header(Part::Key, SchemaRef::Fingerprint(1)).is_err());
}

#[test]
fn apicurio_headers_are_read_and_written() {
    for (space, schema) in [
        (IdSpace::Content, SchemaRef::ContentId(ContentId::new(5))),
        (IdSpace::Global, SchemaRef::GlobalId(GlobalId::new(5))),
    ] {
        let framing = Framing::ApicurioHeader(space);
        for part in [Part::Key, Part::Value] {
            let header = framing.header(part, schema).unwrap().unwrap();
            let frame =
                framing.split_record(part, [(header.name(), header.value())], b"datum").unwrap();
            assert_eq!((frame.schema, frame.datum), (schema, &b"datum"[..]));
            let mut message = Vec::new();
            framing.write(schema, b"datum", &mut message).unwrap();
            assert_eq!(message, b"datum");
        }
        assert_eq!(framing.split(b"datum").unwrap_err().kind(), ErrorKind::NoReference);
        let nothing = [("apicurio.value.groupId", &b"g"[..])];
        let error = framing.split_record(Part::Value, nothing, b"datum").unwrap_err();
        assert_eq!(error.kind(), ErrorKind::NoReference);
    }
    let text = [
        ("apicurio.key.groupId", &b"g"[..]),
        ("apicurio.key.artifactId", b"a"),
        ("apicurio.key.version", b"1"),
        ("apicurio.key.contentHash", b"h"),
        ("apicurio.key.msgType", b"m"),
        ("apicurio.key.schema", b"\"int\""),
        ("apicurio.key.schemaType", b"AVRO"),
        ("apicurio.value.version", b"2"),
    ];
    let found = ApicurioHeaders::read(Part::Key, text).unwrap();
    assert_eq!(
        [found.group_id, found.artifact_id, found.version, found.content_hash],
        [Some("g"), Some("a"), Some("1"), Some("h")]
    );
    assert_eq!(
        [found.message_type, found.schema, found.schema_type, found.encoding],
        [Some("m"), Some("\"int\""), Some("AVRO"), None]
    );
    for (name, value) in [
        ("apicurio.key.globalId", &[0, 0, 0, 1][..]),
        ("apicurio.key.contentId", &[0x80, 0, 0, 0, 0, 0, 0, 0]),
        ("apicurio.key.version", &[0xff]),
    ] {
        assert!(ApicurioHeaders::read(Part::Key, [(name, value)]).is_err(), "{name}");
    }
}

#[test]
fn what_a_message_could_be_is_all_named() {
    let zeros = Framing::possible(&[0; 12]);
    assert_eq!(zeros.len(), 5, "{zeros:?}");
    assert_eq!(Framing::possible(&[1; 20]), [Framing::ConfluentGuid]);
    assert_eq!(Framing::possible(b"{\"json\":1}"), []);
}

#[cfg(feature = "zlib")]
#[test]
fn zlib_is_bounded_and_checked() {
    let datum = [7; 5000];
    let mut message = Vec::new();
    Framing::GlueZlib.write(GUID, &datum, &mut message).unwrap();
    assert_eq!(message[..2], [3, 5]);
    assert!(message.len() < 100);
    let frame = Framing::Glue.split(&message).unwrap();
    assert_eq!((frame.schema, frame.compression), (GUID, Compression::Zlib));
    let mut scratch = b"old".to_vec();
    assert_eq!(frame.inflate(5000, &mut scratch).unwrap(), datum);
    let error = frame.inflate(4999, &mut scratch).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SizeLimit { limit: 4999 });
    assert!(scratch.capacity() < 20_000);
    for end in 18..message.len() {
        let frame = Framing::Glue.split(&message[..end]).unwrap();
        assert!(frame.inflate(5000, &mut scratch).is_err(), "{end}");
    }
    message.push(0);
    assert!(Framing::Glue.split(&message).unwrap().inflate(5000, &mut scratch).is_err());
}
