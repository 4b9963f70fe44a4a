"""GetAccountAuthorizationDetails: users, groups, roles and policies of an account, in one paged list."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from broker.access.aws_managed import AnyManagedPolicy, AwsPolicyVersion, find_aws_managed
from broker.access.trust import shown_trust_policy
from broker.iam.answers import boundary_shape, last_used_shape
from broker.iam.attached_policies import attached_shape
from broker.iam.instance_profiles import listed_profile_shape
from broker.iam.policy_usage import PolicyUsage, count_usage
from broker.iam.tags import tag_shapes
from broker.operation import Call, Prepared, no_resource, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Group, InstanceProfile, ManagedPolicy, PolicyVersion, Role, User
from broker.storage.store import GROUPS, INSTANCE_PROFILES, POLICIES, ROLES, USAGE, USERS

USER, GROUP, ROLE, LOCAL, AWS = "User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"


class Entry(msgspec.Struct, frozen=True):
    """One entity of the list; `kind` is its word in the request's filter."""

    kind: str
    name: str
    record: Any

    @property
    def key(self) -> str:
        return f"{self.kind}/{self.name.lower()}"


@operation("iam:GetAccountAuthorizationDetails", prepare=no_resource)
async def get_account_authorization_details(
    call: Call, request: shapes.GetAccountAuthorizationDetailsRequest, prepared: Prepared[None]
) -> shapes.GetAccountAuthorizationDetailsResponse:
    usage = await count_usage(call)
    entries = [
        entry for entry in await _entries(call, usage) if not request.filter or entry.kind in request.filter
    ]
    chosen = page(entries, lambda entry: entry.key, request.marker, request.max_items)

    def of(*kinds: str) -> list[Any]:
        return [entry.record for entry in chosen.items if entry.kind in kinds]

    profiles = await call.store.scan(INSTANCE_PROFILES, call.account)
    return shapes.GetAccountAuthorizationDetailsResponse(
        user_detail_list=tuple(_user_detail(user) for user in of(USER)),
        group_detail_list=tuple(_group_detail(group) for group in of(GROUP)),
        role_detail_list=tuple([await _role_detail(call, role, profiles) for role in of(ROLE)]),
        policies=tuple(_policy_detail(policy, usage) for policy in of(LOCAL, AWS)),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


async def _entries(call: Call, usage: PolicyUsage) -> list[Entry]:
    """Every entity of the account, and those of AWS's policies that are in use."""
    used = sorted({*usage.attachments, *usage.boundaries})
    aws = [policy for policy in map(find_aws_managed, used) if policy is not None]
    return [
        *(Entry(USER, user.user_name, user) for user in await call.store.scan(USERS, call.account)),
        *(Entry(GROUP, group.group_name, group) for group in await call.store.scan(GROUPS, call.account)),
        *(Entry(ROLE, role.role_name, role) for role in await call.store.scan(ROLES, call.account)),
        *(Entry(LOCAL, own.policy_name, own) for own in await call.store.scan(POLICIES, call.account)),
        *(Entry(AWS, policy.policy_name, policy) for policy in aws),
    ]


def _user_detail(user: User) -> shapes.UserDetail:
    return shapes.UserDetail(
        path=user.path,
        user_name=user.user_name,
        user_id=user.user_id,
        arn=user.arn,
        create_date=user.created_at,
        user_policy_list=_inline(user.inline_policies),
        group_list=user.groups,
        attached_managed_policies=_attached(user.attached_policies),
        permissions_boundary=boundary_shape(user.permissions_boundary),
        tags=tag_shapes(user.tags),
    )


def _group_detail(group: Group) -> shapes.GroupDetail:
    return shapes.GroupDetail(
        path=group.path,
        group_name=group.group_name,
        group_id=group.group_id,
        arn=group.arn,
        create_date=group.created_at,
        group_policy_list=_inline(group.inline_policies),
        attached_managed_policies=_attached(group.attached_policies),
    )


async def _role_detail(call: Call, role: Role, profiles: list[InstanceProfile]) -> shapes.RoleDetail:
    usage = await call.store.find(USAGE, call.account, role.role_id)
    mine = [profile for profile in profiles if role.role_name in profile.role_names]
    return shapes.RoleDetail(
        path=role.path,
        role_name=role.role_name,
        role_id=role.role_id,
        arn=role.arn,
        create_date=role.created_at,
        assume_role_policy_document=await shown_trust_policy(call.store, role),
        instance_profile_list=tuple([await listed_profile_shape(call, profile) for profile in mine]),
        role_policy_list=_inline(role.inline_policies),
        attached_managed_policies=_attached(role.attached_policies),
        permissions_boundary=boundary_shape(role.permissions_boundary),
        tags=tag_shapes(role.tags),
        role_last_used=last_used_shape(usage),
    )


def _policy_detail(policy: AnyManagedPolicy, usage: PolicyUsage) -> shapes.ManagedPolicyDetail:
    return shapes.ManagedPolicyDetail(
        policy_name=policy.policy_name,
        policy_id=policy.policy_id,
        arn=policy.arn,
        path=policy.path,
        default_version_id=policy.default_version_id,
        attachment_count=usage.attachments[policy.arn],
        permissions_boundary_usage_count=usage.boundaries[policy.arn],
        is_attachable=True,
        description=policy.description,
        create_date=policy.created_at,
        update_date=policy.updated_at,
        policy_version_list=tuple(
            shapes.PolicyVersion(
                document=version.document,
                version_id=version.version_id,
                is_default_version=version.version_id == policy.default_version_id,
                create_date=version.created_at,
            )
            for version in _detailed_versions(policy)
        ),
    )


def _detailed_versions(policy: AnyManagedPolicy) -> Sequence[PolicyVersion | AwsPolicyVersion]:
    """Of AWS's policies the default version only: some have a hundred, which would be megabytes."""
    return policy.versions if isinstance(policy, ManagedPolicy) else (policy.default_version,)


def _inline(policies: Mapping[str, str]) -> tuple[shapes.PolicyDetail, ...]:
    return tuple(
        shapes.PolicyDetail(policy_name=name, policy_document=policies[name]) for name in sorted(policies)
    )


def _attached(arns: tuple[str, ...]) -> tuple[shapes.AttachedPolicy, ...]:
    return tuple(attached_shape(arn) for arn in sorted(arns))
