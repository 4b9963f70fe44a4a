"""AssumeRoleWithSAML: a proven assertion, the role's trust policy, and what the session carries."""

import json
from typing import Any

import msgspec
import pytest

from broker.federation.federation import SamlRules
from broker.names.secret import SecretKey
from broker.protocol.shapes.sts import AssumeRoleWithSAMLRequest
from broker.storage.records import SamlPrivateKey, SamlProvider
from broker.storage.store import ROLES, SAML_PROVIDERS
from tests.unit.assertions import saml_provider as idp
from tests.unit.federating import no_federation
from tests.unit.sts.conftest import ACCOUNT, NOW, OTHER, role

PROVIDER = f"arn:aws:iam::{ACCOUNT}:saml-provider/idp"
ARN = f"arn:aws:iam::{ACCOUNT}:role/worker"
ACTIONS = ("sts:AssumeRoleWithSAML", "sts:TagSession", "sts:SetSourceIdentity")
AWS = "https://aws.amazon.com/SAML/Attributes/"
DENIED = ("AccessDenied", "Not authorized to perform sts:AssumeRoleWithSAML")
NOT_VALIDATED = ("InvalidIdentityToken", "Invalid SAML response: it could not be validated.")
PAIR, OTHER_PAIR = idp.KeyPair(), idp.KeyPair()
RULES = SamlRules(recipients=(idp.RECIPIENT,))


def record(**facts: Any) -> SamlProvider:
    usual = {"metadata": idp.metadata(PAIR), "valid_until": int(NOW) + 10**6, "created_at": 0}
    return SamlProvider(account_id=ACCOUNT, name="idp", provider_id="SAMLPROV1", **{**usual, **facts})


def trust(*actions: str, condition: Any = None) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": PROVIDER},
        "Action": list(actions or ACTIONS),
        "Condition": condition or {},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": statement})


def attributes(**others: list[str]) -> dict[str, list[str]]:
    usual = {"Role": [f"{ARN},{PROVIDER}"], "RoleSessionName": ["alice"], **others}
    return {f"{AWS}{name}": values for name, values in usual.items() if values}


def saying(more: dict[str, list[str]] | None = None, **changes: Any) -> str:
    """A response whose signed assertion says this."""
    said = {"attributes": {**attributes(), **(more or {})}, **changes}
    return idp.encoded(idp.response(idp.sign(idp.assertion(**said), PAIR)))


def asked(response: str | None = None, **more: Any) -> AssumeRoleWithSAMLRequest:
    request = {"role_arn": ARN, "principal_arn": PROVIDER, "saml_assertion": response or saying(), **more}
    return AssumeRoleWithSAMLRequest(**request)


@pytest.fixture
async def world(sts):
    """One provider, and one role that trusts it."""
    sts.federation = no_federation(NOW, saml=RULES)
    await sts.put(SAML_PROVIDERS, record())
    await sts.put(ROLES, role("worker", trust()))
    return sts


async def test_a_proven_subject_gets_a_session_of_the_role(world):
    answer = await world(asked())
    assert answer.assumed_role_user.arn == f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/alice"
    assert (answer.subject, answer.subject_type, answer.issuer) == ("alice", "persistent", idp.ENTITY)
    assert answer.audience == idp.RECIPIENT
    claims = world.claims(answer)
    assert (claims.role_id, claims.federated_provider, claims.expires_at) == (
        "AROAWORKER",
        PROVIDER,
        NOW + 3600,
    )
    assert dict(claims.context) == {
        "saml:namequalifier": (answer.name_qualifier,),
        "saml:sub": ("alice",),
        "saml:sub_type": ("persistent",),
    }


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {"SAML:aud": idp.RECIPIENT}},
        {"StringEquals": {"saml:iss": idp.ENTITY, "saml:sub": "alice", "saml:sub_type": "persistent"}},
        {"StringEquals": {"saml:doc": f"{ACCOUNT}/idp"}},
        {"StringEquals": {"sts:RoleSessionName": "alice"}},
        {"StringEquals": {"saml:eduPersonPrincipalName": "alice@example.edu"}},
        {"ForAnyValue:StringEquals": {"saml:eduPersonAffiliation": "staff"}},
    ],
    ids=str,
)
async def test_a_condition_reads_the_assertion(world, condition):
    more = {
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.6": ["alice@example.edu"],
        "urn:oid:1.3.6.1.4.1.5923.1.1.1.1": ["staff", "member"],
    }
    await world.put(ROLES, role("worker", trust(condition=condition)))
    assert (await world(asked(saying(more)))).subject == "alice"
    wrong = json.loads(json.dumps(condition))
    for keys in wrong.values():
        keys.update(dict.fromkeys(keys, "other"))
    await world.put(ROLES, role("worker", trust(condition=wrong)))
    assert await world.refused(asked(saying(more, id="_second"))) == DENIED


