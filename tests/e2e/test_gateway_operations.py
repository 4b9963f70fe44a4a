"""A gateway as its operator runs it: workers, metrics, readiness, certificates and keys that change under way."""

import re
import signal
import socket
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.conftest import Account, Keys, Server
from tests.e2e.gateway import NEXT_STORE_KEYS, S3, STORE_KEYS
from tests.e2e.scenes import deny, new_user, refused
from tests.e2e.test_tls import Authority
from tests.ports import free_port


class Operated:
    """The gateway and the files that its operator changes."""

    def __init__(self, s3: S3, authority: Authority, operations: str, credentials: Path) -> None:
        self.s3, self.authority = s3, authority
        self._operations, self._credentials = operations, credentials

    def client(self, keys: Keys) -> Any:
        return self.s3.client(keys, verify=str(self.authority.certificate))

    def look(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(f"http://{self._operations}{path}") as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def metric(self, line: str) -> float:
        found = re.findall(rf"^{re.escape(line)} (\S+)$", self.look("/metrics")[1], re.MULTILINE)
        return sum(map(float, found))

    def reload(self) -> None:
        assert self.s3.process is not None
        self.s3.process.send_signal(signal.SIGHUP)

    def write_keys(self, keys: Keys) -> None:
        write_keys(self._credentials, keys)

    def serial(self) -> str:
        """Of the certificate that the gateway shows."""
        host, _, port = self.s3.address.partition(":")
        context = ssl.create_default_context(cafile=self.authority.certificate)
        with (
            socket.create_connection((host, int(port)), 5) as plain,
            context.wrap_socket(plain, server_hostname=host) as connection,
        ):
            return str((connection.getpeercert() or {})["serialNumber"])


def write_keys(file: Path, keys: Keys) -> None:
    lines = f"aws_access_key_id = {keys.access_key_id}\naws_secret_access_key = {keys.secret_access_key}\n"
    new = file.with_suffix(".new")
    new.write_text(f"[default]\n{lines}")
    new.replace(file)


def until(holds: Any, seconds: float = 15) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.fixture(scope="module")
def operated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Operated]:
    folder = tmp_path_factory.mktemp("operated")
    authority = Authority(folder)
    authority.found()
    authority.issue("first")
    credentials, operations = folder / "store-credentials", f"127.0.0.1:{free_port()}"
    write_keys(credentials, STORE_KEYS)
    settings = {
        "BROKER_GATEWAY_ACCESS_KEY_ID": "",
        "BROKER_GATEWAY_SECRET_ACCESS_KEY": "",
        "BROKER_GATEWAY_CREDENTIALS_FILE": str(credentials),
        "BROKER_GATEWAY_OPERATIONS": operations,
        "BROKER_GATEWAY_WORKERS": "2",
        "BROKER_TLS_CERTIFICATE_FILE": str(folder / "chain.pem"),
        "BROKER_TLS_KEY_FILE": str(folder / "key.pem"),
    }
    with (
        Server(folder, f"sqlite:{folder / 'broker.db'}").running() as server,
        S3(server, folder, settings, scheme="https").running() as s3,
    ):
        operated = Operated(s3, authority, operations, credentials)
        until(lambda: operated.look("/readyz")[0] == 200)
        yield operated


@pytest.fixture(scope="module")
def owner(operated: Operated) -> Account:
    return operated.s3.server.new_account()


@pytest.fixture(scope="module")
def bucket(operated: Operated, owner: Account) -> str:
    operated.client(owner.root).create_bucket(Bucket="metered")
    return "metered"


def test_metrics_count_operations_outcomes_bytes_and_the_stores_time(
    operated: Operated, owner: Account, bucket: str
) -> None:
    root = operated.client(owner.root)
    for _ in range(3):
        root.put_object(Bucket=bucket, Key="one", Body=b"x" * 100_000)
        root.get_object(Bucket=bucket, Key="one")["Body"].read()
    refused(root.get_object, Bucket=bucket, Key="missing")
    denied = new_user(operated.s3.server, owner, "metered", deny("s3:*"))
    refused(operated.client(denied).get_object, Bucket=bucket, Key="one")
    request = 'broker_requests_total{code="%s",operation="%s",service="s3"}'
    for code, operation, number in (
        ("", "PutObject", 3),
        ("", "GetObject", 3),
        ("HTTP 404", "GetObject", 1),
        ("AccessDenied", "GetObject", 1),
    ):
        line, wanted = request % (code, operation), number
        until(lambda line=line, wanted=wanted: operated.metric(line) == wanted)  # type: ignore[misc]
    for direction in ("received", "sent"):
        line = f'broker_gateway_bytes_total{{direction="{direction}"}}'
        until(lambda line=line: operated.metric(line) >= 300_000)  # type: ignore[misc]
    until(lambda: operated.metric("broker_gateway_store_seconds_count") >= 4)
    # Each worker knows at once what it has counted, and of the others what they have said in the last second.
    until(lambda: 0 < operated.metric("broker_gateway_store_seconds_sum") < 30)
    until(lambda: operated.metric('broker_denials_total{layer="identity"}') == 1)
    assert operated.look("/livez")[0] == 200


def test_every_worker_serves(operated: Operated, owner: Account, bucket: str) -> None:
    def both_have_served() -> bool:
        operated.client(owner.root).list_objects_v2(Bucket=bucket)  # on a connection of its own
        served = re.findall(
            r'^broker_worker_requests_total\{worker="(\d)"\} (\S+)$', operated.look("/metrics")[1], re.M
        )
        return all(float(number) > 0 for _, number in served) and len(served) == 2

    until(both_have_served)


def test_the_stores_key_is_rotated_without_a_restart(operated: Operated, owner: Account, bucket: str) -> None:
    root = operated.client(owner.root)
    operated.write_keys(Keys("NOBODY", "NOTHING"))
    operated.reload()
    until(lambda: operated.look("/readyz")[0] == 503)
    assert "the store answers 403" in operated.look("/readyz")[1]
    until(lambda: refused(root.list_objects_v2, Bucket=bucket)[:2] == (503, "ServiceUnavailable"))
    operated.write_keys(NEXT_STORE_KEYS)
    operated.reload()
    until(lambda: operated.look("/readyz") == (200, "ready\n"))
    for _ in range(4):
        operated.client(owner.root).list_objects_v2(Bucket=bucket)


def test_a_credential_file_that_cannot_be_read_leaves_the_key_before(
    operated: Operated, owner: Account, bucket: str
) -> None:
    (operated.s3.folder / "store-credentials").write_text("not a file of credentials")
    operated.reload()
    until(lambda: "cannot be used" in operated.s3.log)
    operated.client(owner.root).list_objects_v2(Bucket=bucket)
    operated.write_keys(STORE_KEYS)


def test_a_renewed_certificate_is_shown_after_sighup(operated: Operated) -> None:
    before = operated.serial()
    operated.authority.issue("second")
    operated.reload()
    until(lambda: all(operated.serial() != before for _ in range(6)))
