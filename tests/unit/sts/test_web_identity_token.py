"""GetWebIdentityToken: who may ask, what the token says, and what is refused."""

import asyncio
import json
import secrets

import jwt
import pytest
from msgspec.structs import replace

from broker.access.caller import Caller, root_caller
from broker.credentials.issuer_keys import new_token_keys
from broker.federation.federation import IssuerRules
from broker.names import principal
from broker.protocol.shapes.sts import AssumeRoleWithWebIdentityRequest, GetWebIdentityTokenRequest, Tag
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import TokenIssuer
from broker.storage.store import ORGANIZATION, TOKEN_ISSUERS
from tests.unit.federating import no_federation
from tests.unit.sts.conftest import ACCOUNT, NOW, role, session_caller, user, user_caller

URL = "https://sts.example.com"
ISSUER = f"{URL}/0b8e5b26-9c52-4a3e-8f0c-6a1f6f0f7a11"
AUDIENCE = "https://service.example.com"
OWN = "https://sts.amazonaws.com/"
DISABLED = (
    "OutboundWebIdentityFederationDisabledException",
    "Outbound web identity federation is disabled for this account.",
)
ALICE = user("alice", path="/team/", tags={"team": "blue"})


def asked(**more):
    request = {"audience": (AUDIENCE,), "signing_algorithm": "ES384"}
    return GetWebIdentityTokenRequest(**{**request, **more})


def policy(*statements):
    return {"only": json.dumps({"Version": "2012-10-17", "Statement": list(statements)})}


def allow(*actions, **more):
    return {"Effect": "Allow", "Action": list(actions), "Resource": "*", **more}


@pytest.fixture(scope="module")
def keys():
    """Made once: an RSA key takes a tenth of a second."""
    return asyncio.run(new_token_keys(("ES384", "RS256"), NOW, NOW, secrets.token_bytes))


@pytest.fixture
async def issuing(sts, keys):
    sts.federation = no_federation(NOW, issuer=IssuerRules(URL))
    issuer = TokenIssuer(issuer_id=ISSUER.rpartition("/")[2], is_enabled=True, keys=keys)
    await sts.put(TOKEN_ISSUERS, issuer)
    sts.issuer = issuer
    return sts


def read(sts, answer):
    """The claims, as a verifier reads them that has the published keys; its clock is not this test's."""
    header = jwt.get_unverified_header(answer.web_identity_token)
    published = {key.key_id: key.public_key for key in sts.issuer.keys}
    return jwt.decode(
        answer.web_identity_token,
        jwt.PyJWK.from_json(published[header["kid"]]),
        algorithms=[header["alg"]],
        options={"verify_exp": False, "verify_iat": False, "verify_aud": False},
    )


async def test_a_users_token_says_who_the_user_is(issuing):
    answer = await issuing(asked(), user_caller(ALICE, tags=ALICE.tags))
    claims = read(issuing, answer)
    assert len(claims.pop("jti")) == 36
    arn = f"arn:aws:iam::{ACCOUNT}:user/team/alice"
    assert claims == {
        "iss": ISSUER,
        "sub": arn,
        "aud": AUDIENCE,
        "iat": int(NOW),
        "exp": int(NOW) + 300,
        OWN: {
            "aws_account": ACCOUNT,
            "source_region": "us-east-1",
            "principal_id": arn,
            "principal_tags": {"team": "blue"},
        },
    }
    assert answer.expiration == NOW + 300


@pytest.mark.parametrize("algorithm", ["ES384", "RS256"])
async def test_the_token_is_signed_as_asked(issuing, algorithm):
    answer = await issuing(asked(signing_algorithm=algorithm), user_caller(ALICE))
    assert jwt.get_unverified_header(answer.web_identity_token)["alg"] == algorithm
    assert read(issuing, answer)["iss"] == ISSUER


async def test_two_tokens_differ_in_their_id(issuing):
    tokens = [read(issuing, await issuing(asked(), user_caller(ALICE))) for _ in range(2)]
    assert tokens[0]["jti"] != tokens[1]["jti"]


async def test_a_sessions_token_names_the_role_and_what_the_session_carries(issuing):
    caller = session_caller(
        role("worker", "{}", path="/x/", tags={"team": "red"}),
        token_expires_at=int(NOW) + 900,
        tags={"team": "blue"},
        source_identity="carol",
        federated_provider=f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com",
        role_delivery="2.0",
        session_keys={"ec2:sourceinstancearn": ("arn:aws:ec2:eu-west-1:1:instance/i-1",)},
    )
    claims = read(issuing, await issuing(asked(), caller))
    arn = f"arn:aws:iam::{ACCOUNT}:role/x/worker"
    assert claims["sub"] == arn
    assert claims[OWN] == {
        "aws_account": ACCOUNT,
        "source_region": "us-east-1",
        "principal_id": arn,
        "federated_provider": f"arn:aws:iam::{ACCOUNT}:oidc-provider/idp.example.com",
        "source_identity": "carol",
        "ec2_role_delivery": "2.0",
        "ec2_source_instance_arn": "arn:aws:ec2:eu-west-1:1:instance/i-1",
        "original_session_exp": "2027-01-15T08:15:00Z",
        "principal_tags": {"team": "blue"},
    }


