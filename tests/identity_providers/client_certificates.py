"""An authority for client certificates, and all the certificates that tests need of it: good ones and bad ones."""

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

DAY = datetime.timedelta(days=1)
CLIENT, SERVER = ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH


def moment() -> datetime.datetime:
    return datetime.datetime.now(datetime.UTC)


@dataclass
class Holder:
    """A key and the certificates that lead from it to the authority, its own first, the authority's left out."""

    key: Any
    certificates: Sequence[x509.Certificate]

    @property
    def certificate(self) -> x509.Certificate:
        return self.certificates[0]

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The files of the certificates and of the key."""
        chain, key = folder / f"{name}.pem", folder / f"{name}.key"
        chain.write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in self.certificates))
        key.write_bytes(self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return chain, key


@dataclass
class ClientAuthority:
    """`above` is the authority that has certified this one; without it this one certifies itself."""

    name: str = "clients.test"
    above: "ClientAuthority | None" = None
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def __post_init__(self) -> None:
        self.subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self.name)])
        signer = self.above or self
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.subject)
            .issuer_name(signer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment() - 2 * DAY)
            .not_valid_after(moment() + 2 * DAY)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .sign(signer.key, hashes.SHA256())
        )

    @property
    def chain(self) -> list[x509.Certificate]:
        return [self.certificate, *(self.above.chain if self.above is not None else [])]

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(Encoding.PEM)

    def issue(
        self,
        *common_names: str,
        usages: Sequence[x509.ObjectIdentifier] = (CLIENT,),
        names: Sequence[x509.GeneralName] = (),
        key: Any = None,
        begins: datetime.timedelta = -DAY,
        ends: datetime.timedelta = DAY,
        is_authority: bool = False,
        digest: hashes.HashAlgorithm | None = None,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> Holder:
        own = key or rsa.generate_private_key(public_exponent=65537, key_size=2048)
        builder = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, one) for one in common_names]))
            .issuer_name(self.subject)
            .public_key(own.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(moment() + begins)
            .not_valid_after(moment() + ends)
            .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
        )
        if usages:
            builder = builder.add_extension(x509.ExtendedKeyUsage(usages), critical=False)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        signed = builder.sign(self.key, digest or hashes.SHA256())
        return Holder(own, [signed, *(self.chain if self.above is not None else [])[:1]])

    def revocations(
        self,
        *revoked: Holder,
        signer: Any = None,
        ends: datetime.timedelta = DAY,
        extensions: Sequence[x509.ExtensionType] = (),
    ) -> bytes:
        """The list in PEM."""
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self.subject)
            .last_update(moment() - 2 * DAY)
            .next_update(moment() + ends)
        )
        for one in revoked:
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(one.certificate.serial_number)
                .revocation_date(moment() - DAY)
                .build()
            )
        for extension in extensions:
            builder = builder.add_extension(extension, critical=True)
        return builder.sign(signer or self.key, hashes.SHA256()).public_bytes(Encoding.PEM)
