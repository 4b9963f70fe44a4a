"""Roles that are assumed: found by their ARN, with the facts that an assumption needs.

A role that does not exist and a role that trusts no one look the same to a caller: a resource whose policy grants
nothing. So no refusal says which roles another account has.

These facts depend on the role's record alone, so they are cached until it is written.
Measured with 100,000 roles: without this cache AssumeRole of a thousand hot roles costs a quarter more CPU.
"""

from collections.abc import Mapping

import msgspec

from broker.access.library import PolicyLibrary
from broker.access.trust import shared_trust_policy, trust_policy_source
from broker.cache import Part
from broker.errors import validation_error
from broker.names.arn import account_of_role_arn, iam_arn
from broker.policy import PolicySet
from broker.storage.store import ROLES, Transaction

# Bytes that a role takes beside its tags and its policy, a set of tags, and a tag beside its text.
_ROLE_WEIGHT, _TAGS_WEIGHT, _TAG_WEIGHT = 600, 300, 150

_BEFORE_ACCOUNT = len(iam_arn("", "")) - 1
_BEFORE_PATH = len(iam_arn("0" * 12, "role"))


class SharedTags(msgspec.Struct, frozen=True, eq=False, gc=False):
    """Tags in one copy, for all roles that have the same ones."""

    tags: Mapping[str, str]
    weight: int

    @property
    def shared_parts(self) -> tuple[Part, ...]:
        return (self,)


class AssumableRole(msgspec.Struct, frozen=True, gc=False):
    """A role: what the judgement by its trust policy and the session need of it."""

    arn: str
    role_id: str
    max_session_duration: int
    shared_tags: SharedTags
    shared_trust_policy: PolicySet

    @property
    def tags(self) -> Mapping[str, str]:
        return self.shared_tags.tags

    @property
    def account(self) -> str:
        return self.arn[_BEFORE_ACCOUNT : _BEFORE_ACCOUNT + 12]

    @property
    def name(self) -> str:
        return self.arn.rpartition("/")[2]

    @property
    def path(self) -> str:
        return self.arn[_BEFORE_PATH : self.arn.rindex("/") + 1]

    @property
    def trust_policy(self) -> PolicySet:
        return self.shared_trust_policy.attributed_to(trust_policy_source(self.arn))

    @property
    def shared_parts(self) -> tuple[Part, ...]:
        return (self.shared_tags, *self.shared_trust_policy.shared_parts)


class AssumableRoles:
    """Finds roles, and caches them in the library, beside the compiled policies that they share."""

    def __init__(self, library: PolicyLibrary) -> None:
        self._library = library
        self._cache = library.cache

    async def find(self, store: Transaction, role_arn: str) -> AssumableRole | None:
        """The role that has exactly this ARN. Raises ValidationError for what is no ARN of a role."""
        account = account_of_role(role_arn)
        role: AssumableRole | None = await self._cache.at(
            store,
            role_arn,
            lambda: self._find(store, account, role_arn),
            _ROLE_WEIGHT,
        )
        return role

    async def _find(self, store: Transaction, account: str, role_arn: str) -> AssumableRole | None:
        role = await store.find(ROLES, account, role_arn.rpartition("/")[2])
        # The lookup ignores case and path, so the ARN of the record has to be compared.
        if role is None or role.arn != role_arn:
            return None
        return AssumableRole(
            role_arn,  # the key of the cache: one text for both
            role.role_id,
            role.max_session_duration,
            self._shared_tags(role.tags),
            shared_trust_policy(self._library, role),
        )

    def _shared_tags(self, tags: Mapping[str, str]) -> SharedTags:
        key = tuple(tags.items())
        found: SharedTags | None = self._cache.get(key)
        if found is None:
            found = SharedTags(tags, sum(_TAG_WEIGHT + len(name) + len(value) for name, value in key))
            self._cache.put(key, found, _TAGS_WEIGHT)
        return found


def account_of_role(role_arn: str) -> str:
    """The account in the ARN of a role, whether or not there is such a role; raises ValidationError."""
    try:
        return account_of_role_arn(role_arn)
    except ValueError as error:
        raise validation_error(str(error)) from None
