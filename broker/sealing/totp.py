"""Time-based one-time passwords of virtual MFA devices: RFC 6238 with HMAC-SHA1, six digits, thirty seconds.

A code is accepted once: `matching_step` finds its step, and `credentials.one_time_codes` refuses a step that is not
later than the last used one (RFC 6238, 5.2).
"""

import hmac
from base64 import b32encode
from urllib.parse import quote

STEP_SECONDS = 30
DIGITS = 6
SEED_SIZE = 40  # bytes: 64 characters of base32, as AWS's seeds


def new_seed(entropy: bytes) -> bytes:
    """The secret seed of a device, from SEED_SIZE bytes of entropy."""
    if len(entropy) < SEED_SIZE:
        raise ValueError(f"a seed needs {SEED_SIZE} bytes of entropy")
    return entropy[:SEED_SIZE]


def totp(seed: bytes, step: int) -> str:
    """The six digits of `step`: HOTP of RFC 4226, 5.3, with dynamic truncation."""
    digest = hmac.digest(seed, step.to_bytes(8, "big"), "sha1")
    offset = digest[-1] & 0x0F
    number = int.from_bytes(digest[offset : offset + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}d}"


def matching_step(seed: bytes, unverified_code: str, now: float, window: int = 1) -> int | None:
    """The latest step within `window` steps of `now` whose code this is, or None.

    Tries every step even after a match, so the time it takes reveals nothing.
    """
    code = _bytes(unverified_code)
    current = int(now // STEP_SECONDS)
    found = None
    for step in range(max(current - window, 0), current + window + 1):
        if hmac.compare_digest(totp(seed, step).encode(), code):
            found = step
    return found


def matching_consecutive_step(
    seed: bytes, unverified_first: str, unverified_second: str, now: float, window: int = 1
) -> int | None:
    """The step of the second of two consecutive codes, as EnableMFADevice requires them, or None.

    Enrolment and resynchronisation may use a wider `window` than a sign-in, because two codes prove more than one.
    """
    first, second = _bytes(unverified_first), _bytes(unverified_second)
    current = int(now // STEP_SECONDS)
    found = None
    for step in range(max(current - window, 0), current + window + 1):
        first_matches = hmac.compare_digest(totp(seed, step).encode(), first)
        second_matches = hmac.compare_digest(totp(seed, step + 1).encode(), second)
        if first_matches and second_matches:
            found = step + 1
    return found


def _bytes(unverified_code: str) -> bytes:
    """For a comparison only: a text that is not ASCII matches no code."""
    return unverified_code.encode("ascii", "backslashreplace")


def base32_seed(seed: bytes) -> str:
    """The seed for typing: base32 without padding."""
    return b32encode(seed).decode().rstrip("=")


def enrolment_uri(seed: bytes, device_name: str, account_name: str) -> str:
    """The content of the QR code, in the form that IAM's VirtualMFADevice documents.

    `account_name` is the user's name, or the account number.
    """
    label = f"{quote(device_name, safe='')}@{quote(account_name, safe='')}"
    return f"otpauth://totp/{label}?secret={base32_seed(seed)}"
