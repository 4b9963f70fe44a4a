"""What a client certificate says of its holder, once it is verified (`certificate_verification`)."""

import msgspec


class ClientCertificate(msgspec.Struct, frozen=True):
    """The names that its authority vouches for. `expires_at`, in epoch seconds, is when the first of its chain ends.

    `subject` and `issuer` are distinguished names (RFC 4514), `serial_number` is in hexadecimal digits.
    """

    subject: str
    issuer: str
    serial_number: str
    expires_at: int
    common_name: str = ""
    dns_names: tuple[str, ...] = ()
    uris: tuple[str, ...] = ()
    email_addresses: tuple[str, ...] = ()
