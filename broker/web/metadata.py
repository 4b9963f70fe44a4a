"""The door of the metadata service: numbered steps from a request to text, and a short way for what was just proven.

Status codes, headers and bodies are those of EC2's own service (EC2 User Guide, "Use the Instance Metadata Service to
access instance metadata"); the container endpoints are the ECS agent's. Who asks is the peer of the connection: no
header is believed, and a request to PUT that came through a proxy is refused.

An answer is remembered with the revisions of the partitions that it was read from. It is given again to the same
address with the same token for the same path, as long as these revisions stand, the keyring is the same and neither
token nor credentials have come to their time. The server of this door must not log paths: container ids are secrets.
"""

import logging
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.metadata import containers, profiles
from broker.metadata.categories import Deferred, Leaf, Subject, lookup
from broker.metadata.containers import container_grant, find_container, renewed_container_grant
from broker.metadata.credentials import Deliveries, Grant, Kept, Regrant
from broker.metadata.identity_documents import signatures_of, signing_identity
from broker.metadata.instances import Instances
from broker.metadata.session_tokens import TOKEN_ENTROPY, open_token, parse_life, seal_token
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.storage.engine import CONTAINERS_PARTITION, GLOBAL, EngineUnavailable, account_partition
from broker.storage.records import Instance
from broker.storage.store import Conflict, Transaction
from broker.web.door import Door
from broker.web.log import log_failure
from broker.web.ready import ReadyAnswer, ready_wire
from broker.web.sockets import limit_hops, peer_of

TOKEN = "X-aws-ec2-metadata-token"  # noqa: S105  a header's name
TOKEN_LIFE = "X-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105

_TEXT, _BYTES, _JSON, _PAGE = "text/plain", "application/octet-stream", "application/json", "text/html"
_SERVER = "EC2ws"
_CONTAINER_ROOTS = ("v1", "v2")
_REMEMBERED = 4096  # answers; a few kilobytes each at most
_LARGEST_REMEMBERED = 4096  # bytes

MemoryKey = tuple[str, str, str | None, str | None]

_logger = logging.getLogger("broker.web")


