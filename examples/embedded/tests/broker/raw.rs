//! What no proper client sends, and what none lets a test see.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::fetch_request::{FetchPartition, FetchTopic};
use kafka_protocol::messages::join_group_request::JoinGroupRequestProtocol;
use kafka_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use kafka_protocol::messages::produce_request::{PartitionProduceData, TopicProduceData};
use kafka_protocol::messages::{
    ApiKey, ApiVersionsRequest, ApiVersionsResponse, FetchRequest, FetchResponse, GroupId,
    HeartbeatRequest, JoinGroupRequest, JoinGroupResponse, MetadataRequest, OffsetCommitRequest,
    ProduceRequest, RequestHeader, ResponseHeader, SyncGroupRequest, TopicName,
};
use kafka_protocol::protocol::{Decodable as _, Encodable, HeaderVersion, Request, StrBytes};

use crate::client::{DEADLINE, Stand, stand};

pub(crate) struct Raw {
    pub(crate) stream: TcpStream,
    next: i32,
}

impl Raw {
    pub(crate) fn connect(stand: &Stand) -> Self {
        let stream = TcpStream::connect(stand.broker.address()).unwrap();
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        Self { stream, next: 1 }
    }

    pub(crate) fn send<R: Request>(&mut self, request: &R, version: i16) -> i32 {
        self.next += 1;
        let frame = frame(request, version, self.next);
        self.stream.write_all(&frame).unwrap();
        self.next
    }

    pub(crate) fn receive<R: Request>(&mut self, version: i16) -> (i32, R::Response) {
        let mut reply = self.frame().expect("a reply");
        let header_version = R::Response::header_version(version);
        let header = ResponseHeader::decode(&mut reply, header_version).unwrap();
        let response = R::Response::decode(&mut reply, version).unwrap();
        assert!(reply.is_empty());
        (header.correlation_id, response)
    }

    pub(crate) fn call<R: Request>(&mut self, request: &R, version: i16) -> R::Response {
        let sent = self.send(request, version);
        let (correlation_id, response) = self.receive::<R>(version);
        assert_eq!(correlation_id, sent);
        response
    }

    /// The next frame, or nothing when the broker has closed the connection.
    pub(crate) fn frame(&mut self) -> Option<Bytes> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(frame.into())
    }

    pub(crate) fn is_closed(&mut self) -> bool {
        // A reset is as good as an end.
        matches!(self.stream.read(&mut [0]), Ok(0) | Err(_))
    }

    fn produce(&mut self, batch: &Bytes) -> (i16, i64) {
        let partition = PartitionProduceData::default().with_records(Some(batch.clone()));
        let topic = TopicProduceData::default()
            .with_name(topic_name())
            .with_partition_data(vec![partition]);
        let request = ProduceRequest::default()
            .with_acks(-1)
            .with_timeout_ms(1000)
            .with_topic_data(vec![topic]);
        let response = self.call(&request, 9);
        let partition = &response.responses[0].partition_responses[0];
        (partition.error_code, partition.base_offset)
    }
}

fn frame<R: Encodable + HeaderVersion + Request>(request: &R, version: i16, id: i32) -> Vec<u8> {
    let mut body = BytesMut::new();
    RequestHeader::default()
        .with_request_api_key(R::KEY)
        .with_request_api_version(version)
        .with_correlation_id(id)
        .with_client_id(Some(StrBytes::from_static_str("raw")))
        .encode(&mut body, R::header_version(version))
        .unwrap();
    request.encode(&mut body, version).unwrap();
    let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
    frame.extend_from_slice(&body);
    frame
}

fn topic_name() -> TopicName {
    TopicName(StrBytes::from_static_str("t"))
}

fn code(error: ResponseError) -> i16 {
    error.code()
}

/// A batch of records with the given payload size. The broker looks into uncompressed batches
/// only when it is asked for a time, so the records are filler.
#[derive(Clone, Copy)]
struct Batch {
    producer: (i64, i16, i32),
    count: i32,
    attributes: i16,
    payload: usize,
}

