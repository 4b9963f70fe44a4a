"""MFA devices: virtual ones, created with a seed, enabled for a user by two consecutive codes, deleted; and passkeys.

What enables a passkey is in `passkeys.py`; it is listed, shown and deactivated like the others, and then gone.

The seed is shown once, by CreateVirtualMFADevice. Root's devices are enabled by root itself: `UserName` is then the
account id. (On AWS only the console can do this.) Codes: `broker.credentials.one_time_codes`.
"""

from typing import Any

import msgspec

from broker.credentials.one_time_codes import delete_used_step, take_consecutive_codes
from broker.errors import Refusal, validation_error
from broker.iam import entities, resources
from broker.iam.answers import user_shape
from broker.iam.entities import get_user, require_room, require_room_in_account
from broker.iam.owners import (
    Owner,
    get_settings,
    mfa_serial_numbers,
    name_of,
    put_mfa_serial_numbers,
    root_shape,
)
from broker.iam.tags import new_tags, tag_shapes
from broker.names.arn import iam_arn
from broker.names.principal import Root
from broker.names.secret import SecretKey
from broker.operation import Absent, Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.sealing.qr import qr_png
from broker.sealing.totp import SEED_SIZE, base32_seed, enrolment_uri, new_seed
from broker.storage.passkey_records import Passkey, passkey_key
from broker.storage.records import VirtualMfaDevice
from broker.storage.store import MFA_DEVICES, PASSKEY_USES, PASSKEYS

# The model's limit of a serial number: a device with a longer one could be created, but never named in a request.
_LONGEST_SERIAL_NUMBER = 256

# How far, in steps, a device's clock may be from the broker's when it is enabled with two consecutive codes.
_ENROLMENT_WINDOW = 2
_RESYNC_WINDOW = 20


async def found_user_or_root(call: Call, request: Any) -> Prepared[Owner] | Absent:
    """The user that the request names; root, where root itself names its account number."""
    named = await resources.found_user(call, request)
    if isinstance(call.caller.principal, Root) and request.user_name == call.account:
        return Prepared(named.resource, await get_settings(call))
    return named


@operation("iam:CreateVirtualMFADevice", prepare=resources.new_mfa_device)
async def create_virtual_mfa_device(
    call: Call, request: shapes.CreateVirtualMFADeviceRequest, prepared: Prepared[None]
) -> shapes.CreateVirtualMFADeviceResponse:
    path, name = request.path or "/", request.virtual_mfa_device_name
    serial_number = iam_arn(call.account, f"mfa{path}{name}")
    if len(serial_number) > _LONGEST_SERIAL_NUMBER:
        raise validation_error("The path and name of the device are too long for a serial number.")
    if await call.store.find(MFA_DEVICES, call.account, f"{path}{name}"[1:]):
        raise Refusal("EntityAlreadyExists", "MFA device already exists.")
    await require_room_in_account(call, MFA_DEVICES, "virtual_mfa_devices", "VirtualMFADevicesPerAccount")
    seed = new_seed(call.entropy(SEED_SIZE))
    device = VirtualMfaDevice(
        account_id=call.account,
        serial_number=serial_number,
        device_name=name,
        path=path,
        seed=SecretKey(base32_seed(seed)),
        created_at=int(call.now),
        tags=await new_tags(call, "iam:TagMFADevice", prepared.resource, request),
    )
    call.store.put(MFA_DEVICES, call.account, device)
    shown = shapes.VirtualMFADevice(
        serial_number=serial_number,
        base32_string_seed=device.seed.reveal().encode(),
        qr_code_png=qr_png(enrolment_uri(seed, name, call.account)),
        tags=tag_shapes(device.tags),
    )
    return shapes.CreateVirtualMFADeviceResponse(virtual_mfa_device=shown)


@operation("iam:EnableMFADevice", prepare=found_user_or_root)
async def enable_mfa_device(
    call: Call, request: shapes.EnableMFADeviceRequest, prepared: Prepared[Owner]
) -> None:
    owner = prepared.found
    device = await entities.get_mfa_device(call, request.serial_number)
    if device.enabled_at is not None:
        raise Refusal("EntityAlreadyExists", "MFA Device is already in use.")
    require_room(call, mfa_serial_numbers(owner), "mfa_devices_per_user", "MFADevicesPerUser")
    enabled = msgspec.structs.replace(
        device,
        user_name=name_of(owner),
        enabled_at=int(call.now),
        drift_steps=await _proven_drift(call, device, request, _ENROLMENT_WINDOW),
    )
    call.store.put(MFA_DEVICES, call.account, enabled)
    put_mfa_serial_numbers(call, owner, (*mfa_serial_numbers(owner), device.serial_number))


@operation("iam:ResyncMFADevice", prepare=found_user_or_root)
async def resync_mfa_device(
    call: Call, request: shapes.ResyncMFADeviceRequest, prepared: Prepared[Owner]
) -> None:
    owner = prepared.found
    device = await entities.get_mfa_device(call, request.serial_number)
    _require_enabled(owner, device.serial_number)
    drift = await _proven_drift(call, device, request, _RESYNC_WINDOW)
    call.store.put(MFA_DEVICES, call.account, msgspec.structs.replace(device, drift_steps=drift))


