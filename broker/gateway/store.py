"""The store behind the gateway: requests to it are signed with the gateway's own credentials, always in path style.

It is one address, from the settings: nothing that a client sends chooses a host, and a redirect is never followed.
"""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ssl import SSLContext
from typing import Any

import aiohttp
import msgspec
from yarl import URL

from broker.errors import Refusal
from broker.gateway.address import encode_key
from broker.gateway.refusals import store_failed
from broker.sigv4.canonical import EMPTY_SHA256
from broker.sigv4.signing import SigningCredentials, encode_query, sign_request

_BUFFER = 256 << 10  # bytes, of each answer that is read ahead
_CONNECT_SECONDS = 10.0
_SILENT_SECONDS = 300.0  # a store may take long to complete a large upload
_OURS = ("User-Agent", "Accept", "Accept-Encoding", "Content-Type")


class Outgoing(msgspec.Struct, frozen=True):
    """A request to the store. `query` is decoded; `payload` is what its signature says of the body."""

    method: str
    bucket: str
    key: str = ""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = {}
    body: bytes | AsyncIterable[bytes] | None = None
    payload: str = EMPTY_SHA256


class BackingStore:
    """`credentials` returns the current ones; `took` is told the seconds until an answer began, of requests without a
    stream. Use `opened` to make one.
    """

    def __init__(
        self,
        url: str,
        region: str,
        credentials: Callable[[], SigningCredentials],
        clock: Callable[[], float],
        session: aiohttp.ClientSession,
        uploads: aiohttp.ClientSession,
        took: Callable[[float], None],
    ) -> None:
        self._url, self._region, self._credentials, self._clock = URL(url), region, credentials, clock
        self._session, self._uploads, self._took = session, uploads, took
        self._base = url.rstrip("/")
        self._host = self._url.raw_authority

    async def send(self, request: Outgoing) -> aiohttp.ClientResponse:
        """The store's answer, before its body was read; the caller enters it as a context, which releases it.

        Raises Refusal where there is no answer, and that of the request's body.
        """
        path = f"/{request.bucket}/{encode_key(request.key)}" if request.key else f"/{request.bucket}"
        query = encode_query(request.query)
        headers = sign_request(
            request.method,
            path,
            query,
            {**request.headers, "host": self._host},
            request.payload,
            self._credentials(),
            self._region,
            self._clock(),
        )
        is_stream = not (request.body is None or isinstance(request.body, bytes))
        # An upload that was begun cannot be sent again, so that session repeats nothing.
        session = self._uploads if is_stream else self._session
        target = URL(f"{self._base}{path}?{query}" if query else f"{self._base}{path}", encoded=True)
        begun = asyncio.get_running_loop().time()
        try:
            answer = await session.request(
                request.method, target, headers=headers, data=request.body, allow_redirects=False
            )
            if not is_stream:  # else it is the client's time, too
                self._took(asyncio.get_running_loop().time() - begun)
            return answer
        except (aiohttp.ClientError, TimeoutError, OSError, Refusal) as error:
            failure = getattr(request.body, "failure", None)
            raise failure or store_failed(f"the store gives no answer: {error!r}") from None


@asynccontextmanager
async def opened(
    url: str,
    region: str,
    credentials: Callable[[], SigningCredentials],
    clock: Callable[[], float],
    *,
    most_connections: int,
    tls: SSLContext | None = None,
    took: Callable[[float], None] = lambda _: None,
) -> AsyncIterator[BackingStore]:
    connector = aiohttp.TCPConnector(limit=most_connections, ssl=tls if tls is not None else True)
    options: dict[str, Any] = {
        "connector": connector,
        "connector_owner": False,
        "auto_decompress": False,
        "skip_auto_headers": _OURS,
        "timeout": aiohttp.ClientTimeout(
            total=None, sock_connect=_CONNECT_SECONDS, sock_read=_SILENT_SECONDS
        ),
        "read_bufsize": _BUFFER,
        "trust_env": False,
    }
    async with (
        connector,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), **options) as session,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar(), **options) as uploads,
    ):
        # DANGER: aiohttp would send a PUT again whose connection was closed, with what is left of its stream.
        uploads._retry_connection = False
        yield BackingStore(url, region, credentials, clock, session, uploads, took)


async def read_answer(answer: aiohttp.ClientResponse, limit: int) -> bytes:
    """The whole body of an answer; raises Refusal where it breaks off, or is longer than `limit` bytes."""
    pieces, length = [], 0
    try:
        while piece := await answer.content.readany():
            length += len(piece)
            pieces.append(piece)
            if length > limit:
                raise store_failed(f"the store's answer is longer than {limit} bytes")
    except (aiohttp.ClientError, TimeoutError) as error:
        raise store_failed(f"the store broke off its answer: {error!r}") from None
    return b"".join(pieces)
