"""A CheckRequest becomes a request of forward authentication, and its answer a CheckResponse."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broker.authorize.forwarded import OriginalRequest, read_original
from broker.web.envoy import check_response, read_check
from broker.web.http import Response, header_lines
from broker.web.peers import find_source, parse_networks
from broker.web.sockets import Peer
from tests.e2e.grpc_proxy import new_check

ENVOY = Peer(asyncio.BaseTransport({"peername": ("127.0.0.1", 0)}))
ALICE = [("Authorization", "AWS4-HMAC-SHA256 …"), ("X-Amz-Date", "20261130T160000Z")]


def original_of(check: Any) -> OriginalRequest:
    asked = read_check(check.SerializeToString(), ENVOY)
    assert asked.fault == ""
    request = asked.request
    assert request.peer is ENVOY
    original = read_original(request.method, request.target, request.headers, request.body)
    assert original is not None
    return original


def source_of(check: Any, *trusted: str) -> tuple[str, bool]:
    request = read_check(check.SerializeToString(), ENVOY).request
    forwarded = request.all_headers("x-forwarded-for")
    protocol = request.find_header("x-forwarded-proto") or ""
    networks = parse_networks(("127.0.0.1", *trusted))
    return find_source("127.0.0.1", False, forwarded, protocol, trusted=networks)


def fault_of(change: Callable[[Any], object]) -> str:
    check = new_check("GET", "shop", "/", [], source="192.0.2.7")
    change(check)
    return read_check(check.SerializeToString(), ENVOY).fault


def test_the_request_of_the_client_is_the_original() -> None:
    check = new_check("PUT", "shop:8081", "/orders/7?lines=2", ALICE, b"\xff\x00")
    original = original_of(check)
    assert (original.method, original.host, original.target) == ("PUT", "shop:8081", "/orders/7?lines=2")
    assert (original.path, original.query, original.body) == ("/orders/7", "lines=2", b"\xff\x00")
    assert original.headers == (
        ("host", "shop:8081"),
        *((name.lower(), value) for name, value in ALICE),
    )
    assert "AWS4" not in repr(read_check(check.SerializeToString(), ENVOY))


def test_a_body_of_text_and_headers_as_a_list_are_read_too() -> None:
    check = new_check("PUT", "shop", "/", [])
    http = check.attributes.request.http
    http.ClearField("headers")
    http.body = "ten äpples"
    http.header_map.headers.add(key="Cookie", raw_value=b"a=\xff")
    http.header_map.headers.add(key="cookie", value="b=c")
    original = original_of(check)
    assert original.body == "ten äpples".encode()
    assert original.headers == (("host", "shop"), ("cookie", "a=\udcff"), ("cookie", "b=c"))


@given(st.lists(st.tuples(st.text("abcxyz09-", min_size=1, max_size=9), st.text("ab ,;=é", max_size=9))))
def test_no_header_of_the_client_is_lost_or_added(headers: list[tuple[str, str]]) -> None:
    set_by_proxies = ("host", "connection", "content-length", "transfer-encoding")
    headers = [one for one in headers if not one[0].startswith("x-") and one[0] not in set_by_proxies]
    check = new_check("GET", "shop", "/", [])
    for name, value in headers:
        check.attributes.request.http.headers.add(key=name, value=value)
    assert original_of(check).headers == (("host", "shop"), *headers)


def test_the_client_is_who_connected_to_envoy_whatever_it_says_of_others() -> None:
    forged = [("X-Forwarded-For", "10.0.0.1")]
    check = new_check("GET", "shop", "/", forged, source="192.0.2.7")
    assert source_of(check) == ("192.0.2.7", False)
    assert source_of(check, "192.0.2.7") == ("10.0.0.1", False)  # a proxy in front of Envoy
    assert source_of(new_check("GET", "shop", "/", [], source="2001:db8::7")) == ("2001:db8::7", False)


@pytest.mark.parametrize(
    ("scheme", "forwarded", "is_secure"),
    [
        ("https", "https", True),
        ("https", "", True),
        ("https", "http", False),
        ("http", "https", False),
        ("", "https", False),
        ("HTTPS", "https", False),
    ],
)
def test_a_client_spoke_tls_where_envoy_says_so_each_time(
    scheme: str, forwarded: str, is_secure: bool
) -> None:
    check = new_check("GET", "shop", "/", [], source="192.0.2.7")
    http = check.attributes.request.http
    http.ClearField("headers")
    http.scheme = scheme
    if forwarded:
        http.headers.add(key="x-forwarded-proto", value=forwarded)
    assert source_of(check) == ("192.0.2.7", is_secure)
    assert source_of(check, "192.0.2.7") == ("192.0.2.7", is_secure)


@pytest.mark.parametrize("address", ["", "shop.example.com", "127.0.0.1, 10.0.0.1", "/run/envoy.sock"])
def test_without_the_address_of_the_client_nothing_is_decided(address: str) -> None:
    check = new_check("GET", "shop", "/", [("X-Forwarded-For", "10.0.0.1")], source=address)
    fault = read_check(check.SerializeToString(), ENVOY).fault
    assert fault == "Envoy has to send source.address, the address of its client"


def test_what_has_two_readings_is_a_fault() -> None:
    def http(check: Any) -> Any:
        return check.attributes.request.http

    def set_bodies(check: Any) -> None:
        http(check).body, http(check).raw_body = "a", b"b"

    assert fault_of(lambda check: None) == ""
    assert "the query in the path" in fault_of(lambda check: setattr(http(check), "query", "a=b"))
    assert "the query in the path" in fault_of(lambda check: setattr(http(check), "fragment", "a"))
    assert "sent two" in fault_of(set_bodies)
    assert "in one form" in fault_of(lambda check: http(check).header_map.headers.add(key="a", value="b"))
    assert "two hosts" in fault_of(lambda check: http(check).headers.add(key="Host", value="other"))
    assert fault_of(lambda check: http(check).headers.add(key="host", value="shop")) == ""
    for name, value in (("a b", ""), ("", ""), ("a", "b\r\nc: d"), ("a", "b\0"), ("ä", "")):
        found = fault_of(lambda check, name=name, value=value: http(check).headers.add(key=name, value=value))
        assert found == "a header of the client is none", (name, value)


def test_a_value_of_a_header_in_two_forms_is_a_fault() -> None:
    check = new_check("GET", "shop", "/", [])
    http = check.attributes.request.http
    http.ClearField("headers")
    http.header_map.headers.add(key="a", value="b", raw_value=b"c")
    assert "one value of a header" in read_check(check.SerializeToString(), ENVOY).fault


@pytest.mark.parametrize("message", [b"\xff", b"\x0a\x05a", b"GET / HTTP/1.1\r\n\r\n"])
def test_bytes_that_are_no_message_are_a_fault(message: bytes) -> None:
    assert read_check(message, ENVOY).fault == "the message is no CheckRequest"


@pytest.mark.parametrize("path", ["", "*", "x", "http://shop/", "/../x-original", "x-original"])
def test_no_path_is_one_of_another_kind_of_proxy(path: str) -> None:
    """It is read as a path of the client's, or as none."""
    request = read_check(new_check("GET", "shop", path, []).SerializeToString(), ENVOY).request
    found = read_original(request.method, request.target, request.headers, b"")
    assert found is None or (found.target, found.host) == (path, "shop")


