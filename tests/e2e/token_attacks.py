"""Attacks on web identity tokens: what an attacker sends, and the check that refuses it.

The attacker has a token of the provider and whatever the provider publishes. Where an attack is about what a token
says, the provider itself has signed it: with its real keys.
"""

import hashlib
import hmac
import json
import secrets
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from jwt.algorithms import RSAAlgorithm
from jwt.api_jwk import PyJWK
from jwt.api_jws import PyJWS

from tests.identity_providers.openid_provider import OpenIdProvider

DAY = 24 * 3600


def encoded(value: object) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def decoded(part: str) -> Any:
    return json.loads(urlsafe_b64decode(part + "=="))


@dataclass(frozen=True)
class Attacker:
    """`token` is a true one, of RS256; `trap` a URL of the attacker's, where nobody must ask."""

    provider: OpenIdProvider
    token: str
    trap: str
    own: rsa.RSAPrivateKey = field(
        default_factory=lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048)
    )

    @cached_property
    def parts(self) -> list[str]:
        return self.token.split(".")

    @property
    def header(self) -> dict[str, Any]:
        return dict(decoded(self.parts[0]))

    @property
    def claims(self) -> dict[str, Any]:
        return dict(decoded(self.parts[1]))

    def by_the_provider(self, *, alg: str = "RS256", header: Any = None, **changes: Any) -> str:
        """Signed with the provider's key; None takes a claim away."""
        (jwk,) = (key for key in self.provider.keys if key["alg"][:2] == ("ES" if alg[:2] == "ES" else "RS"))
        key = PyJWK({**jwk, "alg": alg}).key
        return self._signed(key, alg, {"kid": jwk["kid"], **(header or {})}, changes)

    def by_itself(self, header: Any = None, **changes: Any) -> str:
        """Signed with the attacker's key, and the provider's key id in its header."""
        return self._signed(self.own, "RS256", {"kid": self.header["kid"], **(header or {})}, changes)

    def unsigned(self, header: Any, claims: Any = None, signature: bytes = b"") -> str:
        """The texts as they are given, and something for a signature."""
        return f"{encoded(header)}.{encoded(claims or self.claims)}.{encoded(signature)}"

    def by_secret(self, secret: bytes) -> str:
        """The provider's public key taken for a shared secret."""
        signed = f"{encoded({'alg': 'HS256', 'kid': self.header['kid']})}.{encoded(self.claims)}"
        return f"{signed}.{encoded(hmac.digest(secret, signed.encode(), hashlib.sha256))}"

    def _signed(self, key: Any, algorithm: str, header: dict[str, Any], changes: dict[str, Any]) -> str:
        claims = {**self.claims, **changes}
        text = json.dumps({name: value for name, value in claims.items() if value is not None})
        return PyJWS().encode(text.encode(), key, algorithm, headers=header)

    @property
    def public_key(self) -> rsa.RSAPublicKey:
        (jwk,) = (key for key in self.provider.keys if key["alg"] == "RS256")
        return PyJWK(jwk).key.public_key()

    @property
    def own_jwk(self) -> dict[str, Any]:
        return dict(json.loads(RSAAlgorithm.to_jwk(self.own.public_key())))


def pem(key: rsa.RSAPublicKey) -> bytes:
    return key.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


def now(offset: int = 0) -> int:
    return int(time.time()) + offset


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"


def with_claim_twice(attacker: Attacker) -> str:
    text = json.dumps(attacker.claims)[:-1] + ',"sub":"root"}'
    return attacker.unsigned(attacker.header, text.encode())


def of_the_curve_with_zeros(attacker: Attacker) -> str:
    """CVE-2022-21449: r and s are 0."""
    (jwk,) = (key for key in attacker.provider.keys if key["alg"] == "ES256")
    return attacker.unsigned({"alg": "ES256", "kid": jwk["kid"]}, None, bytes(64))


def by_a_foreign_issuer(attacker: Attacker) -> str:
    """Another provider of the same key ids signs what the victim's would."""
    key = ec.generate_private_key(ec.SECP256R1())
    (jwk,) = (one for one in attacker.provider.keys if one["alg"] == "ES256")
    return PyJWS().encode(json.dumps(attacker.claims).encode(), key, "ES256", headers={"kid": jwk["kid"]})


Attack = Callable[[Attacker], str]

