"""A real server, as an operator starts it: `python -m broker serve`, on each engine, with nothing of ours replaced."""

import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from threading import Lock
from typing import Any, ClassVar

import boto3
import pytest
from botocore.config import Config
from playwright.sync_api import Browser, expect, sync_playwright

from broker.app import clock, open_broker
from broker.config import load_settings
from broker.credentials.access_keys import ACCESS_KEY_ENTROPY, new_access_key_pair
from broker.credentials.root_keys import ensure_root_key
from tests.e2e.apart import run_apart
from tests.ports import free_port
from tests.redis_server import RedisServer

ROOT = Path(__file__).parents[2]
REGION = "eu-central-1"
# Identity providers of the tests are on the loopback network, without TLS; their accounts register buckets themselves.
REACHES_LOOPBACK = {
    "BROKER_AUTHORIZE_ACCOUNTS_TAKE_NAMES": "true",
    "BROKER_FEDERATION_PLAIN_HTTP": "true",
    "BROKER_FEDERATION_PRIVATE_NETWORKS": "127.0.0.0/8",
}
CHROMIUM = "/usr/bin/chromium"
CLI_1 = Path(sys.executable).with_name("aws")
CLI_2 = ROOT / ".tools" / "aws-cli-2" / "awscli" / "aws"


@dataclass(frozen=True)
class Keys:
    """Credentials of a client."""

    access_key_id: str
    secret_access_key: str
    session_token: str | None = None

    @classmethod
    def of(cls, answer: dict[str, Any]) -> "Keys":
        """From the Credentials of an STS answer, or the AccessKey of an IAM one."""
        return cls(answer["AccessKeyId"], answer["SecretAccessKey"], answer.get("SessionToken"))

    @property
    def environment(self) -> dict[str, str]:
        token = {"AWS_SESSION_TOKEN": self.session_token} if self.session_token else {}
        return {
            "AWS_ACCESS_KEY_ID": self.access_key_id,
            "AWS_SECRET_ACCESS_KEY": self.secret_access_key,
            **token,
        }


@dataclass(frozen=True)
class Account:
    """An account of the server, and its root's keys."""

    account_id: str
    root: Keys


_making_a_client = Lock()


@cache
def sdk() -> boto3.session.Session:
    """One session, so that a service's model is read once and not for every client: a quarter of a second each."""
    return boto3.session.Session()


@dataclass
class Server:
    """A running broker. `environment` are the settings it was started with; `arguments` go to `broker serve`.

    `user` is what makes it another user's.
    """

    user: ClassVar[tuple[str, ...]] = ()

    folder: Path
    store: str
    arguments: tuple[str, ...] = ()
    environment: dict[str, str] = field(default_factory=dict)
    api: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    metadata: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    operations: str = field(default_factory=lambda: f"127.0.0.1:{free_port()}")
    process: subprocess.Popen[bytes] | None = None

    @property
    def settings(self) -> dict[str, str]:
        return {
            "BROKER_STORE_URL": self.store,
            "BROKER_LISTEN_API": self.api,
            "BROKER_LISTEN_METADATA": self.metadata,
            "BROKER_LISTEN_OPERATIONS": self.operations,
            "BROKER_AUDIT_PATH": str(self.folder / "audit.jsonl"),
            "BROKER_KEYS_MASTER_KEY_FILE": str(self.folder / "master.key"),
            **self.environment,
        }

    @property
    def url(self) -> str:
        scheme = "https" if "BROKER_TLS_CERTIFICATE_FILE" in self.environment else "http"
        return f"{scheme}://{self.api}"

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()

    def start(self) -> None:
        plain = {
            name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))
        }
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.user, sys.executable, "-m", "broker", "serve", *self.arguments],
                cwd=ROOT,
                env={**plain, **self.settings},
                stdout=log,
                stderr=log,
            )
        deadline = time.monotonic() + 20
        while not self._is_ready():
            assert self.process.poll() is None, f"the server ended: {self.log}"
            assert time.monotonic() < deadline, f"the server does not get ready: {self.log}"
            time.sleep(0.05)

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://{self.operations}/readyz", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        return self.process.wait(30)

    @contextmanager
    def running(self) -> Iterator["Server"]:
        """Started, and in the end stopped in good order, unless the test has stopped it."""
        self.start()
        try:
            yield self
        finally:
            assert self.process is not None
            if self.process.poll() is None:
                assert self.stop() == 0, self.log

    def new_account(self, account_id: str | None = None) -> Account:
        """Another account with root keys of its own, written into the store beside the running server."""
        chosen = account_id or f"{secrets.randbelow(9 * 10**11) + 10**11}"
        pair = new_access_key_pair(chosen, secrets.token_bytes(ACCESS_KEY_ENTROPY))

        async def make() -> None:
            async with open_broker(load_settings(None, self.settings), {}) as broker:
                await broker.store.transact(lambda store: ensure_root_key(store, chosen, pair, clock()))

        run_apart(make)
        return Account(chosen, Keys(pair.access_key_id, pair.secret.reveal()))

    def client(self, service: str, keys: Keys | None, **options: Any) -> Any:
        """A boto3 client as anybody would make one; `keys` None signs nothing."""
        credentials = (
            {}
            if keys is None
            else {
                "aws_access_key_id": keys.access_key_id,
                "aws_secret_access_key": keys.secret_access_key,
                "aws_session_token": keys.session_token,
            }
        )
        config = Config(retries={"max_attempts": 0}, **options)
        with _making_a_client:  # which a session does for one thread at a time
            return sdk().client(
                service, region_name=REGION, endpoint_url=self.url, config=config, **credentials
            )


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Modules with a browser come last: its event loop runs in this thread from the first of them to the end."""
    with_browser = {one.path for one in items if "browser" in getattr(one, "fixturenames", ())}
    items.sort(key=lambda one: one.path in with_browser)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """One for the whole session, for it takes two seconds to start: tests keep apart by contexts (`person`)."""
    expect.set_options(timeout=20_000)  # ms; the machine does other things beside
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with RedisServer(tmp_path_factory.mktemp("redis")).running() as server:
        yield server


@pytest.fixture(scope="session", params=["sqlite", "redis"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server per engine for the whole session: tests keep apart by accounts of their own."""
    folder = tmp_path_factory.mktemp(f"broker-{request.param}")
    store = (
        f"sqlite:{folder / 'broker.db'}"
        if request.param == "sqlite"
        else request.getfixturevalue("redis_server").new_store()
    )
    with Server(folder, store, environment=REACHES_LOOPBACK).running() as running:
        yield running


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Server]:
    """A server of this test alone, to be stopped and started."""
    with Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}").running() as running:
        yield running


@pytest.fixture(params=[CLI_1, CLI_2], ids=["cli-1", "cli-2"])
def cli(request: pytest.FixtureRequest) -> Path:
    """The real AWS CLI, in both versions that are in use."""
    path: Path = request.param
    if path.exists() or path is CLI_1:
        return path
    message = "no AWS CLI 2: scripts/aws-cli-2 could not fetch it (is npm there, and the registry?)"
    if os.environ.get("CI"):
        pytest.fail(message)
    pytest.skip(message)


@pytest.fixture
def account(server: Server) -> Account:
    """A fresh account of the server, with nothing in it."""
    return server.new_account()


@pytest.fixture
def root(server: Server, account: Account) -> Any:
    """The IAM client of that account's root user."""
    return server.client("iam", account.root)
