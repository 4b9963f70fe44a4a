"""Provider keys: when they are fetched, how long they are used, and which answers are refused."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from broker.assertions.key_sets import parse_key_set
from broker.federation.fetching import Fetcher
from broker.federation.provider_keys import (
    LONGEST_LIFETIME,
    REFRESH_INTERVAL,
    SHORTEST_LIFETIME,
    STALE_LIMIT,
    USUAL_LIFETIME,
    ProviderKeys,
    ProviderUnreachable,
    lifetime_of,
)
from tests.unit.federation.conftest import Host

_PUBLIC = json.loads(ECAlgorithm.to_jwk(ec.generate_private_key(ec.SECP256R1()).public_key()))


class Clock:
    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class Issuer:
    """A provider on the test's host, and the cache of its keys."""

    def __init__(self, host: Host, fetcher: Fetcher) -> None:
        self.host, self.url, self.clock = host, f"{host.url}/realm", Clock()
        self.keys = ProviderKeys(fetcher, self.clock)
        self.publish("one")
        self.describe({"issuer": self.url, "jwks_uri": f"{host.url}/keys"})

    def describe(self, metadata: Any) -> None:
        self.host.answers("/realm/.well-known/openid-configuration", metadata)

    def publish(self, *key_ids: str, **headers: str) -> None:
        self.host.answers("/keys", {"keys": [{**_PUBLIC, "kid": key_id} for key_id in key_ids]}, **headers)

    def go_away(self) -> None:
        self.host.handlers.clear()

    async def get(self, key_id: str | None = "one") -> list[str]:
        return [key.key_id for key in await self.keys.get(self.url, key_id)]

    @property
    def fetches(self) -> int:
        return self.host.asked.count("/realm/.well-known/openid-configuration")


@pytest.fixture
async def issuer(host: Host, make_fetcher: Callable[..., Fetcher]) -> Issuer:
    return Issuer(host, make_fetcher())


async def settle(issuer: Issuer) -> None:
    """Wait for the end of a fetch in the background."""
    await asyncio.gather(*issuer.keys._fetches.values())


async def test_keys_are_fetched_once_in_their_lifetime(issuer: Issuer) -> None:
    for _ in range(3):
        assert await issuer.get() == ["one"]
    issuer.clock.now += USUAL_LIFETIME - 1
    assert await issuer.get() == ["one"]
    assert issuer.fetches == 1


async def test_requests_at_the_same_time_share_one_fetch(issuer: Issuer) -> None:
    answers = await asyncio.gather(*(issuer.get() for _ in range(20)))
    assert answers == [["one"]] * 20
    assert issuer.fetches == 1


async def test_a_cancelled_request_does_not_end_the_fetch_of_others(issuer: Issuer) -> None:
    first, second = asyncio.create_task(issuer.get()), asyncio.create_task(issuer.get())
    await asyncio.sleep(0)
    first.cancel()
    assert await second == ["one"]


async def test_keys_past_their_lifetime_are_used_while_they_are_fetched_again(issuer: Issuer) -> None:
    await issuer.get()
    issuer.publish("one", "two")
    issuer.clock.now += USUAL_LIFETIME
    assert await issuer.get() == ["one"]
    await settle(issuer)
    assert await issuer.get() == ["one", "two"]


async def test_an_unknown_key_id_causes_a_fetch(issuer: Issuer) -> None:
    await issuer.get()
    issuer.publish("two")
    issuer.clock.now += REFRESH_INTERVAL
    assert await issuer.get("two") == ["two"]


async def test_unknown_key_ids_do_not_cause_more_requests(issuer: Issuer) -> None:
    for number in range(50):
        assert await issuer.get(f"unknown-{number}") == ["one"]
    assert issuer.fetches == 1
    issuer.clock.now += REFRESH_INTERVAL
    await issuer.get("unknown")
    assert issuer.fetches == 2


