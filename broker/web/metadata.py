"""The handler of the metadata service: numbered steps from a request to text, with a cache of responses.

Status codes, headers and bodies are those of EC2's own service (EC2 User Guide, "Use the Instance Metadata Service to
access instance metadata"); the container endpoints are the ECS agent's. The machine that asks is the peer of the
connection: no header can change that, and a request for a token that came through a proxy is refused.

A response is cached by address, path, token and Authorization header. It is valid while the revisions at which it was
read are unchanged, the keyring is the same, and neither token nor credentials are due to expire or be renewed.
DANGER: the server of this handler must not log paths, because container ids are secrets.
"""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

import msgspec

from broker.audit.event import uuid_text
from broker.cache import Cache
from broker.errors import Refusal
from broker.metadata.binding import InstanceBinder
from broker.metadata.containers import unknown_id
from broker.metadata.credentials import CredentialCache
from broker.metadata.instances import Instances
from broker.metadata.reading import JSON, TEXT, MetadataAnswer, MetadataRefusal, Reader
from broker.metadata.throttle import Throttle
from broker.sealing.keyring import Keyring
from broker.storage.engine import EngineUnavailable
from broker.storage.store import Conflict
from broker.web.dependencies import Dependencies
from broker.web.host_names import is_called_by
from broker.web.http import Request, Response, header_lines
from broker.web.log import log_failure

TOKEN = "x-aws-ec2-metadata-token"  # noqa: S105  a header's name
TOKEN_LIFE = "x-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105
NONCE = "x-broker-instance-nonce"

_SERVER = "EC2ws"
_INSTANCE = ["latest", "api", "instance"]
_CONTAINER_ROOTS = ("v1", "v2")
_MOST_CACHED = 2048  # responses
_LARGEST_CACHED = 4096  # bytes of a body
_LONGEST_KEY = 512  # characters

# The peer's address, the target as sent, the session token, the Authorization header.
CacheKey = tuple[str, str, str | None, str | None]

_logger = logging.getLogger("broker.web")


class _CachedResponse(msgspec.Struct, frozen=True):
    """A response, and the answer without its body, which says how long it is valid."""

    answer: MetadataAnswer
    response: Response


