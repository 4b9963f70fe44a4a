"""One-time codes of virtual MFA devices: verified by the device's own clock, accepted once (RFC 6238, 5.2).

The step of the last accepted code is written to the replay partition, in the transaction of the call, and the next code
must be of a later step: two requests with one code cannot both succeed, on any node, and earlier codes are invalid.
Codes cannot be guessed: after FAILURE_LIMIT wrong ones no code of the device is accepted until the time window ends
("throttling at the server", RFC 4226, 7.3).
"""

from base64 import b32decode

import msgspec

from broker.errors import access_denied
from broker.sealing.totp import STEP_SECONDS, matching_consecutive_step, matching_step
from broker.storage.records import Once, VirtualMfaDevice
from broker.storage.store import ONCE, Transaction

# A resynchronisation may set the device's clock back by many steps, and a server's own clock may be set back: then old
# codes match again. A year is longer than either, and each device has only one such record.
_STORED_SECONDS = 366 * 24 * 3600

# A drift of this many steps is ignored: typing takes that long, and a single code may be off by as much.
_TYPING_STEPS = 1

# Of a million codes three are valid at a time, so ten guesses an hour succeed in four years, on average.
FAILURE_LIMIT = 10
FAILURE_WINDOW = 3600  # seconds


class OfferedCode(msgspec.Struct, frozen=True):
    """A one-time code in a request, and the device that the request names; not verified and not used up yet."""

    device: VirtualMfaDevice
    unverified_code: str

    def __repr__(self) -> str:
        return f"OfferedCode({self.device.serial_number}, ***)"


async def require_code(store: Transaction, offered: OfferedCode, now: float) -> None:
    """Verify the code and use it up; raises AccessDenied for a wrong one, and for one that was used before."""
    if not await take_code(store, offered.device, offered.unverified_code, now):
        raise access_denied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
            reason="the code matches no step, was used before, or came after too many wrong ones",
        )


async def take_code(store: Transaction, device: VirtualMfaDevice, unverified_code: str, now: float) -> bool:
    """Whether this is an unused code of `device` at `now`; it is used up, and a wrong one is counted.

    Both are committed even where the call is refused later.
    """
    if await _has_failed_too_often(store, device, now):
        return False
    device_now = now + device.drift_steps * STEP_SECONDS
    step = matching_step(_seed(device), unverified_code, device_now)
    is_good = step is not None and await _take_steps(store, device, step, step, now)
    if not is_good:
        await _count_failure(store, device, now)
    store.make_unconditional()
    return is_good


async def take_consecutive_codes(
    store: Transaction,
    device: VirtualMfaDevice,
    unverified_codes: tuple[str, str],
    now: float,
    window: int,
) -> int | None:
    """How far ahead of ours the device's clock is, in steps, as two unused codes in a row prove; None if they do not.

    Both codes are used up, and all before them. `window` is how far off the clock may be, in steps.
    """
    step = matching_consecutive_step(_seed(device), *unverified_codes, now, window)
    if step is None or not await _take_steps(store, device, step - 1, step, now):
        return None
    drift = step - int(now // STEP_SECONDS)
    return drift if abs(drift) > _TYPING_STEPS else 0


async def _take_steps(
    store: Transaction, device: VirtualMfaDevice, first: int, last: int, now: float
) -> bool:
    key = _used_key(device)
    used = await store.find(ONCE, device.account_id, key)
    if used is not None and first <= used.step:
        return False
    once = Once(used_at=int(now), step=last)
    store.put(ONCE, device.account_id, once, key=key, expires_at=now + _STORED_SECONDS)
    return True


async def _has_failed_too_often(store: Transaction, device: VirtualMfaDevice, now: float) -> bool:
    last = _failure_key(device, FAILURE_LIMIT - 1, now)
    return await store.find(ONCE, device.account_id, last) is not None


async def _count_failure(store: Transaction, device: VirtualMfaDevice, now: float) -> None:
    """Write a record under the first unused number of this window: concurrent failures conflict, so each counts."""
    for number in range(FAILURE_LIMIT):
        key = _failure_key(device, number, now)
        if await store.find(ONCE, device.account_id, key) is None:
            expires_at = now + 2 * FAILURE_WINDOW
            store.put(ONCE, device.account_id, Once(used_at=int(now)), key=key, expires_at=expires_at)
            return


async def find_last_code(store: Transaction, device: VirtualMfaDevice) -> int | None:
    """When a code of the device was last accepted, in epoch seconds; None where none is known to be."""
    used = await store.find(ONCE, device.account_id, _used_key(device))
    return used.used_at if used is not None else None


def delete_used_step(store: Transaction, device: VirtualMfaDevice) -> None:
    """For a device that is deleted: a new one with the same name has another seed, and so other codes."""
    store.delete(ONCE, device.account_id, _used_key(device))


def _used_key(device: VirtualMfaDevice) -> str:
    return f"totp/{device.serial_number}"


def _failure_key(device: VirtualMfaDevice, number: int, now: float) -> str:
    return f"totp-failed/{device.serial_number}/{int(now // FAILURE_WINDOW)}/{number}"


def _seed(device: VirtualMfaDevice) -> bytes:
    return b32decode(device.seed.reveal())
