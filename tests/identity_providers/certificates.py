"""Keys and certificates for providers: a certificate that signs itself, or one of an authority that tests make."""

import datetime
import ipaddress
from base64 import b64encode
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

_DAY = datetime.timedelta(days=1)


class KeyPair:
    """An RSA key and a certificate for 127.0.0.1, signed by `authority`, or by itself."""

    def __init__(self, name: str, authority: "KeyPair | None" = None) -> None:
        self.key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        issuer = self if authority is None else authority
        now = datetime.datetime.now(datetime.UTC)
        self.certificate = (
            x509.CertificateBuilder()
            .subject_name(self.name)
            .issuer_name(issuer.name)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _DAY)
            .not_valid_after(now + _DAY)
            .add_extension(x509.BasicConstraints(ca=authority is None, path_length=None), critical=True)
            .add_extension(
                x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]),
                critical=False,
            )
            .sign(issuer.key, hashes.SHA256())
        )

    @property
    def private_pem(self) -> str:
        return self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()

    @property
    def pem(self) -> str:
        return self.certificate.public_bytes(Encoding.PEM).decode()

    @property
    def base64(self) -> str:
        """The certificate as metadata hold it."""
        return b64encode(self.certificate.public_bytes(Encoding.DER)).decode()

    def write(self, folder: Path, name: str) -> tuple[Path, Path]:
        """The files `NAME.key`, for its owner alone, and `NAME.crt` in `folder`."""
        key, certificate = folder / f"{name}.key", folder / f"{name}.crt"
        key.touch(mode=0o600)
        key.write_text(self.private_pem)
        certificate.write_text(self.pem)
        return key, certificate
