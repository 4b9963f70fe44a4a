"""Access keys of declared users: created and shown once, or fixed keys whose secrets the operator has."""

import msgspec

from broker.credentials.access_keys import NewKey, put_foreign_key
from broker.declaration.attempt import Attempt
from broker.declaration.declared import DeclaredUser, FixedKey, is_set
from broker.declaration.properties import NamedEntity, Property, cleared
from broker.declaration.source import DeclarationError
from broker.names.ids import is_key_id
from broker.names.secret import SecretKey
from broker.storage.records import AccessKey, User
from broker.storage.store import ACCESS_KEYS, FOREIGN_ACCESS_KEYS, USERS

_SHORTEST_SECRET = 16


async def _settle_access_keys(
    attempt: Attempt, target: NamedEntity, user: User, wanted: DeclaredUser
) -> None:
    account, name = target.account, user.user_name
    if not isinstance(wanted.access_keys, int):
        for key in wanted.access_keys:
            await _put_fixed_key(attempt, account, name, key)
        return
    if wanted.access_keys < 0:
        raise DeclarationError(
            f"{wanted.where}: access_keys is a list or a number of keys, not {wanted.access_keys}"
        )
    for _ in range(wanted.access_keys - len(user.access_key_ids)):
        text = f"{target.label}: access key"
        answer = await attempt.perform(account, "CreateAccessKey", target.parameters, "+", text, target.where)
        made = answer.access_key
        secret = SecretKey(made.secret_access_key)
        attempt.keys.append(NewKey(account, name, made.access_key_id, secret))


async def _put_fixed_key(attempt: Attempt, account: str, name: str, wanted: FixedKey) -> None:
    """Write the key as an active key of the user. Raises DeclarationError where another user has its id."""
    store, key_id = attempt.store, wanted.access_key_id
    if not is_key_id(key_id):
        raise DeclarationError(f"{wanted.where}: access_key_id has 16 to 128 letters, digits and underscores")
    foreign = await store.find(FOREIGN_ACCESS_KEYS, "", key_id)
    existing = await store.find(ACCESS_KEYS, account, key_id)
    if (foreign and foreign.account_id != account) or (existing and existing.user_name != name):
        raise DeclarationError(f"{wanted.where}: the access key {key_id} belongs to another user")
    secret = _secret(attempt, wanted)
    if existing is not None and existing.secret == secret and existing.status == "Active":
        return
    key = AccessKey(
        account_id=account, access_key_id=key_id, user_name=name, secret=secret, created_at=attempt.now
    )
    store.put(ACCESS_KEYS, account, key)
    await put_foreign_key(store, account, key_id)
    user = await store.find(USERS, account, name)
    assert user is not None
    if key_id not in user.access_key_ids:
        store.put(USERS, account, _with_key(user, key_id))
    sign = "+" if existing is None else "~"
    attempt.note(account, "broker:PutAccessKey", sign, f"user {name}: access key {key_id}")


def _with_key(user: User, key_id: str) -> User:
    return msgspec.structs.replace(user, access_key_ids=(*user.access_key_ids, key_id))


def _secret(attempt: Attempt, wanted: FixedKey) -> SecretKey:
    if is_set(wanted.secret_file) == is_set(wanted.secret_variable):
        raise DeclarationError(
            f"{wanted.where}: one of secret_file and secret_variable says where the secret is"
        )
    if is_set(wanted.secret_variable):
        text = attempt.means.environment.get(str(wanted.secret_variable), "")
        missing = f"the environment variable {wanted.secret_variable} is not set"
    else:
        file = attempt.means.folder / str(wanted.secret_file)
        missing = f"{file} cannot be read, or is empty"
        try:
            text = file.read_text("utf-8").strip()
        except (OSError, UnicodeDecodeError):
            text = ""
    if not text:
        raise DeclarationError(f"{wanted.where}: {missing}")
    if len(text) < _SHORTEST_SECRET:
        raise DeclarationError(
            f"{wanted.where}: a secret access key has at least {_SHORTEST_SECRET} characters"
        )
    return SecretKey(text)


ACCESS_KEYS_OF_USER = Property(
    settle=_settle_access_keys, clear=cleared("access_key_ids", "DeleteAccessKey", "AccessKeyId")
)
