"""AssumeRole: a principal assumes a role, in its own account or in another ("Using IAM roles").

The caller's policies must allow it and the role's trust policy must: the gate asks both. Session tags, source identity
and one-time code are part of what is asked, so they stand in the context before the gate is. What was found for that
question is what the session is made of.
"""

import msgspec

from broker.access.assumable import AssumableRole, account_of_role
from broker.access.identity_stores import store_users_of
from broker.access.resource import Resource
from broker.credentials.durations import role_session_duration
from broker.errors import access_denied, validation_error
from broker.names.principal import AssumedRole, Root
from broker.operation import Absent, Call, Prepared, operation
from broker.policy import NO_POLICIES
from broker.protocol.shapes import sts as shapes
from broker.sts.answers import credentials_shape
from broker.sts.mfa import find_offered_code
from broker.sts.session_policies import NO_SESSION_POLICIES, session_policies
from broker.sts.session_tags import SessionTags, session_tags


class FoundRole(msgspec.Struct, frozen=True):
    """The role, and the tags, source identity and MFA of its session."""

    role: AssumableRole
    session_tags: SessionTags
    source_identity: str | None


async def asked_role(call: Call, request: shapes.AssumeRoleRequest) -> Prepared[FoundRole] | Absent:
    """The role, the condition keys of this request, and its one-time code."""
    if isinstance(call.caller.principal, Root):
        raise access_denied("Roles may not be assumed by root accounts.")
    if request.provided_contexts:
        raise validation_error("This broker trusts no context provider: ProvidedContexts must be empty.")
    code = None
    if request.serial_number is not None or request.token_code is not None:
        code = await find_offered_code(call, request.serial_number, request.token_code)
    tags = session_tags(call.caller, request.tags, request.transitive_tag_keys)
    source_identity = _source_identity(call.caller.source_identity, request.source_identity)
    keys = _request_keys(request, tags, source_identity)
    role = await call.gate.assumable_roles.find(call.store, request.role_arn)
    if role is None:
        # Treated as a role that trusts no one, so that the gate refuses it with the same message.
        account = account_of_role(request.role_arn)
        missing = Resource(request.role_arn, account, keys=keys, policy=NO_POLICIES)
        return Absent(missing, access_denied(f"{request.role_arn} cannot be assumed."), code)
    resource = Resource(
        request.role_arn,
        role.account,
        # INVARIANT: its own tags. What the session inherits is the caller's, and would answer for the caller.
        role.tags,
        keys,
        role.trust_policy,
    )
    return Prepared(resource, FoundRole(role, tags, source_identity), code)


@operation("sts:AssumeRole", prepare=asked_role)
async def assume_role(
    call: Call, request: shapes.AssumeRoleRequest, prepared: Prepared[FoundRole]
) -> shapes.AssumeRoleResponse:
    caller, asked = call.caller, prepared.found
    role, tags = asked.role, asked.session_tags
    if tags.tags or asked.source_identity is not None:
        await _require_extras(call, prepared)
    # A session that the metadata service delivers to an instance does not count as role chaining.
    chained = isinstance(caller.principal, AssumedRole) and caller.role_delivery is None
    policies = NO_SESSION_POLICIES
    if request.policy is not None or request.policy_arns:
        policies = await session_policies(call, role.account, request.policy, request.policy_arns)
    session = AssumedRole(role.account, role.name, role.role_id, request.role_session_name, role.path)
    minted = call.mint.assumed_role(
        session,
        now=call.now,
        duration=role_session_duration(request.duration_seconds, role.max_session_duration, chained=chained),
        session_policy=policies.inline,
        session_policy_arns=policies.managed,
        tags=tags.tags,
        transitive_tag_keys=tags.transitive_keys,
        source_identity=asked.source_identity,
        chained=chained,
        issuer_access_key_id=caller.access_key_id,
        store_users=store_users_of(caller.claims),
        minimum_token_size=request.minimum_session_token_size or 0,
    )
    return shapes.AssumeRoleResponse(
        credentials=credentials_shape(minted),
        assumed_role_user=shapes.AssumedRoleUser(assumed_role_id=session.user_id, arn=session.arn),
        packed_policy_size=minted.packed_policy_size,
        source_identity=asked.source_identity,
        session_token_utilization=minted.utilization,
        session_token_size=minted.token_size,
    )


def _source_identity(carried: str | None, asked: str | None) -> str | None:
    """Set once, then inherited along the chain; it cannot be changed."""
    if carried is not None and asked not in (None, carried):
        raise access_denied("The source identity of the calling session cannot be changed.")
    return carried or asked


async def _require_extras(call: Call, prepared: Prepared[FoundRole]) -> None:
    """Tags and a source identity need separate permissions, on both sides, also inherited ones."""
    if prepared.found.session_tags.tags:
        await call.require("sts:TagSession", prepared.resource)
    if prepared.found.source_identity is not None:
        await call.require("sts:SetSourceIdentity", prepared.resource)


def _request_keys(
    request: shapes.AssumeRoleRequest, tags: SessionTags, source_identity: str | None
) -> dict[str, str | tuple[str, ...]]:
    """The condition keys of the request itself, for all actions: the role's, the tags' and the source identity's."""
    keys: dict[str, str | tuple[str, ...]] = {"sts:RoleSessionName": request.role_session_name}
    if request.external_id is not None:
        keys["sts:ExternalId"] = request.external_id
    if tags.transitive_keys:
        keys["sts:TransitiveTagKeys"] = tags.transitive_keys
    if source_identity is not None:
        keys["sts:SourceIdentity"] = source_identity
    return keys
