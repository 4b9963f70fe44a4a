"""JSON Web Tokens in compact form (RFC 7515, RFC 7519), under the advice of RFC 8725.

Only keys of the provider are used: a key, a certificate or a URL in the token's own header is ignored.
"""

import binascii
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from typing import Any

import msgspec
from jwt.algorithms import Algorithm
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from broker.assertions.checks import Checks
from broker.assertions.key_sets import ALGORITHMS, VerificationKey
from broker.strict_json import read_object

LONGEST_TOKEN = 20_000  # characters, as in the model of AssumeRoleWithWebIdentity

# How many keys are tried for a token without a key id, or whose key id several keys have.
_MOST_TRIES = 8

_JWS = PyJWS(algorithms=sorted(ALGORITHMS))
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
            objects.append(read_object(_decode(part)))
        except ValueError as error:
            raise checks.fail(name, found=error, wanted="a JSON object in base64url") from None
    return objects[0], objects[1]


def _decode(part: str) -> bytes:
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


def candidate_keys(token: UnverifiedToken, keys: Sequence[VerificationKey]) -> list[VerificationKey]:
    """The keys that may have signed: those of the token's algorithm, and of its key id where it has one."""
    return [key for key in keys if token.algorithm in key.algorithms and token.key_id in (None, key.key_id)]


def verify_signature(token: UnverifiedToken, keys: Sequence[VerificationKey], checks: Checks) -> None:
    """Raises CheckFailed where no key of the provider made the token's signature."""
    candidates = candidate_keys(token, keys)
    wanted = f"a key of the provider for {token.algorithm}" + (
        "" if token.key_id is None else f" with the id {token.key_id}"
    )
    checks.require("key", 0 < len(candidates) <= _MOST_TRIES, found=f"{len(candidates)} keys", wanted=wanted)
    checks.require(
        "signature",
        _is_signed_by_one_of(token, candidates),
        found=f"made by none of {len(candidates)} keys",
        wanted="made by a key of the provider",
    )


def _is_signed_by_one_of(token: UnverifiedToken, candidates: Sequence[VerificationKey]) -> bool:
    """Uses PyJWT's algorithms only: its parsing of the token would repeat `read_token`."""
    algorithm = _JWS.get_algorithm_by_name(token.algorithm)
    try:
        signature = _decode(token.text.rpartition(".")[2])
    except ValueError:
        return False
    signed = token.signing_input.encode("ascii")
    return any(_is_signed_by(algorithm, signed, key, signature) for key in candidates)


def _is_signed_by(algorithm: Algorithm, signed: bytes, key: VerificationKey, signature: bytes) -> bool:
    try:
        return algorithm.verify(signed, key.key, signature) is True
    except (PyJWTError, ValueError):
        return False
