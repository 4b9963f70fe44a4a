"""People of identity stores: sign-ins, sessions of clients, and roles, whichever kind of provider vouches."""

import pytest
from msgspec.structs import replace

from broker.approvals import approving_caller, require_admitted_person
from broker.credentials.sso_sessions import approve
from broker.errors import Refusal
from broker.federated_roles import federated_caller
from broker.federation.directory import DirectoryLogins
from broker.federation.directory_rules import DirectoryRules
from broker.federation.federation import Federation
from broker.federation.sign_ins import SignIns
from broker.identity_store.people import People
from broker.storage.identity_store_records import IdentityStoreRecord, ProviderIdentityStore, StoreUser
from broker.storage.people_collections import IDENTITY_STORES, PROVIDER_IDENTITY_STORES
from broker.storage.portal_records import FederatedIdentity
from broker.storage.records import OpenIdConnectProvider
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, Transaction
from tests.unit.portal.conftest import ACCOUNT, NOW, World, broker, world
from tests.unit.test_approvals import (
    ALL,
    ANN,
    BEN,
    CLEO,
    DIRECTORY,
    ISSUER,
    PROVIDER,
    ROLE,
    _fill,
    _never,
    entropy,
    federation,
    session_of,
)

__all__ = ["broker", "world"]  # fixtures

OIDC = f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example"
# The person, the provider as trust policies call it, and what the provider itself calls the person.
WAYS = [(ANN, OIDC, "ann"), (BEN, PROVIDER, "ben"), (CLEO, DIRECTORY, "cleo")]
EACH = pytest.mark.parametrize(("identity", "provider", "subject"), WAYS, ids=["oidc", "saml", "ldap"])


def store_of(provider: str) -> IdentityStoreRecord:
    return IdentityStoreRecord(account_id=ACCOUNT, store_id="d-0000000001", provider=provider)


def with_stores(record: IdentityStoreRecord) -> SignIns:
    return SignIns(
        (replace(ALL.openid_connect[0], identity_store=record.arn),),
        (replace(ALL.saml[0], identity_store=record.arn),),
        ALL.directory,
        record.arn,
    )


def knowing_directory(world: World) -> Federation:
    """The LDAP directory leaves it to trust policies who takes which role."""

    return replace(federation(world), directory=DirectoryLogins(DirectoryRules(provider=DIRECTORY), _never))


def people(store: Transaction, record: IdentityStoreRecord, now: float = NOW) -> People:
    return People(store, record.shard, int(now), 100, 100)


async def make_store(world: World, provider: str, external_id: str) -> IdentityStoreRecord:
    """With one active user, whose id is `u`."""
    record = store_of(provider)

    async def work(store: Transaction) -> None:
        store.put(IDENTITY_STORES, ACCOUNT, record)
        named = ProviderIdentityStore(provider=provider, store_id=record.store_id)
        store.put(PROVIDER_IDENTITY_STORES, ACCOUNT, named)
        made = OpenIdConnectProvider(account_id=ACCOUNT, url=ISSUER, client_ids=("portal",), created_at=1)
        store.put(OPEN_ID_CONNECT_PROVIDERS, ACCOUNT, made)
        user = StoreUser(user_id="u", user_name="someone", external_id=external_id)
        await people(store, record, NOW - 60).create_user(user)

    await world.broker.store.transact(work)
    return record


async def set_active(world: World, record: IdentityStoreRecord, active: bool, now: float = NOW) -> None:
    async def work(store: Transaction) -> None:
        of = people(store, record, now)
        user = await of.get_user("u")
        await of.change_user(user, replace(user, is_active=active))

    await world.broker.store.transact(work)


@EACH
async def test_a_client_acts_for_a_person_while_the_person_is_active_and_no_longer(
    world: World, identity: FederatedIdentity, provider: str, subject: str
) -> None:
    record = await make_store(world, provider, subject)
    known, approval = federation(world, with_stores(record)), approve(session_of(identity), entropy)
    assert await approving_caller(known, world.broker.store.transaction(), approval, NOW)
    await set_active(world, record, False)
    with pytest.raises(Refusal, match="not admitted"):
        await approving_caller(known, world.broker.store.transaction(), approval, NOW)
    await set_active(world, record, True, NOW + 60)
    with pytest.raises(Refusal, match="not admitted"):  # for good: a new sign-in is wanted
        await approving_caller(known, world.broker.store.transaction(), approval, NOW + 60)
    again = replace(approval, signed_in_at=int(NOW) + 60)
    assert await approving_caller(known, world.broker.store.transaction(), again, NOW + 60)


@EACH
async def test_a_person_who_is_not_in_the_store_of_the_way_to_sign_in_is_refused(
    world: World, identity: FederatedIdentity, provider: str, subject: str
) -> None:
    record = await make_store(world, provider, f"{subject}-other")
    store = world.broker.store.transaction()
    with pytest.raises(Refusal) as refused:
        await require_admitted_person(with_stores(record), store, identity, int(NOW))
    assert f"no user whose externalId is '{subject}'" in refused.value.reason
    await require_admitted_person(ALL, store, identity, int(NOW))  # without the setting, roles alone decide


async def test_a_store_that_is_gone_admits_nobody(world: World) -> None:
    store = world.broker.store.transaction()
    with pytest.raises(Refusal) as refused:
        await require_admitted_person(with_stores(store_of(OIDC)), store, ANN, int(NOW))
    assert "there is no arn:aws:identitystore" in refused.value.reason


@EACH
async def test_a_role_is_for_active_people_of_the_providers_store(
    world: World, identity: FederatedIdentity, provider: str, subject: str
) -> None:
    await _fill(world)
    record = await make_store(world, provider, subject)
    known = knowing_directory(world)
    caller = await federated_caller(known, world.broker.store.transaction(), identity, ROLE, NOW)
    assert caller.asserted is not None
    assert caller.asserted.store_users == (f"{ACCOUNT}/{record.store_id}/u",)
    await set_active(world, record, False)
    with pytest.raises(Refusal, match="does not know you"):
        await federated_caller(known, world.broker.store.transaction(), identity, ROLE, NOW)


@EACH
async def test_a_provider_without_a_store_admits_whom_it_vouches_for(
    world: World, identity: FederatedIdentity, provider: str, subject: str
) -> None:
    await _fill(world)
    other = await make_store(world, f"{provider}-other", subject)
    await set_active(world, other, False)
    caller = await federated_caller(
        knowing_directory(world), world.broker.store.transaction(), identity, ROLE, NOW
    )
    assert caller.asserted is not None
    assert caller.asserted.store_users == ()
