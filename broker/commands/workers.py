"""Worker processes: forked, watched, started anew when they die or hang, and told to stop together.

Law: while no worker has ever been ready, one that fails ends the whole, with its own words; afterwards the broker
lives on with the workers it has, and starts the missing one again and again, at growing intervals. A worker writes a
heartbeat into the pipe through which it reports, once a second; one that is silent for too long is killed and replaced.
A supervisor that is killed takes its workers with it: each holds the reading end of a pipe that only the supervisor
could write to.
"""

import contextlib
import logging
import os
import signal
import sys
import threading
import time
from collections.abc import Callable

from broker.web.metrics import WorkerSlot
from broker.web.scoreboard import Scoreboard

# What a worker does until it is told to stop; it answers why it could not, in a sentence, or nothing. It calls the one
# function when it serves, the other one every HEARTBEAT_SECONDS.
Worker = Callable[[WorkerSlot, Callable[[], None], Callable[[], None]], str]

HEARTBEAT_SECONDS = 1.0
_SHORTEST_PAUSE = 0.1
_LONGEST_PAUSE = 10.0
_LONG_LIFE = 10.0  # seconds after which a death counts as the first
_GRACE_MARGIN = 8.0
_STOPPING = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
_SIGNALS = (signal.SIGCHLD, *_STOPPING)
_READY = b"\0"
_HEARTBEAT = b"\1"
_MOST_WORDS = 4096

_logger = logging.getLogger("broker.workers")


class _Running:
    """A worker that lives: where it stands, since when, the pipe through which it reports, and how long it was silent.

    Silence is added up from look to look, and of a look that came late only two heartbeats count: a supervisor that was
    stopped itself, with its workers or without them, has heard nothing in that time and accuses nobody of it.
    """

    def __init__(self, place: WorkerSlot, report: int, now: float) -> None:
        self.place = place
        self.report = report
        self.since = now
        self.said = b""
        self.silence = 0.0
        self._looked_at = now

    def listen(self, now: float) -> None:
        """Take in what it has said so far."""
        self.silence += min(now - self._looked_at, 2 * HEARTBEAT_SECONDS)
        self._looked_at = now
        with contextlib.suppress(BlockingIOError):
            while said := os.read(self.report, _MOST_WORDS):
                self.said += said.replace(_HEARTBEAT, b"")
                self.silence = 0.0

    @property
    def was_ready(self) -> bool:
        return self.said.startswith(_READY)

    @property
    def why(self) -> str:
        return self.said.removeprefix(_READY).decode(errors="replace")


def stopping_signals() -> tuple[signal.Signals, ...]:
    """Those that end a broker in good order; SIGHUP, which a terminal sends that closes, unless `nohup` says no."""
    is_nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    return tuple(one for one in _STOPPING if one is not signal.SIGHUP or not is_nohup)


def supervise(worker: Worker, number: int, *, grace: float, silence: float) -> str:
    """Keep `number` workers until told to stop; why they could not start, or nothing.

    In seconds: `grace`, which requests in progress have at the end, and `silence`, after which a worker is killed.
    """
    # Blocked, so that none is lost between two looks; `sigtimedwait` takes them one by one.
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        return _Supervisor(worker, Scoreboard(number), grace, silence).run(number)
    finally:
        # It is ending, so nobody need tell it to: a signal that still waits would raise KeyboardInterrupt, or kill.
        for name in _STOPPING:
            signal.signal(name, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)


