"""HTTPS with a certificate authority of one's own, and certificates that change under way."""

import os
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import SSLError

from tests.e2e.conftest import REGION, Account, Server
from tests.e2e.scenes import allow, document


@dataclass(frozen=True)
class Authority:
    """A self-signed CA; `issue` puts a certificate for 127.0.0.1 where the server looks for it."""

    folder: Path

    @property
    def certificate(self) -> Path:
        return self.folder / "ca.pem"

    def found(self) -> None:
        self._openssl(
            "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=authority.test"
            " -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign"
            " -keyout ca.key -out ca.pem"
        )

    def issue(self, name: str) -> None:
        """A new pair, renamed into place one file after the other, as tools for renewal do it."""
        self._openssl(
            f"req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN={name} -keyout new.key -out new.csr"
        )
        (self.folder / "names").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
        self._openssl(
            "x509 -req -in new.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 1 -extfile names -out new.pem"
        )
        (self.folder / "new.pem").replace(self.folder / "chain.pem")
        (self.folder / "new.key").replace(self.folder / "key.pem")

    def _openssl(self, arguments: str) -> None:
        subprocess.run(["openssl", *arguments.split()], cwd=self.folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    made = Authority(tmp_path_factory.mktemp("authority"))
    made.found()
    return made


@pytest.fixture(params=["1", "2"])
def secured(request: pytest.FixtureRequest, authority: Authority, tmp_path: Path) -> Iterator[Server]:
    authority.issue("first.test")
    environment = {
        "BROKER_TLS_CERTIFICATE_FILE": str(authority.folder / "chain.pem"),
        "BROKER_TLS_KEY_FILE": str(authority.folder / "key.pem"),
        "BROKER_TLS_RELOAD_SECONDS": "1",
    }
    arguments = ("--workers", request.param)
    with Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", arguments, environment).running() as running:
        yield running


def client(server: Server, service: str, account: Account, authority: Path | bool) -> Any:
    return boto3.session.Session().client(
        service,
        region_name=REGION,
        endpoint_url=server.url,
        aws_access_key_id=account.root.access_key_id,
        aws_secret_access_key=account.root.secret_access_key,
        verify=str(authority) if isinstance(authority, Path) else authority,
        config=Config(retries={"max_attempts": 0}),
    )


def shown_name(server: Server, authority: Authority) -> str:
    """The common name of the certificate that a new connection gets, verified."""
    host, _, port = server.api.partition(":")
    context = ssl.create_default_context(cafile=authority.certificate)
    with (
        socket.create_connection((host, int(port)), timeout=5) as plain,
        context.wrap_socket(plain, server_hostname=host) as tls,
    ):
        subject: Any = tls.getpeercert()
        return str(dict(pair for part in subject["subject"] for pair in part)["commonName"])


def await_name(server: Server, authority: Authority, name: str) -> None:
    """Until ten new connections in a row, whichever workers take them, are shown `name`."""
    deadline = time.monotonic() + 10
    while {shown_name(server, authority) for _ in range(10)} != {name}:
        assert time.monotonic() < deadline, f"{name} is never shown: {server.log}"
        time.sleep(0.1)


def test_boto3_verifies_the_server_and_is_served(secured: Server, authority: Authority):
    account = secured.new_account()
    identity = client(secured, "sts", account, authority.certificate).get_caller_identity()
    assert identity["Account"] == account.account_id
    with pytest.raises(SSLError):
        client(secured, "sts", account, True).get_caller_identity()


def test_secure_transport_is_a_fact_that_policies_see(secured: Server, authority: Authority):
    account = secured.new_account()
    iam = client(secured, "iam", account, authority.certificate)
    iam.create_user(UserName="alice")
    key = iam.create_access_key(UserName="alice")["AccessKey"]
    condition = {"Bool": {"aws:SecureTransport": "true"}}
    policy = document(allow("iam:ListUsers", Condition=condition))
    iam.put_user_policy(UserName="alice", PolicyName="p", PolicyDocument=policy)
    alice = boto3.session.Session().client(
        "iam",
        region_name=REGION,
        endpoint_url=secured.url,
        aws_access_key_id=key["AccessKeyId"],
        aws_secret_access_key=key["SecretAccessKey"],
        verify=str(authority.certificate),
    )
    assert [user["UserName"] for user in alice.list_users()["Users"]] == ["alice"]


def test_a_renewed_certificate_is_seen_by_new_connections_and_old_ones_live_on(
    secured: Server, authority: Authority
):
    account = secured.new_account()
    sts = client(secured, "sts", account, authority.certificate)
    sts.get_caller_identity()
    assert shown_name(secured, authority) == "first.test"
    authority.issue("second.test")
    await_name(secured, authority, "second.test")
    assert sts.get_caller_identity()["Account"] == account.account_id
    assert client(secured, "sts", account, authority.certificate).get_caller_identity()


def test_a_broken_renewal_is_logged_and_the_old_certificate_serves_on(secured: Server, authority: Authority):
    (authority.folder / "chain.pem").write_text("not a certificate")
    deadline = time.monotonic() + 10
    while "the changed certificate cannot be used" not in secured.log:
        assert time.monotonic() < deadline
        time.sleep(0.1)
    assert {shown_name(secured, authority) for _ in range(10)} == {"first.test"}
    authority.issue("third.test")
    await_name(secured, authority, "third.test")


def test_plain_http_is_not_answered_on_the_tls_listener(secured: Server):
    host, _, port = secured.api.partition(":")
    with socket.create_connection((host, int(port)), timeout=5) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b"HTTP/1.1 200" not in plain.recv(1024)


def test_a_pair_that_does_not_fit_ends_the_start_with_one_sentence(authority: Authority, tmp_path: Path):
    authority.issue("first.test")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))},
        "BROKER_TLS_CERTIFICATE_FILE": str(authority.folder / "chain.pem"),
        "BROKER_TLS_KEY_FILE": str(authority.folder / "ca.key"),
    }
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    command = [sys.executable, "-m", "broker", "serve"]
    ended = subprocess.run(command, env={**server.settings, **environment}, capture_output=True, text=True)
    assert ended.returncode == 2
    assert ended.stderr.startswith("broker serve: tls: the certificate cannot be used: the key ")
    assert ended.stderr.count("\n") == 1
