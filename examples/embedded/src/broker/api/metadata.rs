//! `Metadata` and `DescribeCluster`.

use std::sync::Arc;

use kafka_protocol::ResponseError;
use kafka_protocol::messages::describe_cluster_response::DescribeClusterBroker;
use kafka_protocol::messages::metadata_request::MetadataRequestTopic;
use kafka_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use kafka_protocol::messages::{
    DescribeClusterResponse, MetadataRequest, MetadataResponse, TopicName,
};
use kafka_protocol::protocol::StrBytes;

use crate::broker::batch::LEADER_EPOCH;
use crate::broker::config::TopicCreation;
use crate::broker::node::{NODE_ID, Node};
use crate::broker::settings::Settings;
use crate::broker::topics::Topic;

pub(in crate::broker) fn answer(
    node: &Node,
    request: MetadataRequest,
    version: i16,
) -> MetadataResponse {
    let everything = match &request.topics {
        None => true,
        // Version 0 has no null.
        Some(topics) => version == 0 && topics.is_empty(),
    };
    let topics = if everything {
        node.topics.all().iter().map(|topic| describe(topic)).collect()
    } else {
        let may_create = request.allow_auto_topic_creation
            && node.config.topic_creation == TopicCreation::OnFirstUse;
        let wanted = request.topics.unwrap_or_default();
        wanted.into_iter().map(|topic| find(node, topic, may_create)).collect()
    };
    let broker = MetadataResponseBroker::default()
        .with_node_id(NODE_ID)
        .with_host(node.host.clone())
        .with_port(i32::from(node.port));
    MetadataResponse::default()
        .with_brokers(vec![broker])
        .with_cluster_id(Some(node.cluster_id.clone()))
        .with_controller_id(NODE_ID)
        .with_topics(topics)
}

pub(in crate::broker) fn cluster(node: &Node) -> DescribeClusterResponse {
    let broker = DescribeClusterBroker::default()
        .with_broker_id(NODE_ID)
        .with_host(node.host.clone())
        .with_port(i32::from(node.port));
    DescribeClusterResponse::default()
        .with_cluster_id(node.cluster_id.clone())
        .with_controller_id(NODE_ID)
        .with_brokers(vec![broker])
}

fn find(node: &Node, wanted: MetadataRequestTopic, may_create: bool) -> MetadataResponseTopic {
    let found = match &wanted.name {
        Some(name) => match node.topics.get(name) {
            Some(topic) => Ok(topic),
            None if may_create => create(node, name),
            None => node.topics.check(name, -1).and(Err(ResponseError::UnknownTopicOrPartition)),
        },
        None => node.topics.by_id(wanted.topic_id).ok_or(ResponseError::UnknownTopicId),
    };
    match found {
        Ok(topic) => describe(&topic),
        Err(error) => MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(wanted.name)
            .with_topic_id(wanted.topic_id),
    }
}

fn create(node: &Node, name: &TopicName) -> Result<Arc<Topic>, ResponseError> {
    match node.topics.create(name, -1, Settings::default()) {
        // Someone else was faster.
        Err(ResponseError::TopicAlreadyExists) => {
            node.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition)
        }
        made => made,
    }
}

fn describe(topic: &Topic) -> MetadataResponseTopic {
    let partitions = (0..topic.partition_count()).map(|index| {
        MetadataResponsePartition::default()
            .with_partition_index(index)
            .with_leader_id(NODE_ID)
            .with_leader_epoch(LEADER_EPOCH)
            .with_replica_nodes(vec![NODE_ID])
            .with_isr_nodes(vec![NODE_ID])
    });
    MetadataResponseTopic::default()
        .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
        .with_topic_id(topic.id)
        .with_partitions(partitions.collect())
}