async def test_stale_keys_are_used_within_the_limit_while_the_provider_cannot_be_reached(
    issuer: Issuer,
) -> None:
    await issuer.get()
    issuer.go_away()
    issuer.clock.now += STALE_LIMIT - 1
    assert await issuer.get() == ["one"]
    await settle(issuer)
    issuer.clock.now += REFRESH_INTERVAL
    with pytest.raises(ProviderUnreachable, match="answered 404"):
        await issuer.get()


async def test_a_provider_that_was_never_reached_is_unreachable_and_is_not_asked_at_each_request(
    issuer: Issuer,
) -> None:
    issuer.go_away()
    for _ in range(5):
        with pytest.raises(ProviderUnreachable, match="answered 404"):
            await issuer.get()
    assert issuer.fetches == 1
    issuer.publish("one")
    issuer.describe({"issuer": issuer.url, "jwks_uri": f"{issuer.host.url}/keys"})
    issuer.clock.now += REFRESH_INTERVAL
    assert await issuer.get() == ["one"]


@pytest.mark.parametrize(
    "metadata",
    [
        {},
        [],
        {"issuer": "https://other.example.com", "jwks_uri": "https://other.example.com/keys"},
        {"issuer": "SELF"},
        {"issuer": "SELF", "jwks_uri": 7},
        {"issuer": "SELF", "jwks_uri": "http://169.254.169.254/keys"},
        {"issuer": "SELF", "jwks_uri": "file:///etc/passwd"},
        {"issuer": "SELF", "jwks_uri": "/keys"},
    ],
    ids=str,
)
async def test_keys_of_an_invalid_discovery_document_are_not_fetched(issuer: Issuer, metadata: Any) -> None:
    if isinstance(metadata, dict) and metadata.get("issuer") == "SELF":
        metadata = {**metadata, "issuer": issuer.url}
    issuer.describe(metadata)
    with pytest.raises(ProviderUnreachable):
        await issuer.get()


async def test_a_thousand_keys_are_refused(issuer: Issuer) -> None:
    issuer.publish(*map(str, range(1000)))
    with pytest.raises(ProviderUnreachable, match="1000 keys"):
        await issuer.get()


async def test_an_answer_of_another_type_is_refused(issuer: Issuer) -> None:
    async def page(request: web.Request) -> web.Response:
        return web.Response(text="<html>", content_type="text/html")

    issuer.host.handlers["/keys"] = page
    with pytest.raises(ProviderUnreachable, match="not JSON"):
        await issuer.get()


async def test_pinned_keys_are_used_and_the_issuer_is_never_asked(
    host: Host, make_fetcher: Callable[..., Fetcher]
) -> None:
    pinned = parse_key_set(json.dumps({"keys": [{**_PUBLIC, "kid": "pinned"}]}).encode())
    keys = ProviderKeys(make_fetcher(), Clock(), {host.url: pinned})
    assert await keys.get(host.url, "unknown") == pinned
    assert host.asked == []


async def test_closing_ends_a_fetch(issuer: Issuer) -> None:
    async def hang(request: web.Request) -> web.Response:
        await asyncio.sleep(60)
        return web.Response()

    issuer.host.handlers["/realm/.well-known/openid-configuration"] = hang
    waiting = asyncio.create_task(issuer.get())
    await asyncio.sleep(0.05)
    await issuer.keys.close()
    with pytest.raises(asyncio.CancelledError):
        await waiting


@pytest.mark.parametrize(
    ("cache_control", "seconds"),
    [
        ("", USUAL_LIFETIME),
        ("max-age=600", 600),
        ("public, MAX-AGE=600, must-revalidate", 600),
        ("max-age=1", SHORTEST_LIFETIME),
        ("max-age=9999999999", LONGEST_LIFETIME),
        ("no-store", SHORTEST_LIFETIME),
        ("no-cache, max-age=600", SHORTEST_LIFETIME),
        ("s-maxage=5", USUAL_LIFETIME),
    ],
)
def test_the_lifetime_follows_the_answer_within_bounds(cache_control: str, seconds: int) -> None:
    assert lifetime_of(cache_control) == seconds
