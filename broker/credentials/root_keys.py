"""Root access keys: created for the operator, or imported from the environment; and their accounts.

IAM has no operation that creates them (AWS's console does), so the command line and the bootstrap do.
"""

from enum import Enum
from hashlib import sha256

import msgspec

from broker.credentials.access_keys import AccessKeyPair, delete_foreign_key, put_foreign_key
from broker.names.ids import account_of_access_key_id
from broker.storage.records import AccessKey, Account, AccountSettings
from broker.storage.store import ACCESS_KEYS, ACCOUNTS, FOREIGN_ACCESS_KEYS, SETTINGS, Transaction


class KeyTaken(Exception):
    """The access key id belongs to another account, or to a user."""


class RootKeyImport(Enum):
    """The outcome of the import of a root key from the environment."""

    MADE = "made"
    PRESENT = "present"
    REVOKED = "revoked"  # it was applied once, and an operator has decided otherwise since


async def import_root_key(
    store: Transaction, account_id: str, pair: AccessKeyPair, now: float
) -> RootKeyImport:
    """Make `pair` a root key of the account, unless that was done before. Raises KeyTaken.

    # INVARIANT: a pair is imported once. An environment that still names it does not undo what an operator did with the
    # key afterwards (deactivate, delete, rotate). Another id or another secret is another pair.
    """
    settings = await store.find(SETTINGS, account_id) or AccountSettings()
    mark = _mark(pair)
    existing = await store.find(ACCESS_KEYS, account_id, pair.access_key_id)
    is_there = existing is not None and existing.user_name is None and existing.secret == pair.secret
    is_good = is_there and existing is not None and existing.status == "Active"
    if mark in settings.brought_root_keys:
        return RootKeyImport.PRESENT if is_good else RootKeyImport.REVOKED
    # A key without a mark was imported by an early version of the broker, or made by another command.
    marks = (*settings.brought_root_keys, mark)
    if not is_there:
        await ensure_root_key(store, account_id, pair, now)
        settings = await store.find(SETTINGS, account_id) or AccountSettings()
        if existing is not None:  # its secret is replaced: no other node may import it again
            marks = (*marks, _mark(AccessKeyPair(existing.access_key_id, existing.secret)))
    store.put(SETTINGS, account_id, msgspec.structs.replace(settings, brought_root_keys=marks))
    if not is_there:
        return RootKeyImport.MADE
    return RootKeyImport.PRESENT if is_good else RootKeyImport.REVOKED


def _mark(pair: AccessKeyPair) -> str:
    """The mark of an imported pair: the id, and enough of a digest to distinguish the secret from others."""
    text = f"{pair.access_key_id}:{pair.secret.reveal()}"
    return f"{pair.access_key_id}:{sha256(text.encode()).hexdigest()[:16]}"


async def ensure_account(store: Transaction, account_id: str, now: float, name: str = "") -> Account:
    """The account's record, which is created where it does not exist."""
    account = await store.find(ACCOUNTS, "", account_id)
    if account is None:
        account = Account(account_id=account_id, name=name, created_at=int(now))
        store.put(ACCOUNTS, "", account)
    return account


async def ensure_root_key(store: Transaction, account_id: str, pair: AccessKeyPair, now: float) -> None:
    """Make `pair` an active root key of the account; other root keys are not changed.

    Raises KeyTaken for an id of another account or of a user.
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
    await put_foreign_key(store, account_id, pair.access_key_id)
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
    """Make `pair` the account's only root key; returns the ids of those that were deleted."""
    settings = await store.find(SETTINGS, account_id) or AccountSettings()
    for key_id in settings.root_access_key_ids:
        store.delete(ACCESS_KEYS, account_id, key_id)
        await delete_foreign_key(store, key_id)
    store.put(SETTINGS, account_id, msgspec.structs.replace(settings, root_access_key_ids=()))
    await ensure_root_key(store, account_id, pair, now)
    return settings.root_access_key_ids
