"""A person proves a password, on every engine: who is let in, who waits, and what nobody learns."""

import asyncio
import secrets
import threading
from collections.abc import Callable

import argon2.low_level
import pytest

from broker.credentials.password_changes import change_password, find_login_profile
from broker.credentials.passwords import Passwords, PasswordSettings
from broker.credentials.sign_in import PasswordAccepted, change_password_at_sign_in, check_password
from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.storage.engine import Engine
from broker.storage.password_records import LoginProfile, PasswordPolicy
from broker.storage.records import Account, User
from broker.storage.store import (
    ACCOUNTS,
    PASSWORD_POLICY,
    USAGE,
    USERS,
    Store,
    Transaction,
)
from tests.moments import AHEAD
from tests.unit.cheap_passwords import CHEAP

ACCOUNT = "111122223333"
NOW = AHEAD
DAY = 24 * 3600
HOME, ELSEWHERE = "192.0.2.1", "198.51.100.1"
RIGHT, WRONG = "Right-Password-1", "Wrong-Password-1"
INCORRECT = "Your authentication information is incorrect. Try again."


class World:
    """An account with root, alice (a password) and bob (none); each `worker` has a store of its own."""

    def __init__(self, open_engine: Callable[[], Engine]) -> None:
        self._open = open_engine
        self.now = NOW
        self.passwords = self.hashing()
        self.store = self.worker()

    def worker(self) -> Store:
        return Store(self._open(), lambda: self.now)

    def hashing(self, **settings: int) -> Passwords:
        return Passwords(
            PasswordSettings(**{**CHEAP, "hashes_at_a_time": 4, **settings}), secrets.token_bytes
        )

    async def fill(self) -> None:
        async def work(store: Transaction) -> None:
            store.put(ACCOUNTS, "", Account(account_id=ACCOUNT))
            for name in ("alice", "bob"):
                user = User(account_id=ACCOUNT, user_name=name, user_id=f"AIDA{name.upper()}", created_at=0)
                store.put(USERS, ACCOUNT, user)

        await self.store.transact(work)
        await self.set_password("alice", RIGHT)
        await self.set_password(None, RIGHT)

    async def set_password(self, name: str | None, password: str, *, is_reset_required: bool = False) -> None:
        async def work(store: Transaction) -> None:
            profile = await find_login_profile(store, ACCOUNT, name) or LoginProfile(
                user_name=name, password_hash=None, created_at=int(self.now), changed_at=0
            )
            new = SecretKey(password)
            await change_password(
                store, self.passwords, ACCOUNT, profile, new, self.now, is_reset_required=is_reset_required
            )

        await self.store.transact(work)

    async def set_policy(self, **rules: object) -> None:
        async def work(store: Transaction) -> None:
            store.put(PASSWORD_POLICY, ACCOUNT, PasswordPolicy(**rules))  # type: ignore[arg-type]

        await self.store.transact(work)

    async def profile(self, name: str | None) -> LoginProfile:
        profile = await find_login_profile(self.store.transaction(), ACCOUNT, name)
        assert profile is not None
        return profile

    async def sign_in(
        self,
        name: str | None = "alice",
        password: str = RIGHT,
        address: str = HOME,
        *,
        account: str = ACCOUNT,
        store: Store | None = None,
        passwords: Passwords | None = None,
    ) -> PasswordAccepted:
        return await check_password(
            store or self.store,
            passwords or self.passwords,
            account,
            name,
            SecretKey(password),
            address,
            self.now,
        )

    async def refused(self, *asked: str | None, **more: object) -> Refusal:
        with pytest.raises(Refusal) as refused:
            await self.sign_in(*asked, **more)  # type: ignore[arg-type]
        return refused.value

    async def fail(self, times: int, name: str | None = "alice", address: str = ELSEWHERE) -> None:
        for _ in range(times):
            assert (await self.refused(name, WRONG, address)).code == "AccessDenied"


@pytest.fixture
async def world(open_engine: Callable[[], Engine]) -> World:
    made = World(open_engine)
    await made.fill()
    return made


async def test_a_user_and_root_sign_in_each_with_their_own_password(world: World) -> None:
    accepted = await world.sign_in("ALICE")
    assert accepted.user is not None
    assert (accepted.user.user_name, accepted.must_change) == ("alice", False)
    assert (await world.sign_in(None)).user is None
    await world.store.flush_usage()
    marks = [await world.store.transaction().find(USAGE, ACCOUNT, key) for key in ("AIDAALICE", ACCOUNT)]
    assert [mark.last_used_at for mark in marks if mark] == [NOW, NOW]


