"""Pages of the service's lists."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from broker import paging
from broker.identity_store.errors import invalid

T = TypeVar("T")


def page_after(
    items: Iterable[T], key: Callable[[T], str], unverified_token: str | None, most: int
) -> tuple[list[T], str | None]:
    """As `broker.paging.page_after`, with the service's refusal."""
    return paging.page_after(items, key, unverified_token, most, invalid)


def key_before_page(unverified_token: str | None) -> str:
    """The same, of `broker.paging.key_before_page`."""
    return paging.key_before_page(unverified_token, invalid)
