"""Which accounts a flush writes together: enough that a commit is worth its cost, few enough that others wait briefly.

SQLite writes a group in one commit, behind which every other write waits. Redis makes a commit for each account.
"""

from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence, Sized
from typing import TypeVar

from broker.storage.engine import EngineUnavailable

MOST_ACCOUNTS = 100
MOST_ITEMS = 2000

S = TypeVar("S", bound=Sized)


def groups_of(accounts: Iterable[tuple[str, S]]) -> Iterator[list[tuple[str, S]]]:
    """Accounts and their items, in order; an account of more than MOST_ITEMS is a group of its own."""
    group: list[tuple[str, S]] = []
    number = 0
    for account, items in accounts:
        if group and (len(group) == MOST_ACCOUNTS or number + len(items) > MOST_ITEMS):
            yield group
            group, number = [], 0
        group.append((account, items))
        number += len(items)
    if group:
        yield group


async def write_groups(
    accounts: Iterable[tuple[str, S]],
    write: Callable[[list[tuple[str, S]]], Awaitable[Sequence[EngineUnavailable]]],
) -> None:
    """Write the groups of `accounts`; `write` returns an error for each account that it could not write.

    It goes on while a part of the engine is away, as a master of a cluster. Raises the first error at the end.
    """
    failed: list[EngineUnavailable] = []
    in_a_row = 0
    for group in groups_of(accounts):
        errors = await write(group)
        failed += errors
        in_a_row = in_a_row + len(errors) if len(errors) == len(group) else 0
        if in_a_row >= MOST_ACCOUNTS:
            break
    if failed:
        raise failed[0]
