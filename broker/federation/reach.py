"""Which URLs may be fetched, and answers; without the HTTP client, which is imported only when needed."""

from collections.abc import Mapping
from typing import Protocol
from urllib.parse import urlsplit

import msgspec

from broker.federation.addresses import find_address, is_admitted


class FetchFailed(Exception):
    """Why there is no answer; the text is for the operator."""


class Reach(msgspec.Struct, frozen=True):
    """`plain_http` admits http URLs, `private_networks` admits addresses that are not public."""

    plain_http: bool = False
    private_networks: tuple[str, ...] = ()


class Answer(msgspec.Struct, frozen=True):
    """The body and the Cache-Control header of a 200 response."""

    body: bytes
    cache_control: str = ""


class StatusAnswer(msgspec.Struct, frozen=True):
    """What a service answered to a question, whatever its status; it may hold personal data."""

    status: int
    body: bytes


class Asks(Protocol):
    """An HTTP client that asks a service of the operator's, or of a provider's, about a secret."""

    async def ask(
        self, method: str, url: str, secret_query: Mapping[str, str], headers: Mapping[str, str]
    ) -> StatusAnswer:
        """The answer; raises FetchFailed, whose words do not hold `secret_query`. Redirects are not followed."""
        ...


def require_admitted(url: str, reach: Reach) -> None:
    """Raises FetchFailed where the scheme of the URL, or an address in it, is not admitted.

    An address in a URL is never resolved, so AdmittedResolver does not check it.

    # DANGER: an HTTP client reads a host that is not ASCII by UTS #46, which makes full-width digits an address.
    """
    try:
        parts = urlsplit(url)
        host = parts.hostname or ""
    except ValueError:
        raise FetchFailed(f"{url} is no URL") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and reach.plain_http):
        raise FetchFailed(f"{url} is not https")
    if not host or parts.username is not None or parts.password is not None:
        raise FetchFailed(f"{url} names no host, or a user")
    if not host.isascii():
        raise FetchFailed(f"{url} names a host that is not ASCII: IDNA has a form of it (xn--…) that is")
    address = find_address(host)
    if address is not None and not is_admitted(address, reach.private_networks):
        raise FetchFailed(f"{url} is at an address that may not be reached")
