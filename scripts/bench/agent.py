#!/usr/bin/env python3
"""`broker agent`: a GET beside nginx serving a file, and a thousand pods while the broker is away and when it is back.

    .venv-test/bin/python scripts/bench/agent.py get      CPU of a cached GET of a pod, nginx/agent; the goal is 0.5
    .venv-test/bin/python scripts/bench/agent.py away     1,000 pods, ten minutes without the broker

In `away` the agent's clock runs faster (--speed), so that hours of an agent are minutes: its cache, its handlers and
its client are the agent's own, in this process; the broker is a real one, which is stopped and started. It prints what
pods were answered in each phase, and how often the broker was asked in each second after it was back.
"""

import argparse
import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from msgspec.structs import replace  # noqa: E402
from serving import Server as Measured  # noqa: E402
from serving import free_address, load  # noqa: E402

from broker.agent.answering import outermost  # noqa: E402
from broker.agent.cache import AgentCache  # noqa: E402
from broker.agent.running import AgentTools, listeners_of  # noqa: E402
from broker.agent.settings import AgentSettings, BrokerSection, HealthSection, PodsSection  # noqa: E402
from broker.agent.upstream import Upstream  # noqa: E402
from broker.system import clock, entropy  # noqa: E402
from broker.web.http import Request  # noqa: E402
from tests.e2e.conftest import Server  # noqa: E402
from tests.e2e.pod_identity import PodScene, new_scene  # noqa: E402
from tests.kubernetes import Pod  # noqa: E402

