"""Envoy's questions by gRPC over a real connection: who asks, what cannot be read, what ends while it is answered."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from grpc import aio

from broker.trace_context import recorded_trace
from broker.web.envoy_listener import EnvoyListener, peer_of
from broker.web.envoy_messages import CheckResponse
from broker.web.http import Request, Response
from broker.web.listeners import AddressUnavailable, reserve
from tests.conditions import until
from tests.e2e.grpc_proxy import CHECK, new_check

QUESTION = new_check("GET", "shop", "/", []).SerializeToString()


class Answers:
    """Denies everything, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[Request, str]] = []
        self.ended = 0
        self.may_end = asyncio.Event()
        self.may_end.set()
        self.trace: Any = None

    async def answer(self, request: Request, fault: str) -> Response:
        self.asked.append((request, fault))
        self.trace = recorded_trace()
        await self.may_end.wait()
        self.ended += 1
        return Response(403, b"", b"no")


@asynccontextmanager
async def listening(
    answers: Answers, maximum_body: int = 1000
) -> AsyncIterator[tuple[EnvoyListener, aio.Channel]]:
    reserved = reserve("127.0.0.1", 0)
    listener = EnvoyListener(answers.answer, maximum_body=maximum_body)
    await listener.listen(reserved)
    async with aio.insecure_channel(f"127.0.0.1:{reserved[0].getsockname()[1]}") as channel:
        yield listener, channel
    await listener.stop(1)


async def ask(channel: aio.Channel, message: bytes, method: str = CHECK, **options: Any) -> Any:
    return CheckResponse.FromString(await channel.unary_unary(method)(message, timeout=10, **options))


async def test_a_question_is_answered_and_its_peer_is_who_asks() -> None:
    answers = Answers()
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    async with listening(answers) as (_, channel):
        answer = await ask(channel, QUESTION, metadata=(("traceparent", trace),))
        assert (answer.status.code, answer.denied_response.body) == (7, "no")
    ((request, fault),) = answers.asked
    assert (request.peer.address, request.peer.is_secure, fault) == ("127.0.0.1", False, "")
    assert answers.trace == {"traceId": trace[3:35], "parentId": trace[36:52]}


async def test_what_cannot_be_read_is_answered_as_a_fault() -> None:
    answers = Answers()
    async with listening(answers) as (_, channel):
        assert (await ask(channel, b"\xff")).status.code == 7
    assert answers.asked[0][1] == "the message is no CheckRequest"


async def test_no_other_method_and_no_larger_message_is_taken() -> None:
    answers = Answers()
    async with listening(answers) as (_, channel):
        for method, message, code in (
            (CHECK.replace("v3", "v2"), QUESTION, grpc.StatusCode.UNIMPLEMENTED),
            (CHECK, bytes(1001 + (256 << 10)), grpc.StatusCode.RESOURCE_EXHAUSTED),
        ):
            with pytest.raises(aio.AioRpcError) as refused:
                await ask(channel, message, method)
            assert refused.value.code() is code
    assert answers.asked == []


async def test_what_was_begun_ends_though_envoy_waits_no_longer() -> None:
    answers = Answers()
    async with listening(answers) as (listener, channel):
        answers.may_end.clear()
        question = channel.unary_unary(CHECK)(QUESTION)
        await until(lambda: answers.asked)
        question.cancel()
        with pytest.raises(asyncio.CancelledError):
            await question
        assert (len(answers.asked), answers.ended) == (1, 0)
        assert not await listener.ends_within(0.05)
        answers.may_end.set()
        assert await listener.ends_within(5)
        assert answers.ended == 1


async def test_no_other_program_listens_at_its_address() -> None:
    async with listening(Answers()) as (listener, _):
        with socket.socket() as probe:
            port = listener._reserved[0].getsockname()[1]
            with pytest.raises(OSError, match="in use"):
                probe.bind(("127.0.0.1", port))
        with pytest.raises(AddressUnavailable):
            reserve("127.0.0.1", port)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("ipv4:192.0.2.7:443", "192.0.2.7"),
        ("ipv6:%5B2001:db8::7%5D:443", "2001:db8::7"),
        ("ipv6:[::1]:443", "::1"),
        ("unix:/run/a", ""),
        ("unix:", ""),
        ("", ""),
    ],
)
def test_the_peer_is_what_grpc_says(text: str, address: str) -> None:
    assert peer_of(text).address == address
