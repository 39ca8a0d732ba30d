//! Group membership on the wire.

use kafka_protocol::ResponseError;
use kafka_protocol::messages::delete_groups_response::DeletableGroupResult;
use kafka_protocol::messages::describe_groups_response::{DescribedGroup, DescribedGroupMember};
use kafka_protocol::messages::find_coordinator_response::Coordinator;
use kafka_protocol::messages::join_group_response::JoinGroupResponseMember;
use kafka_protocol::messages::leave_group_request::MemberIdentity;
use kafka_protocol::messages::leave_group_response::MemberResponse;
use kafka_protocol::messages::list_groups_response::ListedGroup;
use kafka_protocol::messages::{
    BrokerId, DeleteGroupsRequest, DeleteGroupsResponse, DescribeGroupsRequest,
    DescribeGroupsResponse, FindCoordinatorRequest, FindCoordinatorResponse, GroupId,
    HeartbeatRequest, HeartbeatResponse, JoinGroupRequest, JoinGroupResponse, LeaveGroupRequest,
    LeaveGroupResponse, ListGroupsRequest, ListGroupsResponse, SyncGroupRequest, SyncGroupResponse,
};
use kafka_protocol::protocol::StrBytes;

use crate::broker::group::{Identity, Join, Outcome, Protocol, Snapshot, Sync};
use crate::broker::node::{NODE_ID, Node};
use crate::broker::wire::Client;

pub(in crate::broker) fn find_coordinator(
    node: &Node,
    request: FindCoordinatorRequest,
    version: i16,
) -> FindCoordinatorResponse {
    let error = match request.key_type {
        GROUP | TRANSACTION => None,
        _ => Some(ResponseError::InvalidRequest),
    };
    let (node_id, host, port) = match error {
        None => (NODE_ID, node.host.clone(), i32::from(node.port)),
        Some(_) => (BrokerId(-1), StrBytes::new(), -1),
    };
    let code = error.map_or(0, |error| error.code());
    let message = error.map(|error| StrBytes::from_string(error.to_string()));
    if version < 4 {
        return FindCoordinatorResponse::default()
            .with_error_code(code)
            .with_error_message(message)
            .with_node_id(node_id)
            .with_host(host)
            .with_port(port);
    }
    let coordinators = request.coordinator_keys.into_iter().map(|key| {
        Coordinator::default()
            .with_key(key)
            .with_node_id(node_id)
            .with_host(host.clone())
            .with_port(port)
            .with_error_code(code)
            .with_error_message(message.clone())
    });
    FindCoordinatorResponse::default().with_coordinators(coordinators.collect())
}

pub(in crate::broker) async fn join(
    node: &Node,
    client: &Client,
    request: JoinGroupRequest,
    version: i16,
) -> JoinGroupResponse {
    let protocols = request.protocols.into_iter();
    let join = Join {
        identity: Identity { member_id: request.member_id, instance_id: request.group_instance_id },
        client_id: client.id.clone(),
        client_host: StrBytes::from_string(client.host.clone()),
        session_timeout_ms: request.session_timeout_ms,
        rebalance_timeout_ms: request.rebalance_timeout_ms,
        protocol_type: request.protocol_type,
        protocols: protocols
            .map(|protocol| Protocol { name: protocol.name, metadata: protocol.metadata })
            .collect(),
        id_first: version >= 4,
    };
    let result = match node.groups.join(&request.group_id, join) {
        Outcome::Now(result) => result,
        Outcome::Later(receiver) => receiver
            .await
            .unwrap_or_else(|_| Err((ResponseError::UnknownMemberId, StrBytes::new()))),
    };
    match result {
        Ok(joined) => {
            let members = joined.members.into_iter().map(|(id, instance_id, metadata)| {
                JoinGroupResponseMember::default()
                    .with_member_id(id)
                    .with_group_instance_id(instance_id)
                    .with_metadata(metadata)
            });
            JoinGroupResponse::default()
                .with_generation_id(joined.generation)
                .with_protocol_type(Some(joined.protocol_type))
                .with_protocol_name(Some(joined.protocol))
                .with_leader(joined.leader)
                .with_member_id(joined.member_id)
                .with_members(members.collect())
        }
        Err((error, member_id)) => JoinGroupResponse::default()
            .with_error_code(error.code())
            .with_generation_id(-1)
            // Null is allowed from version 7 on.
            .with_protocol_name((version < 7).then(StrBytes::new))
            .with_member_id(member_id),
    }
}

