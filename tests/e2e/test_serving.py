"""How the broker stops, waits, tells how it is, and what it logs."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Thread

import pytest
from botocore.exceptions import ClientError

from broker.version import VERSION
from tests.conditions import wait_until
from tests.e2e.conftest import ROOT, Account, Keys, Server
from tests.e2e.raw_requests import WHO_AM_I, Answer, RawRequest, raw_request
from tests.e2e.scenes import ask, records_of
from tests.redis_server import RedisServer


def connect(server: Server) -> socket.socket:
    host, _, port = server.api.partition(":")
    return socket.create_connection((host, int(port)), timeout=20)


def head_of(sent: RawRequest) -> bytes:
    lines = [f"{sent.method} {sent.target} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.headers)]
    if not any(name.lower() == "content-length" for name, _ in sent.headers):
        lines.append(f"Content-Length: {len(sent.body)}")
    return "\r\n".join([*lines, "", ""]).encode()


def begun(server: Server, sent: RawRequest) -> socket.socket:
    """A connection on which the server has read the request's head, and waits for its body."""
    connection = connect(server)
    connection.sendall(head_of(sent)[:-2] + b"Expect: 100-continue\r\n\r\n")
    said = b""
    while not said.endswith(b"\r\n\r\n"):
        said += connection.recv(1)
    assert said.startswith(b"HTTP/1.1 100 ")
    return connection


def read_all(connection: socket.socket) -> bytes:
    """Until the server closes."""
    received = b""
    while chunk := connection.recv(65536):
        received += chunk
    return received


def resident_kilobytes(server: Server) -> int:
    assert server.process is not None
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+)", status)
    assert found is not None
    return int(found[1])


# Stopping


@contextmanager
def hangups(disposition: signal.Handlers) -> Iterator[None]:
    """What becomes of SIGHUP in the children that are started here, whoever has started us."""
    before = signal.signal(signal.SIGHUP, disposition)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, before)


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGINT])
@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_stop_signal_ends_it_with_status_zero(tmp_path: Path, how: signal.Signals, workers: str):
    stopped = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", ("--workers", workers))
    with hangups(signal.SIG_DFL), stopped.running() as server:
        assert server.stop(how) == 0
    said = [json.loads(line)["message"] for line in server.log.splitlines()]
    assert sorted(said) == sorted(["serving", "stopping", "stopped"] * int(workers))


@pytest.mark.parametrize("workers", ["1", "2"])
def test_under_nohup_a_terminal_that_closes_ends_nothing(tmp_path: Path, workers: str):
    started = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", ("--workers", workers))
    with hangups(signal.SIG_IGN), started.running() as server:
        assert server.process is not None
        server.process.send_signal(signal.SIGHUP)
        time.sleep(0.5)
        assert ask(server, "/readyz")[0] == 200


@pytest.mark.parametrize("workers", ["1", "2"])
def test_sighup_takes_new_quotas_and_level_and_names_what_needs_a_restart(tmp_path: Path, workers: str):
    file = tmp_path / "broker.toml"
    file.write_text("[quotas]\nusers = 1\n")
    arguments = ("--workers", workers, "--config", str(file))
    with Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}", arguments).running() as server:
        iam = server.client("iam", server.new_account().root)
        iam.create_user(UserName="one")
        with pytest.raises(ClientError, match="LimitExceeded"):
            iam.create_user(UserName="two")
        file.write_text("[quotas]\nusers = 1000\n[log]\nlevel = 'warning'\n[passwords]\npasses = 4\n")
        reload(server, int(workers))
        for index in range(20):  # of either worker
            iam.create_user(UserName=f"more-{index}")
        said = [line for line in map(json.loads, server.log.splitlines()) if "read again" in line["message"]]
        assert {line["reloaded"] for line in said} == {"quotas.users, log.level"}
        assert {line["need_a_restart"] for line in said} == {"passwords.passes"}
        file.write_text("[quotas]\nusers = 'many'\n")
        reload(server, int(workers), "cannot be used, those before stay")
        assert ask(server, "/readyz")[0] == 200
    assert '"stopping"' not in server.log, "the level is warning"


def reload(server: Server, workers: int, said: str = "the settings were read again") -> None:
    assert server.process is not None
    server.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 10
    while server.log.count(said) < workers:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.05)


def test_the_start_says_which_broker_where_with_which_keys_and_what_comes_next(own: Server):
    begun = json.loads(own.log.splitlines()[0])
    assert (begun["version"], begun["api"], begun["store"]) == (VERSION, own.api, own.store)
    assert begun["master_key"] == own.settings["BROKER_KEYS_MASTER_KEY_FILE"]
    assert "broker root-key" in begun["next_step"]
    own.new_account()
    own.stop()
    own.start()
    assert "next_step" not in json.loads(own.log.splitlines()[-1])


