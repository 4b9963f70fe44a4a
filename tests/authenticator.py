"""An authenticator of WebAuthn in software: it makes passkeys and signs challenges, or as an attacker would have it."""

import json
import secrets
from base64 import urlsafe_b64decode, urlsafe_b64encode
from hashlib import sha256
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256
from webauthn.helpers import encode_cbor

PRESENT, VERIFIED, HAS_KEY = 0x01, 0x04, 0x40
Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | rsa.RSAPrivateKey


def base64url(octets: bytes) -> str:
    return urlsafe_b64encode(octets).rstrip(b"=").decode()


def from_base64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "==")


def new_key(kind: str = "ES256") -> Key:
    match kind:
        case "EdDSA":
            return ed25519.Ed25519PrivateKey.generate()
        case "RS256":
            return rsa.generate_private_key(65537, 2048)
    return ec.generate_private_key(ec.SECP256R1())


def cose_key(key: Key) -> dict[int, Any]:
    """The public half (RFC 9053)."""
    match key:
        case ed25519.Ed25519PrivateKey():
            return {1: 1, 3: -8, -1: 6, -2: key.public_key().public_bytes_raw()}
        case rsa.RSAPrivateKey():
            numbers = key.public_key().public_numbers()
            return {1: 3, 3: -257, -1: numbers.n.to_bytes(256, "big"), -2: numbers.e.to_bytes(3, "big")}
        case _:
            point = key.public_key().public_numbers()
            return {1: 2, 3: -7, -1: 1, -2: point.x.to_bytes(32, "big"), -3: point.y.to_bytes(32, "big")}


class Authenticator:
    """One passkey. `origin` and `host_name` are those of the page that its browser has open; `count` its signatures."""

    def __init__(self, origin: str, host_name: str, kind: str = "ES256") -> None:
        self.origin, self.host_name = origin, host_name
        self.key = new_key(kind)
        self.credential_id = secrets.token_bytes(32)
        self.count = 0
        self.flags = PRESENT | VERIFIED
        self.handle: bytes | None = None
        self.cross_origin: bool | None = None

    def create(self, options: dict[str, Any], **changed: Any) -> str:
        """The answer to `navigator.credentials.create`, as the page's form sends it."""
        self.handle = from_base64url(options["user"]["id"])
        public_key = encode_cbor(changed.pop("public_key", cose_key(self.key)))
        attested = bytes(16) + len(self.credential_id).to_bytes(2, "big") + self.credential_id + public_key
        attestation = {
            "fmt": "none",
            "attStmt": {},
            "authData": self._data(HAS_KEY) + attested,
            **changed,
        }
        response = {
            "clientDataJSON": base64url(self._client_data("webauthn.create", options)),
            "attestationObject": base64url(encode_cbor(attestation)),
        }
        return self._credential(response)

    def get(self, options: dict[str, Any]) -> str:
        """The answer to `navigator.credentials.get`."""
        self.count += 1
        data, client_data = self._data(), self._client_data("webauthn.get", options)
        response = {
            "clientDataJSON": base64url(client_data),
            "authenticatorData": base64url(data),
            "signature": base64url(self._sign(data + sha256(client_data).digest())),
        }
        if self.handle is not None:
            response["userHandle"] = base64url(self.handle)
        return self._credential(response)

    def _data(self, more_flags: int = 0) -> bytes:
        flags = bytes([self.flags | more_flags])
        return sha256(self.host_name.encode()).digest() + flags + self.count.to_bytes(4, "big")

    def _client_data(self, kind: str, options: dict[str, Any]) -> bytes:
        client_data = {"type": kind, "challenge": options["challenge"], "origin": self.origin}
        if self.cross_origin is not None:
            client_data["crossOrigin"] = self.cross_origin
        return json.dumps(client_data).encode()

    def _sign(self, octets: bytes) -> bytes:
        match self.key:
            case ed25519.Ed25519PrivateKey():
                return self.key.sign(octets)
            case rsa.RSAPrivateKey():
                return self.key.sign(octets, PKCS1v15(), SHA256())
            case _:
                return self.key.sign(octets, ec.ECDSA(SHA256()))

    def _credential(self, response: dict[str, str]) -> str:
        identity = base64url(self.credential_id)
        return json.dumps({"id": identity, "rawId": identity, "type": "public-key", "response": response})
