"""A verified SAML assertion, and what a response has to match: plain data, without XML."""

import re
from collections.abc import Mapping

import msgspec

LEEWAY = 60  # seconds that a provider's clock may differ from ours, either way


# AWS's own consumer, and the other forms of its address: of a region, the older path, that of one provider.
AWS_CONSUMER = "https://signin.aws.amazon.com/saml"
_aws_form = re.compile(
    r"https://(?:[a-z]{2,3}(?:-[a-z]+)+-[0-9]\.)?signin\.aws\.amazon\.com/(?:(?:static/)?saml|saml/acs/([A-Z0-9]{1,64}))"
).fullmatch


class Expected(msgspec.Struct, frozen=True):
    """What a response has to match: `recipients` are URLs of the assertion consumer, `audiences` our entity ids.

    `request_id` is that of our request; None where the provider starts the login. `provider_id` is the unique id of the
    provider's record, which is in the address that AWS has for this provider alone.
    """

    recipients: tuple[str, ...]
    audiences: tuple[str, ...]
    request_id: str | None = None
    allow_sha1: bool = False
    leeway: int = LEEWAY
    provider_id: str = ""

    def admits(self, unverified_recipient: str) -> bool:
        """Whether this is one of the recipients; AWS's address includes all of its forms."""
        if unverified_recipient in self.recipients:
            return True
        form = _aws_form(unverified_recipient) if AWS_CONSUMER in self.recipients else None
        return form is not None and form[1] in (None, self.provider_id)


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
