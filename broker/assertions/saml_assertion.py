"""A SAML assertion as it is proven, and what it has to be: plain data, without the XML that it came in."""

from collections.abc import Mapping

import msgspec

LEEWAY = 60  # seconds that a provider's clock may differ from ours, either way


class Expected(msgspec.Struct, frozen=True):
    """Whom a response has to be meant for: `recipients` are URLs of the assertion consumer, `audiences` our names.

    `request_id` is that of the request which the response answers; None where no request was made.
    """

    recipients: tuple[str, ...]
    audiences: tuple[str, ...]
    request_id: str | None = None
    allow_sha1: bool = False
    leeway: int = LEEWAY


class NameId(msgspec.Struct, frozen=True):
    """The subject. `format` is a URI, empty where none is given."""

    value: str
    format: str = ""


class SamlAssertion(msgspec.Struct, frozen=True):
    """A verified assertion; times in epoch seconds. `expires_at` is when the last of its replays could be accepted."""

    id: str
    issuer: str
    name_id: NameId
    recipient: str
    audiences: tuple[str, ...]
    issued_at: float
    expires_at: float
    session_expires_at: float | None
    attributes: Mapping[str, tuple[str, ...]]
