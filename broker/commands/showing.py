"""Secrets that are shown once: where one cannot be printed, the key that it belongs to is deleted."""

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

from broker.causes import cause_of
from broker.commands.refusing import CommandRefused, NoAnswer
from broker.commands.remote import current_remote
from broker.storage.engine import Conflict, EngineUnavailable

# How long to wait for a pipe's reader. Limited: a reader that begins only when this process has ended would deadlock.
_READER_SECONDS = 2.0
_POLL_MILLISECONDS = 10


def show(text: str) -> None:
    """Print a text without secrets; raises NoAnswer where that fails, except where a pipe's reader has ended."""
    try:
        print(text, end="", flush=True)
    except (OSError, ValueError) as error:
        discard_output()
        if not isinstance(error, BrokenPipeError):  # `| head`
            raise NoAnswer(f"done, but not shown: {cause_of(error)}") from None


async def show_once(
    text: str, what: str, take_back: Callable[[], Awaitable[object]], *, before: str = "", note: str = ""
) -> None:
    """Print `text`; where that fails, call `take_back` and raise NoAnswer, which says that `what` was deleted.

    `before` is printed first, by itself; `note` is added to the error message.
    """
    try:
        deliver(before)
        deliver(text)
    except (OSError, ValueError, KeyboardInterrupt, asyncio.CancelledError) as error:
        discard_output()
        reason = cause_of(error) if str(error) else "interrupted"
        await taken_back(what, f"could not be shown ({reason})", take_back, note)


async def taken_back(
    what: str, why: str, take_back: Callable[[], Awaitable[object]], note: str = ""
) -> NoReturn:
    """Raises NoAnswer: `what` was deleted again, or could not be and its secret is lost."""
    try:
        await take_back()
    except (EngineUnavailable, Conflict, CommandRefused, OSError) as error:
        raise NoAnswer(
            f"{what} {why} and could not be deleted ({error}): it exists and its secret is lost; delete it{note}"
        ) from error
    raise NoAnswer(f"{what} {why} and was taken back{note}")


def deliver(text: str) -> None:
    """Print `text`; raises OSError or ValueError where it is not read.

    A text in a pipe has not been read yet: a reader that ends before (`| head -1`) loses it. Whether a reader that has
    read the text discards it cannot be detected.
    """
    if sys.stdout is None:
        raise OSError(errno.EBADF, "standard output is closed")
    sys.stdout.write(text)
    sys.stdout.flush()
    remote = current_remote()
    if remote is not None:
        remote.output.confirm()
    else:
        _wait_for_reader()


def discard_output() -> None:
    """Discard buffered output, so that the interpreter does not report at exit that it cannot be written."""
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
    """Wait until the pipe is empty, with a timeout; raises BrokenPipeError where its reader ends before."""
    try:
        descriptor = sys.stdout.fileno()
    except (OSError, ValueError):
        return  # not a file at all
    if not stat.S_ISFIFO(os.fstat(descriptor).st_mode):
        return
    waiting = select.poll()
    waiting.register(descriptor, 0)  # POLLERR is always reported: the pipe has no reader any more
    until = time.monotonic() + _READER_SECONDS
    while _unread(descriptor) and time.monotonic() < until:
        if waiting.poll(_POLL_MILLISECONDS):
            raise BrokenPipeError(errno.EPIPE, "its reader has ended")


def _unread(descriptor: int) -> int:
    """How many bytes the pipe holds."""
    (count,) = struct.unpack("i", fcntl.ioctl(descriptor, termios.FIONREAD, bytes(4)))
    return int(count)
