"""Requests and responses as the handlers see them: complete, bounded, and free of any connection's state."""

from collections.abc import Awaitable, Callable, Mapping
from email.utils import formatdate
from enum import Enum
from functools import lru_cache
from http import HTTPStatus

import msgspec

from broker.web.sockets import Peer


class LimitExceeded(Enum):
    """The limit that a request exceeded, so that it is not complete. It is refused, and its connection closed."""

    HEAD_TOO_LARGE = "the head is larger than it may be"
    TOO_LARGE = "the body is larger than it may be"
    LATE = "the body did not arrive in time"
    TOO_MANY = "too many requests were sent ahead"

    @property
    def status(self) -> HTTPStatus:
        return _STATUSES[self]


_STATUSES = {
    LimitExceeded.HEAD_TOO_LARGE: HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
    LimitExceeded.TOO_LARGE: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    LimitExceeded.LATE: HTTPStatus.REQUEST_TIMEOUT,
    LimitExceeded.TOO_MANY: HTTPStatus.TOO_MANY_REQUESTS,
}


class Request(msgspec.Struct, frozen=True):
    """One request, read to its end. All of it is what the client sent, and unverified.

    `target` is the raw request target, in the origin form where it was sent in the absolute form. `headers` have
    lower-case names and are in their order of arrival, repeated ones included; bytes that are not UTF-8 are surrogate
    escapes. At most one of them is Host, and it names a host. `body` is what was sent, not decompressed; where a limit
    was exceeded it is empty, and of a head that is too large there is only the beginning.
    """

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes
    peer: Peer
    keeps_alive: bool
    limit_exceeded: LimitExceeded | None = None

    def __repr__(self) -> str:
        return f"Request({self.method}, ***)"  # tokens and passwords may be anywhere in it

    @property
    def path(self) -> str:
        """The target without its query, percent-encoded as it was sent."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> str:
        return self.target.partition("?")[2]

    def find_header(self, name: str) -> str | None:
        """The first header of this (lower-case) name."""
        for known, value in self.headers:
            if known == name:
                return value
        return None

    def all_headers(self, name: str) -> list[str]:
        return [value for known, value in self.headers if known == name]


class Response(msgspec.Struct, frozen=True):
    """`header_lines` are ready for the wire, see `header_lines()`; Date, Content-Length and Connection are added."""

    status: int
    header_lines: bytes
    body: bytes

    def __repr__(self) -> str:
        return f"Response({self.status}, ***)"  # credentials may be in it


# A request handler. It answers every request, whatever is wrong with it, and never raises.
Handler = Callable[[Request], Awaitable[Response]]


def header_lines(headers: Mapping[str, str]) -> bytes:
    """Headers as they are sent. Raises ValueError for a value that holds a line break."""
    for value in headers.values():
        if "\r" in value or "\n" in value:
            raise ValueError("a header's value may not hold a line break")
    return "".join([f"{name}: {value}\r\n" for name, value in headers.items()]).encode("latin-1")


def render_response(response: Response, now: float, *, is_head: bool, keeps_alive: bool) -> bytes:
    """The response as it is sent; to HEAD without its body, but with its length."""
    return b"%bDate: %b\r\n%bContent-Length: %d\r\n%b\r\n%b" % (
        _status_line(response.status),
        _date(int(now)),
        response.header_lines,
        len(response.body),
        b"" if keeps_alive else b"Connection: close\r\n",
        b"" if is_head else response.body,
    )


@lru_cache(maxsize=64)
def _status_line(status: int) -> bytes:
    return f"HTTP/1.1 {status:d} {HTTPStatus(status).phrase}\r\n".encode()


@lru_cache(maxsize=4)
def _date(second: int) -> bytes:
    return formatdate(second, usegmt=True).encode()
