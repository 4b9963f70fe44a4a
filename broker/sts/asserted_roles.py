"""Roles that are assumed by an assertion of an identity provider: what all kinds of assertion have in common.

The request is not signed: the assertion proves the caller (`prove` of each flow), and what it asks to be set on the
session is a permission of its own, as for AssumeRole.
"""

import re
from typing import Any

import msgspec

from broker.access.assumable import AssumableRole, account_of_role
from broker.access.resource import Resource
from broker.assertions.checks import CheckFailed, Checks
from broker.credentials.durations import role_session_duration
from broker.credentials.mint import TemporaryCredentials
from broker.errors import Refusal, access_denied
from broker.names.principal import AssumedRole
from broker.operation import Absent, Call, Prepared
from broker.policy import NO_POLICIES
from broker.protocol.shapes import sts as shapes
from broker.sts.session_policies import session_policies
from broker.sts.session_tags import SessionTags, asserted_tags

# The model's sourceIdentityType, for a source identity that is not a parameter of the request.
_is_source_identity = re.compile(r"[\w+=,.@-]{2,64}", re.ASCII).fullmatch
# The same of roleSessionNameType.
_is_session_name = _is_source_identity


AssertedRequest = (
    shapes.AssumeRoleWithWebIdentityRequest
    | shapes.AssumeRoleWithCertificateRequest
    | shapes.AssumeRoleWithCustomTokenRequest
    | shapes.AssumeRoleWithSAMLRequest
    | shapes.AssumeRoleWithLDAPIdentityRequest
)


class AssertedRole(msgspec.Struct, frozen=True):
    """The role, and the session that the assertion requests."""

    role: AssumableRole
    session: AssumedRole
    session_tags: SessionTags


async def proven_role(call: Call, request: Any) -> Prepared[AssertedRole] | Absent:
    """The role and the name of its session that the flow's proof has found."""
    asserted = call.caller.asserted
    assert asserted is not None, "the flow's proof made this caller"
    return await asserted_role(call, asserted.role_arn, asserted.session_name)


async def asserted_role(call: Call, role_arn: str, session_name: str) -> Prepared[AssertedRole] | Absent:
    """The role, with the condition keys of the assertion beside those of its subject."""
    asserted = call.caller.asserted
    assert asserted is not None, "the flow's proof made this caller"
    attributes = asserted.attributes
    tags = asserted_tags(attributes.tags, attributes.transitive_tag_keys)
    keys: dict[str, str | tuple[str, ...]] = {"sts:RoleSessionName": session_name}
    if tags.tags:
        keys |= {f"aws:RequestTag/{key}": value for key, value in tags.tags.items()}
        keys["aws:TagKeys"] = tuple(tags.tags)
    if tags.transitive_keys:
        keys["sts:TransitiveTagKeys"] = tags.transitive_keys
    if attributes.source_identity is not None:
        keys["sts:SourceIdentity"] = _require_source_identity(attributes.source_identity)
    role = await call.gate.assumable_roles.find(call.store, role_arn)
    if role is None:
        # Treated as a role that trusts no one, so that the gate refuses it with the same message.
        missing = Resource(role_arn, account_of_role(role_arn), keys=keys, policy=NO_POLICIES)
        return Absent(missing, access_denied(f"{role_arn} cannot be assumed."))
    session = AssumedRole(role.account, role.name, role.role_id, session_name, role.path)
    resource = Resource(role_arn, role.account, role.tags, keys, role.trust_policy)
    return Prepared(resource, AssertedRole(role, session, tags))


def _require_source_identity(name: str) -> str:
    if not _is_source_identity(name):
        raise Refusal("InvalidParameterValue", "The source identity of the assertion is no valid name.")
    return name


async def minted_session(
    call: Call,
    request: AssertedRequest,
    prepared: Prepared[AssertedRole],
) -> TemporaryCredentials:
    """The credentials; the request, the role and the assertion limit their duration."""
    asserted, found = call.caller.asserted, prepared.found
    assert asserted is not None, "the flow's proof made this caller"
    if found.session_tags.tags:
        await call.require("sts:TagSession", prepared.resource)
    if asserted.attributes.source_identity is not None:
        await call.require("sts:SetSourceIdentity", prepared.resource)
    role = found.role
    policies = await session_policies(call, role.account, request.policy, request.policy_arns)
    duration = role_session_duration(request.duration_seconds, role.max_session_duration, chained=False)
    return call.mint.assumed_role(
        found.session,
        now=call.now,
        duration=duration if asserted.max_duration is None else min(duration, asserted.max_duration),
        session_policy=policies.inline,
        session_policy_arns=policies.managed,
        tags=found.session_tags.tags,
        transitive_tag_keys=found.session_tags.transitive_keys,
        source_identity=asserted.attributes.source_identity,
        federated_provider=call.caller.federated_provider,
        context=asserted.session_keys,
        store_users=asserted.store_users,
        minimum_token_size=request.minimum_session_token_size or 0,
    )


def require_session_name(name: str, wanted: str, checks: Checks) -> str:
    """A session's name that is no parameter of the request; raises CheckFailed."""
    checks.require("session name", _is_session_name(name) is not None, found=name, wanted=wanted)
    return name


def require_mapped_role(
    role_arn: str | None, wanted: str | None, checks: Checks, *, found: str, giver: str
) -> str:
    """The role that the operator's mapping gives, `giver` being what would give one; raises CheckFailed."""
    checks.require(
        "role given", role_arn is not None, found=found, wanted=f"{giver} that gives {wanted or 'a role'}"
    )
    assert role_arn is not None, "it was required"
    return role_arn


def not_configured(name: str, reason: str) -> Refusal:
    """An operation that does not exist for clients, because the operator has not set it up."""
    message = f"Could not find operation {name} for version 2011-06-15"
    return Refusal("InvalidAction", message, reason=reason)


def refused_assertion(code: str, message: str, failed: CheckFailed) -> Refusal:
    """The client's message is vague; the journal's reason names the check that failed."""
    return Refusal(code, message, reason=f"check failed: {failed}")
