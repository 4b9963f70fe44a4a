"""Whose roles are these? No list of assignments is kept: the gate is asked about each role, as sts:AssumeRole asks it.

It is asked about the roles that the index of trust policies names; until the index covers the whole store, about all
roles in the order of account ids. What is looked at is bounded: MOST_ROLES. `is_complete` says whether that was all.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence

import msgspec

from broker.access.caller import Caller
from broker.access.role_index import Candidates, find_candidates, trustees_like
from broker.errors import Refusal
from broker.names.principal import Root
from broker.operation import Absent, Call, find_operation, prepare
from broker.protocol.shapes.sts import AssumeRoleRequest
from broker.storage.records import Account, Role
from broker.storage.role_index_records import TrustingRole
from broker.storage.store import ACCOUNTS, ROLES, Transaction

MOST_ROLES = 5000
_BREATH = 50  # roles, after which other requests get their turn


class OwnRole(msgspec.Struct, frozen=True):
    """A role that the person may take, and the account it is in."""

    account: Account
    role: Role

    @property
    def path(self) -> str:
        """What pages call it: its account, path and name."""
        return f"{self.account.account_id}{self.role.path}{self.role.role_name}"


class OwnRoles(msgspec.Struct, frozen=True):
    """In the order of account names and role names."""

    roles: tuple[OwnRole, ...]
    is_complete: bool


async def find_roles(call: Call, account_id: str | None = None) -> OwnRoles:
    """The roles that the caller may take now, with the second factor of the session; in one account, or in all."""
    store, caller = call.store, call.caller
    if isinstance(caller.principal, Root):
        return OwnRoles((), is_complete=True)  # as on AWS, root takes no role
    candidates = await find_candidates(store, trustees_like(caller), MOST_ROLES, account_id)
    if candidates is None:
        candidates = await _candidates_of_all(store, caller.account, account_id)
    return await those_that_may_be_taken(store, candidates, lambda role_arn: may_take(call, role_arn))


async def those_that_may_be_taken(
    store: Transaction, candidates: Candidates, may_be_taken: Callable[[str], Awaitable[bool]]
) -> OwnRoles:
    """Of the candidates, the roles of whose ARN `may_be_taken` is true."""
    # What the store has is read first: what the gate has read of a partition may not change in between.
    present = [one async for one in _present(store, candidates.roles)]
    own: list[OwnRole] = []
    for number, one in enumerate(present, 1):
        if await may_be_taken(one.role.arn):
            own.append(one)
        if number % _BREATH == 0:
            await asyncio.sleep(0)
    return OwnRoles(tuple(sorted(own, key=_order)), candidates.is_complete)


async def _candidates_of_all(store: Transaction, account: str, only_in: str | None) -> Candidates:
    """Of the first MOST_ROLES roles of the store, or of one account, those that may admit a principal of `account`."""
    found: list[TrustingRole] = []
    looked_at = 0
    for owner in await store.scan(ACCOUNTS, ""):
        if only_in is not None and owner.account_id != only_in:
            continue
        roles = await store.scan(ROLES, owner.account_id, limit=MOST_ROLES - looked_at + 1)
        looked_at += len(roles)
        found += [
            TrustingRole(account_id=one.account_id, role_name=one.role_name)
            for one in roles[: len(roles) - max(0, looked_at - MOST_ROLES)]
            if _may_be_meant(one.assume_role_policy, account)
        ]
        if looked_at > MOST_ROLES:
            break
        await asyncio.sleep(0)
    return Candidates(tuple(found), is_complete=looked_at <= MOST_ROLES)


async def _present(store: Transaction, candidates: Sequence[TrustingRole]) -> AsyncIterator[OwnRole]:
    """The present records of the roles, without those that were deleted."""
    for start in range(0, len(candidates), _BREATH):
        some = candidates[start : start + _BREATH]
        # At once, for an engine that batches the revisions of partitions into one request.
        for one in await asyncio.gather(*(_find_own(store, candidate) for candidate in some)):
            if one is not None:
                yield one
        await asyncio.sleep(0)


async def _find_own(store: Transaction, candidate: TrustingRole) -> OwnRole | None:
    """The present record of the role; None where it was deleted."""
    role = await store.find(ROLES, candidate.account_id, candidate.role_name)
    account = await store.find(ACCOUNTS, "", candidate.account_id)
    return OwnRole(account, role) if role is not None and account is not None else None


async def may_take(call: Call, role_arn: str) -> bool:
    """Whether the gate would let the caller assume this role, asked as the operation asks it; nothing is done."""
    declared = find_operation("sts", "AssumeRole")
    try:
        prepared = await prepare(declared, call, assume_role_request(call.caller, role_arn, None))
    except Refusal:
        return False
    if isinstance(prepared, Absent):
        return False
    decision = await call.gate.decide(call.store, call.caller, call.facts, declared.action, prepared.resource)
    return decision.allowed


def _may_be_meant(trust_policy: str, account: str) -> bool:
    """Whether the text can admit a principal of `account`: most roles of others are skipped without a decision.

    A policy that spells its characters as escapes (`\\u0031`) hides its role from the page until it is indexed.
    """
    return account in trust_policy or '"*"' in trust_policy or "NotPrincipal" in trust_policy


def assume_role_request(caller: Caller, role_arn: str, duration: int | None) -> AssumeRoleRequest:
    return AssumeRoleRequest(
        role_arn=role_arn, role_session_name=session_name_of(caller), duration_seconds=duration
    )


def session_name_of(caller: Caller) -> str:
    """The person's own name; a session's has two characters at least."""
    name = caller.user.user_name if caller.user is not None else caller.principal.user_id
    return name if len(name) >= 2 else f"user-{name}"


def _order(own: OwnRole) -> tuple[str, str, str]:
    account = own.account
    name = account.name or account.alias or account.account_id
    return name.lower(), account.account_id, own.role.role_name.lower()