class MetadataHandler:
    """One per worker. `keyring` gives the current keyring of sessions; the rest comes from the settings."""

    def __init__(
        self,
        dependencies: Dependencies,
        keyring: Callable[[], Keyring],
        *,
        loopback_instance: str = "",
        session_seconds: int = 21_600,
        requests_per_second: int = 0,
    ) -> None:
        self._clock = dependencies.clock
        self._entropy = dependencies.entropy
        self._timer = dependencies.timer
        self._metrics = dependencies.metrics
        self._store = dependencies.store
        self._host_names = dependencies.host_names
        self._keyring = keyring
        self._credential_cache = CredentialCache(
            dependencies.mint, dependencies.journal, dependencies.clock, dependencies.entropy, session_seconds
        )
        instances = Instances(loopback_instance)
        self._reader = Reader(
            dependencies.store,
            dependencies.gate,
            instances,
            self._credential_cache,
            keyring,
            dependencies.clock,
            dependencies.entropy,
        )
        self._binder = InstanceBinder(
            dependencies.store, instances, dependencies.journal, dependencies.clock, dependencies.entropy
        )
        self._throttle = Throttle(requests_per_second)
        self._cache: Cache[CacheKey, _CachedResponse] = Cache(_MOST_CACHED)
        self._cache_hits = 0

    async def answer(self, request: Request) -> Response:
        """Answer one request, whatever is wrong with it."""
        if not self._throttle.admits(request.peer.address, self._timer()):
            # Counted, but not logged: a client that asks too often must not fill the log.
            self._metrics.count("metadata", "Read", "Throttling", 0.0)
            return _page(HTTPStatus.SERVICE_UNAVAILABLE)
        is_read = request.method == "GET" and request.limit_exceeded is None
        if is_read and is_called_by(request, self._host_names):
            cached = self._cache.get(_cache_key(request))
            if cached is not None and await self._is_valid(cached.answer):
                self._cache_hits += 1
                return cached.response
        return await self._answer_uncached(request)

    async def refresh(self) -> None:
        """Called periodically: renews credentials in the background, evicts expired responses, counts cache hits."""
        await self._credential_cache.renew(self._store)
        now, keyring = self._clock(), self._keyring()
        self._cache.discard(
            lambda cached: now >= cached.answer.good_until or cached.answer.keyring is not keyring
        )
        counted, self._cache_hits = self._cache_hits, 0
        self._metrics.add("metadata", "Read", "", counted)

    async def _is_valid(self, answer: MetadataAnswer) -> bool:
        """Whether the cached answer is still true; False where the store cannot be read."""
        if self._clock() >= answer.good_until or answer.keyring is not self._keyring():
            return False
        engine = self._store.engine
        try:
            for partition, revision in answer.revisions:
                if await engine.revision(partition) != revision:
                    return False
        except EngineUnavailable:
            return False
        if answer.credentials is not None:
            answer.credentials.was_read = True
        return True

    async def _answer_uncached(self, request: Request) -> Response:
        started = self._timer()
        operation, code = "Read", ""
        try:
            # 1. Host, size, path.
            if not is_called_by(request, self._host_names):
                raise MetadataRefusal(
                    403, f"called by {request.find_header('host')!r}, which listen.host_names has not"
                )
            if request.limit_exceeded is not None:
                raise MetadataRefusal(request.limit_exceeded.status, request.limit_exceeded.value)
            segments = [unquote(segment) for segment in request.path.split("/") if segment]
            if segments and segments[0] in _CONTAINER_ROOTS:
                operation = "ContainerCredentials"
                return await self._container(request, segments)
            if request.method == "PUT" and segments == _INSTANCE:
                operation = "BindInstance"
                return await self._bind(request)
            if request.method == "PUT":
                operation = "PutToken"
                return await self._put_token(request, segments)
            return await self._read(request, segments)
        except MetadataRefusal as refused:
            code = str(refused.status)
            self._log(request, refused.status, refused.reason)
            return _page(refused.status, refused.headers)
        except Refusal as refusal:
            code = refusal.code
            status = refusal.status or HTTPStatus.SERVICE_UNAVAILABLE
            self._log(request, status, refusal.reason or refusal.message)
            if operation == "ContainerCredentials":
                return _container_error(status, refusal, segments[0])
            return _page(status)
        except (EngineUnavailable, Conflict) as error:
            code = "ServiceUnavailable"
            self._log(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
            return _page(HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception as error:  # noqa: BLE001  the outermost handler: the client always gets an answer
            code = "InternalFailure"
            log_failure(uuid_text(self._entropy(16)), error)
            return _page(HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self._metrics.count("metadata", operation, code, self._timer() - started)

    def _log(self, request: Request, status: int, reason: str) -> None:
        """Log a refusal. The request id is only in the log: EC2's service gives its clients none."""
        if _logger.isEnabledFor(logging.INFO):
            facts = {
                "request_id": uuid_text(self._entropy(16)),
                "source": request.peer.address,
                "status": int(status),
                "reason": reason,
            }
            _logger.info("metadata refused", extra={"facts": facts})

    async def _put_token(self, request: Request, segments: list[str]) -> Response:
        # 2. Is the request of the right form?
        if request.find_header("x-forwarded-for") is not None:
            raise MetadataRefusal(403, "a request for a token came through a proxy")
        if segments[1:] != ["api", "token"]:
            raise MetadataRefusal(405, "PUT is for tokens only", {"Allow": "OPTIONS, GET, HEAD"})
        if segments[0] != "latest":
            raise MetadataRefusal(403, "tokens are made by the latest version only")
        # 3. A token for the machine at this address, limited to the hops that its record allows.
        token = await self._reader.new_token(request.peer.address, request.find_header(TOKEN_LIFE))
        if not request.peer.limit_hops(token.hop_limit):
            raise MetadataRefusal(500, f"the hop limit {token.hop_limit} cannot be set on this connection")
        headers = {
            "Content-Type": TEXT,
            "Server": _SERVER,
            "X-aws-ec2-metadata-token-ttl-seconds": str(token.life),
        }
        return Response(200, header_lines(headers), token.text.encode())

    async def _bind(self, request: Request) -> Response:
        # 2. Is the request of the right form?
        if request.find_header("x-forwarded-for") is not None:
            raise MetadataRefusal(403, "a nonce came through a proxy")
        # 3. Which instance is at this address from now on.
        unverified_nonce = request.find_header(NONCE) or ""
        instance_id = await self._binder.bind(request.peer.address, unverified_nonce)
        return Response(
            200, header_lines({"Content-Type": TEXT, "Server": _SERVER}), f"{instance_id}\n".encode()
        )

    async def _read(self, request: Request, segments: list[str]) -> Response:
        # 2. Is the request of the right form?
        if request.method not in ("GET", "HEAD"):
            raise MetadataRefusal(405, "a method that reads nothing", {"Allow": "OPTIONS, GET, HEAD"})
        if segments[1:] == ["api", "token"]:
            raise MetadataRefusal(405, "tokens are made with PUT", {"Allow": "OPTIONS, PUT"})
        # 3. Which machine, with which token, which category.
        answer = await self._reader.read(request.peer.address, request.find_header(TOKEN), segments)
        return self._response(request, answer)

    async def _container(self, request: Request, segments: list[str]) -> Response:
        # 2. Is the request of the right form?
        if request.method not in ("GET", "HEAD"):
            raise MetadataRefusal(405, "a method that reads nothing", {"Allow": "GET, HEAD"})
        if segments[1:2] != ["credentials"]:
            raise MetadataRefusal(404, "no such path of the container endpoints")
        # 3. Which container, for which role.
        unverified_id = _container_id(request, segments)
        unverified_token = request.find_header("authorization") or ""
        answer = await self._reader.container(request.peer.address, unverified_id, unverified_token)
        return self._response(request, answer)

    def _response(self, request: Request, answer: MetadataAnswer) -> Response:
        """4. Render, and cache."""
        response = Response(
            200, header_lines({"Content-Type": answer.media_type, "Server": _SERVER}), answer.body
        )
        if request.method == "GET" and len(answer.body) <= _LARGEST_CACHED:
            self._store_in_cache(_cache_key(request), answer, response)
        return response

    def _store_in_cache(self, key: CacheKey, answer: MetadataAnswer, response: Response) -> None:
        if sum(len(part) for part in key if part) > _LONGEST_KEY:
            return
        self._cache.put(key, _CachedResponse(msgspec.structs.replace(answer, body=b""), response))


def _cache_key(request: Request) -> CacheKey:
    """INVARIANT: it holds every part of a request that decides who may have the response."""
    token = authorization = None
    for name, value in request.headers:
        if name == TOKEN and token is None:
            token = value
        elif name == "authorization" and authorization is None:
            authorization = value
    return request.peer.address, request.target, token, authorization


def _container_id(request: Request, segments: list[str]) -> str:
    """The id of `/v1/credentials?id=ID` and of `/v2/credentials/ID`, or nothing; raises Refusal.

    As in the ECS agent, the whole rest of the path is the id: with a trailing slash it is another id, which no
    container has. An id is a secret, so it is read at exactly one path.
    """
    sent = [unquote(segment) for segment in request.path.split("/")]
    following = sent[3:]
    if sent[1:3] != segments[:2] or (segments[0] == "v1" and following):
        raise unknown_id("the path is not one of the container endpoints: empty or further segments")
    if segments[0] == "v2":
        return "/".join(following)
    return next((value for name, value in parse_qsl(request.query) if name == "id"), "")


def _page(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """The page with which EC2 answers a status; a 403 has no body."""
    if status == HTTPStatus.FORBIDDEN:
        return Response(403, header_lines({"Content-Type": TEXT, "Server": _SERVER}), b"")
    title = f"{int(status)} - {HTTPStatus(status).phrase}"
    body = (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"\n'
        '\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        f" <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    )
    all_headers = {"Content-Type": "text/html", "Server": _SERVER, **(headers or {})}
    return Response(int(status), header_lines(all_headers), body.encode())


def _container_error(status: int, refusal: Refusal, version: str) -> Response:
    """A refusal as the ECS agent renders it; `version` is v1 or v2."""
    message = f"Credentials{version.upper()}Request: {refusal.message}"
    members = {"code": refusal.code, "message": message, "HTTPErrorCode": int(status)}
    headers = {"Content-Type": JSON, "Server": _SERVER}
    return Response(int(status), header_lines(headers), msgspec.json.encode(members))
