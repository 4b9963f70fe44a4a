"""A name server whose answers change from one question to the next (RFC 1035), as a hostile owner of a name has it."""

import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Thread

_A = b"\x00\x01\x00\x01"  # type A, class IN


class NameServer:
    """`answers` are, by name, the addresses of each answer in turn; the last is repeated. `asked` counts questions.

    Port 53 is the only one that resolvers ask, so this needs root, and an address of its own.
    """

    ADDRESS = "127.0.0.153"

    def __init__(self, answers: Mapping[str, Sequence[Sequence[str]]]) -> None:
        self.asked = dict.fromkeys(answers, 0)
        self._answers = answers
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)

    @contextmanager
    def running(self) -> Iterator["NameServer"]:
        self._socket.bind((self.ADDRESS, 53))
        self._socket.settimeout(0.05)
        self._ends = False
        thread = Thread(target=self._serve)
        thread.start()
        try:
            yield self
        finally:
            self._ends = True
            thread.join()
            self._socket.close()

    def write_settings(self, folder: Path) -> None:
        """A resolv.conf that leads here."""
        (folder / "resolv.conf").write_text(f"nameserver {self.ADDRESS}\noptions timeout:1 attempts:1\n")

    def _serve(self) -> None:
        while not self._ends:
            try:
                question, client = self._socket.recvfrom(512)
            except TimeoutError:
                continue
            self._socket.sendto(self._answer(question), client)

    def _answer(self, message: bytes) -> bytes:
        end = message.index(b"\0", 12) + 5
        question = message[12:end]
        addresses = self._next(_name(question)) if question.endswith(_A) else ()
        records = b"".join(
            b"\xc0\x0c" + _A + bytes(4) + b"\x00\x04" + socket.inet_aton(one) for one in addresses
        )
        counts = b"\x00\x01" + len(addresses).to_bytes(2, "big") + bytes(4)
        return message[:2] + b"\x85\x80" + counts + question + records

    def _next(self, name: str) -> Sequence[str]:
        answers = self._answers.get(name, ((),))
        asked = self.asked.get(name, 0)
        self.asked[name] = asked + 1
        return answers[min(asked, len(answers) - 1)]


def _name(question: bytes) -> str:
    labels, at = [], 0
    while length := question[at]:
        labels.append(question[at + 1 : at + 1 + length].decode().lower())
        at += 1 + length
    return ".".join(labels)
