"""Policy documents in requests: their size, their grammar, and the unique ids of principals in trust policies."""

from collections.abc import Collection

from broker.access.trust import find_unique_id, is_known_account
from broker.errors import Refusal
from broker.names.arn import is_account_id, parse_arn
from broker.names.ids import ROLE, USER
from broker.operation import Call
from broker.policy import MalformedPolicy, Policy, PolicyKind, parse_policy, policy_size
from broker.storage.store import ROLES, USERS


def require_document(
    text: str,
    kind: PolicyKind = PolicyKind.IDENTITY,
    *,
    is_managed: bool = False,
    own_services: Collection[str] = (),
) -> Policy:
    """The parsed policy; raises MalformedPolicyDocument with the engine's sentence.

    `own_services`: see `parse_policy`.
    """
    try:
        return parse_policy(text, kind, is_managed=is_managed, is_new=True, own_services=own_services)
    except MalformedPolicy as error:
        reason = f"{error.message} ({error.fault})" if error.fault else ""
        raise Refusal("MalformedPolicyDocument", error.message, reason=reason) from None


def require_size(text: str, limit: int, quota_name: str) -> None:
    """Raises LimitExceeded where `text`, white space aside, is longer than `limit` characters."""
    if policy_size(text) > limit:
        raise Refusal("LimitExceeded", f"Cannot exceed quota for {quota_name}: {limit}")


async def require_trust_policy(call: Call, text: str) -> dict[str, str]:
    """Check a trust policy as CreateRole does; returns the unique id of each ARN in it that has one.

    Raises LimitExceeded, and MalformedPolicyDocument for a principal that does not exist in an account of this
    broker. Principals of accounts outside of the broker are accepted without a check.
    """
    require_size(text, call.quotas.trust_policy_size, "ACLSizePerRole")
    policy = require_document(text, PolicyKind.TRUST, own_services=call.service_principals)
    trusted_ids = {}
    for entry in _aws_principals(policy):
        unique_id = await _bound_id(call, entry)
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


async def _bound_id(call: Call, entry: str) -> str | None:
    """The unique id that `entry` is bound to; None for an account, `*`, and principals outside of the broker."""
    if entry == "*" or is_account_id(entry):
        return None
    if not entry.startswith("arn:"):
        await _require_unique_id(call, entry)
        return None
    try:
        parts = parse_arn(entry)
    except ValueError:
        raise _invalid_principal(entry) from None
    if parts.resource == "root" or parts.resource.startswith("federated-user/"):
        return None
    if parts.account != call.account and not await is_known_account(call.store, parts.account):
        return None
    unique_id = await find_unique_id(call.store, entry)
    if unique_id is None:
        raise _invalid_principal(entry)
    return unique_id


async def _require_unique_id(call: Call, entry: str) -> None:
    """Raises MalformedPolicyDocument unless an entity of this account has the unique id: it may have been deleted."""
    ids: set[str] = set()
    if entry.startswith(USER):
        ids = {user.user_id for user in await call.store.scan(USERS, call.account)}
    elif entry.startswith(ROLE):
        ids = {role.role_id for role in await call.store.scan(ROLES, call.account)}
    if entry.partition(":")[0] not in ids:
        raise _invalid_principal(entry)


def _invalid_principal(entry: str) -> Refusal:
    return Refusal("MalformedPolicyDocument", f'Invalid principal in policy: "AWS":"{entry}"')
