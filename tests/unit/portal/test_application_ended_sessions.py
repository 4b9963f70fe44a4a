"""A session that is ended while its form is still arriving allows nothing any more, and does nothing."""

import contextlib
import json
from collections.abc import AsyncIterator
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import urlencode

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request
from aiohttp.web_urldispatcher import UrlMappingMatchInfo
from msgspec.structs import replace

from broker.access.login_clients import SAME_DEVICE
from broker.credentials.portal_sessions import end_all_sessions
from broker.credentials.sso_clients import ACCOUNT_ACCESS, Client, register
from broker.credentials.sso_devices import find_waiting, start_device
from broker.credentials.sso_sessions import shard_of
from broker.errors import Refusal
from broker.portal import authorize, device, favourites, login, own_sessions, security
from broker.portal.application import make_application
from broker.portal.console.operations import perform
from broker.portal.cookies import SignInState, cookie_line, open_cookie
from broker.portal.dependencies import Portal
from broker.portal.sessions import choose_theme, find_session, new_session, put_session, reference_of
from broker.portal.taking import take_role
from broker.portal.visit import Visit
from broker.storage.portal_records import IamUserIdentity, PortalSession
from broker.storage.records import Role
from broker.storage.store import (
    GROUPS,
    MFA_DEVICES,
    PORTAL_PREFERENCES,
    ROLES,
    SSO_CODES,
    SSO_SESSIONS,
    USERS,
    Transaction,
)
from tests.unit.portal.conftest import ACCOUNT, NOW, World, facts

HOST = "access.example.com"
CALLBACK = "http://127.0.0.1/oauth/callback"
CHALLENGE = "c" * 43
ALLOW = {"decision": "allow"}
EVERYTHING = '{"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}'


class LateBody:
    """The body of a form whose last byte comes after `meanwhile`."""

    def __init__(self, form: dict[str, str], meanwhile: Any) -> None:
        self.body = urlencode(form).encode()
        self.meanwhile = meanwhile

    async def iter_any(self) -> AsyncIterator[bytes]:
        yield self.body[:-1]
        await self.meanwhile()
        yield self.body[-1:]


class Scene:
    """Alice is signed in; three clients wait to be allowed by her: `targets` has where, and what the form says."""

    def __init__(self, world: World, session: PortalSession, user_code: str) -> None:
        self.world = world
        self.session = session
        self.user_code = user_code
        self.portal: Portal = replace(world.portal, tools=replace(world.portal.tools, clock=lambda: NOW))
        client = Client("a client", int(NOW), (ACCOUNT_ACCESS,), (CALLBACK,))
        client_id, _ = register(world.broker.mint.keyring(), client, self.portal.tools.entropy(32))
        asked = {"response_type": "code", "state": "state", "redirect_uri": CALLBACK}
        challenge = {"code_challenge": CHALLENGE, "code_challenge_method": "S256"}
        self.targets = {
            "authorize": f"/authorize?{urlencode({**asked, **challenge, 'client_id': client_id})}",
            "device": "/device/decision",
            "login": f"/v1/authorize?{urlencode({**asked, **challenge, 'client_id': SAME_DEVICE})}",
        }

    async def end(self) -> None:
        subject = self.session.identity.subject
        await self.world.broker.store.transact(lambda store: end_all_sessions(store, subject))

    async def nothing(self) -> None:
        """Nothing happens meanwhile."""

    async def post(
        self, target: str, form: dict[str, str], meanwhile: Any, referer: str = ""
    ) -> web.StreamResponse:
        """What the application answers to the form, whose last byte comes after `meanwhile`."""
        keyring, entropy = self.world.broker.mint.keyring(), self.portal.tools.entropy
        line = cookie_line(keyring, reference_of(self.session), entropy, is_secure=False)
        body = LateBody({"csrf_token": self.session.csrf_token.reveal(), **form}, meanwhile)
        headers = {
            "Host": HOST,
            "Cookie": line.partition(";")[0],
            "Content-Type": "application/x-www-form-urlencoded",
            "Referer": referer,
        }
        request = make_mocked_request("POST", target, headers=headers, payload=body)
        match = await make_application(self.portal).router.resolve(request)
        return await match.handler(request)

    def visit(self, target: str, fields: dict[str, str] = ALLOW) -> Visit:
        """One whose form has just arrived."""
        form = {**fields, "user_code": self.user_code}
        matched = UrlMappingMatchInfo({"account": ACCOUNT, "role": "reader"}, None)  # type: ignore[arg-type]
        request: web.Request = make_mocked_request("POST", target, match_info=matched)
        return Visit(request, facts(), f"http://{HOST}", session=self.session, form=form)

    async def given(self) -> int:
        """How many codes and promises clients have."""
        store, shard = self.world.broker.store.transaction(), shard_of(self.session.identity.subject)
        return await store.count(SSO_CODES, shard) + await store.count(SSO_SESSIONS, shard)

    async def waits(self) -> bool:
        store = self.world.broker.store.transaction()
        return await find_waiting(store, self.user_code, NOW) is not None


