"""Rows of a list, in the order of their keys: read from a marker on, as many at a time as a page shows."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from typing import Any, TypeVar

from broker.operation import Call
from broker.paging import rows_at_once
from broker.storage.collection import Collection
from broker.storage.derived_records import RecordReference
from broker.storage.records import Record
from broker.storage.store import REFERENCES

R = TypeVar("R", bound=Record)
T = TypeVar("T")
Made = TypeVar("Made")

# How many rows are read at a time behind the first page, where few of them fit a filter.
_MORE = 200


async def rows_of(
    call: Call, collection: Collection[R], behind: str, max_items: int | None, prefix: str = ""
) -> AsyncGenerator[R, None]:
    """The account's records whose key begins with `prefix` and sorts behind `behind`."""
    async with aclosing(rows_in_parts(call, collection, behind, max_items, prefix)) as parts:
        async for part in parts:
            for row in part:
                yield row


async def rows_in_parts(
    call: Call, collection: Collection[R], behind: str, max_items: int | None, prefix: str = ""
) -> AsyncGenerator[list[R], None]:
    """As `rows_of`, some at a time. Between two parts other requests have their turn."""
    limit = rows_at_once(max_items)
    while True:
        part = await call.store.scan(collection, call.account, prefix, after=behind, limit=limit)
        yield part
        if len(part) < limit:
            return
        behind, limit = collection.key_of(part[-1]), max(limit, _MORE)
        await asyncio.sleep(0)


async def made_in_turns(items: Iterable[T], make: Callable[[T], Awaitable[Made]]) -> tuple[Made, ...]:
    """What is made of each item. Other requests have their turn in between."""
    made: list[Made] = []
    for number, item in enumerate(items, 1):
        made.append(await make(item))
        if number % _MORE == 0:
            await asyncio.sleep(0)
    return tuple(made)


async def sources_naming(
    call: Call, target: str, collection: Collection[R], behind: str, max_items: int | None
) -> AsyncGenerator[R, None]:
    """The records of `collection` that name `target`, by name: those behind the name `behind`."""
    prefix = f"{target} {collection.prefix}"
    parts = rows_in_parts(call, REFERENCES, f"{prefix}{behind}", max_items, prefix)
    async with aclosing(parts):
        async for part in parts:
            for record in await find_sources(call, part, collection):
                yield record


async def find_sources(
    call: Call, references: Iterable[RecordReference], collection: Collection[R]
) -> list[R]:
    """The records of `collection` among the sources of the references, in their order."""
    names = [one.source.removeprefix(collection.prefix) for one in references]
    found = await call.store.find_all(collection, call.account, names)
    return [record for record in found if record is not None]


async def is_named(call: Call, target: str, collection: Collection[Any]) -> bool:
    """Whether any record of `collection` names `target`."""
    prefix = f"{target} {collection.prefix}"
    return bool(await call.store.scan(REFERENCES, call.account, prefix, limit=1))