async def test_a_role_that_does_not_trust_the_provider_or_is_not_there_is_not_given(world):
    await world.put(ROLES, role("worker", trust("sts:AssumeRole")))
    assert await world.refused(asked()) == DENIED
    ghost = f"arn:aws:iam::{ACCOUNT}:role/ghost"
    response = saying({f"{AWS}Role": [f"{ghost},{PROVIDER}"]})
    assert await world.refused(asked(response, role_arn=ghost)) == DENIED


async def test_a_provider_that_is_not_there_is_refused(world):
    missing = ("InvalidIdentityToken", "Specified provider doesn't exist")
    assert await world.refused(asked(principal_arn=PROVIDER + "2")) == missing
    assert await world.refused(asked(principal_arn=PROVIDER.replace(ACCOUNT, OTHER))) == missing
    assert (await world.refused(asked(principal_arn="arn:aws:iam::1:oidc-provider/x")))[
        0
    ] == "ValidationError"


@pytest.mark.parametrize(
    "roles",
    [
        [f"arn:aws:iam::{ACCOUNT}:role/other,{PROVIDER}"],
        [f"{ARN},{PROVIDER}2"],
        [f"{ARN},{PROVIDER.replace(ACCOUNT, OTHER)}"],
    ],
)
async def test_a_role_that_the_assertion_does_not_offer_with_this_provider_is_not_given(world, roles):
    code, message = await world.refused(asked(saying({f"{AWS}Role": roles})))
    assert code == "InvalidIdentityToken"
    assert "is not among the roles" in message


async def test_a_provider_of_one_account_gives_no_role_of_another(world):
    foreign = f"arn:aws:iam::{OTHER}:role/worker"
    response = saying({f"{AWS}Role": [f"{foreign},{PROVIDER}"]})
    assert (await world.refused(asked(response, role_arn=foreign)))[0] == "InvalidIdentityToken"
    assert world.reason.startswith("check failed: role offered")


@pytest.mark.parametrize(
    ("changes", "refusal", "check"),
    [
        (
            {"issued": idp.moment(-400)},
            ("ExpiredTokenException", "Token must be redeemed within 5 minutes of issuance"),
            "redemption",
        ),
        (
            {"not_on_or_after": idp.moment(-100)},
            ("ExpiredTokenException", "SAML Assertion has expired"),
            "conditions not on or after",
        ),
        (
            {"issuer": "https://other.example.com"},
            ("InvalidIdentityToken", "Issuer not present in specified provider"),
            "issuer",
        ),
        ({"recipient": "https://other.example.com/saml"}, NOT_VALIDATED, "recipient"),
        ({"audience": "urn:other"}, NOT_VALIDATED, "audience"),
    ],
    ids=str,
)
async def test_an_assertion_that_does_not_hold_is_refused_and_the_journal_names_the_check(
    world, changes, refusal, check
):
    assert await world.refused(asked(saying(**changes))) == refusal
    assert world.reason.startswith(f"check failed: {check}")


