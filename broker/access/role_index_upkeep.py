"""Adds to the index of trust policies what is missing: for stores of an earlier version, and after a mishap.

A pass looks at each account whose partition has changed since its roles were last known to be indexed, and at every
account once a day. It can be ended at any time, and goes on where it was; passes of several processes do no harm.
"""

import asyncio
from collections.abc import Iterable

from broker.access.role_index import LAYOUT, Trustee, entry_key, put_entry, trustees_of
from broker.storage.engine import Revision, account_partition
from broker.storage.records import Role
from broker.storage.role_index_records import IndexedAccount, RoleIndex
from broker.storage.store import INDEXED_ACCOUNTS, ROLE_INDEX, ROLES, TRUSTING_ROLES, Store

# How long an account is known to be indexed: what a store has lost of its index (a failover) is restored after that.
_KNOWN_SECONDS = 24 * 3600

# Roles that are read at once, and the rest after them: other requests of the process get four fifths of its time.
_ROLES_AT_ONCE, _REST_SECONDS = 50, 0.02


async def index_missing_roles(store: Store, rest: float = _REST_SECONDS) -> int:
    """One pass; the number of entries that were missing."""
    missing = 0
    known = {one.account_id: one for one in await store.transaction().scan(INDEXED_ACCOUNTS, "")}
    prefix = account_partition("")
    for partition in await store.engine.partitions(prefix):
        account = partition.removeprefix(prefix)
        revision = await store.engine.revision(partition)
        if not _is_at(known.get(account), revision):
            missing += await _index_account(store, account, revision, rest)
    reader = store.transaction()
    index = await reader.find(ROLE_INDEX, "")
    if index is None or index.layout != LAYOUT:
        reader.put(ROLE_INDEX, "", RoleIndex(complete_since=int(await store.engine.now()), layout=LAYOUT))
        await reader.commit()
    return missing


def _is_at(indexed: IndexedAccount | None, revision: Revision) -> bool:
    if indexed is None or indexed.layout != LAYOUT:
        return False
    return Revision(indexed.number, indexed.mark) == revision


async def _index_account(store: Store, account: str, revision: Revision, rest: float) -> int:
    """Index the account's roles, which are read at `revision` or later."""
    missing, partition, after = 0, account_partition(account), ""
    while pairs := await store.engine.scan(partition, ROLES.prefix, after, _ROLES_AT_ONCE):
        # Past the store's cache: a pass must not evict what requests need.
        missing += await _index_roles(store, [ROLES.decode(partition, key, value) for key, value in pairs])
        after = pairs[-1][0]
        await asyncio.sleep(rest)
    writer = store.transaction()
    writer.put(
        INDEXED_ACCOUNTS,
        "",
        IndexedAccount(account_id=account, number=revision.number, mark=revision.mark, layout=LAYOUT),
        expires_at=await store.engine.now() + _KNOWN_SECONDS,
    )
    await writer.commit()
    return missing


async def _index_roles(store: Store, roles: Iterable[Role]) -> int:
    """Put the entries that are missing; how many they are."""
    by_owner: dict[str, dict[str, tuple[Trustee, Role]]] = {}
    for role in roles:
        for trustee in trustees_of(role):
            entries = by_owner.setdefault(trustee.owner, {})
            entries[TRUSTING_ROLES.stored_key(entry_key(trustee, role))] = trustee, role
    writer, missing = store.transaction(), 0
    for owner, entries in by_owner.items():
        _, found = await store.engine.fetch(TRUSTING_ROLES.partition(owner), list(entries))
        for (trustee, role), value in zip(entries.values(), found, strict=True):
            if value is None:
                put_entry(writer, trustee, role)
                missing += 1
    await writer.commit()
    return missing
