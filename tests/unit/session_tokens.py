"""Session tokens, opened as the proof of a caller opens them: for tests of what is in them."""

from broker.names.secret import SecretKey
from broker.sealing.claims import SessionClaims
from broker.sealing.keyring import Keyring
from broker.sealing.session import open_session, require_current


def open_session_token(
    keyring: Keyring, unverified_token: str, unverified_access_key_id: str, now: float
) -> tuple[SessionClaims, SecretKey]:
    """The claims of a token and the secret access key that must have signed beside it; raises as both steps do."""
    session = open_session(keyring, unverified_token)
    require_current(session, unverified_access_key_id, now)
    return session.claims, session.secret
