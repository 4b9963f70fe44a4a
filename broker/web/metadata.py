"""The door of the metadata service: numbered steps from a request to text, and a short way for what was just proven.

Status codes, headers and bodies are those of EC2's own service (EC2 User Guide, "Use the Instance Metadata Service to
access instance metadata"); the container endpoints are the ECS agent's. The asker is the peer of the connection: no
header is believed, and a request for a token that came through a proxy is refused.

An answer is remembered with what it rests on. It is given again to the same address, for the same path with the same
proofs, as long as the revisions that it was read at stand, the keyring is the same, and neither token nor credentials
have come to their time. The server of this door must not log paths: container ids are secrets.
"""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl, unquote

import msgspec

from broker.audit.event import uuid_text
from broker.errors import Refusal
from broker.metadata.containers import unknown_id
from broker.metadata.credentials import Deliveries
from broker.metadata.instances import Instances
from broker.metadata.reading import JSON, TEXT, Answer, Reader, Refused
from broker.metadata.throttle import Throttle
from broker.sealing.keyring import Keyring
from broker.storage.engine import EngineUnavailable
from broker.storage.store import Conflict
from broker.web.door import Door
from broker.web.host_names import is_called_by
from broker.web.http import Request, Response, header_lines
from broker.web.log import log_failure

TOKEN = "x-aws-ec2-metadata-token"  # noqa: S105  a header's name
TOKEN_LIFE = "x-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105

_SERVER = "EC2ws"
_CONTAINER_ROOTS = ("v1", "v2")
_REMEMBERED = 2048  # answers, each of at most so many bytes, under keys of at most so many characters
_LARGEST_REMEMBERED = 4096
_LONGEST_KEY = 512

# Who asks (the peer's address) for what (the path as sent) with which proofs (token, Authorization).
MemoryKey = tuple[str, str, str | None, str | None]

_logger = logging.getLogger("broker.web")


class _Remembered(msgspec.Struct, frozen=True):
    """An answer, without its body, and the response that gave it."""

    answer: Answer
    response: Response


