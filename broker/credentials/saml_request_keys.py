"""The keys that sign the portal's SAML authentication requests, and their rotation.

The law: a key signs for a year. The next one is published for a month before it signs, so that identity providers that
read our metadata again, and operators who enter a certificate by hand, have it by then. A key that has a successor is
published no more: a provider verifies a request when it gets it, and never later.
"""

import asyncio
from collections.abc import Callable, Sequence

from broker.sealing.identity import SERIAL_ENTROPY, new_signing_identity
from broker.storage.records import SamlRequestKey, SamlRequestKeys
from broker.storage.store import SAML_REQUEST_KEYS, Store, Transaction

_DAY = 24 * 3600
SIGNS_FOR, PUBLISHED_AHEAD = 365 * _DAY, 30 * _DAY  # seconds
_NAME = "broker SAML authentication requests"


def current_keys(keys: Sequence[SamlRequestKey], now: float) -> tuple[SamlRequestKey, ...]:
    """The key that signs at `now`, and the next one where there is one; the first where a clock was ahead of ours."""
    begun = [number for number, key in enumerate(keys) if key.signs_from <= now]
    return tuple(keys[begun[-1] if begun else 0 :])


def is_due(keys: Sequence[SamlRequestKey], now: float) -> bool:
    """Whether the next key is to be made."""
    return not keys or now >= keys[-1].signs_from + SIGNS_FOR - PUBLISHED_AHEAD


async def request_keys(
    store: Store, now: float, entropy: Callable[[int], bytes]
) -> tuple[SamlRequestKey, ...]:
    """`current_keys` of the store, the one that signs first; a key that is due is made."""

    async def found(transaction: Transaction) -> tuple[SamlRequestKey, ...]:
        record = await transaction.find(SAML_REQUEST_KEYS, "")
        return record.keys if record is not None else ()

    keys = await store.transact(found)
    if is_due(keys, now):
        # Making an RSA key takes a tenth of a second, so a thread does it. Of two that are made at once, one is stored.
        made = await asyncio.to_thread(new_signing_identity, now, entropy(SERIAL_ENTROPY), _NAME)

        async def put_if_due(transaction: Transaction) -> tuple[SamlRequestKey, ...]:
            present = await found(transaction)
            if not is_due(present, now):
                return present
            signs_from = int(now + PUBLISHED_AHEAD) if present else int(now)
            new = SamlRequestKey(
                private_key=made.private_key, certificate=made.certificate, signs_from=signs_from
            )
            kept = (*current_keys(present, now), new) if present else (new,)
            transaction.put(SAML_REQUEST_KEYS, "", SamlRequestKeys(keys=kept))
            return kept

        keys = await store.transact(put_if_due)
    return current_keys(keys, now)
