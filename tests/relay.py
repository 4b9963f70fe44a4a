"""A relay before a server of the tests: it moves to another server, and it cuts connections at a given moment."""

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self


class Relay:
    """Relays 127.0.0.1:`port` to the `target` port, as a virtual address does before and after a failover.

    `loses_answer_of`: what is said of each piece that a client sends. Where it says yes, the piece reaches the server,
    the server's answer reaches nobody, and the connection is cut, once. `holds_back`: pieces that reach the server
    when `let_go` says so, whether or not their client is still there. `is_cut`: connections are accepted and closed.
    """

    def __init__(self, target: int) -> None:
        self.target = target
        self.loses_answer_of: Callable[[bytes], bool] | None = None
        self.holds_back: Callable[[bytes], bool] | None = None
        self.is_cut = False
        self.is_cut_afterwards = False  # whether `is_cut` follows a lost answer
        self.lost = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self._held_back: list[tuple[_Connection, bytes]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()

    def move(self, target: int) -> None:
        """From now on connections lead to `target`; those that are open end."""
        self.target = target
        self.cut()

    def cut(self) -> None:
        while self._open:
            _close(self._open.pop())

    def hold_back(self, connection: "_Connection", data: bytes) -> None:
        self._held_back.append((connection, data))

    def let_go(self) -> None:
        """What was held back reaches the server, which has answered when this returns."""
        assert self._held_back
        while self._held_back:
            connection, data = self._held_back.pop()
            connection.send_late(data)

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self.is_cut:
                client.close()
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self._open += [client, server]
            connection = _Connection(self, client, server)
            for pump in (connection.send, connection.answer):
                threading.Thread(target=pump, daemon=True).start()


class _Connection:
    def __init__(self, relay: Relay, client: socket.socket, server: socket.socket) -> None:
        self._relay, self._client, self._server = relay, client, server
        self._loses_next = False
        self._has_answered = threading.Event()

    def send_late(self, data: bytes) -> None:
        self._has_answered.clear()
        self._server.sendall(data)
        assert self._has_answered.wait(5)
        _close(self._server)

    def send(self) -> None:
        while data := _receive(self._client):
            holds = self._relay.holds_back
            if holds is not None and holds(data):
                self._relay.hold_back(self, data)
                return
            loses = self._relay.loses_answer_of
            if loses is not None and loses(data):
                self._relay.loses_answer_of = None
                self._loses_next = True
            try:
                self._server.sendall(data)
            except OSError:
                break
        _close(self._server)

    def answer(self) -> None:
        while data := _receive(self._server):
            self._has_answered.set()
            if self._loses_next:
                self._relay.is_cut = self._relay.is_cut or self._relay.is_cut_afterwards
                _close(self._client)
                if self._relay.is_cut:
                    self._relay.cut()
                self._relay.lost.set()
                break
            try:
                self._client.sendall(data)
            except OSError:
                break
        _close(self._client)


def _receive(one: socket.socket) -> bytes:
    try:
        return one.recv(65536)
    except OSError:
        return b""


def _close(one: socket.socket) -> None:
    with contextlib.suppress(OSError):
        one.shutdown(socket.SHUT_RDWR)
    one.close()
