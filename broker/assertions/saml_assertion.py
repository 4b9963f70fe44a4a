"""A verified SAML assertion, and what a response has to match: plain data, without XML."""

from collections.abc import Mapping

import msgspec

LEEWAY = 60  # seconds that a provider's clock may differ from ours, either way


class Expected(msgspec.Struct, frozen=True):
    """What a response has to match: `recipients` are URLs of the assertion consumer, `audiences` our entity ids.

    `request_id` is that of our request; None where the provider starts the login.
    """

    recipients: tuple[str, ...]
    audiences: tuple[str, ...]
    request_id: str | None = None
    allow_sha1: bool = False
    leeway: int = LEEWAY


class NameId(msgspec.Struct, frozen=True):
    """The subject. `format` is a URI, or empty."""

    value: str
    format: str = ""


class SamlAssertion(msgspec.Struct, frozen=True):
    """A verified assertion; times in epoch seconds. after `expires_at` a replay is never accepted.

    `in_response_to` is the id of the request that it answers; "" where the provider started the login.
    """

    id: str
    issuer: str
    name_id: NameId
    recipient: str
    audiences: tuple[str, ...]
    issued_at: float
    expires_at: float
    session_expires_at: float | None
    attributes: Mapping[str, tuple[str, ...]]
    in_response_to: str = ""