# Attack -> what is sent, and the check that refuses it.
ATTACKS: dict[str, tuple[Attack, str]] = {
    "alg none": (lambda a: a.unsigned({"alg": "none"}), "algorithm"),
    "alg nOnE": (lambda a: a.unsigned({"alg": "nOnE"}), "algorithm"),
    "no alg": (lambda a: a.unsigned({"kid": a.header["kid"]}), "algorithm"),
    "alg is a list": (lambda a: a.unsigned({"alg": ["RS256"]}), "algorithm"),
    "alg none with the true signature": (
        lambda a: a.unsigned({**a.header, "alg": "none"}, a.claims, urlsafe_b64decode(a.parts[2] + "==")),
        "algorithm",
    ),
    "the public key in PEM as a secret": (lambda a: a.by_secret(pem(a.public_key)), "algorithm"),
    "the public modulus as a secret": (
        lambda a: a.by_secret(str(a.public_key.public_numbers().n).encode()),
        "algorithm",
    ),
    "an empty secret": (lambda a: a.by_secret(b""), "algorithm"),
    "a key of RSA named for a curve": (
        lambda a: a.unsigned({**a.header, "alg": "ES256"}, None, bytes(64)),
        "key",
    ),
    "zeros as a signature of a curve": (of_the_curve_with_zeros, "signature"),
    "kid is a path": (lambda a: a.by_itself({"kid": "../../../../dev/null"}), "key"),
    "kid is SQL": (lambda a: a.by_itself({"kid": "x' UNION SELECT 'AAAA' --"}), "key"),
    "kid is a command": (lambda a: a.by_itself({"kid": "| id > /tmp/kid"}), "key"),
    "kid is a URL": (lambda a: a.by_itself({"kid": a.trap}), "key"),
    "kid is empty": (lambda a: a.by_itself({"kid": ""}), "key"),
    "kid ends with a zero byte": (lambda a: a.by_itself({"kid": a.header["kid"] + "\0"}), "key"),
    "kid is no text": (lambda a: a.unsigned({"alg": "RS256", "kid": {"a": 1}}), "key id"),
    "jwk in the header": (lambda a: a.by_itself({"jwk": a.own_jwk}), "signature"),
    "jku in the header": (lambda a: a.by_itself({"jku": f"{a.trap}/keys"}), "signature"),
    "x5u in the header": (lambda a: a.by_itself({"x5u": f"{a.trap}/chain"}), "signature"),
    "x5c in the header": (lambda a: a.by_itself({"x5c": ["MIIB"]}), "signature"),
    "crit in the header": (lambda a: a.unsigned({**a.header, "crit": ["exp"], "exp": 1}), "critical headers"),
    "b64 in the header": (
        lambda a: a.unsigned({**a.header, "b64": False, "crit": ["b64"]}),
        "critical headers",
    ),
    "a foreign issuer of the same kid": (by_a_foreign_issuer, "signature"),
    "an issuer that nobody registered": (lambda a: a.by_itself(iss=a.trap), "provider"),
    "an issuer with a slash behind it": (
        lambda a: a.by_the_provider(iss=a.provider.issuer + "/"),
        "provider",
    ),
    "an issuer that is a list": (lambda a: a.by_the_provider(iss=[a.provider.issuer]), "provider"),
    "a changed subject": (
        lambda a: f"{a.parts[0]}.{encoded({**a.claims, 'sub': 'root'})}.{a.parts[2]}",
        "signature",
    ),
    "a stripped signature": (lambda a: f"{a.parts[0]}.{a.parts[1]}.", "signature"),
    "padding behind the signature": (lambda a: a.token + "=", "signature"),
    "a wrong audience": (lambda a: a.by_the_provider(aud="https://other.example.com"), "audience"),
    "a wrong authorized party": (lambda a: a.by_the_provider(azp="other"), "audience"),
    "no audience": (lambda a: a.by_the_provider(aud=None), "audience"),
    "no subject": (lambda a: a.by_the_provider(sub=None), "subject"),
    "expired": (lambda a: a.by_the_provider(iat=now(-7200), exp=now(-3600), nbf=None), "expiry"),
    "no expiry": (lambda a: a.by_the_provider(exp=None), "exp"),
    "an expiry that is no number": (lambda a: a.by_the_provider(exp="9999999999"), "exp"),
    "an expiry beyond the last year": (lambda a: a.by_the_provider(exp=10**20), "exp"),
    "from the far future": (
        lambda a: a.by_the_provider(iat=now(3650 * DAY), exp=now(3651 * DAY), nbf=None),
        "issued at",
    ),
    "not valid yet": (lambda a: a.by_the_provider(nbf=now(3600), exp=now(7200)), "not before"),
    "older than a day": (lambda a: a.by_the_provider(iat=now(-DAY - 3600), nbf=None), "redemption"),
    "a claim twice": (with_claim_twice, "claims"),
    "alg twice": (lambda a: a.unsigned(b'{"alg":"none","alg":"RS256"}'), "header"),
    "two claims that differ in case": (lambda a: a.by_the_provider(SUB="root"), "claims"),
    "nested seventeen deep": (lambda a: a.unsigned(a.header, nested(17)), "claims"),
    "nested five thousand deep": (lambda a: a.unsigned(a.header, nested(5000)), "claims"),
    "four parts": (lambda a: a.token + ".AAAA", "parts"),
    "an encrypted token": (
        lambda a: ".".join([encoded({"alg": "dir", "enc": "A256GCM"})] + ["AAAA"] * 4),
        "parts",
    ),
    "claims that are no object": (lambda a: a.unsigned(a.header, b"[]"), "claims"),
    "half a character": (lambda a: a.unsigned(a.header, b'{"sub":"\\ud800"}'), "claims"),
    "tags that are no texts": (
        lambda a: a.by_the_provider(**{"https://aws.amazon.com/tags": {"principal_tags": {"a": [1]}}}),
        "session tags",
    ),
    "a thousand claims": (
        lambda a: a.by_the_provider(**{f"c{number}": 1 for number in range(600)}),
        "claims",
    ),
}

OVERSIZED: Attack = lambda a: a.by_the_provider(padding=secrets.token_hex(20_000))  # noqa: E731
