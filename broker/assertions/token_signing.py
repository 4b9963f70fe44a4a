"""Signing of tokens that the broker issues (RFC 7515), and new keys for it, published as JWKs (RFC 7517).

The algorithms are those of sts:GetWebIdentityToken (RFC 7518, 3.3 and 3.4).
"""

from functools import lru_cache
from typing import Any

import msgspec
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from jwt.algorithms import ECAlgorithm, RSAAlgorithm
from jwt.api_jws import PyJWS

from broker.names.secret import SecretKey

RS256, ES384 = "RS256", "ES384"
SIGNING_ALGORITHMS = (ES384, RS256)

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

_LOADED_KEYS = 256  # private keys that stay loaded
_JWS = PyJWS(algorithms=list(SIGNING_ALGORITHMS))


class KeyPair(msgspec.Struct, frozen=True):
    """The private key in PEM (PKCS #8), the public one as a JWK in JSON."""

    private_key: SecretKey
    public_key: str


def new_key_pair(algorithm: str, key_id: str) -> KeyPair:
    """A new key for one of SIGNING_ALGORITHMS; RSA takes about a tenth of a second.

    The library draws the randomness itself: it makes keys in no other way.
    """
    key: PrivateKey
    if algorithm == RS256:
        key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        public: dict[str, Any] = RSAAlgorithm.to_jwk(key.public_key(), as_dict=True)
    else:
        key = ec.generate_private_key(ec.SECP384R1())
        public = ECAlgorithm.to_jwk(key.public_key(), as_dict=True)
    # A JWK should not have both `use` and `key_ops` (RFC 7517, 4.3).
    public = {name: value for name, value in public.items() if name != "key_ops"}
    jwk = {**public, "use": "sig", "alg": algorithm, "kid": key_id}
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    return KeyPair(SecretKey(pem), msgspec.json.encode(jwk).decode())


def sign_token(
    payload: bytes, algorithm: str, key_id: str, private_key: SecretKey, header_type: str = "JWT"
) -> str:
    """The token in compact form; `payload` is the claims in JSON. Takes half a millisecond."""
    headers = {"kid": key_id, "typ": header_type}
    return _JWS.encode(payload, _load(private_key), algorithm, headers=headers)


@lru_cache(maxsize=_LOADED_KEYS)
def _load(private_key: SecretKey) -> PrivateKey:
    # Not validated again, which takes 45 ms for RSA: the key was made here, and its record is sealed.
    key = load_pem_private_key(
        private_key.reveal().encode(), password=None, unsafe_skip_rsa_key_validation=True
    )
    assert isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey)
    return key
