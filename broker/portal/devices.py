"""The second factors of a person: virtual MFA devices and passkeys."""

from collections.abc import Sequence
from typing import Any

import msgspec

from broker.credentials.one_time_codes import find_last_code
from broker.credentials.passkeys import find_use
from broker.errors import Refusal
from broker.storage.passkey_records import Passkey, is_passkey, passkey_key
from broker.storage.portal_records import IamUserIdentity, Identity
from broker.storage.records import VirtualMfaDevice
from broker.storage.store import MFA_DEVICES, PASSKEYS, SETTINGS, USERS, Transaction

Device = VirtualMfaDevice | Passkey


class ShownDevice(msgspec.Struct, frozen=True):
    """A row of the person's own page. `host_name` is "" for what is no passkey; `last_used_at` None: never."""

    serial_number: str
    name: str
    enabled_at: float
    host_name: str = ""
    last_used_at: int | None = None


async def find_devices(store: Transaction, identity: Identity) -> list[Device]:
    """The person's second factors; any of them has to be shown."""
    if isinstance(identity, IamUserIdentity):
        user = await store.find(USERS, identity.account_id, identity.user_name)
        serial_numbers = user.mfa_serial_numbers if user is not None else ()
    else:
        settings = await store.find(SETTINGS, identity.account_id)
        serial_numbers = settings.root_mfa_serial_numbers if settings is not None else ()
    found = [await _find(store, identity.account_id, serial_number) for serial_number in serial_numbers]
    if None in found:
        raise Refusal(
            "ServiceUnavailable",
            "The sign-in cannot go on.",
            reason=f"a device of {identity} is not in the store",
        )
    return [device for device in found if device is not None]


async def _find(store: Transaction, account: str, serial_number: str) -> Device | None:
    if is_passkey(serial_number):
        return await store.find(PASSKEYS, account, passkey_key(serial_number))
    return await store.find(MFA_DEVICES, account, serial_number.partition(":mfa/")[2])


def passkeys_of(devices: Sequence[Device]) -> list[Passkey]:
    return [one for one in devices if isinstance(one, Passkey)]


def virtual_of(devices: Sequence[Device]) -> list[VirtualMfaDevice]:
    return [one for one in devices if isinstance(one, VirtualMfaDevice)]


async def find_passkeys(store: Transaction, account: str, serial_numbers: Sequence[str]) -> list[Passkey]:
    """Those that are there."""
    found = [await store.find(PASSKEYS, account, passkey_key(one)) for one in serial_numbers]
    return [passkey for passkey in found if passkey is not None]


async def shown_devices(store: Transaction, account: str, listed: Sequence[Any]) -> list[ShownDevice]:
    """What ListMFADevices has `listed` for the person, with names and last uses."""
    rows = []
    for one in listed:
        row = ShownDevice(one.serial_number, one.serial_number.rsplit("/", 1)[-1], one.enable_date)
        device = await _find(store, account, one.serial_number)
        if isinstance(device, Passkey):
            use = await find_use(store, device)
            used_at = use.used_at if use is not None else None
            row = ShownDevice(
                one.serial_number, device.device_name, one.enable_date, device.host_name, used_at
            )
        elif device is not None:
            used_at = await find_last_code(store, device)
            row = msgspec.structs.replace(row, last_used_at=used_at)
        rows.append(row)
    return rows
