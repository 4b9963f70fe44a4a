"""A supervisor and its workers, as real processes without the rooms of the broker."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

PREAMBLE = """
import os, signal, sys, time
from pathlib import Path
from broker.commands.workers import supervise
folder = Path(sys.argv[1])
class Stop(Exception): pass
def stop(*_):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise Stop
def stay(slot, is_ready, beat):
    signal.signal(signal.SIGTERM, stop)
    (folder / f"{slot.worker}-{slot.restarts}").write_text(str(os.getpid()))
    is_ready()
    try:
        while True:
            beat()
            time.sleep(0.2)
    except Stop:
        return ""
"""


def start(folder: Path, body: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", PREAMBLE + body, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        cwd=Path(__file__).parents[3],
        env={**os.environ, "TMPDIR": str(folder)},
    )


def stop(supervisor: subprocess.Popen[str]) -> str:
    supervisor.terminate()
    out, err = supervisor.communicate(timeout=60)
    assert supervisor.returncode == 0, err
    return out


def pid_in(file: Path) -> int:
    deadline = time.monotonic() + 60
    while not (file.exists() and file.read_text()):
        assert time.monotonic() < deadline, f"{file.name} does not come"
        time.sleep(0.01)
    return int(file.read_text())


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"


def dies_in_time(pid: int) -> bool:
    deadline = time.monotonic() + 60
    while is_alive(pid):
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


def test_all_stop_together_and_gracefully(tmp_path: Path):
    supervisor = start(tmp_path, "print(repr(supervise(stay, 3, grace=5, silence=30)))")
    pids = [pid_in(tmp_path / f"{worker}-0") for worker in range(3)]
    assert stop(supervisor) == "''\n"
    assert not any(is_alive(pid) for pid in pids)


def test_repeated_ctrl_c_stops_all_gracefully_as_one_does(tmp_path: Path):
    supervisor = start(tmp_path, "supervise(stay, 2, grace=5, silence=30)")
    for worker in range(2):
        pid_in(tmp_path / f"{worker}-0")
    while supervisor.poll() is None:
        supervisor.send_signal(signal.SIGINT)
    out, err = supervisor.communicate(timeout=60)
    assert (supervisor.returncode, out, err) == (0, "", "")


def test_a_worker_that_gets_a_stop_signal_while_it_ends_never_becomes_a_second_supervisor(tmp_path: Path):
    """Its handler raises at each signal, even while what it logged is being written out."""
    body = """
import logging
def again(*_): raise Stop
def flush_slowly():
    (folder / "ends").write_text(str(os.getpid()))
    time.sleep(1)
logging.shutdown = flush_slowly
def ends(slot, is_ready, beat):
    signal.signal(signal.SIGTERM, again)
    is_ready()
    return stay(slot, is_ready, beat) if slot.worker else ""
try:
    supervise(ends, 2, grace=5, silence=30)
finally:
    with open(folder / "supervisors", "a") as file:
        file.write("one\\n")
"""
    supervisor = start(tmp_path, body)
    pid_in(tmp_path / "1-0")
    pid_in(tmp_path / "ends")
    stop(supervisor)
    assert (tmp_path / "supervisors").read_text() == "one\n"


def test_a_worker_that_dies_is_replaced(tmp_path: Path):
    supervisor = start(tmp_path, "supervise(stay, 2, grace=5, silence=30)")
    pid_in(tmp_path / "1-0")
    os.kill(pid_in(tmp_path / "0-0"), signal.SIGKILL)
    os.kill(pid_in(tmp_path / "0-1"), signal.SIGKILL)
    assert is_alive(pid_in(tmp_path / "0-2"))
    assert not (tmp_path / "1-1").exists()
    stop(supervisor)


def test_workers_that_cannot_start_end_all_with_one_message(tmp_path: Path):
    supervisor = start(
        tmp_path,
        "print(supervise(lambda slot, is_ready, beat: 'the store is a teapot', 3, grace=5, silence=30))",
    )
    out, err = supervisor.communicate(timeout=60)
    assert (out, err) == ("the store is a teapot\n", "")


def test_a_worker_that_raises_is_no_second_supervisor(tmp_path: Path):
    supervisor = start(
        tmp_path, "print(supervise(lambda slot, is_ready, beat: 1 / 0, 2, grace=5, silence=30))"
    )
    out, _ = supervisor.communicate(timeout=60)
    assert out == "a worker failed: ZeroDivisionError: division by zero\n"


def test_a_restart_that_fails_is_tried_again(tmp_path: Path):
    body = """
def fail_twice(slot, is_ready, beat):
    return "not yet" if 0 < slot.restarts < 3 else stay(slot, is_ready, beat)
