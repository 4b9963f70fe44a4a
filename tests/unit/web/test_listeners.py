"""Addresses that belong to one broker, and to all of its workers."""

import socket
from itertools import chain

import pytest

from broker.web.listeners import AddressUnavailable, allow_worker_sockets, overlap, reserve, worker_sockets


def port_of(sockets: list[socket.socket]) -> int:
    return int(sockets[0].getsockname()[1])


def close(*sockets: list[socket.socket]) -> None:
    for one in chain(*sockets):
        one.close()


def test_an_address_where_another_program_listens_is_refused():
    with socket.create_server(("127.0.0.1", 0)) as other:
        taken = other.getsockname()[1]
        with pytest.raises(AddressUnavailable, match="another program listens there"):
            reserve("127.0.0.1", taken)


def test_an_address_that_another_listener_would_share_is_refused_all_the_same():
    with socket.create_server(("127.0.0.1", 0), reuse_port=True) as other:
        taken = other.getsockname()[1]
        with pytest.raises(AddressUnavailable, match="another program listens there"):
            reserve("127.0.0.1", taken)


def test_workers_share_an_address_that_no_other_process_gets():
    reserved = reserve("127.0.0.1", 0)
    allow_worker_sockets(reserved)
    # No other process gets it before a worker listens, while workers do, and when none is left.
    with pytest.raises(AddressUnavailable):
        reserve("127.0.0.1", port_of(reserved))
    first, second = worker_sockets(reserved), worker_sockets(reserved)
    for worker in (*first, *second):
        worker.listen()
    with pytest.raises(AddressUnavailable):
        reserve("127.0.0.1", port_of(reserved))
    close(first, second)
    with pytest.raises(AddressUnavailable):
        reserve("127.0.0.1", port_of(reserved))
    close(reserved)


def test_connections_reach_every_worker_that_listens_and_never_the_reservation():
    reserved = reserve("127.0.0.1", 0)
    allow_worker_sockets(reserved)
    workers = [*worker_sockets(reserved), *worker_sockets(reserved)]
    for worker in workers:
        worker.listen(128)
        worker.settimeout(0.2)
    clients = [socket.create_connection(("127.0.0.1", port_of(reserved)), timeout=2) for _ in range(64)]
    counts = [len(accepted) for accepted in map(accept_all, workers)]
    assert sum(counts) == 64
    assert min(counts) > 0
    close(clients, workers, reserved)


def accept_all(worker: socket.socket) -> list[socket.socket]:
    accepted = []
    try:
        while True:
            accepted.append(worker.accept()[0])
    except TimeoutError:
        close(accepted)
        return accepted


def test_an_address_that_this_machine_lacks_is_named():
    with pytest.raises(AddressUnavailable, match=r"192\.0\.2\.1:8080: this machine has no such address"):
        reserve("192.0.2.1", 8080)


def test_an_unknown_host_is_named():
    with pytest.raises(AddressUnavailable, match=r"no-such-host\.invalid:8080"):
        reserve("no-such-host.invalid", 8080)


def test_the_any_address_of_version_six_takes_version_four_too():
    reserved = reserve("::", 0)
    reserved[0].listen()
    with socket.create_connection(("127.0.0.1", port_of(reserved)), timeout=2) as client:
        assert client.getpeername()[1] == port_of(reserved)
    close(reserved)


@pytest.mark.parametrize(
    ("one", "other", "is_same"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("127.0.0.1", "0.0.0.0", True),
        ("127.0.0.1", "::", True),
        ("0.0.0.0", "::", True),
        ("::1", "::", True),
        ("127.0.0.1", "127.0.0.2", False),
        ("127.0.0.1", "::1", False),
    ],
)
def test_addresses_overlap_where_a_connection_could_be_meant_for_either(one: str, other: str, is_same: bool):
    first = reserve(one, 0)
    second = reserve(other, port_of(first))
    third = reserve(other, 0)
    try:
        assert overlap(first, second) is overlap(second, first) is is_same
        assert not overlap(first, third)
    finally:
        close(first, second, third)
