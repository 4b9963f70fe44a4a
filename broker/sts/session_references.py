"""Which session a token of an account's issuer is of: sealed into the token, where only the broker reads it.

So introspection knows of the token's very session, and of the key that sealed that, whether it was revoked. A reference
is no proof of anything: nothing is given for one.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.identity_stores import store_users_of, why_inactive
from broker.access.revocations import find_revocation
from broker.assertions.checks import Checks
from broker.sealing.envelope import NONCE_ENTROPY, SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.message import open_message, seal_message
from broker.storage.store import REVOCATIONS, Transaction

REFERENCE_CLAIM = "urn:x-aws:session_reference"
REFERENCE_ENTROPY = NONCE_ENTROPY

_PURPOSE = b"session reference"


class _SessionReference(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """Append-only, as all that is sealed. `sealed_by` is the id of the key that sealed the session's token."""

    account: str
    access_key_id: str
    identity_id: str
    issued_at: int
    sealed_by: bytes
    ancestors: tuple[str, ...] = ()
    store_users: tuple[str, ...] = ()


_decoder = msgspec.msgpack.Decoder(_SessionReference)


def session_reference(keyring: Keyring, caller: Caller, entropy: bytes) -> dict[str, str]:
    """The claim, empty for a caller without a session; needs REFERENCE_ENTROPY fresh bytes."""
    claims = caller.claims
    if claims is None:
        return {}
    reference = _SessionReference(
        claims.account,
        claims.access_key_id,
        claims.identity_id,
        claims.issued_at,
        caller.sealed_by,
        claims.ancestors,
        store_users_of(claims),
    )
    packed = msgspec.msgpack.encode(reference)
    return {REFERENCE_CLAIM: seal_message(keyring, _PURPOSE, packed, b"", entropy)}


async def require_session(
    keyring: Keyring, store: Transaction, claims: Mapping[str, Any], now: float, checks: Checks
) -> None:
    """That the session of a token of ours is not revoked, nor the key that sealed it; raises CheckFailed.

    A token without a reference was issued to a long-term key.
    """
    text = claims.get(REFERENCE_CLAIM)
    if text is None:
        return
    try:
        reference = _decoder.decode(open_message(keyring, _PURPOSE, str(text), b"", now))
    except (SealBroken, msgspec.DecodeError):
        raise checks.fail(
            "session reference", found="one that no key opens", wanted="a key that opens it"
        ) from None
    key = keyring.find(reference.sealed_by)
    checks.require(
        "session's key",
        key is not None and key.opens_at(now),
        found=f"key {reference.sealed_by.hex()} is gone",
        wanted="the key that sealed the session",
    )
    revocations = await store.find(REVOCATIONS, reference.account)
    found = find_revocation(
        revocations,
        reference.access_key_id,
        reference.identity_id,
        reference.issued_at,
        reference.ancestors,
    )
    checks.require(
        "session revoked",
        found is None,
        found=f"session {reference.access_key_id} was revoked",
        wanted="a session not revoked",
    )
    inactive = await why_inactive(store, reference.store_users, reference.issued_at)
    checks.require("session's person", not inactive, found=inactive, wanted="a person who is active")
