"""Token exchange at an account's issuer: proofs in, tokens and credentials of roles out; introspection, revocation."""

import base64
import json
import subprocess
import sys
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jwt
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from lxml import etree

from broker.assertions.xml_documents import SAML, SIGNATURE
from tests.e2e.conftest import REACHES_LOOPBACK, REGION, ROOT, Account, Keys, Server
from tests.e2e.scenes import allow, document, new_role, new_user, records_of, refused, trust, written_in
from tests.identity_providers.fixtures import STS
from tests.identity_providers.openid_provider import OpenIdProvider
from tests.identity_providers.saml import SamlProvider, ServiceProvider, User, aws_attributes

AUDIENCE = "https://service.example.com"
EXCHANGE = "urn:ietf:params:oauth:grant-type:token-exchange"
TYPE = "urn:ietf:params:oauth:token-type:"
JWT, ID_TOKEN, SAML2, ACCESS_TOKEN = (TYPE + kind for kind in ("jwt", "id_token", "saml2", "access_token"))
CREDENTIALS, SIGNED = "urn:x-aws:token-type:credentials", "urn:x-aws:token-type:signed-request"
OWN = "https://sts.amazonaws.com/"
READ_ONLY = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Any
    body: Any

    @property
    def error(self) -> tuple[int, str]:
        """Status and code; every refusal has to have the form that RFC 6749 gives it."""
        assert self.body.keys() == {"error", "error_description"}, self.body
        assert self.headers["Cache-Control"] == "no-store"
        assert self.headers["Content-Type"] == "application/json"
        return self.status, self.body["error"]

    @property
    def keys(self) -> Keys:
        return Keys(self.body["accessKeyId"], self.body["secretAccessKey"], self.body["sessionToken"])


def post(
    url: str, form: dict[str, Any] | str, signer: Keys | None = None, service: str = "sts", **headers: str
) -> Answer:
    text = form if isinstance(form, str) else urllib.parse.urlencode(form, doseq=True)
    sent = {"Content-Type": "application/x-www-form-urlencoded", **headers}
    if signer is not None:
        request = AWSRequest("POST", url, sent, text)
        credentials = Credentials(signer.access_key_id, signer.secret_access_key, signer.session_token)
        SigV4Auth(credentials, service, REGION).add_auth(request)
        sent = dict(request.headers.items())
    try:
        with urllib.request.urlopen(
            urllib.request.Request(url, text.encode(), sent, method="POST"), timeout=20
        ) as answer:
            return Answer(answer.status, answer.headers, json.loads(answer.read() or "null"))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, json.load(error))