def answered(status: int, body: str = "", **headers: str) -> Any:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return check_response(Response(status, header_lines(named), body.encode()))


def test_who_may_pass_has_the_headers_of_the_answer_and_loses_the_proofs() -> None:
    answer = answered(
        200, X_Broker_Arn="arn:aws:iam::1:user/a: b", Cookie="", Cache_Control="no-store", Server="broker"
    )
    assert answer.status.code == 0
    (added,) = answer.ok_response.headers
    assert (added.header.key, added.header.value) == ("x-broker-arn", "arn:aws:iam::1:user/a: b")
    assert (added.append_action, added.HasField("append"), added.append.value) == (2, True, False)
    removed = ["cookie", "authorization", "x-amz-security-token"]
    assert list(answer.ok_response.headers_to_remove) == removed
    assert not answer.HasField("denied_response")


@pytest.mark.parametrize(("status", "code"), [(403, 7), (401, 16), (302, 16), (503, 14)])
def test_a_denial_has_its_status_its_text_and_headers_for_the_client_alone(status: int, code: int) -> None:
    answer = answered(
        status,
        "Access denied.",
        X_Broker_Decision_Id="1",
        Location="/",
        X_Broker_Cookie="secret=1",
        Server="broker",
    )
    assert (answer.status.code, answer.denied_response.status.code) == (code, status)
    assert answer.denied_response.body == "Access denied."
    shown = {one.header.key: one.header.value for one in answer.denied_response.headers}
    assert shown == {"x-broker-decision-id": "1", "location": "/"}
    assert not answer.HasField("ok_response")