class MetadataDoor:
    """One per worker. `keyring` gives the sessions' ring as it is now; the rest is as the settings have it."""

    def __init__(
        self,
        door: Door,
        keyring: Callable[[], Keyring],
        *,
        loopback_instance: str = "",
        session_seconds: int = 21_600,
        requests_per_second: int = 0,
    ) -> None:
        self._clock = door.clock
        self._entropy = door.entropy
        self._timer = door.timer
        self._measures = door.measures
        self._store = door.store
        self._host_names = door.host_names
        self._keyring = keyring
        self._deliveries = Deliveries(door.mint, door.journal, door.clock, door.entropy, session_seconds)
        instances = Instances(loopback_instance)
        self._reader = Reader(
            door.store, door.gate, instances, self._deliveries, keyring, door.clock, door.entropy
        )
        self._throttle = Throttle(requests_per_second)
        self._remembered: dict[MemoryKey, _Remembered] = {}
        self._short_ways = 0

    async def answer(self, request: Request) -> Response:
        """Answer one request, whatever is wrong with it."""
        if not self._throttle.admits(request.peer.address, self._timer()):
            # Counted, but no line in the log: whoever asks too often shall not make us write as often.
            self._measures.count("metadata", "Read", "Throttling", 0.0)
            return _page(HTTPStatus.SERVICE_UNAVAILABLE)
        is_read = request.method == "GET" and request.trouble is None
        if is_read and is_called_by(request, self._host_names):
            remembered = self._remembered.get(_memory_key(request))
            if remembered is not None and await self._is_still_true(remembered.answer):
                self._short_ways += 1
                return remembered.response
        return await self._answer_the_long_way(request)

    async def refresh(self) -> None:
        """Now and then: credentials renewed in the background, what is over forgotten, short ways counted."""
        await self._deliveries.renew(self._store)
        now, keyring = self._clock(), self._keyring()
        for key, remembered in list(self._remembered.items()):
            if now >= remembered.answer.good_until or remembered.answer.keyring is not keyring:
                self._remembered.pop(key, None)
        counted, self._short_ways = self._short_ways, 0
        self._measures.add("metadata", "Read", "", counted)

    async def _is_still_true(self, answer: Answer) -> bool:
        """Whether nothing that the answer rests on has changed; a store that is away cannot say so."""
        if self._clock() >= answer.good_until or answer.keyring is not self._keyring():
            return False
        engine = self._store.engine
        try:
            for partition, revision in answer.revisions:
                if await engine.revision(partition) != revision:
                    return False
        except EngineUnavailable:
            return False
        if answer.kept is not None:
            answer.kept.was_read = True
        return True

    async def _answer_the_long_way(self, request: Request) -> Response:
        started = self._timer()
        operation, code = "Read", ""
        try:
            # 1. What is asked for, and of whom.
            if not is_called_by(request, self._host_names):
                raise Refused(
                    403, f"called by {request.find_header('host')!r}, which listen.host_names has not"
                )
            if request.trouble is not None:
                raise Refused(request.trouble.status, request.trouble.value)
            steps = [unquote(step) for step in request.path.split("/") if step]
            if steps and steps[0] in _CONTAINER_ROOTS:
                operation = "ContainerCredentials"
                return await self._container(request, steps)
            if request.method == "PUT":
                operation = "PutToken"
                return await self._put_token(request, steps)
            return await self._read(request, steps)
        except Refused as refused:
            code = str(refused.status)
            self._log(request, refused.status, refused.reason)
            return _page(refused.status, refused.headers)
        except Refusal as refusal:
            code = refusal.code
            status = refusal.status or HTTPStatus.SERVICE_UNAVAILABLE
            self._log(request, status, refusal.reason or refusal.message)
            if operation == "ContainerCredentials":
                return _container_error(status, refusal, steps[0])
            return _page(status)
        except (EngineUnavailable, Conflict) as error:
            code = "ServiceUnavailable"
            self._log(request, HTTPStatus.SERVICE_UNAVAILABLE, str(error))
            return _page(HTTPStatus.SERVICE_UNAVAILABLE)
        except Exception as error:  # noqa: BLE001  the door: whatever happens inside, the client gets an answer
            code = "InternalFailure"
            log_failure(uuid_text(self._entropy(16)), error)
            return _page(HTTPStatus.INTERNAL_SERVER_ERROR)
        finally:
            self._measures.count("metadata", operation, code, self._timer() - started)

    def _log(self, request: Request, status: int, reason: str) -> None:
        """The id is the log's alone: EC2's service gives its clients none."""
        if _logger.isEnabledFor(logging.INFO):
            facts = {
                "request_id": uuid_text(self._entropy(16)),
                "source": request.peer.address,
                "status": int(status),
                "reason": reason,
            }
            _logger.info("metadata refused", extra={"facts": facts})

    async def _put_token(self, request: Request, steps: list[str]) -> Response:
        # 2. May it be asked for so?
        if request.find_header("x-forwarded-for") is not None:
            raise Refused(403, "a request for a token came through a proxy")
        if steps[1:] != ["api", "token"]:
            raise Refused(405, "PUT is for tokens only", {"Allow": "OPTIONS, GET, HEAD"})
        if steps[0] != "latest":
            raise Refused(403, "tokens are made by the latest version only")
        # 3. A token for whoever asks, sent no further than the instance allows.
        token = await self._reader.new_token(request.peer.address, request.find_header(TOKEN_LIFE))
        if not request.peer.limit_hops(token.hop_limit):
            raise Refused(500, f"the hop limit {token.hop_limit} cannot be set on this connection")
        headers = {
            "Content-Type": TEXT,
            "Server": _SERVER,
            "X-aws-ec2-metadata-token-ttl-seconds": str(token.life),
        }
        return Response(200, header_lines(headers), token.text.encode())

    async def _read(self, request: Request, steps: list[str]) -> Response:
        # 2. May it be asked for so?
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "a method that reads nothing", {"Allow": "OPTIONS, GET, HEAD"})
        if steps[1:] == ["api", "token"]:
            raise Refused(405, "tokens are made with PUT", {"Allow": "OPTIONS, PUT"})
        # 3. Who, with which token, what.
        answer = await self._reader.read(request.peer.address, request.find_header(TOKEN), steps)
        return self._response(request, answer)

    async def _container(self, request: Request, steps: list[str]) -> Response:
        # 2. May it be asked for so?
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "a method that reads nothing", {"Allow": "GET, HEAD"})
        if steps[1:2] != ["credentials"]:
            raise Refused(404, "no such path of the container endpoints")
        # 3. Which container, for which role.
        unverified_id = _container_id(request, steps)
        unverified_token = request.find_header("authorization") or ""
        answer = await self._reader.container(request.peer.address, unverified_id, unverified_token)
        return self._response(request, answer)

    def _response(self, request: Request, answer: Answer) -> Response:
        """4. Render, and remember."""
        response = Response(
            200, header_lines({"Content-Type": answer.media_type, "Server": _SERVER}), answer.body
        )
        if request.method == "GET" and len(answer.body) <= _LARGEST_REMEMBERED:
            self._remember(_memory_key(request), answer, response)
        return response

    def _remember(self, key: MemoryKey, answer: Answer, response: Response) -> None:
        if sum(len(part) for part in key if part) > _LONGEST_KEY:
            return
        if len(self._remembered) >= _REMEMBERED:
            del self._remembered[next(iter(self._remembered))]
        self._remembered[key] = _Remembered(msgspec.structs.replace(answer, body=b""), response)


def _memory_key(request: Request) -> MemoryKey:
    """An answer is never given on less than it was given for."""
    token = authorization = None
    for name, value in request.headers:
        if name == TOKEN and token is None:
            token = value
        elif name == "authorization" and authorization is None:
            authorization = value
    return request.peer.address, request.target, token, authorization


def _container_id(request: Request, steps: list[str]) -> str:
    """The id of `/v1/credentials?id=ID` and of `/v2/credentials/ID`, or nothing; raises Refusal.

    As the agent reads it, all that follows is the id: with a slash behind it, it is another one, which no container
    has. An id is a secret, and there is one path that it is read at.
    """
    sent = [unquote(step) for step in request.path.split("/")]
    following = sent[3:]
    if sent[1:3] != steps[:2] or (steps[0] == "v1" and following):
        raise unknown_id("the path is not one of the container endpoints: empty or further segments")
    if steps[0] == "v2":
        return "/".join(following)
    return next((value for name, value in parse_qsl(request.query) if name == "id"), "")


def _page(status: int, headers: Mapping[str, str] | None = None) -> Response:
    """A status as the small page that EC2 answers with; of a 403 it sends no body."""
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
    given = {"Content-Type": "text/html", "Server": _SERVER, **(headers or {})}
    return Response(int(status), header_lines(given), body.encode())


def _container_error(status: int, refusal: Refusal, version: str) -> Response:
    """As the ECS agent answers; `version` is v1 or v2."""
    message = f"Credentials{version.upper()}Request: {refusal.message}"
    members = {"code": refusal.code, "message": message, "HTTPErrorCode": int(status)}
    headers = {"Content-Type": JSON, "Server": _SERVER}
    return Response(int(status), header_lines(headers), msgspec.json.encode(members))
