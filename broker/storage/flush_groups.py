"""Which accounts a flush writes together: enough that a commit is worth its cost, few enough that others wait briefly.

SQLite writes a group in one commit, behind which every other write waits. Redis makes a commit for each account.
"""

from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

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
