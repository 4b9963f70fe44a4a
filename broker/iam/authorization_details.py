"""GetAccountAuthorizationDetails: users, groups, roles and policies of an account, in one paged list."""

from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import msgspec

from broker.access.aws_managed import AnyManagedPolicy, AwsPolicyVersion, find_aws_managed
from broker.access.trust import shown_trust_policy
from broker.iam.answers import boundary_shape, last_used_shape
from broker.iam.attached_policies import attached_shape
from broker.iam.instance_profiles import listed_profile_shape
from broker.iam.policy_usage import uses_of
from broker.iam.rows import find_sources, rows_of
from broker.iam.tags import tag_shapes
from broker.names.arn import AWS_ACCOUNT
from broker.operation import Call, Prepared, no_resource, operation
from broker.paging import DEFAULT_MAX_ITEMS, first_key, page_of_rows
from broker.protocol.shapes import iam as shapes
from broker.storage.collection import Collection
from broker.storage.derived_records import PolicyUse, target
from broker.storage.records import Group, InstanceProfile, ManagedPolicy, PolicyVersion, Role, Usage, User
from broker.storage.store import (
    GROUPS,
    INSTANCE_PROFILES,
    POLICIES,
    POLICY_USES,
    REFERENCES,
    ROLES,
    USAGE,
    USERS,
)

USER, GROUP, ROLE, LOCAL, AWS = "User", "Group", "Role", "LocalManagedPolicy", "AWSManagedPolicy"
# "IAM might return fewer than the MaxItems number of results, even when there are more": an entity may have a hundred
# kilobytes of policies, and nobody else is answered while a page is made.
_MOST_AT_ONCE = 150

_COLLECTIONS: Mapping[str, Collection[Any]] = {USER: USERS, GROUP: GROUPS, ROLE: ROLES, LOCAL: POLICIES}


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
    max_items = min(request.max_items or DEFAULT_MAX_ITEMS, _MOST_AT_ONCE)
    rows = _entries(call, request, max_items)
    chosen = await page_of_rows(rows, lambda entry: entry.key, request.marker, max_items)

    def of(*kinds: str) -> list[Any]:
        return [entry.record for entry in chosen.items if entry.kind in kinds]

    policies = of(LOCAL, AWS)
    uses = await uses_of(call, [policy.arn for policy in policies])
    return shapes.GetAccountAuthorizationDetailsResponse(
        user_detail_list=tuple(_user_detail(user) for user in of(USER)),
        group_detail_list=tuple(_group_detail(group) for group in of(GROUP)),
        role_detail_list=await _role_details(call, of(ROLE)),
        policies=tuple(map(_policy_detail, policies, uses)),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


async def _entries(
    call: Call, request: shapes.GetAccountAuthorizationDetailsRequest, max_items: int
) -> AsyncGenerator[Entry, None]:
    """The account's entities, and those of AWS's policies that are in use, from the request's marker on."""
    begun, _, name = first_key(request.marker).partition("/")
    for kind in sorted({AWS, *_COLLECTIONS}):
        if kind < begun or (request.filter and kind not in request.filter):
            continue
        behind = name if kind == begun else ""
        rows = _aws_rows(call, behind, max_items) if kind == AWS else _rows(call, kind, behind, max_items)
        async with aclosing(rows):
            async for entry in rows:
                yield entry


async def _rows(call: Call, kind: str, behind: str, max_items: int) -> AsyncGenerator[Entry, None]:
    collection = _COLLECTIONS[kind]
    async with aclosing(rows_of(call, collection, behind, max_items)) as records:
        async for record in records:
            yield Entry(kind, collection.key_of(record), record)


async def _aws_rows(call: Call, behind: str, max_items: int) -> AsyncGenerator[Entry, None]:
    prefix = f"{AWS_ACCOUNT}/"
    async with aclosing(rows_of(call, POLICY_USES, f"{prefix}{behind}", max_items, prefix)) as uses:
        async for use in uses:
            policy = find_aws_managed(use.arn)
            if policy is not None:
                yield Entry(AWS, policy.policy_name, policy)


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


async def _role_details(call: Call, roles: list[Role]) -> tuple[shapes.RoleDetail, ...]:
    if not roles:
        return ()
    usages = await call.store.find_all(USAGE, call.account, [role.role_id for role in roles])
    profiles = await _profiles_of(call, roles)
    return tuple(
        [
            await _role_detail(call, role, usage, profiles.get(target("role", role.role_name), ()))
            for role, usage in zip(roles, usages, strict=True)
        ]
    )


async def _profiles_of(call: Call, roles: list[Role]) -> Mapping[str, Sequence[InstanceProfile]]:
    """By role, as references name it; the roles are in order of their names."""
    first, last = (target("role", role.role_name) for role in (roles[0], roles[-1]))
    references = []
    async with aclosing(rows_of(call, REFERENCES, first, len(roles), target("role", ""))) as rows:
        async for reference in rows:
            if reference.target > last:
                break
            references.append(reference)
    found: dict[str, list[InstanceProfile]] = {}
    for profile in await find_sources(call, references, INSTANCE_PROFILES):
        for name in profile.role_names:
            found.setdefault(target("role", name), []).append(profile)
    return found


async def _role_detail(
    call: Call, role: Role, usage: Usage | None, profiles: Sequence[InstanceProfile]
) -> shapes.RoleDetail:
    return shapes.RoleDetail(
        path=role.path,
        role_name=role.role_name,
        role_id=role.role_id,
        arn=role.arn,
        create_date=role.created_at,
        assume_role_policy_document=await shown_trust_policy(call.store, role),
        instance_profile_list=tuple([await listed_profile_shape(call, profile) for profile in profiles]),
        role_policy_list=_inline(role.inline_policies),
        attached_managed_policies=_attached(role.attached_policies),
        permissions_boundary=boundary_shape(role.permissions_boundary),
        tags=tag_shapes(role.tags),
        role_last_used=last_used_shape(usage),
    )


def _policy_detail(policy: AnyManagedPolicy, use: PolicyUse) -> shapes.ManagedPolicyDetail:
    return shapes.ManagedPolicyDetail(
        policy_name=policy.policy_name,
        policy_id=policy.policy_id,
        arn=policy.arn,
        path=policy.path,
        default_version_id=policy.default_version_id,
        attachment_count=use.attachments,
        permissions_boundary_usage_count=use.boundaries,
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
