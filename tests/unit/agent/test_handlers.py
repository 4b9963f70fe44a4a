"""Answers to pods: an answer that is remembered is one that would be given again."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from broker.agent.answering import AgentRefusal
from broker.agent.cache import AgentCache, AgentCredentials, UpstreamAway
from broker.agent.guard import Guard
from broker.agent.handlers import PodHandler
from broker.agent.settings import PodsSection
from broker.names.addresses import parse_network
from broker.names.secret import SecretKey
from broker.web.http import LimitExceeded, Request
from tests.kubernetes import KubernetesCluster, Pod

CLUSTER = KubernetesCluster()
LIFE = 3600


class Peer:
    """A pod's address."""

    address = "10.42.0.7"


class Broker:
    """In place of the network: what the broker answers, and how often it is asked."""

    def __init__(self) -> None:
        self.asked = 0
        self.is_away = False
        self.now = float(CLUSTER.claims(Pod("web"))["iat"])

    def for_pod(self, cluster: str, token: SecretKey, node: str) -> Callable[[], Awaitable[AgentCredentials]]:
        async def fetch() -> AgentCredentials:
            self.asked += 1
            if self.is_away:
                raise UpstreamAway("no route")
            begin, end = self.now, self.now + LIFE
            return AgentCredentials("ASIA", SecretKey("s"), f"t{self.asked}", "1" * 12, "arn", begin, end)

        return fetch


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def handler(broker: Broker) -> PodHandler:
    settings = PodsSection("k3s", ("10.42.0.0/24",), node="node-1")
    guard = Guard(["169.254.170.23"], [parse_network("10.42.0.0/24")])
    cache = AgentCache(lambda: broker.now, lambda: 0.5)
    return PodHandler(settings, guard, cache, broker, lambda: broker.now)  # type: ignore[arg-type]


def asking(token: str, *more: tuple[str, str], **changes: Any) -> Request:
    headers = (("host", "169.254.170.23"), ("authorization", token), *more)
    values = {"method": "GET", "target": "/v1/credentials", "headers": headers, "body": b"", **changes}
    return Request(peer=Peer(), keeps_alive=True, **values)


async def test_the_same_request_is_answered_alike_without_asking_again(
    broker: Broker, handler: PodHandler
) -> None:
    request = asking(CLUSTER.token(Pod("web"), lifetime=2 * LIFE))
    first = await handler.answer(request)
    assert await handler.answer(request) is first
    assert (first.status, broker.asked) == (200, 1)


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "POST"},
        {"target": "/v2/credentials"},
        {"limit_exceeded": LimitExceeded.TOO_LARGE},
    ],
)
async def test_another_request_is_not_answered_from_memory(
    handler: PodHandler, changes: dict[str, Any]
) -> None:
    token = CLUSTER.token(Pod("web"))
    await handler.answer(asking(token))
    with pytest.raises(AgentRefusal):
        await handler.answer(asking(token, **changes))


async def test_a_header_of_a_proxy_is_not_answered_from_memory(handler: PodHandler) -> None:
    token = CLUSTER.token(Pod("web"))
    await handler.answer(asking(token))
    with pytest.raises(AgentRefusal):
        await handler.answer(asking(token, ("x-forwarded-for", "10.0.0.1")))


async def test_an_expired_token_is_refused_although_its_credentials_are_valid(
    broker: Broker, handler: PodHandler
) -> None:
    request = asking(CLUSTER.token(Pod("web"), lifetime=600))
    await handler.answer(request)
    broker.now += 601
    with pytest.raises(AgentRefusal) as refused:
        await handler.answer(request)
    assert refused.value.status == 400


async def test_expired_credentials_are_not_answered_from_memory(broker: Broker, handler: PodHandler) -> None:
    request = asking(CLUSTER.token(Pod("web"), lifetime=3 * LIFE))
    await handler.answer(request)
    broker.now += LIFE
    broker.is_away = True
    with pytest.raises(AgentRefusal) as refused:
        await handler.answer(request)
    assert refused.value.status == 503
    assert int(refused.value.headers["Retry-After"]) >= 1
