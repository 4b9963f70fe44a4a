"""Records of passkeys: FIDO authenticators that are second factors of a user or of root.

As all records: frozen, append-only with defaults, times in whole epoch seconds.
"""

from broker.storage.records import Record


class Passkey(Record, frozen=True, kw_only=True):
    """A passkey that is enabled; `user_name` None means the account's root user.

    `host_name` is where it was made: browsers use it there and nowhere else. `public_key` is a COSE key (RFC 9052),
    `aaguid` the make that the authenticator claims, `sign_count` how often it had signed when it was enabled.
    """

    account_id: str
    serial_number: str
    device_name: str
    credential_id: bytes
    public_key: bytes
    sign_count: int
    host_name: str
    user_name: str | None = None
    enabled_at: int
    aaguid: str = ""


def is_passkey(serial_number: str) -> bool:
    return ":u2f/" in serial_number


def passkey_key(serial_number: str) -> str:
    """The key in its collection: what follows `u2f/`."""
    return serial_number.partition(":u2f/")[2]


class PasskeyUse(Record, frozen=True, kw_only=True):
    """The last use of a passkey, and how often its authenticator had signed then; in the replay partition, expiring."""

    used_at: int
    sign_count: int