pub(in crate::broker) async fn sync(node: &Node, request: SyncGroupRequest) -> SyncGroupResponse {
    let assignments = request.assignments.into_iter();
    let sync = Sync {
        identity: Identity { member_id: request.member_id, instance_id: request.group_instance_id },
        generation: request.generation_id,
        protocol_type: request.protocol_type,
        protocol: request.protocol_name,
        assignments: assignments.map(|given| (given.member_id, given.assignment)).collect(),
    };
    let result = match node.groups.sync(&request.group_id, sync) {
        Outcome::Now(result) => result,
        Outcome::Later(receiver) => receiver.await.unwrap_or(Err(ResponseError::UnknownMemberId)),
    };
    match result {
        Ok(synced) => SyncGroupResponse::default()
            .with_protocol_type(Some(synced.protocol_type))
            .with_protocol_name(Some(synced.protocol))
            .with_assignment(synced.assignment),
        Err(error) => SyncGroupResponse::default().with_error_code(error.code()),
    }
}

pub(in crate::broker) fn heartbeat(node: &Node, request: &HeartbeatRequest) -> HeartbeatResponse {
    let identity = Identity {
        member_id: request.member_id.clone(),
        instance_id: request.group_instance_id.clone(),
    };
    let alive = node.groups.heartbeat(&request.group_id, &identity, request.generation_id);
    HeartbeatResponse::default().with_error_code(code(alive))
}

pub(in crate::broker) fn leave(
    node: &Node,
    request: LeaveGroupRequest,
    version: i16,
) -> LeaveGroupResponse {
    let leave = |identity: &Identity| code(node.groups.leave(&request.group_id, identity));
    if version < 3 {
        let identity = Identity { member_id: request.member_id, instance_id: None };
        return LeaveGroupResponse::default().with_error_code(leave(&identity));
    }
    let members = request.members.into_iter().map(|member| {
        let MemberIdentity { member_id, group_instance_id: instance_id, .. } = member;
        let identity = Identity { member_id, instance_id };
        let error_code = leave(&identity);
        MemberResponse::default()
            .with_member_id(identity.member_id)
            .with_group_instance_id(identity.instance_id)
            .with_error_code(error_code)
    });
    LeaveGroupResponse::default().with_members(members.collect())
}

pub(in crate::broker) fn describe(
    node: &Node,
    request: DescribeGroupsRequest,
) -> DescribeGroupsResponse {
    let groups = request.groups.into_iter().map(|group| match node.groups.describe(&group) {
        Some(snapshot) => describe_one(group, snapshot),
        // Unknown is not an error here.
        None => DescribedGroup::default()
            .with_group_id(group)
            .with_group_state(StrBytes::from_static_str("Dead")),
    });
    DescribeGroupsResponse::default().with_groups(groups.collect())
}

fn describe_one(group: GroupId, snapshot: Snapshot) -> DescribedGroup {
    let members = snapshot.members.into_iter().map(|member| {
        DescribedGroupMember::default()
            .with_member_id(member.id)
            .with_group_instance_id(member.instance_id)
            .with_client_id(member.client_id)
            .with_client_host(member.client_host)
            .with_member_metadata(member.metadata)
            .with_member_assignment(member.assignment)
    });
    DescribedGroup::default()
        .with_group_id(group)
        .with_group_state(StrBytes::from_static_str(snapshot.state.name()))
        .with_protocol_type(snapshot.protocol_type)
        .with_protocol_data(snapshot.protocol)
        .with_members(members.collect())
}

pub(in crate::broker) fn list(node: &Node, request: &ListGroupsRequest) -> ListGroupsResponse {
    let one_of = |filter: &[StrBytes], value: &str| {
        filter.is_empty() || filter.iter().any(|wanted| wanted.eq_ignore_ascii_case(value))
    };
    let groups = node.groups.list().into_iter().filter(|(_, _, state)| {
        one_of(&request.states_filter, state.name()) && one_of(&request.types_filter, CLASSIC)
    });
    let groups = groups.map(|(name, protocol_type, state)| {
        ListedGroup::default()
            .with_group_id(GroupId(name))
            .with_protocol_type(protocol_type)
            .with_group_state(StrBytes::from_static_str(state.name()))
            .with_group_type(StrBytes::from_static_str(CLASSIC))
    });
    ListGroupsResponse::default().with_groups(groups.collect())
}

pub(in crate::broker) fn delete(node: &Node, request: DeleteGroupsRequest) -> DeleteGroupsResponse {
    let results = request.groups_names.into_iter().map(|group| {
        let error_code = code(node.groups.delete_group(&group));
        DeletableGroupResult::default().with_group_id(group).with_error_code(error_code)
    });
    DeleteGroupsResponse::default().with_results(results.collect())
}

fn code(result: Result<(), ResponseError>) -> i16 {
    result.err().map_or(0, |error| error.code())
}

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const CLASSIC: &str = "classic";