def test_the_log_says_when_it_serves_stops_and_has_stopped(own: Server):
    assert own.stop() == 0
    said = [json.loads(line)["message"] for line in own.log.splitlines()]
    assert said == ["serving", "stopping", "stopped"]


def test_a_request_in_flight_is_answered_before_the_end(own: Server):
    account = own.new_account()
    sent = raw_request(own, account.root, WHO_AM_I)
    with begun(own, sent) as connection:
        # The body's end comes after the signal: the request is in flight when the server is told to stop.
        connection.sendall(sent.body[:-5])
        assert own.process is not None
        own.process.terminate()
        wait_until(lambda: '"stopping"' in own.log)
        connection.sendall(sent.body[-5:])
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert f"arn:aws:iam::{account.account_id}:root".encode() in answer
    assert own.process.wait(30) == 0


def test_idle_connections_are_closed_and_hold_nothing(own: Server):
    account = own.new_account()
    host, _, port = own.api.partition(":")
    with closing(http.client.HTTPConnection(host, int(port), timeout=20)) as kept:
        sent = raw_request(own, account.root, WHO_AM_I)
        kept.request(sent.method, sent.target, sent.body, dict(sent.headers))
        answer = kept.getresponse()
        assert answer.read() and not answer.will_close
        started = time.monotonic()
        assert own.stop() == 0
        assert time.monotonic() - started < 3
        assert kept.sock.recv(1) == b""


def test_half_requests_hold_up_no_shutdown(own: Server):
    account = own.new_account()
    sent = raw_request(own, account.root, WHO_AM_I)
    whole = head_of(sent) + sent.body
    halves = [whole[:10], whole[:100], head_of(sent)]
    connections = [connect(own) for _ in halves]
    for connection, half in zip(connections, halves, strict=True):
        connection.sendall(half)
    connections.append(begun(own, sent))
    connections[-1].sendall(sent.body[:-1])
    started = time.monotonic()
    assert own.stop() == 0
    assert time.monotonic() - started < 5
    last = read_all(connections[-1])
    for connection in connections:
        connection.close()
    assert last.startswith(b"HTTP/1.1 408") and b"<Code>RequestTimeout</Code>" in last


def test_last_used_marks_are_written_before_the_end(own: Server):
    account = own.new_account()
    iam = own.client("iam", account.root)
    iam.create_user(UserName="alice")
    alice = Keys.of(iam.create_access_key(UserName="alice")["AccessKey"])
    own.client("sts", alice).get_caller_identity()
    assert own.stop() == 0
    own.start()
    used = own.client("iam", account.root).get_access_key_last_used(AccessKeyId=alice.access_key_id)
    assert used["AccessKeyLastUsed"]["ServiceName"] == "sts"


# Waiting


def test_many_half_requests_take_no_memory_from_the_others(own: Server):
    account = own.new_account()
    own.client("sts", account.root).get_caller_identity()
    before = resident_kilobytes(own)
    promised = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\n"
    half = promised + b"Content-Length: 200000\r\n\r\n" + b"a" * 1000
    connections = [connect(own) for _ in range(200)]
    for connection in connections:
        connection.sendall(half)
    assert own.client("sts", account.root).get_caller_identity()["Account"] == account.account_id
    # 200 tasks and connections; nobody's promise of 200,000 bytes is believed in advance.
    assert resident_kilobytes(own) - before < 200 * 60
    for connection in connections:
        connection.close()


