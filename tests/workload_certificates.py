"""Authorities and certificates of workloads, of any make; and the signature of CreateSession, made by us."""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mldsa, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

AUTHORITY, END_ENTITY = (
    (False, True, True),
    (True, False, False),
)  # digital signature, certificate and CRL sign
_ML_DSA = (mldsa.MLDSA44PrivateKey, mldsa.MLDSA65PrivateKey, mldsa.MLDSA87PrivateKey)
SMALL = 1 << 60


def new_key(kind: str = "ec") -> Any:
    match kind:
        case "rsa":
            return rsa.generate_private_key(public_exponent=65537, key_size=2048)
        case "rsa-1024":
            return rsa.generate_private_key(public_exponent=65537, key_size=1024)
        case "ml-dsa-44":
            return mldsa.MLDSA44PrivateKey.generate()
        case "ml-dsa-65":
            return mldsa.MLDSA65PrivateKey.generate()
        case "ml-dsa-87":
            return mldsa.MLDSA87PrivateKey.generate()
        case "p-384":
            return ec.generate_private_key(ec.SECP384R1())
        case "p-192":
            return ec.generate_private_key(ec.SECP192R1())
    return ec.generate_private_key(ec.SECP256R1())


def name_of(text: str | Sequence[tuple[Any, str]]) -> x509.Name:
    pairs = [(NameOID.COMMON_NAME, text)] if isinstance(text, str) else text
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in pairs])


@dataclass
class Issued:
    """A certificate and its key, signed by `issuer`, or by itself. `now` is the middle of its life."""

    name: x509.Name
    key: Any = field(default_factory=new_key)
    issuer: Issued | None = None
    usage: tuple[bool, bool, bool] | None = END_ENTITY
    constraints: tuple[bool, int | None] | None = (False, None)
    extensions: Iterable[tuple[x509.ExtensionType, bool]] = ()
    serial_number: int = 0
    now: datetime = field(default_factory=lambda: datetime.now(UTC))
    begins: timedelta = timedelta(days=-1)
    ends: timedelta = timedelta(days=30)
    digest: hashes.HashAlgorithm = field(default_factory=hashes.SHA256)

    def __post_init__(self) -> None:
        signer = self.issuer or self
        self.now = self.now.replace(microsecond=0)
        builder = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(signer.name)
            .public_key(self.key.public_key())
            .serial_number(self.serial_number or x509.random_serial_number())
            .not_valid_before(self.now + self.begins)
            .not_valid_after(self.now + self.ends)
        )
        if self.constraints is not None:
            builder = builder.add_extension(x509.BasicConstraints(*self.constraints), critical=True)
        if self.usage is not None:
            signs, certifies, lists = self.usage
            usage = x509.KeyUsage(signs, False, False, False, False, certifies, lists, False, False)
            builder = builder.add_extension(usage, critical=True)
        for extension, is_critical in self.extensions:
            builder = builder.add_extension(extension, critical=is_critical)
        self.certificate = builder.sign(signer.key, digest_for(signer.key, self.digest))

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def private_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    def revoking(self, *revoked: int, key: Any = None, begins: int = -1, ends: int = 7) -> bytes:
        """A list of this authority, in PEM; `key` is another one than its own, the times are days."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.name)
            .last_update(self.now + timedelta(days=begins))
            .next_update(self.now + timedelta(days=ends))
        )
        for one in revoked:
            entry = x509.RevokedCertificateBuilder().serial_number(one).revocation_date(self.now)
            builder = builder.add_revoked_certificate(entry.build())
        signer = self.key if key is None else key
        return builder.sign(signer, digest_for(signer, hashes.SHA256())).public_bytes(Encoding.PEM)


def digest_for(key: Any, digest: hashes.HashAlgorithm) -> hashes.HashAlgorithm | None:
    return None if isinstance(key, _ML_DSA) else digest


def authority(name: str = "an authority", kind: str = "ec", **more: Any) -> Issued:
    given = {"usage": AUTHORITY, "constraints": (True, None), "key": new_key(kind), **more}
    return Issued(name_of(name), **given)


def workload(
    issuer: Issued | None, name: str | Sequence[tuple[Any, str]] = "machine", kind: str = "ec", **more: Any
) -> Issued:
    return Issued(name_of(name), issuer=issuer, **{"key": new_key(kind), **more})


def algorithm_for(key: Any) -> str:
    if isinstance(key, rsa.RSAPrivateKey):
        return "AWS4-X509-RSA-SHA256"
    return "AWS4-X509-MLDSA" if isinstance(key, _ML_DSA) else "AWS4-X509-ECDSA-SHA256"


def sign(key: Any, message: bytes) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        return key.sign(message, padding.PKCS1v15(), hashes.SHA256())
    if isinstance(key, _ML_DSA):
        return key.sign(message)
    return bytes(key.sign(message, ec.ECDSA(hashes.SHA256())))


@dataclass
class Signing:
    """A CreateSession to be signed; each part may be changed before it is."""

    host: str
    own: Issued
    chain: Sequence[Issued] = ()
    region: str = "eu-central-1"
    query: Mapping[str, str] = field(default_factory=dict)
    body: Mapping[str, Any] = field(default_factory=dict)
    at: datetime = field(default_factory=lambda: datetime.now(UTC))
    service: str = "rolesanywhere"
    algorithm: str = ""
    serial_number: str = ""
    unsigned: Sequence[str] = ()
    headers: Mapping[str, str] = field(default_factory=dict)

    def request(self) -> tuple[str, dict[str, str], bytes]:
        """Path with query, headers, body."""
        body = json.dumps(dict(self.body)).encode()
        query = "&".join(
            f"{quote(name, safe='-_.~')}={quote(value, safe='-_.~')}"
            for name, value in sorted(self.query.items())
        )
        moment = self.at.strftime("%Y%m%dT%H%M%SZ")
        headers = {
            "content-type": "application/json",
            "host": self.host,
            "x-amz-date": moment,
            "x-amz-x509": base64.b64encode(self.own.der).decode(),
        }
        if self.chain:
            encoded = (base64.b64encode(one.der).decode() for one in self.chain)
            headers["x-amz-x509-chain"] = ",".join(encoded)
        headers |= self.headers
        signed = sorted(set(headers) - set(self.unsigned))
        lines = [f"{name}:{' '.join(headers[name].split())}" for name in signed]
        digest = hashlib.sha256(body).hexdigest()
        canonical = "\n".join(["POST", "/sessions", query, *lines, "", ";".join(signed), digest])
        algorithm = self.algorithm or algorithm_for(self.own.key)
        scope = f"{moment[:8]}/{self.region}/{self.service}/aws4_request"
        hashed = hashlib.sha256(canonical.encode()).hexdigest()
        to_sign = f"{algorithm}\n{moment}\n{scope}\n{hashed}"
        serial_number = self.serial_number or str(self.own.certificate.serial_number)
        signature = sign(self.own.key, to_sign.encode()).hex()
        headers["authorization"] = (
            f"{algorithm} Credential={serial_number}/{scope}, SignedHeaders={';'.join(signed)}, "
            f"Signature={signature}"
        )
        return f"/sessions?{query}" if query else "/sessions", headers, body
