"""The broker as an issuer: its tokens prove its users and roles to others, and to another broker."""

import json
import secrets
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore.exceptions import ClientError
from joserfc import jwt as joserfc_jwt
from joserfc.errors import JoseError
from joserfc.jwk import KeySet

from broker.app import clock
from broker.credentials.issuer_keys import rotate_issuers
from broker.sealing.keyring import HOUR
from tests.e2e.conftest import REACHES_LOOPBACK, Account, Keys, Server
from tests.e2e.scenes import (
    allow,
    assume,
    deny,
    in_broker,
    new_role,
    new_user,
    records_of,
    refused,
    trust,
)

AUDIENCE = "https://service.example.com"
OWN = "https://sts.amazonaws.com/"
ASK = allow("sts:GetWebIdentityToken", "sts:TagGetWebIdentityToken")
ALGORITHMS = ["ES384", "RS256"]


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def issuing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker of two workers that issues tokens, below a path of its own."""
    folder = tmp_path_factory.mktemp(f"issuer-{request.param}")
    store = (
        f"sqlite:{folder / 'broker.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("redis_server").new_store()
    )
    server = Server(folder, store, environment={**REACHES_LOOPBACK, "BROKER_LISTEN_WORKERS": "2"})
    server.environment["BROKER_FEDERATION_ISSUER_URL"] = f"{server.url}/issuers"
    with server.running():
        yield server


@pytest.fixture
def account(issuing: Server) -> Account:
    return issuing.new_account()


def enable(server: Server, account: Account) -> str:
    """The identifier of the account's issuer, which is on from now on."""
    answer = server.client("iam", account.root).enable_outbound_web_identity_federation()
    return str(answer["IssuerIdentifier"])


def token_of(server: Server, keys: Keys, **options: Any) -> Any:
    request = {"Audience": [AUDIENCE], "SigningAlgorithm": "ES384", **options}
    return server.client("sts", keys).get_web_identity_token(**request)


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        assert answer.headers["Cache-Control"] == "public, max-age=300"
        return json.load(answer)


def key_set_url(issuer: str) -> str:
    """As a verifier finds it: by the discovery document, which has to name the issuer."""
    found = fetched(f"{issuer}/.well-known/openid-configuration")
    assert found["issuer"] == issuer
    return str(found["jwks_uri"])


def published_ids(issuer: str) -> set[str]:
    return {key["kid"] for key in fetched(key_set_url(issuer))["keys"]}


def by_pyjwt(token: str, issuer: str) -> dict[str, Any]:
    key = jwt.PyJWKClient(key_set_url(issuer)).get_signing_key_from_jwt(token)
    claims: dict[str, Any] = jwt.decode(token, key, ALGORITHMS, audience=AUDIENCE, issuer=issuer)
    return claims


def by_joserfc(token: str, issuer: str) -> dict[str, Any]:
    keys = KeySet.import_key_set(fetched(key_set_url(issuer)))
    decoded = joserfc_jwt.decode(token, keys, algorithms=ALGORITHMS)
    wanted = {"iss": issuer, "aud": AUDIENCE}
    checks = {name: {"essential": True, "value": value} for name, value in wanted.items()}
    joserfc_jwt.JWTClaimsRegistry(**checks).validate(decoded.claims)
    return dict(decoded.claims)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
@pytest.mark.parametrize("verified", [by_pyjwt, by_joserfc])
def test_a_user_proves_itself_to_a_verifier_that_knows_the_issuer(
    issuing: Server, account: Account, verified: Any, algorithm: str
) -> None:
    issuer = enable(issuing, account)
    keys = new_user(issuing, account, "alice", ASK)
    tags = [{"Key": "job", "Value": "7"}]
    answer = token_of(issuing, keys, SigningAlgorithm=algorithm, Tags=tags, DurationSeconds=60)
    claims = verified(answer["WebIdentityToken"], issuer)
    assert claims["sub"] == f"arn:aws:iam::{account.account_id}:user/alice"
    assert claims["exp"] - claims["iat"] == 60
    assert claims["exp"] == answer["Expiration"].timestamp()
    assert claims[OWN]["request_tags"] == {"job": "7"}
    assert (claims[OWN]["aws_account"], claims[OWN]["source_region"]) == (account.account_id, "eu-central-1")


