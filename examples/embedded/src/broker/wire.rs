//! Which requests are understood, and the way from a frame to a reply.

use bytes::{BufMut as _, Bytes, BytesMut};
use kafka_protocol::ResponseError;
use kafka_protocol::messages::api_versions_response::{ApiVersion, ApiVersionsResponse};
use kafka_protocol::messages::{ApiKey, RequestHeader, ResponseHeader};
use kafka_protocol::protocol::{Decodable, Encodable, HeaderVersion, StrBytes};

use super::api;
use super::node::Node;
use super::sasl::Session;
use super::shape;

/// The frame cannot be answered; the connection has to be closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("request of {0} bytes")]
    TooLong(usize),
    #[error("negative length")]
    NegativeLength,
    #[error("request {key} version {version} is not served")]
    Unsupported { key: i16, version: i16 },
    #[error("request {key} version {version} is malformed")]
    Malformed { key: i16, version: i16 },
    #[error("reply cannot be encoded")]
    Reply,
    #[error("client has not authenticated itself")]
    Unauthenticated,
    #[error("produce without acknowledgement failed")]
    Unacknowledged,
}

/// Who asks.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) id: StrBytes,
    pub(super) host: String,
}

/// Versions served of each request.
pub(super) const SERVED: &[(ApiKey, i16, i16)] = &[
    (ApiKey::Produce, 3, 10),
    (ApiKey::Fetch, 4, 16),
    (ApiKey::ListOffsets, 1, 7),
    (ApiKey::Metadata, 0, 12),
    (ApiKey::OffsetCommit, 2, 9),
    (ApiKey::OffsetFetch, 1, 9),
    (ApiKey::FindCoordinator, 0, 4),
    (ApiKey::JoinGroup, 0, 9),
    (ApiKey::Heartbeat, 0, 4),
    (ApiKey::LeaveGroup, 0, 5),
    (ApiKey::SyncGroup, 0, 5),
    (ApiKey::DescribeGroups, 0, 5),
    (ApiKey::ListGroups, 0, 5),
    (ApiKey::SaslHandshake, 0, 1),
    (ApiKey::ApiVersions, 0, 3),
    (ApiKey::CreateTopics, 2, 7),
    (ApiKey::DeleteTopics, 1, 6),
    (ApiKey::InitProducerId, 0, 4),
    (ApiKey::OffsetForLeaderEpoch, 2, 4),
    (ApiKey::AddPartitionsToTxn, 0, 3),
    (ApiKey::AddOffsetsToTxn, 0, 3),
    (ApiKey::EndTxn, 0, 3),
    (ApiKey::TxnOffsetCommit, 0, 3),
    (ApiKey::DescribeConfigs, 1, 4),
    (ApiKey::SaslAuthenticate, 0, 2),
    (ApiKey::CreatePartitions, 0, 3),
    (ApiKey::DeleteGroups, 0, 2),
    (ApiKey::OffsetDelete, 0, 0),
    (ApiKey::DescribeCluster, 0, 1),
];

/// Largest request in bytes, by what can be known from its first bytes.
pub(super) fn length_limit(start: &[u8]) -> usize {
    let is_produce = start.first_chunk().is_some_and(|key| i16::from_be_bytes(*key) == PRODUCE);
    if is_produce { MAX_PRODUCE_BYTES } else { MAX_REQUEST_BYTES }
}

/// Whether quotas cover the request that starts like this.
pub(super) fn can_be_throttled(start: &[u8]) -> bool {
    let key = start.first_chunk().map(|key| i16::from_be_bytes(*key));
    matches!(key, Some(PRODUCE | FETCH))
}

