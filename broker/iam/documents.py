"""Policy documents in requests: their size, their grammar, and the unique ids of principals in trust policies."""

from collections.abc import Collection

from broker.access.bound_principals import bound_ids
from broker.errors import Refusal
from broker.operation import Call
from broker.policy import MalformedPolicy, Policy, PolicyKind, parse_policy, policy_size


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
    return await bound_ids(call.store, call.account, policy)
