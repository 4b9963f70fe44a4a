"""Sessions of clients: begun with a code, refreshed, found by an access token, ended.

A token is the session's id and a secret of 256 bits, of which the store has the hash. Each refresh replaces both tokens
(RFC 9700, 4.14.2): who offers a refresh token that was replaced has stolen it, or it was stolen from them, and the
session ends. For GRACE_SECONDS after it was replaced it is refused without that, because commands that run at the same
time refresh at the same time; the token of the later one is lost, and it still has its access token.
"""

from collections.abc import Callable
from hashlib import sha256
from secrets import compare_digest

from msgspec.structs import replace

from broker.errors import Refusal
from broker.names.ids import TEMPORARY_KEY, access_key_id
from broker.sealing.claims import SessionClaims, claims_to_bytes
from broker.storage.portal_records import PortalSession
from broker.storage.sso_records import Approval, SsoSession
from broker.storage.store import LOGIN_SESSIONS, SSO_SESSIONS, Transaction

ACCESS_SECONDS = 3600
GRACE_SECONDS = 30
_ID_SIZE, _SECRET_SIZE = 32, 64  # characters, hexadecimal

Entropy = Callable[[int], bytes]


def shard_of(subject: str) -> str:
    """One of 256, so that not all who are signed in wait for one another."""
    return sha256(subject.encode()).hexdigest()[:2]


def hash_of(secret: str) -> bytes:
    return sha256(secret.encode()).digest()


def new_session_id(subject: str, entropy: Entropy) -> str:
    return shard_of(subject) + entropy(15).hex()


def approve(session: PortalSession, entropy: Entropy) -> Approval:
    """The person of the portal's session allows a client to act for them."""
    account = session.identity.account_id
    return Approval(
        session_id=new_session_id(session.identity.subject, entropy),
        identity=session.identity,
        # None for people of identity providers: the id of a key has its account in it.
        access_key_id=access_key_id(TEMPORARY_KEY, account, entropy(8)) if account else "",
        signed_in_at=session.signed_in_at,
        ends_at=session.ends_at,
        mfa_authenticated_at=session.mfa_authenticated_at,
        mfa_serial=session.mfa_serial,
    )


def approve_role(session: PortalSession, claims: SessionClaims, entropy: Entropy) -> Approval:
    """The same for a client that acts with a role of the person, by the role's session that `claims` are of."""
    return replace(
        approve(session, entropy),
        access_key_id=claims.access_key_id,
        ends_at=min(session.ends_at, claims.expires_at),
        mfa_authenticated_at=None,
        mfa_serial=None,
        role_claims=claims_to_bytes(claims),
    )


async def open_promises(store: Transaction, approval: Approval) -> None:
    """Read where its promise will be: of partitions of equal rank, the one that is opened first is committed first."""
    await store.find(SSO_SESSIONS, approval.session_id[:2], approval.session_id)


def promise_session(
    store: Transaction, approval: Approval, client_hash: str, client_name: str, until: int
) -> None:
    """The client may fetch tokens until then, unless the session is ended before."""
    promised = _without_tokens(approval, client_hash, client_name)
    store.put(SSO_SESSIONS, approval.session_id[:2], promised, key=approval.session_id, expires_at=until)


def _without_tokens(approval: Approval, client_hash: str, client_name: str) -> SsoSession:
    return SsoSession(
        approval=approval,
        client_hash=client_hash,
        client_name=client_name,
        access_token_hash=b"",
        access_ends_at=0,
    )


async def take_promised(store: Transaction, approval: Approval) -> None:
    """The client fetches its tokens; raises InvalidGrantException where the session was ended meanwhile."""
    promised = await store.find(SSO_SESSIONS, approval.session_id[:2], approval.session_id)
    if promised is None:
        raise invalid_grant("what the person allowed has ended before the client fetched it")
    end_session(store, promised)


class Tokens:
    """What a client gets; `refresh_token` is None where it may not refresh."""

    __slots__ = ("access_token", "expires_in", "refresh_token")

    def __init__(self, access_token: str, refresh_token: str | None, expires_in: int) -> None:
        self.access_token = access_token
        self.refresh_token = refresh_token
        self.expires_in = expires_in