def test_a_body_that_trickles_is_given_up(tmp_path: Path):
    """With the patience shortened: twenty seconds are the server's own."""
    server = Server(tmp_path, f"sqlite:{tmp_path / 'broker.db'}")
    code = "import broker.web.connection as c; c.BODY_SECONDS = 1.0\n"
    code += "import sys; from broker.__main__ import main; sys.exit(main(['serve']))"
    plain = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "BROKER_"))}
    with (tmp_path / "log").open("wb") as log:
        server.process = subprocess.Popen(
            [sys.executable, "-c", code], cwd=ROOT, env={**plain, **server.settings}, stderr=log
        )
    while not server._is_ready():
        assert server.process.poll() is None
        time.sleep(0.05)
    with connect(server) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n")
        connection.settimeout(0.2)
        started, received = time.monotonic(), b""
        while not received:
            connection.sendall(b"a")
            try:
                received = connection.recv(65536)
            except TimeoutError:
                assert time.monotonic() - started < 10
        assert received.startswith(b"HTTP/1.1 408")
        assert time.monotonic() - started > 0.8
    assert server.stop() == 0


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"no http at all\r\n\r\n",
    ],
    ids=["two lengths", "no HTTP"],
)
def test_what_is_no_http_is_refused_and_its_connection_closed(server: Server, head: bytes):
    with connect(server) as connection:
        connection.sendall(head)
        assert read_all(connection).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize(
    "head",
    [
        b"GET /" + b"a" * 20_000 + b" HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * 10_000 + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n" + b"".join(b"X-%d: a\r\n" % n for n in range(100)) + b"\r\n",
    ],
    ids=["long line", "long header", "many headers"],
)
def test_a_head_without_measure_is_refused_and_leaves_one_record(server: Server, head: bytes):
    with connect(server) as connection:
        connection.sendall(head)
        answer = read_all(connection)
    assert answer.startswith(b"HTTP/1.1 431")
    (request_id,) = re.findall(r"<RequestId>([^<]+)<", answer.decode())
    (record,) = records_of(server, request_id)
    assert (record["sourceIPAddress"], record["userIdentity"]) == ("127.0.0.1", {"type": "Unknown"})
    assert record["errorCode"] == "RequestHeaderSectionTooLarge"


def test_a_body_without_measure_is_refused(server: Server):
    with connect(server) as connection:
        connection.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        try:
            for _ in range(100):
                connection.sendall(b"4000\r\n" + b"a" * 0x4000 + b"\r\n")
        except OSError:
            pass  # The server has closed: it does not read on.
        assert b"RequestEntityTooLarge" in connection.recv(65536)


# Telling


def test_a_broker_that_serves_is_alive_and_ready(server: Server):
    assert ask(server, "/livez") == (200, f"alive, version {VERSION}\n")
    assert ask(server, "/readyz") == (200, "ready\n")


def test_who_asks_for_health_is_told_the_version_and_no_server(server: Server):
    for path in ("/livez", "/readyz", "/metrics", "/none"):
        connection = http.client.HTTPConnection(server.operations, timeout=10)
        connection.request("GET", path)
        answered = connection.getresponse()
        assert answered.read() and answered.getheader("Server") is None
        connection.close()


def test_operations_are_not_answered_on_the_api_nor_the_api_on_operations(server: Server):
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(f"{server.url}/metrics", timeout=5)
    assert refused.value.code == 400
    refused.value.close()
    assert ask(server, "/?Action=GetCallerIdentity")[0] == 404


def test_requests_are_counted_by_operation_and_code(server: Server, account: Account):
    counted = 'broker_requests_total{code="",operation="GetCallerIdentity",service="sts"}'

    def number() -> float:
        _, text = ask(server, "/metrics")
        return float(next((line.split()[-1] for line in text.splitlines() if line.startswith(counted)), 0))

    before = number()
    for _ in range(3):
        server.client("sts", account.root).get_caller_identity()
    assert number() == before + 3
    assert 'broker_request_duration_seconds_bucket{le="+Inf",service="sts"}' in ask(server, "/metrics")[1]


def test_what_the_caches_hold_is_measured(server: Server, account: Account):
    server.client("iam", account.root).list_users()
    wanted = {"records": True, "policies": True, "gathered": True, "keys": False, "signing keys": False}

    def is_held(cache: str, has_weight: bool) -> bool:
        kinds = ("weight_bytes", "entries") if has_weight else ("entries",)
        _, text = ask(server, "/metrics")
        return all(
            re.search(rf'broker_cache_{kind}{{cache="{cache}",worker="0"}} [1-9]', text) for kind in kinds
        )

    deadline = time.monotonic() + 15  # they are measured every five seconds
    while not all(is_held(*one) for one in wanted.items()):
        assert time.monotonic() < deadline
        time.sleep(0.2)


def test_what_clients_invent_becomes_no_label(server: Server, account: Account):
    for action in ("InventedAction", "GetCallerIdentity "):
        assert send(server, account, {"Action": action, "Version": "2011-06-15"}).status == 400
    send(server, account, {"Action": "GetCallerIdentity", "Version": "1999-invented"})
    raw_request(server, account.root, WHO_AM_I, service="invented").send(server)
    _, text = ask(server, "/metrics")
    assert "nvented" not in text and "GetCallerIdentity " not in text.replace('GetCallerIdentity"', "")


def send(server: Server, account: Account, parameters: dict[str, str]) -> Answer:
    return raw_request(server, account.root, parameters).send(server)