class Refused(Exception):
    """An answer that is a status and nothing else; `reason` is for the operator."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


class Read(msgspec.Struct, kw_only=True):
    """What one pass through the store found: an answer, or what is still to be made into one.

    `good_until` and `revisions` say how long, and at which state of which partitions, all of it is true.
    """

    instance: Instance | None
    good_until: float
    leaf: Leaf = ""
    media_type: str = _TEXT
    granted: Grant | None = None
    regrant: Regrant | None = None
    revisions: tuple[tuple[str, int], ...] = ()


class Remembered(msgspec.Struct, frozen=True):
    """A whole answer that was proven, and what it rests on."""

    wire: tuple[bytes, bytes]
    good_until: float
    keyring: Keyring
    revisions: tuple[tuple[str, int], ...]
    kept: Kept | None


class MetadataDoor:
    """One per worker. `keyring` gives the sessions' ring as it is now; the rest is as the settings have it."""

    def __init__(
        self,
        door: Door,
        keyring: Callable[[], Keyring],
        *,
        loopback_instance: str = "",
        session_seconds: int = 21_600,
    ) -> None:
        self._door = door
        self._keyring = keyring
        self._instances = Instances(loopback_instance)
        self._deliveries = Deliveries(door.mint, door.journal, door.clock, door.entropy, session_seconds)
        self._remembered: dict[MemoryKey, Remembered] = {}
        self._short_ways = 0

    async def answer(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request, whatever is wrong with it."""
        if request.method == "GET":
            remembered = self._remembered.get(_memory_key(request))
            if remembered is not None and request.version == (1, 1) and await self._is_still_true(remembered):
                self._short_ways += 1
                if remembered.kept is not None:
                    remembered.kept.was_read = True
                return ReadyAnswer(remembered.wire, self._door.clock())
        started = self._door.timer()
        operation, code = "Read", ""
        try:
            # 1. What is asked for.
            steps = [unquote(step) for step in request.rel_url.raw_path.split("/") if step]
            if steps and steps[0] in _CONTAINER_ROOTS:
                operation = "ContainerCredentials"
                return await self._container(request, steps)
            if request.method == "PUT":
                operation = "PutToken"
                return await self._put_token(request, steps)
            return await self._read(request, steps)
        except Refused as refused:
            code = str(refused.status)
            _log(request, refused.status, refused.reason)
            return _page(refused.status, refused.headers)
        except Refusal as refusal:
            code = refusal.code
            status = refusal.status or HTTPStatus.SERVICE_UNAVAILABLE
            _log(request, status, refusal.reason or refusal.message)
            return _refusal(operation, status, refusal)
        except (EngineUnavailable, Conflict) as error:
            code = "ServiceUnavailable"
            _log(request, 503, str(error))
            return _page(503)
        except Exception as error:  # noqa: BLE001  the door: whatever happens inside, the client gets an answer
            code = "InternalFailure"
            log_failure("", error)
            return _page(500)
        finally:
            self._door.measures.count("metadata", operation, code, self._door.timer() - started)

    async def refresh(self) -> None:
        """Now and then: credentials renewed in the background, what is over forgotten, short ways counted."""
        await self._deliveries.renew(self._door.store)
        now, keyring = self._door.clock(), self._keyring()
        over = [k for k, r in self._remembered.items() if now >= r.good_until or r.keyring is not keyring]
        for key in over:
            self._remembered.pop(key, None)
        counted, self._short_ways = self._short_ways, 0
        self._door.measures.add("metadata", "Read", "", counted)

    async def _put_token(self, request: web.BaseRequest, steps: list[str]) -> web.StreamResponse:
        # 2. Whose token it will be: never one that is fetched through a proxy.
        if "X-Forwarded-For" in request.headers:
            raise Refused(403, "a request for a token came through a proxy")
        if steps[1:] != ["api", "token"]:
            raise Refused(405, "PUT is for tokens only", {"Allow": "OPTIONS, GET, HEAD"})
        if steps[0] != "latest":
            raise Refused(403, "tokens are made by the latest version only")
        peer = peer_of(request)
        instance = await self._door.store.transact(lambda store: self._asking(store, peer))
        # 3. For how long.
        asked = request.headers.get(TOKEN_LIFE)
        life = parse_life(asked)
        if life is None:
            raise Refused(400, "no life for the token, or one that cannot be")
        # 4. Sealed, and sent no further than the instance allows.
        token = seal_token(
            self._keyring(),
            instance,
            now=self._door.clock(),
            life=life,
            entropy=self._door.entropy(TOKEN_ENTROPY),
        )
        if not limit_hops(request, instance.hop_limit):
            raise Refused(500, f"the hop limit {instance.hop_limit} cannot be set on this connection")
        headers = {"Content-Type": _TEXT, "Server": _SERVER, TOKEN_LIFE: str(life)}
        return web.Response(body=token.encode(), headers=headers)

    async def _read(self, request: web.BaseRequest, steps: list[str]) -> web.StreamResponse:
        # 2. How.
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "a method that reads nothing", {"Allow": "OPTIONS, GET, HEAD"})
        if steps[1:] == ["api", "token"]:
            raise Refused(405, "tokens are made with PUT", {"Allow": "OPTIONS, PUT"})
        # 3. Who, with which token, what: one state of the store.
        keyring, peer = self._keyring(), peer_of(request)
        unverified_token = request.headers.get(TOKEN)
        read = await self._door.store.transact(
            lambda store: self._look_up(store, keyring, peer, unverified_token, steps)
        )
        # 4. What is more than a look into a record.
        kept, body = await self._body_of(read)
        return self._answered(request, read, keyring, kept, body)

    async def _container(self, request: web.BaseRequest, steps: list[str]) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD"):
            raise Refused(405, "a method that reads nothing", {"Allow": "GET, HEAD"})
        if steps[1:2] != ["credentials"] or len(steps) > (3 if steps[0] == "v2" else 2):
            raise Refused(404, "no such path of the container endpoints")
        unverified_id = steps[2] if len(steps) == 3 else request.query.get("id", "")
        unverified_token = request.headers.get("Authorization", "")
        peer = peer_of(request)
        read = await self._door.store.transact(
            lambda store: self._look_up_container(store, peer, unverified_id, unverified_token)
        )
        assert read.granted is not None and read.regrant is not None
        kept = self._deliveries.credentials(read.granted, read.regrant)
        if kept is None:
            raise containers.uninitialized(f"{read.granted.role.arn} does not trust {read.granted.service}")
        read.good_until = min(read.good_until, kept.renew_at)
        return self._answered(
            request, read, self._keyring(), kept, containers.credentials_text(kept).encode()
        )

    async def _asking(self, store: Transaction, peer: str) -> Instance:
        instance = await self._instances.find(store, peer)
        if instance is None:
            raise Refused(403, f"no instance has the address {peer}, or several have")
        if not instance.metadata_enabled:
            raise Refused(403, f"the metadata service is off for {instance.instance_id}")
        return instance

    async def _look_up(
        self, store: Transaction, keyring: Keyring, peer: str, unverified_token: str | None, steps: list[str]
    ) -> Read:
        now = self._door.clock()
        instance = await self._asking(store, peer)
        token_ends = _verified_end(keyring, instance, unverified_token, now)
        binding = await profiles.find_binding(store, instance)
        role = binding.role
        leaf = lookup(steps, Subject(instance, role.role_name if role else None))
        if leaf is None:
            raise Refused(404, "no such category, or this instance has none")
        read = Read(instance=instance, leaf=leaf, good_until=token_ends)
        if leaf is Deferred.IAM_INFO:
            read.leaf = profiles.iam_info(instance, binding, now)
            read.good_until = min(token_ends, now + 3600)
        elif leaf is Deferred.CREDENTIALS:
            assert role is not None
            version = "1.0" if unverified_token is None else "2.0"
            gate, clock, instance_id = self._door.gate, self._door.clock, instance.instance_id
            read.granted = await profiles.instance_grant(store, gate, instance, role, version, now)
            read.regrant = lambda store: profiles.renewed_instance_grant(
                store, gate, instance_id, version, clock()
            )
        read.revisions = await _revisions(store, GLOBAL, account_partition(instance.account_id))
        return read

    async def _look_up_container(
        self, store: Transaction, peer: str, unverified_id: str, unverified_token: str
    ) -> Read:
        now = self._door.clock()
        instance = await self._instances.find(store, peer)
        asking = instance.instance_id if instance is not None and instance.metadata_enabled else None
        key, container = await find_container(store, unverified_id, unverified_token, asking, now)
        gate, clock = self._door.gate, self._door.clock
        return Read(
            instance=instance,
            good_until=now + 3600 if container.expires_at is None else container.expires_at,
            media_type=_JSON,
            granted=await container_grant(store, gate, key, container, now),
            regrant=lambda store: renewed_container_grant(store, gate, key, clock()),
            revisions=await _revisions(
                store, GLOBAL, CONTAINERS_PARTITION, account_partition(container.account_id)
            ),
        )

    async def _body_of(self, read: Read) -> tuple[Kept | None, bytes]:
        """The bytes of the answer, and the credentials in it."""
        if read.granted is not None and read.regrant is not None:
            kept = self._deliveries.credentials(read.granted, read.regrant)
            if kept is None:
                now = self._door.clock()
                read.good_until = min(read.good_until, now + 60)
                return None, profiles.unauthorized_text(read.granted.role.role_name, now).encode()
            read.good_until = min(read.good_until, kept.renew_at)
            return kept, profiles.credentials_text(kept).encode()
        if isinstance(read.leaf, bytes):
            read.media_type = _BYTES
            return None, read.leaf
        if isinstance(read.leaf, str):
            return None, read.leaf.encode()
        assert read.instance is not None
        return None, (await self._signature(read.instance, read.leaf)).encode()

    async def _signature(self, instance: Instance, kind: Deferred) -> str:
        door = self._door
        identity = await signing_identity(door.store, door.clock(), door.entropy)
        document = lookup(["latest", "dynamic", "instance-identity", "document"], Subject(instance))
        assert isinstance(document, str)
        signatures = signatures_of(identity, document)
        by_kind = {
            Deferred.SIGNATURE: signatures.signature,
            Deferred.PKCS7: signatures.pkcs7,
            Deferred.RSA2048: signatures.rsa2048,
        }
        return by_kind[kind]

    def _answered(
        self, request: web.BaseRequest, read: Read, keyring: Keyring, kept: Kept | None, body: bytes
    ) -> web.StreamResponse:
        if request.method == "GET" and len(body) <= _LARGEST_REMEMBERED:
            if len(self._remembered) >= _REMEMBERED:
                del self._remembered[next(iter(self._remembered))]
            wire = ready_wire(body, read.media_type, _SERVER)
            self._remembered[_memory_key(request)] = Remembered(
                wire, read.good_until, keyring, read.revisions, kept
            )
        return web.Response(body=body, headers={"Content-Type": read.media_type, "Server": _SERVER})

    async def _is_still_true(self, remembered: Remembered) -> bool:
        """Whether nothing that the answer rests on has changed; a store that is away cannot say so."""
        if self._door.clock() >= remembered.good_until or remembered.keyring is not self._keyring():
            return False
        engine = self._door.store.engine
        try:
            for partition, revision in remembered.revisions:
                if await engine.revision(partition) != revision:
                    return False
        except EngineUnavailable:
            return False
        return True


def _verified_end(keyring: Keyring, instance: Instance, unverified_token: str | None, now: float) -> float:
    """Until when the request's token is good; a token is checked wherever there is one, whether needed or not."""
    if unverified_token is None:
        if instance.tokens_required:
            raise Refused(401, f"{instance.instance_id} requires tokens, and there is none")
        return now + 3600
    try:
        return open_token(keyring, instance, unverified_token, now)
    except SealBroken as broken:
        raise Refused(401, broken.reason) from None


async def _revisions(store: Transaction, *partitions: str) -> tuple[tuple[str, int], ...]:
    return tuple([(partition, await store.revision(partition)) for partition in partitions])


def _memory_key(request: web.BaseRequest) -> MemoryKey:
    """Who asks for what with which proofs: an answer is never given on less."""
    headers = request.headers
    return peer_of(request), request.raw_path, headers.get(TOKEN), headers.get("Authorization")


def _page(status: int, headers: Mapping[str, str] | None = None) -> web.Response:
    """A status as the small page that EC2 answers with."""
    title = f"{status} - {HTTPStatus(status).phrase}"
    body = (
        '<?xml version="1.0" encoding="iso-8859-1"?>\n'
        '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Transitional//EN"\n'
        '\t"http://www.w3.org/TR/xhtml1/DTD/xhtml1-transitional.dtd">\n'
        '<html xmlns="http://www.w3.org/1999/xhtml" xml:lang="en" lang="en">\n'
        f" <head>\n  <title>{title}</title>\n </head>\n <body>\n  <h1>{title}</h1>\n </body>\n</html>\n"
    )
    given = {"Content-Type": _PAGE, "Server": _SERVER, **(headers or {})}
    return web.Response(body=body.encode(), status=status, headers=given)


def _refusal(operation: str, status: int, refusal: Refusal) -> web.Response:
    if operation != "ContainerCredentials":
        return _page(status)
    members: dict[str, Any] = {"code": refusal.code, "message": refusal.message, "HTTPErrorCode": int(status)}
    return web.Response(
        body=msgspec.json.encode(members),
        status=status,
        headers={"Content-Type": _JSON, "Server": _SERVER},
    )


def _log(request: web.BaseRequest, status: int, reason: str) -> None:
    if _logger.isEnabledFor(logging.INFO):
        facts = {"source": peer_of(request), "status": int(status), "reason": reason}
        _logger.info("metadata refused", extra={"facts": facts})
