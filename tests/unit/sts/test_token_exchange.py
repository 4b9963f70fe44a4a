"""Token exchange: the operation behind each subject token, what the token says, and the codes of refusals."""

import asyncio
import json
import secrets

import jwt
import pytest
from msgspec.structs import replace

from broker.access.sessions import opened_caller
from broker.credentials.issuer_keys import new_token_keys
from broker.errors import Refusal, access_denied, service_unavailable, validation_error
from broker.federation.federation import IssuerRules
from broker.protocol.shapes.sts import GetScopedCredentialsRequest, GetWebIdentityTokenRequest
from broker.sealing.key import KEY_ENTROPY
from broker.sealing.keyring import drop, promote, stage
from broker.sealing.session import open_session
from broker.storage.records import OpenIdConnectProvider, TokenIssuer
from broker.storage.session_records import WHOLE_ACCOUNT, Revocation, Revocations
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, REVOCATIONS, ROLES, TOKEN_ISSUERS, USERS
from broker.sts.issued_tokens import OwnIssuer, introspect, revoke
from broker.sts.session_policies import NOT_ATTACHABLE
from broker.sts.session_references import REFERENCE_CLAIM
from broker.sts.token_exchange import SESSION_CLAIM, as_oauth_refusal, exchange, prove_subject
from broker.sts.token_requests import (
    ACCESS_TOKEN,
    CREDENTIALS,
    JWT,
    SAML2,
    SIGNED_REQUEST,
    ExchangeRequest,
)
from tests.unit.assertions.conftest import CLIENT, ISSUER, Provider, usual_claims
from tests.unit.federating import no_federation
from tests.unit.sts.conftest import ACCOUNT, NOW, role, user, user_caller

URL = "https://sts.example.com"
ID = "0b8e5b26-9c52-4a3e-8f0c-6a1f6f0f7a11"
OWN = f"{URL}/{ID}"
ARN = f"arn:aws:iam::{ACCOUNT}:role/worker"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com/realm"
IDP = Provider()


@pytest.fixture(scope="module")
def keys():
    """Made once: an RSA key takes a tenth of a second."""
    return asyncio.run(new_token_keys(("ES384", "RS256"), NOW, NOW, secrets.token_bytes))


def trusting(*statements):
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


