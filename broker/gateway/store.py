"""The store behind the gateway: requests to it are signed with the gateway's own credentials, always in path style.

It is one address, from the settings: nothing that a client sends chooses a host, and a redirect is never followed.
"""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from ssl import SSLContext

import aiohttp
import msgspec
from yarl import URL

from broker.gateway.address import encode_key
from broker.gateway.body import Body
from broker.gateway.refusals import store_failed
from broker.sigv4.canonical import EMPTY_SHA256
from broker.sigv4.signing import SigningCredentials, encode_query, sign_request
from broker.sigv4.verify import UNSIGNED_PAYLOAD

STREAMED_WITH_TRAILER = "STREAMING-UNSIGNED-PAYLOAD-TRAILER"
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
    body: bytes | AsyncIterator[bytes] | Body | None = None
    payload: str = EMPTY_SHA256


class BackingStore:
    """`credentials` returns the current ones. Use `opened` to make one."""

    def __init__(
        self,
        url: str,
        region: str,
        credentials: Callable[[], SigningCredentials],
        clock: Callable[[], float],
        session: aiohttp.ClientSession,
        uploads: aiohttp.ClientSession,
    ) -> None:
        self._url, self._region, self._credentials, self._clock = URL(url), region, credentials, clock
        self._session, self._uploads = session, uploads
        self._base = url.rstrip("/")
        self._host = self._url.raw_authority

    @asynccontextmanager
    async def send(self, request: Outgoing) -> AsyncIterator[aiohttp.ClientResponse]:
        """The store's answer, before its body was read. Raises Refusal where there is none, and that of the body."""
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
        try:
            async with session.request(
                request.method, target, headers=headers, data=request.body, allow_redirects=False
            ) as answer:
                yield answer
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            failure = getattr(request.body, "failure", None)
            raise failure or store_failed(f"the store: {error!r}") from None


@asynccontextmanager
async def opened(
    url: str,
    region: str,
    credentials: Callable[[], SigningCredentials],
    clock: Callable[[], float],
    *,
    most_connections: int,
    tls: SSLContext | None = None,
) -> AsyncIterator[BackingStore]:
    connector = aiohttp.TCPConnector(limit=most_connections, ssl=tls if tls is not None else True)
    options = {
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
        yield BackingStore(url, region, credentials, clock, session, uploads)


