"""Pages of the lists of Organizations: `NextToken`, `MaxResults`; at most twenty items, as on AWS."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from broker.errors import Refusal
from broker.organizations.refusals import invalid_input
from broker.paging import page

MOST_ITEMS = 20
T = TypeVar("T")


def page_of(
    items: Iterable[T], key: Callable[[T], str], next_token: str | None, max_results: int | None
) -> tuple[tuple[T, ...], str | None]:
    """One page in order of `key`, and the token of the next one; raises InvalidInputException for another token."""
    try:
        chosen = page(items, key, next_token, max_results or MOST_ITEMS)
    except Refusal:
        raise invalid_input(
            "INVALID_NEXT_TOKEN", "You provided a value for NextToken that is not valid."
        ) from None
    return chosen.items, chosen.marker
