"""A session that has proven its caller is cached; what may change meanwhile is checked every time."""

import secrets

import msgspec
import pytest

from broker.access.logins import LoginCache
from broker.access.sessions import Sessions
from broker.credentials.mint import Mint
from broker.errors import Refusal
from broker.names.principal import AssumedRole, IamUser
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import new_keyring, promote, stage
from broker.storage.records import RenamedUser, Role, User
from broker.storage.store import RENAMED_USERS, ROLES, USERS
from tests.unit.access.conftest import NOW

ACCOUNT = "111122223333"
WORKER = Role(
    account_id=ACCOUNT, role_name="worker", role_id="AROA1", created_at=0, assume_role_policy="{}", tags={}
)
SESSION = AssumedRole(ACCOUNT, "worker", "AROA1", "night")
ALICE = User(account_id=ACCOUNT, user_name="alice", user_id="AIDA1", created_at=0)


class World:
    """Sessions over a store, of a keyring that may be changed; one session, claimed and cached."""

    def __init__(self, store, put, ring):
        self.store, self.put, self.ring = store, put, ring
        self.logins = LoginCache(16)
        self.sessions = Sessions(lambda: self.ring, self.logins)
        self.minted = Mint(lambda: self.ring, secrets.token_bytes).assumed_role(
            SESSION, now=NOW, duration=900
        )

    async def claim(self, key_id=None, now=NOW):
        read = self.store.transaction()
        token = self.minted.session_token
        return await self.sessions.get_login(read, token, key_id or self.minted.access_key_id, now)

    async def login(self):
        """As a signature that was verified does it."""
        self.logins.put(self.store.transaction(), await self.claim())

    async def refused(self, **changes):
        with pytest.raises(Refusal) as caught:
            await self.claim(**changes)
        return caught.value.code


@pytest.fixture
async def world(store, put, ring):
    world = World(store, put, ring)
    await put(ROLES, ACCOUNT, WORKER)
    await world.login()
    return world


async def test_a_cached_session_is_opened_once_and_has_its_secret(world):
    session = await world.claim()
    assert session is await world.claim()
    assert session.opened.secret == world.minted.secret
    assert session.caller.principal == SESSION


async def test_a_session_that_proved_nothing_is_not_cached(store, put, ring):
    world = World(store, put, ring)
    await put(ROLES, ACCOUNT, WORKER)
    assert await world.claim() is not await world.claim()


async def test_a_cached_session_ends_in_time(world):
    await world.claim(now=NOW + 899)
    assert await world.refused(now=NOW + 900) == "ExpiredToken"


async def test_a_cached_session_is_nobody_elses(world):
    assert await world.refused(key_id="ASIAQAAAAAAAAAAAAAAB") == "InvalidClientTokenId"


async def test_a_cached_session_outlives_a_change_of_something_else(world):
    before = await world.claim()
    await world.put(ROLES, ACCOUNT, msgspec.structs.replace(WORKER, role_name="other"))
    assert (await world.claim()).caller == before.caller


async def test_a_cached_session_has_its_role_as_it_is_now(world):
    before = await world.claim()
    await world.put(ROLES, ACCOUNT, msgspec.structs.replace(WORKER, tags={"Team": "red"}))
    now = await world.claim()
    assert (before.caller.tags, now.caller.tags) == ({}, {"Team": "red"})
    await world.put(ROLES, ACCOUNT, msgspec.structs.replace(WORKER, role_id="AROA2"))
    assert await world.refused() == "InvalidClientTokenId"


async def test_a_cached_session_ends_with_its_key(world):
    world.ring = promote(stage(world.ring, NOW, secrets.token_bytes(KEY_ENTROPY)), NOW, open_for=600)
    assert (await world.claim(now=NOW + 599)).caller.principal == SESSION
    assert await world.refused(now=NOW + 600) == "InvalidClientTokenId"
    world.ring = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
    assert await world.refused() == "InvalidClientTokenId"


async def test_no_session_prints_its_secret(world):
    session = await world.claim()
    assert world.minted.secret.reveal() not in repr(session)
    assert world.minted.session_token not in repr(session)


def as_user(world, kind):
    """The same world, but the session is one that alice got."""
    mint, alice = Mint(lambda: world.ring, secrets.token_bytes), IamUser(ACCOUNT, "alice", "AIDA1")
    world.minted = {
        "session token": lambda: mint.session_token(alice, now=NOW, duration=900),
        "federation token": lambda: mint.federated_user(alice, "guest", now=NOW, duration=900),
    }[kind]()
    return world


async def rename(store, old, new):
    """As UpdateUser does it."""

    async def work(transaction):
        user = await transaction.get(USERS, ACCOUNT, old, AssertionError)
        transaction.delete(USERS, ACCOUNT, old)
        transaction.put(USERS, ACCOUNT, msgspec.structs.replace(user, user_name=new))
        transaction.put(RENAMED_USERS, ACCOUNT, RenamedUser(user_id=user.user_id, user_name=new))

    await store.transact(work)


@pytest.mark.parametrize("kind", ["session token", "federation token"])
async def test_a_session_follows_its_user_through_every_renaming(world, store, kind):
    await world.put(USERS, ACCOUNT, ALICE)
    await as_user(world, kind).login()
    for old, new in (("alice", "ada"), ("ada", "augusta"), ("augusta", "alice"), ("alice", "Ada")):
        await rename(store, old, new)
        assert (await world.claim()).caller.user == msgspec.structs.replace(ALICE, user_name=new)


@pytest.mark.parametrize("kind", ["session token", "federation token"])
async def test_a_namesake_of_a_renamed_user_is_a_stranger_to_its_sessions(world, store, kind):
    await world.put(USERS, ACCOUNT, ALICE)
    as_user(world, kind)
    await rename(store, "alice", "ada")
    await world.put(USERS, ACCOUNT, msgspec.structs.replace(ALICE, user_id="AIDA2"))
    assert (await world.claim()).caller.user.user_name == "ada"
    # The user was deleted, and another user has its last name.
    await world.put(USERS, ACCOUNT, msgspec.structs.replace(ALICE, user_name="ada", user_id="AIDA3"))
    assert await world.refused() == "InvalidClientTokenId"
