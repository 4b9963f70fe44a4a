"""Between Envoy's external authorization by gRPC and forward authentication, both ways.

A CheckRequest becomes the request that Envoy would send over HTTP, so that one function answers both; the answer
becomes a CheckResponse. What Envoy says twice and not alike is refused, and so is what it leaves out.
"""

import re
from typing import Any

import msgspec

from broker.authorize.forwarded import ENVOY, Headers
from broker.names.addresses import parse_address
from broker.web.envoy_messages import CheckResponse, read_check_request
from broker.web.http import Request, Response
from broker.web.sockets import Peer

# gRPC's own codes: OK, PERMISSION_DENIED, UNAVAILABLE, UNAUTHENTICATED.
_CODES = {200: 0, 403: 7, 503: 14}
_UNAUTHENTICATED = 16
_OVERWRITE = 2  # OVERWRITE_IF_EXISTS_OR_ADD
_is_name = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+").fullmatch
_ends_line = re.compile(r"[\x00\r\n]").search
# Proofs are for the broker: the server behind could use them elsewhere.
_PROOFS = ("authorization", "x-amz-security-token")
# Of an answer over HTTP, and of no use to the server behind.
_OF_THE_ANSWER = frozenset(("cache-control", "content-type", "server"))
# Envoy sends the client all headers of a denial: the Cookie header that may go on is not among them.
_FOR_CLIENTS = frozenset(
    ("cache-control", "content-type", "location", "www-authenticate", "x-broker-decision-id")
)


class AskedRequest(msgspec.Struct, frozen=True):
    """`request` as over HTTP; `fault` is why it is not to be answered, "" for a whole one."""

    request: Request
    fault: str = ""

    def __repr__(self) -> str:
        return "AskedRequest(***)"  # proofs are in it


def read_check(unverified_message: bytes, peer: Peer) -> AskedRequest:
    """The request that a CheckRequest is about; `peer` is Envoy."""
    try:
        return AskedRequest(_read(unverified_message, peer))
    except ValueError as error:
        return AskedRequest(Request("", "", (), b"", peer, keeps_alive=True), str(error))


def _read(unverified_message: bytes, peer: Peer) -> Request:
    attributes = read_check_request(unverified_message).attributes
    http = attributes.request.http
    if http.query or http.fragment:
        raise ValueError("Envoy has to send the query in the path, and no fragment")
    if http.body and http.raw_body:
        raise ValueError("Envoy has to send one body, and sent two")
    sent = _headers(http)
    own = tuple((name, value) for name, value in sent if name not in ("host", "x-forwarded-proto"))
    headers = (
        ("host", _agreed(http.host, sent)),
        *own,
        ("x-forwarded-for", _source(attributes)),
        ("x-forwarded-proto", "https" if _is_secure(http.scheme, sent) else "http"),
    )
    body = http.raw_body or http.body.encode()
    return Request(http.method, f"{ENVOY}{http.path}", headers, body, peer, keeps_alive=True)


def _headers(http: Any) -> Headers:
    """Those of the client, without HTTP/2's pseudo-headers, which are fields of their own."""
    if http.headers and http.header_map.headers:
        raise ValueError("Envoy has to send headers in one form, and sent two")
    found = [(one.key.lower(), one.value) for one in http.headers]
    for one in http.header_map.headers:
        if one.value and one.raw_value:
            raise ValueError("Envoy has to send one value of a header, and sent two")
        found.append((one.key.lower(), one.raw_value.decode("utf-8", "surrogateescape") or one.value))
    headers = tuple((name, value) for name, value in found if not name.startswith(":"))
    for name, value in headers:
        if _is_name(name) is None or _ends_line(value):
            raise ValueError("a header of the client is none")
    return headers


def _agreed(host: str, sent: Headers) -> str:
    if any(value != host for name, value in sent if name == "host"):
        raise ValueError("the client named two hosts")
    return str(host)


def _source(attributes: Any) -> str:
    """The address that connected to Envoy; X-Forwarded-For counts only behind a trusted one."""
    address = attributes.source.address.socket_address.address
    try:
        parse_address(address.partition("%")[0])
    except ValueError:
        raise ValueError("Envoy has to send source.address, the address of its client") from None
    return str(address)


def _is_secure(scheme: str, sent: Headers) -> bool:
    """A client of HTTP/2 says its scheme itself: both have to say so where Envoy gives both."""
    said = [value for name, value in sent if name == "x-forwarded-proto"]
    return scheme == "https" and all(value == "https" for value in said)


def check_response(response: Response) -> Any:
    """The CheckResponse of an answer of forward authentication."""
    lines = response.header_lines.decode("latin-1").split("\r\n")[:-1]
    headers = [(name, value) for name, _, value in (line.partition(": ") for line in lines)]
    answer = CheckResponse()
    answer.status.code = _CODES.get(response.status, _UNAUTHENTICATED)
    if response.status == 200:
        _allow(answer.ok_response, headers)
    else:
        answer.denied_response.status.code = response.status
        answer.denied_response.body = response.body.decode()
        shown = [(name, value) for name, value in headers if name.lower() in _FOR_CLIENTS]
        _add_headers(answer.denied_response, shown)
    return answer


def _allow(allowed: Any, headers: list[tuple[str, str]]) -> None:
    """Empty ones are removed: nothing of the client's is left in their place."""
    for_server = [(name, value) for name, value in headers if name.lower() not in _OF_THE_ANSWER]
    _add_headers(allowed, [(name, value) for name, value in for_server if value])
    allowed.headers_to_remove.extend([name.lower() for name, value in for_server if not value])
    allowed.headers_to_remove.extend(_PROOFS)


def _add_headers(where: Any, headers: list[tuple[str, str]]) -> None:
    for name, value in headers:
        added = where.headers.add(append_action=_OVERWRITE)
        added.header.key, added.header.value = name.lower(), value
        added.append.value = False  # what Envoy before 1.24 reads
