"""One-time codes of virtual MFA devices: verified by the device's own clock, good once (RFC 6238, 5.2).

The step of the last code that was taken is written to the replay partition in the transaction of the call that took
it, and every further code must be of a later step: two requests with one code cannot both succeed, on any node, and
what was shown before that code is worth nothing. Nor can a code be guessed: after FAILURE_LIMIT wrong ones the device
opens nothing until the window of time is over ("throttling at the server", RFC 4226, 7.3).
"""

from base64 import b32decode

import msgspec

from broker.errors import access_denied
from broker.sealing.totp import STEP_SECONDS, matching_consecutive_step, matching_step
from broker.storage.records import Once, VirtualMfaDevice
from broker.storage.store import ONCE, Transaction

# What a resynchronisation proves may set the device's clock back by many steps, so that old codes match once more; and
# a server's own clock may be set back. A year is longer than either, and each device has but one such record.
_REMEMBERED_SECONDS = 366 * 24 * 3600

# A difference of this many steps is the time it takes to type, and within what a single code may be off.
_TYPING_STEPS = 1

# Of a million codes three are good at a time, so ten guesses an hour find one in four years, on average.
FAILURE_LIMIT = 10
FAILURE_WINDOW = 3600  # seconds


class OfferedCode(msgspec.Struct, frozen=True):
    """A one-time code that a request offers, and the device that it says to be of; neither proven nor used yet."""

    device: VirtualMfaDevice
    unverified_code: str

    def __repr__(self) -> str:
        return f"OfferedCode({self.device.serial_number}, ***)"


async def require_code(store: Transaction, offered: OfferedCode, now: float) -> None:
    """Use the code up; raises AccessDenied for a wrong one, and for one that was used before."""
    if not await take_code(store, offered.device, offered.unverified_code, now):
        raise access_denied(
            "MultiFactorAuthentication failed with invalid MFA one time pass code.",
            reason="the code matches no step, was used before, or came after too many wrong ones",
        )


async def take_code(store: Transaction, device: VirtualMfaDevice, unverified_code: str, now: float) -> bool:
    """Whether this is a code of `device` at `now` that nobody has used; from here on it is used.

    So it stays, and a wrong one stays counted, where the call is refused in the end.
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

    From here on both codes are used, and all before them. `window` is how far off the clock may be, in steps.
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
    store.put(ONCE, device.account_id, once, key=key, expires_at=now + _REMEMBERED_SECONDS)
    return True


async def _has_failed_too_often(store: Transaction, device: VirtualMfaDevice, now: float) -> bool:
    last = _failure_key(device, FAILURE_LIMIT - 1, now)
    return await store.find(ONCE, device.account_id, last) is not None


async def _count_failure(store: Transaction, device: VirtualMfaDevice, now: float) -> None:
    """Take the first free place of this window: two failures at once cannot take the same."""
    for place in range(FAILURE_LIMIT):
        key = _failure_key(device, place, now)
        if await store.find(ONCE, device.account_id, key) is None:
            expires_at = now + 2 * FAILURE_WINDOW
            store.put(ONCE, device.account_id, Once(used_at=int(now)), key=key, expires_at=expires_at)
            return


def forget_codes(store: Transaction, device: VirtualMfaDevice) -> None:
    """For a device that is deleted, and its seed with it: one made under the same name shows codes of its own."""
    store.delete(ONCE, device.account_id, _used_key(device))


def _used_key(device: VirtualMfaDevice) -> str:
    return f"totp/{device.serial_number}"


def _failure_key(device: VirtualMfaDevice, place: int, now: float) -> str:
    return f"totp-failed/{device.serial_number}/{int(now // FAILURE_WINDOW)}/{place}"


def _seed(device: VirtualMfaDevice) -> bytes:
    return b32decode(device.seed.reveal())
