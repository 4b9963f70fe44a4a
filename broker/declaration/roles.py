"""Roles, in two passes: trust policies may name roles of the same file, and two roles may name each other."""

import re
from collections.abc import Iterator

from broker.declaration.attempt import Attempt
from broker.declaration.declared import Declaration, DeclaredRole, value_or
from broker.declaration.entities import ROLE, create_missing, settle
from broker.names.arn import iam_arn, sts_arn
from broker.storage.store import ROLES


async def settle_roles(attempt: Attempt, declaration: Declaration) -> None:
    """Create missing roles, then settle all. A role that trusts a missing role trusts no one until the second pass."""
    missing_arns = await _missing_arns(attempt, declaration)
    for account, name, wanted in _roles(declaration):
        if not missing_arns.isdisjoint(_NAMED_ROLE.findall(wanted.trust_policy.text)):
            attempt.waiting_roles.add((account, name))
        await create_missing(attempt, ROLE, account, name, wanted)
    for account, name, wanted in _roles(declaration):
        await settle(attempt, ROLE, ROLE.properties, account, name, wanted)


def _roles(declaration: Declaration) -> Iterator[tuple[str, str, DeclaredRole]]:
    for account, members in declaration.accounts.items():
        for name, wanted in members.roles.items():
            yield account, name, wanted


# What could be the ARN of a role, or the beginning of those of its sessions.
_NAMED_ROLE = re.compile(r"arn:[\w-]+:(?:iam::\d+:role/[\w+=,.@/-]+|sts::\d+:assumed-role/[\w+=,.@-]+/)")


async def _missing_arns(attempt: Attempt, declaration: Declaration) -> set[str]:
    """The ARNs by which a trust policy would name the roles that do not exist yet, and their sessions."""
    arns = set()
    for account, name, wanted in _roles(declaration):
        if await attempt.store.find(ROLES, account, name) is None:
            arns.add(iam_arn(account, f"role{value_or(wanted.path, '/')}{name}"))
            arns.add(sts_arn(account, f"assumed-role/{name}/"))
    return arns
