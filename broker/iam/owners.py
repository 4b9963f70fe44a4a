"""Owners of credentials: a user, or the root user, whose keys and devices are in the account's settings record."""

import msgspec

from broker.names.principal import Root
from broker.operation import Call
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Account, AccountSettings, User
from broker.storage.store import ACCOUNTS, SETTINGS, USAGE, USERS

Owner = User | AccountSettings


async def get_settings(call: Call) -> AccountSettings:
    return await call.store.find(SETTINGS, call.account) or AccountSettings()


async def get_account(call: Call) -> Account:
    return await call.store.find(ACCOUNTS, "", call.account) or Account(account_id=call.account)


def name_of(owner: Owner) -> str | None:
    return owner.user_name if isinstance(owner, User) else None


async def shown_name(call: Call, owner: Owner) -> str:
    """The user's name; for root the account's alias or id, where an answer must have a user name."""
    return name_of(owner) or (await get_account(call)).alias or call.account


def access_key_ids(owner: Owner) -> tuple[str, ...]:
    return owner.access_key_ids if isinstance(owner, User) else owner.root_access_key_ids


def mfa_serial_numbers(owner: Owner) -> tuple[str, ...]:
    return owner.mfa_serial_numbers if isinstance(owner, User) else owner.root_mfa_serial_numbers


def put_access_key_ids(call: Call, owner: Owner, key_ids: tuple[str, ...]) -> None:
    if isinstance(owner, User):
        changed = msgspec.structs.replace(owner, access_key_ids=key_ids)
        call.store.put(USERS, call.account, changed)
    else:
        settings = msgspec.structs.replace(owner, root_access_key_ids=key_ids)
        call.store.put(SETTINGS, call.account, settings)


def put_mfa_serial_numbers(call: Call, owner: Owner, serial_numbers: tuple[str, ...]) -> None:
    if isinstance(owner, User):
        changed = msgspec.structs.replace(owner, mfa_serial_numbers=serial_numbers)
        call.store.put(USERS, call.account, changed)
    else:
        settings = msgspec.structs.replace(owner, root_mfa_serial_numbers=serial_numbers)
        call.store.put(SETTINGS, call.account, settings)


async def root_shape(call: Call) -> shapes.User:
    """The root user as GetUser shows it: no path, and for a name the account's alias where it has one."""
    account = await get_account(call)
    # The password's use is marked under the account's number, which is the root user's unique id.
    usage = await call.store.find(USAGE, call.account, call.account)
    return shapes.User(
        path=None,
        user_name=account.alias,
        user_id=call.account,
        arn=Root(call.account).arn,
        create_date=account.created_at,
        password_last_used=usage.last_used_at if usage is not None else None,
    )
