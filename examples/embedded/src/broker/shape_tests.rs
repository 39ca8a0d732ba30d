use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::*;
use kafka_protocol::protocol::{Decodable, Encodable, StrBytes};

use super::*;
use crate::broker::wire::SERVED;

fn name() -> StrBytes {
    StrBytes::from_static_str("name")
}

/// A request of each served kind with two elements in every array, in one version.
fn sample(key: ApiKey, v: i16) -> Sample {
    macro_rules! sample {
        ($request:expr) => {
            Sample::of($request, v)
        };
    }
    fn two<T: Clone>(element: T) -> Vec<T> {
        vec![element.clone(), element]
    }
    match key {
        ApiKey::Produce => {
            use produce_request::{PartitionProduceData, TopicProduceData};
            let data =
                PartitionProduceData::default().with_records(Some(Bytes::from_static(b"abc")));
            let topic = TopicProduceData::default()
                .with_name(TopicName(name()))
                .with_partition_data(two(data));
            sample!(ProduceRequest::default().with_topic_data(two(topic)))
        }
        ApiKey::Fetch => {
            use fetch_request::{FetchPartition, FetchTopic, ForgottenTopic};
            let mut topic = FetchTopic::default().with_partitions(two(FetchPartition::default()));
            let mut forgotten = ForgottenTopic::default().with_partitions(two(1));
            if v <= 12 {
                topic.topic = TopicName(name());
                forgotten.topic = TopicName(name());
            }
            let mut request = FetchRequest::default().with_topics(two(topic));
            if v >= 7 {
                request.forgotten_topics_data = two(forgotten);
            }
            sample!(request)
        }
        ApiKey::ListOffsets => {
            use list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
            let topic = ListOffsetsTopic::default()
                .with_name(TopicName(name()))
                .with_partitions(two(ListOffsetsPartition::default()));
            sample!(ListOffsetsRequest::default().with_topics(two(topic)))
        }
        ApiKey::Metadata => {
            let topic = metadata_request::MetadataRequestTopic::default()
                .with_name(Some(TopicName(name())));
            sample!(MetadataRequest::default().with_topics(Some(two(topic))))
        }
        ApiKey::OffsetCommit => {
            use offset_commit_request::{OffsetCommitRequestPartition, OffsetCommitRequestTopic};
            let topic = OffsetCommitRequestTopic::default()
                .with_name(TopicName(name()))
                .with_partitions(two(OffsetCommitRequestPartition::default()));
            sample!(OffsetCommitRequest::default().with_topics(two(topic)))
        }
        ApiKey::OffsetFetch => {
            use offset_fetch_request::{
                OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
            };
            if v < 8 {
                let topic = OffsetFetchRequestTopic::default()
                    .with_name(TopicName(name()))
                    .with_partition_indexes(two(1));
                sample!(OffsetFetchRequest::default().with_topics(Some(two(topic))))
            } else {
                let topic = OffsetFetchRequestTopics::default()
                    .with_name(TopicName(name()))
                    .with_partition_indexes(two(1));
                let group = OffsetFetchRequestGroup::default().with_topics(Some(two(topic)));
                sample!(OffsetFetchRequest::default().with_groups(two(group)))
            }
        }
        ApiKey::FindCoordinator if v < 4 => {
            sample!(FindCoordinatorRequest::default().with_key(name()))
        }
        ApiKey::FindCoordinator => {
            sample!(FindCoordinatorRequest::default().with_coordinator_keys(two(name())))
        }
        ApiKey::JoinGroup => {
            let protocol = join_group_request::JoinGroupRequestProtocol::default()
                .with_name(name())
                .with_metadata(Bytes::from_static(b"abc"));
            sample!(JoinGroupRequest::default().with_protocols(two(protocol)))
        }
        ApiKey::SyncGroup => {
            let given =
                sync_group_request::SyncGroupRequestAssignment::default().with_member_id(name());
            sample!(SyncGroupRequest::default().with_assignments(two(given)))
        }
        ApiKey::LeaveGroup if v < 3 => sample!(LeaveGroupRequest::default()),
        ApiKey::LeaveGroup => {
            let member = leave_group_request::MemberIdentity::default().with_member_id(name());
            sample!(LeaveGroupRequest::default().with_members(two(member)))
        }
        ApiKey::DescribeGroups => {
            sample!(DescribeGroupsRequest::default().with_groups(two(GroupId(name()))))
        }
        ApiKey::ListGroups => {
            let mut request = ListGroupsRequest::default();
            if v >= 4 {
                request.states_filter = two(name());
            }
            if v >= 5 {
                request.types_filter = two(name());
            }
            sample!(request)
        }
        ApiKey::DeleteGroups => {
            sample!(DeleteGroupsRequest::default().with_groups_names(two(GroupId(name()))))
        }
        ApiKey::OffsetDelete => {
            use offset_delete_request::{OffsetDeleteRequestPartition, OffsetDeleteRequestTopic};
            let topic = OffsetDeleteRequestTopic::default()
                .with_name(TopicName(name()))
                .with_partitions(two(OffsetDeleteRequestPartition::default()));
            sample!(OffsetDeleteRequest::default().with_topics(two(topic)))
        }
        ApiKey::CreateTopics => {
            use create_topics_request::{
                CreatableReplicaAssignment, CreatableTopic, CreatableTopicConfig,
            };
            let assigned = CreatableReplicaAssignment::default().with_broker_ids(two(BrokerId(1)));
            let config = CreatableTopicConfig::default().with_name(name()).with_value(Some(name()));
            let topic = CreatableTopic::default()
                .with_name(TopicName(name()))
                .with_assignments(two(assigned))
                .with_configs(two(config));
            sample!(CreateTopicsRequest::default().with_topics(two(topic)))
        }
        ApiKey::DeleteTopics if v < 6 => {
            sample!(DeleteTopicsRequest::default().with_topic_names(two(TopicName(name()))))
        }
        ApiKey::DeleteTopics => {
            let topic = delete_topics_request::DeleteTopicState::default()
                .with_name(Some(TopicName(name())));
            sample!(DeleteTopicsRequest::default().with_topics(two(topic)))
        }
        ApiKey::CreatePartitions => {
            use create_partitions_request::{CreatePartitionsAssignment, CreatePartitionsTopic};
            let assigned = CreatePartitionsAssignment::default().with_broker_ids(two(BrokerId(1)));
            let topic = CreatePartitionsTopic::default()
                .with_name(TopicName(name()))
                .with_assignments(Some(two(assigned)));
            sample!(CreatePartitionsRequest::default().with_topics(two(topic)))
        }
        ApiKey::DescribeConfigs => {
            let resource = describe_configs_request::DescribeConfigsResource::default()
                .with_resource_name(name())
                .with_configuration_keys(Some(two(name())));
            sample!(DescribeConfigsRequest::default().with_resources(two(resource)))
        }
        ApiKey::OffsetForLeaderEpoch => {
            use offset_for_leader_epoch_request::{OffsetForLeaderPartition, OffsetForLeaderTopic};
            let topic = OffsetForLeaderTopic::default()
                .with_topic(TopicName(name()))
                .with_partitions(two(OffsetForLeaderPartition::default()));
            sample!(OffsetForLeaderEpochRequest::default().with_topics(two(topic)))
        }
        ApiKey::Heartbeat => sample!(HeartbeatRequest::default()),
        ApiKey::ApiVersions => {
            let request = ApiVersionsRequest::default().with_client_software_name(name());
            if v < 3 { sample!(ApiVersionsRequest::default()) } else { sample!(request) }
        }
        ApiKey::InitProducerId => sample!(InitProducerIdRequest::default()),
        ApiKey::DescribeCluster => sample!(DescribeClusterRequest::default()),
        ApiKey::AddPartitionsToTxn => {
            let topic = add_partitions_to_txn_request::AddPartitionsToTxnTopic::default()
                .with_name(TopicName(name()))
                .with_partitions(two(1));
            let request = AddPartitionsToTxnRequest::default().with_v3_and_below_topics(two(topic));
            sample!(request.with_v3_and_below_transactional_id(TransactionalId(name())))
        }
        ApiKey::SaslHandshake => sample!(SaslHandshakeRequest::default()),
        ApiKey::SaslAuthenticate => sample!(SaslAuthenticateRequest::default()),
        ApiKey::AddOffsetsToTxn => sample!(AddOffsetsToTxnRequest::default()),
        ApiKey::EndTxn => sample!(EndTxnRequest::default()),
        ApiKey::TxnOffsetCommit => {
            use txn_offset_commit_request::{
                TxnOffsetCommitRequestPartition, TxnOffsetCommitRequestTopic,
            };
            let topic = TxnOffsetCommitRequestTopic::default()
                .with_name(TopicName(name()))
                .with_partitions(two(TxnOffsetCommitRequestPartition::default()));
            sample!(TxnOffsetCommitRequest::default().with_topics(two(topic)))
        }
        other => panic!("no sample of {other:?}"),
    }
}