async def test_what_an_assertion_claims_is_never_a_claim_of_the_brokers_own(issuing):
    caller = session_caller(
        role("worker", "{}"),
        token_expires_at=int(NOW) + 900,
        session_keys={"aws:sourceidentity": ("root",), "aws:federatedprovider": ("any",)},
    )
    own = read(issuing, await issuing(asked(), caller))[OWN]
    assert own.keys() == {"aws_account", "source_region", "principal_id", "original_session_exp"}


async def test_an_account_of_an_organization_says_where_it_is(issuing):
    organization = Organization(
        organization_id="o-abc1234567",
        management_account_id="999999999999",
        units={
            "r-ab12": OrganizationalUnit(parent=None),
            "ou-ab12-1": OrganizationalUnit(parent="r-ab12"),
        },
        accounts={ACCOUNT: OrganizationalUnit(parent="ou-ab12-1")},
    )
    await issuing.put(ORGANIZATION, organization)
    own = read(issuing, await issuing(asked(), user_caller(ALICE)))[OWN]
    assert (own["org_id"], own["ou_path"]) == ("o-abc1234567", ["o-abc1234567/r-ab12/ou-ab12-1/"])


async def test_several_audiences_are_a_list(issuing):
    answer = await issuing(asked(audience=("one", "two")), user_caller(ALICE))
    assert read(issuing, answer)["aud"] == ["one", "two"]


async def test_tags_of_the_request_are_claims(issuing):
    tags = (Tag(key="job", value="7"), Tag(key="Team", value="green"))
    own = read(issuing, await issuing(asked(tags=tags), user_caller(ALICE)))[OWN]
    assert own["request_tags"] == {"job": "7", "Team": "green"}


@pytest.mark.parametrize(
    ("tags", "message"),
    [
        (
            (("job", "7"), ("JOB", "8")),
            "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
        ),
        ((("aws:job", "7"),), "aws: prefixed tag key names are not allowed for external use."),
    ],
)
async def test_tags_that_are_none_are_refused(issuing, tags, message):
    request = asked(tags=tuple(Tag(key=key, value=value) for key, value in tags))
    assert await issuing.refused(request, user_caller(ALICE)) == ("InvalidParameterValue", message)


async def test_tags_need_a_permission_of_their_own(issuing):
    bob = replace(user("bob"), inline_policies=policy(allow("sts:GetWebIdentityToken")))
    assert (await issuing(asked(), user_caller(bob))).web_identity_token
    code, message = await issuing.refused(asked(tags=(Tag(key="job", value="7"),)), user_caller(bob))
    assert code == "AccessDenied"
    assert f"sts:TagGetWebIdentityToken on resource: arn:aws:sts::{ACCOUNT}:self" in message


CONDITION = {
    "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": [AUDIENCE]},
    "NumericLessThanEquals": {"sts:DurationSeconds": "300"},
    "StringEquals": {"sts:SigningAlgorithm": "ES384"},
    "Null": {"sts:IdentityTokenAudience": "false"},
}


@pytest.mark.parametrize(
    ("changed", "is_allowed"),
    [
        ({}, True),
        ({"duration_seconds": 60}, True),
        ({"audience": (AUDIENCE, "other")}, False),
        ({"duration_seconds": 301}, False),
        ({"signing_algorithm": "RS256"}, False),
    ],
    ids=str,
)
async def test_conditions_read_audience_duration_and_algorithm(issuing, changed, is_allowed):
    statement = allow("sts:GetWebIdentityToken", Condition=CONDITION)
    bob = replace(user("bob"), inline_policies=policy(statement))
    if is_allowed:
        assert (await issuing(asked(**changed), user_caller(bob))).web_identity_token
    else:
        code, message = await issuing.refused(asked(**changed), user_caller(bob))
        assert code == "AccessDenied"
        assert f"sts:GetWebIdentityToken on resource: arn:aws:sts::{ACCOUNT}:self" in message


@pytest.mark.parametrize("algorithm", ["RS384", "ES256", "HS256", "none ", "rs256"])
async def test_another_algorithm_is_refused(issuing, algorithm):
    expected = (
        f"1 validation error detected: Value '{algorithm}' at 'signingAlgorithm' failed to satisfy constraint: "
        "Member must satisfy enum value set: [ES384, RS256]"
    )
    request = asked(signing_algorithm=algorithm)
    assert await issuing.refused(request, user_caller(ALICE)) == ("ValidationError", expected)


