"""Pages of EKS's lists: a token is the key of the last item. It is no secret: who may list, may list all of them."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Sequence
from typing import TypeVar

from broker.errors import Refusal

DEFAULT = 100

T = TypeVar("T")


def page_after(
    items: Sequence[T], key: Callable[[T], str], unverified_token: str | None, most: int | None
) -> tuple[list[T], str | None]:
    """The items behind that of the token, in the order of their keys, and the token of the next page."""
    after = _open(unverified_token) if unverified_token else ""
    ordered = sorted((item for item in items if key(item) > after), key=key)
    size = most or DEFAULT
    shown = ordered[:size]
    return shown, _token(key(shown[-1])) if len(ordered) > size else None


def _token(key: str) -> str:
    return urlsafe_b64encode(key.encode()).decode()


def _open(unverified_token: str) -> str:
    try:
        return urlsafe_b64decode(unverified_token.encode("ascii")).decode()
    except ValueError:
        raise Refusal("InvalidParameterException", "nextToken is not of this list.") from None