supervise(fail_twice, 2, grace=5, silence=30)
"""
    supervisor = start(tmp_path, body)
    pid_in(tmp_path / "1-0")
    os.kill(pid_in(tmp_path / "0-0"), signal.SIGKILL)
    assert is_alive(pid_in(tmp_path / "0-3"))
    stop(supervisor)


def test_a_worker_that_does_not_stop_is_killed(tmp_path: Path):
    body = """
import broker.commands.workers as workers
workers._GRACE_MARGIN = 0.2
def stubborn(slot, is_ready, beat):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    (folder / "0-0").write_text(str(os.getpid()))
    is_ready()
    while True: time.sleep(60)
supervise(stubborn, 1, grace=0.2, silence=30)
"""
    supervisor = start(tmp_path, body)
    pid = pid_in(tmp_path / "0-0")
    stop(supervisor)
    assert not is_alive(pid)


def test_workers_do_not_outlive_their_supervisor(tmp_path: Path):
    with start(tmp_path, "supervise(stay, 2, grace=5, silence=30)") as supervisor:
        pids = [pid_in(tmp_path / f"{worker}-0") for worker in range(2)]
        supervisor.kill()
    assert all(dies_in_time(pid) for pid in pids)


def test_a_supervisor_that_is_killed_leaves_nothing_behind(tmp_path: Path):
    with start(tmp_path, "supervise(stay, 2, grace=5, silence=30)") as supervisor:
        pids = [pid_in(tmp_path / f"{worker}-0") for worker in range(2)]
        for pid in (supervisor.pid, *pids):
            os.kill(pid, signal.SIGKILL)
    assert all(dies_in_time(pid) for pid in pids)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["0-0", "1-0"]


HANGS = """
def hangs(slot, is_ready, beat):
    signal.signal(signal.SIGTERM, stop)
    (folder / f"{slot.worker}-{slot.restarts}").write_text(str(os.getpid()))
    is_ready()
    if (slot.worker, slot.restarts) == (0, 0):
        beat()
        while True: time.sleep(60)
    return stay(slot, is_ready, beat)
supervise(hangs, 2, grace=5, silence=2)
"""


def test_a_worker_that_sends_no_heartbeat_is_killed_and_replaced_and_no_other(tmp_path: Path):
    supervisor = start(tmp_path, HANGS)
    hung = pid_in(tmp_path / "0-0")
    assert is_alive(pid_in(tmp_path / "0-1"))
    assert not is_alive(hung)
    assert not (tmp_path / "1-1").exists()
    stop(supervisor)


def test_a_worker_that_hangs_before_it_could_serve_ends_the_start(tmp_path: Path):
    body = """
def hangs(slot, is_ready, beat):
    (folder / f"{slot.worker}-0").write_text(str(os.getpid()))
    while True: time.sleep(60)
print(supervise(hangs, 1, grace=0.2, silence=2))
"""
    supervisor = start(tmp_path, body)
    out, err = supervisor.communicate(timeout=60)
    assert out == "a worker ended with status -9 before it could serve\n"
    assert "a worker sends no heartbeat and is killed" in err


def test_a_supervisor_that_was_paused_with_its_workers_kills_none_of_them(tmp_path: Path):
    """Ctrl-Z, a frozen container: all stand still, and go on."""
    supervisor = start(tmp_path, "supervise(stay, 2, grace=5, silence=3)")
    pids = [supervisor.pid, *(pid_in(tmp_path / f"{worker}-0") for worker in range(2))]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(6)
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    time.sleep(2)
    assert all(is_alive(pid) for pid in pids)
    assert not list(tmp_path.glob("*-1"))
    stop(supervisor)


def test_a_worker_is_not_blocked_where_its_supervisor_does_not_read(tmp_path: Path):
    """More heartbeats than a pipe holds: it goes on all the same."""
    body = """
def busy(slot, is_ready, beat):
    signal.signal(signal.SIGTERM, stop)
    is_ready()
    (folder / "pid").write_text(str(os.getpid()))
    while not (folder / "stopped").exists(): time.sleep(0.01)
    for _ in range(100_000): beat()
    (folder / "done").write_text("1")
    return stay(slot, is_ready, beat)
supervise(busy, 1, grace=5, silence=30)
"""
    supervisor = start(tmp_path, body)
    pid_in(tmp_path / "pid")
    supervisor.send_signal(signal.SIGSTOP)
    (tmp_path / "stopped").touch()
    assert pid_in(tmp_path / "done")
    supervisor.send_signal(signal.SIGCONT)
    stop(supervisor)
