"""Composes an agent from its settings, and runs it until a stop signal."""

import asyncio
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from broker.agent.answering import outermost
from broker.agent.cache import AgentCache
from broker.agent.guard import Guard
from broker.agent.handlers import ContainerHandler, KnownContainer, PodHandler, digest_of
from broker.agent.health import HealthHandler
from broker.agent.settings import (
    AgentConfigurationError,
    AgentSettings,
    ContainerRole,
    ContainersSection,
    InstancesSection,
    instance_of,
    split_address,
)
from broker.agent.sockets import sockets_at
from broker.agent.upstream import Upstream
from broker.causes import cause_of
from broker.names.addresses import parse_address, parse_network
from broker.web.http import Handler
from broker.web.server import Server

if TYPE_CHECKING:
    from broker.agent.machines import HostedMachine

MOST_CONNECTIONS = 4096
_LARGEST_BODY = 4096  # bytes; no request has a body
_RENEW_EVERY = 1.0  # seconds
_GRACE = 5.0


class AgentTools(msgspec.Struct, frozen=True):
    """`clock` gives epoch seconds, `random` a number in [0, 1), `entropy(n)` n random bytes."""

    clock: Callable[[], float]
    random: Callable[[], float]
    entropy: Callable[[int], bytes]


class AgentListener(msgspec.Struct, frozen=True):
    """Where a handler listens."""

    name: str
    addresses: tuple[tuple[str, int], ...]
    answer: Handler


async def run_agent(
    settings: AgentSettings, tools: AgentTools, given: Sequence[socket.socket], stopping: asyncio.Event
) -> None:
    """Serve until `stopping` is set. Raises AgentConfigurationError, and AddressUnavailable."""
    upstream = Upstream(settings.broker, tools.clock)
    cache = AgentCache(tools.clock, tools.random)
    servers: list[Server] = []
    try:
        for listener in listeners_of(settings, tools, cache, upstream):
            server = Server(
                outermost(listener.answer),
                tools.clock,
                maximum_body=_LARGEST_BODY,
                maximum_connections=MOST_CONNECTIONS,
                name=listener.name,
            )
            await server.listen(sockets_at(listener.addresses, given))
            servers.append(server)
        await renew_until(stopping, cache)
    finally:
        await asyncio.gather(*(server.stop(_GRACE) for server in servers))
        await cache.close()
        upstream.close()


async def renew_until(stopping: asyncio.Event, cache: AgentCache) -> None:
    """Renew what is due, every second, until `stopping` is set."""
    while not stopping.is_set():
        await cache.renew()
        try:
            async with asyncio.timeout(_RENEW_EVERY):
                await stopping.wait()
        except TimeoutError:
            continue


def listeners_of(
    settings: AgentSettings, tools: AgentTools, cache: AgentCache, upstream: Upstream
) -> list[AgentListener]:
    """What the settings want to be served, and where."""
    found: list[AgentListener] = []
    if (pods := settings.pods) is not None:
        at, guard = _addresses(pods.listen), _guard(pods.listen, pods.networks)
        handler = PodHandler(pods, guard, cache, upstream, tools.clock)
        found.append(AgentListener("pods", at, handler.answer))
    if (containers := settings.containers) is not None:
        at, guard = _addresses(containers.listen), _guard(containers.listen, containers.networks)
        known = _known_containers(containers, upstream)
        found.append(AgentListener("containers", at, ContainerHandler(guard, cache, known).answer))
    if (instances := settings.instances) is not None:
        found.append(_machines_listener(instances, settings.broker.region, tools, cache, upstream))
    if settings.health.listen:
        health = settings.health.listen
        found.append(AgentListener("health", _addresses((health,)), HealthHandler(cache).answer))
    return found


def _machines_listener(
    instances: InstancesSection, region: str, tools: AgentTools, cache: AgentCache, upstream: Upstream
) -> AgentListener:
    # Imported where they are served alone: the seals of their tokens take ten megabytes of cryptography.
    from broker.agent.machines import MachineHandler
    from broker.sealing.key import KEY_ENTROPY
    from broker.sealing.keyring import new_keyring

    guard = _guard(instances.listen, None)
    keyring = new_keyring(tools.clock(), tools.entropy(KEY_ENTROPY))
    machines = _machines(instances, region, upstream)
    handler = MachineHandler(guard, cache, machines, keyring, tools.clock, tools.entropy)
    return AgentListener("instances", _addresses(instances.listen), handler.answer)


def _addresses(texts: Sequence[str]) -> tuple[tuple[str, int], ...]:
    return tuple(map(split_address, texts))


def _guard(listen: Sequence[str], networks: Sequence[str] | None) -> Guard:
    hosts = [host for host, _ in _addresses(listen)]
    return Guard(hosts, None if networks is None else [parse_network(text) for text in networks])


def _known_containers(containers: ContainersSection, upstream: Upstream) -> Mapping[bytes, KnownContainer]:
    """By the digest of what a container presents first: its id, or its token where it has none."""
    found: dict[bytes, KnownContainer] = {}
    for role in containers.roles:
        known = KnownContainer(
            id_digest=_digest_in(role.id_file, role),
            token_digest=_digest_in(role.token_file, role),
            fetch=upstream.for_role(role.role_arn, role.session_name),
        )
        presented = known.id_digest or known.token_digest
        if presented in found:
            raise AgentConfigurationError(f"two containers have the same secret: {role.role_arn}")
        found[presented] = known
    return found


def _digest_in(file: str, role: ContainerRole) -> bytes:
    if not file:
        return b""
    try:
        secret = Path(file).read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = cause_of(error) if isinstance(error, OSError) else "it is not UTF-8"
        raise AgentConfigurationError(f"{file}, of {role.role_arn}, cannot be read: {why}") from None
    if not secret:
        raise AgentConfigurationError(f"{file}, of {role.role_arn}, is empty")
    return digest_of(secret)


def _machines(instances: InstancesSection, region: str, upstream: Upstream) -> Mapping[str, "HostedMachine"]:
    from broker.agent.machines import HostedMachine

    found: dict[str, HostedMachine] = {}
    for machine in instances.machines:
        hosted = HostedMachine(
            instance=instance_of(machine, region),
            role_name=machine.role_arn.rpartition("/")[2],
            fetch=upstream.for_role(machine.role_arn, machine.instance_id),
        )
        for text in machine.addresses:
            address = str(parse_address(text))
            if address in found:
                raise AgentConfigurationError(f"two machines have the address {address}")
            found[address] = hosted
    return found
