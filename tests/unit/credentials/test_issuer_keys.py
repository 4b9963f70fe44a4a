"""The rotation of an issuer's keys, by a clock that the test sets."""

import secrets
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from broker.credentials.issuer_keys import (
    due_algorithms,
    new_token_keys,
    published_keys,
    rotate_issuers,
    signed_token,
    signing_key,
    with_new_keys,
)
from broker.names.secret import SecretKey
from broker.sealing.keyring import HOUR, RotationSchedule
from broker.storage.records import IssuerAccount, TokenIssuer, TokenKey
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ISSUER_ACCOUNTS, TOKEN_ISSUERS, Store, Transaction

NOW = 1_800_000_000
DAY = int(24 * HOUR)
ACCOUNT = "111122223333"
SCHEDULE = RotationSchedule(rotate_every=30 * DAY, staged_for=DAY, open_for=2 * HOUR)


def key(key_id: str, signs_from: int, algorithm: str = "ES384") -> TokenKey:
    return TokenKey(
        key_id=key_id,
        algorithm=algorithm,
        private_key=SecretKey(""),
        public_key="",
        created_at=0,
        signs_from=signs_from,
    )


OLD, NEW, OTHER = key("old", NOW), key("new", NOW + 30 * DAY), key("other", NOW, "RS256")
KEYS = (OLD, OTHER, NEW)


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW - 5, "old"),  # a worker whose clock is behind that of the one that made the first key
        (NOW, "old"),
        (NOW + 30 * DAY - 1, "old"),
        (NOW + 30 * DAY, "new"),
        (NOW + 300 * DAY, "new"),
    ],
)
def test_of_the_keys_whose_time_has_come_the_latest_signs(now, expected):
    assert signing_key(KEYS, "ES384", now).key_id == expected
    assert signing_key(tuple(reversed(KEYS)), "ES384", now).key_id == expected
    assert signing_key(KEYS, "RS256", now).key_id == "other"


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (NOW, {"old", "new", "other"}),
        (NOW + 30 * DAY + 2 * HOUR - 1, {"old", "new", "other"}),
        (NOW + 30 * DAY + 2 * HOUR, {"new", "other"}),
        (NOW + 3000 * DAY, {"new", "other"}),
    ],
)
def test_a_key_is_published_before_it_signs_and_until_its_last_token_has_expired(now, expected):
    assert {one.key_id for one in published_keys(KEYS, now, SCHEDULE)} == expected


@pytest.mark.parametrize(
    ("keys", "now", "expected"),
    [
        ((OLD, OTHER), NOW + 29 * DAY - 1, ()),
        ((OLD, OTHER), NOW + 29 * DAY, ("ES384", "RS256")),
        (KEYS, NOW + 29 * DAY, ("RS256",)),
        (KEYS, NOW + 59 * DAY - 1, ("RS256",)),
        (KEYS, NOW + 59 * DAY, ("ES384", "RS256")),
        ((), NOW, ("ES384", "RS256")),
    ],
)
def test_the_next_key_is_due_so_long_before_it_signs(keys, now, expected):
    assert due_algorithms(keys, now, SCHEDULE) == expected


def test_where_two_workers_make_the_next_key_one_key_is_stored():
    later = NOW + 29 * DAY
    first, second = key("first", later + DAY), key("second", later + DAY)
    issuer = TokenIssuer(issuer_id="one", keys=(OLD, OTHER))
    once = with_new_keys(issuer, [first], later, SCHEDULE)
    assert [one.key_id for one in once.keys] == ["old", "other", "first"]
    assert with_new_keys(once, [second], later, SCHEDULE) == once


class Issuing:
    """A store with one issuer, at `now`, and what a worker's passes change in it."""

    def __init__(self, store: Store) -> None:
        self.store, self.now = store, float(NOW)

    async def put(self, *, is_enabled: bool) -> None:
        keys = await new_token_keys(("ES384", "RS256"), NOW, NOW, secrets.token_bytes)

        async def write(transaction: Transaction) -> None:
            owner = IssuerAccount(issuer_id="one", account_id=ACCOUNT)
            transaction.put(ISSUER_ACCOUNTS, "", owner)
            issuer = TokenIssuer(issuer_id="one", is_enabled=is_enabled, keys=keys)
            transaction.put(TOKEN_ISSUERS, ACCOUNT, issuer)

        await self.store.transact(write)

    async def rotate(self) -> TokenIssuer:
        await rotate_issuers(self.store, SCHEDULE, self.now, secrets.token_bytes)
        found = await self.store.transaction().find(TOKEN_ISSUERS, ACCOUNT)
        assert found is not None
        return found


@pytest.fixture
async def issuing(tmp_path: Path) -> AsyncIterator[Issuing]:
    async with Store(
        SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, secrets.token_bytes), lambda: NOW
    ) as store:
        yield Issuing(store)


def verified_by(token: str, issuer: TokenIssuer, now: float) -> bool:
    """Whether a verifier that has the keys of `issuer` as published at `now` takes the token."""
    published = {one.key_id: one.public_key for one in published_keys(issuer.keys, now, SCHEDULE)}
    header = jwt.get_unverified_header(token)
    if header["kid"] not in published:
        return False
    jwk = jwt.PyJWK.from_json(published[header["kid"]])
    return jwt.decode(token, jwk, algorithms=[header["alg"]]) == {"jti": "1"}


@pytest.mark.parametrize("algorithm", ["ES384", "RS256"])
async def test_through_two_rotations_every_token_verifies_until_it_expires_and_with_keys_a_day_old(
    issuing, algorithm
):
    """A verifier fetches once a day, the worker runs every six hours, a token is valid for an hour."""
    await issuing.put(is_enabled=True)
    copies = []  # the keys that a verifier fetched, and when
    signers = set()
    for quarter in range(4 * 65):
        issuing.now = NOW + quarter * DAY / 4
        issuer = await issuing.rotate()
        copies.append((issuing.now, issuer))
        token = signed_token(issuer, algorithm, b'{"jti":"1"}', issuing.now)
        signers.add(jwt.get_unverified_header(token)["kid"])
        assert verified_by(token, issuer, issuing.now + HOUR), "the keys of today know it until it expires"
        fetched_at, copy = copies[max(0, quarter - 4)]
        assert verified_by(token, copy, fetched_at), "and so does a copy that is a day old"
        assert len(issuer.keys) <= 4
    assert len(signers) == 3


async def test_a_disabled_issuer_gets_no_keys(issuing):
    await issuing.put(is_enabled=False)
    before = await issuing.rotate()
    issuing.now = NOW + 100 * DAY
    assert await issuing.rotate() == before


async def test_an_overdue_key_is_still_published_before_it_signs(issuing):
    await issuing.put(is_enabled=True)
    issuing.now = NOW + 100 * DAY
    issuer = await issuing.rotate()
    assert signing_key(issuer.keys, "ES384", issuing.now).signs_from == NOW
    assert signing_key(issuer.keys, "ES384", issuing.now + DAY).signs_from == NOW + 101 * DAY
    assert await issuing.rotate() == issuer
