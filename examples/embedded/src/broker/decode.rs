//! The request decoder by itself, without a broker behind it.

use bytes::Bytes;
use kafka_protocol::messages::{
    AddOffsetsToTxnRequest, AddPartitionsToTxnRequest, ApiKey, ApiVersionsRequest,
    CreatePartitionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteTopicsRequest,
    DescribeClusterRequest, DescribeConfigsRequest, DescribeGroupsRequest, EndTxnRequest,
    FetchRequest, FindCoordinatorRequest, HeartbeatRequest, InitProducerIdRequest,
    JoinGroupRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest, OffsetForLeaderEpochRequest,
    ProduceRequest, SaslAuthenticateRequest, SaslHandshakeRequest, SyncGroupRequest,
    TxnOffsetCommitRequest,
};

use super::batch::BatchHeader;
use super::records;
use super::wire::{Call, Parsed, Refused};

/// A request that the broker would go on to answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Decoded {
    /// Which request it is, by Kafka's number.
    pub key: i16,
    /// Its version.
    pub version: i16,
    /// Of a produce request: how many of its batches would be stored, if the topics are there.
    pub batches: usize,
}

/// A request after which the broker closes the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub struct Undecodable(Refused);

/// Reads a request as the broker does: `frame` is what follows the length on the wire.
///
/// It is there for tests of the decoder; a broker does this by itself.
///
/// ```
/// use embedded_services::broker::decode_request;
///
/// // ApiVersions, version 0, correlation id 7, no client id.
/// let request = decode_request(&[0, 18, 0, 0, 0, 0, 0, 7, 0xFF, 0xFF])?;
/// assert_eq!((request.key, request.version), (18, 0));
/// assert!(decode_request(b"GET / HTTP/1.1").is_err());
/// # Ok::<(), embedded_services::broker::Undecodable>(())
/// ```
///
/// # Errors
/// When the request is not one that is served, in a version that is served, or is malformed.
pub fn decode_request(frame: &[u8]) -> Result<Decoded, Undecodable> {
    decode(Bytes::copy_from_slice(frame)).map_err(Undecodable)
}

fn decode(frame: Bytes) -> Result<Decoded, Refused> {
    let call = match Call::parse(frame)? {
        Parsed::Served(call) => call,
        // It is answered without a look at the rest.
        Parsed::UnknownVersions { version, .. } => {
            return Ok(Decoded { key: ApiKey::ApiVersions as i16, version, batches: 0 });
        }
    };
    let mut batches = 0;
    match call.key {
        ApiKey::Produce => batches = stored(&call.decode()?),
        ApiKey::Fetch => drop(call.decode::<FetchRequest>()?),
        ApiKey::ListOffsets => drop(call.decode::<ListOffsetsRequest>()?),
        ApiKey::OffsetForLeaderEpoch => drop(call.decode::<OffsetForLeaderEpochRequest>()?),
        ApiKey::Metadata => drop(call.decode::<MetadataRequest>()?),
        ApiKey::DescribeCluster => drop(call.decode::<DescribeClusterRequest>()?),
        ApiKey::SaslHandshake => drop(call.decode::<SaslHandshakeRequest>()?),
        ApiKey::SaslAuthenticate => drop(call.decode::<SaslAuthenticateRequest>()?),
        ApiKey::ApiVersions => drop(call.decode::<ApiVersionsRequest>()?),
        ApiKey::FindCoordinator => drop(call.decode::<FindCoordinatorRequest>()?),
        ApiKey::JoinGroup => drop(call.decode::<JoinGroupRequest>()?),
        ApiKey::SyncGroup => drop(call.decode::<SyncGroupRequest>()?),
        ApiKey::Heartbeat => drop(call.decode::<HeartbeatRequest>()?),
        ApiKey::LeaveGroup => drop(call.decode::<LeaveGroupRequest>()?),
        ApiKey::DescribeGroups => drop(call.decode::<DescribeGroupsRequest>()?),
        ApiKey::ListGroups => drop(call.decode::<ListGroupsRequest>()?),
        ApiKey::DeleteGroups => drop(call.decode::<DeleteGroupsRequest>()?),
        ApiKey::OffsetCommit => drop(call.decode::<OffsetCommitRequest>()?),
        ApiKey::OffsetFetch => drop(call.decode::<OffsetFetchRequest>()?),
        ApiKey::OffsetDelete => drop(call.decode::<OffsetDeleteRequest>()?),
        ApiKey::CreateTopics => drop(call.decode::<CreateTopicsRequest>()?),
        ApiKey::DeleteTopics => drop(call.decode::<DeleteTopicsRequest>()?),
        ApiKey::CreatePartitions => drop(call.decode::<CreatePartitionsRequest>()?),
        ApiKey::DescribeConfigs => drop(call.decode::<DescribeConfigsRequest>()?),
        ApiKey::InitProducerId => drop(call.decode::<InitProducerIdRequest>()?),
        ApiKey::AddPartitionsToTxn => drop(call.decode::<AddPartitionsToTxnRequest>()?),
        ApiKey::AddOffsetsToTxn => drop(call.decode::<AddOffsetsToTxnRequest>()?),
        ApiKey::TxnOffsetCommit => drop(call.decode::<TxnOffsetCommitRequest>()?),
        ApiKey::EndTxn => drop(call.decode::<EndTxnRequest>()?),
        _ => return Err(call.unsupported()),
    }
    Ok(Decoded { key: call.key as i16, version: call.version, batches })
}

/// Counts the batches that pass, and reads their records as compaction does.
fn stored(request: &ProduceRequest) -> usize {
    let partitions = request.topic_data.iter().flat_map(|topic| &topic.partition_data);
    let batches = partitions.filter_map(|partition| partition.records.as_deref());
    let accepted = batches.filter(|batch| match BatchHeader::accept(batch) {
        Ok(header) => {
            let records = records::parse(&header, batch).unwrap_or_default();
            records::rebuild(&header, batch, &records).is_some()
        }
        Err(_) => false,
    });
    accepted.count()
}
