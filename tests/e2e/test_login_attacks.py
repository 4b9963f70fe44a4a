"""What attackers try with `aws login`, each refused: codes and tokens of others, proofs that are old."""

import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

import jwt
import pytest
from botocore.exceptions import ClientError
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from tests.e2e.conftest import Account
from tests.e2e.portal import Client, PortalServer
from tests.e2e.scenes import new_user, refused
from tests.e2e.test_login import MAY_LOG_IN
from tests.e2e.test_sso_attacks import AT, VERIFIER, challenge_of, code_in, decide, register

SAME_DEVICE = "arn:aws:signin:::devtools/same-device"
CROSS_DEVICE = "arn:aws:signin:::devtools/cross-device"


@dataclass
class Cli:
    """An AWS CLI with a key of its own."""

    server: PortalServer
    key: ec.EllipticCurvePrivateKey = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def proof(self, **changes: Any) -> str:
        claims = {
            "htm": "POST",
            "htu": f"{self.server.url}/v1/token",
            "iat": int(time.time()),
            "jti": secrets.token_hex(8),
            **changes,
        }
        jwk = ECAlgorithm.to_jwk(self.key.public_key(), as_dict=True)
        return jwt.encode(claims, self.key, algorithm="ES256", headers={"typ": "dpop+jwt", "jwk": jwk})

    def authorize(self, **changes: str) -> str:
        query = {
            "response_type": "code",
            "client_id": SAME_DEVICE,
            "state": "the-state",
            "code_challenge_method": "SHA-256",
            "scope": "openid",
            "redirect_uri": AT,
            "code_challenge": challenge_of(VERIFIER),
            **changes,
        }
        return f"/v1/authorize?{urlencode(query)}"

    def token(self, proof: str | None = None, **body: str) -> dict[str, Any]:
        client = self.server.client("signin", None)
        shown = self.proof() if proof is None else proof
        if shown:
            client.meta.events.register(
                "before-send", lambda request, **_: request.headers.__setitem__("DPoP", shown)
            )
        answer = client.create_oauth2_token(tokenInput={"clientId": SAME_DEVICE, **body})
        return dict(answer["tokenOutput"])

    def trade(self, code: str, proof: str | None = None, **changes: str) -> dict[str, Any]:
        of_code = {
            "grantType": "authorization_code",
            "code": code,
            "redirectUri": AT,
            "codeVerifier": VERIFIER,
        }
        return self.token(proof, **{**of_code, **changes})

    def refresh(self, token: str, proof: str | None = None) -> dict[str, Any]:
        return self.token(proof, grantType="refresh_token", refreshToken=token)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PortalServer]:
    folder = tmp_path_factory.mktemp("login")
    with PortalServer(folder, f"sqlite:{folder / 'broker.db'}").running() as running:
        assert isinstance(running, PortalServer)
        yield running


@pytest.fixture(scope="module")
def account(server: PortalServer) -> Account:
    made = server.new_account()
    new_user(server, made, "alice", MAY_LOG_IN)
    new_user(server, made, "bob")
    for name in ("alice", "bob"):
        server.set_password(made, name)
    return made


@pytest.fixture(scope="module")
def alice(server: PortalServer, account: Account) -> Client:
    client = Client(server)
    assert client.sign_in(account.account_id, "alice").status == 303
    return client


@pytest.fixture
def cli(server: PortalServer) -> Cli:
    return Cli(server)


def error_of(call: Any, *arguments: Any, **more: Any) -> tuple[str, str]:
    """The code of the refusal, and what its body calls it."""
    with pytest.raises(ClientError) as caught:
        call(*arguments, **more)
    return caught.value.response["Error"]["Code"], caught.value.response.get("error", "")


def test_a_token_that_was_never_given_out_is_refused_to_boto3(server: PortalServer) -> None:
    create = server.client("signin", None).create_oauth2_token
    asked = {"clientId": SAME_DEVICE, "grantType": "refresh_token", "refreshToken": "a" * 96}
    assert refused(create, tokenInput=asked)[:2] == (400, "AccessDeniedException")


def test_a_code_is_good_for_once(cli: Cli, alice: Client) -> None:
    code = code_in(decide(alice, cli.authorize()))
    tokens = cli.trade(code)
    assert tokens["tokenType"] == "aws_sigv4"
    assert 0 < tokens["expiresIn"] <= 900
    assert error_of(cli.trade, code) == ("AccessDeniedException", "AUTHCODE_EXPIRED")
    # It has ended what the code had begun.
    assert error_of(cli.refresh, tokens["refreshToken"]) == ("AccessDeniedException", "TOKEN_EXPIRED")


