"""DPoP (RFC 9449): a client proves with each request for tokens that it has the private key to which they are bound.

Unlike everywhere else, the key is in the token's own header: what it proves is only that it is the same key as before.
"""

from hashlib import sha256
from urllib.parse import urlsplit

import msgspec
from jwt.utils import base64url_decode, base64url_encode

from broker.assertions.checks import Checks
from broker.assertions.json_web_token import verify_signature
from broker.assertions.key_sets import parse_key_set
from broker.assertions.unverified_token import read_token

LEEWAY = 300.0  # seconds that the client's clock may be off
_ALGORITHM = "ES256"
_LONGEST_ID = 256
_COORDINATE_SIZE = 32  # octets, of P-256


class PossessionProof(msgspec.Struct, frozen=True):
    """A proof that was verified: of which key (RFC 7638), and its id, which is good for once."""

    thumbprint: str
    proof_id: str


def verify_possession(
    unverified_proof: str, method: str, host: str, path: str, now: float, checks: Checks
) -> PossessionProof:
    """The proof for a request to `path` at `host`; raises CheckFailed.

    Which scheme the client sees is not known behind a proxy, nor below which path the proxy serves it.
    """
    token = read_token(unverified_proof, checks)
    header, claims = token.header, token.claims
    checks.require("type", header.get("typ") == "dpop+jwt", found=header.get("typ"), wanted="dpop+jwt")
    checks.require("proof algorithm", token.algorithm == _ALGORITHM, found=token.algorithm, wanted=_ALGORITHM)
    jwk = _at_full_size(header.get("jwk"))
    try:
        keys = parse_key_set(msgspec.json.encode({"keys": [jwk]}))
    except ValueError as error:
        raise checks.fail("proof key", found=error, wanted="one public key of P-256") from None
    verify_signature(token, keys, checks)
    checks.require("htm", claims.get("htm") == method, found=claims.get("htm"), wanted=method)
    checks.require("htu", _is_for(claims.get("htu"), host, path), found=claims.get("htu"), wanted=host + path)
    issued_at, proof_id = claims.get("iat"), claims.get("jti")
    # No difference: JSON has whole numbers for which there is no float.
    is_recent = isinstance(issued_at, int | float) and now - LEEWAY <= issued_at <= now + LEEWAY
    checks.require("iat", is_recent, found=issued_at, wanted=f"within {LEEWAY:.0f} s of {now:.0f}")
    checks.require("jti", type(proof_id) is str and 0 < len(proof_id) <= _LONGEST_ID, wanted="an id")
    assert type(jwk) is dict, "it was parsed"
    return PossessionProof(thumbprint_of(jwk), str(proof_id))


def thumbprint_of(jwk: dict[str, object]) -> str:
    """Of an elliptic curve key: its required members in order, without white space (RFC 7638, 3)."""
    members = {name: jwk[name] for name in ("crv", "kty", "x", "y")}
    return base64url_encode(sha256(msgspec.json.encode(members)).digest()).decode()


def _at_full_size(unverified_jwk: object) -> object:
    """The key with the coordinates of 32 octets that RFC 7518, 6.2.1.2, demands.

    The AWS CLI leaves out octets of value 0 at their beginning: one key in 128 has a coordinate that is shorter.
    """
    if type(unverified_jwk) is not dict:
        return unverified_jwk
    return {name: _padded(value) if name in ("x", "y") else value for name, value in unverified_jwk.items()}


def _padded(unverified_coordinate: object) -> object:
    if type(unverified_coordinate) is not str:
        return unverified_coordinate
    try:
        octets = base64url_decode(unverified_coordinate)
    except ValueError:
        return unverified_coordinate
    return base64url_encode(octets.rjust(_COORDINATE_SIZE, b"\0")).decode()


def _is_for(unverified_url: object, host: str, path: str) -> bool:
    if type(unverified_url) is not str:
        return False
    try:
        url = urlsplit(unverified_url)
    except ValueError:
        return False
    is_plain = url.scheme in ("http", "https") and not url.query and not url.fragment
    return is_plain and url.netloc.lower() == host.lower() and url.path.endswith(path)
