"""Who signs, for what, and over which headers: the part of an authorization that a client repeats all day.

"Create a signed AWS API request": a credential is `keyid/date/region/service/aws4_request`; a SigV4A credential
has no region. Because this part comes again and again, it is read once and what follows from it is kept with it.
"""

import re
from functools import cached_property, lru_cache

import msgspec

from broker.sigv4 import refusals

SYMMETRIC = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
TERMINATOR = "aws4_request"

LONGEST_REPEATED = 512  # characters of what clients repeat that are worth remembering

_SIGNED_HEADERS = re.compile(r"[!#$%&'*+.^_`|~0-9a-z;-]+")  # RFC 9110 tokens, lower case

# What clients and proxies commonly send unsigned. None is of Amazon's own (`x-amz-`); others are looked at one by one.
_UNSIGNED_HEADERS = frozenset(
    {
        "accept",
        "accept-encoding",
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "user-agent",
        "x-forwarded-for",
        "x-forwarded-host",
        "x-forwarded-proto",
    }
)


class UnverifiedScope(msgspec.Struct, frozen=True, dict=True):
    """What a credential is good for. `date` is YYYYMMDD. SigV4 names one `region`; SigV4A leaves it empty."""

    algorithm: str
    date: str
    region: str
    service: str

    @cached_property
    def text(self) -> str:
        """SigV4A leaves the region out: one signature is good for a set of them."""
        region = "" if self.algorithm == ASYMMETRIC else f"{self.region}/"
        return f"{self.date}/{region}{self.service}/{TERMINATOR}"

    @cached_property
    def is_region_named(self) -> bool:
        """Whether the region could be one; SigV4A names none."""
        return self.algorithm != ASYMMETRIC and is_region_name(self.region)

    def key_name(self, access_key_id: str) -> tuple[str, ...]:
        """What a signing key is derived for, besides the secret."""
        if self.algorithm == ASYMMETRIC:
            return (access_key_id, ASYMMETRIC)
        return (access_key_id, self.date, self.region, self.service)


class SignedHeaders(msgspec.Struct, frozen=True, dict=True):
    """The names of the signed headers, lower-case and sorted."""

    names: tuple[str, ...]

    @cached_property
    def all(self) -> frozenset[str]:
        return frozenset(self.names)

    @cached_property
    def accounted_for(self) -> frozenset[str]:
        """Headers that may come with the signature, some of them: nothing where it does not even cover the host."""
        return self.all | _UNSIGNED_HEADERS if "host" in self.all else frozenset()

    @cached_property
    def line(self) -> str:
        """The names as the canonical request has them."""
        return ";".join(self.names)


class UnverifiedSigner(msgspec.Struct, frozen=True):
    """A credential and the signed headers. Very many signers share a few scopes and sets of headers."""

    access_key_id: str
    scope: UnverifiedScope
    headers: SignedHeaders
    key_name: tuple[str, ...]


def is_region_name(text: str) -> bool:
    return text.isascii() and text.replace("-", "").isalnum()


def read_signer(algorithm: str, credential: str, signed_headers: str) -> UnverifiedSigner:
    """Raises Refusal IncompleteSignature, or SignatureDoesNotMatch for a wrong terminator."""
    access_key_id, _, rest = credential.partition("/")
    try:
        scope = (_known_scope if len(rest) <= LONGEST_REPEATED else _parse_scope)(algorithm, rest)
    except ValueError as error:
        raise refusals.malformed_credential(credential, str(error)) from None
    is_short = len(signed_headers) <= LONGEST_REPEATED
    headers = (_known_signed_headers if is_short else _parse_signed_headers)(signed_headers)
    return UnverifiedSigner(access_key_id, scope, headers, scope.key_name(access_key_id))


def _parse_scope(algorithm: str, text: str) -> UnverifiedScope:
    """What stands behind the access key id. Raises ValueError with the form that the credential should have."""
    parts = text.split("/")
    if algorithm == SYMMETRIC:
        if len(parts) != 4:
            raise ValueError("keyid/date/region/service/term")
        date, region, service, terminator = parts
    elif algorithm == ASYMMETRIC:
        if len(parts) != 3:
            raise ValueError("keyid/date/service/term")
        date, service, terminator = parts
        region = ""
    else:
        raise refusals.unsupported_algorithm(algorithm)
    if terminator != TERMINATOR:
        raise refusals.wrong_terminator(terminator, TERMINATOR)
    return UnverifiedScope(algorithm, date, region, service)


def _parse_signed_headers(text: str) -> SignedHeaders:
    lowered = text.lower()
    # A presigned query could bring a line feed in here, and with it lines of its own into the canonical request.
    if _SIGNED_HEADERS.fullmatch(lowered) is None:
        raise refusals.malformed_signed_headers(text)
    return SignedHeaders(tuple(sorted({name for name in lowered.split(";") if name})))


_known_scope = lru_cache(maxsize=256)(_parse_scope)
_known_signed_headers = lru_cache(maxsize=256)(_parse_signed_headers)
