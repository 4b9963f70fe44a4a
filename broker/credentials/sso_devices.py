"""The device grant (RFC 8628): a client shows a code, a person enters it in the portal, the client polls meanwhile.

A user code has eight consonants, so that it spells nothing and no two of its characters look alike: 34 bits, which live
for ten minutes; attempts of a person are counted (`broker.credentials.failed_attempts`).
"""

from hashlib import sha256
from secrets import compare_digest

from msgspec.structs import replace

from broker.credentials.sso_sessions import (
    Entropy,
    Tokens,
    begin_session,
    hash_of,
    invalid_grant,
    is_hexadecimal,
    open_promises,
    promise_session,
    take_promised,
)
from broker.errors import Refusal
from broker.storage.sso_records import Approval, DeviceAuthorization
from broker.storage.store import SSO_DEVICES, Transaction

DEVICE_SECONDS = 600
INTERVAL = 5
ALPHABET = "BCDFGHJKLMNPQRSTVWXZ"  # RFC 8628, 6.1
_LENGTH = 8
_ID_SIZE, _SECRET_SIZE = 32, 64  # characters, hexadecimal


def new_user_code(entropy: Entropy) -> str:
    """`WDJB-MJHT`, all equally likely: a byte that would favour some letters is thrown away."""
    letters = ""
    most = 256 - 256 % len(ALPHABET)
    while len(letters) < _LENGTH:
        letters += "".join(ALPHABET[byte % len(ALPHABET)] for byte in entropy(_LENGTH) if byte < most)
    return f"{letters[:4]}-{letters[4:_LENGTH]}"


async def start_device(
    store: Transaction,
    client_hash: str,
    client_name: str,
    entropy: Entropy,
    now: float,
    *,
    is_refreshable: bool,
) -> tuple[str, str]:
    """Device code and user code; raises SlowDownException where the code that was drawn is in use."""
    user_code, secret = new_user_code(entropy), entropy(32).hex()
    key = _key(user_code)
    if await store.find(SSO_DEVICES, key[:2], key) is not None:
        raise Refusal("SlowDownException", "Try again.", reason="the user code that was drawn is in use")
    device = DeviceAuthorization(
        device_code_hash=hash_of(secret),
        client_hash=client_hash,
        client_name=client_name,
        is_refreshable=is_refreshable,
        expires_at=int(now) + DEVICE_SECONDS,
        interval=INTERVAL,
    )
    _put(store, key, device)
    return key + secret, user_code


async def find_waiting(
    store: Transaction, unverified_user_code: str, now: float
) -> DeviceAuthorization | None:
    """The client that waits for this user code, however it is spelled; None where none does any more."""
    key = _key(unverified_user_code)
    device = await store.find(SSO_DEVICES, key[:2], key)
    if device is None or now >= device.expires_at or device.is_denied or device.approval is not None:
        return None
    return device


async def answer_waiting(
    store: Transaction, unverified_user_code: str, approval: Approval | None, now: float
) -> DeviceAuthorization | None:
    """The person has decided: None denies. Answers None where no client waits for this code any more.

    The transaction must not have read the device's partition before, but for a denial.
    """
    if approval is not None:
        # The device is in another partition, and what is opened first is committed first. An approval without its
        # promise would refuse the client for good; a promise without its approval means nothing, and expires.
        await open_promises(store, approval)
    device = await find_waiting(store, unverified_user_code, now)
    if device is not None:
        if approval is not None:
            promise_session(store, approval, device.client_hash, device.client_name, device.expires_at)
        answered = replace(device, approval=approval, is_denied=approval is None)
        _put(store, _key(unverified_user_code), answered)
    return device


async def find_device(store: Transaction, unverified_code: str) -> DeviceAuthorization | None:
    key, secret = unverified_code[:_ID_SIZE], unverified_code[_ID_SIZE:]
    if len(secret) != _SECRET_SIZE or not is_hexadecimal(unverified_code):
        return None
    device = await store.find(SSO_DEVICES, key[:2], key)
    if device is None or not compare_digest(device.device_code_hash, hash_of(secret)):
        return None
    return device


async def poll(
    store: Transaction, unverified_code: str, client_hash: str, entropy: Entropy, now: float
) -> Tokens:
    """Tokens, once the person has allowed it; raises a Refusal that says how the client goes on (RFC 8628, 3.5)."""
    device = await find_device(store, unverified_code)
    if device is None:
        raise invalid_grant("the device code is none that was given out, or was used")
    if device.client_hash != client_hash:
        raise invalid_grant("the device code is of another client")
    if now >= device.expires_at:
        raise Refusal("ExpiredTokenException", "The device code has expired.")
    key = unverified_code[:_ID_SIZE]
    if device.is_denied:
        raise Refusal("AccessDeniedException", "The person has denied the request.")
    if device.approval is not None:
        await take_promised(store, device.approval)
        store.delete(SSO_DEVICES, key[:2], key)
        return begin_session(
            store,
            device.approval,
            client_hash,
            device.client_name,
            entropy,
            now,
            is_refreshable=device.is_refreshable,
        )
    is_too_fast = now < device.polled_at + device.interval
    slower = device.interval + INTERVAL if is_too_fast else device.interval
    _put(store, key, replace(device, polled_at=int(now), interval=slower))
    store.make_unconditional()
    if is_too_fast:
        raise Refusal("SlowDownException", "The device code is asked for too often.")
    raise Refusal("AuthorizationPendingException", "The person has not decided yet.")


def _put(store: Transaction, key: str, device: DeviceAuthorization) -> None:
    store.put(SSO_DEVICES, key[:2], device, key=key, expires_at=device.expires_at)


def _key(unverified_user_code: str) -> str:
    letters = "".join(filter(str.isalnum, unverified_user_code.upper()))
    return sha256(letters.encode("utf-8", "surrogatepass")).hexdigest()[:_ID_SIZE]