@pytest.mark.parametrize("verified", [by_pyjwt, by_joserfc])
def test_no_token_verifies_with_the_keys_of_another_account(
    issuing: Server, account: Account, verified: Any
) -> None:
    issuer, other = enable(issuing, account), enable(issuing, issuing.new_account())
    token = token_of(issuing, new_user(issuing, account, "alice", ASK))["WebIdentityToken"]
    assert verified(token, issuer)
    with pytest.raises((jwt.PyJWTError, JoseError, ValueError)):
        verified(token, other)
    assert not published_ids(issuer) & published_ids(other)


def test_a_session_proves_its_role_and_no_longer_than_it_lives(issuing: Server, account: Account) -> None:
    issuer = enable(issuing, account)
    trusts = trust(account.account_id, "sts:AssumeRole", "sts:TagSession", "sts:SetSourceIdentity")
    role = new_role(issuing, account, "worker", trusts, ASK, Path="/x/")
    alice = new_user(issuing, account, "alice", allow("sts:*"))
    tags = [{"Key": "team", "Value": "blue"}]
    session = assume(issuing, alice, role, DurationSeconds=900, Tags=tags, SourceIdentity="carol")
    claims = by_pyjwt(token_of(issuing, session)["WebIdentityToken"], issuer)
    assert claims["sub"] == claims[OWN]["principal_id"] == role
    assert (claims[OWN]["source_identity"], claims[OWN]["principal_tags"]) == ("carol", {"team": "blue"})
    assert claims[OWN]["original_session_exp"].endswith("Z")
    refusal = refused(token_of, server=issuing, keys=session, DurationSeconds=901)
    assert refusal[:2] == (403, "SessionDurationEscalationException")


def test_the_switch_answers_as_aws_does(issuing: Server, account: Account) -> None:
    iam = issuing.client("iam", account.root)
    alice = new_user(issuing, account, "alice", ASK)
    assert refused(iam.get_outbound_web_identity_federation_info)[:2] == (404, "FeatureDisabled")
    issuer = iam.enable_outbound_web_identity_federation()["IssuerIdentifier"]
    info = iam.get_outbound_web_identity_federation_info()
    assert (info["IssuerIdentifier"], info["JwtVendingEnabled"]) == (issuer, True)
    assert refused(iam.enable_outbound_web_identity_federation)[:2] == (409, "FeatureEnabled")
    token = token_of(issuing, alice)["WebIdentityToken"]
    iam.disable_outbound_web_identity_federation()
    assert refused(iam.disable_outbound_web_identity_federation)[:2] == (404, "FeatureDisabled")
    refusal = refused(token_of, server=issuing, keys=alice)
    assert refusal[:2] == (403, "OutboundWebIdentityFederationDisabledException")
    assert by_pyjwt(token, issuer)["iss"] == issuer, "what was issued before stays good"
    assert iam.enable_outbound_web_identity_federation()["IssuerIdentifier"] == issuer


def test_refusals_name_what_was_not_allowed(issuing: Server, account: Account) -> None:
    enable(issuing, account)
    condition = {
        "ForAllValues:StringEquals": {"sts:IdentityTokenAudience": AUDIENCE},
        "NumericLessThanEquals": {"sts:DurationSeconds": "300"},
        "StringEquals": {"sts:SigningAlgorithm": "ES384"},
    }
    eve = new_user(issuing, account, "eve", allow("sts:GetWebIdentityToken", Condition=condition))
    assert token_of(issuing, eve)["WebIdentityToken"]
    ask = partial(refused, token_of, server=issuing, keys=eve)
    for options, action in (
        ({"Audience": [AUDIENCE, "other"]}, "GetWebIdentityToken"),
        ({"DurationSeconds": 301}, "GetWebIdentityToken"),
        ({"SigningAlgorithm": "RS256"}, "GetWebIdentityToken"),
        ({"Tags": [{"Key": "job", "Value": "7"}]}, "TagGetWebIdentityToken"),
    ):
        status, code, message = ask(**options)
        assert (status, code) == (403, "AccessDenied")
        assert f"sts:{action} on resource: arn:aws:sts::{account.account_id}:self" in message
    assert ask(SigningAlgorithm="ES256")[:2] == (400, "ValidationError")
    assert refused(token_of, server=issuing, keys=account.root)[:2] == (403, "AccessDenied")