class _Supervisor:
    def __init__(self, worker: Worker, board: Scoreboard, grace: float, silence: float) -> None:
        self._worker = worker
        self._board = board
        self._grace = grace
        self._silence = silence
        self._lifeline = os.pipe()
        self._running: dict[int, _Running] = {}
        self._due: dict[WorkerSlot, float] = {}  # places without a worker, and when they get one
        self._pauses: dict[int, float] = {}
        self._has_served = False
        self._stopping = stopping_signals()
        self._stop_until: float | None = None
        self._why = ""

    def run(self, number: int) -> str:
        for place in range(number):
            self._start(WorkerSlot(worker=place, scoreboard=self._board))
        while self._running or (self._due and self._stop_until is None):
            told = signal.sigtimedwait(_SIGNALS, self._patience())
            if told is not None and told.si_signo in self._stopping:
                self._stop()
            self._bury()
            self._kill_those_silent()
            self._start_those_due()
            self._kill_those_overdue()
        return self._why

    def _patience(self) -> float:
        """Seconds until something is due even if nothing happens: another look at the workers, if nothing else."""
        moments = list(self._due.values()) if self._stop_until is None else [self._stop_until]
        now = time.monotonic()
        return max(0.0, min([*moments, now + HEARTBEAT_SECONDS]) - now)

    def _start(self, place: WorkerSlot) -> None:
        report, write = os.pipe()
        # Neither waits for the other: a heartbeat that finds the pipe full, because nobody reads, is left out.
        os.set_blocking(report, False)
        os.set_blocking(write, False)
        child = os.fork()
        if child == 0:
            os.close(report)
            os.close(self._lifeline[1])
            _become(self._worker, place, write, self._lifeline[0])
        os.close(write)
        self._running[child] = _Running(place, report, time.monotonic())

    def _bury(self) -> None:
        """Whoever died since the last look: replaced later, or the end of all."""
        while self._running:
            child, status = os.waitpid(-1, os.WNOHANG)
            if child == 0:
                return
            dead = self._running.pop(child)
            dead.listen(time.monotonic())
            os.close(dead.report)
            self._has_served = self._has_served or dead.was_ready or self._somebody_serves()
            if self._stop_until is not None:
                continue
            code = os.waitstatus_to_exitcode(status)
            if self._has_served:
                self._replace(dead, code)
            else:
                self._why = dead.why or f"a worker ended with status {code} before it could serve"
                self._stop()

    def _somebody_serves(self) -> bool:
        for one in self._running.values():
            one.listen(time.monotonic())
        return any(one.was_ready for one in self._running.values())

    def _replace(self, dead: _Running, code: int) -> None:
        place, now = dead.place, time.monotonic()
        pause = self._pauses.get(place.worker, _SHORTEST_PAUSE)
        if dead.was_ready and now - dead.since >= _LONG_LIFE:
            pause = _SHORTEST_PAUSE
        self._pauses[place.worker] = min(pause * 2, _LONGEST_PAUSE)
        self._due[
            WorkerSlot(worker=place.worker, restarts=place.restarts + 1, scoreboard=place.scoreboard)
        ] = now + pause
        facts = {"worker": place.worker, "status": code, "why": dead.why, "pause": round(pause, 1)}
        _logger.error("a worker died and will be replaced", extra={"facts": facts})

    def _start_those_due(self) -> None:
        if self._stop_until is not None:
            return
        for place, moment in list(self._due.items()):
            if moment <= time.monotonic():
                del self._due[place]
                self._start(place)

    def _stop(self) -> None:
        """Tell all to stop; told again, tell them again."""
        if self._stop_until is None:
            self._stop_until = time.monotonic() + self._grace + _GRACE_MARGIN
        for child in self._running:
            os.kill(child, signal.SIGTERM)

    def _kill_those_silent(self) -> None:
        for child, one in self._running.items():
            one.listen(time.monotonic())
            if one.silence >= self._silence and self._stop_until is None:
                facts = {"worker": one.place.worker, "pid": child, "seconds": round(one.silence)}
                _logger.error("a worker gives no sign of life and is killed", extra={"facts": facts})
                os.kill(child, signal.SIGKILL)
                one.silence = 0.0

    def _kill_those_overdue(self) -> None:
        if self._stop_until is None or time.monotonic() < self._stop_until:
            return
        for child in self._running:
            _logger.error("a worker does not stop and is killed", extra={"facts": {"pid": child}})
            os.kill(child, signal.SIGKILL)
        self._stop_until = time.monotonic() + _GRACE_MARGIN


def _become(worker: Worker, place: WorkerSlot, report: int, lifeline: int) -> None:
    """The child's whole life: never returns into the supervisor's code."""
    code = 1
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
        _watch(lifeline)
        why = worker(place, lambda: _say(report, _READY), lambda: _say(report, _HEARTBEAT))
        _say(report, why.encode()[: _MOST_WORDS - 1])
        code = 1 if why else 0
    except BaseException as error:  # whatever it is, it must not run on as a second supervisor
        _logger.exception("a worker failed")
        _say(report, f"a worker failed: {type(error).__name__}: {error}".encode()[: _MOST_WORDS - 1])
    finally:
        try:
            # Told to stop again while it ends, it ends all the same.
            signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
            logging.shutdown()
            sys.stderr.flush()
        finally:
            os._exit(code)


def _say(report: int, words: bytes) -> None:
    with contextlib.suppress(BrokenPipeError, BlockingIOError):
        os.write(report, words)


def _watch(lifeline: int) -> None:
    """Stop in good order when the supervisor is gone: then, and only then, there is something to read: the end."""

    def wait() -> None:
        os.read(lifeline, 1)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, name="lifeline", daemon=True).start()