struct Sample {
    body: Bytes,
    decode: fn(Bytes, i16) -> bool,
}

impl Sample {
    fn of<R: Encodable + Decodable>(request: R, version: i16) -> Self {
        let mut body = BytesMut::new();
        request.encode(&mut body, version).unwrap();
        let decode = |mut body, version| R::decode(&mut body, version).is_ok();
        Self { body: body.freeze(), decode }
    }
}

fn each_version(mut look: impl FnMut(ApiKey, i16, &Sample)) {
    for &(key, first, last) in SERVED {
        for version in first..=last {
            look(key, version, &sample(key, version));
        }
    }
}

#[test]
fn well_formed_requests_of_every_version_pass() {
    each_version(|key, version, sample| {
        assert_eq!(check(key, version, &sample.body), Ok(()), "{key:?} {version}");
        assert!((sample.decode)(sample.body.clone(), version), "{key:?} {version}");
    });
}

/// A length that slips through would make the codec ask for hundreds of gigabytes, which ends
/// the process.
#[test]
fn no_array_length_gets_past_the_check() {
    let mut refused = 0;
    each_version(|key, version, sample| {
        for at in 0..sample.body.len() {
            for large in [
                &[0x7f, 0xff, 0xff, 0xff][..],
                &[0xff, 0xff, 0xff, 0xff, 0x0f],
                &[0, 0xff, 0xff, 0xff],
            ] {
                let mut body = sample.body.to_vec();
                body.truncate(at);
                body.extend_from_slice(large);
                body.extend(sample.body.iter().skip(at + large.len()));
                match check(key, version, &body) {
                    Ok(()) => _ = (sample.decode)(body.into(), version),
                    Err(Misshapen) => refused += 1,
                }
            }
        }
    });
    assert!(refused > 10_000, "{refused}");
}

#[test]
fn too_many_elements_are_refused_even_when_they_are_there() {
    let topics = vec![TopicName(StrBytes::new()); MAX_ELEMENTS + 1];
    let mut body = BytesMut::new();
    DeleteTopicsRequest::default().with_topic_names(topics).encode(&mut body, 1).unwrap();
    assert_eq!(check(ApiKey::DeleteTopics, 1, &body), Err(Misshapen));
}
