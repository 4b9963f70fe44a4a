"""What real identity providers issue is proven, and one thing changed is refused by the check that is named."""

import json
import time
from base64 import b64decode, b64encode, urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from lxml import etree

from broker.assertions import saml_attributes, web_identity_attributes
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.saml_assertion import Expected, SamlAssertion
from broker.assertions.saml_attributes import OfferedRole
from broker.assertions.saml_metadata import ProviderMetadata, parse_saml_metadata
from broker.assertions.saml_response import read_response, verify_response
from broker.assertions.unverified_token import read_token
from broker.assertions.web_identity import LEEWAY, WebIdentityClaims, verify_web_identity
from broker.assertions.xml_documents import SIGNATURE
from broker.federation.fetching import AdmittedResolver, Fetcher
from broker.federation.provider_keys import REFRESH_INTERVAL, ProviderKeys
from broker.federation.reach import Reach
from tests.identity_providers.browser import Browser
from tests.identity_providers.certificates import KeyPair
from tests.identity_providers.fixtures import ACCOUNT, ALICE, ROLES, SAML_ALICE, STS
from tests.identity_providers.openid_provider import OpenIdProvider
from tests.identity_providers.saml import (
    AUDIENCE,
    AWS,
    CONSUMER_URL,
    SamlProvider,
    ServiceProvider,
    User,
    authentication_request,
)
from tests.identity_providers.simplesamlphp import SimpleSamlPhp

LOOPBACK = Reach(plain_http=True, private_networks=("127.0.0.0/8",))
SHA1 = "http://www.w3.org/2000/09/xmldsig#rsa-sha1"
OURS = KeyPair("the broker")  # what assertions are encrypted to
PROTECTIONS = {
    "signed assertion": ServiceProvider(),
    "signed response": ServiceProvider(signs_response=True, signs_assertion=False),
    "both signed": ServiceProvider(signs_response=True),
    "encrypted assertion": ServiceProvider(encrypts_to=OURS),
    "encrypted assertion in a signed response": ServiceProvider(
        signs_response=True, signs_assertion=False, encrypts_to=OURS
    ),
}


