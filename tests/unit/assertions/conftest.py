"""A provider with keys of every kind, and tokens that it signs."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm
from jwt.api_jws import PyJWS

from broker.assertions.checks import Checks
from broker.assertions.key_sets import VerificationKey, parse_key_set
from broker.assertions.unverified_token import read_token
from broker.assertions.web_identity import WebIdentityClaims, verify_web_identity

NOW = 1_800_000_000
ISSUER = "https://idp.example.com/realm"
CLIENT = "client-1"


class Provider:
    """An OpenID Connect provider: its private keys by key id, and the set that it publishes."""

    def __init__(self) -> None:
        self.private: dict[str, tuple[Any, str]] = {
            "rsa": (rsa.generate_private_key(public_exponent=65537, key_size=2048), "RS256"),
            "p256": (ec.generate_private_key(ec.SECP256R1()), "ES256"),
            "p384": (ec.generate_private_key(ec.SECP384R1()), "ES384"),
            "p521": (ec.generate_private_key(ec.SECP521R1()), "ES512"),
            "ed": (ed25519.Ed25519PrivateKey.generate(), "EdDSA"),
        }

    def public_jwk(self, key_id: str) -> dict[str, Any]:
        key = self.private[key_id][0].public_key()
        algorithm = {"rsa": RSAAlgorithm, "ed": OKPAlgorithm}.get(key_id, ECAlgorithm)
        return {**json.loads(algorithm.to_jwk(key)), "kid": key_id, "use": "sig"}

    @property
    def keys(self) -> tuple[VerificationKey, ...]:
        return parse_key_set(json.dumps({"keys": [self.public_jwk(name) for name in self.private]}).encode())

    def sign(
        self,
        claims: dict[str, Any],
        key_id: str = "rsa",
        *,
        algorithm: str | None = None,
        header: dict[str, Any] | None = None,
    ) -> str:
        key, usual = self.private[key_id]
        headers = {"kid": key_id, **(header or {})}
        return PyJWS().encode(json.dumps(claims).encode(), key, algorithm or usual, headers=headers)


@pytest.fixture(scope="session")
def provider() -> Provider:
    return Provider()


def usual_claims(**others: Any) -> dict[str, Any]:
    """A token's claims, changed by `others`; None takes a claim away."""
    claims = {"iss": ISSUER, "sub": "alice", "aud": CLIENT, "iat": NOW - 10, "exp": NOW + 300, **others}
    return {name: value for name, value in claims.items() if value is not None}


Verify = Callable[..., WebIdentityClaims]


@pytest.fixture
def verify(provider: Provider) -> Verify:
    """Read and verify a token as STS does; keyword arguments replace the usual question."""

    def verify_token(token: str, **others: Any) -> WebIdentityClaims:
        checks = others.pop("checks", None) or Checks()
        question = {
            "keys": provider.keys,
            "issuer": ISSUER,
            "client_ids": [CLIENT, "client-2"],
            "now": NOW,
            **others,
        }
        return verify_web_identity(read_token(token, checks), checks=checks, **question)

    return verify_token
