"""Signatures of JSON Web Tokens (RFC 7515), verified under the advice of RFC 8725.

Only keys of the provider are used: a key, a certificate or a URL in the token's own header is ignored.
"""

from collections.abc import Sequence

from jwt.algorithms import Algorithm
from jwt.api_jws import PyJWS
from jwt.exceptions import PyJWTError

from broker.assertions.checks import Checks
from broker.assertions.key_sets import VerificationKey
from broker.assertions.unverified_token import ALGORITHMS, UnverifiedToken, decode_part

# How many keys are tried for a token without a key id, or whose key id several keys have.
_MOST_TRIES = 8

_JWS = PyJWS(algorithms=sorted(ALGORITHMS))


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
        signature = decode_part(token.text.rpartition(".")[2])
    except ValueError:
        return False
    signed = token.signing_input.encode("ascii")
    return any(_is_signed_by(algorithm, signed, key, signature) for key in candidates)


def _is_signed_by(algorithm: Algorithm, signed: bytes, key: VerificationKey, signature: bytes) -> bool:
    try:
        return algorithm.verify(signed, key.key, signature) is True
    except (PyJWTError, ValueError):
        return False
