"""Passkeys as second factors: enabled for their owner, and taken at a sign-in as one-time codes are.

Law:
- A challenge is good for one answer, right or wrong: the first answer uses it up, in the transaction that judges it.
- Only passkeys of the very person are looked at: one of another user proves nothing.
- How often an authenticator has signed only grows: one that says less was copied, or its answer is an old one.
"""

from base64 import b32encode
from hashlib import sha256

import msgspec

from broker.assertions.passkeys import (
    Ceremony,
    PasskeyRefused,
    read_presented,
    verify_passkey,
)
from broker.names.arn import iam_arn
from broker.storage.passkey_records import Passkey, PasskeyUse
from broker.storage.records import Once
from broker.storage.store import ONCE, PASSKEY_USES, Transaction

CHALLENGE_SECONDS = 600  # for which a challenge is good
SERIAL_ENTROPY = 16  # bytes
# A counter that expires begins again at the passkey's first: so it is kept for longer than authenticators last.
_COUNTED_SECONDS = 20 * 366 * 24 * 3600


class PasskeyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What EnableMFADevice is asked for where the device is a passkey; only the portal asks it.

    The first four members are those of the operation's own request, so that its record is written from them.
    """

    user_name: str
    serial_number: str
    authentication_code1: None = None
    authentication_code2: None = None
    device_name: str
    ceremony: Ceremony
    unverified_answer: str

    def __repr__(self) -> str:
        return f"PasskeyRequest({self.serial_number})"


def new_serial_number(account_id: str, user_name: str | None, device_name: str, entropy: bytes) -> str:
    """As AWS has it: `u2f/user/alice/yubikey-7XNL7NFNLZ…`, for root (`user_name` None) `u2f/root/yubikey-…`."""
    owner = "root" if user_name is None else f"user/{user_name}"
    number = b32encode(entropy).decode().rstrip("=")
    return iam_arn(account_id, f"u2f/{owner}/{device_name}-{number}")


def user_handle(subject: str) -> bytes:
    """What authenticators know the person by; who finds one learns nothing of whose it is."""
    return sha256(f"passkey {subject}".encode()).digest()


async def use_challenge(store: Transaction, account: str, ceremony: Ceremony, now: float) -> None:
    """Use it up, also where the call is refused; raises PasskeyRefused where it was used before."""
    key = f"passkey-challenge/{sha256(ceremony.challenge).hexdigest()}"
    if await store.find(ONCE, account, key) is not None:
        raise PasskeyRefused("its challenge was answered before")
    store.put(ONCE, account, Once(used_at=int(now)), key=key, expires_at=now + 2 * CHALLENGE_SECONDS)
    store.make_unconditional()


async def take_passkey(
    store: Transaction,
    account: str,
    passkeys: list[Passkey],
    handle: bytes,
    ceremony: Ceremony,
    unverified_answer: str,
    now: float,
) -> Passkey | PasskeyRefused:
    """Which of the person's `passkeys` has answered the challenge; its use is noted. Or why none has."""
    try:
        await use_challenge(store, account, ceremony, now)
        presented = read_presented(unverified_answer)
        passkey = next((one for one in passkeys if one.credential_id == presented.credential_id), None)
        if passkey is None:
            raise PasskeyRefused("it is none of the person's passkeys")
        used = await find_use(store, passkey)
        known = used.sign_count if used is not None else passkey.sign_count
        count = verify_passkey(presented, ceremony, passkey.public_key, known, handle)
    except PasskeyRefused as refused:
        return refused
    use = PasskeyUse(used_at=int(now), sign_count=count)
    store.put(PASSKEY_USES, account, use, key=passkey.serial_number, expires_at=now + _COUNTED_SECONDS)
    return passkey


async def find_use(store: Transaction, passkey: Passkey) -> PasskeyUse | None:
    return await store.find(PASSKEY_USES, passkey.account_id, passkey.serial_number)