@pytest.fixture
async def scene(world: World) -> Scene:
    await world.put(replace(world.alice, inline_policies={"everything": EVERYTHING}))
    identity = IamUserIdentity(account_id=ACCOUNT, user_name="alice", user_id=world.alice.user_id)
    session = new_session(world.portal, facts(), identity, SignInState("", int(NOW)))

    async def work(store: Transaction) -> str:
        put_session(store, session, world.portal.idle_seconds)
        entropy = world.portal.tools.entropy
        _, user_code = await start_device(store, "hash", "a client", entropy, NOW, is_refreshable=True)
        return user_code

    return Scene(world, session, await world.broker.store.transact(work))


DECISIONS = {"authorize": authorize.decide, "device": device.decide, "login": login.decide}


@pytest.mark.parametrize("name", DECISIONS)
async def test_a_client_is_allowed_by_a_session_that_lives(scene: Scene, name: str) -> None:
    form = {**ALLOW, "user_code": scene.user_code}
    answer = await scene.post(scene.targets[name], form, scene.nothing)
    assert answer.status == (200 if name == "device" else 303)
    assert "error" not in answer.headers.get("Location", "")
    assert await scene.given() == (1 if name == "device" else 2)


@pytest.mark.parametrize("name", DECISIONS)
async def test_a_form_that_arrives_after_the_session_was_ended_allows_no_client(
    scene: Scene, name: str
) -> None:
    form = {**ALLOW, "user_code": scene.user_code}
    answer = await scene.post(scene.targets[name], form, scene.end)
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    assert await scene.given() == 0
    assert await scene.waits()


@pytest.mark.parametrize("name", DECISIONS)
async def test_a_session_that_was_ended_after_its_form_was_read_allows_no_client(
    scene: Scene, name: str
) -> None:
    await scene.end()
    with pytest.raises(Refusal, match="Your session has ended") as refused:
        await DECISIONS[name](scene.portal, scene.visit(scene.targets[name]))
    assert refused.value.code == "ExpiredToken"
    assert await scene.given() == 0
    assert await scene.waits()