impl Batch {
    const PLAIN: Self = Self { producer: (-1, -1, -1), count: 1, attributes: 0, payload: 1000 };

    fn bytes(self) -> Bytes {
        let mut covered = BytesMut::new();
        covered.put_i16(self.attributes);
        covered.put_i32(self.count - 1);
        covered.put_i64(1000);
        covered.put_i64(1000);
        covered.put_i64(self.producer.0);
        covered.put_i16(self.producer.1);
        covered.put_i32(self.producer.2);
        covered.put_i32(self.count);
        covered.put_bytes(0, self.payload);
        let mut batch = BytesMut::new();
        batch.put_i64(0);
        batch.put_i32(i32::try_from(covered.len()).unwrap() + 9);
        batch.put_i32(-1);
        batch.put_i8(2);
        batch.put_u32(crc32c::crc32c(&covered));
        batch.put_slice(&covered);
        batch.freeze()
    }
}

fn fetch(
    raw: &mut Raw,
    partitions: &[(i32, i64, i32)],
    max_bytes: i32,
    min: i32,
    wait: i32,
) -> FetchResponse {
    let partitions = partitions.iter().map(|&(index, offset, max_bytes)| {
        FetchPartition::default()
            .with_partition(index)
            .with_fetch_offset(offset)
            .with_partition_max_bytes(max_bytes)
    });
    let topic =
        FetchTopic::default().with_topic(topic_name()).with_partitions(partitions.collect());
    let request = FetchRequest::default()
        .with_max_wait_ms(wait)
        .with_min_bytes(min)
        .with_max_bytes(max_bytes)
        .with_topics(vec![topic]);
    raw.call(&request, 11)
}

/// Bytes got from each partition.
fn sizes(response: &FetchResponse) -> Vec<usize> {
    let partitions = response.responses[0].partitions.iter();
    partitions.map(|partition| partition.records.as_ref().map_or(0, Bytes::len)).collect()
}

