"""A real nginx in front, with deploy/nginx/broker.conf: signatures, the client's address and TLS survive the way."""

import http.client
import shutil
import ssl
import subprocess
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.conftest import REGION, ROOT, Account, Keys, Server
from tests.e2e.raw_requests import WHO_AM_I, raw_request
from tests.e2e.scenes import Statement, allow, new_user
from tests.ports import free_port

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")

# The address that clients have here, none of the proxy's own.
CLIENT = "127.0.0.9"


class Proxy:
    """nginx before `server`, listening with TLS at `address`."""

    def __init__(self, folder: Path, server: Server) -> None:
        self.folder = folder
        self.address = f"127.0.0.1:{free_port()}"
        self.url = f"https://{self.address}"
        self.authority = folder / "fullchain.pem"
        self._server = server
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=proxy.test"
        names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "privkey.pem", "-out", "fullchain.pem"]
        subprocess.run(
            ["openssl", *command.split(), *names], cwd=self.folder, check=True, capture_output=True
        )
        ours = (ROOT / "deploy" / "nginx" / "broker.conf").read_text("utf-8")
        for what, here in {
            "server 127.0.0.1:8080;": f"server {self._server.api};",
            "listen 443 ssl;": f"listen {self.address} ssl;",
            "/etc/ssl/broker/": f"{self.folder}/",
        }.items():
            assert what in ours
            ours = ours.replace(what, here)
        (self.folder / "broker.conf").write_text(ours)
        paths = "".join(
            f"{kind}_temp_path {self.folder}/{kind};\n"
            for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
        )
        (self.folder / "nginx.conf").write_text(
            f"daemon off;\nmaster_process off;\npid {self.folder}/pid;\nerror_log stderr;\nevents {{}}\n"
            f"http {{\naccess_log off;\n{paths}include {self.folder}/broker.conf;\n}}\n"
        )
        assert NGINX is not None
        command_line = [NGINX, "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        checked = subprocess.run([*command_line, "-t"], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
        with (self.folder / "log").open("wb") as log:
            self._process = subprocess.Popen(command_line, stderr=log)
        deadline = time.monotonic() + 10
        while not (self.folder / "pid").exists() or not (self.folder / "pid").read_text().strip():
            assert self._process.poll() is None and time.monotonic() < deadline, (
                self.folder / "log"
            ).read_text()
            time.sleep(0.02)

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait(30)

    def send(
        self, method: str, target: str, source: str, body: bytes = b"", headers: dict[str, str] | None = None
    ) -> tuple[int, str]:
        """Status and body; the client's own address is `source`."""
        host, _, port = self.address.partition(":")
        context = ssl.create_default_context(cafile=self.authority)
        connection = http.client.HTTPSConnection(
            host, int(port), timeout=20, source_address=(source, 0), context=context
        )
        with closing(connection):
            connection.request(method, target, body, headers or {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()

    def client(self, service: str, keys: Keys) -> Any:
        """boto3 as anybody would point it at the proxy."""
        return boto3.session.Session().client(
            service,
            region_name=REGION,
            endpoint_url=self.url,
            verify=str(self.authority),
            aws_access_key_id=keys.access_key_id,
            aws_secret_access_key=keys.secret_access_key,
            aws_session_token=keys.session_token,
            config=Config(retries={"max_attempts": 0}),
        )


@pytest.fixture(scope="module")
def behind(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A broker that believes its proxy, which is at 127.0.0.1 here, by the settings of the example."""
    folder = tmp_path_factory.mktemp("behind")
    arguments = ("--config", str(ROOT / "config" / "examples" / "nginx" / "broker.toml"))
    server = Server(folder, f"sqlite:{folder / 'broker.db'}", arguments)
    server.start()
    yield server
    assert server.stop() == 0, server.log


@pytest.fixture(scope="module")
def proxy(behind: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    if NGINX is None:
        pytest.fail("nginx is not installed: run scripts/test, which installs what the tests need")
    running = Proxy(tmp_path_factory.mktemp("nginx"), behind)
    running.start()
    yield running
    running.stop()


@pytest.fixture
def tenant(behind: Server) -> Account:
    return behind.new_account()


def may_list_users(proxy: Proxy, keys: Keys) -> bool:
    try:
        proxy.client("iam", keys).list_users()
    except ClientError as error:
        assert error.response["Error"]["Code"] == "AccessDenied"
        return False
    return True


def under(operator: str, **values: str) -> Statement:
    """ListUsers under one condition; `__` in a key stands for the colon."""
    condition = {operator: {key.replace("__", ":"): value for key, value in values.items()}}
    return allow("iam:ListUsers", Condition=condition)


def test_signatures_hold_through_the_proxy(behind: Server, proxy: Proxy, tenant: Account):
    assert proxy.client("sts", tenant.root).get_caller_identity()["Account"] == tenant.account_id
    iam = proxy.client("iam", tenant.root)
    iam.create_user(UserName="alice", Path="/a+b=c/,.@-/")
    assert [user["UserName"] for user in iam.list_users()["Users"]] == ["alice"]


def test_the_proxy_does_not_make_a_bad_signature_good(proxy: Proxy, tenant: Account):
    with pytest.raises(ClientError) as refused:
        proxy.client("sts", replace(tenant.root, secret_access_key="wrong")).get_caller_identity()
    assert refused.value.response["Error"]["Code"] == "SignatureDoesNotMatch"


def test_tls_up_to_the_proxy_counts_as_secure_transport(behind: Server, proxy: Proxy, tenant: Account):
    keys = new_user(behind, tenant, "alice", under("Bool", aws__SecureTransport="true"))
    assert may_list_users(proxy, keys)
    with pytest.raises(ClientError):
        behind.client("iam", keys).list_users()


def test_the_source_is_the_proxys_client_and_no_claim_of_his(behind: Server, proxy: Proxy, tenant: Account):
    keys = new_user(behind, tenant, "alice", under("IpAddress", aws__SourceIp=CLIENT))
    elsewhere = new_user(behind, tenant, "bob", under("IpAddress", aws__SourceIp="203.0.113.7"))
    asked = {"Action": "ListUsers", "Version": "2010-05-08"}

    def status(keys: Keys, source: str, **claims: str) -> int:
        signed = raw_request(replace(behind, api=proxy.address), keys, asked, service="iam")
        headers = {
            **dict(signed.headers),
            **{name.replace("_", "-"): value for name, value in claims.items()},
        }
        return proxy.send("POST", "/", source, signed.body, headers)[0]

    assert status(keys, CLIENT) == 200
    assert status(keys, "127.0.0.1") == 403
    assert status(elsewhere, CLIENT, X_Forwarded_For="203.0.113.7") == 403
    assert status(keys, CLIENT, X_Forwarded_For="203.0.113.7") == 200


def test_a_presigned_url_works_through_the_proxy(behind: Server, proxy: Proxy, tenant: Account):
    sts = proxy.client("sts", tenant.root)
    url = sts.generate_presigned_url("get_caller_identity", {}, ExpiresIn=60, HttpMethod="GET")
    status, body = proxy.send("GET", url.removeprefix(proxy.url), CLIENT)
    assert (status, f"arn:aws:iam::{tenant.account_id}:root" in body) == (200, True)


def test_who_is_no_trusted_proxy_is_not_believed(server: Server, account: Account):
    """The same claims, made to a broker that trusts nobody."""
    keys = new_user(server, account, "mallory", under("IpAddress", aws__SourceIp="203.0.113.7"))
    asked = {"Action": "ListUsers", "Version": "2010-05-08"}
    claims = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https"}
    assert raw_request(server, keys, asked, service="iam", headers=claims).send(server).status == 403
    assert raw_request(server, account.root, WHO_AM_I, headers=claims).send(server).status == 200
