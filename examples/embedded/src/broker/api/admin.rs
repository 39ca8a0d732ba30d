//! Topics made, grown, removed and described.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::create_partitions_response::CreatePartitionsTopicResult;
use kafka_protocol::messages::create_topics_request::CreatableTopic;
use kafka_protocol::messages::create_topics_response::{
    CreatableTopicConfigs, CreatableTopicResult,
};
use kafka_protocol::messages::delete_topics_request::DeleteTopicState;
use kafka_protocol::messages::delete_topics_response::DeletableTopicResult;
use kafka_protocol::messages::describe_configs_request::DescribeConfigsResource;
use kafka_protocol::messages::describe_configs_response::{
    DescribeConfigsResourceResult, DescribeConfigsResult,
};
use kafka_protocol::messages::{
    CreatePartitionsRequest, CreatePartitionsResponse, CreateTopicsRequest, CreateTopicsResponse,
    DeleteTopicsRequest, DeleteTopicsResponse, DescribeConfigsRequest, DescribeConfigsResponse,
    TopicName,
};
use kafka_protocol::protocol::StrBytes;
use uuid::Uuid;

use crate::broker::node::{NODE_ID, Node};
use crate::broker::settings::{self, Described, Settings, Source};

type Refusal = (ResponseError, Option<String>);

pub(in crate::broker) fn create_topics(
    node: &Node,
    request: CreateTopicsRequest,
) -> CreateTopicsResponse {
    let results = request.topics.into_iter().map(|wanted| {
        let result = CreatableTopicResult::default().with_name(wanted.name.clone());
        match create_topic(node, &wanted, request.validate_only) {
            Ok((id, partitions, settings)) => {
                let configs = settings::describe(&settings).map(|described| {
                    CreatableTopicConfigs::default()
                        .with_name(StrBytes::from_static_str(described.known.name))
                        .with_value(Some(value(node, &described)))
                        .with_config_source(source(&described))
                });
                result
                    .with_topic_id(id)
                    .with_num_partitions(partitions)
                    .with_replication_factor(1)
                    .with_configs(Some(configs.collect()))
            }
            Err((error, message)) => result
                .with_error_code(error.code())
                .with_error_message(Some(text(error, message)))
                .with_num_partitions(-1)
                .with_replication_factor(-1),
        }
    });
    CreateTopicsResponse::default().with_topics(results.collect())
}

fn create_topic(
    node: &Node,
    wanted: &CreatableTopic,
    validate_only: bool,
) -> Result<(Uuid, i32, Settings), Refusal> {
    let plain = |error| (error, None);
    let partitions = if wanted.assignments.is_empty() {
        if !matches!(wanted.replication_factor, -1 | 1) {
            return Err(plain(ResponseError::InvalidReplicationFactor));
        }
        wanted.num_partitions
    } else {
        assigned_partitions(wanted).map_err(plain)?
    };
    let pairs = wanted.configs.iter();
    let pairs = pairs.filter_map(|config| Some((config.name.as_str(), config.value.as_deref()?)));
    let settings = settings::parse(pairs)
        .map_err(|refused| (ResponseError::InvalidConfig, Some(refused.0)))?;
    if validate_only {
        let partitions = node.topics.check(&wanted.name, partitions).map_err(plain)?;
        return Ok((Uuid::nil(), partitions, settings));
    }
    let topic = node.topics.create(&wanted.name, partitions, settings.clone()).map_err(plain)?;
    Ok((topic.id, topic.partition_count(), settings))
}

/// The number of partitions whose place the client chose: all on this node, numbered from 0.
fn assigned_partitions(wanted: &CreatableTopic) -> Result<i32, ResponseError> {
    if wanted.num_partitions != -1 || wanted.replication_factor != -1 {
        return Err(ResponseError::InvalidRequest);
    }
    let mut indexes: Vec<i32> =
        wanted.assignments.iter().map(|assigned| assigned.partition_index).collect();
    indexes.sort_unstable();
    let here = wanted.assignments.iter().all(|assigned| assigned.broker_ids == [NODE_ID]);
    let count = i32::try_from(indexes.len()).map_err(|_| ResponseError::InvalidPartitions)?;
    if here && indexes.into_iter().eq(0..count) {
        Ok(count)
    } else {
        Err(ResponseError::InvalidReplicaAssignment)
    }
}