def federated(provider: str, action: str = "sts:AssumeRoleWithWebIdentity") -> dict[str, Any]:
    actions = [action, "sts:TagSession", "sts:SetSourceIdentity"]
    return {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": actions}


@dataclass(frozen=True)
class Scene:
    """An account whose issuer is on, that knows the provider, and the role `deployer` for its pipeline."""

    server: Server
    account: Account
    provider: OpenIdProvider
    provider_arn: str
    issuer: str
    role_arn: str

    @property
    def iam(self) -> Any:
        return self.server.client("iam", self.account.root)

    def asked(self, **parameters: Any) -> dict[str, Any]:
        """A request for an access token, changed by the parameters; None takes one away."""
        usual = {
            "grant_type": EXCHANGE,
            "subject_token_type": JWT,
            "resource": self.role_arn,
            "audience": AUDIENCE,
            **parameters,
        }
        if "subject_token" not in usual:
            usual["subject_token"] = self.provider.machine_token("pipeline", "urn:sts")
        return {name: value for name, value in usual.items() if value is not None}

    def exchange(self, signer: Keys | None = None, **parameters: Any) -> Answer:
        return post(f"{self.issuer}/oauth2/token", self.asked(**parameters), signer)

    def credentials(self, signer: Keys | None = None, **parameters: Any) -> Answer:
        wanted = {"requested_token_type": CREDENTIALS, "audience": None, **parameters}
        return self.exchange(signer, **wanted)

    def token(self, **parameters: Any) -> str:
        answer = self.exchange(**parameters)
        assert answer.status == 200, answer.body
        return str(answer.body["access_token"])

    def signed(self, keys: Keys, **parameters: Any) -> Answer:
        wanted = {"subject_token_type": SIGNED, "subject_token": keys.access_key_id, **parameters}
        return self.credentials(keys, **wanted)

    def introspect(self, token: str, signer: Keys | None) -> Answer:
        return post(f"{self.issuer}/oauth2/introspect", {"token": token}, signer)

    def revoke(self, token: str) -> Answer:
        return post(f"{self.issuer}/oauth2/revoke", {"token": token})

    def claims(self, token: str, audience: str = AUDIENCE) -> dict[str, Any]:
        """As a verifier reads them that finds the keys by the server's metadata."""
        found = fetched(f"{self.issuer}/.well-known/oauth-authorization-server")
        key = jwt.PyJWKClient(found["jwks_uri"]).get_signing_key_from_jwt(token)
        read: dict[str, Any] = jwt.decode(token, key, ["RS256"], audience=audience, issuer=self.issuer)
        return read

    def record(self, answer: Answer) -> dict[str, Any]:
        """The one record of the request."""
        (record,) = records_of(self.server, answer.headers["x-amzn-RequestId"])
        return record


def fetched(url: str) -> Any:
    with urllib.request.urlopen(url, timeout=10) as answer:
        return json.load(answer)


@pytest.fixture(scope="module", params=["sqlite", "redis"])
def issuing(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker of two workers that issues tokens, below a path of its own."""
    folder = tmp_path_factory.mktemp(f"exchange-{request.param}")
    store = (
        f"sqlite:{folder / 'broker.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("redis_server").new_store()
    )
    server = Server(folder, store, environment={**REACHES_LOOPBACK, "BROKER_LISTEN_WORKERS": "2"})
    server.environment["BROKER_FEDERATION_ISSUER_URL"] = f"{server.url}/issuers"
    with server.running():
        yield server


def new_scene(server: Server, provider: OpenIdProvider) -> Scene:
    account = server.new_account()
    iam = server.client("iam", account.root)
    arn = iam.create_open_id_connect_provider(
        Url=provider.issuer, ClientIDList=[STS, "web"], ThumbprintList=["0" * 40]
    )["OpenIDConnectProviderArn"]
    issuer = iam.enable_outbound_web_identity_federation()["IssuerIdentifier"]
    may = allow("iam:ListUsers", "sts:GetWebIdentityToken", "sts:AssumeRole", "sts:TagSession")
    role = new_role(server, account, "deployer", federated(arn), may)
    return Scene(server, account, provider, arn, issuer, role)


@pytest.fixture
def scene(issuing: Server, openid_provider: OpenIdProvider) -> Scene:
    return new_scene(issuing, openid_provider)


# A provider's token in


@pytest.mark.parametrize("subject_token_type", [JWT, ID_TOKEN])
def test_a_pipeline_exchanges_its_token_for_credentials_and_uses_them(
    scene: Scene, subject_token_type: str
) -> None:
    answer = scene.credentials(
        subject_token_type=subject_token_type, role_session_name="run-7", duration="900"
    )
    assert answer.status == 200, answer.body
    assert (answer.body["issued_token_type"], answer.body["token_type"]) == (CREDENTIALS, "N_A")
    assert answer.body["expires_in"] == 900
    assert answer.body["expiration"].endswith("Z")
    assert answer.headers["Cache-Control"] == "no-store"
    arn = scene.server.client("sts", answer.keys).get_caller_identity()["Arn"]
    assert arn.endswith(":assumed-role/deployer/run-7")
    assert scene.server.client("iam", answer.keys).list_users()["Users"] == []
    assert refused(scene.server.client("iam", answer.keys).list_roles)[1] == "AccessDenied"


def test_a_pipeline_exchanges_its_token_for_an_access_token_of_the_role(scene: Scene) -> None:
    answer = scene.exchange(duration="60")
    assert answer.status == 200, answer.body
    assert (answer.body["issued_token_type"], answer.body["token_type"]) == (ACCESS_TOKEN, "Bearer")
    assert answer.body["expires_in"] == 60
    token = answer.body["access_token"]
    assert jwt.get_unverified_header(token)["typ"] == "at+jwt"
    claims = scene.claims(token)
    assert (claims["sub"], claims["aud"]) == (scene.role_arn, AUDIENCE)
    assert claims[OWN]["federated_provider"] == scene.provider_arn
    assert "urn:x-aws:session" not in claims, "a service has no use for it"


def test_a_person_brings_tags_and_a_source_identity(scene: Scene) -> None:
    token = scene.token(subject_token=scene.provider.sign_in("alice", "web")["id_token"])
    own = scene.claims(token)[OWN]
    assert own["principal_tags"] == {"team": "blue", "stage": "test"}
    assert own["source_identity"] == "alice"


def test_an_access_token_is_for_those_audiences_that_the_role_may_name(scene: Scene) -> None:
    condition = {"ForAllValues:StringEquals": {"sts:IdentityTokenAudience": AUDIENCE}}
    policy = allow("sts:GetWebIdentityToken", Condition=condition)
    scene.iam.put_role_policy(
        RoleName="deployer",
        PolicyName="scene",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": policy}),
    )
    assert scene.claims(scene.token())["aud"] == AUDIENCE
    for audience in ("other", [AUDIENCE, "other"], scene.issuer):
        answer = scene.exchange(audience=audience)
        assert answer.error == (400, "invalid_target")
        assert "sts:GetWebIdentityToken" in answer.body["error_description"]
    scene.iam.delete_role_policy(RoleName="deployer", PolicyName="scene")
    assert scene.exchange().error == (400, "invalid_target")


def test_the_scope_limits_the_session(scene: Scene) -> None:
    scene.iam.attach_role_policy(RoleName="deployer", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    limited = scene.credentials(scope=READ_ONLY).keys
    assert scene.server.client("iam", limited).list_users()["Users"] == []
    assert refused(scene.server.client("iam", limited).create_user, UserName="eve")[1] == "AccessDenied"
    assert scene.exchange(scope=READ_ONLY).error == (400, "invalid_target"), "the token is of that session"
    missing = scene.credentials(scope=f"{READ_ONLY} arn:aws:iam::aws:policy/NoSuchPolicy")
    assert missing.error == (400, "invalid_scope")


def test_who_is_not_trusted_learns_nothing_of_which_roles_there_are(scene: Scene) -> None:
    closed = new_role(scene.server, scene.account, "closed", trust(scene.account.account_id))
    ghost = closed.replace("closed", "ghost")
    refusals = [scene.credentials(resource=arn) for arn in (closed, ghost)]
    assert [refusal.error for refusal in refusals] == [(400, "invalid_target")] * 2
    assert refusals[0].body == refusals[1].body


def test_a_role_of_another_account_is_no_target(scene: Scene) -> None:
    other = new_scene(scene.server, scene.provider)
    answer = scene.credentials(resource=other.role_arn)
    assert answer.error == (400, "invalid_target")


def test_the_journal_names_the_check_that_failed_and_the_client_does_not_read_it(scene: Scene) -> None:
    header, claims, _ = scene.provider.machine_token("pipeline", "urn:sts").split(".")
    forged = f"{header}.{claims}.{'A' * 342}"
    answer = scene.credentials(subject_token=forged)
    assert answer.error == (400, "invalid_request")
    assert "signature" not in answer.body["error_description"]
    record = scene.record(answer)
    assert record["errorCode"] == "invalid_request"
    assert "check failed: signature: " in record["errorMessage"]
    assert forged not in json.dumps(record)


def test_a_token_for_another_audience_is_no_subject_token(scene: Scene) -> None:
    scene.iam.remove_client_id_from_open_id_connect_provider(
        OpenIDConnectProviderArn=scene.provider_arn, ClientID=STS
    )
    answer = scene.credentials()
    assert answer.error == (400, "invalid_request")
    assert "check failed: audience: " in scene.record(answer)["errorMessage"]


def test_what_was_exchanged_has_one_record_without_any_secret(scene: Scene) -> None:
    subject_token = scene.provider.machine_token("pipeline", "urn:sts")
    given, issued = scene.credentials(subject_token=subject_token), scene.exchange()
    record = scene.record(given)
    assert record["eventName"] == "CreateOAuth2TokenWithTokenExchange"
    assert record["userIdentity"]["type"] == "WebIdentityUser"
    assert record["recipientAccountId"] == scene.account.account_id
    assert record["requestParameters"]["resource"] == scene.role_arn
    assert record["responseElements"]["credentials"]["accessKeyId"] == given.body["accessKeyId"]
    claims = scene.claims(issued.body["access_token"])
    assert scene.record(issued)["responseElements"]["token"]["jti"] == claims["jti"]
    written = written_in(scene.server)
    for secret in (
        subject_token,
        given.body["secretAccessKey"],
        given.body["sessionToken"],
        issued.body["access_token"],
    ):
        assert secret not in written


# Requests that are refused, whoever asks


@pytest.mark.parametrize(
    ("changed", "code"),
    [
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ({"grant_type": None}, "invalid_request"),
        ({"subject_token": None}, "invalid_request"),
        ({"subject_token": "no token"}, "invalid_request"),
        ({"subject_token_type": None}, "invalid_request"),
        ({"subject_token_type": f"{TYPE}refresh_token"}, "invalid_request"),
        ({"requested_token_type": f"{TYPE}saml2"}, "invalid_request"),
        ({"actor_token": "x", "actor_token_type": JWT}, "invalid_request"),
        ({"resource": None}, "invalid_request"),
        ({"resource": "https://service.example.com"}, "invalid_target"),
        ({"resource": ["one", "two"]}, "invalid_request"),
        ({"audience": None}, "invalid_request"),
        ({"requested_token_type": CREDENTIALS}, "invalid_request"),
        ({"scope": "openid"}, "invalid_scope"),
        ({"scope": f"{READ_ONLY}  {READ_ONLY}"}, "invalid_scope"),
        ({"duration": "59"}, "invalid_request"),
        ({"duration": "3601"}, "invalid_request"),
        ({"duration": "-1"}, "invalid_request"),
        ({"requested_token_type": CREDENTIALS, "audience": None, "duration": "3601"}, "invalid_request"),
        ({"requested_token_type": CREDENTIALS, "audience": None, "duration": "60"}, "invalid_request"),
        ({"role_session_name": "not a name"}, "invalid_request"),
        ({"principal_arn": "arn:aws:iam::111122223333:saml-provider/idp"}, "invalid_request"),
        ({"subject_token_type": SAML2}, "invalid_request"),
        ({"subject_token_type": SIGNED}, "invalid_client"),
    ],
    ids=str,
)
def test_each_fault_of_a_request_has_its_code(scene: Scene, changed: dict[str, Any], code: str) -> None:
    answer = post(f"{scene.issuer}/oauth2/token", scene.asked(**changed))
    assert answer.error == (401 if code == "invalid_client" else 400, code)
    assert scene.record(answer)["errorCode"] == code


def test_a_body_that_is_no_form_is_refused(scene: Scene) -> None:
    url = f"{scene.issuer}/oauth2/token"
    form = urllib.parse.urlencode(scene.asked())
    assert post(url, json.dumps({}), **{"Content-Type": "application/json"}).error == (400, "invalid_request")
    assert post(url, "grant_type=%zz").error == (400, "invalid_request")
    assert post(url, "&".join(["a=b"] * 101)).error == (400, "invalid_request")
    assert post(f"{url}?grant_type=x", form).error == (400, "invalid_request")
    assert post(url, f"{form}&grant_type=x").error == (400, "invalid_request")
    assert post(url, "subject_token=" + "x" * 300_000).error == (413, "invalid_request")


def test_no_client_is_authenticated_and_none_is_believed_to_be(scene: Scene) -> None:
    alice = new_user(scene.server, scene.account, "alice", allow("*"))
    assert scene.exchange(alice).error == (401, "invalid_client"), "not the caller of this exchange"
    answer = post(f"{scene.issuer}/oauth2/token", scene.asked(), Authorization="Basic YTpi")
    assert answer.error == (401, "invalid_client")
    assert answer.headers["WWW-Authenticate"] == "AWS4-HMAC-SHA256"


def test_an_issuer_that_is_off_or_unknown_exchanges_nothing(scene: Scene) -> None:
    unknown = f"{scene.issuer.rpartition('/')[0]}/00000000-0000-4000-8000-000000000000"
    assert post(f"{unknown}/oauth2/token", scene.asked()).error == (404, "invalid_request")
    scene.iam.disable_outbound_web_identity_federation()
    assert scene.credentials().error == (400, "invalid_request")
    assert scene.exchange().error == (400, "invalid_request")


# SAML in


def test_a_saml_response_is_exchanged_once(scene: Scene, saml_provider: SamlProvider) -> None:
    arn = scene.iam.create_saml_provider(Name="idp", SAMLMetadataDocument=saml_provider.metadata())[
        "SAMLProviderArn"
    ]
    may = allow("sts:GetWebIdentityToken")
    role = new_role(scene.server, scene.account, "reader", federated(arn, "sts:AssumeRoleWithSAML"), may)
    person = f"of-{scene.account.account_id}"
    saml_provider.add_user(
        person,
        User(
            "her password",
            aws_attributes([f"{role},{arn}"], "alice@example.com", duration=900, tags={"team": "blue"}),
        ),
    )

    def ask(**more: Any) -> Answer:
        response = saml_provider.sign_in(person, ServiceProvider()).values["SAMLResponse"]
        text = base64.urlsafe_b64encode(base64.b64decode(response)).decode().rstrip("=")
        usual = {"subject_token": text, "subject_token_type": SAML2, "resource": role, "principal_arn": arn}
        return scene.exchange(**{**usual, **more})

    answer = ask(requested_token_type=CREDENTIALS, audience=None)
    assert answer.status == 200, answer.body
    who = scene.server.client("sts", answer.keys).get_caller_identity()["Arn"]
    assert who.endswith(":assumed-role/reader/alice@example.com")
    issued = ask(duration="3600")
    assert issued.body["expires_in"] == 900, "as long as the session that the assertion asks for"
    assert scene.claims(issued.body["access_token"])[OWN]["principal_tags"] == {"team": "blue"}
    response = saml_provider.sign_in(person, ServiceProvider()).values["SAMLResponse"]
    text = base64.urlsafe_b64encode(base64.b64decode(response)).decode()
    assert ask(subject_token=text).status == 200
    again = ask(subject_token=text)
    assert again.error == (400, "invalid_request")
    assert "single use" in scene.record(again)["errorMessage"]
    assert ask(subject_token=response + "+").error == (400, "invalid_request")


def test_an_assertion_alone_is_exchanged_once_where_it_is_signed_itself(
    scene: Scene, saml_provider: SamlProvider
) -> None:
    arn = scene.iam.create_saml_provider(Name="idp", SAMLMetadataDocument=saml_provider.metadata())[
        "SAMLProviderArn"
    ]
    role = new_role(scene.server, scene.account, "reader", federated(arn, "sts:AssumeRoleWithSAML"))
    person = f"of-{scene.account.account_id}"
    saml_provider.add_user(
        person, User("her password", aws_attributes([f"{role},{arn}"], "alice@example.com"))
    )
    signed_in = saml_provider.sign_in(person, ServiceProvider()).values["SAMLResponse"]
    (assertion,) = etree.fromstring(base64.b64decode(signed_in)).iter(f"{SAML}Assertion")
    alone = etree.tostring(assertion, with_tail=False)

    def ask(document: bytes) -> Answer:
        text = base64.urlsafe_b64encode(document).decode().rstrip("=")
        usual = {"subject_token": text, "subject_token_type": SAML2, "resource": role, "principal_arn": arn}
        return scene.exchange(**usual, requested_token_type=CREDENTIALS, audience=None)

    forged = ask(alone.replace(b"alice@example.com", b"admin@example.com"))
    assert forged.error == (400, "invalid_request")
    assertion.remove(assertion.find(f"{SIGNATURE}Signature"))
    stripped = ask(etree.tostring(assertion, with_tail=False))
    assert "check failed: signed:" in scene.record(stripped)["errorMessage"]
    answer = ask(alone)
    assert answer.status == 200, answer.body
    who = scene.server.client("sts", answer.keys).get_caller_identity()["Arn"]
    assert who.endswith(":assumed-role/reader/alice@example.com")
    again = ask(alone)
    assert "single use" in scene.record(again)["errorMessage"]
    sts = scene.server.client("sts", scene.account.root)
    code = refused(
        sts.assume_role_with_saml,
        RoleArn=role,
        PrincipalArn=arn,
        SAMLAssertion=base64.b64encode(alone).decode(),
    )[1]
    assert code == "InvalidIdentityToken", "AWS's operation takes responses only"


# Sessions in


def test_credentials_that_sign_the_request_are_exchanged(scene: Scene) -> None:
    alice = new_user(scene.server, scene.account, "alice", allow("sts:AssumeRole"))
    role = new_role(scene.server, scene.account, "worker", trust(scene.account.account_id))
    answer = scene.signed(alice, resource=role)
    assert answer.status == 200, answer.body
    first = scene.server.client("sts", answer.keys).get_caller_identity()["Arn"]
    assert first.endswith(":assumed-role/worker/token-exchange")
    record = scene.record(answer)
    assert (record["userIdentity"]["userName"], record["awsRegion"]) == ("alice", REGION)
    bob = new_user(scene.server, scene.account, "bob")
    assert scene.signed(bob, resource=role).error == (400, "invalid_target")
    assert scene.signed(alice, resource=role, subject_token=bob.access_key_id).error == (
        400,
        "invalid_request",
    )
    forged = Keys(alice.access_key_id, "A" * 40)
    refusal = scene.signed(forged, resource=role)
    assert refusal.error == (401, "invalid_client")
    record = scene.record(refusal)
    assert "SignatureDoesNotMatch" in record["errorMessage"]
    assert record["userIdentity"] == {"type": "Unknown", "accessKeyId": alice.access_key_id}


def test_what_limits_a_session_limits_its_exchange(scene: Scene) -> None:
    alice = new_user(scene.server, scene.account, "alice", allow("sts:AssumeRole"))
    role = new_role(
        scene.server, scene.account, "worker", trust(scene.account.account_id), allow("sts:AssumeRole")
    )
    limited = scene.signed(alice, resource=role, scope=READ_ONLY).keys
    free = scene.signed(alice, resource=role).keys
    assert scene.signed(free, resource=role).status == 200
    assert scene.signed(limited, resource=role).error == (400, "invalid_target")
    too_long = scene.signed(free, resource=role, duration="3601")
    assert too_long.error == (400, "invalid_request"), "a chain's sessions live an hour"
    federated_user = new_user(scene.server, scene.account, "lender", allow("sts:*"))
    token = scene.server.client("sts", federated_user).get_federation_token(Name="guest")["Credentials"]
    assert scene.signed(Keys.of(token), resource=role).error == (400, "invalid_target")


# The broker's own tokens in


@pytest.fixture
def second(scene: Scene) -> str:
    """A role that trusts the first one."""
    return new_role(
        scene.server, scene.account, "second", trust(scene.role_arn, "sts:AssumeRole", "sts:TagSession")
    )


def test_an_access_token_for_the_issuer_is_exchanged_for_what_its_session_may(
    scene: Scene, second: str
) -> None:
    own = scene.token(audience=scene.issuer)
    answer = scene.credentials(subject_token=own, subject_token_type=ACCESS_TOKEN, resource=second)
    assert answer.status == 200, answer.body
    assert scene.record(answer)["userIdentity"]["type"] == "AssumedRole"
    who = scene.server.client("sts", answer.keys).get_caller_identity()["Arn"]
    assert who.endswith(":assumed-role/second/token-exchange")
    assert scene.credentials(subject_token=own, subject_token_type=ACCESS_TOKEN).error == (
        400,
        "invalid_target",
    )


def test_tokens_for_others_and_tokens_that_carry_no_session_are_not_exchanged(
    scene: Scene, second: str
) -> None:
    first = scene.credentials().keys
    without = scene.server.client("sts", first).get_web_identity_token(
        Audience=[scene.issuer], SigningAlgorithm="RS256"
    )["WebIdentityToken"]
    for token, kind, check in (
        (scene.token(), ACCESS_TOKEN, "audience"),
        (scene.token(audience=[scene.issuer, AUDIENCE]), ACCESS_TOKEN, "session"),
        (without, ACCESS_TOKEN, "session"),
        (scene.token(audience=scene.issuer), JWT, "provider"),
        (scene.provider.machine_token("pipeline", "urn:sts"), ACCESS_TOKEN, "issuer"),
    ):
        answer = scene.credentials(subject_token=token, subject_token_type=kind, resource=second)
        assert answer.error == (400, "invalid_request")
        assert f"check failed: {check}: " in scene.record(answer)["errorMessage"]


def test_a_token_of_another_account_is_not_exchanged(scene: Scene, second: str) -> None:
    other = new_scene(scene.server, scene.provider)
    token = other.token(audience=scene.issuer)
    answer = scene.credentials(subject_token=token, subject_token_type=ACCESS_TOKEN, resource=second)
    assert answer.error == (400, "invalid_request")
    assert "check failed: issuer: " in scene.record(answer)["errorMessage"]


def test_what_limits_the_session_of_an_access_token_limits_its_exchange(scene: Scene, second: str) -> None:
    policy = scene.iam.create_policy(
        PolicyName="tokens-only",
        PolicyDocument=json.dumps({"Version": "2012-10-17", "Statement": allow("sts:GetWebIdentityToken")}),
    )["Policy"]["Arn"]
    limited = scene.token(audience=scene.issuer, scope=policy)
    assert scene.claims(limited, scene.issuer)["scope"] == policy
    answer = scene.credentials(subject_token=limited, subject_token_type=ACCESS_TOKEN, resource=second)
    assert answer.error == (400, "invalid_target")


# Introspection and revocation


@pytest.fixture
def watcher(scene: Scene) -> Keys:
    return new_user(scene.server, scene.account, "watcher", allow("signin:IntrospectOAuth2TokenWithIAM"))


def test_a_token_is_introspected_by_those_who_may(scene: Scene, watcher: Keys) -> None:
    token = scene.token()
    answer = scene.introspect(token, watcher)
    claims = scene.claims(token)
    wanted = {name: claims[name] for name in ("iss", "sub", "aud", "exp", "iat", "jti")}
    assert answer.body == {"active": True, "token_type": "Bearer", **wanted}
    assert answer.headers["Cache-Control"] == "no-store"
    assert scene.record(answer)["responseElements"]["jti"] == claims["jti"]
    assert token not in json.dumps(scene.record(answer))
    assert scene.introspect(token, None).error == (401, "invalid_client")
    for_another_service = post(
        f"{scene.issuer}/oauth2/introspect", {"token": token}, watcher, service="signin"
    )
    assert for_another_service.error == (401, "invalid_client")
    assert scene.introspect(token, Keys(watcher.access_key_id, "A" * 40)).error == (401, "invalid_client")
    nobody = new_user(scene.server, scene.account, "nobody")
    assert scene.introspect(token, nobody).error == (403, "access_denied")
    missing = post(f"{scene.issuer}/oauth2/introspect", {"token": ""}, watcher)
    assert missing.error == (400, "invalid_request")


def test_a_token_is_active_no_more_when_its_session_was_revoked_and_others_are(
    scene: Scene, watcher: Keys
) -> None:
    scene.iam.put_role_policy(
        RoleName=scene.role_arn.rpartition("/")[2],
        PolicyName="scoped",
        PolicyDocument=document(allow("sts:GetScopedCredentials")),
    )
    session, other = [scene.credentials().keys for _ in range(2)]

    def own_token(keys: Keys) -> str:
        sts = scene.server.client("sts", keys)
        answer = sts.get_web_identity_token(Audience=[AUDIENCE], SigningAlgorithm="RS256")
        return str(answer["WebIdentityToken"])

    scoped = scene.server.client("sts", session).get_scoped_credentials(DurationSeconds=900)["Credentials"]
    ending = [own_token(session), own_token(Keys.of(scoped))]
    staying = own_token(other)
    for token in (*ending, staying):
        assert scene.introspect(token, watcher).body["active"] is True
    subprocess.run(
        [sys.executable, "-m", "broker", "revoke", "session", session.access_key_id],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **scene.server.settings},
        capture_output=True,
        check=True,
        timeout=60,
    )
    for token in ending:
        assert scene.introspect(token, watcher).body == {"active": False}
    assert scene.introspect(staying, watcher).body["active"] is True


def test_nobody_introspects_the_tokens_of_another_account(scene: Scene, watcher: Keys) -> None:
    other = new_scene(scene.server, scene.provider)
    assert other.introspect(other.token(), watcher).error == (403, "access_denied")
    assert other.introspect(other.token(), scene.account.root).error == (403, "access_denied")
    assert scene.introspect(other.token(), watcher).body == {"active": False}


def test_a_revoked_token_is_good_no_more_whichever_worker_answers(
    scene: Scene, watcher: Keys, second: str
) -> None:
    token = scene.token(audience=scene.issuer)
    other = scene.token(audience=scene.issuer)
    answer = scene.revoke(token)
    assert (answer.status, answer.body) == (200, None)
    assert scene.record(answer)["responseElements"]["sub"] == scene.role_arn
    for _ in range(8):
        assert scene.introspect(token, watcher).body == {"active": False}
        refusal = scene.credentials(subject_token=token, subject_token_type=ACCESS_TOKEN, resource=second)
        assert refusal.error == (400, "invalid_request")
    assert "check failed: revocation: " in scene.record(refusal)["errorMessage"]
    assert scene.introspect(other, watcher).body["active"] is True
    assert scene.revoke(token).status == 200, "twice is no error"


def test_what_is_no_token_is_revoked_without_a_word_and_is_not_active(scene: Scene, watcher: Keys) -> None:
    foreign = scene.provider.machine_token("pipeline", "urn:sts")
    header, claims, _ = scene.token().split(".")
    for text in ("x", "a.b.c", foreign, f"{header}.{claims}.{'A' * 342}"):
        assert scene.revoke(text).status == 200
        assert scene.introspect(text, watcher).body == {"active": False}
    missing = post(f"{scene.issuer}/oauth2/revoke", {"token_type_hint": "access_token"})
    assert missing.error == (400, "invalid_request")


def test_a_token_of_a_role_that_is_gone_is_not_active(scene: Scene, watcher: Keys) -> None:
    token = scene.token()
    assert scene.introspect(token, watcher).body["active"] is True
    scene.iam.delete_role_policy(RoleName="deployer", PolicyName="scene")
    scene.iam.delete_role(RoleName="deployer")
    assert scene.introspect(token, watcher).body == {"active": False}


# Metadata


def test_the_metadata_is_where_the_rfc_has_it(scene: Scene) -> None:
    host, path = scene.server.url, scene.issuer.removeprefix(scene.server.url)
    found = fetched(f"{host}/.well-known/oauth-authorization-server{path}")
    assert found == fetched(f"{scene.issuer}/.well-known/oauth-authorization-server")
    assert found["issuer"] == scene.issuer
    assert found["token_endpoint"] == f"{scene.issuer}/oauth2/token"
    assert found["grant_types_supported"] == [EXCHANGE]
    assert post(found["token_endpoint"], scene.asked()).status == 200
    assert post(found["revocation_endpoint"], {"token": "x"}).status == 200
    assert post(found["introspection_endpoint"], {"token": "x"}).status == 401


def test_the_guides_own_lines_exchange_a_token(scene: Scene, tmp_path: Path) -> None:
    """The example of deploy/README.md, with this server, role and audience in the place of its own."""
    guide = (ROOT / "deploy" / "README.md").read_text()
    begins = guide.index("    curl https://sts.example.com/ID/oauth2/token")
    command = guide[begins:].partition("\n\n")[0]
    for shown, real in {
        "https://sts.example.com/ID": scene.issuer,
        "arn:aws:iam::111122223333:role/deployer": scene.role_arn,
    }.items():
        assert shown in command
        command = command.replace(shown, real)
    (tmp_path / "token").write_text(scene.provider.machine_token("pipeline", "urn:sts"))
    ran = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=True, timeout=60)
    assert scene.claims(json.loads(ran.stdout)["access_token"])["sub"] == scene.role_arn
