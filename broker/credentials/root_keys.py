"""Root access keys: made for the operator, brought along by automation; and the accounts they belong to.

IAM has no operation that makes them (on AWS it is done in the console), so the command line and the bootstrap do.
"""

from enum import Enum
from hashlib import sha256

import msgspec

from broker.credentials.access_keys import AccessKeyPair, delete_place, put_place
from broker.names.ids import account_of_access_key_id
from broker.storage.records import AccessKey, Account, AccountSettings
from broker.storage.store import ACCESS_KEYS, ACCOUNTS, FOREIGN_ACCESS_KEYS, SETTINGS, Transaction


class KeyTaken(Exception):
    """The access key id belongs to another account, or to a user."""


class Brought(Enum):
    """What became of a root key that the environment names."""

    MADE = "made"
    PRESENT = "present"
    REVOKED = "revoked"  # it was applied once, and an operator has decided otherwise since


async def bring_root_key(store: Transaction, account_id: str, pair: AccessKeyPair, now: float) -> Brought:
    """Make `pair` a root key of the account, unless that was done before. Raises KeyTaken.

    # INVARIANT: a pair is applied once. What an operator does with the key afterwards (switches it off, deletes it,
    # rotates it) outweighs an environment that still names it; another id or another secret is a new wish.
    """
    settings = await store.find(SETTINGS, account_id) or AccountSettings()
    mark = _mark(pair)
    existing = await store.find(ACCESS_KEYS, account_id, pair.access_key_id)
    is_there = existing is not None and existing.user_name is None and existing.secret == pair.secret
    is_good = is_there and existing is not None and existing.status == "Active"
    if mark in settings.brought_root_keys:
        return Brought.PRESENT if is_good else Brought.REVOKED
    # A key that is there without a mark was put there by a broker that left no marks yet, or by another command.
    marks = (*settings.brought_root_keys, mark)
    if not is_there:
        await ensure_root_key(store, account_id, pair, now)
        settings = await store.find(SETTINGS, account_id) or AccountSettings()
        if existing is not None:  # its secret is replaced, and no other node's environment may bring it back
            marks = (*marks, _mark(AccessKeyPair(existing.access_key_id, existing.secret)))
    store.put(SETTINGS, account_id, msgspec.structs.replace(settings, brought_root_keys=marks))
    if not is_there:
        return Brought.MADE
    return Brought.PRESENT if is_good else Brought.REVOKED


def _mark(pair: AccessKeyPair) -> str:
    """What remembers a pair: the id, and enough of a digest to tell its secret from another."""
    text = f"{pair.access_key_id}:{pair.secret.reveal()}"
    return f"{pair.access_key_id}:{sha256(text.encode()).hexdigest()[:16]}"


async def ensure_account(store: Transaction, account_id: str, now: float, name: str = "") -> Account:
    """The account on record, made where it is new."""
    account = await store.find(ACCOUNTS, "", account_id)
    if account is None:
        account = Account(account_id=account_id, name=name, created_at=int(now))
        store.put(ACCOUNTS, "", account)
    return account


async def ensure_root_key(store: Transaction, account_id: str, pair: AccessKeyPair, now: float) -> None:
    """See to it that `pair` is an active root key of the account; other root keys stay as they are.

    Raises KeyTaken for an id that is somebody else's.
    """
    await ensure_account(store, account_id, now)
    foreign = await store.find(FOREIGN_ACCESS_KEYS, "", pair.access_key_id)
    if foreign is not None and foreign.account_id != account_id:
        raise KeyTaken(f"access key {pair.access_key_id} belongs to account {foreign.account_id}")
    named = account_of_access_key_id(pair.access_key_id)
    if named and named != account_id and await store.find(ACCESS_KEYS, named, pair.access_key_id) is not None:
        raise KeyTaken(f"access key {pair.access_key_id} belongs to account {named}")
    existing = await store.find(ACCESS_KEYS, account_id, pair.access_key_id)
    if existing is not None and existing.user_name is not None:
        raise KeyTaken(f"access key {pair.access_key_id} belongs to user {existing.user_name}")
    if existing is None or existing.secret != pair.secret or existing.status != "Active":
        _put_root_key(store, account_id, pair, now)
    await put_place(store, account_id, pair.access_key_id)
    settings = await store.find(SETTINGS, account_id) or AccountSettings()
    if pair.access_key_id not in settings.root_access_key_ids:
        ids = (*settings.root_access_key_ids, pair.access_key_id)
        store.put(SETTINGS, account_id, msgspec.structs.replace(settings, root_access_key_ids=ids))


def _put_root_key(store: Transaction, account_id: str, pair: AccessKeyPair, now: float) -> None:
    key = AccessKey(
        account_id=account_id,
        access_key_id=pair.access_key_id,
        user_name=None,
        secret=pair.secret,
        created_at=int(now),
    )
    store.put(ACCESS_KEYS, account_id, key)


async def rotate_root_key(
    store: Transaction, account_id: str, pair: AccessKeyPair, now: float
) -> tuple[str, ...]:
    """Make `pair` the account's only root key; answers the ids of those that were deleted."""
    settings = await store.find(SETTINGS, account_id) or AccountSettings()
    for key_id in settings.root_access_key_ids:
        store.delete(ACCESS_KEYS, account_id, key_id)
        await delete_place(store, key_id)
    store.put(SETTINGS, account_id, msgspec.structs.replace(settings, root_access_key_ids=()))
    await ensure_root_key(store, account_id, pair, now)
    return settings.root_access_key_ids
