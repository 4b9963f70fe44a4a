"""Where this machine's broker serves, for commands that print addresses."""

import socket

import pytest

from broker.app import Broker
from broker.commands import serving
from broker.commands.serving import record_addresses, serving_settings, with_real_ports
from broker.config import load_settings
from broker.storage.store import SERVING


def test_a_port_that_the_kernel_chose_is_the_one_in_the_settings() -> None:
    settings = load_settings(
        None, {"BROKER_LISTEN_API": "127.0.0.1:0", "BROKER_LISTEN_METADATA": "127.0.0.1:7"}
    )
    with socket.create_server(("127.0.0.1", 0)) as one:
        listen = with_real_ports(settings, {"api": [one], "metadata": [one]}).listen
        assert listen.api == f"127.0.0.1:{one.getsockname()[1]}"
        assert listen.metadata == ("127.0.0.1:7",)


async def test_without_a_stored_address_the_settings_are_used(broker: Broker) -> None:
    assert await serving_settings(broker) == broker.settings


async def test_an_address_that_is_stored_already_is_not_written_again(broker: Broker) -> None:
    await record_addresses(broker)
    revision = await broker.store.engine.revision("serving")
    await record_addresses(broker)
    assert await broker.store.engine.revision("serving") == revision and revision.number == 1


async def test_of_many_machines_the_oldest_are_dropped(
    broker: Broker, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Pods have names that come once."""
    monkeypatch.setattr(serving, "_MOST_NODES", 3)
    for number in range(5):
        monkeypatch.setattr(socket, "gethostname", lambda number=number: f"pod-{number}")
        await record_addresses(broker)
    found = await broker.store.transaction().find(SERVING, "")
    assert found is not None
    assert list(found.nodes) == ["pod-2", "pod-3", "pod-4"]
