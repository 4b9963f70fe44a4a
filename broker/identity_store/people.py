"""The people and groups of an identity store: found, made, changed, deleted. SCIM and `identitystore` share it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from collections.abc import Collection as Names

import msgspec
from msgspec.structs import replace

from broker.errors import Refusal
from broker.identity_store.refusals import (
    invalid_value,
    not_found,
    not_unique,
    quota_exceeded,
    version_mismatch,
)
from broker.storage.collection import Collection, R
from broker.storage.identity_store_records import (
    GROUP,
    USER,
    StoreCounts,
    StoreGroup,
    StoreMembership,
    StoreName,
    StoreUser,
    external_id_key,
    group_name_key,
    membership_keys,
    user_name_key,
)
from broker.storage.people_collections import (
    STORE_COUNTS,
    STORE_GROUPS,
    STORE_MEMBERSHIPS,
    STORE_NAMES,
    STORE_USERS,
)
from broker.storage.store import Transaction

_SLICE, _MEMBERS_AT_ONCE = 500, 100
LONGEST_EXTERNAL_ID, LONGEST_USER_NAME = 256, 256


class People(msgspec.Struct, frozen=True):
    """Of one store, in one transaction. `most_users` and `most_groups` are quotas; `now` is in epoch seconds."""

    store: Transaction
    shard: str
    now: int
    most_users: int
    most_groups: int

    async def get_user(self, user_id: str) -> StoreUser:
        """Raises NotFound."""
        user = await self.store.find(STORE_USERS, self.shard, user_id)
        if user is None:
            raise not_found("User", user_id)
        return user

    async def get_group(self, group_id: str) -> StoreGroup:
        """Raises NotFound."""
        group = await self.store.find(STORE_GROUPS, self.shard, group_id)
        if group is None:
            raise not_found("Group", group_id)
        return group

    async def find_user(self, user_id: str) -> StoreUser | None:
        return await self.store.find(STORE_USERS, self.shard, user_id)

    async def find_group(self, group_id: str) -> StoreGroup | None:
        return await self.store.find(STORE_GROUPS, self.shard, group_id)

    async def find_named(self, key: str) -> str | None:
        """The id of who has the unique name."""
        named = await self.store.find(STORE_NAMES, self.shard, key)
        return None if named is None else named.resource_id

    async def create_user(self, user: StoreUser) -> StoreUser:
        """Raises uniqueness, and QuotaExceeded."""
        counts = await self._counts()
        if counts.users >= self.most_users:
            raise quota_exceeded(f"An identity store has at most {self.most_users} users.")
        made = replace(user, created_at=self.now, modified_at=self.now, active_since=self.now)
        await self._take_names(user.user_id, (), _user_names(made))
        self.store.put(STORE_COUNTS, self.shard, replace(counts, users=counts.users + 1))
        self.store.put(STORE_USERS, self.shard, made)
        return made

    async def change_user(self, user: StoreUser, changed: StoreUser) -> StoreUser:
        """Raises uniqueness."""
        if changed == user:
            return user
        await self._take_names(user.user_id, _user_names(user), _user_names(changed))
        made = replace(
            changed,
            version=user.version + 1,
            modified_at=self.now,
            active_since=_active_since(user, changed, self.now),
        )
        self.store.put(STORE_USERS, self.shard, made)
        return made

    async def delete_user(self, user: StoreUser) -> None:
        for membership in await self.memberships_of(USER, user.user_id):
            self._forget(membership)
        for key in _user_names(user):
            self.store.delete(STORE_NAMES, self.shard, key)
        counts = await self._counts()
        self.store.put(STORE_COUNTS, self.shard, replace(counts, users=max(0, counts.users - 1)))
        self.store.delete(STORE_USERS, self.shard, user.user_id)

    async def create_group(self, group: StoreGroup) -> StoreGroup:
        """Raises uniqueness, and QuotaExceeded."""
        counts = await self._counts()
        if counts.groups >= self.most_groups:
            raise quota_exceeded(f"An identity store has at most {self.most_groups} groups.")
        made = replace(group, created_at=self.now, modified_at=self.now)
        await self._take_names(group.group_id, (), _group_names(made))
        self.store.put(STORE_COUNTS, self.shard, replace(counts, groups=counts.groups + 1))
        self.store.put(STORE_GROUPS, self.shard, made)
        return made

    async def change_group(self, group: StoreGroup, changed: StoreGroup) -> StoreGroup:
        """Raises uniqueness."""
        if changed == group:
            return group
        await self._take_names(group.group_id, _group_names(group), _group_names(changed))
        made = replace(changed, version=group.version + 1, modified_at=self.now)
        self.store.put(STORE_GROUPS, self.shard, made)
        return made

    async def touch_group(self, group: StoreGroup) -> StoreGroup:
        """For a group whose members have changed."""
        made = replace(group, version=group.version + 1, modified_at=self.now)
        self.store.put(STORE_GROUPS, self.shard, made)
        return made

    async def delete_group(self, group: StoreGroup) -> None:
        for membership in await self.memberships_of(GROUP, group.group_id):
            self._forget(membership)
        for key in _group_names(group):
            self.store.delete(STORE_NAMES, self.shard, key)
        counts = await self._counts()
        self.store.put(STORE_COUNTS, self.shard, replace(counts, groups=max(0, counts.groups - 1)))
        self.store.delete(STORE_GROUPS, self.shard, group.group_id)

    async def find_membership(self, group_id: str, user_id: str) -> StoreMembership | None:
        return await self.store.find(STORE_MEMBERSHIPS, self.shard, f"{GROUP}/{group_id}/{user_id}")

    async def find_membership_by_id(self, membership_id: str) -> StoreMembership | None:
        return await self.store.find(STORE_MEMBERSHIPS, self.shard, f"id/{membership_id}")

    async def memberships_of(self, kind: str, resource_id: str) -> list[StoreMembership]:
        """Of a group (GROUP) or of a user (USER)."""
        return await self.store.scan(STORE_MEMBERSHIPS, self.shard, f"{kind}/{resource_id}/")

    async def add_member(self, membership: StoreMembership) -> StoreMembership:
        """The membership, or the one that there is; raises invalidValue where there is no such user."""
        found = await self.find_membership(membership.group_id, membership.user_id)
        if found is not None:
            return found
        if await self.store.find(STORE_USERS, self.shard, membership.user_id) is None:
            raise _no_member(membership.user_id)
        return self._put_membership(membership)

    async def add_members(
        self, group_id: str, user_ids: Sequence[str], new_id: Callable[[], str]
    ) -> list[str]:
        """As `add_member`, each of them; the ids of those who were none before."""
        added: list[str] = []
        async for some, present in self._members_in_slices(group_id, list(dict.fromkeys(user_ids))):
            new = [one for one, found in zip(some, present, strict=True) if found is None]
            users = await self.store.find_all(STORE_USERS, self.shard, new)
            for user_id, user in zip(new, users, strict=True):
                if user is None:
                    raise _no_member(user_id)
                self._put_membership(
                    StoreMembership(membership_id=new_id(), group_id=group_id, user_id=user_id)
                )
            added += new
        return added

    async def remove_members(self, group_id: str, user_ids: Sequence[str]) -> list[str]:
        """The ids of those who were members."""
        removed: list[str] = []
        async for _, present in self._members_in_slices(group_id, list(dict.fromkeys(user_ids))):
            found = [one for one in present if one is not None]
            for one in found:
                self._forget(one)
            removed += [one.user_id for one in found]
        return removed

    async def _members_in_slices(
        self, group_id: str, user_ids: Sequence[str]
    ) -> AsyncIterator[tuple[Sequence[str], list[StoreMembership | None]]]:
        """Some of the users, and their memberships; between two slices others are answered."""
        for start in range(0, len(user_ids), _MEMBERS_AT_ONCE):
            some = user_ids[start : start + _MEMBERS_AT_ONCE]
            keys = [f"{GROUP}/{group_id}/{user_id}" for user_id in some]
            yield some, await self.store.find_all(STORE_MEMBERSHIPS, self.shard, keys)
            await asyncio.sleep(0)

    async def remove_member(self, group_id: str, user_id: str) -> bool:
        """Whether the user was a member."""
        return bool(await self.remove_members(group_id, [user_id]))

    def _put_membership(self, membership: StoreMembership) -> StoreMembership:
        made = replace(membership, created_at=self.now)
        for key in membership_keys(made):
            self.store.put(STORE_MEMBERSHIPS, self.shard, made, key=key)
        return made

    def _forget(self, membership: StoreMembership) -> None:
        for key in membership_keys(membership):
            self.store.delete(STORE_MEMBERSHIPS, self.shard, key)

    async def users(self, most: int | None = None, after: str = "") -> list[StoreUser]:
        """By their ids, those behind `after`: the first `most` of them."""
        return await self._all(STORE_USERS, lambda one: one.user_id, most, after)

    async def groups(self, most: int | None = None, after: str = "") -> list[StoreGroup]:
        return await self._all(STORE_GROUPS, lambda one: one.group_id, most, after)

    async def _all(
        self, collection: Collection[R], key: Callable[[R], str], most: int | None, after: str
    ) -> list[R]:
        """In slices, between which others are answered."""
        found: list[R] = []
        while most is None or len(found) < most:
            wanted = _SLICE if most is None else min(_SLICE, most - len(found))
            behind = key(found[-1]) if found else after or None
            some = await self.store.scan(collection, self.shard, after=behind, limit=wanted)
            found += some
            if len(some) < wanted:
                break
            await asyncio.sleep(0)
        return found

    async def purge(self) -> None:
        """Delete everyone and everything: for a store that is deleted itself."""
        for user in await self.users():
            self.store.delete(STORE_USERS, self.shard, user.user_id)
            for key in _user_names(user):
                self.store.delete(STORE_NAMES, self.shard, key)
        for group in await self.groups():
            self.store.delete(STORE_GROUPS, self.shard, group.group_id)
            for key in _group_names(group):
                self.store.delete(STORE_NAMES, self.shard, key)
        for membership in await self.store.scan(STORE_MEMBERSHIPS, self.shard, "id/"):
            self._forget(membership)
        self.store.delete(STORE_COUNTS, self.shard)

    async def counts(self) -> StoreCounts:
        return await self._counts()

    async def _counts(self) -> StoreCounts:
        return await self.store.find(STORE_COUNTS, self.shard) or StoreCounts()

    async def _take_names(self, resource_id: str, old: Names[str], new: Mapping[str, str]) -> None:
        for key, shown in new.items():
            owner = await self.find_named(key)
            if owner not in (None, resource_id):
                raise not_unique(f"Another resource has this {shown}.")
        for key in set(old) - set(new):
            self.store.delete(STORE_NAMES, self.shard, key)
        for key in set(new) - set(old):
            self.store.put(STORE_NAMES, self.shard, StoreName(key=key, resource_id=resource_id))


def _active_since(user: StoreUser, changed: StoreUser, now: int) -> int:
    """What begins in the second of a deactivation has ended with it, for sessions know whole seconds."""
    if changed.is_active == user.is_active:
        return user.active_since
    return max(user.active_since, now if changed.is_active else now + 1)


def require_version(given: str | None, version: int) -> None:
    """`given` is an If-Match header; raises PreconditionFailed for another version (RFC 7644, 3.14)."""
    if given is None or given.strip() == "*":
        return
    tags = {one.strip().removeprefix("W/").strip('"') for one in given.split(",")}
    if str(version) not in tags:
        raise version_mismatch()


def _user_names(user: StoreUser) -> dict[str, str]:
    """The keys of the user's unique names, and what each is called."""
    names = {user_name_key(user.user_name): "userName"}
    if user.external_id:
        names[external_id_key(USER, user.external_id)] = "externalId"
    return names


def _group_names(group: StoreGroup) -> dict[str, str]:
    names = {group_name_key(group.display_name): "displayName"}
    if group.external_id:
        names[external_id_key(GROUP, group.external_id)] = "externalId"
    return names


def _no_member(user_id: str) -> Refusal:
    return invalid_value(f"There is no user {user_id}: only users are members of groups.")
