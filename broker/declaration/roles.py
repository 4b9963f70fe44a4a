"""Roles: in two passes, for trust policies may name roles that the same file declares, each other included."""

from collections.abc import Iterator

from broker.declaration import declared
from broker.declaration.attempt import Attempt
from broker.declaration.declared import Declaration, given
from broker.declaration.entities import ROLE, make, settle
from broker.names.arn import iam_arn, sts_arn
from broker.storage.store import ROLES


async def settle_roles(attempt: Attempt, declaration: Declaration) -> None:
    """Make what is missing, then settle all. A role made before those it trusts trusts nobody until they are there."""
    to_come = await _missing_arns(attempt, declaration)
    for account, name, wanted in _roles(declaration):
        if any(arn in wanted.trust_policy.text for arn in to_come):
            attempt.waiting_roles.add((account, name))
        await make(attempt, ROLE, account, name, wanted)
    for account, name, wanted in _roles(declaration):
        await settle(attempt, ROLE, ROLE.properties, account, name, wanted)


def _roles(declaration: Declaration) -> Iterator[tuple[str, str, declared.Role]]:
    for account, members in declaration.accounts.items():
        for name, wanted in members.roles.items():
            yield account, name, wanted


async def _missing_arns(attempt: Attempt, declaration: Declaration) -> list[str]:
    """How the roles that do not exist yet, and their sessions, would be named in a trust policy."""
    arns = []
    for account, name, wanted in _roles(declaration):
        if await attempt.store.find(ROLES, account, name) is None:
            arns.append(iam_arn(account, f"role{given(wanted.path, '/')}{name}"))
            arns.append(sts_arn(account, f"assumed-role/{name}/"))
    return arns
