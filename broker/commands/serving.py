"""The addresses at which the broker of this machine serves: `broker serve` stores them, commands that print them read.

A server may listen at other addresses than a command's settings name: by its options, its variables, or port 0.
"""

import socket
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from broker.app import Broker
from broker.commands.profiles import ca_bundle_of
from broker.config import Settings
from broker.config.settings import listener_addresses
from broker.storage.records import Node, Serving
from broker.storage.store import SERVING, Transaction

DEMO_PORTAL = "127.0.0.1:8443"
_MOST_NODES = 100  # the oldest are dropped: pods have a new host name each time


def with_real_ports(settings: Settings, sockets: Mapping[str, Sequence[socket.socket]]) -> Settings:
    """`settings` in which port 0 is replaced by the port that the kernel chose."""
    found: dict[str, object] = {}
    for name, own in sockets.items():
        addresses = listener_addresses(settings.listen, name)
        # Where one name has several sockets, the first has its port; of several addresses each has one socket.
        real = [_real_port(address, own[index:]) for index, address in enumerate(addresses)]
        found[name] = tuple(real) if name == "metadata" else real[0]
    return msgspec.structs.replace(settings, listen=msgspec.structs.replace(settings.listen, **found))


def with_portal(settings: Settings) -> Settings:
    """`settings` with a portal for people on this machine, where they say nothing of one."""
    listen = settings.listen
    if not listen.portal:
        listen = msgspec.structs.replace(listen, portal=DEMO_PORTAL)
    return msgspec.structs.replace(settings, listen=listen)


def _real_port(address: str, sockets: Sequence[socket.socket]) -> str:
    host, _, port = address.rpartition(":")
    return f"{host}:{sockets[0].getsockname()[1]}" if int(port) == 0 and sockets else address


def metadata_urls(settings: Settings) -> list[str]:
    """The addresses of the metadata service; that by https with its scheme."""
    secure = settings.listen.metadata_https
    return [*settings.listen.metadata, *([f"https://{secure}"] if secure else [])]


def _metadata_listeners(urls: Sequence[str]) -> dict[str, Any]:
    secure = [url.removeprefix("https://") for url in urls if url.startswith("https://")]
    plain = tuple(url for url in urls if not url.startswith("https://"))
    return {"metadata": plain, "metadata_https": secure[0] if secure else ""}


async def record_addresses(broker: Broker) -> None:
    """Store the addresses of this machine's broker; writes nothing where they are stored already."""
    settings = broker.settings
    node = Node(
        api=settings.listen.api,
        metadata=",".join(metadata_urls(settings)),
        certificate_file=ca_bundle_of(settings),
    )

    async def work(store: Transaction) -> None:
        serving = await store.find(SERVING, "") or Serving()
        if serving.nodes.get(socket.gethostname()) == node:
            return
        others = [(name, other) for name, other in serving.nodes.items() if name != socket.gethostname()]
        nodes = dict([*others, (socket.gethostname(), node)][-_MOST_NODES:])
        store.put(SERVING, "", Serving(nodes=nodes))

    await broker.store.transact(work)


async def serving_settings(broker: Broker) -> Settings:
    """The settings, with the addresses at which this machine's broker was last started on this store, if it was."""
    serving = await broker.store.transaction().find(SERVING, "")
    node = serving.nodes.get(socket.gethostname()) if serving is not None else None
    if node is None:
        return broker.settings
    settings = broker.settings
    listen = msgspec.structs.replace(
        settings.listen, api=node.api, **_metadata_listeners(node.metadata.split(","))
    )
    tls = msgspec.structs.replace(settings.tls, certificate_file=node.certificate_file)
    return msgspec.structs.replace(settings, listen=listen, tls=tls)
