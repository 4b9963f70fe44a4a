"""Outbound web identity federation: switched on and off, with AWS's errors."""

import re

import pytest

from broker.access.caller import user_caller
from broker.federation.federation import IssuerRules
from broker.storage.records import User
from broker.storage.store import ISSUER_ACCOUNTS, TOKEN_ISSUERS
from tests.unit.federating import no_federation

ACCOUNT = "111122223333"
URL = "https://sts.example.com/issuers"
ENABLE = "EnableOutboundWebIdentityFederation"
DISABLE = "DisableOutboundWebIdentityFederation"
INFO = "GetOutboundWebIdentityFederationInfo"
DISABLED = ("FeatureDisabled", "Outbound identity federation is disabled for this account.")
NO_URL = (
    "NotImplemented",
    "This broker issues no web identity tokens: its operator has not set federation.issuer_url.",
)


@pytest.fixture
def iam(iam):
    iam.federation = no_federation(issuer=IssuerRules(URL))
    return iam


async def test_an_account_is_an_issuer_once_it_is_enabled(iam):
    assert await iam.refused(INFO) == DISABLED
    identifier = (await iam(ENABLE)).issuer_identifier
    assert re.fullmatch(
        URL + r"/[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}", identifier
    )
    info = await iam(INFO)
    assert (info.issuer_identifier, info.jwt_vending_enabled) == (identifier, True)


async def test_what_is_enabled_cannot_be_enabled_again_nor_what_is_disabled_disabled(iam):
    assert await iam.refused(DISABLE) == DISABLED
    await iam(ENABLE)
    expected = ("FeatureEnabled", "Outbound identity federation is already enabled for this account.")
    assert await iam.refused(ENABLE) == expected
    await iam(DISABLE)
    assert await iam.refused(DISABLE) == DISABLED
    assert await iam.refused(INFO) == DISABLED


async def test_an_issuer_keeps_its_identifier_and_its_keys_while_it_is_off(iam):
    identifier = (await iam(ENABLE)).issuer_identifier
    issuer = await iam.store.transaction().find(TOKEN_ISSUERS, ACCOUNT)
    await iam(DISABLE)
    assert (await iam(ENABLE)).issuer_identifier == identifier
    assert await iam.store.transaction().find(TOKEN_ISSUERS, ACCOUNT) == issuer


async def test_the_issuer_leads_to_its_account_and_has_a_key_of_each_algorithm(iam):
    identifier = (await iam(ENABLE)).issuer_identifier
    store = iam.store.transaction()
    owner = await store.find(ISSUER_ACCOUNTS, "", identifier.rpartition("/")[2])
    assert owner.account_id == ACCOUNT
    issuer = await store.find(TOKEN_ISSUERS, ACCOUNT)
    assert sorted(key.algorithm for key in issuer.keys) == ["ES384", "RS256"]
    assert {key.signs_from for key in issuer.keys} == {int(iam.now)}
    assert "PRIVATE KEY" not in repr(issuer)


async def test_a_broker_without_an_issuers_url_enables_none(iam):
    iam.federation = no_federation()
    assert await iam.refused(ENABLE) == NO_URL
    assert await iam.refused(INFO) == DISABLED
    assert await iam.store.transaction().find(TOKEN_ISSUERS, ACCOUNT) is None


async def test_an_issuer_whose_url_was_taken_away_can_still_be_switched_off(iam):
    await iam(ENABLE)
    iam.federation = no_federation()
    assert await iam.refused(INFO) == NO_URL
    await iam(DISABLE)
    assert await iam.refused(INFO) == DISABLED


@pytest.mark.parametrize("name", [ENABLE, DISABLE, INFO])
async def test_a_user_without_the_permission_switches_nothing(iam, name):
    nobody = user_caller(User(account_id=ACCOUNT, user_name="eve", user_id="AIDAEVE", created_at=0))
    code, message = await iam.refused(name, caller=nobody)
    assert code == "AccessDenied"
    assert f"iam:{name} on resource: *" in message
