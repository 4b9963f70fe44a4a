"""What is revoked is refused with the next request, and nothing else is."""

import secrets

import pytest

from broker.access.logins import LoginCache
from broker.access.revocations import find_revocation, issued_from
from broker.access.sessions import Sessions, session_caller
from broker.credentials.mint import Mint
from broker.errors import Refusal
from broker.names.principal import AssumedRole, IamUser, Root
from broker.sealing.session import inspect_session_token
from broker.storage.records import Role, User
from broker.storage.session_records import WHOLE_ACCOUNT, Revocation, Revocations
from broker.storage.store import REVOCATIONS, ROLES, USERS
from tests.unit.access.conftest import NOW

ACCOUNT, OTHER = "111122223333", "444455556666"
SECOND = int(NOW)


def role(name: str, role_id: str, account: str = ACCOUNT) -> Role:
    return Role(account_id=account, role_name=name, role_id=role_id, created_at=0, assume_role_policy="{}")


def revoked(*subjects: str, before: int = SECOND + 1) -> Revocations:
    one = Revocation(issued_before=before, ends_at=SECOND + 100_000, revoked_at=SECOND)
    return Revocations(by_subject=dict.fromkeys(subjects, one))


class World:
    """Sessions of every kind in one account, and what each is answered; all are cached logins."""

    def __init__(self, store, ring):
        self.store, self.logins = store, LoginCache(16)
        self.sessions = Sessions(lambda: ring, self.logins)
        mint = Mint(lambda: ring, secrets.token_bytes)
        alice, bob, root = (
            IamUser(ACCOUNT, "alice", "AIDA1"),
            IamUser(ACCOUNT, "bob", "AIDA2"),
            Root(ACCOUNT),
        )
        self.minted = {
            "role": mint.assumed_role(self._role("worker", "AROA1"), now=NOW, duration=900),
            "same role": mint.assumed_role(self._role("worker", "AROA1"), now=NOW, duration=900),
            "later": mint.assumed_role(self._role("worker", "AROA1"), now=NOW + 1, duration=900),
            "other role": mint.assumed_role(self._role("reader", "AROA2"), now=NOW, duration=900),
            "user": mint.session_token(alice, now=NOW, duration=900),
            "guest of the user": mint.federated_user(alice, "guest", now=NOW, duration=900),
            "other user": mint.session_token(bob, now=NOW, duration=900),
            "root": mint.session_token(root, now=NOW, duration=900),
            "guest of root": mint.federated_user(root, "guest", now=NOW, duration=900),
            "task of root": mint.root_task(
                ACCOUNT, now=NOW, duration=900, task_policy_arn="arn:aws:iam::aws:policy/x", issuer_arn="arn"
            ),
            "other account": mint.assumed_role(
                AssumedRole(OTHER, "worker", "AROA3", "night"), now=NOW, duration=900
            ),
        }
        self.ring = ring
        self.minted |= {
            f"scoped {name}": mint.scoped(self.claims(name), now=NOW + 1, duration=60)
            for name in ("role", "user", "guest of the user", "later")
        }
        self.minted["scoped twice"] = mint.scoped(self.claims("scoped role"), now=NOW + 1, duration=30)
        self.minted["scoped three times"] = mint.scoped(self.claims("scoped twice"), now=NOW + 1, duration=30)

    @staticmethod
    def _role(name, role_id):
        return AssumedRole(ACCOUNT, name, role_id, "night")

    def claims(self, name):
        return inspect_session_token(self.ring, self.minted[name].session_token)

    async def claim(self, name):
        one = self.minted[name]
        read = self.store.transaction()
        return await self.sessions.get_login(read, one.session_token, one.access_key_id, NOW + 1)

    async def refused(self):
        """The sessions that are refused now; the others stay cached."""
        names = set()
        for name in self.minted:
            try:
                self.logins.put(self.store.transaction(), await self.claim(name))
            except Refusal as refusal:
                assert refusal.code == "InvalidClientTokenId"
                assert refusal.message == "The security token included in the request is invalid."
                assert refusal.reason.startswith("revoked at 2027-01-15T08:00:00Z: session ASIA")
                names.add(name)
        return names

    async def put(self, record, expires_at=NOW + 100_000, account=ACCOUNT):
        async def work(store):
            store.put(REVOCATIONS, account, record, expires_at=expires_at)

        await self.store.transact(work)