NOBODY = [
    ("alice", WRONG, ACCOUNT, "the password is wrong"),
    (None, WRONG, ACCOUNT, "the password is wrong"),
    ("bob", RIGHT, ACCOUNT, "the user has no password"),
    ("carol", RIGHT, ACCOUNT, "there is no such user"),
    ("", RIGHT, ACCOUNT, "there is no such user"),
    ("\x00/\ud800" + "x" * 10_000, RIGHT, ACCOUNT, "there is no such user"),
    ("alice", RIGHT, "999999999999", "there is no such account"),
    (None, RIGHT, "../\ud800", "there is no such account"),
]


@pytest.mark.parametrize(
    ("name", "password", "account", "reason"), NOBODY, ids=[repr(one[:3])[:40] for one in NOBODY]
)
async def test_whatever_is_wrong_the_same_is_said_after_the_same_work(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    name: str | None,
    password: str,
    account: str,
    reason: str,
) -> None:
    work: list[object] = []
    verify = argon2.low_level.verify_secret

    def noted(hashed: bytes, secret: bytes, kind: argon2.low_level.Type) -> bool:
        work.append(argon2.extract_parameters(hashed.decode()))
        return verify(hashed, secret, kind)

    monkeypatch.setattr("broker.sealing.passwords.verify_secret", noted)
    refusal = await world.refused(name, password, account=account)
    assert (refusal.code, refusal.message, refusal.reason) == ("AccessDenied", INCORRECT, reason)
    assert work == [argon2.extract_parameters((await world.profile("alice")).password_hash.reveal())]  # type: ignore[union-attr]
    assert RIGHT not in refusal.reason + repr(refusal)


async def test_an_account_that_does_not_exist_leaves_no_partition_behind(world: World) -> None:
    before = {one for one in await world.store.engine.partitions("") if not one.startswith("sign-in/")}
    await world.refused("alice", RIGHT, account="999999999999")
    assert {
        one for one in await world.store.engine.partitions("") if not one.startswith("sign-in/")
    } == before


async def test_after_free_failures_the_right_password_waits_too_and_then_passes(world: World) -> None:
    await world.fail(5)
    refusal = await world.refused("alice", RIGHT, ELSEWHERE)
    assert (refusal.code, refusal.message) == (
        "Throttling",
        "Too many attempts. Wait a while, then try again.",
    )
    assert "this user; the next is taken in 1 seconds" in refusal.reason
    world.now += 1
    assert await world.sign_in("alice", RIGHT, ELSEWHERE)
    await world.fail(5)  # the success has set the count back


async def test_a_name_that_nobody_has_waits_like_one_that_somebody_has(world: World) -> None:
    for name in ("carol", "alice"):
        await world.fail(5, name)
        assert (await world.refused(name, RIGHT, ELSEWHERE)).code == "Throttling"


async def test_failures_of_all_workers_count_together(world: World) -> None:
    workers = [world.worker() for _ in range(3)]
    for number in range(5):
        refusal = await world.refused("alice", WRONG, f"198.51.100.{number}", store=workers[number % 3])
        assert refusal.code == "AccessDenied"
    assert (await world.refused("alice", RIGHT, "198.51.100.99", store=workers[0])).code == "Throttling"


async def test_many_attempts_at_once_are_no_way_around_the_count(world: World) -> None:
    workers = [world.worker() for _ in range(4)]
    asked = await asyncio.gather(
        *(
            world.sign_in("alice", WRONG, f"198.51.100.{n}", store=workers[n % 4], passwords=world.hashing())
            for n in range(16)
        ),
        return_exceptions=True,
    )
    codes = [one.code for one in asked if isinstance(one, Refusal)]
    assert len(codes) == 16
    assert codes.count("AccessDenied") == 5, "the free ones; the others wait"


async def test_others_cannot_lock_a_user_out_where_they_signed_in_before(world: World) -> None:
    await world.sign_in("alice", RIGHT, HOME)
    for number in range(5):
        await world.fail(1, "alice", f"198.51.100.{number}")
    assert (await world.refused("alice", RIGHT, "198.51.100.50")).code == "Throttling"
    assert await world.sign_in("alice", RIGHT, HOME)


async def test_no_user_is_locked_out_for_longer_than_the_longest_wait(world: World) -> None:
    for number in range(40):
        await world.refused("alice", WRONG, f"198.51.100.{number}")
        world.now += 1000
    world.now += 900
    assert await world.sign_in("alice", RIGHT, "203.0.113.1")


async def test_an_attempt_that_waits_makes_nobody_wait_longer(world: World) -> None:
    await world.fail(5)
    for _ in range(20):
        await world.refused("alice", RIGHT, ELSEWHERE)
    world.now += 1
    assert await world.sign_in("alice", RIGHT, ELSEWHERE)


async def test_an_address_that_tries_many_names_has_to_wait(world: World) -> None:
    passwords = world.hashing(free_attempts_of_address=4)
    for name in ("a", "b", "c", "d"):
        await world.refused(name, WRONG, ELSEWHERE, passwords=passwords)
    assert (await world.refused("e", WRONG, ELSEWHERE, passwords=passwords)).code == "Throttling"
    assert (await world.refused("alice", RIGHT, ELSEWHERE, passwords=passwords)).code == "Throttling"
    assert await world.sign_in("alice", RIGHT, HOME, passwords=passwords)