/// Answers one request. `None` means that the client expects no reply.
pub(super) async fn answer(
    node: &Node,
    host: &str,
    session: &mut Session,
    frame: Bytes,
) -> Result<Option<BytesMut>, Refused> {
    if session.expects_bare() {
        let reply = session.bare(&frame)?;
        let mut frame = BytesMut::with_capacity(LENGTH_BYTES + reply.len());
        frame.put_u32(u32::try_from(reply.len()).map_err(|_| Refused::Reply)?);
        frame.put_slice(&reply);
        return Ok(Some(frame));
    }
    let call = match Call::parse(frame)? {
        Parsed::Served(call) => call,
        Parsed::UnknownVersions { correlation_id, .. } => {
            return Ok(Some(versions_error(correlation_id)?));
        }
    };
    session.admit(call.key)?;
    let client = Client { id: call.client_id.clone(), host: host.to_owned() };
    let v = call.version;
    match call.key {
        ApiKey::Produce => {
            let reply = api::produce::answer(node, call.decode()?)?;
            reply.map(|reply| call.reply(&reply)).transpose()
        }
        ApiKey::Fetch => call.some(&api::fetch::answer(node, call.decode()?).await),
        ApiKey::ListOffsets => call.some(&api::list_offsets::answer(node, call.decode()?)),
        ApiKey::OffsetForLeaderEpoch => {
            call.some(&api::list_offsets::leader_epochs(node, call.decode()?))
        }
        ApiKey::Metadata => call.some(&api::metadata::answer(node, call.decode()?, v)),
        ApiKey::DescribeCluster => call.some(&api::metadata::cluster(node)),
        ApiKey::SaslHandshake => call.some(&session.handshake(&call.decode()?, v)),
        ApiKey::SaslAuthenticate => call.some(&session.authenticate(&call.decode()?, v)),
        ApiKey::ApiVersions => call.some(&versions(0)),
        ApiKey::FindCoordinator => {
            call.some(&api::groups::find_coordinator(node, call.decode()?, v))
        }
        ApiKey::JoinGroup => call.some(&api::groups::join(node, &client, call.decode()?, v).await),
        ApiKey::SyncGroup => call.some(&api::groups::sync(node, call.decode()?).await),
        ApiKey::Heartbeat => call.some(&api::groups::heartbeat(node, &call.decode()?)),
        ApiKey::LeaveGroup => call.some(&api::groups::leave(node, call.decode()?, v)),
        ApiKey::DescribeGroups => call.some(&api::groups::describe(node, call.decode()?)),
        ApiKey::ListGroups => call.some(&api::groups::list(node, &call.decode()?)),
        ApiKey::DeleteGroups => call.some(&api::groups::delete(node, call.decode()?)),
        ApiKey::OffsetCommit => call.some(&api::offsets::commit(node, call.decode()?)),
        ApiKey::OffsetFetch => call.some(&api::offsets::fetch(node, call.decode()?, v)),
        ApiKey::OffsetDelete => call.some(&api::offsets::delete(node, call.decode()?)),
        ApiKey::CreateTopics => call.some(&api::admin::create_topics(node, call.decode()?)),
        ApiKey::DeleteTopics => call.some(&api::admin::delete_topics(node, call.decode()?, v)),
        ApiKey::CreatePartitions => call.some(&api::admin::create_partitions(node, call.decode()?)),
        ApiKey::DescribeConfigs => call.some(&api::admin::describe_configs(node, call.decode()?)),
        ApiKey::InitProducerId => {
            call.some(&api::transactions::init_producer_id(node, &call.decode()?, v))
        }
        ApiKey::AddPartitionsToTxn => {
            call.some(&api::transactions::add_partitions(node, call.decode()?, v))
        }
        ApiKey::AddOffsetsToTxn => {
            call.some(&api::transactions::add_offsets(node, &call.decode()?, v))
        }
        ApiKey::TxnOffsetCommit => {
            call.some(&api::transactions::commit_offsets(node, call.decode()?))
        }
        ApiKey::EndTxn => call.some(&api::transactions::end(node, &call.decode()?, v)),
        _ => Err(call.unsupported()),
    }
}

pub(super) enum Parsed {
    Served(Call),
    /// `ApiVersions` in a version from the future; the reply tells which ones there are.
    UnknownVersions {
        correlation_id: i32,
        version: i16,
    },
}

/// A request whose header has been read.
pub(super) struct Call {
    pub(super) key: ApiKey,
    pub(super) version: i16,
    correlation_id: i32,
    client_id: StrBytes,
    body: Bytes,
}

