"""Who signs, for what, and over which headers: the part of an authorization that a client repeats all day.

"Create a signed AWS API request": a credential is `keyid/date/region/service/aws4_request`; a SigV4A credential
has no region. Because this part comes again and again, it is read once and what follows from it is kept with it.
"""

import re
from functools import cached_property

import msgspec

from broker.sigv4 import refusals

SYMMETRIC = "AWS4-HMAC-SHA256"
ASYMMETRIC = "AWS4-ECDSA-P256-SHA256"
TERMINATOR = "aws4_request"

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


class UnverifiedSigner(msgspec.Struct, frozen=True, dict=True):
    """A credential and the names of the signed headers, which are lower-case and sorted.

    `date` is YYYYMMDD. SigV4 names one `region`; SigV4A leaves it empty.
    """

    algorithm: str
    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]

    @cached_property
    def scope(self) -> str:
        """SigV4A leaves the region out: one signature is good for a set of them."""
        region = "" if self.algorithm == ASYMMETRIC else f"{self.region}/"
        return f"{self.date}/{region}{self.service}/{TERMINATOR}"

    @cached_property
    def key_name(self) -> tuple[str, ...]:
        """What a signing key is derived for, besides the secret."""
        if self.algorithm == ASYMMETRIC:
            return (self.access_key_id, ASYMMETRIC)
        return (self.access_key_id, self.date, self.region, self.service)

    @cached_property
    def signed(self) -> frozenset[str]:
        return frozenset(self.signed_headers)

    @cached_property
    def is_region_named(self) -> bool:
        """Whether the region could be one; SigV4A names none."""
        return self.algorithm != ASYMMETRIC and is_region_name(self.region)

    @cached_property
    def accounted_for(self) -> frozenset[str]:
        """Headers that may come with the signature, some of them: nothing where it does not even cover the host."""
        return self.signed | _UNSIGNED_HEADERS if "host" in self.signed else frozenset()

    @cached_property
    def signed_line(self) -> str:
        """The signed headers as the canonical request names them."""
        return ";".join(self.signed_headers)


def is_region_name(text: str) -> bool:
    return text.isascii() and text.replace("-", "").isalnum()


def read_signer(algorithm: str, credential: str, signed_headers: str) -> UnverifiedSigner:
    """Raises Refusal IncompleteSignature, or SignatureDoesNotMatch for a wrong terminator."""
    access_key_id, date, region, service = _parse_credential(algorithm, credential)
    names = _parse_signed_headers(signed_headers)
    return UnverifiedSigner(algorithm, access_key_id, date, region, service, names)


def _parse_credential(algorithm: str, credential: str) -> tuple[str, str, str, str]:
    """Access key id, date, region (empty for SigV4A) and service."""
    parts = credential.split("/")
    if algorithm == SYMMETRIC:
        if len(parts) != 5:
            raise refusals.malformed_credential(credential, "keyid/date/region/service/term")
        access_key_id, date, region, service, terminator = parts
    elif algorithm == ASYMMETRIC:
        if len(parts) != 4:
            raise refusals.malformed_credential(credential, "keyid/date/service/term")
        access_key_id, date, service, terminator = parts
        region = ""
    else:
        raise refusals.unsupported_algorithm(algorithm)
    if terminator != TERMINATOR:
        raise refusals.wrong_terminator(terminator, TERMINATOR)
    return access_key_id, date, region, service


def _parse_signed_headers(text: str) -> tuple[str, ...]:
    lowered = text.lower()
    # A presigned query could bring a line feed in here, and with it lines of its own into the canonical request.
    if _SIGNED_HEADERS.fullmatch(lowered) is None:
        raise refusals.malformed_signed_headers(text)
    return tuple(sorted({name for name in lowered.split(";") if name}))
