"""Outgoing GET requests to identity providers: bounded in size, time and redirects, and only to admitted addresses."""

import asyncio
import socket
import ssl
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urljoin

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from broker.federation.addresses import find_address, is_admitted
from broker.federation.reach import Answer, FetchFailed, Reach, StatusAnswer, require_admitted
from broker.federation.thumbprints import anchored_tls

LARGEST_ANSWER = 1 << 20  # bytes
LARGEST_JUDGEMENT = 64 << 10  # bytes that a service may say of a secret
LONGEST_WAIT = 5.0  # seconds, for all of one fetch, redirects included
MOST_REDIRECTS = 3
MOST_CONNECTIONS = 32

_REDIRECTS = (301, 302, 303, 307, 308)


class AdmittedResolver(AbstractResolver):
    """Resolves names to admitted addresses. aiohttp connects to these addresses, and does not resolve again."""

    def __init__(self, private_networks: Sequence[str], resolver: AbstractResolver | None = None) -> None:
        self._private_networks = private_networks
        self._resolver = resolver or ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        admitted = [one for one in found if _is_admitted(one["host"], self._private_networks)]
        if not admitted:
            raise OSError(f"{host} has no address that may be reached")
        return admitted

    async def close(self) -> None:
        await self._resolver.close()

    def socket_to(self, target: tuple[Any, ...]) -> socket.socket:
        """A socket for a connection to `target`, as of getaddrinfo; raises OSError where it is not admitted.

        aiohttp resolves no host that it takes for an address. This sees whatever it connects to.
        """
        family, kind, protocol, _, address = target
        if not _is_admitted(str(address[0]), self._private_networks):
            raise OSError(f"{address[0]} may not be reached")
        return socket.socket(family, kind, protocol)


def open_fetcher(reach: Reach, tls: ssl.SSLContext, resolver: AbstractResolver | None = None) -> "Fetcher":
    """`resolver` finds the addresses of names; the system's where there is none."""
    admitted = AdmittedResolver(reach.private_networks, resolver)
    connector = aiohttp.TCPConnector(
        resolver=admitted,
        use_dns_cache=False,
        limit=MOST_CONNECTIONS,
        ssl=tls,
        socket_factory=admitted.socket_to,
    )
    session = aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar())
    return Fetcher(session, admitted, reach)


class Fetcher:
    """Fetches with `session`, whose connector resolves through `resolver`."""

    def __init__(
        self,
        session: aiohttp.ClientSession,
        resolver: AdmittedResolver,
        reach: Reach = Reach(),  # noqa: B008  frozen
    ) -> None:
        self._session = session
        self._resolver = resolver
        self._reach = reach

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer:
        """The answer of `url`, after at most MOST_REDIRECTS redirects; raises FetchFailed.

        `thumbprints` are those of certificates that are accepted without a trusted authority.
        """
        try:
            async with asyncio.timeout(LONGEST_WAIT):
                return await self._follow(url, thumbprints)
        except TimeoutError:
            raise FetchFailed(f"{url} did not answer within {LONGEST_WAIT:g} seconds") from None
        except aiohttp.ClientConnectorError as error:
            raise FetchFailed(f"{url} cannot be reached: {error.os_error or error}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchFailed(f"{url} cannot be read: {error}") from None

    async def ask(
        self, method: str, url: str, secret_query: Mapping[str, str], headers: Mapping[str, str]
    ) -> StatusAnswer:
        """The answer of `url`, with the secrets in its query; raises FetchFailed, which never quotes them.

        A redirect is an answer like any other: a secret goes where it was meant to go, and nowhere else.
        """
        require_admitted(url, self._reach)
        accepted = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        return await self._ask_secretly(method, url, LARGEST_JUDGEMENT, params=secret_query, headers=accepted)

    async def post_form(
        self, url: str, secret_form: Mapping[str, str], headers: Mapping[str, str]
    ) -> StatusAnswer:
        """The answer of `url` to a form with secrets; raises FetchFailed, which never quotes them. As for `ask`."""
        require_admitted(url, self._reach)
        accepted = {"Accept": "application/json", "Accept-Encoding": "identity", **headers}
        return await self._ask_secretly("POST", url, LARGEST_ANSWER, data=secret_form, headers=accepted)

    async def post_json(
        self, url: str, secret_body: Mapping[str, Any], headers: Mapping[str, str], authorities: str = ""
    ) -> StatusAnswer:
        """As `post_form`, of a JSON body; `authorities` (PEM) are trusted in place of the usual ones."""
        require_admitted(url, self._reach)
        tls = ssl.create_default_context(cadata=authorities) if authorities else True
        return await self._ask_secretly(
            "POST", url, LARGEST_JUDGEMENT, json=secret_body, headers=headers, ssl=tls
        )

    async def close(self) -> None:
        await self._session.close()

    async def _ask_secretly(self, method: str, url: str, largest: int, **arguments: Any) -> StatusAnswer:
        try:
            async with (
                asyncio.timeout(LONGEST_WAIT),
                self._session.request(method, url, allow_redirects=False, **arguments) as response,
            ):
                return StatusAnswer(response.status, await _read_body(response, url, largest))
        except TimeoutError:
            raise FetchFailed(f"no answer within {LONGEST_WAIT:g} seconds") from None
        except aiohttp.ClientConnectorError as error:
            raise FetchFailed(f"cannot be reached: {error.os_error or type(error).__name__}") from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            # By its kind alone: its words may quote the URL.
            raise FetchFailed(f"cannot be read: {type(error).__name__}") from None

    async def _follow(self, url: str, thumbprints: Sequence[str]) -> Answer:
        for _ in range(MOST_REDIRECTS + 1):
            require_admitted(url, self._reach)
            try:
                answer = await self._ask(url)
            except aiohttp.ClientConnectorCertificateError:
                if not thumbprints:
                    raise
                answer = await self._ask(url, await anchored_tls(url, self._resolver, thumbprints))
            if isinstance(answer, Answer):
                return answer
            url = urljoin(url, answer)
        raise FetchFailed(f"{url}: more than {MOST_REDIRECTS} redirects")

    async def _ask(self, url: str, tls: ssl.SSLContext | bool = True) -> Answer | str:
        """The answer, or the location of a redirect. With a `tls` of its own the connection is not shared."""
        async with self._session.get(
            url,
            allow_redirects=False,
            headers={"Accept": "application/json", "Accept-Encoding": "identity"},
            ssl=tls,
        ) as response:
            location = response.headers.get("Location")
            if response.status in _REDIRECTS and location is not None:
                return location
            return await _read(response, url)


async def _read(response: aiohttp.ClientResponse, url: str) -> Answer:
    if response.status != 200:
        raise FetchFailed(f"{url} answered {response.status}")
    body = await _read_body(response, url, LARGEST_ANSWER)
    return Answer(body, response.headers.get("Cache-Control", ""))


async def _read_body(response: aiohttp.ClientResponse, url: str, largest: int) -> bytes:
    body = b""
    async for part in response.content.iter_any():
        body += part
        if len(body) > largest:
            raise FetchFailed(f"{url} answered with more than {largest} bytes")
    return body


def _is_admitted(host: str, private_networks: Sequence[str]) -> bool:
    address = find_address(host)
    return address is not None and is_admitted(address, private_networks)