def test_every_line_of_the_log_is_json_and_refusals_carry_the_request_id(own: Server):
    account = own.new_account()
    refused = raw_request(own, account.root, WHO_AM_I).with_header("X-Amz-Date", "20200101T000000Z").send(own)
    with connect(own) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\nAuthorization: AWS4-HMAC-SHA256 secret\x00\r\n\r\n")
        read_all(connection)
    assert own.stop() == 0
    lines = [json.loads(line) for line in own.log.splitlines()]
    assert all({"time", "level", "logger", "message", "pid"} <= line.keys() for line in lines)
    (found,) = (line for line in lines if line.get("request_id") == refused.request_id)
    assert (found["message"], found["code"]) == ("refused", refused.code)
    assert any(line["message"] == "not an HTTP request" for line in lines)
    assert "AWS4-HMAC-SHA256 secret" not in own.log


# The store is away


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis of this test alone, to be killed and started."""
    with RedisServer(tmp_path).running() as running:
        yield running


@pytest.fixture
def on_redis(redis: RedisServer) -> Iterator[Server]:
    with Server(redis.folder, redis.url).running() as running:
        yield running


def test_without_its_store_the_broker_says_so_at_once_and_recovers_by_itself(
    on_redis: Server, redis: RedisServer
):
    server = on_redis
    account = server.new_account()
    who_am_i = raw_request(server, account.root, WHO_AM_I)
    assert who_am_i.send(server).status == 200
    redis.kill()
    started = time.monotonic()
    answers = [who_am_i.send(server) for _ in range(5)]
    assert {(answer.status, answer.code) for answer in answers} == {(503, "ServiceUnavailable")}
    assert time.monotonic() - started < 5, "they do not wait for a time limit each"
    assert b"redis" not in answers[0].body.lower()
    status, why = ask(server, "/readyz")
    assert status == 503 and why.startswith("the store is out of reach: redis: ")
    assert ask(server, "/livez") == (200, f"alive, version {VERSION}\n")
    redis.start()
    wait_until(lambda: ask(server, "/readyz")[0] == 200)
    assert who_am_i.send(server).status == 200


def test_marks_of_last_use_are_written_again_after_the_store_was_away(on_redis: Server, redis: RedisServer):
    server = on_redis
    account = server.new_account()
    asked = raw_request(server, account.root, WHO_AM_I)
    assert asked.send(server).status == 200
    redis.kill()
    deadline = time.monotonic() + 15
    while "writing when keys were last used failed" not in server.log:
        assert time.monotonic() < deadline, server.log
        time.sleep(0.1)
    redis.start()
    marks = f"broker:{{{account.account_id}}}:usage/{account.account_id}:revision".encode()
    deadline = time.monotonic() + 15
    while redis.ask(b"EXISTS " + marks) != b":1\r\n":
        assert time.monotonic() < deadline, "they are never written"
        time.sleep(0.1)


def test_a_store_that_was_emptied_is_not_taken_for_one_without_keys(on_redis: Server, redis: RedisServer):
    server = on_redis
    account = server.new_account()
    asked = raw_request(server, account.root, WHO_AM_I)
    assert asked.send(server).status == 200
    redis.ask(b"FLUSHALL")
    answer = asked.send(server)
    assert (answer.status, answer.code) == (503, "ServiceUnavailable")
    status, why = ask(server, "/readyz")
    assert status == 503 and "the server has lost commits" in why
    # Whom this broker has never seen is not refused as unknown either.
    stranger = raw_request(server, Keys("AKIAJXYZJXYZJXYZJXYZ", "x" * 40), WHO_AM_I)
    assert stranger.send(server).status == 503
    assert server.stop() == 0, server.log
    assert "Traceback" not in server.log


def test_a_store_that_hangs_is_given_up_after_a_moment(on_redis: Server, redis: RedisServer):
    server = on_redis
    account = server.new_account()
    who_am_i = raw_request(server, account.root, WHO_AM_I)
    assert who_am_i.send(server).status == 200
    redis.signal(signal.SIGSTOP)
    answers: list[Answer] = []
    askers = [Thread(target=lambda: answers.append(who_am_i.send(server))) for _ in range(5)]
    started = time.monotonic()
    for asker in askers:
        asker.start()
    for asker in askers:
        asker.join()
    assert {answer.status for answer in answers} == {503}
    assert time.monotonic() - started < 10
    redis.signal(signal.SIGCONT)
    assert who_am_i.send(server).status == 200


def test_a_stop_signal_while_the_store_is_away_ends_it_gracefully(on_redis: Server, redis: RedisServer):
    server = on_redis
    account = server.new_account()
    raw_request(server, account.root, WHO_AM_I).send(server)
    redis.kill()
    started = time.monotonic()
    assert server.stop() == 0, server.log
    assert time.monotonic() - started < 6