@operation("iam:DeactivateMFADevice", prepare=resources.found_owner)
async def deactivate_mfa_device(
    call: Call, request: shapes.DeactivateMFADeviceRequest, prepared: Prepared[Owner]
) -> None:
    owner = prepared.found
    device = await _get_enabled(call, owner, request.serial_number)
    if isinstance(device, Passkey):
        call.store.delete(PASSKEYS, call.account, passkey_key(device.serial_number))
        call.store.delete(PASSKEY_USES, call.account, device.serial_number)
    else:
        released = msgspec.structs.replace(device, user_name=None, enabled_at=None, drift_steps=0)
        call.store.put(MFA_DEVICES, call.account, released)
    rest = tuple(number for number in mfa_serial_numbers(owner) if number != device.serial_number)
    put_mfa_serial_numbers(call, owner, rest)


@operation("iam:DeleteVirtualMFADevice", prepare=resources.found_mfa_device)
async def delete_virtual_mfa_device(
    call: Call, request: shapes.DeleteVirtualMFADeviceRequest, prepared: Prepared[VirtualMfaDevice]
) -> None:
    device = prepared.found
    if device.enabled_at is not None:
        raise Refusal("DeleteConflict", "MFA VirtualDevice in use. Must deactivate first.")
    call.store.delete(MFA_DEVICES, call.account, _key(device))
    delete_used_step(call.store, device)


@operation("iam:GetMFADevice", prepare=resources.found_owner)
async def get_mfa_device(
    call: Call, request: shapes.GetMFADeviceRequest, prepared: Prepared[Owner]
) -> shapes.GetMFADeviceResponse:
    owner = prepared.found
    device = await _get_enabled(call, owner, request.serial_number)
    return shapes.GetMFADeviceResponse(
        user_name=device.user_name, serial_number=device.serial_number, enable_date=device.enabled_at
    )


@operation("iam:ListMFADevices", prepare=resources.found_owner)
async def list_mfa_devices(
    call: Call, request: shapes.ListMFADevicesRequest, prepared: Prepared[Owner]
) -> shapes.ListMFADevicesResponse:
    owner = prepared.found
    chosen = page(mfa_serial_numbers(owner), str, request.marker, request.max_items)
    devices = [await _get_enabled(call, owner, number) for number in chosen.items]
    return shapes.ListMFADevicesResponse(
        mfa_devices=tuple(_listed(device) for device in devices),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:ListVirtualMFADevices", prepare=resources.listed("mfa"))
async def list_virtual_mfa_devices(
    call: Call, request: shapes.ListVirtualMFADevicesRequest, prepared: Prepared[None]
) -> shapes.ListVirtualMFADevicesResponse:
    wanted = _ASSIGNMENTS[request.assignment_status or "Any"]
    devices = await call.store.scan(MFA_DEVICES, call.account)
    fitting = [device for device in devices if (device.enabled_at is not None) in wanted]
    chosen = page(fitting, _key, request.marker, request.max_items)
    return shapes.ListVirtualMFADevicesResponse(
        virtual_mfa_devices=tuple([await _virtual(call, device) for device in chosen.items]),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


_ASSIGNMENTS = {"Any": (True, False), "Assigned": (True,), "Unassigned": (False,)}


async def _get_enabled(call: Call, owner: Owner, serial_number: str) -> VirtualMfaDevice | Passkey:
    """The device, if it is enabled for `owner`; raises NoSuchEntity."""
    passkey = await entities.find_passkey(call, serial_number)
    device = passkey or await entities.get_mfa_device(call, serial_number)
    _require_enabled(owner, device.serial_number)
    return device


def _require_enabled(owner: Owner, serial_number: str) -> None:
    if serial_number not in mfa_serial_numbers(owner):
        raise Refusal("NoSuchEntity", "MFA Device invalid for user.")


async def _proven_drift(
    call: Call,
    device: VirtualMfaDevice,
    request: shapes.EnableMFADeviceRequest | shapes.ResyncMFADeviceRequest,
    window: int,
) -> int:
    """How far the device's clock is ahead of the broker's, in steps, by two consecutive codes; else raises."""
    codes = (request.authentication_code1, request.authentication_code2)
    drift = await take_consecutive_codes(call.store, device, codes, call.now, window)
    if drift is None:
        raise Refusal("InvalidAuthenticationCode", "Authentication code for device is not valid.")
    return drift


def _key(device: VirtualMfaDevice) -> str:
    """The device's key in the store: path and name, without case."""
    return f"{device.path}{device.device_name}"[1:].lower()


def _listed(device: VirtualMfaDevice | Passkey) -> shapes.MFADevice:
    return shapes.MFADevice(
        user_name=device.user_name,
        serial_number=device.serial_number,
        enable_date=device.enabled_at or 0,
    )


async def _virtual(call: Call, device: VirtualMfaDevice) -> shapes.VirtualMFADevice:
    """A device as the list shows it: never the seed, no tags."""
    user = None
    if device.enabled_at is not None:
        is_root = device.user_name is None
        user = await root_shape(call) if is_root else user_shape(await get_user(call, str(device.user_name)))
    return shapes.VirtualMFADevice(
        serial_number=device.serial_number, enable_date=device.enabled_at, user=user
    )
