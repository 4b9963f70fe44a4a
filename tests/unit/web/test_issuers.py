"""The public documents of issuers: their paths and their contents."""

import asyncio
import json
import secrets
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from broker.access.gate import Gate
from broker.access.library import PolicyLibrary
from broker.access.prove import Prover
from broker.assertions.key_sets import parse_key_set
from broker.audit.journal import Journal
from broker.credentials.issuer_keys import new_token_keys
from broker.credentials.mint import Mint
from broker.federation.federation import IssuerRules
from broker.operation import Quotas
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import HOUR, new_keyring
from broker.sigv4.signing_keys import SigningKeys
from broker.storage.engine import EngineUnavailable
from broker.storage.records import IssuerAccount, TokenIssuer
from broker.storage.sqlite import SqliteEngine
from broker.storage.store import ISSUER_ACCOUNTS, TOKEN_ISSUERS, Store, Transaction
from broker.web.dependencies import Dependencies
from broker.web.http import LimitExceeded, Request, Response
from broker.web.issuers import answer_issuer
from broker.web.metrics import Metrics
from broker.web.sockets import Peer
from tests.unit.cheap_passwords import cheap_passwords
from tests.unit.federating import no_federation

NOW = 1_800_000_000.0
DAY = 24 * HOUR
ACCOUNT = "111122223333"
ID, UNKNOWN = "0b8e5b26-9c52-4a3e-8f0c-6a1f6f0f7a11", "0b8e5b26-9c52-4a3e-8f0c-6a1f6f0f7a12"
URL = "https://sts.example.com/a/b"
CONFIGURATION, KEYS = ".well-known/openid-configuration", ".well-known/jwks.json"
SERVER = ".well-known/oauth-authorization-server"


class World:
    """The handler's dependencies, and the issuer of one account; `now` is the clock."""

    def __init__(self, store: Store, folder: Path) -> None:
        ring = new_keyring(NOW, secrets.token_bytes(KEY_ENTROPY))
        self.store, self.now = store, NOW
        self.metrics = Metrics()
        self.dependencies = Dependencies(
            clock=lambda: self.now,
            timer=time.perf_counter,
            entropy=secrets.token_bytes,
            store=store,
            prover=Prover(lambda: ring, SigningKeys()),
            gate=Gate(PolicyLibrary(), lambda: ring, secrets.token_bytes),
            mint=Mint(lambda: ring, secrets.token_bytes),
            journal=Journal(folder / "audit.jsonl"),
            metrics=self.metrics,
            quotas=Quotas(),
            federation=no_federation(NOW, issuer=IssuerRules(URL)),
            passwords=cheap_passwords(),
            services={},
        )

    async def put(self, issuer: TokenIssuer) -> None:
        async def write(transaction: Transaction) -> None:
            transaction.put(ISSUER_ACCOUNTS, "", IssuerAccount(issuer_id=ID, account_id=ACCOUNT))
            transaction.put(TOKEN_ISSUERS, ACCOUNT, issuer)

        await self.store.transact(write)

    async def ask(self, target: str, method: str = "GET", **more: Any) -> Response | None:
        peer = Peer(asyncio.BaseTransport())
        request = Request(method, target, (("host", "any.example"),), b"", peer, keeps_alive=True, **more)
        return await answer_issuer(self.dependencies, request)

    async def get(self, path: str) -> Any:
        response = await self.ask(f"/a/b/{ID}/{path}")
        assert response is not None
        assert response.status == 200
        assert b"Cache-Control: public, max-age=300\r\n" in response.header_lines
        assert b"Content-Type: application/json\r\n" in response.header_lines
        return json.loads(response.body)


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    engine = SqliteEngine(tmp_path / "broker.sqlite", lambda: NOW, secrets.token_bytes)
    async with Store(engine, lambda: NOW) as store:
        made = World(store, tmp_path)
        keys = await new_token_keys(("ES384", "RS256"), NOW, NOW, secrets.token_bytes)
        await made.put(TokenIssuer(issuer_id=ID, is_enabled=True, keys=keys))
        yield made
        made.dependencies.journal.close()


async def test_the_discovery_document_names_the_issuer_and_where_its_keys_are(world):
    assert await world.get(CONFIGURATION) == {
        "issuer": f"{URL}/{ID}",
        "jwks_uri": f"{URL}/{ID}/{KEYS}",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256", "ES384"],
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "jti", "https://sts.amazonaws.com/"],
    }


async def test_the_metadata_of_the_authorization_server_is_where_the_rfc_has_it_and_below_the_issuer(world):
    """RFC 8414, 3.1: between the host and the path of the issuer's identifier."""
    identifier = f"{URL}/{ID}"
    found = await world.get(SERVER)
    assert found == {
        "issuer": identifier,
        "token_endpoint": f"{identifier}/oauth2/token",
        "jwks_uri": f"{identifier}/{KEYS}",
        "response_types_supported": [],
        "grant_types_supported": ["urn:ietf:params:oauth:grant-type:token-exchange"],
        "token_endpoint_auth_methods_supported": ["none"],
        "introspection_endpoint": f"{identifier}/oauth2/introspect",
        "introspection_endpoint_auth_methods_supported": ["AWS4-HMAC-SHA256"],
        "revocation_endpoint": f"{identifier}/oauth2/revoke",
        "revocation_endpoint_auth_methods_supported": ["none"],
    }
    inserted = await world.ask(f"/{SERVER}/a/b/{ID}")
    assert (inserted.status, json.loads(inserted.body)) == (200, found)
    assert (await world.ask(f"/{SERVER}/a/b/{UNKNOWN}")).status == 404


