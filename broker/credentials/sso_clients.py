"""Clients of `sso-oidc`: who registers says a name and gets an id and a secret, without any proof.

Nothing is stored, for strangers could fill the store: both are sealed, the registration is in the id. So they last as
long as a retired key opens what it sealed. That is longer than any session: a client registers again with its next
sign-in, as it does on AWS after ninety days.
"""

import re
from hashlib import sha256

import msgspec

from broker.errors import Refusal
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring, RotationSchedule
from broker.sealing.message import open_message, seal_message

# INVARIANT: not longer than a key opens after it has sealed for the last time.
REGISTERED_FOR = int(RotationSchedule().open_for)
ACCOUNT_ACCESS = "sso:account:access"
AUTHORIZATION_CODE, REFRESH_TOKEN = "authorization_code", "refresh_token"
DEVICE_CODE = "urn:ietf:params:oauth:grant-type:device_code"
GRANT_TYPES = frozenset({AUTHORIZATION_CODE, DEVICE_CODE, REFRESH_TOKEN})

_CLIENT, _SECRET = b"sso client", b"sso client secret"

# RFC 8252, 7.3: an address, for a name may be resolved to another machine; 8.3. The client chooses the port.
_LOOPBACK = re.compile(
    r"http://(127\.0\.0\.1|\[::1\])(?::([0-9]{1,5}))?(/[A-Za-z0-9._~/-]{0,200})?", re.ASCII
).fullmatch


class Client(msgspec.Struct, frozen=True, array_like=True):
    """A registered client. `grant_types` empty: it named none, and may use those that belong to its flow."""

    name: str
    issued_at: int
    scopes: tuple[str, ...] = ()
    redirect_uris: tuple[str, ...] = ()
    grant_types: tuple[str, ...] = ()

    @property
    def expires_at(self) -> int:
        return self.issued_at + REGISTERED_FOR

    def may_use(self, grant_type: str) -> bool:
        return not self.grant_types or grant_type in self.grant_types

    @property
    def is_refreshable(self) -> bool:
        """Who registers no scopes gets no refresh token, as on AWS."""
        return bool(self.scopes) and self.may_use(REFRESH_TOKEN)


def register(keyring: Keyring, client: Client, entropy: bytes) -> tuple[str, str]:
    """Id and secret of a client, from thirty-two bytes of entropy."""
    client_id = seal_message(keyring, _CLIENT, msgspec.msgpack.encode(client), b"", entropy[:16])
    return client_id, seal_message(keyring, _SECRET, b"", client_id.encode(), entropy[16:])


def find_client(keyring: Keyring, unverified_id: str, now: float) -> Client | None:
    """The client that was registered under this id; None where none was, or where it has expired."""
    try:
        encoded = open_message(keyring, _CLIENT, unverified_id, b"", now)
    except SealBroken:
        return None
    client = msgspec.msgpack.decode(encoded, type=Client)
    return client if now < client.expires_at else None


def prove_client(keyring: Keyring, unverified_id: str, unverified_secret: str, now: float) -> Client:
    """The client that has this id and its secret; raises InvalidClientException."""
    client = find_client(keyring, unverified_id, now)
    if client is None:
        raise _invalid_client("the id is none that was given out, or has expired")
    try:
        open_message(keyring, _SECRET, unverified_secret, unverified_id.encode(), now)
    except SealBroken:
        raise _invalid_client("the secret is not that of the client") from None
    return client


def _invalid_client(reason: str) -> Refusal:
    return Refusal("InvalidClientException", "Invalid client.", reason=reason)


def hash_of_client(client_id: str) -> str:
    """What codes and sessions are bound to."""
    return sha256(client_id.encode()).hexdigest()


def is_loopback(unverified_uri: str) -> bool:
    """Whether a redirect to this URI stays on the machine of the person's browser."""
    return _LOOPBACK(unverified_uri) is not None


def is_registered_redirect(client: Client, unverified_uri: str) -> bool:
    """Whether the client registered this URI, whatever its port (RFC 8252, 7.3)."""
    asked = _LOOPBACK(unverified_uri)
    if asked is None:
        return False
    return any(
        registered is not None and (registered[1], registered[3] or "/") == (asked[1], asked[3] or "/")
        for registered in map(_LOOPBACK, client.redirect_uris)
    )
