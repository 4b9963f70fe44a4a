"""Buckets are created and deleted while other requests for them are on their way: the owner loses none."""

import asyncio

import pytest
from aiohttp import web

from tests.unit.gateway.conftest import code_of

ERROR = "<Error><Code>{}</Code></Error>"


class Buckets:
    """A store with buckets. `held` keeps requests of a method back until its event is set; `forced` are answers to PUT,
    one after the other, each a status and whether the bucket is made all the same.
    """

    def __init__(self):
        self.names, self.held, self.forced = set(), {}, []
        self.arrived = asyncio.Queue()

    async def reply(self, request):
        return await self.answer(request.method, request.path.strip("/"))

    async def answer(self, method, name):
        if method == "DELETE":  # done at once, and answered late
            status = 204 if name in self.names else 404
            self.names.discard(name)
            await self.wait(method)
            return web.Response(status=status, text="" if status == 204 else ERROR.format("NoSuchBucket"))
        if method == "HEAD":
            status = 200 if name in self.names else 404
            await self.wait(method)
            return web.Response(status=status)
        forced = self.forced.pop(0) if self.forced else None
        await self.wait(method)
        if forced is not None:
            if forced[1]:
                self.names.add(name)
            return web.Response(status=forced[0], text=ERROR.format("SomeCode"))
        if name in self.names:
            return web.Response(status=409, text=ERROR.format("BucketAlreadyOwnedByYou"))
        self.names.add(name)
        return web.Response()

    async def wait(self, method):
        self.arrived.put_nowait(method)
        if method in self.held:
            await asyncio.wait_for(self.held[method].wait(), 10)

    async def arrive(self, *methods):
        """Wait until requests have arrived, of these methods in this order."""
        for method in methods:
            assert await asyncio.wait_for(self.arrived.get(), 10) == method


@pytest.fixture
def buckets(stack):
    made = Buckets()
    stack.store.reply = made.reply
    return made


async def is_on_record(stack):
    status, body = await stack.ask("GET", "/")
    assert status == 200
    return b"<Name>new</Name>" in body


def create(stack):
    return asyncio.create_task(stack.ask("PUT", "/new"))


async def test_a_retry_beside_the_first_request_takes_the_bucket_from_nobody(stack, buckets):
    buckets.held["HEAD"] = asyncio.Event()
    both = [create(stack), create(stack)]
    await buckets.arrive("HEAD", "HEAD")
    buckets.held["HEAD"].set()
    answers = await asyncio.gather(*both)
    assert sorted(status for status, _ in answers) == [200, 409]
    assert [code_of(body) for status, body in answers if status == 409] == ["BucketAlreadyOwnedByYou"]
    assert await is_on_record(stack)


@pytest.mark.parametrize("status", [409, 500, 503, 504])
async def test_a_bucket_that_was_made_though_the_store_says_otherwise_is_its_owners(stack, buckets, status):
    """What stands before the store has repeated the request, or has not waited for its answer."""
    buckets.forced = [(status, True)]
    assert (await create(stack))[0] == status
    assert await is_on_record(stack)
    again, body = await create(stack)
    assert (again, code_of(body)) == (409, "BucketAlreadyOwnedByYou")


@pytest.mark.parametrize("status", [400, 403])
async def test_a_bucket_that_the_store_refuses_is_not_on_record(stack, buckets, status):
    buckets.forced = [(status, False)]
    assert (await create(stack))[0] == status
    assert not await is_on_record(stack)


async def test_a_refused_request_takes_nothing_from_a_retry_that_was_faster(stack, buckets):
    buckets.held["PUT"] = asyncio.Event()
    buckets.forced = [(400, False)]
    first = create(stack)
    await buckets.arrive("HEAD", "PUT")
    slow = buckets.held.pop("PUT")
    assert (await create(stack))[0] == 200
    slow.set()
    assert (await first)[0] == 400
    assert await is_on_record(stack)


async def test_a_bucket_that_is_created_again_before_its_deletion_was_answered_stays(stack, buckets):
    assert (await create(stack))[0] == 200
    buckets.held["DELETE"] = asyncio.Event()
    deleting = asyncio.create_task(stack.ask("DELETE", "/new"))
    await buckets.arrive("HEAD", "PUT", "DELETE")
    assert (await create(stack))[0] == 200
    buckets.held["DELETE"].set()
    assert (await deleting)[0] == 204
    assert await is_on_record(stack)


async def test_a_deletion_that_comes_before_the_bucket_is_made_takes_it_from_nobody(stack, buckets):
    buckets.held["PUT"] = asyncio.Event()
    creating = create(stack)
    await buckets.arrive("HEAD", "PUT")
    assert (await stack.ask("DELETE", "/new"))[0] == 204
    buckets.held["PUT"].set()
    assert (await creating)[0] == 200
    assert await is_on_record(stack)


async def test_a_bucket_that_was_deleted_is_not_on_record(stack, buckets):
    assert (await create(stack))[0] == 200
    assert (await stack.ask("DELETE", "/new"))[0] == 204
    assert not await is_on_record(stack)
