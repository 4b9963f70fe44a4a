"""A session of the portal lives as long as it may, and not a second longer."""

from msgspec.structs import replace

from broker.access.people import caller_of
from broker.credentials.portal_sessions import end_all_sessions
from broker.portal.cookies import SignInState
from broker.portal.sessions import (
    choose_theme,
    end_session,
    find_session,
    list_session,
    new_session,
    put_session,
    reference_of,
)
from broker.storage.portal_records import IamUserIdentity, PortalSession
from broker.storage.records import RenamedUser
from broker.storage.session_records import Revocation, Revocations
from broker.storage.store import LISTED_SESSIONS, RENAMED_USERS, REVOCATIONS, USERS, Transaction
from tests.unit.portal.conftest import ACCOUNT, NOW, World, facts

HOUR = 3600


async def begin(world: World, *, longest: int | None = None, mfa: int | None = None) -> PortalSession:
    identity = IamUserIdentity(account_id=ACCOUNT, user_name="alice", user_id=world.alice.user_id)
    state = SignInState("", int(NOW), mfa_authenticated_at=mfa, longest=longest)
    session = new_session(world.portal, facts(), identity, state)

    async def work(store: Transaction) -> None:
        put_session(store, session, world.portal.idle_seconds)

    await world.broker.store.transact(work)
    return session


async def lives(world: World, session: PortalSession, after: float) -> bool:
    return await find_session(world.portal, reference_of(session), NOW + after) is not None


async def test_a_session_that_nobody_uses_ends_after_the_idle_time(world: World) -> None:
    session = await begin(world)
    assert not await lives(world, session, HOUR)
    assert await lives(world, session, HOUR - 1)


async def test_use_keeps_a_session_up_to_its_absolute_end(world: World) -> None:
    session = await begin(world)
    for hour in range(1, 24):
        after = hour * HOUR / 2
        assert await lives(world, session, after), hour
    assert await lives(world, session, 12 * HOUR - 1)
    assert not await lives(world, session, 12 * HOUR)


async def test_a_user_may_have_shorter_sessions_than_the_settings_say(world: World) -> None:
    session = await begin(world, longest=1800)
    assert await lives(world, session, 1799)
    assert not await lives(world, session, 1800)
    assert (await begin(world, longest=48 * HOUR)).ends_at == NOW + 12 * HOUR


async def test_a_second_factor_stays_with_the_session(world: World) -> None:
    session = await begin(world, mfa=int(NOW) - 5)
    caller = await caller_of(world.broker.store.transaction(), session)
    assert caller.mfa_authenticated_at == int(NOW) - 5
    assert caller.is_temporary
    without = await caller_of(world.broker.store.transaction(), await begin(world))
    assert without.mfa_authenticated_at is None


async def test_a_session_follows_its_user_through_a_new_name_and_ends_with_the_user(world: World) -> None:
    session = await begin(world)
    renamed = replace(world.alice, user_name="alicia")

    async def rename(store: Transaction) -> None:
        store.delete(USERS, ACCOUNT, "alice")
        store.put(USERS, ACCOUNT, renamed)
        store.put(RENAMED_USERS, ACCOUNT, RenamedUser(user_id=renamed.user_id, user_name="alicia"))

    await world.broker.store.transact(rename)
    assert await lives(world, session, 1)
    await world.put(replace(world.alice, user_name="alicia", user_id="AIDASOMEBODYELSE0000"))
    assert not await lives(world, session, 1)


async def test_a_revocation_ends_it(world: World) -> None:
    session = await begin(world)

    async def revoke(store: Transaction) -> None:
        revoked = Revocation(issued_before=0, ends_at=session.ends_at, revoked_at=int(NOW))
        store.put(
            REVOCATIONS,
            ACCOUNT,
            Revocations(by_subject={session.access_key_id: revoked}),
            expires_at=session.ends_at,
        )

    assert await lives(world, session, 1)
    await world.broker.store.transact(revoke)
    assert not await lives(world, session, 1)


async def test_a_session_that_was_ended_does_not_come_back_with_its_theme(world: World) -> None:
    session = await begin(world)
    await choose_theme(world.portal, session, "dark")
    found = await find_session(world.portal, reference_of(session), NOW + 1)
    assert found is not None
    assert found.theme == "dark"
    await end_session(world.portal, session)
    await choose_theme(world.portal, found, "light")
    assert not await lives(world, session, 1)


async def test_all_sessions_of_a_person_end_together_and_those_of_nobody_else(world: World) -> None:
    bob = replace(world.alice, user_name="bob", user_id="AIDABOB00000000000000")
    await world.put(bob)
    mine = [await begin(world), await begin(world)]
    identity = mine[0].identity
    of_bob = replace(
        mine[0],
        session_id="ff" * 16,
        identity=IamUserIdentity(account_id=ACCOUNT, user_name="bob", user_id=bob.user_id),
    )

    async def work(store: Transaction) -> None:
        put_session(store, of_bob, HOUR)

    await world.broker.store.transact(work)
    await world.broker.store.transact(lambda store: end_all_sessions(store, identity.subject))
    assert [await lives(world, one, 1) for one in (*mine, of_bob)] == [False, False, True]


async def test_a_session_is_on_the_list_of_sessions(world: World) -> None:
    session = await begin(world)
    list_session(world.broker.mint, session)
    await world.broker.session_list.flush()
    listed = await world.broker.store.transaction().scan(LISTED_SESSIONS, ACCOUNT)
    (only,) = [one for record in listed for one in record.sessions]
    assert only.access_key_id == session.access_key_id
    assert only.arn == world.alice.arn
    assert only.expires_at == session.ends_at