SESSION_SECONDS = 3600
DAY = 86_400


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("get", "away"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of a round")
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--speed", type=float, default=30.0, help="seconds of the agent in one second")
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        server = Server(folder, f"sqlite:{folder / 'broker.db'}")
        with server.running():
            scene = new_scene(server, server.new_account(), folder, session_seconds=str(SESSION_SECONDS))
            scene.associate(scene.new_role("web"))
            if chosen.what == "get":
                measure_get(chosen, scene, folder)
            else:
                asyncio.run(Away(chosen, scene).run())


# A GET beside nginx.


def measure_get(chosen: argparse.Namespace, scene: PodScene, folder: Path) -> None:
    agent_at, health, nginx_at = (free_address() for _ in range(3))
    file = folder / "agent.toml"
    file.write_text(
        f'[broker]\nurl = "{scene.server.url}"\n[health]\nlisten = "{health}"\n[pods]\n'
        f'cluster = "{scene.cluster.name}"\nnetworks = ["127.0.0.0/8"]\nlisten = ["{agent_at}"]\n'
    )
    environment = {"AWS_CONFIG_FILE": "/dev/null", **scene.node.environment}
    command = [sys.executable, "-m", "broker", "agent", "--config", str(file)]
    token = scene.cluster.token(Pod("web-0"), lifetime=DAY)
    with Measured(command, environment, agent_at, f"http://{health}/healthz", "0") as agent:
        asked = pod_request(agent_at, token)
        load(agent, [asked], 0.5, connections=1)
        body = json.dumps({"x": "y" * 1900}).encode()
        with Measured(
            nginx_command(folder, nginx_at, body), {}, nginx_at, f"http://{nginx_at}/credentials", "0"
        ) as nginx:
            plain = f"GET /credentials HTTP/1.1\r\nHost: {nginx_at}\r\n\r\n".encode()
            ratios = []
            for _ in range(chosen.rounds):
                ours = load(agent, [asked], chosen.seconds)
                theirs = load(nginx, [plain], chosen.seconds)
                ratios.append(theirs[0] / ours[0])
                print(
                    f"agent {ours[0]:6.1f} µs {ours[1]:7.0f}/s   nginx {theirs[0]:6.1f} µs {theirs[1]:7.0f}/s"
                )
        print(f"nginx/agent, median of {chosen.rounds}: {statistics.median(ratios):.2f} (goal 0.5)")
        print(f"memory of the agent: {agent.memory()['Rss']:.0f} MB")


def pod_request(address: str, token: str) -> bytes:
    return f"GET /v1/credentials HTTP/1.1\r\nHost: {address}\r\nAuthorization: {token}\r\n\r\n".encode()


def nginx_command(folder: Path, address: str, body: bytes) -> list[str]:
    (folder / "credentials").write_bytes(body)
    configuration = folder / "nginx.conf"
    configuration.write_text(
        f"daemon off; user root; worker_processes 1; pid {folder}/nginx.pid; error_log /dev/null;\n"
        "events { worker_connections 512; }\n"
        f"http {{ access_log off; keepalive_requests 1000000; server {{ listen {address}; root {folder}; }} }}\n"
    )
    return ["nginx", "-p", str(folder), "-c", str(configuration)]


# A thousand pods.


class Peer:
    """Where a simulated pod is."""

    address = "127.0.0.1"


class Away:
    """The agent's own parts with a fast clock, and pods that read about once in two minutes."""

    def __init__(self, chosen: argparse.Namespace, scene: PodScene) -> None:
        self.pods, self.speed, self.scene = chosen.pods, chosen.speed, scene
        self.began = clock()
        self.asked: list[float] = []
        self.answers: Counter[tuple[str, int]] = Counter()
        self.phase = "with the broker"
        self.expired = 0

    def clock(self) -> float:
        return self.began + (clock() - self.began) * self.speed

    async def run(self) -> None:
        os.environ.update(self.scene.node.environment, AWS_CONFIG_FILE="/dev/null")
        upstream = Counting(BrokerSection(url=self.scene.server.url), self.clock, self.asked)
        pods = PodsSection(self.scene.cluster.name, ("127.0.0.0/8",), listen=("127.0.0.1:80",))
        settings = AgentSettings(BrokerSection(url=self.scene.server.url), pods, health=HealthSection(""))
        cache = AgentCache(self.clock, random.random)
        tools = AgentTools(self.clock, random.random, entropy)
        answer = outermost(listeners_of(settings, tools, cache, upstream)[0].answer)
        tasks = [asyncio.create_task(self.renew(cache))]
        tasks += [asyncio.create_task(self.pod(number, answer)) for number in range(self.pods)]
        await self.until(SESSION_SECONDS)
        self.phase = "away, 600 s"
        await asyncio.to_thread(self.scene.server.stop)
        stopped = self.clock()
        await self.until(600)
        self.phase = "back"
        before = len(self.asked)
        await asyncio.to_thread(self.scene.server.start)
        back, at = self.clock() - stopped, clock()
        await self.until(900)
        for task in tasks:
            task.cancel()
        self.report(back, [when - at for when in self.asked[before:]])
        upstream.close()

    async def until(self, agent_seconds: float) -> None:
        await asyncio.sleep(agent_seconds / self.speed)

    async def renew(self, cache: AgentCache) -> None:
        while True:
            await cache.renew()
            await self.until(1)

    async def pod(self, number: int, answer: Any) -> None:
        token = self.scene.cluster.token(Pod(f"web-{number}"), lifetime=10 * DAY)
        headers = (("host", "127.0.0.1"), ("authorization", token))
        request = Request("GET", "/v1/credentials", headers, b"", Peer(), True)  # type: ignore[arg-type]
        await self.until(random.random() * 300)
        while True:
            given = await answer(request)
            self.answers[self.phase, given.status] += 1
            if given.status == 200:
                end = json.loads(given.body)["Expiration"]
                self.expired += end <= time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock()))
            await self.until(60 + random.random() * 120)

    def report(self, back: float, calls: list[float]) -> None:
        for (phase, status), count in sorted(self.answers.items()):
            print(f"{phase:<16} {status}  {count:>7} answers")
        print(f"answers with expired credentials: {self.expired}")
        print(f"the broker was away for {back:.0f} s of the agent's clock, its start included")
        by_second = Counter(int(when * self.speed) // 10 for when in calls)
        busiest = max(by_second.values(), default=0) / 10
        print(
            f"asked {len(calls)} times since; {busiest:.1f} a second of the agent's clock in the busiest ten seconds"
        )
        print("of the agent's clock, by ten seconds: " + " ".join(str(by_second[n]) for n in range(30)))


class Counting(Upstream):
    """Notes when the broker is asked."""

    def __init__(self, settings: BrokerSection, clock: Any, asked: list[float]) -> None:
        super().__init__(settings, clock)
        self._asked_at = asked

    async def _asked(self, ask: Any) -> Any:
        """The broker's clock is not fast: what is left of the life is what counts."""
        self._asked_at.append(clock())
        given = await super()._asked(ask)
        return replace(given, expires_at=self._clock() + given.expires_at - clock())


if __name__ == "__main__":
    main()
