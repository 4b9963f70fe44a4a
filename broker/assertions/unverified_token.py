"""JSON Web Tokens in compact form, read and not verified (RFC 7515, RFC 7519).

Without any cryptography, which the agent of a node would load for nothing: it verifies no token.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

import msgspec

from broker.assertions.checks import Checks
from broker.strict_json import read_object

LONGEST_TOKEN = 20_000  # characters, as in the model of AssumeRoleWithWebIdentity

RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")
CURVE_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
# Every signature algorithm that is accepted. All are asymmetric: a public key can never serve as a shared secret.
ALGORITHMS = frozenset((*RSA_ALGORITHMS, *CURVE_ALGORITHMS.values(), "EdDSA"))

_SPELT_ALGORITHMS = ", ".join(sorted(ALGORITHMS))


class UnverifiedToken(msgspec.Struct, frozen=True):
    """A parsed token whose signature is not verified."""

    text: str
    header: dict[str, Any]
    claims: dict[str, Any]

    @property
    def signing_input(self) -> str:
        """The signed text: header and claims as encoded in the token (RFC 7515, section 5.1)."""
        return self.text.rpartition(".")[0]

    @property
    def algorithm(self) -> str:
        return str(self.header["alg"])

    @property
    def key_id(self) -> str | None:
        return self.header.get("kid")


def read_token(unverified_text: str, checks: Checks) -> UnverifiedToken:
    """The token's header and claims; raises CheckFailed where its form or its algorithm is not acceptable."""
    size = len(unverified_text)
    checks.require("size", size <= LONGEST_TOKEN, found=size, wanted=f"at most {LONGEST_TOKEN} characters")
    header, claims = _read_parts(unverified_text, checks)
    algorithm = header.get("alg")
    checks.require(
        "algorithm",
        type(algorithm) is str and algorithm in ALGORITHMS,
        found=algorithm,
        wanted=_SPELT_ALGORITHMS,
    )
    # No extension is supported, so a token with critical ones is refused. RFC 7797's b64 changes what is signed.
    critical = [name for name in ("crit", "b64") if name in header]
    checks.require("critical headers", not critical, found=", ".join(critical) or "none", wanted="none")
    key_id = header.get("kid")
    checks.require(
        "key id", key_id is None or type(key_id) is str, found=type(key_id).__name__, wanted="text"
    )
    return UnverifiedToken(unverified_text, header, claims)


def _read_parts(unverified_text: str, checks: Checks) -> tuple[dict[str, Any], dict[str, Any]]:
    parts = unverified_text.split(".")
    checks.require("parts", len(parts) == 3, found=len(parts), wanted="3 parts, separated by dots")
    objects = []
    for name, part in zip(("header", "claims"), parts, strict=False):
        try:
            objects.append(read_object(decode_part(part)))
        except ValueError as error:
            raise checks.fail(name, found=error, wanted="a JSON object in base64url") from None
    return objects[0], objects[1]


def decode_part(part: str) -> bytes:
    """base64url without padding (RFC 7515, section 2); raises ValueError."""
    try:
        data = part.encode("ascii")
        decoded = urlsafe_b64decode(data + b"=" * (-len(data) % 4))
    except (UnicodeEncodeError, binascii.Error):
        raise ValueError("not base64url") from None
    # Strict: no ignored characters and no unused bits, so that each content has one encoding only.
    if urlsafe_b64encode(decoded).rstrip(b"=") != data:
        raise ValueError("not base64url")
    return decoded
