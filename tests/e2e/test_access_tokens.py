"""Access tokens of Login with Amazon and Facebook: a real server and boto3, and services of the tests for theirs."""

import json
import os
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.e2e.conftest import CLI_1, REACHES_LOOPBACK, REGION, Keys, Server
from tests.e2e.scenes import allow, new_role, records, refused, written_in
from tests.guide import ACCOUNT, pages

AMAZON, FACEBOOK = "www.amazon.com", "graph.facebook.com"
OWN_APP, OTHER_APP = "amzn1.application.own", "amzn1.application.other"
DENIED = (403, "AccessDenied", "Not authorized to perform sts:AssumeRoleWithWebIdentity")
INVALID = (400, "InvalidIdentityToken", "The web identity token that was passed could not be validated.")


def token_info(app_id: str, user_id: str = "amzn1.account.alice", **more: Any) -> dict[str, Any]:
    own = {"iss": "https://www.amazon.com", "app_id": app_id, "aud": "client", "user_id": user_id}
    return {**own, "exp": 3600, "iat": 1_700_000_000, **more}


@dataclass
class Providers:
    """Answers by path and token: status and body; another token is none."""

    answers: dict[tuple[str, str], tuple[int, Any]] = field(default_factory=dict)
    port: int = 0

    def knows(self, path: str, token: str, body: Any, status: int = 200) -> None:
        self.answers[path, token] = status, body

    def knows_person(self, token: str, app_id: str, user_id: str) -> None:
        """At Facebook."""
        self.knows("/v21.0/app", token, {"id": app_id, "name": "App"})
        self.knows("/v21.0/me", token, {"id": user_id})

    @contextmanager
    def running(self) -> Iterator["Providers"]:
        providers = self

        class Answers(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                url = urlsplit(self.path)
                (token,) = parse_qs(url.query)["access_token"]
                status, body = providers.answers.get((url.path, token), (400, {"error": "invalid_token"}))
                self.send_response(status)
                self.end_headers()
                self.wfile.write(json.dumps(body).encode())

            def log_message(self, *_: Any) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        self.port = server.server_port
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield self
        finally:
            server.shutdown()
            thread.join()
            server.server_close()


@dataclass
class Scene:
    server: Server
    providers: Providers

    def asked(self, provider: str, token: str, role: str) -> dict[str, Any]:
        answer: dict[str, Any] = self.server.client("sts", None).assume_role_with_web_identity(
            **self.request(provider, token, role)
        )
        return answer

    def request(self, provider: str, token: str, role: str) -> dict[str, str]:
        arn = f"arn:aws:iam::{ACCOUNT}:role/{role}"
        return {
            "RoleArn": arn,
            "RoleSessionName": "app",
            "WebIdentityToken": token,
            "ProviderId": provider,
        }

    def refused(self, provider: str, token: str, role: str) -> tuple[tuple[int, str, str], str]:
        """The refusal, and the reason that the journal has."""
        call = self.server.client("sts", None).assume_role_with_web_identity
        found = refused(call, **self.request(provider, token, role))
        return found, records(self.server)[-1]["errorMessage"]


def trust(provider: str, **condition: Any) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    action = "sts:AssumeRoleWithWebIdentity"
    return {"Effect": "Allow", "Principal": {"Federated": provider}, "Action": action, **more}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("access-tokens")
    with Providers().running() as providers:
        url = f"http://127.0.0.1:{providers.port}"
        settings = {
            **REACHES_LOOPBACK,
            "BROKER_FEDERATION_LOGIN_WITH_AMAZON_URL": url,
            "BROKER_FEDERATION_FACEBOOK_GRAPH_URL": f"{url}/v21.0",
        }
        server = Server(folder, f"sqlite:{folder / 'broker.db'}", environment=settings)
        with server.running():
            account = server.new_account(ACCOUNT)
            own, equals = f"{AMAZON}:app_id", "StringEquals"
            conditions: dict[str, dict[str, Any]] = {
                "own": {equals: {own: OWN_APP}},
                "alice": {equals: {own: OWN_APP, f"{AMAZON}:user_id": "amzn1.account.alice"}},
                "any": {},
                "user": {equals: {f"{AMAZON}:user_id": "amzn1.account.alice"}},
                "like": {"StringLike": {own: "*"}},
                "not": {"StringNotEquals": {own: OTHER_APP}},
                "present": {"Null": {own: "false"}},
            }
            for name, condition in conditions.items():
                new_role(server, account, name, trust(AMAZON, **condition), allow("iam:ListUsers"))
            new_role(server, account, "people", trust(FACEBOOK, StringEquals={f"{FACEBOOK}:app_id": "17"}))
            carol = {f"{FACEBOOK}:app_id": "17", f"{FACEBOOK}:id": "4"}
            new_role(server, account, "carol", trust(FACEBOOK, StringEquals=carol))
            yield Scene(server, providers)


def test_a_user_of_the_own_application_of_amazon_gets_a_session(scene: Scene) -> None:
    scene.providers.knows("/auth/o2/tokeninfo", "Atza|one&two=é", token_info(OWN_APP))
    answer = scene.asked(AMAZON, "Atza|one&two=é", "own")
    assert answer["SubjectFromWebIdentityToken"] == "amzn1.account.alice"
    assert (answer["Provider"], answer["Audience"]) == (AMAZON, OWN_APP)
    keys = Keys.of(answer["Credentials"])
    assert scene.server.client("iam", keys).list_users()["Users"] == []
    assert scene.asked(AMAZON, "Atza|one&two=é", "alice")["AssumedRoleUser"]["Arn"].endswith("/alice/app")


def test_a_person_of_facebook_gets_a_session(scene: Scene) -> None:
    scene.providers.knows_person("carols token", "17", "4")
    scene.providers.knows_person("daves token", "17", "5")
    scene.providers.knows_person("elsewhere", "18", "4")
    assert scene.asked(FACEBOOK, "carols token", "carol")["SubjectFromWebIdentityToken"] == "4"
    assert scene.asked(FACEBOOK, "daves token", "people")["Audience"] == "17"
    assert scene.refused(FACEBOOK, "daves token", "carol")[0] == DENIED
    assert scene.refused(FACEBOOK, "elsewhere", "people")[0] == DENIED


def test_a_token_of_another_application_is_refused(scene: Scene) -> None:
    scene.providers.knows("/auth/o2/tokeninfo", "others", token_info(OTHER_APP))
    for role in ("own", "alice"):
        assert scene.refused(AMAZON, "others", role)[0] == DENIED


@pytest.mark.parametrize("role", ["any", "user", "like", "not", "present"])
def test_a_role_that_does_not_name_its_application_is_refused(scene: Scene, role: str) -> None:
    scene.providers.knows("/auth/o2/tokeninfo", "a good one", token_info(OWN_APP))
    refusal, reason = scene.refused(AMAZON, "a good one", role)
    assert refusal == DENIED
    assert f"wanted a condition on {AMAZON}:app_id" in reason


@pytest.mark.parametrize(
    ("answer", "status", "refusal", "check"),
    [
        (token_info(OWN_APP, iss="https://evil.example"), 200, INVALID, "issuer: found https://evil.example"),
        (token_info(OWN_APP, exp=0), 200, INVALID, "expiry: found 0"),
        (token_info(OWN_APP, user_id=7), 200, INVALID, "subject: found 7"),
        ({"error": "invalid_token"}, 400, INVALID, "token: found the provider answers 400"),
        ({}, 503, (400, "IDPCommunicationError"), "provider: found www.amazon.com: status 503"),
        (["no object"], 200, (400, "IDPCommunicationError"), "not a JSON object"),
    ],
)
def test_what_the_provider_does_not_say_proves_nothing(
    scene: Scene, answer: Any, status: int, refusal: tuple[Any, ...], check: str
) -> None:
    scene.providers.knows("/auth/o2/tokeninfo", "strange", answer, status)
    found, reason = scene.refused(AMAZON, "strange", "own")
    assert found[: len(refusal)] == refusal
    assert check in reason


def test_a_token_of_one_provider_is_none_of_the_other_and_another_provider_is_none(scene: Scene) -> None:
    scene.providers.knows("/auth/o2/tokeninfo", "amazons", token_info(OWN_APP))
    assert scene.refused(FACEBOOK, "amazons", "people")[0] == INVALID
    for provider in ("accounts.google.com", "WWW.AMAZON.COM", "idp.example.com"):
        assert scene.refused(provider, "amazons", "own")[0][:2] == (400, "InvalidParameterValue")


def test_no_token_is_written_down(scene: Scene) -> None:
    scene.providers.knows("/auth/o2/tokeninfo", "v e r y secret", token_info(OWN_APP))
    scene.asked(AMAZON, "v e r y secret", "own")
    scene.refused(FACEBOOK, "v e r y secret", "people")
    written = written_in(scene.server)
    assert "v e r y secret" not in written
    assert "v+e+r+y" not in written


def test_the_page_of_the_guide_leads_to_credentials(scene: Scene, tmp_path: Path) -> None:
    page = pages()["Login with Amazon and Facebook"]
    for name, text in page.files.items():
        (tmp_path / name).write_text(text)
    app_id = page.role[1]["Statement"]["Condition"]["StringEquals"][f"{AMAZON}:app_id"]
    (tmp_path / "token").write_text("a token")
    scene.providers.knows("/auth/o2/tokeninfo", "a token", token_info(app_id))
    with Server(
        tmp_path, f"sqlite:{tmp_path / 'b.db'}", environment=scene.server.environment
    ).running() as server:
        account = server.new_account(ACCOUNT)
        (tmp_path / "aws").symlink_to(CLI_1)
        environment = {
            "PATH": f"{tmp_path}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL": server.url,
            **account.root.environment,
        }
        (script,) = page.scripts
        ran = subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert f"arn:aws:sts::{ACCOUNT}:assumed-role/shopper/shop" in ran.stdout
