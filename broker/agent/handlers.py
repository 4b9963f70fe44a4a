"""From a request to an answer: pods and containers.

DANGER: the server of these handlers must not log paths, because container ids are secrets.
"""

from collections.abc import Callable, Mapping
from hashlib import sha256
from itertools import chain
from urllib.parse import parse_qsl, unquote

import msgspec

from broker.agent.answering import JSON_LINES, AgentRefusal, require_reading
from broker.agent.answers import container_text
from broker.agent.cache import AgentCache, AgentCredentials, Fetch, Unavailable, UpstreamRefusal
from broker.agent.guard import Guard
from broker.agent.pods import CheckedToken, PodTokenRefused, check_token
from broker.agent.settings import PodsSection
from broker.agent.upstream import Upstream
from broker.cache import Cache
from broker.names.secret import SecretKey
from broker.web.http import Request, Response

_CREDENTIALS = "/v1/credentials"
_BY_ID = "/v2/credentials/"
_LONGEST_SECRET = 4096
_MOST_REMEMBERED = 16 << 20  # bytes: five thousand pods
_REMEMBERED_WEIGHT = 3000


async def credentials_of(cache: AgentCache, key: object, fetch: Fetch) -> AgentCredentials:
    """What the cache has or gets; raises Refused."""
    try:
        return await cache.get((key,), fetch)
    except Unavailable as error:
        raise AgentRefusal(
            503, "The broker is away", str(error), Retry_After=str(error.retry_after)
        ) from None
    except UpstreamRefusal as error:
        raise AgentRefusal(error.status, str(error)) from None


class _Remembered(msgspec.Struct, frozen=True):
    """An answer, good while the token has not expired and the cache holds these credentials."""

    token: CheckedToken
    credentials: AgentCredentials
    response: Response


class PodHandler:
    """The address of Pod Identity: who asks presents the service account token of its pod."""

    def __init__(
        self,
        settings: PodsSection,
        guard: Guard,
        cache: AgentCache,
        upstream: Upstream,
        clock: Callable[[], float],
    ) -> None:
        self._settings = settings
        self._guard = guard
        self._cache = cache
        self._upstream = upstream
        self._clock = clock
        self._remembered: Cache[tuple[str, ...], _Remembered] = Cache(_MOST_REMEMBERED)

    async def answer(self, request: Request) -> Response:
        """Raises AgentRefusal."""
        remembered = None if request.limit_exceeded else self._remembered.get(_everything_of(request))
        if remembered is not None and self._clock() < remembered.token.expires_at:
            found = self._cache.find((remembered.token.digest,))
            if found is remembered.credentials:
                return remembered.response
        return await self._answer(request)

    async def _answer(self, request: Request) -> Response:
        require_reading(request, self._guard)
        if request.path != _CREDENTIALS:
            raise AgentRefusal(404, "Not found")
        token = request.find_header("authorization") or ""
        try:
            checked = check_token(token, self._settings.node, self._clock())
        except PodTokenRefused as error:
            raise AgentRefusal(error.status, str(error)) from None
        fetch = self._upstream.for_pod(self._settings.cluster, SecretKey(token), self._settings.node)
        credentials = await credentials_of(self._cache, checked.digest, fetch)
        response = Response(200, JSON_LINES, container_text(credentials).encode())
        remembered = _Remembered(checked, credentials, response)
        self._remembered.put(_everything_of(request), remembered, _REMEMBERED_WEIGHT + len(token))
        return response


def _everything_of(request: Request) -> tuple[str, ...]:
    """INVARIANT: all of a request that decides what is answered: its peer, its line, every header."""
    return (request.peer.address, request.method, request.target, *chain.from_iterable(request.headers))


class KnownContainer(msgspec.Struct, frozen=True):
    """Digests of what proves a container, "" for what it need not present; and what fetches its credentials."""

    id_digest: bytes
    token_digest: bytes
    fetch: Fetch


class ContainerHandler:
    """The address of the ECS agent, and the full-URI form: an id in the path, a token in the header, or both."""

    def __init__(self, guard: Guard, cache: AgentCache, containers: Mapping[bytes, KnownContainer]) -> None:
        self._guard = guard
        self._cache = cache
        self._containers = containers

    async def answer(self, request: Request) -> Response:
        """Raises AgentRefusal."""
        require_reading(request, self._guard)
        unverified_id = _id_of(request)
        unverified_token = request.find_header("authorization") or ""
        if max(len(unverified_id), len(unverified_token)) > _LONGEST_SECRET:
            raise AgentRefusal(400, "Credentials not found", "the id or the token is too long")
        container = self._find(unverified_id, unverified_token)
        credentials = await credentials_of(self._cache, container, container.fetch)
        return Response(200, JSON_LINES, container_text(credentials).encode())

    def _find(self, unverified_id: str, unverified_token: str) -> KnownContainer:
        """By digests: the time of an answer does not show how near a guess came."""
        if not unverified_id and not unverified_token:
            raise AgentRefusal(400, "No Credential ID in the request")
        presented = digest_of(unverified_id or unverified_token)
        container = self._containers.get(presented)
        if container is None:
            raise AgentRefusal(400 if unverified_id else 401, "Credentials not found")
        if bool(unverified_id) != bool(container.id_digest):
            raise AgentRefusal(
                400, "Credentials not found", "a token where an id belongs, or an id for a token"
            )
        if container.token_digest not in (b"", digest_of(unverified_token)):
            raise AgentRefusal(401, "The authorization token is missing or not valid")
        return container


def digest_of(secret: str) -> bytes:
    return sha256(secret.encode("utf-8", "surrogateescape")).digest()


def _id_of(request: Request) -> str:
    """The id of `/v2/credentials/ID` and of `/v1/credentials?id=ID`, "" for none; raises Refused for other paths."""
    if request.path.startswith(_BY_ID):
        return unquote(request.path.removeprefix(_BY_ID))
    if request.path != _CREDENTIALS:
        raise AgentRefusal(404, "Not found")
    return next((value for name, value in parse_qsl(request.query) if name == "id"), "")