class Clock:
    """The time, as far ahead as a test puts it."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.time() + self.ahead


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def keys(clock: Clock) -> AsyncIterator[ProviderKeys]:
    """Keys as the broker fetches them over HTTP."""
    resolver = AdmittedResolver(LOOPBACK.private_networks)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(resolver=resolver)) as session:
        found = ProviderKeys(Fetcher(session, resolver, LOOPBACK), clock)
        yield found
        await found.close()


async def verify_token(
    text: str, keys: ProviderKeys, issuer: str, audience: str, now: float | None = None
) -> WebIdentityClaims:
    checks = Checks()
    token = read_token(text, checks)
    found = await keys.get(issuer, token.key_id)
    return verify_web_identity(
        token,
        found,
        issuer=issuer,
        client_ids=[audience],
        now=time.time() if now is None else now,
        checks=checks,
    )


async def check_that_refuses(*question: Any, **others: Any) -> str:
    with pytest.raises(CheckFailed) as failed:
        await verify_token(*question, **others)
    return failed.value.check.name


@pytest.mark.parametrize("client", ["web", "web-es256"])
async def test_the_id_token_of_a_person_is_proven(
    openid_provider: OpenIdProvider, keys: ProviderKeys, client: str
) -> None:
    token = openid_provider.sign_in("alice", client)["id_token"]
    identity = await verify_token(token, keys, openid_provider.issuer, client)
    assert (identity.subject, identity.audience) == ("alice", (client,))
    provider = openid_provider.issuer.removeprefix("http://")
    found = web_identity_attributes.condition_keys(identity, Checks())
    assert found[f"{provider}:sub"] == ("alice",)
    assert found[f"{provider}:groups"] == ("readers", "writers")
    assert found[f"{provider}:email"] == (ALICE["email"],)
    brought = web_identity_attributes.session_attributes(identity, Checks())
    assert brought.tags == {"team": "blue", "stage": "test"}
    assert (brought.transitive_tag_keys, brought.source_identity) == (("team",), "alice")


@pytest.mark.parametrize("resource", ["urn:sts", "urn:sts:es256"])
async def test_the_access_token_of_a_machine_is_proven(
    openid_provider: OpenIdProvider, keys: ProviderKeys, resource: str
) -> None:
    token = openid_provider.machine_token("pipeline", resource)
    identity = await verify_token(token, keys, openid_provider.issuer, STS)
    assert (identity.subject, identity.audience) == ("pipeline", (STS,))
    provider = openid_provider.issuer.removeprefix("http://")
    found = web_identity_attributes.condition_keys(identity, Checks())
    assert found[f"{provider}:repository"] == ("group/project",)
    assert found[f"{provider}:ref_protected"] == ("true",)


async def test_the_access_token_of_a_person_is_proven(
    openid_provider: OpenIdProvider, keys: ProviderKeys
) -> None:
    token = openid_provider.sign_in("alice", "web", resource="urn:sts")["access_token"]
    identity = await verify_token(token, keys, openid_provider.issuer, STS)
    assert (identity.subject, identity.claims["groups"]) == ("alice", ["readers", "writers"])


def with_part(token: str, number: int, **changes: Any) -> str:
    """The token with members of its header (0) or its claims (1) replaced; the signature stays."""
    parts = token.split(".")
    members = json.loads(urlsafe_b64decode(parts[number] + "=="))
    parts[number] = urlsafe_b64encode(json.dumps({**members, **changes}).encode()).rstrip(b"=").decode()
    return ".".join(parts)


async def test_a_token_of_which_one_thing_is_changed_is_refused_by_the_check_that_is_named(
    openid_provider: OpenIdProvider, keys: ProviderKeys
) -> None:
    issuer = openid_provider.issuer
    token = openid_provider.machine_token("pipeline", "urn:sts")
    other = openid_provider.machine_token("pipeline", "urn:sts")
    unsigned = token.rpartition(".")[0] + "."
    swapped = unsigned + other.rpartition(".")[2]
    question = (keys, issuer, STS)
    assert await check_that_refuses(with_part(token, 1, sub="admin"), *question) == "signature"
    assert await check_that_refuses(with_part(token, 1, iss="https://other"), *question) == "issuer"
    assert await check_that_refuses(with_part(token, 0, alg="none"), *question) == "algorithm"
    assert await check_that_refuses(with_part(token, 0, alg="HS256"), *question) == "algorithm"
    assert await check_that_refuses(with_part(token, 0, alg="RS512"), *question) == "key"
    assert await check_that_refuses(with_part(token, 0, kid="other"), *question) == "key"
    assert await check_that_refuses(unsigned, *question) == "signature"
    assert await check_that_refuses(swapped, *question) == "signature"
    assert await check_that_refuses(token, keys, issuer, "another audience") == "audience"
    claims = (await verify_token(token, *question)).claims
    expired, early = claims["exp"] + LEEWAY, claims["iat"] - LEEWAY - 1
    assert await check_that_refuses(token, *question, now=expired) == "expiry"
    assert await check_that_refuses(token, *question, now=early) == "issued at"


async def test_keys_that_the_provider_replaces_are_fetched_again_and_its_old_tokens_refused(
    openid_provider: OpenIdProvider, keys: ProviderKeys, clock: Clock
) -> None:
    question = (keys, openid_provider.issuer, STS)
    before = openid_provider.machine_token("pipeline", "urn:sts")
    await verify_token(before, *question)
    openid_provider.rotate_keys()
    after = openid_provider.machine_token("pipeline", "urn:sts")
    assert await check_that_refuses(after, *question) == "key", "asked less than the interval ago"
    clock.ahead = REFRESH_INTERVAL + 1
    await verify_token(after, *question)
    assert await check_that_refuses(before, *question) == "key"


def metadata_of(provider: SamlProvider) -> ProviderMetadata:
    return parse_saml_metadata(provider.metadata())


def verify_saml(
    provider: SamlProvider,
    response: str,
    *,
    expected: Expected = Expected((CONSUMER_URL,), (AUDIENCE,)),  # noqa: B008  frozen
    keys: tuple[KeyPair, ...] = (OURS,),
    ahead: float = 0,
    metadata: ProviderMetadata | None = None,
) -> SamlAssertion:
    checks = Checks()
    return verify_response(
        read_response(response, checks),
        metadata or metadata_of(provider),
        [pair.private_pem for pair in keys],
        expected,
        time.time() + ahead,
        checks,
    )


def check_that_refuses_saml(provider: SamlProvider, response: str, **question: Any) -> str:
    with pytest.raises(CheckFailed) as failed:
        verify_saml(provider, response, **question)
    return failed.value.check.name


@pytest.mark.parametrize("protection", PROTECTIONS)
def test_a_response_is_proven_by_the_metadata_that_its_provider_publishes(
    saml_provider: SamlProvider, protection: str
) -> None:
    form = saml_provider.sign_in("alice", PROTECTIONS[protection], "/page")
    assert (form.action, form.values["RelayState"]) == (CONSUMER_URL, "/page")
    assertion = verify_saml(saml_provider, form.values["SAMLResponse"])
    assert (assertion.issuer, assertion.name_id.value) == (saml_provider.entity_id, "alice")
    assert (assertion.recipient, assertion.audiences) == (CONSUMER_URL, (AUDIENCE,))
    checks = Checks()
    assert saml_attributes.offered_roles(assertion, checks) == tuple(
        OfferedRole(*pair.split(",")) for pair in ROLES
    )
    assert saml_attributes.role_session_name(assertion, checks) == "alice@example.com"
    assert saml_attributes.session_duration(assertion, checks) == 1800
    brought = saml_attributes.session_attributes(assertion, checks)
    assert brought.tags == {"team": "blue", "CostCenter": "Zürich & <Genève>"}
    assert (brought.transitive_tag_keys, brought.source_identity) == (("team", "CostCenter"), "alice")
    found = saml_attributes.condition_keys(assertion, ACCOUNT, "idp")
    assert found["saml:sub"] == ("alice",)
    assert found["saml:sub_type"] == ("persistent",)
    assert found["saml:iss"] == (saml_provider.entity_id,)


@pytest.mark.parametrize("protection", ["signed response", "encrypted assertion"])
def test_a_response_to_a_request_is_proven_for_that_request_alone(
    saml_provider: SamlProvider, protection: str
) -> None:
    request_id, form = saml_provider.answer_request("alice", PROTECTIONS[protection])
    response = form.values["SAMLResponse"]
    expected = Expected((CONSUMER_URL,), (AUDIENCE,), request_id)
    assert verify_saml(saml_provider, response, expected=expected).name_id.value == "alice"
    other = Expected((CONSUMER_URL,), (AUDIENCE,), "_another")
    assert check_that_refuses_saml(saml_provider, response, expected=other) == "request"


def test_a_response_to_no_request_does_not_answer_one(saml_provider: SamlProvider) -> None:
    response = saml_provider.sign_in("alice", ServiceProvider()).values["SAMLResponse"]
    expected = Expected((CONSUMER_URL,), (AUDIENCE,), "_a-request")
    assert check_that_refuses_saml(saml_provider, response, expected=expected) == "request"


def replaced(response: str, old: str, new: str) -> str:
    text = b64decode(response).decode()
    assert old in text
    return b64encode(text.replace(old, new).encode()).decode()


def without_signatures(response: str) -> str:
    root = etree.fromstring(b64decode(response))
    for signature in list(root.iter(f"{SIGNATURE}Signature")):
        parent = signature.getparent()
        assert parent is not None
        parent.remove(signature)
    return b64encode(etree.tostring(root)).decode()


@pytest.mark.parametrize("protection", ["signed assertion", "signed response", "both signed"])
def test_a_response_of_which_one_thing_is_changed_is_refused_by_the_check_that_is_named(
    saml_provider: SamlProvider, protection: str
) -> None:
    metadata = metadata_of(saml_provider)
    response = saml_provider.sign_in("alice", PROTECTIONS[protection]).values["SAMLResponse"]

    def refused_by(changed: str = response, **question: Any) -> str:
        return check_that_refuses_saml(saml_provider, changed, **{"metadata": metadata, **question})

    assert refused_by(replaced(response, ">blue<", ">red<")) == "signature"
    assert refused_by(replaced(response, "role/reader", "role/admin")) == "signature"
    assert refused_by(replaced(response, ">alice<", "><!-- -->alice<")) == "document"
    assert refused_by(without_signatures(response)) == "signed"
    elsewhere = "https://broker.example.com/saml"
    assert refused_by(expected=Expected((elsewhere,), (AUDIENCE,))) == "destination"
    assert refused_by(expected=Expected((CONSUMER_URL,), (elsewhere,))) == "audience"
    assert refused_by(ahead=600) == "redemption"
    assert refused_by(ahead=-600) == "issue instant"
    stranger = ProviderMetadata(metadata.entity_id, (KeyPair("a stranger").pem,))
    assert refused_by(metadata=stranger) == "signature"
    other_name = ProviderMetadata("https://idp.example.com", metadata.certificates)
    assert refused_by(metadata=other_name) == "issuer"


def test_an_encrypted_assertion_is_opened_by_our_key_alone(saml_provider: SamlProvider) -> None:
    response = saml_provider.sign_in("alice", PROTECTIONS["encrypted assertion"]).values["SAMLResponse"]
    assert "alice" not in b64decode(response).decode()
    assert check_that_refuses_saml(saml_provider, response, keys=()) == "private keys"
    assert check_that_refuses_saml(saml_provider, response, keys=(KeyPair("other"),)) == "decryption"
    rollover = (KeyPair("newer"), OURS)
    assert verify_saml(saml_provider, response, keys=rollover).name_id.value == "alice"


def test_an_unsigned_response_is_refused(saml_provider: SamlProvider) -> None:
    unsigned = ServiceProvider(signs_assertion=False)
    response = saml_provider.sign_in("alice", unsigned).values["SAMLResponse"]
    assert check_that_refuses_saml(saml_provider, response) == "signed"


def test_a_signature_with_sha1_is_refused_unless_a_setting_admits_it(simplesamlphp: SimpleSamlPhp) -> None:
    weak = ServiceProvider(signature_algorithm=SHA1)
    response = simplesamlphp.sign_in("alice", weak).values["SAMLResponse"]
    assert check_that_refuses_saml(simplesamlphp, response) == "signature algorithm"
    admitted = Expected((CONSUMER_URL,), (AUDIENCE,), allow_sha1=True)
    assert verify_saml(simplesamlphp, response, expected=admitted).name_id.value == "alice"


def test_a_provider_that_answers_with_a_failure_is_refused_by_its_status(
    simplesamlphp: SimpleSamlPhp,
) -> None:
    """It was asked to let in without a sign-in who has not signed in."""
    simplesamlphp.add_consumer(ServiceProvider())
    _, url = authentication_request(ServiceProvider(), simplesamlphp.sign_on_url, is_passive=True)
    response = Browser().get(url).form("SAMLResponse").values["SAMLResponse"]
    assert "status:NoPassive" in b64decode(response).decode()
    assert check_that_refuses_saml(simplesamlphp, response) == "status"


def test_people_whose_names_differ_in_white_space_are_different_subjects(saml_provider: SamlProvider) -> None:
    for name in ("alice\u00a0", "alice "):
        saml_provider.add_user(name, SAML_ALICE)
        response = saml_provider.sign_in(name, ServiceProvider()).values["SAMLResponse"]
        assert verify_saml(saml_provider, response).name_id.value == name


def test_both_keys_are_trusted_while_the_provider_replaces_its_key(simplesamlphp: SimpleSamlPhp) -> None:
    with simplesamlphp.replacing_its_key() as replace:
        metadata = metadata_of(simplesamlphp)
        assert len(metadata.certificates) == 2
        for _ in ("the old key", "the new key"):
            response = simplesamlphp.sign_in("alice", ServiceProvider()).values["SAMLResponse"]
            assert verify_saml(simplesamlphp, response, metadata=metadata).name_id.value == "alice"
            replace()
        assert len(metadata_of(simplesamlphp).certificates) == 1


def test_a_wrong_password_brings_no_response(saml_provider: SamlProvider) -> None:
    saml_provider.add_consumer(ServiceProvider())
    browser = Browser()
    page = browser.get(saml_provider.sign_on_url, spentityid=AUDIENCE)
    page = browser.submit(page.form("password"), username="alice", password="not hers")
    assert "SAMLResponse" not in page.text


def test_without_a_role_there_is_nothing_to_assume(saml_provider: SamlProvider) -> None:
    saml_provider.add_user("guest", User("a password", {f"{AWS}RoleSessionName": ["guest"]}))
    response = saml_provider.sign_in("guest", ServiceProvider()).values["SAMLResponse"]
    with pytest.raises(CheckFailed, match="no Role attribute"):
        saml_attributes.offered_roles(verify_saml(saml_provider, response), Checks())
