"""The entities that have policies: a row each for users, groups and roles, so that operations are written once.

`word` is the wire's: it makes the names of operations (`AttachUserPolicy`), of shapes and of quotas, and the field of
every request that names the holder (`user_name`).
"""

from typing import Any

import msgspec

from broker.iam import entities, resources
from broker.iam.entities import Entity
from broker.iam.permissions_boundaries import bounded
from broker.iam.protection import RESERVED_PATHS
from broker.iam.resources import KeysOf, no_keys
from broker.operation import Call, Prepare
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Group, Role, User

HolderRecord = User | Group | Role


class Holder(msgspec.Struct, frozen=True):
    """One row. `attached_quota` and `inline_quota` are fields of Quotas."""

    word: str
    entity: Entity[Any]
    attached_quota: str
    inline_quota: str
    may_be_bounded: bool = True

    @property
    def noun(self) -> str:
        return self.word.lower()

    @property
    def field(self) -> str:
        return f"{self.noun}_name"

    def found(self, keys: KeysOf = no_keys) -> Prepare[Any, HolderRecord]:
        """The holder that a request names, where it only reads."""
        return resources.found(self.entity, self.field, keys)

    def found_to_change(self, keys: KeysOf = no_keys) -> Prepare[Any, HolderRecord]:
        """The same where the request changes its policies: its boundary is a condition key then.

        Raises UnmodifiableEntity for a role that only AWS may change.
        """
        if not self.may_be_bounded:
            return self.found(keys)
        return bounded(self.entity, self.field, keys, RESERVED_PATHS)

    def name_in(self, request: Any) -> str:
        name: str = getattr(request, self.field)
        return name

    def put(self, call: Call, record: HolderRecord) -> None:
        call.store.put(self.entity.collection, call.account, record)

    def answer(self, pattern: str, **fields: Any) -> Any:
        """The result shape whose name is `pattern` with this holder's word in it."""
        return getattr(shapes, pattern.format(self.word))(**fields)


HOLDERS = (
    Holder("User", entities.USER, "attached_policies_per_user", "user_inline_size"),
    Holder("Group", entities.GROUP, "attached_policies_per_group", "group_inline_size", may_be_bounded=False),
    Holder("Role", entities.ROLE, "attached_policies_per_role", "role_inline_size"),
)
