"""Whose roles are these? No list of assignments is kept: the gate is asked about each role, as sts:AssumeRole asks it.

What is looked at is bounded: MOST_ROLES in the order of accounts. `is_complete` says whether that was all of them.
"""

import asyncio

import msgspec

from broker.access.caller import Caller
from broker.errors import Refusal
from broker.names.principal import Root
from broker.operation import Absent, Call, find_operation, prepare
from broker.protocol.shapes.sts import AssumeRoleRequest
from broker.storage.records import Account, Role
from broker.storage.store import ACCOUNTS, ROLES

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
    found: list[OwnRole] = []
    looked_at = 0
    if isinstance(caller.principal, Root):
        return OwnRoles((), is_complete=True)  # as on AWS, root takes no role
    accounts = sorted(await store.scan(ACCOUNTS, ""), key=_account_order)
    if account_id is not None:
        accounts = [one for one in accounts if one.account_id == account_id]
    for account in accounts:
        roles = await store.scan(ROLES, account.account_id, limit=MOST_ROLES - looked_at + 1)
        for role in roles:
            if looked_at == MOST_ROLES:
                return OwnRoles(tuple(found), is_complete=False)
            looked_at += 1
            if looked_at % _BREATH == 0:
                await asyncio.sleep(0)
            if _may_be_meant(role.assume_role_policy, caller.account) and await may_take(call, role.arn):
                found.append(OwnRole(account, role))
    return OwnRoles(tuple(found), is_complete=True)


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
    """Whether the text can admit anybody of `account`: most roles of others are passed over without a decision.

    A policy that spells its characters as escapes (`\\u0031`) hides its role from the page, and from nothing else.
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


def _account_order(account: Account) -> tuple[str, str]:
    return (account.name or account.alias or account.account_id).lower(), account.account_id
