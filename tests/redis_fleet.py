"""Redis servers that replace one another: a master with two replicas under Sentinel, and a cluster of six nodes.

Every master refuses to write where one of its replicas has not answered within a second (`min-replicas-to-write`): any
of them may be promoted.
"""

import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Protocol, TypeVar

from tests.redis_server import RedisServer, Tls

Server = TypeVar("Server", bound=RedisServer)

MASTER = "broker"
_SETTINGS = "min-replicas-max-lag 1\nrepl-ping-replica-period 1\nrepl-diskless-sync-delay 0\n"
_SENTINEL_SETTINGS = f"{_SETTINGS}min-replicas-to-write 2\n"
_DOWN_AFTER = 700  # milliseconds
_CLUSTER_SETTINGS = (
    f"{_SETTINGS}min-replicas-to-write 1\n"
    f"cluster-node-timeout {_DOWN_AFTER}\ncluster-replica-validity-factor 0\n"
    "cluster-allow-replica-migration no\n"  # a master that has given its last slot remains one
)


class Fleet(Protocol):
    """`url` is what a broker is given, `settings` what its servers are started with; `each_has` replicas a master."""

    url: str
    each_has: int
    settings: str
    servers: list[RedisServer]

    def master(self) -> RedisServer:
        """The one that has the records of the tests' account, as the others see it."""
        ...

    def replicas(self) -> list[RedisServer]:
        """Its replicas that run."""
        ...


