"""Where the broker of this machine serves: written down by `broker serve`, read by commands that print addresses.

A server may have been started with other addresses than a command's settings say: by options, by variables, by port 0.
"""

import socket
from collections.abc import Mapping, Sequence

import msgspec

from broker.app import Broker
from broker.commands.profiles import ca_bundle_of
from broker.config import Settings
from broker.storage.records import Node, Serving
from broker.storage.store import SERVING, Transaction

DEMO_PORTAL = "127.0.0.1:8443"
_MOST_NODES = 100  # machines with names that come once, such as pods, would fill the record


def with_real_ports(settings: Settings, sockets: Mapping[str, Sequence[socket.socket]]) -> Settings:
    """`settings` whose listeners have the ports that the kernel chose, where it was left to it."""
    found = {name: _real_port(getattr(settings.listen, name), own) for name, own in sockets.items()}
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


async def write_down(broker: Broker) -> None:
    """Say in the store where this machine serves from now on; a store that says so already is not written to."""
    settings = broker.settings
    node = Node(
        api=settings.listen.api,
        metadata=settings.listen.metadata,
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
    """The settings with the addresses at which this machine's broker was last started on this store, if ever."""
    serving = await broker.store.transaction().find(SERVING, "")
    node = serving.nodes.get(socket.gethostname()) if serving is not None else None
    if node is None:
        return broker.settings
    settings = broker.settings
    listen = msgspec.structs.replace(settings.listen, api=node.api, metadata=node.metadata)
    tls = msgspec.structs.replace(settings.tls, certificate_file=node.certificate_file)
    return msgspec.structs.replace(settings, listen=listen, tls=tls)