async def test_an_assertion_that_nobody_we_know_signed_is_refused(world):
    forged = idp.encoded(idp.response(idp.sign(idp.assertion(attributes=attributes()), OTHER_PAIR)))
    assert await world.refused(asked(forged)) == ("InvalidIdentityToken", "Response signature invalid")
    unsigned = idp.encoded(idp.response(idp.assertion(attributes=attributes())))
    assert await world.refused(asked(unsigned)) == NOT_VALIDATED
    assert world.reason.startswith("check failed: signed")


async def test_what_is_no_response_is_refused(world):
    assert await world.refused(asked("bm90IFhNTA==")) == NOT_VALIDATED
    assert world.reason.startswith("check failed: document")


async def test_metadata_that_has_expired_proves_nothing(world):
    await world.put(SAML_PROVIDERS, record(metadata=idp.metadata(PAIR, valid_until=idp.moment(-1))))
    assert (await world.refused(asked()))[0] == "InvalidIdentityToken"
    assert world.reason.startswith("check failed: metadata validity")


async def test_an_assertion_is_good_once_unless_the_operator_says_otherwise(world):
    once = asked()
    assert await world(once)
    assert await world.refused(once) == NOT_VALIDATED
    assert "used before" in world.reason
    assert await world(asked(saying(id="_another")))
    world.federation = no_federation(NOW, saml=msgspec.structs.replace(RULES, allow_replay=True))
    assert await world(once)


async def test_a_refused_request_does_not_use_its_assertion_up(world):
    request = asked()
    await world.put(ROLES, role("worker", trust("sts:AssumeRole")))
    assert await world.refused(request) == DENIED
    await world.put(ROLES, role("worker", trust()))
    assert await world(request)


async def test_an_encrypted_assertion_is_opened_and_where_it_is_required_a_plain_one_refused(world):
    key = SamlPrivateKey(key_id="K", added_at=0, key=SecretKey(OTHER_PAIR.private_pem))
    await world.put(SAML_PROVIDERS, record(encryption_mode="Required", private_keys=(key,)))
    assert await world.refused(asked()) == NOT_VALIDATED
    assert world.reason.startswith("check failed: encryption mode")
    encrypted = idp.encrypt(idp.sign(idp.assertion(attributes=attributes()), PAIR), OTHER_PAIR)
    assert (await world(asked(idp.encoded(idp.response(encrypted))))).subject == "alice"


async def test_tags_and_the_source_identity_come_from_the_assertion(world):
    more = {
        f"{AWS}PrincipalTag:team": ["blue"],
        f"{AWS}TransitiveTagKeys": ["team"],
        f"{AWS}SourceIdentity": ["alice@example.com"],
    }
    answer = await world(asked(saying(more)))
    claims = world.claims(answer)
    assert (claims.tags, claims.transitive_tag_keys) == ((("team", "blue"),), ("team",))
    assert claims.source_identity == answer.source_identity == "alice@example.com"
    await world.put(ROLES, role("worker", trust("sts:AssumeRoleWithSAML")))
    refused = await world.refused(asked(saying(more, id="_other")))
    assert refused == ("AccessDenied", "Not authorized to perform sts:TagSession")


async def test_the_session_lives_as_long_as_the_shortest_of_all_limits_says(world):
    await world.put(ROLES, role("worker", trust(), max_session_duration=7200))

    async def lifetime(response, **more):
        return world.claims(await world(asked(response, **more))).expires_at - NOW

    assert await lifetime(saying(id="_1"), duration_seconds=7200) == 7200
    assert await lifetime(saying(id="_2", session_end=idp.moment(1000))) == 1000
    assert await lifetime(saying({f"{AWS}SessionDuration": ["900"]}, id="_3")) == 900
    both = saying({f"{AWS}SessionDuration": ["1800"]}, id="_4", session_end=idp.moment(1200))
    assert await lifetime(both) == 1200
    assert await lifetime(saying({f"{AWS}SessionDuration": ["7200"]}, id="_5")) == 3600


async def test_the_session_name_is_the_assertions_own(world):
    assert (await world.refused(asked(saying({f"{AWS}RoleSessionName": ["a b"]}))))[
        0
    ] == "InvalidIdentityToken"
    assert world.reason.startswith("check failed: role session name")