def eventually(is_true: Callable[[], bool], what: str, seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if is_true():
                return
        except OSError:
            pass
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


class SentinelFleet:
    """Three servers and three sentinels."""

    def __init__(self, servers: list[RedisServer], sentinels: list["_SentinelServer"]) -> None:
        self.servers, self._sentinels = servers, sentinels
        hosts = ",".join(f"127.0.0.1:{_port(one)}" for one in sentinels)
        scheme = "rediss" if servers[0].tls else "redis"
        self.url = f"{scheme}+sentinel://{hosts}/{MASTER}"
        self.settings, self.each_has = _SENTINEL_SETTINGS, 2

    def master(self) -> RedisServer:
        answer = self._sentinels[0].ask(f"SENTINEL GET-MASTER-ADDR-BY-NAME {MASTER}".encode())
        found = re.findall(rb"\r\n(\d{4,5})\r\n", answer)
        return next(one for one in self.servers if _port(one) == int(found[-1]))

    def replicas(self) -> list[RedisServer]:
        return [one for one in self.servers if one.is_running and one is not self.master()]

    def is_complete(self) -> bool:
        answers = [one.ask(f"SENTINEL MASTER {MASTER}".encode()) for one in self._sentinels]
        wanted = [(b"num-slaves", b"2"), (b"num-other-sentinels", b"2")]
        return all(re.search(rb"%s\r\n\$1\r\n%s\r\n" % pair, one) for one in answers for pair in wanted)


class _SentinelServer(RedisServer):
    def start_watching(self, master: int) -> None:
        program = shutil.which("redis-server")
        assert program is not None
        configuration = self.folder / "sentinel.conf"
        configuration.write_text(
            f"port {self.port}\nbind 127.0.0.1\ndir {self.folder}\n"
            f"sentinel monitor {MASTER} 127.0.0.1 {master} 2\n"
            f"sentinel down-after-milliseconds {MASTER} {_DOWN_AFTER}\n"
            f"sentinel failover-timeout {MASTER} 3000\n"
        )
        with (self.folder / "log").open("ab") as log:
            command = [program, str(configuration), *(self.tls.options() if self.tls else ()), "--sentinel"]
            self.run(subprocess.Popen(command, stdout=log, stderr=log))


@contextmanager
def sentinel_fleet(folder: Path, *, is_tls: bool = False) -> Iterator[SentinelFleet]:
    with ExitStack() as stack:
        servers = _servers(folder, "server", 3, RedisServer, is_tls)
        for one in servers:
            stack.callback(one.kill)
            one.start(_SENTINEL_SETTINGS)
        master, *replicas = servers
        for one in replicas:
            one.ask(b"REPLICAOF 127.0.0.1 %d" % _port(master))
        _await_replicas(master, 2)
        sentinels = _servers(folder, "sentinel", 3, _SentinelServer, is_tls)
        for one in sentinels:
            stack.callback(one.kill)
            one.start_watching(_port(master))
        fleet = SentinelFleet(servers, sentinels)
        eventually(fleet.is_complete, "the sentinels do not find one another")
        yield fleet


class ClusterFleet:
    """Three masters with a replica each, and perhaps a new one; `slot` is that of the tests' account."""

    def __init__(self, nodes: list[RedisServer], slot: int) -> None:
        self.servers, self._slot = nodes, slot
        last = nodes[-1]
        self.url = f"rediss+cluster://127.0.0.1:{_port(last)}" if last.tls else last.url
        self.settings, self.each_has = _CLUSTER_SETTINGS, 1

    def master(self) -> RedisServer:
        return self._roles()[0]

    def replicas(self) -> list[RedisServer]:
        return self._roles()[1]

    def move_slot(self, target: RedisServer) -> None:
        """The slot of the tests' account, which must be the lowest one that its master has."""
        command = ["redis-cli", "--cluster", "reshard", f"127.0.0.1:{target.port}", "--cluster-slots", "1"]
        command += ["--cluster-from", _name(self.master()), "--cluster-to", _name(target), "--cluster-yes"]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout

    def _roles(self) -> tuple[RedisServer, list[RedisServer]]:
        """The master of the slot and its replicas that run, as a node says that is neither, if it can be."""
        for node in reversed([one for one in self.servers if one.is_running]):
            lines = [
                one.split()
                for one in node.ask(b"CLUSTER NODES").decode().splitlines()
                if len(one.split()) > 7
            ]
            for line in lines:
                if "fail" not in line[2].replace("fail?", "").split(",") and _has_slot(line[8:], self._slot):
                    master = self._node(line)
                    replicas = [self._node(one) for one in lines if one[3] == line[0]]
                    return master, [one for one in replicas if one.is_running]
        raise OSError("no node knows a master of the slot")

    def _node(self, line: list[str]) -> RedisServer:
        port = int(line[1].partition("@")[0].rpartition(":")[2])
        return next(one for one in self.servers if one.port == port)


def _name(node: RedisServer) -> str:
    found = re.search(rb"[0-9a-f]{40}", node.ask(b"CLUSTER MYID"))
    assert found is not None
    return found[0].decode()


def _has_slot(ranges: list[str], slot: int) -> bool:
    bounds = [(one.partition("-")[0], one.rpartition("-")[2]) for one in ranges if not one.startswith("[")]
    return any(int(first) <= slot <= int(last) for first, last in bounds)


@contextmanager
def cluster_fleet(
    folder: Path, slot: int, *, is_tls: bool = False, masters: int = 3
) -> Iterator[ClusterFleet]:
    """The first three of the `masters` have slots; the third one those from `slot` on."""
    with ExitStack() as stack:
        nodes = _servers(
            folder, "node", 2 * masters, lambda where: RedisServer(where, is_cluster=True), is_tls
        )
        for one in nodes:
            stack.callback(one.kill)
            one.start(_CLUSTER_SETTINGS)
        for node, bounds in zip(nodes, ((0, 5460), (5461, slot - 1), (slot, 16383)), strict=False):
            node.ask(b"CLUSTER ADDSLOTSRANGE %d %d" % bounds)
        for one in nodes[1:]:
            nodes[0].ask(b"CLUSTER MEET 127.0.0.1 %d" % _port(one))
        eventually(
            lambda: all(
                b"cluster_known_nodes:%d\r" % len(nodes) in one.ask(b"CLUSTER INFO") for one in nodes
            ),
            "no meeting",
        )
        for number in range(masters):
            nodes[masters + number].ask(b"CLUSTER REPLICATE " + _name(nodes[number]).encode())
        for one in nodes[:masters]:
            _await_replicas(one, 1)
        eventually(lambda: all(b"cluster_state:ok" in one.ask(b"CLUSTER INFO") for one in nodes), "not ok")
        yield ClusterFleet(nodes, slot)


def _servers(
    folder: Path, name: str, number: int, make: Callable[[Path], Server], is_tls: bool
) -> list[Server]:
    folders = [folder / f"{name}-{one}" for one in range(number)]
    for one in folders:
        one.mkdir()
    made = [make(one) for one in folders]
    for server in made if is_tls else ():
        server.tls = Tls(folder)
    return made


def _port(server: RedisServer) -> int:
    """At which brokers and other servers reach it."""
    return server.tls.port if server.tls else server.port


def _await_replicas(master: RedisServer, number: int) -> None:
    wanted = b"min_slaves_good_slaves:%d" % number
    eventually(lambda: wanted in master.ask(b"INFO replication"), "the replicas do not follow")
