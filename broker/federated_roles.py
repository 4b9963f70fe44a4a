"""The roles of people whom an identity provider vouches for: those whose trust policy admits what was proven.

Decided as the operation decides that trades the assertion itself, AssumeRoleWithWebIdentity and its siblings.
"""

import asyncio
import re
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.assumable import account_of_role
from broker.access.caller import Caller
from broker.access.federated_people import (
    assertion_of,
    directory_caller,
    openid_connect_caller,
    saml_caller,
)
from broker.access.role_index import Candidates, find_candidates, trustees_from
from broker.access.web_identities import find_provider
from broker.assertions.checks import Checks
from broker.assertions.saml_attributes import offered_roles
from broker.errors import Refusal, access_denied
from broker.federation.directory_rules import given_roles
from broker.federation.federation import Federation
from broker.operation import Absent, Call, find_operation, prepare
from broker.own_roles import MOST_ROLES, OwnRoles, those_that_may_be_taken
from broker.protocol.shapes import sts as shapes
from broker.storage.portal_records import (
    DirectoryIdentity,
    FederatedIdentity,
    OpenIdConnectIdentity,
    SamlIdentity,
)
from broker.storage.role_index_records import TrustingRole
from broker.storage.store import ACCOUNTS, ROLES, Transaction

# What a request has in place of the assertion, which is not kept: it was proven at the sign-in.
_PROVEN_BEFORE = "proven-at-sign-in"

_no_name_character = re.compile(r"[^\w+=,.@-]", re.ASCII)
_SHORTEST_NAME, _LONGEST_NAME = 2, 64


class Taking(msgspec.Struct, frozen=True):
    """How a person takes a role: by which operation of STS, and with which request."""

    operation: str
    request: Any


async def find_federated_roles(
    call: Call, identity: FederatedIdentity, account_id: str | None = None
) -> OwnRoles:
    """The roles that the person may take now; in one account, or in all. Whose `call` it is does not matter."""
    candidates = await _candidates(call, identity, account_id)
    return await those_that_may_be_taken(
        call.store, candidates, lambda role_arn: may_take_federated(call, identity, role_arn)
    )


async def _candidates(call: Call, identity: FederatedIdentity, account_id: str | None) -> Candidates:
    """Roles that can be meant: those that assertion or groups name, else those that name the provider."""
    store = call.store
    named = _named_roles(call.federation, identity)
    if named is not None:
        return _candidates_named(named, account_id)
    assert not isinstance(identity, SamlIdentity), "an assertion names roles"
    provider = identity.provider if isinstance(identity, DirectoryIdentity) else identity.issuer
    found = await find_candidates(store, trustees_from(provider), MOST_ROLES, account_id)
    return found if found is not None else await _candidates_of_all(store, identity, account_id)


async def may_take_federated(call: Call, identity: FederatedIdentity, role_arn: str) -> bool:
    """Whether the gate would admit the person to this role, tags and source identity included; nothing is done."""
    taking = taking_of(identity, role_arn, None)
    declared = find_operation("sts", taking.operation)
    try:
        caller = await federated_caller(call.federation, call.store, identity, role_arn, call.now)
        asking = replace(call, caller=caller)
        prepared = await prepare(declared, asking, taking.request)
    except Refusal:
        return False
    if isinstance(prepared, Absent):
        return False
    needed = [declared.action]
    needed += ["sts:TagSession"] if "aws:TagKeys" in prepared.resource.keys else []
    needed += ["sts:SetSourceIdentity"] if "sts:SourceIdentity" in prepared.resource.keys else []
    for action in needed:
        decision = await call.gate.decide(call.store, caller, call.facts, action, prepared.resource)
        if not decision.allowed:
            return False
    return True


async def federated_caller(
    federation: Federation, store: Transaction, identity: FederatedIdentity, role_arn: str, now: float
) -> Caller:
    """The person as a caller of the operation that takes this role; raises Refusal."""
    match identity:
        case OpenIdConnectIdentity():
            return await openid_connect_caller(store, identity, account_of_role(role_arn))
        case SamlIdentity():
            return await saml_caller(store, identity, role_arn, now)
        case DirectoryIdentity():
            given = _given_roles(federation, identity)
            if given is not None and role_arn not in given:
                raise access_denied("No group of yours gives this role.")
            return await directory_caller(store, identity, role_arn)


