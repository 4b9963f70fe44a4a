"""Who opens connections only to hold them, and a broker that has no descriptors left."""

import resource
import socket
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.test_tls import Authority, shown_name
from tests.redis_server import RedisServer


def hold(stack: ExitStack, address: str, number: int, sent: bytes = b"") -> list[socket.socket]:
    """Connections that ask nothing."""
    host, _, port = address.partition(":")
    held = []
    for _ in range(number):
        one = stack.enter_context(socket.create_connection((host, int(port)), timeout=20))
        one.sendall(sent)
        held.append(one)
    return held


def is_ready(server: Server) -> bool:
    with urllib.request.urlopen(f"http://{server.operations}/readyz", timeout=5) as answer:
        return bool(answer.status == 200)


def who(server: Server, account: Account) -> str:
    return str(server.client("sts", account.root).get_caller_identity()["Account"])


@pytest.fixture
def few(tmp_path: Path) -> Iterator[Server]:
    """A broker on a Redis of its own that takes forty connections at a time."""
    redis = RedisServer(tmp_path / "redis")
    redis.folder.mkdir()
    redis.start()
    server = Server(tmp_path, redis.new_store(), environment={"BROKER_LISTEN_MAXIMUM_CONNECTIONS": "40"})
    server.start()
    yield server
    assert server.stop() == 0, server.log
    redis.kill()


def test_idle_connections_do_not_block_other_clients(few: Server):
    account = few.new_account()
    with ExitStack() as stack:
        for sent in (b"", b"POST / HTTP/1.1\r\nHost: x\r\n"):
            for address in (few.api, few.metadata, few.operations):
                hold(stack, address, 200, sent)
            assert is_ready(few)
            assert who(few, account) == account.account_id
    assert few.log.count("too many connections") >= 1
    assert few.log.count("too many connections") <= 3, "it says so once a minute for each listener"


def test_without_descriptors_the_broker_waits_and_recovers(few: Server):
    account = few.new_account()
    assert few.process is not None
    pid = few.process.pid
    open_now = len(list(Path(f"/proc/{pid}/fd").iterdir()))
    # Fewer than it was promised when it started.
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (open_now + 10, open_now + 10))
    with ExitStack() as stack:
        hold(stack, few.api, 30)
        assert who(few, account) == account.account_id
        before = processor_seconds(pid)
        time.sleep(1)
        assert processor_seconds(pid) - before < 0.3
    assert is_ready(few)
    assert who(few, account) == account.account_id
    assert "a connection cannot be taken: Too many open files" in few.log


def test_unfinished_tls_handshakes_do_not_block_other_clients(tmp_path: Path):
    authority = Authority(tmp_path)
    authority.found()
    authority.issue("first.test")
    environment = {
        "BROKER_TLS_CERTIFICATE_FILE": str(tmp_path / "chain.pem"),
        "BROKER_TLS_KEY_FILE": str(tmp_path / "key.pem"),
        "BROKER_LISTEN_MAXIMUM_CONNECTIONS": "40",
    }
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", (), environment)
    server.start()
    with ExitStack() as stack:
        hold(stack, server.api, 200, b"\x16\x03\x01")
        assert shown_name(server, authority) == "first.test"
        assert server.process is not None
        assert len(list(Path(f"/proc/{server.process.pid}/fd").iterdir())) < 40 + 40
    assert server.stop() == 0, server.log
    assert "Traceback" not in server.log


def processor_seconds(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100
