"""Worker processes: the supervisor forks them, restarts those that die or hang, and stops all together.

Law: until a worker has been ready for the first time, a worker that fails ends the whole process with its error
message. Afterwards the other workers go on, and the failed one is restarted with exponential backoff. A worker writes a
heartbeat to its report pipe once a second; one whose heartbeats stop for too long is killed and restarted. When the
supervisor is killed, its workers stop: each reads from a pipe whose only writing end the supervisor holds.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

import msgspec

from broker.web.metrics import WorkerSlot
from broker.web.scoreboard import Scoreboard

# The main function of a worker: runs until the worker is stopped; returns an error message, or "" after a normal stop.
# It calls the first function once it serves, and the second one every HEARTBEAT_SECONDS.
Worker = Callable[[WorkerSlot, Callable[[], None], Callable[[], None]], str]

HEARTBEAT_SECONDS = 1.0
_SHORTEST_BACKOFF = 0.1
_LONGEST_BACKOFF = 10.0
_STABLE_SECONDS = 10.0  # a worker that served this long is restarted with the shortest backoff
_GRACE_MARGIN = 8.0
_STOPPING = (signal.SIGTERM, signal.SIGINT)
_SIGNALS = (signal.SIGCHLD, signal.SIGHUP, *_STOPPING)
_READY = b"\0"
_HEARTBEAT = b"\1"
_LONGEST_REPORT = 4096

_logger = logging.getLogger("broker.workers")


class _WorkerProcess:
    """A running worker: its slot, when it was started, its report pipe, and how long it has sent no heartbeat.

    Silence is summed from poll to poll, and each poll adds at most two heartbeats: a supervisor that was paused itself
    polled nothing in that time, and must not count it as its workers' silence.
    """

    def __init__(self, slot: WorkerSlot, report: int, now: float) -> None:
        self.slot = slot
        self.report = report
        self.since = now
        self.received = b""
        self.silence = 0.0
        self._polled_at = now

    def poll(self, now: float) -> None:
        """Read what it has reported since the last poll."""
        self.silence += min(now - self._polled_at, 2 * HEARTBEAT_SECONDS)
        self._polled_at = now
        with contextlib.suppress(BlockingIOError):
            while data := os.read(self.report, _LONGEST_REPORT):
                self.received += data.replace(_HEARTBEAT, b"")
                self.silence = 0.0

    @property
    def was_ready(self) -> bool:
        return self.received.startswith(_READY)

    @property
    def failure(self) -> str:
        return self.received.removeprefix(_READY).decode(errors="replace")


def stop_signals() -> tuple[signal.Signals, ...]:
    """The signals that shut a broker down gracefully. SIGHUP does so only where its terminal was closed."""
    return _STOPPING


def has_lost_terminal(had_terminal: bool) -> bool:
    """Whether SIGHUP says that the terminal was closed in which the broker was started, and does not run on."""
    return had_terminal and not sys.stderr.isatty() and not _is_nohup


# As it was inherited: `nohup` ignores it, and its command runs on without its terminal.
_is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


def supervise(worker: Worker, number: int, *, grace: float, silence: float) -> str:
    """Run `number` workers until a stop signal; the error message where they could not start, else "".

    In seconds: `grace` is how long requests in progress may take at the end, `silence` how long a worker may send no
    heartbeat before it is killed.
    """
    # Blocked, so that no signal is lost between two calls of `sigtimedwait`, which takes them one by one.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return _Supervisor(worker, Scoreboard(number), grace, silence).run(number)
    finally:
        # Ignored from here on: a pending signal would raise KeyboardInterrupt or kill the process while it ends.
        for name in _STOPPING:
            signal.signal(name, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class _Supervisor:
    def __init__(self, worker: Worker, scoreboard: Scoreboard, grace: float, silence: float) -> None:
        self._worker = worker
        self._scoreboard = scoreboard
        self._grace = grace
        self._silence = silence
        self._lifeline = os.pipe()
        self._running: dict[int, _WorkerProcess] = {}
        self._due: dict[WorkerSlot, float] = {}  # slots without a worker, and when to start one
        self._backoffs: dict[int, float] = {}
        self._has_served = False
        self._had_terminal = sys.stderr is not None and sys.stderr.isatty()
        self._stop_deadline: float | None = None
        self._failure = ""

    def run(self, number: int) -> str:
        for slot in range(number):
            self._start(WorkerSlot(worker=slot, scoreboard=self._scoreboard))
        while self._running or (self._due and self._stop_deadline is None):
            received = signal.sigtimedwait(_SIGNALS, self._timeout())
            if received is not None:
                self._take(received.si_signo)
            self._reap()
            self._kill_silent()
            self._start_due()
            self._kill_overdue()
        return self._failure

    def _take(self, number: int) -> None:
        if number in _STOPPING or (number == signal.SIGHUP and has_lost_terminal(self._had_terminal)):
            self._stop()
        elif number == signal.SIGHUP:
            for child in self._running:
                os.kill(child, signal.SIGHUP)

    def _timeout(self) -> float:
        """Seconds to wait for a signal: until a restart or the deadline is due, one heartbeat at most."""
        deadlines = list(self._due.values()) if self._stop_deadline is None else [self._stop_deadline]
        now = time.monotonic()
        return max(0.0, min([*deadlines, now + HEARTBEAT_SECONDS]) - now)

    def _start(self, slot: WorkerSlot) -> None:
        report, write = os.pipe()
        # Neither side blocks: a heartbeat is dropped while the pipe is full.
        os.set_blocking(report, False)
        os.set_blocking(write, False)
        child = os.fork()
        if child == 0:
            os.close(report)
            os.close(self._lifeline[1])
            _run_child(self._worker, slot, write, self._lifeline[0])
        os.close(write)
        self._running[child] = _WorkerProcess(slot, report, time.monotonic())

    def _reap(self) -> None:
        """Reap the workers that have ended: schedule a restart of each, or stop all where none was ever ready."""
        while self._running:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            dead = self._running.pop(child)
            dead.poll(time.monotonic())
            os.close(dead.report)
            self._has_served = self._has_served or dead.was_ready or self._is_any_ready()
            if self._stop_deadline is not None:
                continue
            code = os.waitstatus_to_exitcode(status)
            if self._has_served:
                self._replace(dead, code)
            else:
                self._failure = dead.failure or f"a worker ended with status {code} before it could serve"
                self._stop()

    def _is_any_ready(self) -> bool:
        for one in self._running.values():
            one.poll(time.monotonic())
        return any(one.was_ready for one in self._running.values())

    def _replace(self, dead: _WorkerProcess, code: int) -> None:
        slot, now = dead.slot, time.monotonic()
        backoff = self._backoffs.get(slot.worker, _SHORTEST_BACKOFF)
        if dead.was_ready and now - dead.since >= _STABLE_SECONDS:
            backoff = _SHORTEST_BACKOFF
        self._backoffs[slot.worker] = min(backoff * 2, _LONGEST_BACKOFF)
        self._due[msgspec.structs.replace(slot, restarts=slot.restarts + 1)] = now + backoff
        facts = {"worker": slot.worker, "status": code, "why": dead.failure, "pause": round(backoff, 1)}
        _logger.error("a worker died and will be replaced", extra={"facts": facts})

    def _start_due(self) -> None:
        if self._stop_deadline is not None:
            return
        for slot, due_at in list(self._due.items()):
            if due_at <= time.monotonic():
                del self._due[slot]
                self._start(slot)

    def _stop(self) -> None:
        """Send SIGTERM to all workers, again with each stop signal. The deadline is set once."""
        if self._stop_deadline is None:
            self._stop_deadline = time.monotonic() + self._grace + _GRACE_MARGIN
        for child in self._running:
            os.kill(child, signal.SIGTERM)

    def _kill_silent(self) -> None:
        for child, one in self._running.items():
            one.poll(time.monotonic())
            if one.silence >= self._silence and self._stop_deadline is None:
                facts = {"worker": one.slot.worker, "pid": child, "seconds": round(one.silence)}
                _logger.error("a worker sends no heartbeat and is killed", extra={"facts": facts})
                os.kill(child, signal.SIGKILL)
                one.silence = 0.0

    def _kill_overdue(self) -> None:
        if self._stop_deadline is None or time.monotonic() < self._stop_deadline:
            return
        for child in self._running:
            _logger.error("a worker does not stop and is killed", extra={"facts": {"pid": child}})
            os.kill(child, signal.SIGKILL)
        self._stop_deadline = time.monotonic() + _GRACE_MARGIN


def _run_child(worker: Worker, slot: WorkerSlot, report: int, lifeline: int) -> None:
    """Everything that the child process does: it exits here and never returns to the supervisor's code."""
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _stop_with_supervisor(lifeline)
        why = worker(slot, lambda: _send(report, _READY), lambda: _send(report, _HEARTBEAT))
        _send(report, why.encode()[: _LONGEST_REPORT - 1])
        code = 1 if why else 0
    except BaseException as error:  # of every kind, or the child would go on as a second supervisor
        _logger.exception("a worker failed")
        _send(report, f"a worker failed: {type(error).__name__}: {error}".encode()[: _LONGEST_REPORT - 1])
    finally:
        try:
            # Another stop signal must not interrupt the exit.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            logging.shutdown()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _send(report: int, words: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, BlockingIOError):
        os.write(report, words)


def _stop_with_supervisor(lifeline: int) -> None:
    """Stop gracefully when the supervisor is gone: the pipe reads end of file then, and nothing before."""

    def wait() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
