"""The OAuth endpoints at the door: which paths are theirs, and that nothing is answered without its record."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
from msgspec.structs import replace

from broker.audit.journal import JournalUnavailable
from broker.credentials.issuer_keys import new_token_keys
from broker.federation.federation import IssuerRules
from broker.storage.engine import EngineUnavailable
from broker.storage.records import OpenIdConnectProvider, Role, TokenIssuer
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, ROLES, Store
from broker.sts.token_requests import CREDENTIALS, JWT, TOKEN_EXCHANGE
from broker.web.http import LimitExceeded, Request, Response
from broker.web.sockets import Peer
from broker.web.token_endpoint import answer_token_request
from tests.unit.assertions.conftest import CLIENT, ISSUER, Provider, usual_claims
from tests.unit.federating import no_federation
from tests.unit.web.test_issuers import ACCOUNT, ID, NOW, UNKNOWN, URL, World

TOKEN, INTROSPECT, REVOKE = (f"/a/b/{ID}/oauth2/{name}" for name in ("token", "introspect", "revoke"))
FORM = "application/x-www-form-urlencoded; charset=UTF-8"


async def ask(
    world: World, target: str, body: bytes = b"token=x", content_type: str = FORM, **more: Any
) -> Response | None:
    headers = (("host", "any.example"), ("content-type", content_type))
    peer = Peer(asyncio.BaseTransport())
    request = Request("POST", target, headers, body, peer, keeps_alive=True, **more)
    return await answer_token_request(world.dependencies, request)


def records(folder: Path) -> list[dict[str, Any]]:
    text = "".join(file.read_text() for file in folder.glob("audit.jsonl*"))
    return [json.loads(line) for line in text.splitlines()]


def error(response: Response) -> tuple[int, str]:
    assert b"Cache-Control: no-store\r\n" in response.header_lines
    return response.status, json.loads(response.body)["error"]


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    engine = SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, secrets.token_bytes)
    async with Store(engine, lambda: NOW) as store:
        made = World(store, tmp_path)
        keys = await new_token_keys(("RS256",), NOW, NOW, secrets.token_bytes)
        await made.put(TokenIssuer(issuer_id=ID, is_enabled=True, keys=keys))
        yield made
        made.dependencies.journal.close()


@pytest.mark.parametrize(
    "target",
    [
        "/",
        "/token",
        "/v1/token",
        "/v1/introspect",
        "/oauth2/token",
        f"/{ID}/oauth2/token",
        f"/a/b/{ID}/oauth2/authorize",
        f"{TOKEN}/",
        f"/a/b//{ID}/oauth2/token",
        f"/a/b/{ID.upper()}/oauth2/token",
        f"/?x={TOKEN}",
    ],
)
async def test_any_other_request_is_one_of_the_api(world, target):
    assert await ask(world, target) is None


async def test_a_broker_without_an_issuers_url_has_no_endpoints(world):
    world.dependencies = replace(world.dependencies, federation=no_federation(NOW))
    assert await ask(world, TOKEN) is None
    assert await ask(world, f"/{ID}/oauth2/token") is None


@pytest.mark.parametrize(
    ("target", "more", "wanted"),
    [
        (TOKEN, {}, (400, "invalid_request")),
        (TOKEN, {"body": b"grant_type=password"}, (400, "unsupported_grant_type")),
        (TOKEN, {"content_type": "application/json"}, (400, "invalid_request")),
        (f"{TOKEN}?a=b", {}, (400, "invalid_request")),
        (TOKEN, {"limit_exceeded": LimitExceeded.TOO_LARGE}, (413, "invalid_request")),
        (TOKEN, {"limit_exceeded": LimitExceeded.LATE}, (408, "invalid_request")),
        (f"/a/b/{UNKNOWN}/oauth2/token", {}, (404, "invalid_request")),
        (INTROSPECT, {}, (401, "invalid_client")),
        (REVOKE, {"body": b""}, (400, "invalid_request")),
    ],
)
async def test_each_refusal_has_its_form_and_one_record(world, tmp_path, target, more, wanted):
    response = await ask(world, target, **more)
    assert error(response) == wanted
    assert (b"WWW-Authenticate: AWS4-HMAC-SHA256\r\n" in response.header_lines) == (wanted[0] == 401)
    (record,) = records(tmp_path)
    assert record["errorCode"] == wanted[1]
    assert record["requestID"].encode() in response.header_lines


async def test_a_description_holds_only_what_the_rfc_lets_it_hold(world):
    response = await ask(
        world, TOKEN, b"grant_type=urn%3Aietf%3Aparams%3Aoauth%3Agrant-type%3Atoken-exchange"
    )
    text = json.loads(response.body)["error_description"]
    assert all(" " <= letter <= "~" and letter not in '"\\' for letter in text)


async def test_where_the_store_is_away_the_answer_says_so(world, tmp_path, monkeypatch):
    async def away(partition: str) -> int:
        raise EngineUnavailable("gone")

    monkeypatch.setattr(world.store.engine, "revision", away)
    assert error(await ask(world, REVOKE)) == (503, "temporarily_unavailable")
    assert len(records(tmp_path)) == 1


async def test_nothing_is_answered_that_the_journal_does_not_take(world, monkeypatch):
    assert (await ask(world, REVOKE)).status == 200

    async def full(event: Any) -> None:
        raise JournalUnavailable("the disk is full")

    monkeypatch.setattr(world.dependencies.journal, "record", full)
    assert error(await ask(world, REVOKE)) == (503, "temporarily_unavailable")


async def test_a_fault_of_ours_is_answered_without_its_words(world, monkeypatch):
    async def broken(*_: Any) -> None:
        raise ZeroDivisionError("what only the operator may read")

    monkeypatch.setattr("broker.web.token_endpoint.revoke", broken)
    response = await ask(world, REVOKE)
    assert error(response) == (500, "server_error")
    assert b"operator" not in response.body


async def test_a_subject_token_is_not_spent_where_the_record_cannot_be_written(world, tmp_path, monkeypatch):
    """The answer is given this once: without a record it would be lost, and so would the token that is good once."""
    provider = Provider()
    rules = IssuerRules(URL)
    federation = no_federation(NOW, {ISSUER: provider.keys}, issuer=rules, single_use=True)
    world.dependencies = replace(world.dependencies, federation=federation)
    arn = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{ISSUER.removeprefix('https://')}"
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": arn},
        "Action": "sts:AssumeRoleWithWebIdentity",
    }
    policy = json.dumps({"Version": "2012-10-17", "Statement": statement})
    worker = Role(
        account_id=ACCOUNT, role_name="worker", role_id="AROAX", created_at=0, assume_role_policy=policy
    )
    registered = OpenIdConnectProvider(account_id=ACCOUNT, url=ISSUER, client_ids=(CLIENT,), created_at=0)

    async def put(store: Any) -> None:
        store.put(ROLES, ACCOUNT, worker)
        store.put(OPEN_ID_CONNECT_PROVIDERS, ACCOUNT, registered)

    await world.store.transact(put)
    form = {
        "grant_type": TOKEN_EXCHANGE,
        "subject_token_type": JWT,
        "subject_token": provider.sign(usual_claims(jti="1")),
        "requested_token_type": CREDENTIALS,
        "resource": worker.arn,
    }
    body = urlencode(form).encode()

    def full(events: Any) -> None:
        raise JournalUnavailable("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(world.dependencies.journal, "write_ahead", full)
        assert error(await ask(world, TOKEN, body)) == (503, "temporarily_unavailable")
    assert (await ask(world, TOKEN, body)).status == 200
    assert error(await ask(world, TOKEN, body)) == (400, "invalid_request")
    assert [record.get("errorCode", "") for record in records(tmp_path)].count("") == 1
