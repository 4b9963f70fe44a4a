"""AssumeRoleWithCustomToken: a real server, and an identity plugin that the tests start."""

import json
import os
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from tests.e2e.conftest import CLI_1, REACHES_LOOPBACK, REGION, ROOT, Keys, Server
from tests.e2e.scenes import allow, new_role, records_of, written_in
from tests.guide import ACCOUNT as GUIDED_ACCOUNT
from tests.guide import pages

PROVIDER, ACTION, ACCOUNT = "tokens.example.com", "sts:AssumeRoleWithCustomToken", "123456789012"
DENIED = f"Not authorized to perform {ACTION}"
AWAY = (503, "ServiceUnavailable", "The request has failed due to a temporary failure of the server.")
NAMESPACE = "{https://sts.amazonaws.com/doc/2011-06-15/}"
ALICE = {"user": "alice", "maxValiditySeconds": 1800, "claims": {"team": "blue", "groups": ["a", "b"]}}


@dataclass
class Plugin:
    """Answers tokens by what `answers` says: status and body; what it was sent is in `asked`."""

    answers: dict[str, tuple[int, Any]] = field(default_factory=dict)
    asked: list[tuple[str, str, str]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/check?tenant=7"

    @contextmanager
    def running(self) -> Iterator["Plugin"]:
        plugin = self

        class Answers(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                query = urllib.parse.parse_qs(urllib.parse.urlsplit(self.path).query)
                (token,), (tenant,) = query["token"], query["tenant"]
                plugin.asked.append((token, tenant, self.headers.get("Authorization", "")))
                status, body = plugin.answers.get(token, (403, {"reason": "no such token"}))
                if status == 0:
                    time.sleep(7)
                self.send_response(status or 200)
                if status == 307:
                    self.send_header("Location", f"http://127.0.0.1:{plugin.port}/elsewhere?tenant=8")
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body if isinstance(body, bytes) else json.dumps(body).encode())

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
    plugin: Plugin

    def asked(self, token: str, role: str = "reader", **more: str) -> tuple[int, dict[str, str]]:
        form = {
            "Action": "AssumeRoleWithCustomToken",
            "Version": "2011-06-15",
            "Token": token,
            "RoleArn": f"arn:aws:iam::{ACCOUNT}:role/{role}",
            **more,
        }
        request = urllib.request.Request(f"{self.server.url}/?{urllib.parse.urlencode(form)}", method="POST")
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                return answer.status, texts(answer.read())
        except urllib.error.HTTPError as error:
            with error:
                return error.code, texts(error.read())

    def refused(self, token: str, role: str = "reader", **more: str) -> tuple[tuple[int, str, str], str]:
        """The refusal, and the reason that the journal has."""
        status, said = self.asked(token, role, **more)
        (record,) = records_of(self.server, said["RequestId"])
        return (status, said["Code"], said["Message"]), record["errorMessage"]


def texts(answer: bytes) -> dict[str, str]:
    return {one.tag.removeprefix(NAMESPACE): one.text or "" for one in ElementTree.fromstring(answer).iter()}


def trust(**condition: Any) -> dict[str, Any]:
    more = {"Condition": condition} if condition else {}
    return {"Effect": "Allow", "Principal": {"Federated": PROVIDER}, "Action": ACTION, **more}


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    folder = tmp_path_factory.mktemp("plugin")
    with Plugin().running() as plugin:
        settings = {
            **REACHES_LOOPBACK,
            "BROKER_IDENTITY_PLUGIN_URL": plugin.url,
            "BROKER_IDENTITY_PLUGIN_AUTHORIZATION": "Bearer of-the-plugin",
            "BROKER_IDENTITY_PLUGIN_PROVIDER": PROVIDER,
        }
        server = Server(folder, f"sqlite:{folder / 'broker.db'}", environment=settings)
        with server.running():
            account = server.new_account(ACCOUNT)
            new_role(server, account, "reader", trust(), allow("iam:ListUsers"))
            blue = {"StringEquals": {"custom:team": "blue", "custom:user": "alice"}}
            new_role(server, account, "blue", trust(**blue), allow("iam:ListUsers"))
            new_role(server, account, "stranger", {**trust(), "Principal": {"Federated": "x.example.com"}})
            yield Scene(server, plugin)


def test_whom_the_plugin_vouches_for_gets_a_session(scene: Scene) -> None:
    scene.plugin.answers["a to/ken&=é"] = (200, ALICE)
    status, said = scene.asked("a to/ken&=é")
    assert status == 200, said
    assert scene.plugin.asked[-1] == ("a to/ken&=é", "7", "Bearer of-the-plugin")
    assert said["AssumedUser"] == "custom:alice"
    assert said["Arn"] == f"arn:aws:sts::{ACCOUNT}:assumed-role/reader/alice"
    keys = Keys(said["AccessKeyId"], said["SecretAccessKey"], said["SessionToken"])
    assert scene.server.client("iam", keys).list_users()["Users"] == []
    (record,) = records_of(scene.server, said["RequestId"])
    assert record["userIdentity"]["type"] == "CustomTokenUser"
    assert record["userIdentity"]["principalId"] == f"{PROVIDER}:alice"


def test_a_session_lives_no_longer_than_the_plugin_says(scene: Scene) -> None:
    scene.plugin.answers["short"] = (200, {**ALICE, "maxValiditySeconds": 900})
    ends = scene.asked("short", DurationSeconds="3600")[1]["Expiration"]
    assert datetime.fromisoformat(ends).timestamp() <= time.time() + 901


def test_the_claims_are_conditions_of_the_trust_policy(scene: Scene) -> None:
    scene.plugin.answers |= {
        "blue": (200, ALICE),
        "red": (200, {**ALICE, "claims": {"team": "red"}}),
        "forged": (200, {**ALICE, "user": "mallory", "claims": {"team": "blue", "user": "alice"}}),
    }
    assert scene.asked("blue", "blue")[0] == 200
    for token in ("red", "forged"):
        assert scene.refused(token, "blue")[0] == (403, "AccessDenied", DENIED)
    assert scene.refused("blue", "stranger")[0] == (403, "AccessDenied", DENIED)
    assert scene.refused("blue", "missing")[0] == (403, "AccessDenied", DENIED)


def test_the_plugins_reason_is_read_by_the_client_and_its_markup_is_none(scene: Scene) -> None:
    scene.plugin.answers["old"] = (403, {"reason": "too <old> & \n tired"})
    refusal, reason = scene.refused("old")
    assert refusal == (403, "AccessDenied", f"{DENIED}: too <old> &   tired")
    assert "the identity plugin refuses the token" in reason
    assert scene.refused("unknown")[0] == (403, "AccessDenied", f"{DENIED}: no such token")


@pytest.mark.parametrize(
    ("name", "answer", "said"),
    [
        ("error", (500, {}), "status 500"),
        ("elsewhere", (307, {}), "status 307"),
        ("no JSON", (200, b"<html>"), "not JSON"),
        ("twice", (200, b'{"user": "a", "user": "b"}'), "a member occurs twice"),
        ("endless", (200, b" " * (128 << 10)), "more than 65536 bytes"),
        ("slow", (0, ALICE), "no answer within 5 seconds"),
    ],
)
def test_a_plugin_without_an_answer_that_counts_makes_no_one_anybody(
    scene: Scene, name: str, answer: tuple[int, Any], said: str
) -> None:
    scene.plugin.answers[name] = answer
    refusal, reason = scene.refused(name)
    assert refusal == AWAY
    assert said in reason
    assert scene.plugin.asked[-1][:2] == (name, "7"), "it was asked once, and where it leads nobody was"


@pytest.mark.parametrize(
    ("answer", "check"),
    [
        ({**ALICE, "user": "al ice"}, "session name: found al ice"),
        ({**ALICE, "user": None}, "user: found None"),
        ({**ALICE, "maxValiditySeconds": 60}, "longest validity: found 60"),
        ({**ALICE, "claims": "all"}, "claims: found str"),
    ],
)
def test_an_approval_that_cannot_be_used_is_a_refusal(scene: Scene, answer: Any, check: str) -> None:
    scene.plugin.answers["strange"] = (200, answer)
    refusal, reason = scene.refused("strange")
    assert refusal == (403, "AccessDenied", DENIED)
    assert f"check failed: {check}" in reason


def test_without_a_role_or_a_token_nobody_is_asked(scene: Scene) -> None:
    before = len(scene.plugin.asked)
    assert scene.refused("")[0][:2] == (400, "ValidationError")
    assert scene.refused("x" * 8193)[0][:2] == (400, "ValidationError")
    assert scene.refused("good", RoleArn="arn:aws:iam::123456789012:user/reader")[0][:2] == (
        400,
        "ValidationError",
    )
    assert len(scene.plugin.asked) == before


def test_no_token_and_no_secret_is_written_down(scene: Scene) -> None:
    scene.plugin.answers["v e r y secret"] = (500, b"v e r y secret")
    scene.refused("v e r y secret")
    scene.plugin.answers["v e r y secret"] = (200, ALICE)
    scene.asked("v e r y secret")
    written = written_in(scene.server)
    assert "v e r y secret" not in written
    assert "v+e+r+y" not in written
    assert "of-the-plugin" not in written


def test_an_address_that_is_not_admitted_is_refused_at_the_start(scene: Scene, tmp_path: Path) -> None:
    settings = {**scene.server.environment, "BROKER_FEDERATION_PRIVATE_NETWORKS": "10.0.0.0/8"}
    wrong = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", environment=settings)
    ran = subprocess.run(
        [sys.executable, "-m", "broker", "config", "check"],
        cwd=ROOT,
        env={"PATH": "/usr/bin:/bin", **wrong.settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 2
    assert "identity_plugin.url: " in ran.stdout + ran.stderr
    assert "may not be reached" in ran.stdout + ran.stderr


def test_without_settings_there_is_no_such_operation(own: Server) -> None:
    form = "Action=AssumeRoleWithCustomToken&Version=2011-06-15&Token=x"
    request = urllib.request.Request(
        f"{own.url}/?{form}&RoleArn=arn:aws:iam::{ACCOUNT}:role/x", method="POST"
    )
    with pytest.raises(urllib.error.HTTPError) as error:
        urllib.request.urlopen(request, timeout=30)
    with error.value:
        assert texts(error.value.read())["Code"] == "InvalidAction"


def test_the_page_of_the_guide_leads_to_credentials(scene: Scene, tmp_path: Path) -> None:
    """Its settings and lines, the plugin of the tests at its URL, in another account's name."""
    page, plugin = pages()["Custom tokens"], scene.plugin
    for name, text in page.files.items():
        (tmp_path / name).write_text(text.replace("https://tokens.example.com/check", plugin.url))
    (tmp_path / "token").write_text("a token")
    (answer,) = [block.text for block in page.blocks if block.language == "json" and not block.file]
    plugin.answers["a token"] = (200, json.loads(answer))
    arguments = ("--config", str(tmp_path / "broker.toml"))
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", arguments, REACHES_LOOPBACK)
    with server.running():
        account = server.new_account(GUIDED_ACCOUNT)
        programs = tmp_path / "programs"
        programs.mkdir()
        (programs / "aws").symlink_to(CLI_1)
        own = {
            "PATH": f"{programs}:{os.environ['PATH']}",
            "HOME": str(tmp_path),
            "AWS_DEFAULT_REGION": REGION,
        }
        (script,) = page.scripts
        ran = subprocess.run(
            ["bash", "-euc", script],
            cwd=tmp_path,
            env={**own, "AWS_ENDPOINT_URL": server.url, **account.root.environment},
            capture_output=True,
            text=True,
            check=False,
        )
    assert ran.returncode == 0, ran.stderr
    assert plugin.asked[-1] == ("a token", "7", "Bearer a-secret-of-the-plugin")
    assert f"arn:aws:sts::{GUIDED_ACCOUNT}:assumed-role/blue/alice" in ran.stdout
