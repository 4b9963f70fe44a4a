"""The one-time code in a request, and the caller's MFA device that it belongs to.

Here it is only found: `broker.operation.perform` verifies it and uses it up.
"""

from broker.credentials.one_time_codes import OfferedCode
from broker.errors import access_denied
from broker.names.principal import Root
from broker.operation import Call
from broker.storage.records import VirtualMfaDevice
from broker.storage.store import MFA_DEVICES, SETTINGS


async def find_offered_code(
    call: Call, serial_number: str | None, unverified_code: str | None
) -> OfferedCode | None:
    """None without MFA; raises AccessDenied for a code without a device, or a device of another user."""
    if serial_number is None and unverified_code is None:
        return None
    if serial_number is None or unverified_code is None:
        raise access_denied(
            "MultiFactorAuthentication failed, must provide both MFA serial number and one time pass code."
        )
    device = await _find_own_device(call, serial_number)
    if device is None:
        raise access_denied(
            "MultiFactorAuthentication failed, unable to validate MFA code. Please verify your MFA serial number "
            "is valid and associated with this user."
        )
    return OfferedCode(device, unverified_code)


async def _find_own_device(call: Call, serial_number: str) -> VirtualMfaDevice | None:
    """The caller's device: enabled, and assigned to this user."""
    name = serial_number.partition(":mfa/")[2]
    device = await call.store.find(MFA_DEVICES, call.account, name) if name else None
    if device is None or device.serial_number != serial_number or device.enabled_at is None:
        return None
    return device if serial_number in await _own_serial_numbers(call) else None


async def _own_serial_numbers(call: Call) -> tuple[str, ...]:
    if isinstance(call.caller.principal, Root):
        settings = await call.store.find(SETTINGS, call.account)
        return settings.root_mfa_serial_numbers if settings is not None else ()
    return call.caller.user.mfa_serial_numbers if call.caller.user is not None else ()
