"""The keys of an account's issuer, and their life.

The law:

1. A key signs from a moment on that stands in its record. Of the keys of an algorithm whose moment has come, the
   latest signs. Nothing has to happen at that moment, so all workers and nodes that read the record agree; where
   their clocks differ, both keys have long been published.
2. A key is published from when it is made, and until the last token that it signed has expired.
3. Each account has keys of its own: a verifier that looks at the signature alone takes no other account's token.

A new key is made when the one before is old enough, by whichever worker sees it first. Keys are dated by the store's
clock: a node whose own is wrong makes none.
"""

import asyncio
from collections.abc import Callable, Sequence

from msgspec.structs import replace

from broker.assertions.key_sets import VerificationKey, parse_key_set
from broker.assertions.token_signing import SIGNING_ALGORITHMS, new_key_pair, sign_token
from broker.sealing.keyring import RotationSchedule
from broker.storage.records import TokenIssuer, TokenKey
from broker.storage.store import ISSUER_ACCOUNTS, TOKEN_ISSUERS, Store, Transaction

_KEY_ID_ENTROPY = 8  # bytes


def signing_key(keys: Sequence[TokenKey], algorithm: str, now: float) -> TokenKey:
    """The key that signs at `now`; where a clock ahead of ours has made the first one just now, that one."""
    known = sorted((key for key in keys if key.algorithm == algorithm), key=_begins)
    return [known[0], *(key for key in known if key.signs_from <= now)][-1]


def published_keys(keys: Sequence[TokenKey], now: float, schedule: RotationSchedule) -> tuple[TokenKey, ...]:
    """Without the keys whose last token has expired."""
    return tuple(key for key in keys if now < _superseded_at(key, keys) + schedule.open_for)


def due_algorithms(keys: Sequence[TokenKey], now: float, schedule: RotationSchedule) -> tuple[str, ...]:
    """The algorithms whose next key is to be made, so that it is published for `staged_for` before it signs."""
    latest = {key.algorithm: key.signs_from for key in sorted(keys, key=_begins)}
    return tuple(
        algorithm
        for algorithm in SIGNING_ALGORITHMS
        if now >= latest.get(algorithm, 0) + schedule.rotate_every - schedule.staged_for
    )


def with_new_keys(
    issuer: TokenIssuer, made: Sequence[TokenKey], now: float, schedule: RotationSchedule
) -> TokenIssuer:
    """The issuer with those of the new keys that are still due, and without what is not published any more."""
    due = due_algorithms(issuer.keys, now, schedule)
    added = [key for key in made if key.algorithm in due]
    return replace(issuer, keys=(*published_keys(issuer.keys, now, schedule), *added))


async def new_token_keys(
    algorithms: Sequence[str], now: float, signs_from: float, entropy: Callable[[int], bytes]
) -> tuple[TokenKey, ...]:
    """A key for each of the algorithms. Not on the event loop: an RSA key takes a tenth of a second."""
    return tuple(
        [await asyncio.to_thread(_new_token_key, one, now, signs_from, entropy) for one in algorithms]
    )


def _new_token_key(
    algorithm: str, now: float, signs_from: float, entropy: Callable[[int], bytes]
) -> TokenKey:
    key_id = f"{algorithm}_{entropy(_KEY_ID_ENTROPY).hex()}"
    pair = new_key_pair(algorithm, key_id)
    return TokenKey(
        key_id=key_id,
        algorithm=algorithm,
        private_key=pair.private_key,
        public_key=pair.public_key,
        created_at=int(now),
        signs_from=int(signs_from),
    )


def signed_token(
    issuer: TokenIssuer, algorithm: str, payload: bytes, now: float, header_type: str = "JWT"
) -> str:
    """The token that says `payload` (claims in JSON), signed with the issuer's key of the moment."""
    key = signing_key(issuer.keys, algorithm, now)
    return sign_token(payload, algorithm, key.key_id, key.private_key, header_type)


def verification_keys(
    issuer: TokenIssuer, now: float, schedule: RotationSchedule
) -> tuple[VerificationKey, ...]:
    """The keys that verify the issuer's tokens, as others read them from its JWK set."""
    keys = ",".join(key.public_key for key in published_keys(issuer.keys, now, schedule))
    return parse_key_set(f'{{"keys":[{keys}]}}'.encode())


async def rotate_issuers(
    store: Store,
    schedule: RotationSchedule,
    now: float,
    entropy: Callable[[int], bytes],
) -> None:
    """Make the keys that are due at `now` by the store's clock, of every account whose issuer is on."""
    for issuer in await store.transaction().scan(ISSUER_ACCOUNTS, ""):
        await _rotate(store, issuer.account_id, schedule, now, entropy)


async def _rotate(
    store: Store, account: str, schedule: RotationSchedule, now: float, entropy: Callable[[int], bytes]
) -> None:
    issuer = await store.transaction().find(TOKEN_ISSUERS, account)
    if issuer is None or not issuer.is_enabled:
        return
    due = due_algorithms(issuer.keys, now, schedule)
    if not due:
        return
    made = await new_token_keys(due, now, now + schedule.staged_for, entropy)

    async def add(transaction: Transaction) -> None:
        """Of the keys that several workers make at once, those of the first stay."""
        present = await transaction.find(TOKEN_ISSUERS, account)
        if present is not None and due_algorithms(present.keys, now, schedule):
            transaction.put(TOKEN_ISSUERS, account, with_new_keys(present, made, now, schedule))

    await store.transact(add)


def _begins(key: TokenKey) -> int:
    return key.signs_from


def _superseded_at(key: TokenKey, keys: Sequence[TokenKey]) -> float:
    """When the next key of its algorithm begins to sign; never where there is none."""
    later = [
        other.signs_from
        for other in keys
        if other.algorithm == key.algorithm and other.signs_from > key.signs_from
    ]
    return min(later, default=float("inf"))
