"""The tokens of GetOpenIdTokenForDeveloperIdentity: that an app's own server vouches for one of its users.

They are sealed, not signed: the broker alone reads them, as a login called `cognito-identity.amazonaws.com`.
"""

import msgspec

from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.message import open_message, seal_message

LOGIN = "cognito-identity.amazonaws.com"
_PURPOSE = b"cognito developer identity"


class DeveloperToken(msgspec.Struct, frozen=True, array_like=True):
    """`user` is what the server calls the user, `tags` are session tags. Times are epoch seconds."""

    pool_id: str
    identity_id: str
    provider: str
    user: str
    expires_at: int
    tags: dict[str, str] = {}


def seal_developer_token(keyring: Keyring, token: DeveloperToken, entropy: bytes) -> str:
    """Sixteen bytes of entropy."""
    return seal_message(keyring, _PURPOSE, msgspec.msgpack.encode(token), token.pool_id.encode(), entropy)


def open_developer_token(
    keyring: Keyring, unverified_text: str, pool_id: str, now: float
) -> DeveloperToken | None:
    """The token, if this broker made it for the pool; None where it did not. The caller checks its expiry."""
    try:
        encoded = open_message(keyring, _PURPOSE, unverified_text, pool_id.encode(), now)
    except SealBroken:
        return None
    return msgspec.msgpack.decode(encoded, type=DeveloperToken)
