"""Identity stores: lists of the people and groups of one provider of an account, which the provider pushes.

Frozen, append-only with defaults, times in whole epoch seconds. A store and its tokens are in its account's partition.
People, groups and memberships are in a partition of the store's own: they are pushed in thousands.
"""

from hashlib import sha256
from typing import Any

from broker.names.identity_store import identity_store_arn
from broker.storage.records import Record

EXTERNAL_ID = "externalId"
USER, GROUP = "user", "group"


class IdentityStoreRecord(Record, frozen=True, kw_only=True):
    """`provider` is the ARN of a provider of the account, or the name of the LDAP directory in trust policies.

    A person is the user whose `matched_by` (externalId or userName) is their `claim`; "" means the provider's own
    identifier: `sub`, the NameID, or the user name of the LDAP directory.
    """

    account_id: str
    store_id: str
    provider: str
    matched_by: str = EXTERNAL_ID
    claim: str = ""
    created_at: int = 0

    @property
    def arn(self) -> str:
        return identity_store_arn(self.account_id, self.store_id)

    @property
    def shard(self) -> str:
        """Where its people are."""
        return people_shard(self.account_id, self.store_id)


class ProviderIdentityStore(Record, frozen=True, kw_only=True):
    """Which store has the people of a provider."""

    provider: str
    store_id: str


class StoreToken(Record, frozen=True, kw_only=True):
    """A bearer token of SCIM: only its digest is stored, of 32 random bytes. `created_by` is the ARN of who made it."""

    store_id: str
    token_id: str
    digest: bytes
    created_at: int
    expires_at: int
    created_by: str = ""


class StoreUser(Record, frozen=True, kw_only=True):
    """`attributes` are those of SCIM that are not fields of their own, by their names there.

    Sessions that began before `active_since` have ended: that is when the user was made, and last made active again.
    """

    user_id: str
    user_name: str
    external_id: str = ""
    is_active: bool = True
    attributes: dict[str, Any] = {}
    version: int = 1
    created_at: int = 0
    modified_at: int = 0
    active_since: int = 0


class StoreGroup(Record, frozen=True, kw_only=True):
    group_id: str
    display_name: str
    external_id: str = ""
    description: str = ""
    version: int = 1
    created_at: int = 0
    modified_at: int = 0


class StoreMembership(Record, frozen=True, kw_only=True):
    """Stored under three keys: by its id, by the group and by the user."""

    membership_id: str
    group_id: str
    user_id: str
    created_at: int = 0


class StoreName(Record, frozen=True, kw_only=True):
    """Who has a name that is unique in the store."""

    key: str
    resource_id: str


class StoreCounts(Record, frozen=True, kw_only=True):
    users: int = 0
    groups: int = 0


def people_shard(account_id: str, store_id: str) -> str:
    return f"{account_id}/{store_id}"


def user_name_key(user_name: str) -> str:
    """User names are compared without case (RFC 7643, 4.1.1)."""
    return _name_key(USER, "name", user_name.casefold())


def group_name_key(display_name: str) -> str:
    return _name_key(GROUP, "name", display_name.casefold())


def external_id_key(kind: str, external_id: str) -> str:
    """With case, as RFC 7643, 3.1 has it. A user and a group may have the same."""
    return _name_key(kind, "external-id", external_id)


def _name_key(kind: str, name: str, value: str) -> str:
    return f"{kind}/{name}/{sha256(value.encode('utf-8', 'surrogatepass')).hexdigest()}"


def membership_keys(membership: StoreMembership) -> tuple[str, str, str]:
    group_id, user_id = membership.group_id, membership.user_id
    return f"id/{membership.membership_id}", f"{GROUP}/{group_id}/{user_id}", f"{USER}/{user_id}/{group_id}"
