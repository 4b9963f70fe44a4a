"""Long-lived access keys: new ones, whose id carries their account, and where those live whose id does not.

A new secret is forty random characters. An id that was brought along says nothing of its account, or something untrue.
So a record says where its key is; whoever puts such a key on record, or deletes one, keeps that record true.
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
    """A new key, before it is on record: shown to its owner once."""

    access_key_id: str
    secret: SecretKey


class NewKey(msgspec.Struct, frozen=True):
    """An access key that was made, to be shown once; `user` is empty for root's."""

    account: str
    user: str
    access_key_id: str
    secret: SecretKey


def new_access_key_pair(account: str, entropy: bytes) -> AccessKeyPair:
    """A pair for `account`, from ACCESS_KEY_ENTROPY fresh bytes.

    The id holds 39 random bits, so two may meet: whoever puts a pair on record insists that it is new there.
    """
    if len(entropy) < ACCESS_KEY_ENTROPY:
        raise ValueError(f"an access key needs {ACCESS_KEY_ENTROPY} bytes of entropy")
    secret = b64encode(entropy[ACCESS_KEY_ID_ENTROPY:ACCESS_KEY_ENTROPY]).decode()
    return AccessKeyPair(access_key_id(LONG_TERM_KEY, account, entropy), SecretKey(secret))


async def put_place(store: Transaction, account_id: str, key_id: str) -> None:
    """Say where the key lives, unless its id does; the id is nobody else's."""
    if account_of_access_key_id(key_id) == account_id:
        return
    if await store.find(FOREIGN_ACCESS_KEYS, "", key_id) is None:
        place = ForeignAccessKey(access_key_id=key_id, account_id=account_id)
        store.put(FOREIGN_ACCESS_KEYS, "", place)


async def delete_place(store: Transaction, key_id: str) -> None:
    """For a key that is deleted: forget where it lived, if that was on record."""
    if await store.find(FOREIGN_ACCESS_KEYS, "", key_id) is not None:
        store.delete(FOREIGN_ACCESS_KEYS, "", key_id)


async def delete_access_key(store: Transaction, account_id: str, key_id: str) -> bool:
    """Delete a key of a user or of root, whose it is no longer then; whether there was one."""
    key = await store.find(ACCESS_KEYS, account_id, key_id)
    if key is None:
        return False
    store.delete(ACCESS_KEYS, account_id, key_id)
    await delete_place(store, key_id)
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