FEDERATED = {
    "Effect": "Allow",
    "Principal": {"Federated": PROVIDER},
    "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
}
ACCOUNT_ITSELF = {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:AssumeRole"}


class World:
    """One issuer, one provider whose keys are known, and the role `worker` that trusts it and its own account."""

    def __init__(self, sts, keys):
        self.sts = sts
        self.issuer = OwnIssuer(ACCOUNT, OWN, TokenIssuer(issuer_id=ID, is_enabled=True, keys=keys))
        self.caller = None

    async def signed(self):
        assert self.caller is not None, "only a signed request asks who signed it"
        return self.caller

    async def __call__(self, **changed):
        usual = {
            "unverified_subject_token": IDP.sign(usual_claims()),
            "subject_token_type": JWT,
            "issued_token_type": ACCESS_TOKEN,
            "role_arn": ARN,
            "audience": ("service",),
        }
        asked = ExchangeRequest(**{**usual, **changed})
        sts = self.sts

        async def work(store):
            subject = await prove_subject(
                sts.federation, store, sts.facts, sts._mint.keyring(), self.issuer, asked, self.signed
            )
            return await exchange(sts.call(store, subject.caller), self.issuer, asked, subject)

        return await sts.store.transact(work)

    async def refused(self, **changed):
        with pytest.raises(Refusal) as refusal:
            await self(**changed)
        self.reason = as_oauth_refusal(refusal.value).reason
        return as_oauth_refusal(refusal.value).code

    async def introspect(self, token, now=NOW):
        store = self.sts.store.transaction()
        return await introspect(self.sts.federation, self.sts.ring, store, self.issuer, token, now)

    async def revoke(self, token):
        async def work(store):
            return await revoke(self.sts.federation, self.sts.ring, store, self.issuer, token, NOW)

        return await self.sts.store.transact(work)


def claims_of(issued):
    return jwt.decode(issued.token.text, options={"verify_signature": False})


@pytest.fixture
async def world(sts, keys):
    sts.federation = no_federation(NOW, {ISSUER: IDP.keys}, issuer=IssuerRules(URL))
    made = World(sts, keys)
    provider = OpenIdConnectProvider(account_id=ACCOUNT, url=ISSUER, client_ids=(CLIENT,), created_at=0)
    await sts.put(OPEN_ID_CONNECT_PROVIDERS, provider)
    await sts.put(TOKEN_ISSUERS, made.issuer.record)
    await sts.put(ROLES, role("worker", trusting(FEDERATED, ACCOUNT_ITSELF)))
    return made


async def test_a_providers_token_is_exchanged_for_a_token_of_the_role(world):
    issued = await world()
    claims = claims_of(issued)
    assert (claims["iss"], claims["sub"], claims["aud"]) == (OWN, ARN, "service")
    assert (claims["iat"], claims["exp"]) == (NOW, NOW + 300)
    assert SESSION_CLAIM not in claims
    assert jwt.get_unverified_header(issued.token.text)["typ"] == "at+jwt"


async def test_a_providers_token_is_exchanged_for_credentials(world):
    exchanged = await world(issued_token_type=CREDENTIALS, audience=(), duration=900)
    claims = world.sts.claims(exchanged.answer)
    assert (claims.session_name, claims.expires_at) == ("token-exchange", NOW + 900)
    assert exchanged.token is None


async def test_a_signed_request_is_exchanged_by_the_one_who_signed_it(world):
    world.caller = user_caller(user(), access_key_id="AKIAALICE")
    wanted = {"subject_token_type": SIGNED_REQUEST, "issued_token_type": CREDENTIALS, "audience": ()}
    exchanged = await world(unverified_subject_token="AKIAALICE", **wanted)
    assert world.sts.claims(exchanged.answer).issuer_access_key_id == "AKIAALICE"
    assert await world.refused(unverified_subject_token="AKIABOB", **wanted) == "invalid_request"


async def test_a_token_that_may_be_used_once_is_exchanged_once(world):
    world.sts.federation = replace(world.sts.federation, single_use=True)
    token = IDP.sign(usual_claims(jti="1"))
    await world(unverified_subject_token=token)
    assert await world.refused(unverified_subject_token=token) == "invalid_request"
    assert "single use" in world.reason


async def test_what_is_refused_uses_nothing_up(world):
    world.sts.federation = replace(world.sts.federation, single_use=True)
    token = IDP.sign(usual_claims(jti="1"))
    ghost = f"arn:aws:iam::{ACCOUNT}:role/ghost"
    assert await world.refused(unverified_subject_token=token, role_arn=ghost) == "invalid_target"
    assert await world(unverified_subject_token=token)


@pytest.mark.parametrize("text", ["PHNhbWw+", "a", "é", "PHNhbWw", "-_-_"])
async def test_what_is_no_saml_response_in_base64url_is_refused(world, text):
    arn = f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"
    code = await world.refused(
        subject_token_type=SAML2, unverified_subject_token=text, provider_arn=arn, audience=("service",)
    )
    assert code == "invalid_request"


async def test_an_own_token_carries_its_session_for_the_issuer_alone(world):
    own = await world(audience=(OWN,))
    assert SESSION_CLAIM in claims_of(own)
    assert SESSION_CLAIM not in claims_of(await world(audience=(OWN, "service")))
    wanted = {"subject_token_type": ACCESS_TOKEN, "issued_token_type": CREDENTIALS, "audience": ()}
    exchanged = await world(unverified_subject_token=own.token.text, **wanted)
    assert world.sts.claims(exchanged.answer).chained
    other = (await world()).token.text
    assert await world.refused(unverified_subject_token=other, **wanted) == "invalid_request"
    assert "check failed: audience" in world.reason


async def test_an_own_token_is_good_while_its_session_lives(world):
    own = (await world(audience=(OWN,), duration=60)).token.text
    world.sts.facts = replace(world.sts.facts, now=NOW + 60)
    wanted = {"subject_token_type": ACCESS_TOKEN, "issued_token_type": CREDENTIALS, "audience": ()}
    assert await world.refused(unverified_subject_token=own, **wanted) == "invalid_request"
    assert "check failed: own expiry" in world.reason


async def test_an_own_token_ends_with_its_role_and_a_namesake_is_another(world):
    own = (await world(audience=(OWN,))).token.text
    assert (await world.introspect(own))["active"]
    namesake = role("worker", trusting(FEDERATED, ACCOUNT_ITSELF))
    await world.sts.put(ROLES, replace(namesake, role_id="AROAOTHER", created_at=int(NOW) + 1))
    assert await world.introspect(own) == {"active": False}
    await world.sts.put(ROLES, replace(namesake, role_id="AROAOTHER"))
    wanted = {"subject_token_type": ACCESS_TOKEN, "issued_token_type": CREDENTIALS, "audience": ()}
    assert await world.refused(unverified_subject_token=own, **wanted) == "invalid_request"


@pytest.mark.parametrize("subject", ["AROAWORKER", WHOLE_ACCOUNT])
async def test_a_token_ends_where_the_sessions_of_its_role_are_revoked(world, subject):
    own, other = [(await world(audience=(audience,))).token.text for audience in (OWN, "service")]
    revocation = Revocation(issued_before=int(NOW) + 1, ends_at=int(NOW) + 3600, revoked_at=int(NOW))

    async def revoke_sessions(store):
        record = Revocations(by_subject={subject: revocation})
        store.put(REVOCATIONS, ACCOUNT, record, key="", expires_at=NOW + 3600)

    await world.sts.store.transact(revoke_sessions)
    assert await world.introspect(own) == await world.introspect(other) == {"active": False}
    wanted = {"subject_token_type": ACCESS_TOKEN, "issued_token_type": CREDENTIALS, "audience": ()}
    assert await world.refused(unverified_subject_token=own, **wanted) == "invalid_request"
    assert "check failed: sessions revoked" in world.reason


@pytest.mark.parametrize("audience", [OWN, "service"])
async def test_a_token_ends_with_its_very_session_and_that_of_another_session_does_not(world, audience):
    first, second = [await world(audience=(audience,)) for _ in range(2)]
    key_id = first.answer.credentials.access_key_id
    revocation = Revocation(issued_before=0, ends_at=int(NOW) + 3600, revoked_at=int(NOW))

    async def revoke_session(store):
        record = Revocations(by_subject={key_id: revocation})
        store.put(REVOCATIONS, ACCOUNT, record, key="", expires_at=NOW + 3600)

    assert (await world.introspect(first.token.text))["active"]
    await world.sts.store.transact(revoke_session)
    assert await world.introspect(first.token.text) == {"active": False}
    assert await world.revoke(first.token.text) is None
    assert (await world.introspect(second.token.text))["active"]


async def test_a_token_ends_with_the_key_that_sealed_its_session(world):
    token = (await world()).token.text
    old = world.sts.ring
    world.sts.ring = promote(stage(old, NOW, secrets.token_bytes(KEY_ENTROPY)), NOW, 3600)
    assert (await world.introspect(token))["active"]
    later = (await world()).token.text
    world.sts.ring = drop(world.sts.ring, old.primary.id)
    assert await world.introspect(token) == {"active": False}
    assert (await world.introspect(later))["active"]


async def test_a_token_that_a_session_asked_for_itself_ends_with_the_session_and_with_its_original(world):
    opened = open_session(world.sts.ring, (await world()).answer.credentials.session_token)
    parent = await opened_caller(world.sts.store.transaction(), opened)
    scoped = await world.sts(GetScopedCredentialsRequest(duration_seconds=600), parent)
    child = await opened_caller(
        world.sts.store.transaction(), open_session(world.sts.ring, scoped.credentials.session_token)
    )
    request = GetWebIdentityTokenRequest(audience=("service",), signing_algorithm="RS256")
    token = (await world.sts(request, child)).web_identity_token
    assert (await world.introspect(token))["active"]
    revocation = Revocation(issued_before=0, ends_at=int(NOW) + 3600, revoked_at=int(NOW))

    async def revoke_parent(store):
        record = Revocations(by_subject={parent.access_key_id: revocation})
        store.put(REVOCATIONS, ACCOUNT, record, key="", expires_at=NOW + 3600)

    await world.sts.store.transact(revoke_parent)
    assert await world.introspect(token) == {"active": False}


async def test_a_token_of_a_long_term_key_has_no_session(world):
    alice = user()
    await world.sts.put(USERS, alice)
    request = GetWebIdentityTokenRequest(audience=("service",), signing_algorithm="RS256")
    token = (await world.sts(request, user_caller(alice))).web_identity_token
    assert REFERENCE_CLAIM not in jwt.decode(token, options={"verify_signature": False})
    assert (await world.introspect(token))["active"]


async def test_a_revoked_token_is_good_no_more_and_others_are(world):
    first, second = [(await world()).token for _ in range(2)]
    claims = await world.revoke(first.text)
    assert claims.claims["jti"] == first.token_id
    assert await world.introspect(first.text) == {"active": False}
    assert (await world.introspect(second.text))["jti"] == second.token_id
    assert await world.revoke(first.text) is None


async def test_introspection_knows_the_end_of_a_token(world):
    token = (await world(duration=60)).token.text
    assert (await world.introspect(token, NOW + 59))["active"]
    assert await world.introspect(token, NOW + 60) == {"active": False}


@pytest.mark.parametrize("text", ["", "x", "a.b.c", "é.é.é", "x" * 30_000])
async def test_what_is_no_token_is_not_active_and_nothing_to_revoke(world, text):
    assert await world.introspect(text) == {"active": False}
    assert await world.revoke(text) is None


@pytest.mark.parametrize(
    ("refusal", "code", "status"),
    [
        (Refusal("InvalidIdentityToken", "no"), "invalid_request", None),
        (Refusal("ExpiredTokenException", "no"), "invalid_request", None),
        (access_denied("no"), "invalid_target", None),
        (validation_error(f"The policy ARN x {NOT_ATTACHABLE}"), "invalid_scope", None),
        (validation_error("no"), "invalid_request", None),
        (service_unavailable("away"), "temporarily_unavailable", 503),
        (Refusal("InternalFailure", "no"), "server_error", 500),
        (Refusal("invalid_client", "no", status=401), "invalid_client", 401),
    ],
)
def test_refusals_have_the_codes_of_the_rfcs(refusal, code, status):
    oauth_refusal = as_oauth_refusal(refusal)
    assert (oauth_refusal.code, oauth_refusal.status, oauth_refusal.message) == (
        code,
        status,
        refusal.message,
    )
    assert oauth_refusal is refusal or oauth_refusal.reason.startswith(refusal.code)
