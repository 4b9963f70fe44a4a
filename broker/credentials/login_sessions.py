"""Sessions of `aws login`: one refresh token, bound to the client's key, replaced by each refresh.

A refresh token that was replaced ends the session when it comes back, with or without the key; for GRACE_SECONDS it is
only refused, for commands that refresh at the same time (`broker.credentials.sso_sessions`).
"""

from secrets import compare_digest

from broker.credentials.sso_sessions import GRACE_SECONDS, Entropy, hash_of, invalid_grant, is_hexadecimal
from broker.storage.sso_records import Approval, LoginSession
from broker.storage.store import LOGIN_SESSIONS, Transaction

_ID_SIZE, _SECRET_SIZE = 32, 64  # characters, hexadecimal


def begin_login(
    store: Transaction, approval: Approval, client_id: str, thumbprint: str, entropy: Entropy, now: float
) -> str:
    """The session's refresh token; raises InvalidGrantException where the sign-in has ended meanwhile."""
    if now >= approval.ends_at:
        raise invalid_grant("the sign-in has ended")
    secret = entropy(32).hex()
    session = LoginSession(
        approval=approval,
        client_id=client_id,
        key_thumbprint=thumbprint,
        refresh_token_hash=hash_of(secret),
        refreshed_at=int(now),
    )
    store.put(
        LOGIN_SESSIONS, approval.session_id[:2], session, key=approval.session_id, expires_at=approval.ends_at
    )
    return approval.session_id + secret


async def find_login(store: Transaction, unverified_token: str) -> LoginSession | None:
    """The session that the token is of, also where it was replaced."""
    if len(unverified_token) != _ID_SIZE + _SECRET_SIZE or not is_hexadecimal(unverified_token):
        return None
    return await store.find(LOGIN_SESSIONS, unverified_token[:2], unverified_token[:_ID_SIZE])


async def refresh_login(
    store: Transaction,
    unverified_token: str,
    client_id: str,
    thumbprint: str,
    entropy: Entropy,
    now: float,
) -> tuple[Approval, str]:
    """Whose session it is, and the next refresh token; raises InvalidGrantException."""
    session = await find_login(store, unverified_token)
    if session is None:
        raise invalid_grant("the refresh token is of no session")
    approval = session.approval
    if not compare_digest(session.refresh_token_hash, hash_of(unverified_token[_ID_SIZE:])):
        if now >= session.refreshed_at + GRACE_SECONDS:
            store.delete(LOGIN_SESSIONS, approval.session_id[:2], approval.session_id)
            store.make_unconditional()
            raise invalid_grant("the refresh token was replaced before: the session has ended")
        raise invalid_grant("the refresh token has just been replaced")
    if session.client_id != client_id or not compare_digest(session.key_thumbprint, thumbprint):
        raise invalid_grant("the refresh token is bound to another client or key")
    return approval, begin_login(store, approval, client_id, thumbprint, entropy, now)
