"""Pages of lists: a token is the key of the last item. It is no secret: who may list, may list all of them."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

from broker.identity_pools.refusals import invalid

T = TypeVar("T")


def page_after(
    items: Sequence[T], key: Callable[[T], str], unverified_token: str | None, most: int
) -> tuple[list[T], str | None]:
    """The items behind that of the token, in the order of their keys, and the token of the next page."""
    after = _open(unverified_token) if unverified_token else ""
    ordered = sorted((item for item in items if key(item) > after), key=key)
    shown = ordered[:most]
    return shown, _token(key(shown[-1])) if len(ordered) > most else None


def _token(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode()


def _open(unverified_token: str) -> str:
    try:
        return urlsafe_b64decode(unverified_token.encode("ascii")).decode()
    except ValueError:
        raise invalid("Invalid NextToken.") from None
