"""The admin socket: commands for the running broker, by users that the kernel names, without the master key.

A unix socket of one group. Each call, refused or not, is a record in the journal before anything is done.
Commands run one after another, in a thread with an event loop of its own, so that none holds up requests.
"""

import argparse
import asyncio
import grp
import io
import logging
import os
import pwd
import socket
import struct
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from ssl import SSLContext

import msgspec

from broker.audit.journal import JournalUnavailable
from broker.causes import explained
from broker.commands.parsers import COMMANDS, parser_of
from broker.commands.records import command_event, open_journal
from broker.commands.refusing import NO_ANSWER, REFUSED, WRONG_USE
from broker.commands.remote import (
    MOST_REQUEST_BYTES,
    TAKEN,
    CommandAnswer,
    CommandRequest,
    Output,
    Remote,
    Shown,
    SocketPeer,
    begin_remote,
    route_streams,
)
from broker.config import Settings
from broker.web.listeners import AddressUnavailable

_REQUEST_SECONDS = 10.0
_CONFIRM_SECONDS = 10.0
_MOST_WAITING = 8
_CREDENTIALS = struct.Struct("3i")  # of SO_PEERCRED: pid, uid, gid

_logger = logging.getLogger("broker.admin")


def reserve_admin(path: Path, group: str) -> socket.socket:
    """The socket at `path`, listening, for its owner and `group`. Raises AddressUnavailable."""
    where = f"cannot listen on {path}"
    try:
        gid = group_of(group)
    except KeyError:
        raise AddressUnavailable(f"listen.admin_group: there is no group {group}", may_pass=False) from None
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        _remove_stale(path)
        before = os.umask(0o177)
        try:
            one.bind(str(path))
        finally:
            os.umask(before)
        os.chown(path, -1, gid)
        path.chmod(0o660)
        one.listen(_MOST_WAITING)
    except OSError as error:
        one.close()
        raise AddressUnavailable(f"{where}: {explained(error)}", may_pass=False) from None
    return one


def group_of(name: str) -> int:
    """The group's number; that of this process where no name is given. Raises KeyError."""
    return grp.getgrnam(name).gr_gid if name else os.getegid()


def _remove_stale(path: Path) -> None:
    """Remove the socket of a broker that has ended; raises OSError where one listens, or another file is there."""
    if not path.exists():
        return
    if not path.is_socket():
        raise OSError(f"{path} is there, and is no socket")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except ConnectionRefusedError:
            path.unlink()
            return
    raise OSError("another broker listens there")


