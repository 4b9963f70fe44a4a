"""What is shown this once: where it cannot be shown, what it opens is taken back."""

import asyncio
import errno
import fcntl
import os
import select
import stat
import struct
import sys
import termios
import time
from collections.abc import Awaitable, Callable
from typing import NoReturn

from broker.commands.refusing import CommandRefused
from broker.storage.engine import Conflict, EngineUnavailable

# How long a pipe's reader is waited for. Not for ever: one that reads when we have ended would wait for us.
_READER_SECONDS = 2.0
_LOOK_MILLISECONDS = 10


def show(text: str) -> None:
    """Print what is no secret; raises CommandRefused where it cannot be, except to a reader that has had enough."""
    try:
        print(text, end="", flush=True)
    except (OSError, ValueError) as error:
        discard_output()
        if not isinstance(error, BrokenPipeError):  # `| head`
            raise CommandRefused(f"done, but not shown: {error}") from None


async def show_once(
    text: str, what: str, take_back: Callable[[], Awaitable[object]], *, before: str = "", note: str = ""
) -> None:
    """Print `text`; raises CommandRefused where it cannot be printed, and `what` it opens was taken back.

    `before` is printed first, for itself; `note` is what else there is to say where it fails.
    """
    try:
        deliver(before)
        deliver(text)
    except (OSError, ValueError, KeyboardInterrupt, asyncio.CancelledError) as error:
        discard_output()
        reason = getattr(error, "strerror", None) or str(error) or "interrupted"
        await taken_back(what, f"could not be shown ({reason})", take_back, note)


async def taken_back(
    what: str, why: str, take_back: Callable[[], Awaitable[object]], note: str = ""
) -> NoReturn:
    """Raises CommandRefused: that `what` was taken back, or that it is there and its secret is not."""
    try:
        await take_back()
    except (EngineUnavailable, Conflict, CommandRefused, OSError) as error:
        raise CommandRefused(
            f"{what} {why}, nor taken back ({error}): it is there, and its secret is lost; delete it{note}"
        ) from error
    raise CommandRefused(f"{what} {why} and was taken back{note}")


def deliver(text: str) -> None:
    """Print `text`; raises OSError or ValueError where it does not arrive.

    What is in a pipe has not arrived: a reader that ends without having read it (`| head -1`) loses it. One that has
    read it and threw it away cannot be told from one that kept it.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.write(text)
    sys.stdout.flush()
    _wait_for_reader()


def discard_output() -> None:
    """What is still to be printed would only be complained of when the process ends."""
    if sys.stdout is None:
        return
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, descriptor)
    os.close(nowhere)


def _wait_for_reader() -> None:
    """Until the pipe is empty, for a while; raises BrokenPipeError where its reader goes before that."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return  # not a file at all
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return
    waiting = select.poll()
    waiting.register(descriptor, 0)  # POLLERR, which need not be asked for: there is no reader any more
    until = time.monotonic() + _READER_SECONDS
    while _unread(descriptor) and time.monotonic() < until:
        if waiting.poll(_LOOK_MILLISECONDS):
            raise BrokenPipeError(errno.EPIPE, "its reader has ended")


def _unread(descriptor: int) -> int:
    """How many bytes the pipe holds."""
    (count,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
    return int(count)
