"""A command that the serving process performs for somebody at the admin socket: what it is given, and its output.

The command runs in a thread of its own, with the code of the command line. What it reads and prints belongs to its
caller: files and standard input come with the request, never from the disk of the serving process.
"""

import io
import sys
from collections.abc import Callable, Mapping
from contextvars import ContextVar
from typing import Any

import msgspec

from broker.config import Settings

MOST_REQUEST_BYTES = 16 << 20
# Commands with their first argument, "" where any will do. `keys master` writes files of the master key.
TAKEN = frozenset(
    (
        "apply",
        "backup",
        "export",
        "federation",
        "keys",
        "metadata",
        "policy",
        "revoke",
        "root-key",
        "root-password",
        "sessions",
        "token",
    )
)


class CommandRequest(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a client sends, in one line of JSON. `files` are texts by the name that the arguments have for them."""

    arguments: list[str]
    standard_input: str = ""
    files: dict[str, str] = {}
    columns: int = 0


class CommandAnswer(msgspec.Struct, frozen=True):
    """One line of the answer. With `must_confirm` the client says by a Shown whether the output was printed."""

    output: str = ""
    errors: str = ""
    must_confirm: bool = False
    status: int | None = None


class Shown(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Why the output could not be printed; empty where it was."""

    why_not: str = ""


class SocketPeer(msgspec.Struct, frozen=True):
    """Who is at the other end, as the kernel says."""

    pid: int
    uid: int
    gid: int
    name: str


class Output(io.StringIO):
    """What a command prints; `confirm` has it printed at the client, and raises OSError where that fails."""

    def __init__(self, confirm: Callable[[str], None]) -> None:
        super().__init__()
        self._confirm = confirm

    def confirm(self) -> None:
        text = self.getvalue()
        self.seek(0)
        self.truncate()
        self._confirm(text)


class Remote(msgspec.Struct, frozen=True):
    """The command that this thread performs, and for whom."""

    settings: Settings
    peer: SocketPeer
    files: Mapping[str, str]
    input: io.StringIO
    output: Output
    errors: io.StringIO


_REMOTE: ContextVar[Remote | None] = ContextVar("remote", default=None)


def current_remote() -> Remote | None:
    return _REMOTE.get()


def begin_remote(remote: Remote) -> None:
    """For this thread, and what it awaits."""
    _REMOTE.set(remote)


class _Routed:
    """A standard stream: that of the remote command in its thread, the process's own everywhere else."""

    def __init__(self, name: str, own: Any) -> None:
        self._name = name
        self._own = own

    def __getattr__(self, attribute: str) -> Any:
        remote = _REMOTE.get()
        return getattr(self._own if remote is None else getattr(remote, self._name), attribute)


def route_streams() -> None:
    """From now on a remote command prints to its caller. Once in a process."""
    if not isinstance(sys.stdout, _Routed):
        sys.stdin = _Routed("input", sys.stdin)
        sys.stdout = _Routed("output", sys.stdout)
        sys.stderr = _Routed("errors", sys.stderr)
