"""For whom a request is: request lines in the absolute form, and names that web pages may have made up."""

import socket
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.e2e.conftest import Account, Server
from tests.e2e.raw_requests import WHO_AM_I, raw_request

LISTED = "broker.internal"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder: Path = tmp_path_factory.mktemp("hosts")
    settings = {"BROKER_LISTEN_HOST_NAMES": LISTED}
    with Server(folder, f"sqlite:{folder / 'broker.db'}", environment=settings).running() as running:
        yield running


def status_of(listener: str, line: str, *headers: str) -> tuple[int, bytes]:
    """The status and all that came."""
    host, _, port = listener.partition(":")
    with socket.create_connection((host, int(port)), timeout=20) as connection:
        head = "\r\n".join([line, *headers, "Connection: close", "", ""])
        connection.sendall(head.encode())
        received = b""
        while chunk := connection.recv(65536):
            received += chunk
    return int(received.split()[1]), received


def listeners(server: Server) -> dict[str, tuple[str, int, bytes]]:
    """By listener a path, and what is answered there to those who have no proof."""
    return {
        server.api: ("/?Action=GetCallerIdentity&Version=2011-06-15", 403, b"MissingAuthenticationToken"),
        server.metadata: ("/v2/credentials/", 400, b"NoIdInRequest"),
        server.operations: ("/livez", 200, b"alive"),
    }


def test_every_listener_takes_a_request_line_in_the_absolute_form(server: Server):
    for listener, (path, status, said) in listeners(server).items():
        for line in (f"GET http://{listener}{path} HTTP/1.1", f"GET HTTP://{listener}{path} HTTP/1.1"):
            answered, received = status_of(listener, line, f"Host: {listener}")
            assert (answered, said in received) == (status, True), received
        answered, received = status_of(listener, f"GET http://{listener}{path} HTTP/1.0")
        assert (answered, said in received) == (status, True), received


def test_no_listener_takes_a_request_whose_host_can_be_read_in_two_ways(server: Server):
    for listener, (path, _, _) in listeners(server).items():
        for line, *headers in (
            (f"GET http://localhost{path} HTTP/1.1", f"Host: {listener}"),
            (f"GET http://{listener}{path} HTTP/1.1",),
            (f"GET {path} HTTP/1.1",),
            (f"GET {path} HTTP/1.1", f"Host: {listener}", f"Host: {listener}"),
            (f"GET {path} HTTP/1.1", f"Host: {listener}, localhost"),
        ):
            assert status_of(listener, line, *headers)[0] == 400, (line, headers)


def test_other_forms_of_a_request_line_are_refused(server: Server):
    host = f"Host: {server.api}"
    for line in ("OPTIONS * HTTP/1.1", f"CONNECT {server.api} HTTP/1.1"):
        for listener in listeners(server):
            assert status_of(listener, line, host)[0] in (401, 403, 404, 405), (line, listener)
    assert status_of(server.api, "GET * HTTP/1.1", host)[0] == 400


@pytest.mark.parametrize(("method", "expires"), [("GET", None), ("GET", 60), ("POST", None)])
def test_a_signature_is_good_whichever_form_the_request_line_has(
    server: Server, method: str, expires: int | None
):
    account: Account = server.new_account()
    signed = raw_request(server, account.root, WHO_AM_I, method=method, expires=expires)
    absolute = replace(signed, target=f"{server.url}{signed.target}")
    for sent in (signed, absolute):
        answer = sent.send(server)
        assert answer.status == 200, answer
        assert f"<Account>{account.account_id}</Account>".encode() in answer.body
    other = replace(signed, target=f"http://localhost{signed.target}")
    assert status_of(server.api, f"GET {other.target} HTTP/1.1", f"Host: {server.api}")[0] == 400


def test_a_page_whose_name_was_rebound_reads_neither_metadata_nor_operations(server: Server):
    for listener in (server.metadata, server.operations):
        path, status, said = listeners(server)[listener]
        port = listener.partition(":")[2]
        for name in (
            "rebind.example",
            f"rebind.example:{port}",
            "evil.localhost",
            "127.0.0.1.rebind.example",
        ):
            answered, received = status_of(listener, f"GET {path} HTTP/1.1", f"Host: {name}")
            assert (answered, said in received) == (403, False), (listener, name)
        absolute = f"GET http://rebind.example{path} HTTP/1.0"
        assert status_of(listener, absolute)[0] == 403
        for name in (LISTED, f"{LISTED.upper()}.:{port}", "localhost", "[::1]", "169.254.169.254"):
            assert status_of(listener, f"GET {path} HTTP/1.1", f"Host: {name}")[0] == status, (listener, name)
    for path in ("/readyz", "/metrics", "/nothing"):
        assert status_of(server.operations, f"GET {path} HTTP/1.1", "Host: rebind.example")[0] == 403


def test_the_api_asks_for_a_signed_host_whatever_its_name(server: Server):
    account: Account = server.new_account()
    signed = raw_request(server, account.root, WHO_AM_I, headers={"Host": "sts.any.example"})
    assert signed.send(server).status == 200
    assert signed.with_header("Host", "rebind.example").send(server).code == "SignatureDoesNotMatch"