async def test_who_signed_in_at_an_address_does_not_wait_for_others_there(world: World) -> None:
    passwords = world.hashing(free_attempts_of_address=4)
    await world.sign_in("alice", RIGHT, HOME, passwords=passwords)
    for name in ("a", "b", "c", "d"):
        await world.refused(name, WRONG, HOME, passwords=passwords)
    assert (await world.refused("e", WRONG, HOME, passwords=passwords)).code == "Throttling"
    assert await world.sign_in("alice", RIGHT, HOME, passwords=passwords)


async def test_one_right_password_does_not_pay_for_an_address_that_tries_others(world: World) -> None:
    passwords = world.hashing(free_attempts_of_address=4)
    for name in ("a", "b", "c"):
        await world.refused(name, WRONG, HOME, passwords=passwords)
    await world.sign_in("alice", RIGHT, HOME, passwords=passwords)
    await world.refused("d", WRONG, HOME, passwords=passwords)
    assert (await world.refused("e", WRONG, HOME, passwords=passwords)).code == "Throttling"


async def test_an_attempt_that_found_no_room_for_its_hash_has_not_failed(world: World) -> None:
    full = world.hashing(hashes_at_a_time=1)
    ended = threading.Event()
    waiting = [asyncio.ensure_future(full._run(ended.wait)) for _ in range(9)]
    await asyncio.sleep(0)
    try:
        for _ in range(8):
            refusal = await world.refused("alice", RIGHT, ELSEWHERE, passwords=full)
            assert (refusal.code, refusal.message) == ("Throttling", "Rate exceeded")
    finally:
        ended.set()
        await asyncio.gather(*waiting)
    await world.fail(5)


async def test_a_hash_of_another_cost_is_renewed_when_its_user_signs_in(world: World) -> None:
    before = await world.profile("alice")
    dearer = world.hashing(passes=2)
    await world.sign_in(passwords=dearer)
    after = await world.profile("alice")
    assert before.password_hash is not None
    assert after.password_hash is not None
    assert dearer.is_outdated(before.password_hash)
    assert not dearer.is_outdated(after.password_hash)
    assert (after.changed_at, after.created_at) == (before.changed_at, before.created_at)
    assert await world.sign_in(passwords=dearer)


async def test_a_one_time_password_lets_in_and_must_be_changed(world: World) -> None:
    await world.set_password("alice", "One-Time-1", is_reset_required=True)
    assert (await world.sign_in("alice", "One-Time-1")).must_change

    async def change(new: str) -> PasswordAccepted:
        old = SecretKey("One-Time-1")
        return await change_password_at_sign_in(
            world.store, world.passwords, ACCOUNT, "alice", old, SecretKey(new), HOME, world.now
        )

    for weak in ("short", "One-Time-1"):
        with pytest.raises(Refusal, match="PasswordPolicyViolation"):
            await change(weak)
    assert not (await change("My-Own-Words-1")).must_change
    assert not (await world.sign_in("alice", "My-Own-Words-1")).must_change
    assert (await world.refused("alice", "One-Time-1")).message == INCORRECT


async def test_a_password_that_need_not_be_changed_is_not_changed_at_sign_in(world: World) -> None:
    with pytest.raises(Refusal) as refused:
        new = SecretKey("My-Own-Words-1")
        await change_password_at_sign_in(
            world.store, world.passwords, ACCOUNT, "alice", SecretKey(RIGHT), new, HOME, world.now
        )
    assert refused.value.code == "AccessDenied"
    assert await world.sign_in()


async def test_an_expired_password_must_be_changed_and_with_hard_expiry_opens_nothing(world: World) -> None:
    await world.set_policy(maximum_age=30)
    world.now += 30 * DAY
    assert (await world.sign_in()).must_change
    await world.set_policy(maximum_age=30, hard_expiry=True)
    refusal = await world.refused()
    assert refusal.code == "AccessDenied"
    assert "expired" in refusal.message
    assert (await world.refused("alice", WRONG)).message == INCORRECT, "who has not proven it learns nothing"
    assert not (await world.sign_in(None)).must_change, "the policy is for users, not for root"


async def test_remembered_passwords_are_refused_and_forgotten_ones_are_not(world: World) -> None:
    await world.set_policy(reuse_prevention=2)
    with pytest.raises(Refusal, match="reuse prevention"):
        await world.set_password("alice", RIGHT)
    await world.set_password("alice", "Second-1")
    for used in (RIGHT, "Second-1"):
        with pytest.raises(Refusal, match="reuse prevention"):
            await world.set_password("alice", used)
    await world.set_password("alice", "Third-Password-1")
    await world.set_password("alice", RIGHT)
    assert len((await world.profile("alice")).earlier_hashes) == 1