def begin_session(
    store: Transaction,
    approval: Approval,
    client_hash: str,
    client_name: str,
    entropy: Entropy,
    now: float,
    *,
    is_refreshable: bool,
) -> Tokens:
    """Raises InvalidGrantException where the sign-in has ended meanwhile."""
    session = _without_tokens(approval, client_hash, client_name)
    return _with_new_tokens(store, session, entropy, now, is_refreshable=is_refreshable)


def _with_new_tokens(
    store: Transaction, session: SsoSession, entropy: Entropy, now: float, *, is_refreshable: bool
) -> Tokens:
    approval = session.approval
    if now >= approval.ends_at:
        raise invalid_grant("the sign-in has ended")
    access_secret, refresh_secret = entropy(32).hex(), entropy(32).hex() if is_refreshable else None
    # Without a refresh token, the access token is all that the client will have until the sign-in ends.
    ends_at = min(int(now) + ACCESS_SECONDS, approval.ends_at) if is_refreshable else approval.ends_at
    renewed = replace(
        session,
        access_token_hash=hash_of(access_secret),
        access_ends_at=ends_at,
        refresh_token_hash=hash_of(refresh_secret) if refresh_secret is not None else None,
        refreshed_at=int(now),
    )
    store.put(
        SSO_SESSIONS, approval.session_id[:2], renewed, key=approval.session_id, expires_at=approval.ends_at
    )
    refresh_token = approval.session_id + refresh_secret if refresh_secret is not None else None
    return Tokens(approval.session_id + access_secret, refresh_token, ends_at - int(now))


async def find_by_access_token(store: Transaction, unverified_token: str, now: float) -> SsoSession | None:
    session, secret = await _find(store, unverified_token)
    if session is None or now >= session.access_ends_at:
        return None
    return session if compare_digest(session.access_token_hash, hash_of(secret)) else None


async def find_by_refresh_token(store: Transaction, unverified_token: str) -> SsoSession | None:
    """The session that the token is of, also where it was replaced: only `refresh` proves that it is current."""
    session, _ = await _find(store, unverified_token)
    return session


async def refresh(
    store: Transaction, unverified_token: str, client_hash: str, entropy: Entropy, now: float
) -> Tokens:
    """New tokens for the current refresh token; raises InvalidGrantException, and deletes a stolen session."""
    session, secret = await _find(store, unverified_token)
    if session is None or session.refresh_token_hash is None:
        raise invalid_grant("the refresh token is of no session")
    if session.client_hash != client_hash:
        raise invalid_grant("the refresh token is of another client")
    if not compare_digest(session.refresh_token_hash, hash_of(secret)):
        if now >= session.refreshed_at + GRACE_SECONDS:
            end_session(store, session)
            store.make_unconditional()
            raise invalid_grant("the refresh token was replaced before: the session has ended")
        raise invalid_grant("the refresh token has just been replaced")
    return _with_new_tokens(store, session, entropy, now, is_refreshable=True)


def end_session(store: Transaction, session: SsoSession) -> None:
    store.delete(SSO_SESSIONS, session.approval.session_id[:2], session.approval.session_id)


async def end_session_of(store: Transaction, approval: Approval) -> None:
    """End what this approval has led to, if anything."""
    store.delete(SSO_SESSIONS, approval.session_id[:2], approval.session_id)
    store.delete(LOGIN_SESSIONS, approval.session_id[:2], approval.session_id)


async def end_client_sessions(store: Transaction, subject: str) -> None:
    """Those of all clients that the person has allowed."""
    for session in await store.scan(SSO_SESSIONS, shard_of(subject)):
        if session.approval.identity.subject == subject:
            end_session(store, session)
    for login in await store.scan(LOGIN_SESSIONS, shard_of(subject)):
        if login.approval.identity.subject == subject:
            store.delete(LOGIN_SESSIONS, login.approval.session_id[:2], login.approval.session_id)


async def _find(store: Transaction, unverified_token: str) -> tuple[SsoSession | None, str]:
    session_id, secret = unverified_token[:_ID_SIZE], unverified_token[_ID_SIZE:]
    if len(secret) != _SECRET_SIZE or not is_hexadecimal(unverified_token):
        return None, ""
    return await store.find(SSO_SESSIONS, session_id[:2], session_id), secret


def is_hexadecimal(text: str) -> bool:
    return not set(text) - set("0123456789abcdef")


def invalid_grant(reason: str) -> Refusal:
    return Refusal("InvalidGrantException", "Invalid grant provided.", reason=reason)