def test_an_explicit_deny_of_one_audience_wins(issuing: Server, account: Account) -> None:
    enable(issuing, account)
    condition = {"ForAnyValue:StringEquals": {"sts:IdentityTokenAudience": AUDIENCE}}
    denial = deny("sts:GetWebIdentityToken", Condition=condition)
    keys = new_user(issuing, account, "alice", allow("*"), denial)
    assert refused(token_of, server=issuing, keys=keys)[:2] == (403, "AccessDenied")
    assert token_of(issuing, keys, Audience=["other"])["WebIdentityToken"]


def test_the_journal_has_the_request_and_never_the_token(issuing: Server, account: Account) -> None:
    enable(issuing, account)
    answer = token_of(issuing, new_user(issuing, account, "alice", ASK))
    (record,) = records_of(issuing, answer["ResponseMetadata"]["RequestId"])
    assert record["eventName"] == "GetWebIdentityToken"
    assert record["requestParameters"]["audience"] == [AUDIENCE]
    journal = Path(issuing.folder, "audit.jsonl").read_text()
    assert answer["WebIdentityToken"].rpartition(".")[2] not in journal


def test_what_is_no_document_is_answered_as_any_request(issuing: Server, account: Account) -> None:
    issuer = enable(issuing, account)
    unknown = "00000000-0000-4000-8000-000000000000"
    for url, status in (
        (f"{issuer}/.well-known/jwks.json", 200),
        (f"{issuing.url}/issuers/{unknown}/.well-known/jwks.json", 404),
        (f"{issuer}/.well-known/other", 400),
        (f"{issuing.url}/issuers/{account.account_id}/.well-known/jwks.json", 400),
        (f"{issuing.url}/{issuer.rpartition('/')[2]}/.well-known/jwks.json", 400),
    ):
        assert status_of(url) == status, url


def status_of(url: str) -> int:
    try:
        with urllib.request.urlopen(url, timeout=10) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def test_of_many_who_enable_at_once_one_does_and_all_see_one_issuer(
    issuing: Server, account: Account
) -> None:
    def attempt(_: int) -> str:
        try:
            return enable(issuing, account)
        except ClientError as error:
            return str(error.response["Error"]["Code"])

    with ThreadPoolExecutor(6) as pool:
        outcomes = list(pool.map(attempt, range(6)))
    (issuer,) = (one for one in outcomes if one.startswith("http"))
    assert outcomes.count("FeatureEnabled") == 5
    keys = new_user(issuing, account, "alice", ASK)
    with ThreadPoolExecutor(6) as pool:
        tokens = list(pool.map(lambda _: token_of(issuing, keys)["WebIdentityToken"], range(12)))
    assert {by_pyjwt(token, issuer)["iss"] for token in tokens} == {issuer}


def test_a_next_key_is_published_by_every_worker_before_it_signs(issuing: Server, account: Account) -> None:
    """As a worker makes it whose clock is 29 days ahead, beside the running ones."""
    issuer = enable(issuing, account)
    alice = new_user(issuing, account, "alice", ASK)
    first = published_ids(issuer)

    async def rotate_later(broker: Any) -> None:
        schedule = broker.federation.issuer.schedule
        later = clock() + 29 * 24 * HOUR + 60
        await rotate_issuers(broker.store, schedule, later, secrets.token_bytes)

    in_broker(issuing, rotate_later)
    for _ in range(10):  # whichever of the workers answers
        published = published_ids(issuer)
        assert (len(first), len(published)) == (2, 4)
        assert first < published
        assert jwt.get_unverified_header(token_of(issuing, alice)["WebIdentityToken"])["kid"] in first


