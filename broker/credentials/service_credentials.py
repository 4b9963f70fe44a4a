"""Service-specific credentials: a name and a password for one service, or the API key of one.

"API keys for AWS services" of the IAM User Guide: an API key is a prefix, and its alias and secret in base64.
"""

from base64 import b64encode
from collections.abc import Collection
from hashlib import sha256

import msgspec

from broker.names.secret import SecretKey

PASSWORD_ENTROPY = 32  # bytes


class CredentialService(msgspec.Struct, frozen=True):
    """A service that takes such credentials; with a `key_prefix` they are API keys, which may expire."""

    name: str
    key_prefix: str = ""


SERVICES = {
    service.name: service
    for service in (
        CredentialService("codecommit.amazonaws.com"),
        CredentialService("cassandra.amazonaws.com"),
        CredentialService("bedrock.amazonaws.com", "ABSK"),
        CredentialService("logs.amazonaws.com", "ACWL"),
    )
}


def new_service_user_name(user_name: str, account: str, taken: Collection[str]) -> str:
    """`jane-at-123456789012`, or `jane+1-at-123456789012` where that is taken, and so on."""
    number = 0
    while True:
        suffix = f"+{number}" if number else ""
        name = f"{user_name}{suffix}-at-{account}"
        if name not in taken:
            return name
        number += 1


def new_service_password(service: CredentialService, service_user_name: str, entropy: bytes) -> SecretKey:
    """What the service is shown: a password, or an API key; from PASSWORD_ENTROPY fresh bytes."""
    if len(entropy) != PASSWORD_ENTROPY:
        raise ValueError(f"a password needs {PASSWORD_ENTROPY} bytes of entropy")
    password = b64encode(entropy).decode()
    if not service.key_prefix:
        return SecretKey(password)
    return SecretKey(service.key_prefix + b64encode(f"{service_user_name}:{password}".encode()).decode())


def password_digest(password: SecretKey) -> SecretKey:
    """What is stored of a password that has more entropy than can be guessed: SHA-256, in hexadecimal digits."""
    return SecretKey(sha256(password.reveal().encode()).hexdigest())
