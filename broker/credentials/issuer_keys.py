"""The keys of an account's issuer, and their rotation.

The law:

1. A key signs from the time in its record on. Of the keys of an algorithm whose time has come, the latest signs.
   Nothing has to be written at that time, so all workers and nodes that read the record agree. Where their clocks
   differ, both keys have long been published.
2. A key is published from its creation until the last token that it signed has expired.
3. Each account has keys of its own: a verifier that checks the signature alone accepts no token of another account.

A new key is made when the previous one is old enough, by the first worker that notices. The times of keys are by the
store's clock: a node whose own clock is wrong makes none.
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
    """The key that signs at `now`; else the first one: it was made just now, by a clock ahead of ours."""
    known = sorted((key for key in keys if key.algorithm == algorithm), key=_signs_from)
    return [known[0], *(key for key in known if key.signs_from <= now)][-1]


def published_keys(keys: Sequence[TokenKey], now: float, schedule: RotationSchedule) -> tuple[TokenKey, ...]:
    """`keys` without those whose last token has expired."""
    return tuple(key for key in keys if now < _superseded_at(key, keys) + schedule.open_for)


def due_algorithms(keys: Sequence[TokenKey], now: float, schedule: RotationSchedule) -> tuple[str, ...]:
    """The algorithms whose next key is due: it has to be published for `staged_for` before it signs."""
    latest = {key.algorithm: key.signs_from for key in sorted(keys, key=_signs_from)}
    return tuple(
        algorithm
        for algorithm in SIGNING_ALGORITHMS
        if now >= latest.get(algorithm, 0) + schedule.rotate_every - schedule.staged_for
    )


def with_new_keys(
    issuer: TokenIssuer, made: Sequence[TokenKey], now: float, schedule: RotationSchedule
) -> TokenIssuer:
    """The issuer with the new keys that are still due, and without those that are no longer published."""
    due = due_algorithms(issuer.keys, now, schedule)
    added = [key for key in made if key.algorithm in due]
    return replace(issuer, keys=(*published_keys(issuer.keys, now, schedule), *added))


async def new_token_keys(
    algorithms: Sequence[str], now: float, signs_from: float, entropy: Callable[[int], bytes]
) -> tuple[TokenKey, ...]:
    """A key for each of the algorithms, made in threads: an RSA key takes a tenth of a second."""
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
    """The token with `payload` (claims in JSON), signed with the issuer's current key."""
    key = signing_key(issuer.keys, algorithm, now)
    return sign_token(payload, algorithm, key.key_id, key.private_key, header_type)


def verification_keys(
    issuer: TokenIssuer, now: float, schedule: RotationSchedule
) -> tuple[VerificationKey, ...]:
    """The keys that verify the issuer's tokens, parsed from its JWK set as other verifiers do."""
    keys = ",".join(key.public_key for key in published_keys(issuer.keys, now, schedule))
    return parse_key_set(f'{{"keys":[{keys}]}}'.encode())


async def rotate_issuers(
    store: Store,
    schedule: RotationSchedule,
    now: float,
    entropy: Callable[[int], bytes],
) -> None:
    """Make the keys that are due at `now` (the store's clock) in every account whose issuer is enabled."""
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
        """Where several workers make keys at the same time, the first one's are stored."""
        present = await transaction.find(TOKEN_ISSUERS, account)
        if present is not None and due_algorithms(present.keys, now, schedule):
            transaction.put(TOKEN_ISSUERS, account, with_new_keys(present, made, now, schedule))

    await store.transact(add)


def _signs_from(key: TokenKey) -> int:
    return key.signs_from


def _superseded_at(key: TokenKey, keys: Sequence[TokenKey]) -> float:
    """When the next key of its algorithm begins to sign; infinity where there is none."""
    later = [
        other.signs_from
        for other in keys
        if other.algorithm == key.algorithm and other.signs_from > key.signs_from
    ]
    return min(later, default=float("inf"))
