"""The roles of people whom an identity provider vouches for: those whose trust policy admits what was proven.

Decided as the operation decides that trades the assertion itself, AssumeRoleWithWebIdentity and its siblings.
"""

import asyncio
import re
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.federated_people import openid_connect_caller
from broker.access.role_index import Candidates, find_candidates, trustees_from
from broker.access.web_identities import find_provider
from broker.errors import Refusal
from broker.operation import Absent, find_operation, prepare
from broker.own_roles import MOST_ROLES, OwnRoles, those_that_may_be_taken
from broker.performing import Tools
from broker.protocol.shapes import sts as shapes
from broker.storage.portal_records import FederatedIdentity
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
    tools: Tools, store: Transaction, identity: FederatedIdentity, facts: RequestFacts
) -> OwnRoles:
    """The roles that the person may take now."""
    candidates = await find_candidates(store, trustees_from(identity.issuer), MOST_ROLES)
    if candidates is None:
        candidates = await _candidates_of_all(store, identity)
    return await those_that_may_be_taken(
        store, candidates, lambda role_arn: may_take_federated(tools, store, identity, facts, role_arn)
    )


async def may_take_federated(
    tools: Tools, store: Transaction, identity: FederatedIdentity, facts: RequestFacts, role_arn: str
) -> bool:
    """Whether the gate would admit the person to this role, tags and source identity included; nothing is done."""
    taking = taking_of(identity, role_arn, None)
    declared = find_operation("sts", taking.operation)
    try:
        caller = await federated_caller(store, identity, role_arn)
        call = tools.call(store, caller, facts)
        prepared = await prepare(declared, call, taking.request)
    except Refusal:
        return False
    if isinstance(prepared, Absent):
        return False
    needed = [declared.action]
    needed += ["sts:TagSession"] if "aws:TagKeys" in prepared.resource.keys else []
    needed += ["sts:SetSourceIdentity"] if "sts:SourceIdentity" in prepared.resource.keys else []
    for action in needed:
        decision = await call.gate.decide(store, caller, facts, action, prepared.resource)
        if not decision.allowed:
            return False
    return True


async def federated_caller(store: Transaction, identity: FederatedIdentity, role_arn: str) -> Caller:
    """The person as a caller of the operation that takes this role; raises Refusal."""
    return await openid_connect_caller(store, identity, role_arn.split(":")[4])


def taking_of(identity: FederatedIdentity, role_arn: str, duration: int | None) -> Taking:
    request = shapes.AssumeRoleWithWebIdentityRequest(
        role_arn=role_arn,
        role_session_name=session_name_of(identity.name),
        web_identity_token=_PROVEN_BEFORE,
        duration_seconds=duration,
    )
    return Taking("AssumeRoleWithWebIdentity", request)


def session_name_of(name: str) -> str:
    """What the sessions of the person's roles are called: the name, in the characters that a session's may have."""
    return _no_name_character.sub("-", name)[:_LONGEST_NAME].ljust(_SHORTEST_NAME, "-")


async def _candidates_of_all(store: Transaction, identity: FederatedIdentity) -> Candidates:
    """Of the first MOST_ROLES roles of accounts that know the provider, those that can be meant."""
    found: list[TrustingRole] = []
    looked_at = 0
    for account in await store.scan(ACCOUNTS, ""):
        provider = await find_provider(store, account.account_id, identity.issuer)
        if provider is None or not provider.admits(identity.audience):
            continue
        for role in await store.scan(ROLES, account.account_id, limit=MOST_ROLES - looked_at + 1):
            looked_at += 1
            if looked_at > MOST_ROLES:
                return Candidates(tuple(found), is_complete=False)
            if provider.name in role.assume_role_policy or '"*"' in role.assume_role_policy:
                found.append(TrustingRole(account_id=role.account_id, role_name=role.role_name))
        await asyncio.sleep(0)
    return Candidates(tuple(found), is_complete=True)
