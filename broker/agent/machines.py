"""Instance metadata on a node: the machines that it hosts, known by their addresses.

The tree of categories is that of the metadata service, of what the agent's file says about each machine; session tokens
(IMDSv2) are sealed with a key that lives as long as the agent. There are no signatures of identity documents: their key
is the broker's.
"""

from collections.abc import Callable, Mapping
from urllib.parse import unquote

import msgspec

from broker.agent.answering import AgentRefusal, require_reading
from broker.agent.answers import machine_text
from broker.agent.cache import AgentCache, Fetch
from broker.agent.guard import Guard
from broker.agent.handlers import credentials_of
from broker.metadata.categories import Deferred, lookup
from broker.metadata.categories import Machine as ShownMachine
from broker.metadata.session_tokens import TOKEN_ENTROPY, open_token, parse_life, seal_token
from broker.names.addresses import parse_address
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.storage.records import Instance
from broker.web.http import Request, Response, header_lines

TOKEN = "x-aws-ec2-metadata-token"  # noqa: S105  a header's name
TOKEN_LIFE = "x-aws-ec2-metadata-token-ttl-seconds"  # noqa: S105
_TEXT, _BYTES = "text/plain", "application/octet-stream"


class HostedMachine(msgspec.Struct, frozen=True):
    """A machine, the name of its role, and what fetches its credentials."""

    instance: Instance
    role_name: str
    fetch: Fetch


class MachineHandler:
    """`machines` by address, as the kernel spells them."""

    def __init__(
        self,
        guard: Guard,
        cache: AgentCache,
        machines: Mapping[str, HostedMachine],
        keyring: Keyring,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._guard = guard
        self._cache = cache
        self._machines = machines
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy

    async def answer(self, request: Request) -> Response:
        """Raises AgentRefusal."""
        return self._put_token(request) if request.method == "PUT" else await self._read(request)

    def _put_token(self, request: Request) -> Response:
        if why := self._guard.why_not(request):
            raise AgentRefusal(403, "", why)
        if request.path != "/latest/api/token":
            raise AgentRefusal(403, "", "PUT is for tokens of the latest version only")
        instance = self._asking(request).instance
        life = parse_life(request.find_header(TOKEN_LIFE))
        if life is None:
            raise AgentRefusal(400, "Bad Request", "no life for the token, or one that no token has")
        entropy = self._entropy(TOKEN_ENTROPY)
        text = seal_token(self._keyring, instance, now=self._clock(), life=life, entropy=entropy)
        if not request.peer.limit_hops(instance.hop_limit):
            raise AgentRefusal(500, "", f"the hop limit {instance.hop_limit} cannot be set")
        lines = header_lines({"Content-Type": _TEXT, "Server": "EC2ws", TOKEN_LIFE: str(life)})
        return Response(200, lines, text.encode())

    async def _read(self, request: Request) -> Response:
        require_reading(request, self._guard)
        machine = self._asking(request)
        self._require_token(machine.instance, request.find_header(TOKEN))
        segments = [unquote(segment) for segment in request.path.split("/") if segment]
        leaf = lookup(segments, ShownMachine(machine.instance, machine.role_name))
        if leaf is Deferred.CREDENTIALS:
            key = f"machine {machine.instance.instance_id}"
            leaf = machine_text(await credentials_of(self._cache, key, machine.fetch))
        if leaf is None or isinstance(leaf, Deferred):
            raise AgentRefusal(404, "Not Found")
        is_text = isinstance(leaf, str)
        body = leaf.encode() if isinstance(leaf, str) else leaf
        lines = header_lines({"Content-Type": _TEXT if is_text else _BYTES, "Server": "EC2ws"})
        return Response(200, lines, body)

    def _asking(self, request: Request) -> HostedMachine:
        try:
            address = str(parse_address(request.peer.address.partition("%")[0]))
        except ValueError:
            address = ""
        machine = self._machines.get(address)
        if machine is None or not machine.instance.metadata_enabled:
            raise AgentRefusal(403, "", f"no machine has the address {address}, or its metadata is off")
        return machine

    def _require_token(self, instance: Instance, unverified_token: str | None) -> None:
        if unverified_token is None:
            if instance.tokens_required:
                raise AgentRefusal(401, "Unauthorized", "no token")
            return
        try:
            open_token(self._keyring, instance, unverified_token, self._clock())
        except SealBroken as broken:
            raise AgentRefusal(401, "Unauthorized", broken.reason) from None