async def test_the_keys_are_a_set_that_verifies_and_holds_no_private_one(world):
    published = await world.get(KEYS)
    parsed = parse_key_set(json.dumps(published).encode())
    assert [key.algorithms for key in parsed] == [("ES384",), ("RS256",)]
    assert not any({"d", "p", "q"} & key.keys() for key in published["keys"])


async def test_the_next_key_is_published_beside_the_one_that_signs_and_the_old_one_goes(world):
    issuer = await world.store.transaction().find(TOKEN_ISSUERS, ACCOUNT)
    old = next(key for key in issuer.keys if key.algorithm == "ES384")
    (new,) = await new_token_keys(("ES384",), NOW, NOW + DAY, secrets.token_bytes)
    await world.put(replace(issuer, keys=(*issuer.keys, new)))
    seen = {}
    for hours in (0, 24, 25, 26, 27):
        world.now = NOW + hours * HOUR
        kids = {key["kid"] for key in (await world.get(KEYS))["keys"]}
        seen[hours] = (old.key_id in kids, new.key_id in kids)
    assert seen == {
        0: (True, True),
        24: (True, True),
        25: (True, True),
        26: (False, True),
        27: (False, True),
    }


async def test_an_issuer_that_is_off_still_publishes_the_keys_of_what_it_issued(world):
    before = await world.get(KEYS)
    issuer = await world.store.transaction().find(TOKEN_ISSUERS, ACCOUNT)
    await world.put(replace(issuer, is_enabled=False))
    assert await world.get(KEYS) == before


async def test_an_unknown_issuer_is_not_found_and_not_to_be_remembered(world):
    for document in (CONFIGURATION, KEYS):
        response = await world.ask(f"/a/b/{UNKNOWN}/{document}")
        assert response.status == 404
        assert b"Cache-Control: no-store\r\n" in response.header_lines


async def test_head_is_answered_and_a_query_is_passed_over(world):
    assert (await world.ask(f"/a/b/{ID}/{KEYS}", "HEAD")).status == 200
    assert (await world.ask(f"/a/b/{ID}/{KEYS}?nonce=1")).status == 200


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", f"/a/b/{ID}/{KEYS}"),
        ("PUT", f"/a/b/{ID}/{KEYS}"),
        ("GET", "/"),
        ("GET", "/?Action=GetCallerIdentity&Version=2011-06-15"),
        ("GET", f"/{ID}/{KEYS}"),
        ("GET", f"/a/{ID}/{KEYS}"),
        ("GET", f"/a/b/{ID}/.well-known/other"),
        ("GET", f"/a/b/{ID}/{KEYS}/"),
        ("GET", f"/a/b/{ID.upper()}/{KEYS}"),
        ("GET", f"/a/b/{ACCOUNT}/{KEYS}"),
        ("GET", f"/a/b/../b/{ID}/{KEYS}"),
        ("GET", f"/a/b//{ID}/{KEYS}"),
        ("GET", f"/{SERVER}"),
        ("GET", f"/{SERVER}/{ID}"),
        ("GET", f"/{SERVER}/a/{ID}"),
        ("GET", f"/{SERVER}/a/b/c/{ID}"),
        ("GET", f"/{SERVER}/a/b/{ID}/"),
        ("GET", f"/a/b/{SERVER}/{ID}"),
    ],
)
async def test_any_other_request_is_one_of_the_api(world, method, target):
    assert await world.ask(target, method) is None


async def test_a_request_that_is_not_whole_is_one_of_the_api(world):
    assert await world.ask(f"/a/b/{ID}/{KEYS}", limit_exceeded=LimitExceeded.LATE) is None


async def test_a_broker_without_an_issuers_url_publishes_nothing(world):
    world.dependencies = replace(world.dependencies, federation=no_federation(NOW))
    assert await world.ask(f"/a/b/{ID}/{KEYS}") is None
    assert await world.ask(f"/{ID}/{KEYS}") is None


async def test_where_the_store_is_away_the_answer_says_so(world, monkeypatch):
    async def away(partition: str) -> int:
        raise EngineUnavailable("gone")

    monkeypatch.setattr(world.store.engine, "revision", away)
    assert (await world.ask(f"/a/b/{ID}/{KEYS}")).status == 503


async def test_readings_are_counted_and_leave_nothing_of_what_was_asked(world):
    await world.get(KEYS)
    await world.ask(f"/a/b/{UNKNOWN}/{KEYS}")
    exposition = world.metrics.exposition().decode()
    assert 'service="issuer"' in exposition
    assert UNKNOWN not in exposition