def test_the_cli_prints_a_token(issuing: Server, account: Account, cli: Path, tmp_path: Path) -> None:
    issuer = enable(issuing, account)
    keys = new_user(issuing, account, "alice", ASK)
    config = tmp_path / "config"
    config.write_text("[default]\ncli_follow_urlparam = false\n")  # version 1 would fetch the audience
    options = {
        "audience": AUDIENCE,
        "signing-algorithm": "RS256",
        "query": "WebIdentityToken",
        "output": "text",
    }
    result = subprocess.run(
        [cli, "sts", "get-web-identity-token", *(f"--{name}={value}" for name, value in options.items())],
        env={
            **keys.environment,
            "AWS_ENDPOINT_URL": issuing.url,
            "AWS_DEFAULT_REGION": "eu-central-1",
            "AWS_CONFIG_FILE": str(config),
            "PATH": "/usr/bin:/bin",
            "HOME": str(tmp_path),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert by_pyjwt(result.stdout.strip(), issuer)["iss"] == issuer


# A second broker


@pytest.fixture(scope="module")
def trusting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Another broker, with a store of its own; it issues nothing."""
    folder = tmp_path_factory.mktemp("trusting")
    with Server(folder, f"sqlite:{folder / 'broker.db'}", environment=REACHES_LOOPBACK).running() as server:
        yield server


def register(server: Server, account: Account, issuer: str, subject: str) -> str:
    """A role of `account` that trusts `subject` of the issuer."""
    created = server.client("iam", account.root).create_open_id_connect_provider(
        Url=issuer, ClientIDList=[AUDIENCE], ThumbprintList=["0" * 40]
    )
    statement = {
        "Effect": "Allow",
        "Principal": {"Federated": created["OpenIDConnectProviderArn"]},
        "Action": "sts:AssumeRoleWithWebIdentity",
        "Condition": {"StringEquals": {f"{issuer.partition('://')[2]}:sub": subject}},
    }
    return new_role(server, account, "visitor", statement, allow("iam:ListUsers"))


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_a_broker_that_registers_the_issuer_gives_its_subjects_credentials(
    issuing: Server, account: Account, trusting: Server, algorithm: str
) -> None:
    issuer, there = enable(issuing, account), trusting.new_account()
    keys = new_user(issuing, account, "alice", ASK)
    subject = f"arn:aws:iam::{account.account_id}:user/alice"
    role = register(trusting, there, issuer, subject)
    visit = partial(
        trusting.client("sts", None).assume_role_with_web_identity, RoleArn=role, RoleSessionName="visit"
    )
    answer = visit(WebIdentityToken=token_of(issuing, keys, SigningAlgorithm=algorithm)["WebIdentityToken"])
    assert (answer["SubjectFromWebIdentityToken"], answer["Audience"]) == (subject, AUDIENCE)
    visitor = Keys.of(answer["Credentials"])
    assert trusting.client("iam", visitor).list_users()["Users"] == []
    mallory = token_of(issuing, new_user(issuing, account, "mallory", ASK))["WebIdentityToken"]
    assert refused(visit, WebIdentityToken=mallory)[:2] == (403, "AccessDenied")
    foreign = token_of(issuing, keys, Audience=["other"])["WebIdentityToken"]
    assert refused(visit, WebIdentityToken=foreign)[:2] == (400, "InvalidIdentityToken")


def test_the_broker_itself_takes_none_of_its_own_tokens(issuing: Server, account: Account) -> None:
    issuer, there = enable(issuing, account), issuing.new_account()
    keys = new_user(issuing, account, "alice", ASK)
    role = register(issuing, there, issuer, f"arn:aws:iam::{account.account_id}:user/alice")
    refusal = refused(
        issuing.client("sts", None).assume_role_with_web_identity,
        RoleArn=role,
        RoleSessionName="visit",
        WebIdentityToken=token_of(issuing, keys)["WebIdentityToken"],
    )
    assert refusal[:2] == (400, "InvalidIdentityToken")


def test_a_broker_without_an_issuers_url_says_so(trusting: Server) -> None:
    account = trusting.new_account()
    iam = trusting.client("iam", account.root)
    status, code, message = refused(iam.enable_outbound_web_identity_federation)
    assert (status, code) == (501, "NotImplemented")
    assert message.endswith("its operator has not set federation.issuer_url.")
    keys = new_user(trusting, account, "alice", ASK)
    refusal = refused(token_of, server=trusting, keys=keys)
    assert refusal[:2] == (403, "OutboundWebIdentityFederationDisabledException")