async def test_a_session_that_is_ended_while_the_code_is_written_allows_no_client(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The commit depends on the session that was read."""
    commit, is_first = scene.world.broker.store.engine.commit, iter([True])

    async def end_and_commit(*arguments: Any) -> Any:
        if next(is_first, False):
            await scene.end()
        return await commit(*arguments)

    monkeypatch.setattr(scene.world.broker.store.engine, "commit", end_and_commit)
    with pytest.raises(Refusal, match="Your session has ended"):
        await authorize.decide(scene.portal, scene.visit(scene.targets["authorize"]))
    assert await scene.given() == 0


async def test_a_form_that_arrives_after_the_session_was_ended_makes_no_access_key(scene: Scene) -> None:
    form = {"do": "CreateAccessKey"}
    answer = await scene.post("/security", form, scene.end)
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    alice = await scene.world.broker.store.transaction().find(USERS, ACCOUNT, "alice")
    assert alice is not None
    assert alice.access_key_ids == ()


async def test_a_form_is_answered_with_the_session_as_it_is_once_the_form_has_arrived(scene: Scene) -> None:
    async def change() -> None:
        await choose_theme(scene.portal, scene.session, "dark")

    answer = await scene.post("/security", {"do": "CreateAccessKey"}, change)
    assert isinstance(answer, web.Response)
    assert answer.status == 200
    assert answer.text is not None
    assert 'data-theme="dark"' in answer.text
    assert await find_session(scene.portal, reference_of(scene.session), NOW) is not None


@pytest.mark.parametrize(
    ("referer", "wanted"),
    [
        (f"http://{HOST}/security?x=1", "/security?x=1"),
        ("", ""),
        (f"http://{HOST}", ""),
        ("http://elsewhere.example/security", ""),
        (f"http://{HOST}.elsewhere.example/security", ""),
        (f"http://{HOST}//elsewhere.example/", ""),
        (f"http://{HOST}/\\elsewhere.example/", ""),
    ],
)
async def test_who_signs_in_again_after_a_lost_form_comes_back_to_its_page(
    scene: Scene, referer: str, wanted: str
) -> None:
    answer = await scene.post("/security", {"do": "CreateAccessKey"}, scene.end, referer)
    assert (answer.status, answer.headers["Location"]) == (303, "/sign-in")
    cookie = SimpleCookie(answer.headers["Set-Cookie"])["broker-sign-in"].value
    state = open_cookie(scene.world.broker.mint.keyring(), cookie, SignInState, NOW)
    assert state is not None
    assert (state.wanted, state.identity) == (wanted, None)


async def written(scene: Scene) -> tuple[object, ...]:
    """What the forms below would change."""
    store = scene.world.broker.store.transaction()
    alice = await store.find(USERS, ACCOUNT, "alice")
    assert alice is not None
    preferences = await store.find(
        PORTAL_PREFERENCES, shard_of(scene.session.identity.subject), scene.session.identity.subject
    )
    keys, devices = alice.access_key_ids, await store.scan(MFA_DEVICES, ACCOUNT)
    return keys, tuple(devices), await store.find(GROUPS, ACCOUNT, "readers"), preferences


async def create_group(portal: Portal, visit: Visit) -> web.Response:
    """As the forms of the console do."""
    await perform(portal, visit, "CreateGroup", {"GroupName": "readers"})
    return web.Response()


WRITES: dict[str, tuple[Any, dict[str, str]]] = {
    "access key": (security.act, {"do": "CreateAccessKey"}),
    "device": (security.act, {"do": "CreateVirtualMFADevice", "VirtualMFADeviceName": "phone"}),
    "group": (create_group, {}),
    "favourite": (favourites.choose, {"add": f"{ACCOUNT}/reader"}),
}


@pytest.fixture
async def reader(scene: Scene) -> Role:
    """A role that alice may take."""
    trust = {"Effect": "Allow", "Action": "sts:AssumeRole", "Principal": {"AWS": ACCOUNT}}
    role = Role(
        account_id=ACCOUNT,
        role_name="reader",
        role_id="AROAREADER0000000000A",
        created_at=1,
        assume_role_policy=json.dumps({"Version": "2012-10-17", "Statement": trust}),
    )

    async def work(store: Transaction) -> None:
        store.put(ROLES, ACCOUNT, role)

    await scene.world.broker.store.transact(work)
    return role


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", WRITES)
async def test_a_session_that_lives_writes(scene: Scene, name: str) -> None:
    before = await written(scene)
    answer, form = WRITES[name]
    assert (await answer(scene.portal, scene.visit("/", form))).status in (200, 303)
    assert await written(scene) != before


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", WRITES)
async def test_a_session_that_was_ended_after_its_form_was_read_writes_nothing(
    scene: Scene, name: str
) -> None:
    before = await written(scene)
    await scene.end()
    answer, form = WRITES[name]
    with contextlib.suppress(Refusal):
        assert (await answer(scene.portal, scene.visit("/", form))).status == 403
    assert await written(scene) == before


@pytest.mark.usefixtures("reader")
@pytest.mark.parametrize("name", WRITES)
async def test_a_session_that_is_ended_before_its_commit_writes_nothing(
    scene: Scene, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, commit, is_first = await written(scene), Transaction.commit, iter([True])

    async def end_and_commit(transaction: Transaction) -> None:
        if next(is_first, False):
            await scene.end()
        await commit(transaction)

    monkeypatch.setattr(Transaction, "commit", end_and_commit)
    answer, form = WRITES[name]
    with contextlib.suppress(Refusal):
        assert (await answer(scene.portal, scene.visit("/", form))).status == 403
    assert next(is_first, False) is False
    assert await written(scene) == before


async def test_a_session_that_was_ended_after_its_form_was_read_ends_no_other(scene: Scene) -> None:
    other = new_session(scene.portal, facts(), scene.session.identity, SignInState("", int(NOW)))

    async def begin(store: Transaction) -> None:
        put_session(store, other, scene.portal.idle_seconds)

    await scene.end()
    await scene.world.broker.store.transact(begin)
    with pytest.raises(Refusal, match="Your session has ended"):
        await own_sessions.end(scene.portal, scene.visit("/security/sessions", {}))
    assert await find_session(scene.portal, reference_of(other), NOW) is not None


async def test_a_session_that_was_ended_after_its_form_was_read_gets_no_credentials(
    scene: Scene, reader: Role
) -> None:
    assert (await take_role(scene.portal, scene.session, facts(), reader.arn, 900)).session_token
    await scene.end()
    with pytest.raises(Refusal, match="Your session has ended"):
        await take_role(scene.portal, scene.session, facts(), reader.arn, 900)
