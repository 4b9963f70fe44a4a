"""AssumeRoleWithWebIdentity: a proven token, the role's trust policy, and what the session carries."""

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode

import msgspec
import pytest

from broker.protocol.shapes.sts import AssumeRoleWithWebIdentityRequest, PolicyDescriptorType
from broker.storage.records import OpenIdConnectProvider
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, ROLES
from tests.unit.assertions.conftest import CLIENT, ISSUER, Provider, usual_claims
from tests.unit.federating import no_federation
from tests.unit.sts.conftest import ACCOUNT, NOW, OTHER, role

NAME = "idp.example.com/realm"
PROVIDER = f"arn:aws:iam::{ACCOUNT}:oidc-provider/{NAME}"
ARN = f"arn:aws:iam::{ACCOUNT}:role/worker"
ACTIONS = ("sts:AssumeRoleWithWebIdentity", "sts:TagSession", "sts:SetSourceIdentity")
TAGS = "https://aws.amazon.com/tags"
DENIED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
NOT_VALIDATED = ("InvalidIdentityToken", "The web identity token that was passed could not be validated.")
IDP = Provider()
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
RECORD = OpenIdConnectProvider(account_id=ACCOUNT, url=ISSUER, client_ids=(CLIENT,), created_at=0)


def trust(*actions, principal=PROVIDER, condition=None, effect="Allow"):
    statement = {
        "Effect": effect,
        "Principal": {"Federated": principal},
        "Action": list(actions or ACTIONS),
        "Condition": condition or {},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def asked(token=None, **more):
    request = {
        "role_arn": ARN,
        "role_session_name": "session",
        "web_identity_token": token or IDP.sign(usual_claims()),
    }
    return AssumeRoleWithWebIdentityRequest(**{**request, **more})


def claiming(**claims):
    return asked(IDP.sign(usual_claims(**claims)))


@pytest.fixture
async def world(sts):
    """One provider whose keys are known, and one role that trusts it."""
    sts.federation = no_federation(NOW, {ISSUER: IDP.keys, "https://accounts.google.com": IDP.keys})
    await sts.put(OPEN_ID_CONNECT_PROVIDERS, RECORD)
    await sts.put(ROLES, role("worker", trust()))
    return sts


async def test_a_proven_subject_gets_a_session_of_the_role(world):
    answer = await world(asked())
    assert answer.assumed_role_user.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/session"
    assert (answer.subject_from_web_identity_token, answer.audience) == ("alice", CLIENT)
    assert (answer.provider, answer.packed_policy_size) == (PROVIDER, None)
    claims = world.claims(answer)
    assert (claims.role_id, claims.federated_provider, claims.chained) == ("AROAWORKER", PROVIDER, False)
    assert dict(claims.context) == {f"{NAME}:aud": (CLIENT,), f"{NAME}:sub": ("alice",)}
    assert claims.expires_at == NOW + 3600


@pytest.mark.parametrize(
    ("condition", "claims"),
    [
        ({"StringEquals": {f"{NAME}:sub": "alice"}}, {}),
        ({"StringEquals": {f"{NAME}:AUD": CLIENT}}, {}),
        ({"StringLike": {f"{NAME}:repository": "org/*"}}, {"repository": "org/app"}),
        ({"ForAnyValue:StringEquals": {f"{NAME}:amr": "mfa"}}, {"amr": ["pwd", "mfa"]}),
        (
            {"StringEquals": {f"{NAME}:kubernetes.io/namespace": "prod"}},
            {"kubernetes.io": {"namespace": "prod"}},
        ),
        ({"StringEquals": {"sts:RoleSessionName": "session"}}, {}),
    ],
    ids=str,
)
async def test_a_condition_reads_the_tokens_claims(world, condition, claims):
    await world.put(ROLES, role("worker", trust(condition=condition)))
    assert (await world(claiming(**claims))).subject_from_web_identity_token == "alice"


async def test_a_condition_that_does_not_hold_refuses(world):
    await world.put(ROLES, role("worker", trust(condition={"StringEquals": {f"{NAME}:sub": "bob"}})))
    assert await world.refused(asked()) == DENIED
    assert ARN in world.reason


async def test_no_claim_fills_a_global_key(world):
    condition = {"StringEquals": {"aws:PrincipalTag/team": "blue"}}
    await world.put(ROLES, role("worker", trust(condition=condition)))
    claims = {"aws:PrincipalTag/team": "blue", TAGS: {"principal_tags": {"team": ["blue"]}}}
    assert await world.refused(claiming(**claims)) == DENIED


@pytest.mark.parametrize(
    "policy",
    [
        trust(principal=f"arn:aws:iam::{ACCOUNT}:oidc-provider/other.example.com"),
        trust(principal="accounts.google.com"),
        trust("sts:AssumeRole"),
        trust("sts:AssumeRoleWithSAML"),
        trust(effect="Deny"),
    ],
)
async def test_a_role_that_does_not_trust_the_provider_is_not_given(world, policy):
    await world.put(ROLES, role("worker", policy))
    assert await world.refused(asked()) == DENIED


async def test_a_role_that_is_not_there_is_refused_in_the_same_words(world):
    assert await world.refused(asked(role_arn=f"arn:aws:iam::{ACCOUNT}:role/ghost")) == DENIED


async def test_a_provider_proves_nothing_in_another_account(world):
    code, message = await world.refused(asked(role_arn=f"arn:aws:iam::{OTHER}:role/worker"))
    assert (code, message) == (
        "InvalidIdentityToken",
        f"No OpenIDConnect provider found in your account for {ISSUER}",
    )


async def test_an_issuer_is_found_by_its_whole_url(world):
    for issuer in (ISSUER + "/", ISSUER.replace("https", "http"), "https://idp.example.com", None, 7):
        code, message = await world.refused(claiming(iss=issuer))
        assert code == "InvalidIdentityToken"
        assert message.startswith("No OpenIDConnect provider found in your account for ")


@pytest.mark.parametrize(
    ("claims", "refusal"),
    [
        ({"aud": "other"}, ("InvalidIdentityToken", "Incorrect token audience")),
        (
            {"exp": NOW - 100},
            (
                "ExpiredTokenException",
                f"Token expired: current date/time {int(NOW)} must be before the expiration date/time {int(NOW) - 100}",
            ),
        ),
        (
            {"iat": NOW - 90_000},
            ("ExpiredTokenException", "Token must be redeemed within 24 hours of issuance"),
        ),
        (
            {"nbf": NOW + 100},
            ("InvalidIdentityToken", "The web identity token that was passed could not be validated."),
        ),
        (
            {"sub": None},
            ("InvalidIdentityToken", "The web identity token that was passed could not be validated."),
        ),
    ],
    ids=str,
)
async def test_a_token_that_does_not_hold_is_refused_and_the_journal_names_the_check(world, claims, refusal):
    assert await world.refused(claiming(**claims)) == refusal
    assert world.reason.startswith("check failed: ")


async def test_what_is_no_token_is_refused(world):
    code, message = await world.refused(asked("not a token"))
    assert code == "InvalidIdentityToken"
    assert message.startswith("The ID Token provided is not a valid JWT.")
    assert world.reason == "check failed: parts: found 1, wanted 3 parts, separated by dots"


async def test_a_provider_that_cannot_be_reached_and_an_unknown_key_are_told_alike(world):
    unknown = await world.refused(asked(IDP.sign(usual_claims(), header={"kid": "unknown"})))
    assert world.reason.startswith("check failed: key")
    world.federation = no_federation(NOW)
    away = await world.refused(asked())
    assert away == unknown
    assert away[1].startswith("Couldn't retrieve verification key from your identity provider,  please")
    assert "cannot be reached" in world.reason


async def test_a_forged_signature_is_refused(world):
    assert (await world.refused(asked(Provider().sign(usual_claims()))))[0] == "InvalidIdentityToken"
    assert world.reason.startswith("check failed: signature")


async def test_tags_transitive_keys_and_the_source_identity_come_from_the_token(world):
    claims = {
        TAGS: {"principal_tags": {"team": ["blue"], "stage": ["prod"]}, "transitive_tag_keys": ["team"]},
        "https://aws.amazon.com/source_identity": "alice@example.com",
    }
    answer = await world(claiming(**claims))
    minted = world.claims(answer)
    assert (dict(minted.tags), minted.transitive_tag_keys) == ({"team": "blue", "stage": "prod"}, ("team",))
    assert minted.source_identity == answer.source_identity == "alice@example.com"
    assert answer.packed_policy_size is not None


@pytest.mark.parametrize("missing", ["sts:TagSession", "sts:SetSourceIdentity"])
async def test_tags_and_the_source_identity_are_permissions_of_their_own(world, missing):
    await world.put(ROLES, role("worker", trust(*(action for action in ACTIONS if action != missing))))
    claims = {TAGS: {"principal_tags": {"team": ["blue"]}}, "https://aws.amazon.com/source_identity": "alice"}
    assert await world.refused(claiming(**claims)) == ("AccessDenied", f"Not authorized to perform {missing}")


async def test_a_trust_policy_reads_the_tags_that_the_session_is_to_get(world):
    condition = {
        "StringEquals": {"aws:RequestTag/team": "blue", "sts:SourceIdentity": "alice"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["team"], "sts:TransitiveTagKeys": ["team"]},
    }
    await world.put(ROLES, role("worker", trust(condition=condition)))
    tags = {"principal_tags": {"team": ["blue"]}, "transitive_tag_keys": ["team"]}
    source = {"https://aws.amazon.com/source_identity": "alice"}
    assert await world(claiming(**{TAGS: tags}, **source))
    tags["principal_tags"]["team"] = ["red"]
    assert await world.refused(claiming(**{TAGS: tags}, **source)) == DENIED


@pytest.mark.parametrize(
    "tags",
    [
        {"principal_tags": {"aws:team": ["blue"]}},
        {"principal_tags": {"team": ["blue"], "TEAM": ["red"]}},
        {"principal_tags": {"team": ["b" * 257]}},
        {"principal_tags": {"t" * 129: ["blue"]}},
        {"principal_tags": {"team": ["<blue>"]}},
        {"principal_tags": {str(number): ["x"] for number in range(51)}},
        {"transitive_tag_keys": ["team"]},
    ],
    ids=lambda tags: str(tags)[:40],
)
async def test_tags_that_no_session_may_have_are_refused(world, tags):
    assert (await world.refused(claiming(**{TAGS: tags})))[0] == "InvalidParameterValue"


async def test_a_source_identity_that_is_none_is_refused(world):
    for name in ("a", "a b", "a" * 65):
        refusal = await world.refused(claiming(**{"https://aws.amazon.com/source_identity": name}))
        assert refusal[0] == "InvalidParameterValue"


async def test_a_session_policy_limits_the_session_and_the_role_its_duration(world):
    policy = '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"s3:*","Resource":"*"}}'
    answer = await world(msgspec.structs.replace(asked(), policy=policy, duration_seconds=900))
    minted = world.claims(answer)
    assert (minted.session_policy, minted.expires_at) == (policy, NOW + 900)
    assert (await world.refused(msgspec.structs.replace(asked(), duration_seconds=7200)))[
        0
    ] == "ValidationError"
    missing = (PolicyDescriptorType(arn=f"arn:aws:iam::{ACCOUNT}:policy/ghost"),)
    assert (await world.refused(msgspec.structs.replace(asked(), policy_arns=missing)))[
        0
    ] == "ValidationError"


async def test_google_is_known_to_every_account_by_its_name(world):
    condition = {"StringEquals": {"accounts.google.com:aud": "app"}}
    await world.put(ROLES, role("worker", trust(principal="accounts.google.com", condition=condition)))
    for issuer in ("https://accounts.google.com", "accounts.google.com"):
        answer = await world(claiming(iss=issuer, aud="app"))
        assert (answer.provider, answer.audience) == ("accounts.google.com", "app")
        assert await world.refused(claiming(iss=issuer, aud="other")) == DENIED


async def test_a_token_is_good_once_where_the_operator_says_so(world):
    again = asked(IDP.sign(usual_claims(jti="one")))
    assert await world(again)
    assert await world(again)
    world.federation = no_federation(NOW, {ISSUER: IDP.keys}, single_use=True)
    assert await world(again)
    assert (await world.refused(again))[0] == "InvalidIdentityToken"
    assert "used before" in world.reason
    assert await world(asked(IDP.sign(usual_claims(jti="two"))))


def resigned(token):
    """The same token with the other signature that ECDSA has for it: (r, n - s) holds wherever (r, s) does."""
    said, _, signature = token.rpartition(".")
    raw = urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    half = len(raw) // 2
    other = P256_ORDER - int.from_bytes(raw[half:])
    return f"{said}.{urlsafe_b64encode(raw[:half] + other.to_bytes(half)).decode().rstrip('=')}"


async def test_a_token_without_an_id_is_good_once_whatever_its_signature_is_written_as(world):
    world.federation = no_federation(NOW, {ISSUER: IDP.keys}, single_use=True)
    token = IDP.sign(usual_claims(), "p256")
    assert await world(asked(token))
    assert (await world.refused(asked(resigned(token))))[0] == "InvalidIdentityToken"
    assert "used before" in world.reason


async def test_a_token_of_a_refused_request_is_not_used_up(world):
    world.federation = no_federation(NOW, {ISSUER: IDP.keys}, single_use=True)
    token = IDP.sign(usual_claims(jti="one"))
    assert await world.refused(asked(token, role_arn=f"arn:aws:iam::{ACCOUNT}:role/ghost")) == DENIED
    assert await world(asked(token))


async def test_a_provider_id_of_an_openid_connect_provider_is_refused(world):
    assert (await world.refused(asked(provider_id="accounts.google.com")))[0] == "InvalidParameterValue"


async def test_long_claims_do_not_stay_with_the_session(world):
    minted = world.claims(await world(claiming(email="a" * 300)))
    assert f"{NAME}:email" not in dict(minted.context)
