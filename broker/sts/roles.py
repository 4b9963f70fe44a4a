"""The role that a flow assumes: found by its ARN, judged by its trust policy.

A role that does not exist and a role that trusts nobody are one and the same to whoever asks: a resource whose policy
grants nothing. So nobody learns from a refusal which roles another account has.
"""

import re
from collections.abc import Mapping
from functools import lru_cache

import msgspec

from broker.access.sessions import merged_tags
from broker.access.trust import compiled_trust_policy
from broker.errors import validation_error
from broker.names.arn import PARTITION
from broker.operation import Call
from broker.policy import NO_POLICIES, PolicySet
from broker.storage.records import Role
from broker.storage.store import ROLES

_ROLE = re.compile(rf"arn:{PARTITION}:iam::([0-9]{{12}}):role(/(?:.*/)?)([^/]*)", re.DOTALL)
_ROLE_ELSEWHERE = re.compile(r"arn:[^:]+:iam:[^:]*:([0-9]{12}):role/(?:.*/)?([^/]*)", re.DOTALL)


class NamedRole(msgspec.Struct, frozen=True):
    """What the ARN of a role says, whether or not there is such a role.

    `path` has its slashes; it is empty, as no role's is, where the ARN is not of the form that IAM gives to roles.
    """

    arn: str
    account: str
    path: str
    name: str


# For the few that come again and again: among very many roles a long memory would cost more than it saves.
@lru_cache(maxsize=64)
def name_role(text: str) -> NamedRole:
    """Raises ValidationError for what is no ARN of a role."""
    found = _ROLE.fullmatch(text)
    if found is not None:
        return NamedRole(text, *found.groups())
    elsewhere = _ROLE_ELSEWHERE.fullmatch(text)
    if elsewhere is None:
        raise validation_error(f"{text} is invalid")
    account, name = elsewhere.groups()
    return NamedRole(text, account, "", name)


async def find_role(call: Call, named: NamedRole) -> Role | None:
    """The role of that name whose ARN, path included, is the named one."""
    role = await call.store.find(ROLES, named.account, named.name)
    # Names are looked up without case, and no path is: the record has to be the one that was named.
    if role is None or role.role_name != named.name or role.path != named.path:
        return None
    return role if role.account_id == named.account else None


def trust_policy(call: Call, named: NamedRole, role: Role | None) -> PolicySet:
    """What the policy of `role` grants; of one that does not exist, nothing."""
    if role is None:
        return NO_POLICIES
    return compiled_trust_policy(call.gate.library, role, named.arn)


def tags_to_judge(role: Role | None, inherited: Mapping[str, str]) -> Mapping[str, str]:
    """The role's tags as the session will have them: inherited transitive tags override its own."""
    return {} if role is None else merged_tags(role.tags, inherited)