def taking_of(identity: FederatedIdentity, role_arn: str, duration: int | None) -> Taking:
    """The request has a note where the operation takes an assertion."""
    match identity:
        case OpenIdConnectIdentity():
            request: Any = shapes.AssumeRoleWithWebIdentityRequest(
                role_arn=role_arn,
                role_session_name=session_name_of(identity.name),
                web_identity_token=_PROVEN_BEFORE,
                duration_seconds=duration,
            )
        case SamlIdentity():
            request = shapes.AssumeRoleWithSAMLRequest(
                role_arn=role_arn,
                principal_arn=_provider_for(identity, role_arn),
                saml_assertion=_PROVEN_BEFORE,
                duration_seconds=duration,
            )
        case DirectoryIdentity():
            request = shapes.AssumeRoleWithLDAPIdentityRequest(
                ldap_username=identity.name,
                ldap_password=_PROVEN_BEFORE,
                role_arn=role_arn,
                duration_seconds=duration,
            )
    return Taking(type(request).__name__.removesuffix("Request"), request)


def _provider_for(identity: SamlIdentity, role_arn: str) -> str:
    offered = offered_roles(assertion_of(identity), Checks())
    return next((one.provider_arn for one in offered if one.role_arn == role_arn), "")


def session_name_of(name: str) -> str:
    """What the sessions of the person's roles are called: the name, in the characters that a session's may have."""
    return _no_name_character.sub("-", name)[:_LONGEST_NAME].ljust(_SHORTEST_NAME, "-")


def _named_roles(federation: Federation, identity: FederatedIdentity) -> tuple[str, ...] | None:
    """The ARNs of the only roles that the person may have at all; None where trust policies alone say it."""
    match identity:
        case OpenIdConnectIdentity():
            return None
        case SamlIdentity():
            return tuple(one.role_arn for one in offered_roles(assertion_of(identity), Checks()))
        case DirectoryIdentity():
            return _given_roles(federation, identity)


def _given_roles(federation: Federation, identity: DirectoryIdentity) -> tuple[str, ...] | None:
    """Those that the person's groups give, by the settings of now."""
    directory = federation.directory
    if directory is None:
        return ()
    return given_roles(directory.rules, (identity.distinguished_name, *identity.groups))


def _candidates_named(role_arns: tuple[str, ...], account_id: str | None) -> Candidates:
    """What is no ARN of a role is none."""
    found = []
    for arn in dict.fromkeys(role_arns):
        try:
            account = account_of_role(arn)
        except Refusal:
            continue
        if account_id not in (None, account):
            continue
        found.append(TrustingRole(account_id=account, role_name=arn.rpartition("/")[2]))
    return Candidates(tuple(found[:MOST_ROLES]), is_complete=len(found) <= MOST_ROLES)


async def _candidates_of_all(
    store: Transaction, identity: OpenIdConnectIdentity | DirectoryIdentity, account_id: str | None
) -> Candidates:
    """Of the first MOST_ROLES roles of accounts that know the provider, those that can be meant."""
    found: list[TrustingRole] = []
    looked_at = 0
    for account in await store.scan(ACCOUNTS, ""):
        if account_id not in (None, account.account_id):
            continue
        name = await _name_in_policies(store, account.account_id, identity)
        if not name:
            continue
        for role in await store.scan(ROLES, account.account_id, limit=MOST_ROLES - looked_at + 1):
            looked_at += 1
            if looked_at > MOST_ROLES:
                return Candidates(tuple(found), is_complete=False)
            if name in role.assume_role_policy or '"*"' in role.assume_role_policy:
                found.append(TrustingRole(account_id=role.account_id, role_name=role.role_name))
        await asyncio.sleep(0)
    return Candidates(tuple(found), is_complete=True)


async def _name_in_policies(
    store: Transaction, account: str, identity: OpenIdConnectIdentity | DirectoryIdentity
) -> str:
    """What trust policies of the account call the person's provider; "" where the account does not know it."""
    if isinstance(identity, DirectoryIdentity):
        return identity.provider
    provider = await find_provider(store, account, identity.issuer)
    return provider.name if provider is not None and provider.admits(identity.audience) else ""