pub(in crate::broker) fn delete_topics(
    node: &Node,
    request: DeleteTopicsRequest,
    version: i16,
) -> DeleteTopicsResponse {
    let wanted: Vec<DeleteTopicState> = if version >= 6 {
        request.topics
    } else {
        let named = |name| DeleteTopicState::default().with_name(Some(name));
        request.topic_names.into_iter().map(named).collect()
    };
    let results = wanted.into_iter().map(|wanted| {
        let topic = match &wanted.name {
            Some(name) => node.topics.get(name).ok_or(ResponseError::UnknownTopicOrPartition),
            None => node.topics.by_id(wanted.topic_id).ok_or(ResponseError::UnknownTopicId),
        };
        let deleted = topic.and_then(|topic| {
            node.topics.delete(&topic.name)?;
            node.groups.forget_topic(&topic.name)?;
            Ok(topic)
        });
        match deleted {
            Ok(topic) => DeletableTopicResult::default()
                .with_name(Some(TopicName(StrBytes::from_string(topic.name.clone()))))
                .with_topic_id(topic.id),
            Err(error) => DeletableTopicResult::default()
                .with_name(wanted.name)
                .with_topic_id(wanted.topic_id)
                .with_error_code(error.code())
                .with_error_message(Some(text(error, None))),
        }
    });
    DeleteTopicsResponse::default().with_responses(results.collect())
}

pub(in crate::broker) fn create_partitions(
    node: &Node,
    request: CreatePartitionsRequest,
) -> CreatePartitionsResponse {
    let validate_only = request.validate_only;
    let results = request.topics.into_iter().map(|wanted| {
        let grown = if validate_only {
            match node.topics.get(&wanted.name) {
                None => Err(ResponseError::UnknownTopicOrPartition),
                Some(topic) if wanted.count <= topic.partition_count() => {
                    Err(ResponseError::InvalidPartitions)
                }
                Some(_) => Ok(()),
            }
        } else {
            node.topics.grow(&wanted.name, wanted.count)
        };
        let result = CreatePartitionsTopicResult::default().with_name(wanted.name);
        match grown {
            Ok(()) => result,
            Err(error) => {
                result.with_error_code(error.code()).with_error_message(Some(text(error, None)))
            }
        }
    });
    CreatePartitionsResponse::default().with_results(results.collect())
}

pub(in crate::broker) fn describe_configs(
    node: &Node,
    request: DescribeConfigsRequest,
) -> DescribeConfigsResponse {
    let results = request.resources.into_iter().map(|wanted| {
        let result = DescribeConfigsResult::default()
            .with_resource_type(wanted.resource_type)
            .with_resource_name(wanted.resource_name.clone());
        match settings_of(node, &wanted) {
            Ok(settings) => {
                let asked = |described: &Described<'_>| match &wanted.configuration_keys {
                    None => true,
                    Some(keys) => keys.iter().any(|key| key.as_str() == described.known.name),
                };
                let configs = settings::describe(&settings).filter(asked).map(|described| {
                    DescribeConfigsResourceResult::default()
                        .with_name(StrBytes::from_static_str(described.known.name))
                        .with_value(Some(value(node, &described)))
                        .with_read_only(true)
                        .with_config_source(source(&described))
                        .with_config_type(described.known.form.wire_type())
                });
                result.with_configs(configs.collect())
            }
            Err(error) => {
                result.with_error_code(error.code()).with_error_message(Some(text(error, None)))
            }
        }
    });
    DescribeConfigsResponse::default().with_results(results.collect())
}

/// Topics have settings of their own; the broker answers with the defaults of a topic.
fn settings_of(node: &Node, wanted: &DescribeConfigsResource) -> Result<Settings, ResponseError> {
    match wanted.resource_type {
        TOPIC => node
            .topics
            .get(&wanted.resource_name)
            .map(|topic| topic.settings.clone())
            .ok_or(ResponseError::UnknownTopicOrPartition),
        BROKER if wanted.resource_name.parse() == Ok(NODE_ID.0) => Ok(Settings::default()),
        _ => Err(ResponseError::InvalidRequest),
    }
}

fn value(node: &Node, described: &Described<'_>) -> StrBytes {
    let value = match (described.known.name, described.source) {
        ("max.message.bytes", Source::Default) => node.config.max_message_bytes.to_string(),
        _ => described.value.to_owned(),
    };
    StrBytes::from_string(value)
}

/// `DescribeConfigs`' number for where a value comes from.
const fn source(described: &Described<'_>) -> i8 {
    match described.source {
        Source::Topic => 1,
        Source::Default => 5,
    }
}

fn text(error: ResponseError, message: Option<String>) -> StrBytes {
    StrBytes::from_string(message.unwrap_or_else(|| error.to_string()))
}

const TOPIC: i8 = 2;
const BROKER: i8 = 4;