@pytest.mark.parametrize(("left", "is_allowed"), [(300, True), (299, False)])
async def test_a_token_never_outlives_the_session_that_asks(issuing, left, is_allowed):
    caller = session_caller(role("worker", "{}"), token_expires_at=int(NOW) + left)
    if is_allowed:
        assert (await issuing(asked(), caller)).expiration == NOW + 300
    else:
        expected = (
            "SessionDurationEscalationException",
            "The requested token duration would extend the session beyond its original expiration time.",
        )
        assert await issuing.refused(asked(), caller) == expected
        assert (await issuing(asked(duration_seconds=60), caller)).expiration == NOW + 60


async def test_an_account_whose_issuer_is_off_gets_none(issuing):
    await issuing.put(TOKEN_ISSUERS, TokenIssuer(issuer_id="x", keys=issuing.issuer.keys))
    assert await issuing.refused(asked(), user_caller(ALICE)) == DISABLED
    assert issuing.reason == ""


async def test_an_account_that_never_was_an_issuer_gets_none(sts):
    sts.federation = no_federation(NOW, issuer=IssuerRules(URL))
    assert await sts.refused(asked(), user_caller(ALICE)) == DISABLED


async def test_without_an_issuers_url_nobody_gets_one_and_the_operator_reads_why(issuing):
    issuing.federation = no_federation(NOW)
    assert await issuing.refused(asked(), user_caller(ALICE)) == DISABLED
    assert issuing.reason == "federation.issuer_url is not set"


async def test_who_may_not_ask_does_not_learn_whether_the_issuer_is_on(sts):
    eve = replace(user("eve"), inline_policies={})
    assert (await sts.refused(asked(), user_caller(eve)))[0] == "AccessDenied"


@pytest.mark.parametrize(
    "caller",
    [root_caller(ACCOUNT), Caller(principal=principal.FederatedUser(ACCOUNT, "fred"), account=ACCOUNT)],
    ids=["root", "federated user"],
)
async def test_only_users_and_roles_get_a_token(issuing, caller):
    expected = ("AccessDenied", "Only users and roles may call GetWebIdentityToken")
    assert await issuing.refused(asked(), caller) == expected


async def test_claims_that_are_too_large_are_refused_to_the_byte(issuing):
    def sized(size):
        """Ten audiences of a thousand, and tags that make up the rest."""
        tags, rest = [], size
        while rest > 0:
            length = min(256, rest)
            tags.append(Tag(key=f"k{len(tags):02}", value="v" * length))
            rest -= length
        return asked(audience=tuple(f"{i}" * 1000 for i in range(10)), tags=tuple(tags))

    small = read(issuing, await issuing(sized(256 * 10), user_caller(ALICE)))
    left = 14_984 - len(json.dumps(small, separators=(",", ":")))
    # Each further tag costs `,"kNN":""` beside its value.
    tags, rest = divmod(left, 256 + 9)
    fits = 256 * (10 + tags) + max(0, rest - 9)
    answer = await issuing(sized(fits), user_caller(ALICE))
    assert len(json.dumps(read(issuing, answer), separators=(",", ":"))) == 14_984
    expected = ("JWTPayloadSizeExceededException", "JWT payload exceeds maximum allowed size")
    assert await issuing.refused(sized(fits + 1), user_caller(ALICE)) == expected


async def test_the_broker_takes_no_token_of_its_own_for_its_credentials(issuing):
    token = (await issuing(asked(), user_caller(ALICE))).web_identity_token
    request = AssumeRoleWithWebIdentityRequest(
        role_arn=f"arn:aws:iam::{ACCOUNT}:role/worker", role_session_name="session", web_identity_token=token
    )
    assert await issuing.refused(request) == (
        "InvalidIdentityToken",
        "A token that GetWebIdentityToken of this broker has issued cannot be traded for its credentials.",
    )


async def test_the_subject_is_the_caller_and_no_origin_that_no_session_has(issuing):
    caller = user_caller(ALICE, tags=ALICE.tags)
    claims = read(issuing, await issuing(asked(subject_mode="AWSIdentity"), caller))
    assert claims["sub"] == ALICE.arn and "scope" not in claims
    assert await issuing.refused(asked(subject_mode="OriginIdentity"), caller) == (
        "ValidationError",
        "The calling session has no trusted identity propagation context: SubjectMode must be AWSIdentity.",
    )
    assert await issuing.refused(asked(scope="read"), caller) == (
        "ValidationError",
        "Scope can be given only where SubjectMode is OriginIdentity.",
    )


@pytest.mark.parametrize(("mode", "is_allowed"), [("AWSIdentity", True), ("OriginIdentity", False)])
async def test_conditions_read_the_subject_mode_also_where_none_is_given(issuing, mode, is_allowed):
    limited = replace(
        ALICE, inline_policies=policy(allow("sts:*", Condition={"StringEquals": {"sts:SubjectMode": mode}}))
    )
    if is_allowed:
        assert await issuing(asked(), user_caller(limited))
    else:
        assert (await issuing.refused(asked(), user_caller(limited)))[0] == "AccessDenied"
