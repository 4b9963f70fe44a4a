"""The signer: credential scope and signed headers, the part of an authorization that a client repeats all day.

"Create a signed AWS API request": a credential is `keyid/date/region/service/aws4_request`; a SigV4A credential
has no region. Because clients repeat this part, it is parsed once and cached with what is derived from it.
"""

import re
from functools import cached_property, lru_cache

import msgspec

from broker.sigv4 import refusals

SYMMETRIC = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
# A signature by the key of a certificate, whose serial number is in place of an access key id: RSA, ECDSA or ML-DSA.
CERTIFICATE_PREFIX = "AWS4-X509-"
_OF_CERTIFICATES = frozenset(
    f"{CERTIFICATE_PREFIX}{kind}" for kind in ("RSA-SHA256", "ECDSA-SHA256", "MLDSA")
)
TERMINATOR = "aws4_request"

LONGEST_REPEATED = 512  # characters; longer texts are not cached

_SIGNED_HEADERS = re.compile(r"[!#$%&'*+.^_`|~0-9a-z;-]+")  # RFC 9110 tokens, lower case

# Headers that clients and proxies commonly send unsigned, none of them `x-amz-`; others are checked one by one.
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
    """The scope of a credential. `date` is YYYYMMDD. SigV4 names one `region`; in SigV4A it is empty."""

    algorithm: str
    date: str
    region: str
    service: str

    @cached_property
    def text(self) -> str:
        """SigV4A omits the region: one signature is valid for a set of regions."""
        region = "" if self.algorithm == ASYMMETRIC else f"{self.region}/"
        return f"{self.date}/{region}{self.service}/{TERMINATOR}"

    @cached_property
    def is_of_certificate(self) -> bool:
        """Whether the key of a certificate signs, not a secret."""
        return self.algorithm in _OF_CERTIFICATES

    @cached_property
    def is_region_named(self) -> bool:
        """Whether the region has the form of one; False for SigV4A."""
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
    def needing_no_check(self) -> frozenset[str]:
        """Headers that need no further check; empty where the host is not signed."""
        return self.all | _UNSIGNED_HEADERS if "host" in self.all else frozenset()

    @cached_property
    def line(self) -> str:
        """The names as the canonical request has them."""
        return ";".join(self.names)


class UnverifiedSigner(msgspec.Struct, frozen=True, gc=False):
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
        scope = (_cached_scope if len(rest) <= LONGEST_REPEATED else _parse_scope)(algorithm, rest)
    except ValueError as error:
        raise refusals.malformed_credential(credential, str(error)) from None
    is_short = len(signed_headers) <= LONGEST_REPEATED
    headers = (_cached_signed_headers if is_short else _parse_signed_headers)(signed_headers)
    return UnverifiedSigner(access_key_id, scope, headers, scope.key_name(access_key_id))


def _parse_scope(algorithm: str, text: str) -> UnverifiedScope:
    """The credential without its access key id. Raises ValueError with the form that the credential should have."""
    parts = text.split("/")
    if algorithm == SYMMETRIC or algorithm in _OF_CERTIFICATES:
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
    # A presigned query may hold a line feed here, which would add lines to the canonical request.
    if _SIGNED_HEADERS.fullmatch(lowered) is None:
        raise refusals.malformed_signed_headers(text)
    return SignedHeaders(tuple(sorted({name for name in lowered.split(";") if name})))


_cached_scope = lru_cache(maxsize=256)(_parse_scope)
_cached_signed_headers = lru_cache(maxsize=256)(_parse_signed_headers)
