"""Who the console acts as."""

import pytest
from msgspec.structs import replace

from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.portal.console.acting import acting_caller, acting_of
from broker.sealing.claims import AssumedRoleClaims, claims_to_bytes
from broker.storage.portal_records import IamUserIdentity, PortalSession
from broker.storage.records import Role
from broker.storage.store import ROLES, USERS, Transaction
from tests.unit.portal.conftest import ACCOUNT, NOW, World

OTHER = "222222222222"
ROLE_ID = "AROAREADER0000000000A"
CLAIMS = AssumedRoleClaims(
    "ASIAROLE000000000000", bytes(16), int(NOW), int(NOW) + 3600, OTHER, "reader", ROLE_ID, "alice"
)


def session(claims: AssumedRoleClaims | None = None) -> PortalSession:
    return PortalSession(
        session_id="00" * 16,
        identity=IamUserIdentity(account_id=ACCOUNT, user_name="alice", user_id="AIDAALICE00000000000A"),
        access_key_id="ASIAPORTAL0000000000",
        csrf_token=SecretKey("token"),
        signed_in_at=int(NOW),
        last_seen_at=int(NOW),
        ends_at=int(NOW) + 7200,
        console_claims=claims_to_bytes(claims) if claims is not None else None,
    )


async def put_role(world: World) -> None:
    async def work(store: Transaction) -> None:
        role = Role(
            account_id=OTHER, role_name="reader", role_id=ROLE_ID, created_at=1, assume_role_policy="{}"
        )
        store.put(ROLES, OTHER, role)

    await world.broker.store.transact(work)


async def test_a_person_acts_as_themselves_and_may_call_iam_without_a_second_factor(world: World):
    caller = await acting_caller(world.broker.store.transaction(), session(), NOW)
    assert caller.principal.arn == f"arn:aws:iam::{ACCOUNT}:user/alice"
    assert not caller.is_session_token
    assert caller.is_temporary
    assert acting_of(session()).role_name is None


async def test_with_a_role_opened_the_caller_is_the_roles_session(world: World):
    await put_role(world)
    caller = await acting_caller(world.broker.store.transaction(), session(CLAIMS), NOW)
    assert caller.principal.arn == f"arn:aws:sts::{OTHER}:assumed-role/reader/alice"
    acting = acting_of(session(CLAIMS))
    assert (acting.account_id, acting.role_name, acting.name) == (OTHER, "reader", "alice")


async def test_a_roles_session_that_has_ended_is_refused_and_not_replaced_by_the_persons_own(world: World):
    await put_role(world)
    with pytest.raises(Refusal, match="ExpiredToken"):
        await acting_caller(world.broker.store.transaction(), session(CLAIMS), NOW + 3600)


async def test_a_role_that_was_made_anew_is_another_one(world: World):
    await put_role(world)
    of_another = replace(CLAIMS, role_id="AROAREADER0000000000B")
    with pytest.raises(Refusal, match="InvalidClientTokenId"):
        await acting_caller(world.broker.store.transaction(), session(of_another), NOW)


async def test_the_role_ends_with_its_person(world: World):
    await put_role(world)

    async def work(store: Transaction) -> None:
        store.delete(USERS, ACCOUNT, "alice")

    await world.broker.store.transact(work)
    with pytest.raises(Refusal):
        await acting_caller(world.broker.store.transaction(), session(CLAIMS), NOW)
