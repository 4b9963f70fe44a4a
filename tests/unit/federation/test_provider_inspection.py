"""What an OpenID Connect provider publishes, step by step, under the rules for outgoing requests."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from broker.federation.provider_inspection import MOST_AT_A_TIME, InspectedProvider, ProviderInspector
from broker.federation.reach import Answer, FetchFailed, Reach

ISSUER = "https://login.example.com"
DISCOVERY = f"{ISSUER}/.well-known/openid-configuration"
KEYS = f"{ISSUER}/keys"
JWK = {**ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key(), as_dict=True), "kid": "one"}
DOCUMENT = {
    "issuer": ISSUER,
    "authorization_endpoint": f"{ISSUER}/auth",
    "jwks_uri": KEYS,
    "id_token_signing_alg_values_supported": ["ES256"],
}


class Host:
    def __init__(self, pages: Mapping[str, Any]) -> None:
        self.pages = pages
        self.asked: list[str] = []

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer:
        self.asked.append(url)
        if url not in self.pages:
            raise FetchFailed(f"{url} cannot be reached")
        return Answer(msgspec.json.encode(self.pages[url]), "max-age=600")


async def inspected(pages: Mapping[str, Any], issuer: str = ISSUER) -> tuple[InspectedProvider, Host]:
    host = Host(pages)
    return await ProviderInspector(host, lambda: 1000.0, Reach()).inspect(issuer), host


def failed(found: InspectedProvider) -> list[str]:
    return [check.name for check in found.checks if not check.passed]


async def test_endpoints_and_keys_of_a_whole_provider_are_found():
    found, _ = await inspected({DISCOVERY: DOCUMENT, KEYS: {"keys": [JWK]}})
    assert failed(found) == []
    assert found.endpoints == {"authorization_endpoint": f"{ISSUER}/auth", "jwks_uri": KEYS}
    assert [(key.key_id, key.kind, key.algorithm) for key in found.keys] == [
        ("one", "EC, secp256r1", "ES256")
    ]
    assert (found.fetched_at, found.fresh_until) == (1000.0, 1600.0)


@pytest.mark.parametrize(
    ("pages", "check"),
    [
        ({}, "discovery document"),
        ({DISCOVERY: ["no object"]}, "discovery document"),
        ({DISCOVERY: {**DOCUMENT, "issuer": "https://evil.example"}}, "issuer"),
        (
            {DISCOVERY: {**DOCUMENT, "id_token_signing_alg_values_supported": ["HS256"]}},
            "signature algorithms",
        ),
        ({DISCOVERY: {"issuer": ISSUER}}, "jwks_uri"),
        ({DISCOVERY: DOCUMENT}, "keys"),
        ({DISCOVERY: DOCUMENT, KEYS: {"keys": []}}, "keys"),
    ],
)
async def test_the_first_step_that_a_token_would_fail_at_is_named(pages: Mapping[str, Any], check: str):
    found, _ = await inspected(pages)
    assert failed(found) == [check]
    assert found.checks[-1].name == check
    assert found.keys == ()
    assert found.fetched_at is None


@pytest.mark.parametrize(
    "issuer", ["http://login.example.com", "https://169.254.169.254", "https://127.0.0.1:8080"]
)
async def test_no_address_is_asked_that_the_settings_do_not_admit(issuer: str):
    found, host = await inspected({}, issuer)
    assert failed(found) == ["discovery document"]
    assert host.asked == []


async def test_a_document_leads_to_no_address_that_the_settings_do_not_admit():
    found, host = await inspected({DISCOVERY: {**DOCUMENT, "jwks_uri": "https://10.0.0.1/keys"}})
    assert failed(found) == ["keys"]
    assert host.asked == [DISCOVERY]


async def test_only_a_few_are_inspected_at_a_time():
    going_on = asyncio.Event()

    class Slow:
        async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer:
            await going_on.wait()
            raise FetchFailed("slow")

    inspector = ProviderInspector(Slow(), lambda: 1000.0, Reach())
    running = [asyncio.create_task(inspector.inspect(ISSUER)) for _ in range(MOST_AT_A_TIME)]
    await asyncio.sleep(0)
    with pytest.raises(FetchFailed, match="being inspected already"):
        await inspector.inspect(ISSUER)
    going_on.set()
    assert [failed(one) for one in await asyncio.gather(*running)] == [
        ["discovery document"]
    ] * MOST_AT_A_TIME
