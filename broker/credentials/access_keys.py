"""Long-term access keys: new ones, whose id encodes their account, and imported ones, whose id does not.

A new secret is forty random characters. An imported id encodes no account, or another one, so a ForeignAccessKey record
names the account. It is written and deleted together with the key.
"""

from base64 import b64encode

import msgspec

from broker.names.ids import (
    ACCESS_KEY_ID_ENTROPY,
    LONG_TERM_KEY,
    access_key_id,
    account_of_access_key_id,
)
from broker.names.secret import SecretKey
from broker.storage.records import AccountSettings, ForeignAccessKey
from broker.storage.store import ACCESS_KEYS, FOREIGN_ACCESS_KEYS, SETTINGS, USERS, Transaction

_SECRET_ENTROPY = 30  # bytes: exactly forty characters of base64, 240 bits
ACCESS_KEY_ENTROPY = ACCESS_KEY_ID_ENTROPY + _SECRET_ENTROPY


class AccessKeyPair(msgspec.Struct, frozen=True):
    """A new key, before it is stored. The secret is shown once."""

    access_key_id: str
    secret: SecretKey


class NewKey(msgspec.Struct, frozen=True):
    """An access key that was created, to be shown once; `user` is empty for a root key."""

    account: str
    user: str
    access_key_id: str
    secret: SecretKey


def new_access_key_pair(account: str, entropy: bytes) -> AccessKeyPair:
    """A pair for `account`, from ACCESS_KEY_ENTROPY fresh bytes.

    The id has 39 random bits, so two may be equal: the caller has to check that no such key is stored.
    """
    if len(entropy) < ACCESS_KEY_ENTROPY:
        raise ValueError(f"an access key needs {ACCESS_KEY_ENTROPY} bytes of entropy")
    secret = b64encode(entropy[ACCESS_KEY_ID_ENTROPY:ACCESS_KEY_ENTROPY]).decode()
    return AccessKeyPair(access_key_id(LONG_TERM_KEY, account, entropy), SecretKey(secret))


async def put_foreign_key(store: Transaction, account_id: str, key_id: str) -> None:
    """Store the account of the key, unless its id encodes it. The caller has checked that the id is not taken."""
    if account_of_access_key_id(key_id) == account_id:
        return
    if await store.find(FOREIGN_ACCESS_KEYS, "", key_id) is None:
        store.put(FOREIGN_ACCESS_KEYS, "", ForeignAccessKey(access_key_id=key_id, account_id=account_id))


async def delete_foreign_key(store: Transaction, key_id: str) -> None:
    """Delete the ForeignAccessKey record of a key that is deleted, if there is one."""
    if await store.find(FOREIGN_ACCESS_KEYS, "", key_id) is not None:
        store.delete(FOREIGN_ACCESS_KEYS, "", key_id)


async def delete_access_key(store: Transaction, account_id: str, key_id: str) -> bool:
    """Delete a key, and its id from the record of its user or root user; returns whether there was one."""
    key = await store.find(ACCESS_KEYS, account_id, key_id)
    if key is None:
        return False
    store.delete(ACCESS_KEYS, account_id, key_id)
    await delete_foreign_key(store, key_id)
    if key.user_name is None:
        settings = await store.find(SETTINGS, account_id) or AccountSettings()
        rest = tuple(one for one in settings.root_access_key_ids if one != key_id)
        store.put(SETTINGS, account_id, msgspec.structs.replace(settings, root_access_key_ids=rest))
        return True
    user = await store.find(USERS, account_id, key.user_name)
    if user is not None:
        rest = tuple(one for one in user.access_key_ids if one != key_id)
        store.put(USERS, account_id, msgspec.structs.replace(user, access_key_ids=rest))
    return True
