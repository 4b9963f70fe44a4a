"""Revocation lists from distribution points: fetched once, again after a while, and kept while the server is away."""

import asyncio
from collections.abc import Sequence

import pytest

from broker.federation.distribution_points import LIFETIME, RETRY_AFTER, DistributionPoints, ListUnavailable
from broker.federation.reach import Answer, FetchFailed

URL = "http://lists.example.com/a.crl"


class Publisher:
    """Gives `body`, or fails where there is none; `asked` are the URLs that were asked for."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.body: bytes | None = b"first"
        self.asked: list[str] = []

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer:
        self.asked.append(url)
        await asyncio.sleep(0)
        if self.body is None:
            raise FetchFailed("away")
        return Answer(self.body)


def parse(content: bytes) -> tuple[bytes, ...]:
    if content == b"broken":
        raise ValueError("is no list")
    return (content,)


def points_of(publisher: Publisher) -> DistributionPoints:
    return DistributionPoints(publisher, lambda: publisher.now, parse)


async def test_a_list_is_fetched_once_for_all_who_wait_and_again_after_its_lifetime() -> None:
    publisher = Publisher()
    points = points_of(publisher)
    assert await asyncio.gather(points.get(URL), points.get(URL)) == [(b"first",), (b"first",)]
    publisher.body = b"second"
    publisher.now += LIFETIME - 1
    assert await points.get(URL) == (b"first",)
    publisher.now += 1
    assert await points.get(URL) == (b"second",)
    assert publisher.asked == [URL, URL]


async def test_the_last_list_is_used_while_its_publisher_is_away() -> None:
    publisher = Publisher()
    points = points_of(publisher)
    await points.get(URL)
    publisher.body = None
    publisher.now += LIFETIME
    assert await points.get(URL) == (b"first",)
    assert await points.get(URL) == (b"first",)
    assert publisher.asked == [URL, URL], "it is not asked again at once"
    publisher.now += RETRY_AFTER
    publisher.body = b"second"
    assert await points.get(URL) == (b"second",)


@pytest.mark.parametrize(("body", "reason"), [(None, "away"), (b"broken", "is no list")])
async def test_without_a_list_there_is_a_reason(body: bytes | None, reason: str) -> None:
    publisher = Publisher()
    publisher.body = body
    points = points_of(publisher)
    for _ in range(2):
        with pytest.raises(ListUnavailable, match=reason):
            await points.get(URL)
    assert publisher.asked == [URL]
    await points.close()