@pytest.mark.parametrize(
    "changes",
    [
        {"codeVerifier": "w" * 43},
        {"redirectUri": "http://127.0.0.1:1/oauth/callback"},
        {"clientId": CROSS_DEVICE},
        {"code": "0" * 96},
    ],
)
def test_a_code_is_bound(cli: Cli, alice: Client, changes: dict[str, str]) -> None:
    code = code_in(decide(alice, cli.authorize()))
    assert error_of(cli.trade, **{"code": code, **changes})[0] == "AccessDeniedException"


def test_codes_of_sso_and_of_login_are_two_things(cli: Cli, alice: Client, server: PortalServer) -> None:
    of_login = code_in(decide(alice, cli.authorize()))
    client = register(server)
    of_sso = code_in(decide(alice, client.authorize()))
    assert error_of(client.trade, of_login)[0] == "InvalidGrantException"
    assert error_of(cli.trade, of_sso)[0] == "AccessDeniedException"


def test_a_proof_is_needed_and_good_for_once_and_for_this_request(cli: Cli, alice: Client) -> None:
    code = code_in(decide(alice, cli.authorize()))
    once = cli.proof()
    tokens = cli.trade(code, once)
    token = tokens["refreshToken"]
    for proof in (
        once,
        "",
        cli.proof(htm="GET"),
        cli.proof(htu=f"{cli.server.url}/token"),
        cli.proof(htu="https://evil.example/v1/token"),
        cli.proof(iat=1_700_000_000),
        cli.proof()[:-4] + "AAAA",
    ):
        assert error_of(cli.refresh, token, proof) == ("ValidationException", "INVALID_REQUEST")
    assert cli.refresh(token)["refreshToken"] != token


def test_a_stolen_refresh_token_is_worth_nothing_without_its_key(
    cli: Cli, alice: Client, server: PortalServer
) -> None:
    token = cli.trade(code_in(decide(alice, cli.authorize())))["refreshToken"]
    assert error_of(Cli(server).refresh, token) == ("AccessDeniedException", "TOKEN_EXPIRED")
    assert cli.refresh(token)


@pytest.mark.parametrize(
    "changes",
    [
        {"client_id": "arn:aws:signin:::devtools/other"},
        {"redirect_uri": "https://evil.example/oauth/callback"},
        {"redirect_uri": "http://127.0.0.1:1/other"},
        {"redirect_uri": "http://localhost:1/oauth/callback"},
        {"code_challenge_method": "plain"},
        {"code_challenge": ""},
        {"response_type": "token"},
        {"scope": "openid admin"},
        {"state": ""},
        {"state": "a\r\nb"},
        {"state": "a" * 513},
    ],
)
def test_what_the_cli_does_not_send_is_redirected_nowhere(
    cli: Cli, alice: Client, changes: dict[str, str]
) -> None:
    answer = alice.get(cli.authorize(**changes))
    assert (answer.status, answer.header("Location")) == (400, "")


def test_a_code_for_another_machine_is_shown_and_redirected_nowhere(cli: Cli, alice: Client) -> None:
    target = cli.authorize(
        client_id=CROSS_DEVICE, redirect_uri="https://evil.example/v1/sessions/confirmation"
    )
    page = alice.get(target)
    assert "form-action 'self';" in page.header("Content-Security-Policy")
    answer = alice.post(target, {"csrf_token": page.token, "decision": "allow"})
    assert (answer.status, answer.header("Location")) == (200, "")


def test_the_gate_is_asked_for_both_actions(cli: Cli, server: PortalServer, account: Account) -> None:
    bob = Client(server)
    bob.sign_in(account.account_id, "bob")
    page = bob.get(cli.authorize())
    assert (page.status, "signin:AuthorizeOAuth2Access" in page.body) == (403, True)
    iam = server.client("iam", account.root)
    iam.put_user_policy(
        UserName="bob",
        PolicyName="half",
        PolicyDocument='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", '
        '"Action": "signin:AuthorizeOAuth2Access", "Resource": "*"}]}',
    )
    code = code_in(decide(bob, cli.authorize()))
    assert error_of(cli.trade, code) == ("AccessDeniedException", "INSUFFICIENT_PERMISSIONS")


def test_a_user_who_is_gone_has_to_sign_in_again(cli: Cli, server: PortalServer) -> None:
    account = server.new_account()
    new_user(server, account, "carol", MAY_LOG_IN)
    server.set_password(account, "carol")
    carol = Client(server)
    carol.sign_in(account.account_id, "carol")
    token = cli.trade(code_in(decide(carol, cli.authorize())))["refreshToken"]
    time.sleep(1.1)  # times are whole seconds
    server.command("revoke", "user", f"arn:aws:iam::{account.account_id}:user/carol")
    assert error_of(cli.refresh, token) == ("AccessDeniedException", "USER_CREDENTIALS_CHANGED")
