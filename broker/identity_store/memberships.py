"""Who is in which group of an identity store, as `identitystore` reads and writes it."""

from typing import Any

from broker.errors import Refusal
from broker.identity_store.errors import resource_not_found
from broker.identity_store.naming import (
    MEMBERSHIP,
    bare_id,
    member_of,
    named_group,
    named_membership,
    named_user,
    people_arn,
    people_in,
)
from broker.identity_store.pages import page_after
from broker.identity_store.scim import random_id
from broker.identity_store.stores import named_store
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import identitystore as shapes
from broker.storage import identity_store_records as records
from broker.storage.identity_store_records import IdentityStoreRecord, StoreMembership

_MOST = 100


def _shown(record: IdentityStoreRecord, membership: StoreMembership) -> dict[str, Any]:
    return {
        "identity_store_id": record.store_id,
        "membership_id": membership.membership_id,
        "membership_arn": people_arn("membership", membership.membership_id),
        "group_id": membership.group_id,
        "member_id": shapes.MemberId(user_id=membership.user_id),
        "created_at": float(membership.created_at),
        "updated_at": float(membership.created_at),
    }


@operation("identitystore:DescribeGroupMembership", prepare=named_store)
async def describe_group_membership(
    call: Call, request: shapes.DescribeGroupMembershipRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DescribeGroupMembershipResponse:
    found = await named_membership(people_in(call, prepared.found), request.membership_id)
    return shapes.DescribeGroupMembershipResponse(**_shown(prepared.found, found))


@operation("identitystore:GetGroupMembershipId", prepare=named_store)
async def get_group_membership_id(
    call: Call, request: shapes.GetGroupMembershipIdRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.GetGroupMembershipIdResponse:
    people = people_in(call, prepared.found)
    found = await people.find_membership(bare_id(request.group_id), member_of(request.member_id))
    if found is None:
        raise resource_not_found(MEMBERSHIP, "GROUP_MEMBERSHIP not found.")
    return shapes.GetGroupMembershipIdResponse(
        identity_store_id=prepared.found.store_id,
        membership_id=found.membership_id,
        membership_arn=people_arn("membership", found.membership_id),
    )


@operation("identitystore:ListGroupMemberships", prepare=named_store)
async def list_group_memberships(
    call: Call, request: shapes.ListGroupMembershipsRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.ListGroupMembershipsResponse:
    people = people_in(call, prepared.found)
    group = await named_group(people, request.group_id)
    found = await people.memberships_of(records.GROUP, group.group_id)
    shown, next_token = page_after(
        found, lambda one: one.user_id, request.next_token, request.max_results or _MOST
    )
    return shapes.ListGroupMembershipsResponse(
        group_memberships=tuple(shapes.GroupMembership(**_shown(prepared.found, one)) for one in shown),
        next_token=next_token,
    )


@operation("identitystore:ListGroupMembershipsForMember", prepare=named_store)
async def list_group_memberships_for_member(
    call: Call, request: shapes.ListGroupMembershipsForMemberRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.ListGroupMembershipsForMemberResponse:
    people = people_in(call, prepared.found)
    user = await named_user(people, member_of(request.member_id))
    found = await people.memberships_of(records.USER, user.user_id)
    shown, next_token = page_after(
        found, lambda one: one.group_id, request.next_token, request.max_results or _MOST
    )
    return shapes.ListGroupMembershipsForMemberResponse(
        group_memberships=tuple(shapes.GroupMembership(**_shown(prepared.found, one)) for one in shown),
        next_token=next_token,
    )


@operation("identitystore:IsMemberInGroups", prepare=named_store)
async def is_member_in_groups(
    call: Call, request: shapes.IsMemberInGroupsRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.IsMemberInGroupsResponse:
    people = people_in(call, prepared.found)
    user = await named_user(people, member_of(request.member_id))
    results = []
    for given in request.group_ids:
        group = await named_group(people, given)
        membership = await people.find_membership(group.group_id, user.user_id)
        results.append(
            shapes.GroupMembershipExistenceResult(
                group_id=group.group_id,
                member_id=shapes.MemberId(user_id=user.user_id),
                membership_exists=membership is not None,
            )
        )
    return shapes.IsMemberInGroupsResponse(results=tuple(results))


@operation("identitystore:CreateGroupMembership", prepare=named_store)
async def create_group_membership(
    call: Call, request: shapes.CreateGroupMembershipRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.CreateGroupMembershipResponse:
    people = people_in(call, prepared.found)
    group = await named_group(people, request.group_id)
    user = await named_user(people, member_of(request.member_id))
    if await people.find_membership(group.group_id, user.user_id) is not None:
        members = {"Reason": "UNIQUENESS_CONSTRAINT_VIOLATION"}
        raise Refusal("ConflictException", "Member and Group relationship already exists.", members=members)
    membership = StoreMembership(
        membership_id=random_id(call.entropy), group_id=group.group_id, user_id=user.user_id
    )
    made = await people.add_member(membership)
    return shapes.CreateGroupMembershipResponse(
        identity_store_id=prepared.found.store_id,
        membership_id=made.membership_id,
        membership_arn=people_arn("membership", made.membership_id),
    )


@operation("identitystore:DeleteGroupMembership", prepare=named_store)
async def delete_group_membership(
    call: Call, request: shapes.DeleteGroupMembershipRequest, prepared: Prepared[IdentityStoreRecord]
) -> shapes.DeleteGroupMembershipResponse:
    people = people_in(call, prepared.found)
    found = await named_membership(people, request.membership_id)
    await people.remove_member(found.group_id, found.user_id)
    return shapes.DeleteGroupMembershipResponse()
