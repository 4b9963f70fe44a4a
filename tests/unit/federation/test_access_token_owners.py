"""Whom providers are asked by, and where they may be."""

import asyncio
from collections.abc import Mapping

import pytest

from broker.assertions.checks import Checks
from broker.federation.access_token_owners import (
    AMAZON,
    MOST_AT_A_TIME,
    AccessTokenOwners,
    OwnerUnknown,
    ProviderAddresses,
    faults_of_addresses,
)
from broker.federation.reach import Reach, StatusAnswer


@pytest.mark.parametrize(
    ("addresses", "fault"),
    [
        (ProviderAddresses(amazon="http://api.amazon.com"), "login_with_amazon_url: "),
        (ProviderAddresses(amazon="https://169.254.169.254"), "login_with_amazon_url: "),
        (ProviderAddresses(facebook="https://graph.facebook.com/"), "facebook_graph_url: "),
        (ProviderAddresses(facebook=""), "facebook_graph_url: "),
    ],
)
def test_an_impossible_address_is_named(addresses: ProviderAddresses, fault: str):
    (found,) = faults_of_addresses(addresses, Reach())
    assert found.startswith(fault)


def test_the_providers_own_addresses_are_good():
    assert list(faults_of_addresses(ProviderAddresses(), Reach())) == []


async def test_so_many_tokens_are_asked_about_at_a_time_and_no_more():
    go_on = asyncio.Event()

    class Slow:
        async def ask(
            self, method: str, url: str, secret_query: Mapping[str, str], headers: Mapping[str, str]
        ) -> StatusAnswer:
            assert (method, url, dict(headers)) == ("GET", "https://api.amazon.com/auth/o2/tokeninfo", {})
            await go_on.wait()
            return StatusAnswer(500, b"")

    owners = AccessTokenOwners(Slow(), ProviderAddresses())
    asking = [asyncio.create_task(owners.find(AMAZON, "a token", Checks())) for _ in range(MOST_AT_A_TIME)]
    await asyncio.sleep(0)
    with pytest.raises(OwnerUnknown, match="already"):
        await owners.find(AMAZON, "one more", Checks())
    go_on.set()
    ended = await asyncio.gather(*asking, return_exceptions=True)
    assert {str(one) for one in ended} == {"www.amazon.com: status 500"}
    with pytest.raises(OwnerUnknown, match="status 500"):
        await owners.find(AMAZON, "one more", Checks())
