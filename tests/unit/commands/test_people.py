"""`broker sessions --people` and `broker revoke person`: sessions of people whom identity providers vouch for."""

import asyncio
import json
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from broker.app import Broker, open_broker
from broker.config import Settings
from broker.credentials.portal_sessions import session_key
from broker.credentials.sso_sessions import approve, begin_session, shard_of
from broker.names.secret import SecretKey
from broker.storage.portal_records import (
    DirectoryIdentity,
    IamUserIdentity,
    Identity,
    OpenIdConnectIdentity,
    PortalSession,
)
from broker.storage.store import PORTAL_SESSIONS, SSO_SESSIONS, Transaction

from .conftest import Run

NOW = int(time.time())


def openid(name: str, subject: str) -> OpenIdConnectIdentity:
    return OpenIdConnectIdentity(
        sign_in="corporate",
        name=name,
        issuer="https://login.example.com",
        audience=("broker",),
        issued_at=NOW,
        expires_at=NOW + 300,
        claims={"sub": subject, "secret": "not to be shown"},
    )


def session(number: int, identity: Identity, seen: int = NOW) -> PortalSession:
    return PortalSession(
        session_id=f"{number:032x}",
        identity=identity,
        access_key_id="ASIAEXAMPLE" if isinstance(identity, IamUserIdentity) else "",
        csrf_token=SecretKey("token"),
        signed_in_at=NOW - number,
        last_seen_at=seen,
        ends_at=NOW + 3600,
        source_ip="192.0.2.1",
    )


LDAP = DirectoryIdentity(
    provider="ldap.example.com", name="dana", distinguished_name="uid=dana,dc=example", groups=()
)
ALICE = IamUserIdentity(account_id="111122223333", user_name="dana", user_id="AIDA1")
SESSIONS = (
    session(1, openid("dana", "d1")),
    session(2, openid("dana", "d1")),
    session(3, openid("erin", "e1")),
    session(4, LDAP),
    session(5, ALICE),
    session(6, openid("idle", "i1"), seen=NOW - 7200),
)


class World:
    def __init__(self, run: Run, settings: Settings) -> None:
        self.run, self.settings = run, settings
        asyncio.run(self._put())

    async def _put(self) -> None:
        async def work(store: Transaction) -> None:
            for one in SESSIONS:
                subject = one.identity.subject
                key = session_key(subject, one.session_id)
                store.put(PORTAL_SESSIONS, shard_of(subject), one, key=key, expires_at=NOW + 3600)
            for person in (SESSIONS[1], SESSIONS[4]):
                approval = approve(person, secrets.token_bytes)
                begin_session(
                    store, approval, "hash", "a client", secrets.token_bytes, NOW, is_refreshable=True
                )

        async with open_broker(self.settings, {}) as broker:
            await broker.store.transact(work)

    def listed(self, *arguments: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.run("sessions", "--people", "--json", *arguments).shown)
        return found

    def stored(self) -> int:
        async def count(broker: Broker) -> int:
            partitions = await broker.engine.partitions("portal/")
            shards = [one.removeprefix("portal/") for one in partitions]
            store = broker.store.transaction()
            collections = (PORTAL_SESSIONS, SSO_SESSIONS)
            return sum([await store.count(one, shard) for shard in shards for one in collections])

        async def run() -> int:
            async with open_broker(self.settings, {}) as broker:
                return await count(broker)

        return asyncio.run(run())


@pytest.fixture
def world(run: Run, settings: Settings) -> World:
    return World(run, settings)


def test_people_of_providers_are_listed_and_nobody_else(world: World) -> None:
    listed = world.listed()
    assert sorted((one["person"], one["provider"], one["client"]) for one in listed) == [
        ("dana", "corporate", "a client"),
        ("dana", "corporate", "browser"),
        ("dana", "corporate", "browser"),
        ("dana", "ldap.example.com", "browser"),
        ("erin", "corporate", "browser"),
    ]
    assert [one["signedInAt"] for one in listed] == sorted(
        (one["signedInAt"] for one in listed), reverse=True
    )
    shown = world.run("sessions", "--people").shown
    assert shown.splitlines()[0].split()[:3] == ["SESSION", "PERSON", "PROVIDER"]
    assert "not to be shown" not in shown + json.dumps(listed)
    assert SESSIONS[0].session_id not in shown + json.dumps(listed)


def test_they_are_chosen_by_their_provider(world: World) -> None:
    assert len(world.listed("--provider", "corporate")) == 4
    assert len(world.listed("--provider", "https://login.example.com")) == 4
    assert world.listed("--provider", "nobody") == []


def test_all_sessions_of_a_person_end_and_no_others(world: World) -> None:
    before = world.stored()
    ended = world.run("revoke", "person", "dana", "--provider", "corporate")
    assert ended.status == 0, ended.said
    assert ended.shown == "3 sessions end: of dana, vouched for by https://login.example.com\n"
    assert "broker revoke role" in ended.said
    assert [one["person"] for one in world.listed()] == ["erin", "dana"]
    assert world.stored() == before - 3
    (record,) = [json.loads(line) for line in Path(world.settings.audit.path).read_text().splitlines()]
    assert record["eventName"] == "EndPortalSessions"
    assert record["requestParameters"]["person"] == "dana"
    assert len(record["requestParameters"]["endedSessions"]) == 3


def test_one_session_ends_by_its_id(world: World) -> None:
    first = world.listed()[0]["session"]
    assert world.run("revoke", "person", first).shown.startswith("1 session ends: of dana")
    assert first not in [one["session"] for one in world.listed()]
    assert len(world.listed()) == 4


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("revoke", "person", "nobody"), "no person and no session is called 'nobody'"),
        (("revoke", "person", "dana"), "is the name of 2 people, of corporate, ldap.example.com"),
        (("revoke", "person", "erin", "--provider", "ldap.example.com"), "no person"),
    ],
)
def test_what_names_nobody_or_several_is_refused(world: World, arguments: tuple[str, ...], said: str) -> None:
    before = world.stored()
    ended = world.run(*arguments)
    assert (ended.status, ended.shown) == (1, "")
    assert said in ended.said
    assert world.stored() == before


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--provider", "corporate"), "--provider is for --people"),
        (("--people", "--account", "111122223333"), "belong to no account"),
    ],
)
def test_people_are_chosen_by_their_provider_alone(run: Run, arguments: tuple[str, ...], said: str) -> None:
    ended = run("sessions", *arguments)
    assert (ended.status, ended.shown) == (2, "")
    assert said in ended.said