@pytest.fixture
async def world(store, put, ring):
    world = World(store, ring)
    await put(ROLES, ACCOUNT, role("worker", "AROA1"), role("reader", "AROA2"))
    await put(ROLES, OTHER, role("worker", "AROA3", OTHER))
    for name, user_id in (("alice", "AIDA1"), ("bob", "AIDA2")):
        await put(USERS, ACCOUNT, User(account_id=ACCOUNT, user_name=name, user_id=user_id, created_at=0))
    assert await world.refused() == set()
    return world


async def test_one_session_is_revoked_by_its_access_key_and_its_like_are_not(world):
    await world.put(revoked(world.minted["same role"].access_key_id))
    assert await world.refused() == {"same role"}


@pytest.mark.parametrize(
    ("name", "ended"),
    [
        ("role", {"role", "scoped role", "scoped twice", "scoped three times"}),
        ("scoped role", {"scoped role", "scoped twice", "scoped three times"}),
        ("scoped twice", {"scoped twice", "scoped three times"}),
        ("scoped three times", {"scoped three times"}),
        ("user", {"user", "scoped user"}),
    ],
)
async def test_what_was_scoped_down_ends_with_every_session_before_it_and_with_none_after(world, name, ended):
    await world.put(revoked(world.minted[name].access_key_id))
    assert await world.refused() == ended


async def test_a_session_that_is_scoped_down_after_the_moment_does_not_escape_it(world):
    """It was minted a second later, but is a session of the moment of its original."""
    await world.put(revoked("AROA1", before=SECOND + 1))
    assert {"scoped role", "scoped twice", "scoped three times"} <= await world.refused()
    assert "scoped later" not in await world.refused()


async def test_a_scoped_session_shows_policies_the_moment_of_issue_of_its_original(world):
    scoped = (await world.claim("scoped three times")).caller
    assert scoped.condition_keys["aws:tokenissuetime"] == ("2027-01-15T08:00:00Z",)


async def test_a_single_session_is_revoked_whenever_it_was_issued(world):
    await world.put(revoked(world.minted["later"].access_key_id, before=SECOND - 60))
    assert await world.refused() == {"later", "scoped later"}


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        ("AROA1", {"role", "same role", "scoped role", "scoped twice", "scoped three times"}),
        ("AROA3", set()),
        ("AIDA1", {"user", "guest of the user", "scoped user", "scoped guest of the user"}),
        (ACCOUNT, {"root", "guest of root", "task of root"}),
    ],
)
async def test_what_an_identity_was_issued_before_the_moment_is_revoked(world, subject, names):
    await world.put(revoked(subject))
    assert await world.refused() == names


async def test_a_whole_account_is_revoked_and_what_was_issued_later_is_not(world):
    await world.put(revoked(WHOLE_ACCOUNT))
    assert await world.refused() == world.minted.keys() - {"later", "scoped later", "other account"}
    await world.put(revoked(WHOLE_ACCOUNT, before=SECOND + 2))
    assert await world.refused() == world.minted.keys() - {"other account"}


async def test_a_session_of_a_namesake_is_not_revoked(world, put):
    await world.put(revoked("AROA0", "AIDA0"))
    assert await world.refused() == set()


async def test_a_caller_whose_token_was_opened_is_asked_alike(world):
    claims = inspect_session_token(world.ring, world.minted["role"].session_token)
    assert (await session_caller(world.store.transaction(), claims)).role is not None
    await world.put(revoked("AROA1"))
    with pytest.raises(Refusal, match="invalid"):
        await session_caller(world.store.transaction(), claims)


async def test_a_revocation_whose_record_has_expired_is_gone_from_the_engine(world):
    await world.put(revoked("AROA1"), expires_at=NOW - 1)
    assert await world.store.engine.get(f"account/{ACCOUNT}", REVOCATIONS.stored_key("")) is None


def test_nothing_is_revoked_where_there_is_no_record():
    assert find_revocation(None, "ASIA1", "AROA1", 0) is None
    assert issued_from(None, "AROA1") == 0


def test_what_is_issued_after_every_revocation_that_concerns_it_is_good():
    record = Revocations(
        by_subject={**revoked("AROA1", before=20).by_subject, **revoked(WHOLE_ACCOUNT, before=30).by_subject}
    )
    assert [issued_from(record, identity) for identity in ("AROA1", "AROA2")] == [30, 30]
    assert find_revocation(record, "ASIA1", "AROA1", 29) is not None
    assert find_revocation(record, "ASIA1", "AROA1", issued_from(record, "AROA1")) is None
