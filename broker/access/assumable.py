"""Roles that are assumed: found by their ARN, with what an assumption has to know of them.

A role that does not exist and a role that trusts nobody are one and the same to whoever asks: a resource whose policy
grants nothing. So nobody learns from a refusal which roles another account has.

What there is to know depends on the role's record alone, so it is true as long as the revision of its account's
partition stands. Until then neither the record is read again nor the text of its trust policy looked at.
"""

import re
from collections.abc import Mapping

import msgspec

from broker.access.library import PolicyLibrary
from broker.access.trust import shared_trust_policy, trust_policy_source
from broker.errors import validation_error
from broker.names.arn import iam_arn
from broker.policy import PolicySet
from broker.storage.engine import Revision, account_partition
from broker.storage.records import Role
from broker.storage.store import ROLES, Transaction

# Bytes that an entry takes: its ARN, an id, a place; and what a tag takes beside its text.
_ENTRY, _TAG = 350, 150

# Roles of one team or stage are often tagged alike: so many sets of tags are remembered, none of more bytes than these.
_MOST_TAGS, _LONGEST_TAGS = 1024, 1000

_ROLE = re.compile(r"arn:[^:]+:iam:[^:]*:([0-9]{12}):role/(?:.*/)?([^/]*)", re.DOTALL)
_BEFORE_ACCOUNT = len(iam_arn("", "")) - 1
_BEFORE_PATH = len(iam_arn("0" * 12, "role"))


class AssumableRole(msgspec.Struct, frozen=True, gc=False):
    """A role as its trust policy and its session need it; true while its account's partition stands at `revision`."""

    arn: str
    role_id: str
    max_session_duration: int
    tags: Mapping[str, str]
    shared_trust_policy: PolicySet
    revision: Revision

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
        return self.shared_trust_policy.under(trust_policy_source(self.arn))

    @property
    def leaves(self) -> tuple[PolicySet, ...]:
        return self.shared_trust_policy.leaves


class AssumableRoles:
    """Finds them, and keeps them in the library, among the policies that they hold."""

    def __init__(self, library: PolicyLibrary) -> None:
        self._library = library
        self._tags: dict[tuple[tuple[str, str], ...], Mapping[str, str]] = {}

    async def find(self, store: Transaction, role_arn: str) -> AssumableRole | None:
        """The role that bears exactly this ARN. Raises ValidationError for what is no ARN of a role."""
        kept: AssumableRole | None = self._library.kept.find(role_arn)
        account = account_of_role(role_arn) if kept is None else kept.account
        partition = account_partition(account)
        revision = store.find_revision(partition)
        if revision is None:
            revision = await store.revision(partition)
        if kept is not None and kept.revision == revision and not store.is_dirty:
            return kept
        role = await store.find(ROLES, account, role_arn.rpartition("/")[2])
        # Names are looked up without case, and no path is: the record has to be the one that was named.
        if role is None or role.arn != role_arn:
            return None
        # Not kept, where it may be made of writes that nobody will ever commit.
        return self._made(role, revision, is_kept=not store.is_dirty)

    def _made(self, role: Role, revision: Revision, *, is_kept: bool) -> AssumableRole:
        pairs = tuple(role.tags.items())
        tags = self._tags.get(pairs)
        made = AssumableRole(
            role.arn,
            role.role_id,
            role.max_session_duration,
            role.tags if tags is None else tags,
            shared_trust_policy(self._library, role),
            revision,
        )
        if is_kept:
            weight = 0 if tags is not None else sum(_TAG + len(key) + len(value) for key, value in pairs)
            if 0 < weight <= _LONGEST_TAGS:
                if len(self._tags) >= _MOST_TAGS:
                    self._tags.clear()
                self._tags[pairs] = role.tags
            self._library.kept.keep(made.arn, made, _ENTRY + weight)
        return made


def account_of_role(role_arn: str) -> str:
    """The account in the ARN of a role, whether or not there is such a role; raises ValidationError."""
    found = _ROLE.fullmatch(role_arn)
    if found is None:
        raise validation_error(f"{role_arn} is invalid")
    return found[1]
