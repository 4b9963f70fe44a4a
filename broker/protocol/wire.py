"""A wire protocol as a value: how it names an operation, reads a request, renders an answer and refuses.

One function (`broker.web.requests`) handles the requests of all protocols; what differs between them is here. A
protocol is found by a request's path and headers alone (`broker.protocol.dispatch`), so that an unreadable request is
refused in it, too.
"""

from collections.abc import Callable, Mapping
from typing import Protocol

import msgspec

from broker.errors import Refusal
from broker.protocol.form import parse_form
from broker.protocol.model import ServiceModel

FORM = "application/x-www-form-urlencoded"


class UnverifiedHttp(Protocol):
    """An HTTP request as it arrived: see `broker.sigv4.authorization.UnverifiedRequest`."""

    @property
    def method(self) -> str: ...
    @property
    def path(self) -> str: ...
    @property
    def query(self) -> str: ...
    @property
    def headers(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def body(self) -> bytes: ...


class Message(msgspec.Struct, frozen=True):
    """A request as protocols read it: what arrived, and its parameters. Nothing in it is proven.

    `parameters` are those of the query string and, where the body is a form, of the body; the body's come first.
    """

    http: UnverifiedHttp
    parameters: Mapping[str, str]

    def __repr__(self) -> str:
        return "Message(***)"  # tokens and passwords may be anywhere in it


class Rendered(msgspec.Struct, frozen=True):
    """An answer, ready to be sent; `headers` are those beside its Content-Type."""

    status: int
    content_type: str
    body: bytes
    headers: tuple[tuple[str, str], ...] = ()

    def __repr__(self) -> str:
        return f"Rendered({self.status}, ***)"  # credentials may be in it


# Services by signing name, the signing name that the request claims, the request -> the service and its operation.
Name = Callable[[Mapping[str, ServiceModel], str | None, Message], tuple[ServiceModel, str]]
# Service, operation, request -> the request's struct, None where the operation takes no input.
Read = Callable[[ServiceModel, str, Message], msgspec.Struct | None]
# Service, operation, result, request id -> the answer. TypeError where it is not the result that the model names.
Render = Callable[[ServiceModel, str, msgspec.Struct | None, str], Rendered]
# Service (None where none was named), refusal, request id -> the answer.
Refuse = Callable[[ServiceModel | None, Refusal, str], Rendered]


class WireProtocol(msgspec.Struct, frozen=True):
    """`methods` and `body_type` are what it accepts; `name` and `read` raise Refusal for an invalid request."""

    methods: frozenset[str]
    body_type: str
    name: Name
    read: Read
    render: Render
    refuse: Refuse


def parse_message(http: UnverifiedHttp, body_type: str) -> Message:
    """The request with its parameters. Raises MalformedQueryString for a query string or a form that cannot be read."""
    query = parse_form(http.query.encode("utf-8", "surrogateescape")) if http.query else {}
    if not http.body or body_type != FORM:
        return Message(http, query)
    body = parse_form(http.body)
    return Message(http, {**query, **body} if query else body)