const ONE: usize = 1061;
const LARGE: i32 = 1 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_keeps_to_its_limits_but_always_moves_on() {
    let stand = stand().await;
    stand.topic("t", 2).await;
    let mut raw = Raw::connect(&stand);
    for _ in 0..10 {
        assert_eq!(raw.produce(&Batch::PLAIN.bytes()).0, 0);
    }
    assert_eq!(sizes(&fetch(&mut raw, &[(0, 0, LARGE)], LARGE, 1, 0)), [10 * ONE]);
    assert_eq!(sizes(&fetch(&mut raw, &[(0, 3, LARGE)], LARGE, 1, 0)), [7 * ONE]);
    assert_eq!(sizes(&fetch(&mut raw, &[(0, 0, 3000)], LARGE, 1, 0)), [2 * ONE]);
    assert_eq!(sizes(&fetch(&mut raw, &[(0, 0, LARGE)], 3000, 1, 0)), [2 * ONE]);
    assert_eq!(sizes(&fetch(&mut raw, &[(0, 0, 1)], 1, 1, 0)), [ONE]);
    // The second partition gets what the first one leaves, here nothing.
    let twice = [(0, 0, LARGE), (0, 0, LARGE)];
    assert_eq!(sizes(&fetch(&mut raw, &twice, 5000, 1, 0)), [4 * ONE, 0]);
    assert_eq!(sizes(&fetch(&mut raw, &twice, 1, 1, 0)), [ONE, 0]);
    assert_eq!(sizes(&fetch(&mut raw, &[(1, 0, LARGE), (0, 0, 1)], 1, 1, 0)), [0, ONE]);

    let response =
        fetch(&mut raw, &[(0, 11, LARGE), (0, 10, LARGE), (7, 0, LARGE)], LARGE, 1, 60_000);
    let errors: Vec<i16> =
        response.responses[0].partitions.iter().map(|partition| partition.error_code).collect();
    let missing = code(ResponseError::UnknownTopicOrPartition);
    assert_eq!(errors, [code(ResponseError::OffsetOutOfRange), 0, missing]);
    assert_eq!(response.responses[0].partitions[1].high_watermark, 10);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_fetch_waits_for_enough_bytes_or_its_time() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let mut raw = Raw::connect(&stand);
    let start = Instant::now();
    assert_eq!(sizes(&fetch(&mut raw, &[(0, 0, LARGE)], LARGE, 1, 300)), [0]);
    assert!(start.elapsed() >= Duration::from_millis(300));

    let mut writer = Raw::connect(&stand);
    let waiting = std::thread::spawn(move || {
        let response = fetch(&mut raw, &[(0, 0, LARGE)], LARGE, 2500, 60_000);
        (sizes(&response), Instant::now())
    });
    for _ in 0..2 {
        writer.produce(&Batch::PLAIN.bytes());
    }
    assert!(!waiting.is_finished());
    let last = Instant::now();
    writer.produce(&Batch::PLAIN.bytes());
    let (sizes, end) = waiting.join().unwrap();
    assert_eq!(sizes, [3 * ONE]);
    assert!(end >= last && end - last < Duration::from_secs(20));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_batch_is_stored_once() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let mut raw = Raw::connect(&stand);
    let batch = |epoch, sequence| {
        Batch { producer: (77, epoch, sequence), count: 10, ..Batch::PLAIN }.bytes()
    };
    for i in 0..6i32 {
        assert_eq!(raw.produce(&batch(1, i * 10)), (0, i64::from(i) * 10));
    }
    for i in 1..6i32 {
        assert_eq!(raw.produce(&batch(1, i * 10)), (0, i64::from(i) * 10), "repeat {i}");
    }
    let out_of_order = (code(ResponseError::OutOfOrderSequenceNumber), -1);
    assert_eq!(raw.produce(&batch(1, 0)), out_of_order);
    assert_eq!(raw.produce(&batch(1, 70)), out_of_order);
    assert_eq!(raw.produce(&batch(0, 60)), (code(ResponseError::InvalidProducerEpoch), -1));

    // The memory of producers is in the log, so it outlives the broker.
    let stand = stand.restart().await;
    let mut raw = Raw::connect(&stand);
    assert_eq!(raw.produce(&batch(1, 50)), (0, 50));
    assert_eq!(raw.produce(&batch(1, 70)), out_of_order);
    assert_eq!(raw.produce(&batch(1, 60)), (0, 60));
    assert_eq!(raw.produce(&batch(2, 0)), (0, 70));
    assert_eq!(raw.produce(&batch(1, 70)), (code(ResponseError::InvalidProducerEpoch), -1));
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_batches_are_refused_by_name() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let mut raw = Raw::connect(&stand);
    let good = Batch::PLAIN.bytes();
    let changed = |at: usize, to: u8| {
        let mut bytes = good.to_vec();
        bytes[at] = to;
        Bytes::from(bytes)
    };
    let cases = [
        (changed(1000, 1), ResponseError::CorruptMessage),
        (changed(11, 0), ResponseError::InvalidRecord),
        (changed(8, 0x7f), ResponseError::CorruptMessage),
        (changed(16, 1), ResponseError::UnsupportedForMessageFormat),
        (changed(16, 9), ResponseError::CorruptMessage),
        (good.slice(..30), ResponseError::CorruptMessage),
        (Bytes::new(), ResponseError::CorruptMessage),
        ([good.clone(), good.clone()].concat().into(), ResponseError::InvalidRecord),
        (Batch { attributes: 0x20, ..Batch::PLAIN }.bytes(), ResponseError::InvalidRecord),
        (Batch { attributes: 7, ..Batch::PLAIN }.bytes(), ResponseError::InvalidRecord),
        (Batch { count: 0, ..Batch::PLAIN }.bytes(), ResponseError::CorruptMessage),
        (Batch { producer: (5, 0, -1), ..Batch::PLAIN }.bytes(), ResponseError::InvalidRecord),
        (Batch { payload: 2 << 20, ..Batch::PLAIN }.bytes(), ResponseError::MessageTooLarge),
    ];
    for (i, (batch, error)) in cases.into_iter().enumerate() {
        assert_eq!(raw.produce(&batch), (code(error), -1), "case {i}");
    }
    assert_eq!(raw.produce(&good), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn replies_keep_the_order_of_the_requests() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let mut raw = Raw::connect(&stand);
    let mut sent = Vec::new();
    // A fetch that waits is followed by requests that could be answered at once.
    let partition = FetchPartition::default().with_partition_max_bytes(LARGE);
    let topic = FetchTopic::default().with_topic(topic_name()).with_partitions(vec![partition]);
    let waiting = FetchRequest::default()
        .with_max_wait_ms(200)
        .with_min_bytes(1)
        .with_max_bytes(LARGE)
        .with_topics(vec![topic]);
    sent.push(raw.send(&waiting, 11));
    for _ in 0..50 {
        sent.push(raw.send(&MetadataRequest::default(), 12));
    }
    assert_eq!(raw.receive::<FetchRequest>(11).0, sent[0]);
    for id in &sent[1..] {
        assert_eq!(raw.receive::<MetadataRequest>(12).0, *id);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn unknown_versions_are_answered_as_kafka_does() {
    let stand = stand().await;
    let mut raw = Raw::connect(&stand);
    let mut frame = frame(&ApiVersionsRequest::default(), 3, 9);
    frame[7] = 99;
    raw.stream.write_all(&frame).unwrap();
    let mut reply = raw.frame().unwrap();
    assert_eq!(ResponseHeader::decode(&mut reply, 0).unwrap().correlation_id, 9);
    let response = ApiVersionsResponse::decode(&mut reply, 0).unwrap();
    assert_eq!(response.error_code, code(ResponseError::UnsupportedVersion));
    let own = response.api_keys.iter().find(|api| api.api_key == ApiKey::ApiVersions as i16);
    assert_eq!(own.map(|own| own.max_version), Some(3));
    // The connection can still be used.
    assert_eq!(raw.call(&ApiVersionsRequest::default(), 3).error_code, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_of_an_old_generation_is_refused() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let mut raw = Raw::connect(&stand);
    let group = GroupId(StrBytes::from_static_str("g"));
    let join = |raw: &mut Raw, id: &StrBytes| -> JoinGroupResponse {
        let protocol =
            JoinGroupRequestProtocol::default().with_name(StrBytes::from_static_str("range"));
        let request = JoinGroupRequest::default()
            .with_group_id(group.clone())
            .with_session_timeout_ms(10_000)
            .with_rebalance_timeout_ms(10_000)
            .with_member_id(id.clone())
            .with_protocol_type(StrBytes::from_static_str("consumer"))
            .with_protocols(vec![protocol]);
        raw.call(&request, 7)
    };
    let first = join(&mut raw, &StrBytes::new());
    assert_eq!(first.error_code, code(ResponseError::MemberIdRequired));
    let id = first.member_id;
    assert_eq!(join(&mut raw, &id).generation_id, 1);
    let sync = |raw: &mut Raw, generation| {
        let request = SyncGroupRequest::default()
            .with_group_id(group.clone())
            .with_generation_id(generation)
            .with_member_id(id.clone());
        raw.call(&request, 4).error_code
    };
    assert_eq!(sync(&mut raw, 1), 0);
    // The leader joins again, which makes a new generation.
    assert_eq!(join(&mut raw, &id).generation_id, 2);
    assert_eq!(sync(&mut raw, 1), code(ResponseError::IllegalGeneration));
    assert_eq!(sync(&mut raw, 2), 0);
    let commit = |raw: &mut Raw, generation, id: &StrBytes| {
        let partition = OffsetCommitRequestPartition::default().with_committed_offset(5);
        let topic = OffsetCommitRequestTopic::default()
            .with_name(topic_name())
            .with_partitions(vec![partition]);
        let request = OffsetCommitRequest::default()
            .with_group_id(group.clone())
            .with_generation_id_or_member_epoch(generation)
            .with_member_id(id.clone())
            .with_topics(vec![topic]);
        raw.call(&request, 8).topics[0].partitions[0].error_code
    };
    assert_eq!(commit(&mut raw, 1, &id), code(ResponseError::IllegalGeneration));
    let stranger = StrBytes::from_static_str("stranger");
    assert_eq!(commit(&mut raw, 2, &stranger), code(ResponseError::UnknownMemberId));
    assert_eq!(commit(&mut raw, -1, &StrBytes::new()), code(ResponseError::UnknownMemberId));
    assert_eq!(commit(&mut raw, 2, &id), 0);
    let beat = HeartbeatRequest::default()
        .with_group_id(group.clone())
        .with_generation_id(1)
        .with_member_id(id.clone());
    assert_eq!(raw.call(&beat, 4).error_code, code(ResponseError::IllegalGeneration));
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_closes_its_own_connection_only() {
    let stand = stand().await;
    stand.topic("t", 1).await;
    let mut good = Raw::connect(&stand);
    let metadata = frame(&MetadataRequest::default(), 1, 1);
    let mut greedy = metadata.clone();
    let end = greedy.len() - 4;
    greedy[end..].copy_from_slice(&i32::MAX.to_be_bytes());
    let garbage: [&[u8]; 9] = [
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
        &[0xff; 64],
        &[0, 0, 0, 0],
        &[0, 0, 0, 3, 0, 3, 0],
        // Not a request there is, and one that is only for brokers.
        &[0, 0, 0, 8, 0x7f, 0xff, 0, 0, 0, 0, 0, 1],
        &[0, 0, 0, 8, 0, 4, 0, 0, 0, 0, 0, 1],
        // Larger than a request without records may be.
        &[0x05, 0, 0, 0, 0, 3, 0, 1],
        &greedy,
    ];
    for bytes in garbage {
        let mut bad = Raw::connect(&stand);
        bad.stream.write_all(bytes).unwrap();
        assert!(bad.is_closed(), "{bytes:02x?}");
        assert_eq!(good.call(&MetadataRequest::default(), 12).topics.len(), 0);
    }
    // A request that never ends does no harm either.
    let mut slow = Raw::connect(&stand);
    slow.stream.write_all(&metadata[..metadata.len() - 1]).unwrap();
    assert_eq!(good.produce(&Batch::PLAIN.bytes()), (0, 0));
    slow.stream.write_all(&metadata[metadata.len() - 1..]).unwrap();
    assert!(slow.frame().is_some());
}

/// Frames of every kind and version with random bytes in them: the broker replies or closes, and
/// none of its threads panics.
#[tokio::test(flavor = "multi_thread")]
async fn random_requests_do_not_shake_the_broker() {
    static PANICS: AtomicUsize = AtomicUsize::new(0);
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if std::thread::current().name() == Some("broker") {
            PANICS.fetch_add(1, Ordering::Relaxed);
        }
        usual(info);
    }));
    let stand = stand().await;
    stand.topic("t", 1).await;
    let versions = Raw::connect(&stand).call(&ApiVersionsRequest::default(), 3).api_keys;
    let mut random = 0x9e37_79b9_7f4a_7c15u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for api in &versions {
        for version in api.min_version..=api.max_version {
            for _ in 0..20 {
                let mut body = Vec::new();
                body.put_i16(api.api_key);
                body.put_i16(version);
                body.put_i32(1);
                body.put_i16(-1);
                for _ in 0..next() % 60 {
                    // Small numbers make lengths that fit.
                    let byte = if next() % 4 == 0 { next() } else { next() % 4 };
                    body.put_u8(u8::try_from(byte & 0xff).unwrap());
                }
                let mut frame = u32::try_from(body.len()).unwrap().to_be_bytes().to_vec();
                frame.extend_from_slice(&body);
                let mut raw = Raw::connect(&stand);
                // A fetch may rightly wait for long, so the reply is not waited for.
                raw.stream.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
                raw.stream.write_all(&frame).unwrap();
                let _ = raw.frame();
            }
        }
    }
    assert_eq!(Raw::connect(&stand).produce(&Batch::PLAIN.bytes()), (0, 0));
    assert_eq!(PANICS.load(Ordering::Relaxed), 0);
}
