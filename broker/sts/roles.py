"""The role that a flow assumes: found by its ARN, judged by its trust policy.

A role that does not exist and a role that trusts nobody are one and the same to whoever asks: a resource whose policy
grants nothing. So nobody learns from a refusal which roles another account has.
"""

from collections.abc import Mapping
from functools import lru_cache

from broker.access.resource import Resource
from broker.access.trust import bound_trust_policy
from broker.errors import validation_error
from broker.names.arn import Arn, is_account_id, parse_arn
from broker.operation import Call
from broker.policy import PolicyKind, PolicySet, Source, SourceKind, compile_policies
from broker.storage.records import Role
from broker.storage.store import ROLES

_TRUSTS_NOBODY: PolicySet = compile_policies([])


@lru_cache(maxsize=4096)
def parse_role_arn(text: str) -> Arn:
    """Raises ValidationError for what is no ARN of a role."""
    try:
        arn = parse_arn(text)
    except ValueError:
        raise validation_error(f"{text} is invalid") from None
    if arn.service != "iam" or not is_account_id(arn.account) or not arn.resource.startswith("role/"):
        raise validation_error(f"{text} is invalid")
    return arn


async def find_role(call: Call, text: str) -> Role | None:
    """The role whose ARN is `text`, path included."""
    arn = parse_role_arn(text)
    role = await call.store.find(ROLES, arn.account, arn.resource.rsplit("/", 1)[-1])
    return role if role is not None and role.arn == text else None


async def role_resource(
    call: Call,
    text: str,
    keys: Mapping[str, str | tuple[str, ...]],
    inherited_tags: Mapping[str, str],
) -> Resource:
    """The role as the gate sees it; inherited transitive tags stand before its own already now."""
    role = await find_role(call, text)
    if role is None:
        return Resource(text, parse_role_arn(text).account, keys=keys, policy=_TRUSTS_NOBODY)
    source = Source(SourceKind.RESOURCE, "AssumeRolePolicyDocument", role.arn)
    trust = call.gate.library.compiled(source, bound_trust_policy(role), PolicyKind.TRUST)
    return Resource(text, role.account_id, _with_inherited(role.tags, inherited_tags), keys, trust)


def _with_inherited(tags: Mapping[str, str], inherited: Mapping[str, str]) -> Mapping[str, str]:
    if not inherited:
        return tags
    taken = {key.lower() for key in inherited}
    return {key: value for key, value in tags.items() if key.lower() not in taken} | dict(inherited)
