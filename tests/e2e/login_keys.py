"""The private key that `aws login` keeps, so that it can be read again.

One key in 256 has a private number that begins with a zero octet. awscrt 0.38 writes it without that octet (RFC 5915,
3, has it), and then does not read what it has written: the login cannot be renewed.
"""

import base64
import json
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat


def lengthen_key(folder: Path) -> None:
    """That of the one login in the client's cache."""
    (path,) = folder.glob("*.json")
    content = json.loads(path.read_text())
    path.write_text(json.dumps({**content, "dpopKey": lengthened(content["dpopKey"])}))


def lengthened(pem: str) -> str:
    """The same key as RFC 5915 has it."""
    der = base64.b64decode("".join(pem.splitlines()[1:-1]))
    assert der[2:6] == b"\x02\x01\x01\x04", "a version, then the number as octets"
    number = int.from_bytes(der[7 : 7 + der[6]])
    key = ec.derive_private_key(number, ec.SECP256R1())
    return key.private_bytes(Encoding.PEM, PrivateFormat.TraditionalOpenSSL, NoEncryption()).decode()
