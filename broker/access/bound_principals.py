"""Principals that a new resource policy names: they must exist, and the policy is bound to their unique ids.

What binding means: `broker.access.trust`.
"""

from broker.access.trust import find_unique_id, is_known_account
from broker.errors import Refusal
from broker.names.arn import is_account_id, parse_arn
from broker.names.ids import ROLE, USER
from broker.policy import Policy
from broker.storage.store import ROLES, USERS, Transaction


async def bound_ids(store: Transaction, account: str, policy: Policy) -> dict[str, str]:
    """The unique id of each ARN in `policy` that has one; `account` owns the policy.

    Raises MalformedPolicyDocument for a principal that does not exist in an account of this broker. Principals of
    accounts outside of the broker are accepted without a check.
    """
    trusted_ids = {}
    for entry in _aws_principals(policy):
        unique_id = await _bound_id(store, account, entry)
        if unique_id is not None:
            trusted_ids[entry] = unique_id
    return trusted_ids


def _aws_principals(policy: Policy) -> set[str]:
    return {
        entry
        for statement in policy.statements
        for principals in (statement.principals, statement.not_principals)
        if principals is not None
        for entry in principals.aws
    }


async def _bound_id(store: Transaction, account: str, entry: str) -> str | None:
    """The unique id that `entry` is bound to; None for an account, `*`, and principals outside of the broker."""
    if entry == "*" or is_account_id(entry):
        return None
    if not entry.startswith("arn:"):
        await _require_unique_id(store, account, entry)
        return None
    try:
        parts = parse_arn(entry)
    except ValueError:
        raise _invalid_principal(entry) from None
    if parts.resource == "root" or parts.resource.startswith("federated-user/"):
        return None
    if parts.account != account and not await is_known_account(store, parts.account):
        return None
    unique_id = await find_unique_id(store, entry)
    if unique_id is None:
        raise _invalid_principal(entry)
    return unique_id


async def _require_unique_id(store: Transaction, account: str, entry: str) -> None:
    """Raises MalformedPolicyDocument unless an entity of this account has the unique id: it may have been deleted."""
    ids: set[str] = set()
    if entry.startswith(USER):
        ids = {user.user_id for user in await store.scan(USERS, account)}
    elif entry.startswith(ROLE):
        ids = {role.role_id for role in await store.scan(ROLES, account)}
    if entry.partition(":")[0] not in ids:
        raise _invalid_principal(entry)


def _invalid_principal(entry: str) -> Refusal:
    return Refusal("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{entry}"')
