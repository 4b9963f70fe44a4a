"""Sign-in tokens: what `/federation` gives for temporary credentials, and takes back from a browser, once.

IAM User Guide, "Enabling custom identity broker access to the AWS console". A token is the sealed claims of the
session whose credentials were shown, never the credentials; it is good for fifteen minutes. Beyond AWS: it is good
once, and the console session ends twelve hours after the credentials were issued at the latest, so that a revocation
of the role's sessions always reaches it.
"""

from collections.abc import Callable
from secrets import compare_digest

import msgspec
from msgspec.structs import replace

from broker.credentials.mint import LONGEST_ROLE_SESSION
from broker.errors import Refusal
from broker.sealing.claims import (
    AssumedRoleClaims,
    FederatedUserClaims,
    SessionClaims,
    claims_from_bytes,
    claims_to_bytes,
)
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.message import open_message, seal_message
from broker.sealing.session import SessionExpired, open_session, require_current

SHORTEST_SESSION, LONGEST_SESSION = 900, 43_200  # seconds, of SessionDuration
_TOKEN_SECONDS = 900
_PURPOSE = b"console sign-in token"
_NOT_VALID = "The credentials of the session are not valid."


class ShownCredentials(msgspec.Struct, frozen=True, rename="camel"):
    """The JSON of the parameter Session; nothing of it is proven."""

    session_id: str
    session_key: str
    session_token: str

    def __repr__(self) -> str:
        return f"ShownCredentials({self.session_id}, ***)"


class SignInToken(msgspec.Struct, frozen=True, array_like=True):
    """What a token holds; `identifier` marks it as used."""

    identifier: str
    issued_at: int
    claims: bytes

    @property
    def expires_at(self) -> int:
        return self.issued_at + _TOKEN_SECONDS

    @property
    def session(self) -> SessionClaims:
        return claims_from_bytes(self.claims)


def verify_credentials(keyring: Keyring, unverified_session: str, now: float) -> SessionClaims:
    """The claims of the credentials; raises Refusal. Whether they were revoked is asked of the store."""
    try:
        shown = msgspec.json.decode(unverified_session, type=ShownCredentials)
    except (msgspec.DecodeError, RecursionError, UnicodeError):
        message = "Session has to be JSON with sessionId, sessionKey and sessionToken."
        raise Refusal("ValidationError", message) from None
    try:
        opened = open_session(keyring, shown.session_token)
        require_current(opened, shown.session_id, now)
    except (SealBroken, SessionExpired) as error:
        raise Refusal("AccessDenied", _NOT_VALID, reason=error.reason) from None
    if not compare_digest(shown.session_key.encode(), opened.secret.reveal().encode()):
        raise Refusal("AccessDenied", _NOT_VALID, reason="the secret access key is not that of the session")
    if not isinstance(opened.claims, AssumedRoleClaims | FederatedUserClaims):
        message = (
            "Only credentials of AssumeRole (or its siblings) and of GetFederationToken open the console."
        )
        raise Refusal("ValidationError", message)
    return opened.claims


def with_duration(claims: SessionClaims, unverified_duration: str, now: float) -> SessionClaims:
    """The claims of the console session; raises Refusal for a SessionDuration that these credentials cannot have."""
    if not unverified_duration:
        return claims
    if not isinstance(claims, AssumedRoleClaims) or claims.chained:
        message = "SessionDuration is for credentials of AssumeRole that were not got by role chaining."
        raise Refusal("ValidationError", message)
    if not unverified_duration.isascii() or not unverified_duration.isdigit():
        raise Refusal("ValidationError", "SessionDuration has to be a number of seconds.")
    seconds = int(unverified_duration[:9])
    if not SHORTEST_SESSION <= seconds <= LONGEST_SESSION:
        message = f"SessionDuration has to be between {SHORTEST_SESSION} and {LONGEST_SESSION}."
        raise Refusal("ValidationError", message)
    # INVARIANT: no session outlives the revocations that apply to it (`broker.credentials.revoking`).
    return replace(claims, expires_at=min(int(now) + seconds, claims.issued_at + LONGEST_ROLE_SESSION))


def seal_token(keyring: Keyring, claims: SessionClaims, now: float, entropy: Callable[[int], bytes]) -> str:
    token = SignInToken(entropy(16).hex(), int(now), claims_to_bytes(claims))
    return seal_message(keyring, _PURPOSE, msgspec.msgpack.encode(token), b"", entropy(16))


def open_token(keyring: Keyring, unverified_text: str, now: float) -> SignInToken:
    """Raises Refusal for a text that is no token of ours, and for one that is too old."""
    try:
        encoded = open_message(keyring, _PURPOSE, unverified_text, b"", now)
        token = msgspec.msgpack.decode(encoded, type=SignInToken)
    except (SealBroken, msgspec.DecodeError):
        raise _not_valid("it is not a token of this broker") from None
    if not token.issued_at <= now < token.expires_at:
        raise _not_valid("it is older than fifteen minutes")
    return token


def token_used() -> Refusal:
    return _not_valid("it was used before")


def _not_valid(reason: str) -> Refusal:
    message = "The sign-in token is not valid, too old, or was used before. Get a new one."
    return Refusal("AccessDenied", message, reason=f"sign-in token: {reason}")
