"""The identity plugin as the operator sets it up, and how many tokens it is asked about at a time."""

import asyncio
from collections.abc import Mapping

import pytest

from broker.assertions.checks import Checks
from broker.federation.identity_plugin import (
    MOST_AT_A_TIME,
    IdentityPlugin,
    PluginRules,
    PluginUnavailable,
    faults_of_plugin,
)
from broker.federation.reach import Reach, StatusAnswer
from broker.names.secret import SecretKey

GOOD = PluginRules("https://plugin.example.com/check?a=b", SecretKey("Bearer x"), "tokens.example.com")


def test_good_settings_have_no_faults():
    assert list(faults_of_plugin(GOOD, Reach())) == []
    assert list(faults_of_plugin(PluginRules(), Reach())) == []


@pytest.mark.parametrize(
    ("rules", "fault"),
    [
        (
            PluginRules("http://plugin.example.com", provider=GOOD.provider),
            "url: http://plugin.example.com is not https",
        ),
        (PluginRules("https://169.254.169.254/", provider=GOOD.provider), "url: "),
        (PluginRules("https://10.0.0.1/", provider=GOOD.provider), "url: "),
        (PluginRules(GOOD.url, provider="graph.facebook.com"), "provider: "),
        (PluginRules(GOOD.url, SecretKey("a\nb"), GOOD.provider), "authorization: "),
        (PluginRules(provider=GOOD.provider), "url is empty"),
    ],
)
def test_an_impossible_setting_is_named(rules: PluginRules, fault: str):
    (found,) = faults_of_plugin(rules, Reach())
    assert found.startswith(fault)
    assert "a\nb" not in found


async def test_so_many_tokens_are_asked_about_at_a_time_and_no_more():
    go_on = asyncio.Event()

    class Slow:
        async def ask(
            self, method: str, url: str, secret_query: Mapping[str, str], headers: Mapping[str, str]
        ) -> StatusAnswer:
            assert (method, url, headers) == ("POST", GOOD.url, {"Authorization": "Bearer x"})
            await go_on.wait()
            return StatusAnswer(200, b'{"user": "alice", "maxValiditySeconds": 900}')

    plugin = IdentityPlugin(GOOD, Slow())
    asking = [asyncio.create_task(plugin.holder("a token", Checks())) for _ in range(MOST_AT_A_TIME)]
    await asyncio.sleep(0)
    with pytest.raises(PluginUnavailable, match="already"):
        await plugin.holder("one more", Checks())
    go_on.set()
    assert {one.user for one in await asyncio.gather(*asking)} == {"alice"}
    assert (await plugin.holder("one more", Checks())).user == "alice"