class AdminListener:
    """The listener; started and stopped with the others."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._group = group_of(settings.listen.admin_group)
        self._server: asyncio.Server | None = None
        self._performing: set[asyncio.Task[None]] = set()
        self._turn = asyncio.Lock()

    async def listen(self, sockets: Sequence[socket.socket], context: SSLContext | None = None) -> None:
        route_streams()
        for one in sockets:
            self._server = await asyncio.start_unix_server(self._serve, sock=one, limit=MOST_REQUEST_BYTES)

    async def stop(self, grace: float) -> None:
        if self._server is not None:
            self._server.close()
        await self.ends_within(grace)

    async def ends_within(self, seconds: float) -> bool:
        if self._performing:
            await asyncio.wait(self._performing, timeout=seconds)
        return not self._performing

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._performing.add(task)
        try:
            answer = await self._answer(reader, writer)
            await _send(writer, answer)
        except OSError:
            pass  # the client has gone; what it asked for is in the journal
        finally:
            writer.close()
            self._performing.discard(task)

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> CommandAnswer:
        peer = peer_of(writer.get_extra_info("socket"))
        try:
            line = await asyncio.wait_for(reader.readuntil(b"\n"), _REQUEST_SECONDS)
            request = msgspec.json.decode(line, type=CommandRequest)
        except (msgspec.DecodeError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, TimeoutError):
            return CommandAnswer(errors="broker: this is no request of a command\n", status=WRONG_USE)
        if not may_ask(peer, os.geteuid(), self._group):
            why = f"{peer.name} is neither root nor in the group of {self._settings.listen.admin}"
            self._record(peer, [], why)
            return CommandAnswer(errors=f"broker: {why}\n", status=REFUSED)
        if len(self._performing) > _MOST_WAITING:
            return CommandAnswer(
                errors="broker: too many commands wait at the admin socket\n", status=NO_ANSWER
            )
        async with self._turn:
            try:
                self._record(peer, shown_arguments(request.arguments), "")
            except (JournalUnavailable, OSError) as error:
                why = f"broker: nothing was done: the journal cannot be written: {explained(error)}\n"
                return CommandAnswer(errors=why, status=NO_ANSWER)
            return await self._perform(request, peer, reader, writer)

    async def _perform(
        self,
        request: CommandRequest,
        peer: SocketPeer,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> CommandAnswer:
        loop = asyncio.get_running_loop()

        async def confirmed(text: str) -> str:
            await _send(writer, CommandAnswer(output=text, must_confirm=True))
            line = await asyncio.wait_for(reader.readuntil(b"\n"), _CONFIRM_SECONDS)
            return msgspec.json.decode(line, type=Shown).why_not

        def confirm(text: str) -> None:
            try:
                why_not = asyncio.run_coroutine_threadsafe(confirmed(text), loop).result()
            except (asyncio.IncompleteReadError, TimeoutError, msgspec.DecodeError):
                why_not = "the command at the other end has ended"
            if why_not:
                raise OSError(why_not)

        remote = Remote(
            settings=self._settings,
            peer=peer,
            files=request.files,
            input=io.StringIO(request.standard_input),
            output=Output(confirm),
            errors=io.StringIO(),
        )
        status = await asyncio.to_thread(perform, remote, request.arguments)
        return CommandAnswer(remote.output.getvalue(), remote.errors.getvalue(), status=status)

    def _record(self, peer: SocketPeer, arguments: Sequence[str], why_refused: str) -> None:
        """Raises JournalUnavailable and OSError."""
        event = command_event("admin socket", "", "broker:AdminCommand", {"arguments": list(arguments)}, peer)
        if why_refused:
            event.error_code, event.error_message = "AccessDenied", why_refused
            _logger.warning("%s: refused", why_refused)
        with open_journal(self._settings.audit) as journal:
            journal.write(event)


def perform(remote: Remote, arguments: Sequence[str]) -> int:
    """Run the command in this thread; its exit status. What it prints is in `remote`."""
    begin_remote(remote)
    command = arguments[0] if arguments else ""
    if command not in TAKEN or list(arguments[:2]) == ["keys", "master"]:
        remote.errors.write(f"broker: {command or 'no command'} is not taken at the admin socket\n")
        return WRONG_USE
    try:
        chosen: argparse.Namespace = parser_of([command]).parse_args(arguments)
        chosen.arguments, chosen.needs_direct = list(arguments), ""
        return int(import_module(f"broker.commands.{COMMANDS[command][0]}").run(chosen))
    except SystemExit as ended:  # argparse's
        return int(ended.code or 0)
    except Exception:
        _logger.exception("a command at the admin socket failed")
        remote.errors.write(f"broker {command}: internal failure; the broker's log has it\n")
        return NO_ANSWER


def shown_arguments(arguments: Sequence[str]) -> list[str]:
    """The arguments without a secret: a session token is one."""
    return ["token", "inspect", "***"] if arguments[:1] == ["token"] else list(arguments)


def peer_of(connection: socket.socket) -> SocketPeer:
    found = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
    pid, uid, gid = _CREDENTIALS.unpack(found)
    try:
        name = pwd.getpwuid(uid).pw_name
    except KeyError:
        name = f"user {uid}"
    return SocketPeer(pid, uid, gid, name)


def may_ask(peer: SocketPeer, own_uid: int, group: int) -> bool:
    """Root, the broker's own user, and members of the socket's group."""
    if peer.uid in (0, own_uid) or peer.gid == group:
        return True
    try:
        return group in os.getgrouplist(peer.name, peer.gid)
    except (KeyError, OSError):
        return False


async def _send(writer: asyncio.StreamWriter, answer: CommandAnswer) -> None:
    writer.write(msgspec.json.encode(answer) + b"\n")
    await writer.drain()