impl Call {
    pub(super) fn parse(mut frame: Bytes) -> Result<Parsed, Refused> {
        let malformed = Refused::Malformed { key: -1, version: -1 };
        let start = frame.first_chunk::<8>().ok_or(malformed)?;
        let [k0, k1, v0, v1, c0, c1, c2, c3] = *start;
        let (key, version) = (i16::from_be_bytes([k0, k1]), i16::from_be_bytes([v0, v1]));
        let unsupported = Refused::Unsupported { key, version };
        let api = ApiKey::try_from(key).map_err(|()| unsupported)?;
        let served = SERVED.iter().find(|(served, ..)| *served == api).ok_or(unsupported)?;
        if !(served.1..=served.2).contains(&version) {
            return if api == ApiKey::ApiVersions {
                let correlation_id = i32::from_be_bytes([c0, c1, c2, c3]);
                Ok(Parsed::UnknownVersions { correlation_id, version })
            } else {
                Err(unsupported)
            };
        }
        let malformed = Refused::Malformed { key, version };
        let header = RequestHeader::decode(&mut frame, api.request_header_version(version))
            .map_err(|_| malformed)?;
        shape::check(api, version, &frame).map_err(|_| malformed)?;
        Ok(Parsed::Served(Self {
            key: api,
            version,
            correlation_id: header.correlation_id,
            client_id: header.client_id.unwrap_or_default(),
            body: frame,
        }))
    }

    pub(super) fn decode<R: Decodable>(&self) -> Result<R, Refused> {
        R::decode(&mut self.body.clone(), self.version).map_err(|_| self.malformed())
    }

    fn some<R: Encodable + HeaderVersion>(&self, reply: &R) -> Result<Option<BytesMut>, Refused> {
        self.reply(reply).map(Some)
    }

    fn reply<R: Encodable + HeaderVersion>(&self, reply: &R) -> Result<BytesMut, Refused> {
        encode(self.correlation_id, self.version, reply)
    }

    fn malformed(&self) -> Refused {
        Refused::Malformed { key: self.key as i16, version: self.version }
    }

    pub(super) fn unsupported(&self) -> Refused {
        Refused::Unsupported { key: self.key as i16, version: self.version }
    }
}

/// A whole frame: length, header, body.
fn encode<R: Encodable + HeaderVersion>(
    correlation_id: i32,
    version: i16,
    reply: &R,
) -> Result<BytesMut, Refused> {
    let header = ResponseHeader::default().with_correlation_id(correlation_id);
    let size = reply.compute_size(version).map_err(|_| Refused::Reply)?;
    let mut frame = BytesMut::with_capacity(size + HEADER_ROOM);
    frame.put_i32(0);
    header.encode(&mut frame, R::header_version(version)).map_err(|_| Refused::Reply)?;
    reply.encode(&mut frame, version).map_err(|_| Refused::Reply)?;
    let length = i32::try_from(frame.len() - LENGTH_BYTES).map_err(|_| Refused::Reply)?;
    if let Some(prefix) = frame.first_chunk_mut() {
        *prefix = length.to_be_bytes();
    }
    Ok(frame)
}

fn versions(error_code: i16) -> ApiVersionsResponse {
    let served = SERVED.iter().map(|&(key, min, max)| {
        ApiVersion::default().with_api_key(key as i16).with_min_version(min).with_max_version(max)
    });
    ApiVersionsResponse::default().with_error_code(error_code).with_api_keys(served.collect())
}

fn versions_error(correlation_id: i32) -> Result<BytesMut, Refused> {
    // A client that asks too new a version can always read the oldest reply.
    encode(correlation_id, 0, &versions(ResponseError::UnsupportedVersion.code()))
}

/// Bytes of the length in front of each frame.
pub(super) const LENGTH_BYTES: usize = 4;
/// Length, correlation id and an empty set of tagged fields.
const HEADER_ROOM: usize = LENGTH_BYTES + 4 + 1;
const PRODUCE: i16 = ApiKey::Produce as i16;
const FETCH: i16 = ApiKey::Fetch as i16;
/// Kafka's `socket.request.max.bytes`.
const MAX_PRODUCE_BYTES: usize = 100 * 1024 * 1024;
/// Requests without records are small; commits of many partitions are the longest.
const MAX_REQUEST_BYTES: usize = 16 * 1024 * 1024;

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
