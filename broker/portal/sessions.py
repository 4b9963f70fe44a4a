"""Sessions of the portal: begun at a sign-in, found by a cookie, ended by the person, by time or by revocation.

A session is stored, so that any worker and node knows it, and so that it can be ended. Each sign-in begins a new one:
what a browser brought along before means nothing afterwards (session fixation).
"""

from collections.abc import Callable

from msgspec.structs import replace

from broker.access.facts import RequestFacts
from broker.access.people import caller_of, claims_of
from broker.access.sessions import session_caller
from broker.approvals import require_admitted_person
from broker.credentials.mint import Mint
from broker.credentials.portal_sessions import delete_session, session_key
from broker.credentials.sso_sessions import shard_of
from broker.errors import Refusal
from broker.names.ids import TEMPORARY_KEY, access_key_id
from broker.names.secret import SecretKey
from broker.portal.cookies import SessionReference, SignInState
from broker.portal.dependencies import Portal
from broker.sealing.claims import claims_from_bytes, claims_to_bytes
from broker.storage.portal_records import ConsoleIdentity, FederatedIdentity, Identity, PortalSession
from broker.storage.store import PORTAL_SESSIONS, Transaction

TOKEN_SIZE = 16
_TOUCH_SECONDS = 60  # between two notes of when a session was last used


def new_session(portal: Portal, facts: RequestFacts, identity: Identity, state: SignInState) -> PortalSession:
    """A session that begins now, with what its sign-in has proven; not stored yet."""
    entropy = portal.tools.entropy
    now = int(facts.now)
    longest = portal.session_seconds if state.longest is None else min(portal.session_seconds, state.longest)
    return PortalSession(
        session_id=entropy(TOKEN_SIZE).hex(),
        identity=identity,
        access_key_id=_new_key_id(identity, entropy(8)),
        csrf_token=SecretKey(entropy(TOKEN_SIZE).hex()),
        signed_in_at=now,
        last_seen_at=now,
        ends_at=now + longest,
        mfa_authenticated_at=state.mfa_authenticated_at,
        mfa_serial=state.mfa_serial,
        source_ip=facts.source_ip,
        user_agent=facts.user_agent[:256],
    )


def _new_key_id(identity: Identity, entropy: bytes) -> str:
    """None for people of identity providers: the id of a key has its account in it."""
    account = identity.account_id
    return access_key_id(TEMPORARY_KEY, account, entropy) if account else ""


def put_session(store: Transaction, session: PortalSession, idle_seconds: int) -> None:
    expires_at = min(session.ends_at, session.last_seen_at + idle_seconds)
    store.put(
        PORTAL_SESSIONS,
        shard_of(session.identity.subject),
        session,
        key=_key(reference_of(session)),
        expires_at=expires_at,
    )


def list_session(mint: Mint, session: PortalSession) -> None:
    """Put it on the list of sessions that `broker sessions` shows and `broker revoke` chooses from."""
    if isinstance(session.identity, FederatedIdentity):
        return  # the list is of accounts' sessions; those of the roles that the person takes are on it
    claims = claims_of(session)
    mint.note(claims.account, claims_to_bytes(claims), mint.keyring().primary.id)


async def find_session(portal: Portal, reference: SessionReference, now: float) -> PortalSession | None:
    """The session that the browser refers to, if it lives and its person may still use it; notes that it is used."""

    async def work(store: Transaction) -> PortalSession | None:
        session = await find_unused_session(portal, store, reference, now)
        if session is not None and now >= session.last_seen_at + _TOUCH_SECONDS:
            put_session(store, replace(session, last_seen_at=int(now)), portal.idle_seconds)
        return session

    return await portal.tools.store.transact(work)


async def find_unused_session(
    portal: Portal, store: Transaction, reference: SessionReference, now: float
) -> PortalSession | None:
    """As `find_session`, without a note that it is used: what a page does by itself keeps no session alive."""
    session = await store.find(PORTAL_SESSIONS, shard_of(reference.subject), _key(reference))
    if session is None or not _lives(session, portal.idle_seconds, now):
        return None
    return session if await _may_still_use_it(portal, store, session) else None


async def _may_still_use_it(portal: Portal, store: Transaction, session: PortalSession) -> bool:
    """Whether the user still is there and is not revoked; whether the person may still sign in in this way."""
    identity = session.identity
    if isinstance(identity, FederatedIdentity) and not portal.sign_ins.knows(identity):
        return False
    try:
        if isinstance(identity, FederatedIdentity):
            await require_admitted_person(portal.sign_ins, store, identity, session.signed_in_at)
            return True
        if isinstance(session.identity, ConsoleIdentity):
            assert session.console_claims is not None
            await session_caller(store, claims_from_bytes(session.console_claims))
        else:
            await caller_of(store, session)
    except Refusal:
        return False
    return True


async def require_session(portal: Portal, store: Transaction, session: PortalSession, now: float) -> None:
    """Raises ExpiredToken where the session was ended since it was found, by a changed password for example.

    For transactions that write, or give something away, in the name of the session: they are committed only if the
    session, and what proves its person, still is as it was read.
    """
    if await find_unused_session(portal, store, reference_of(session), now) is None:
        message = "Your session has ended. Sign in again."
        raise Refusal("ExpiredToken", message, reason="the session ended during the request")
    store.require_unchanged()


async def choose_theme(portal: Portal, session: PortalSession, theme: str) -> None:
    await _change(portal, session, lambda found: replace(found, theme=theme))


async def choose_keys(portal: Portal, session: PortalSession, *, are_off: bool) -> None:
    await _change(portal, session, lambda found: replace(found, are_keys_off=are_off))


async def act_in_console(portal: Portal, session: PortalSession, claims: bytes | None) -> None:
    """Keep with the session whose permissions the console uses: those of a role's session, or the person's own."""
    await _change(portal, session, lambda found: replace(found, console_claims=claims))


async def _change(
    portal: Portal, session: PortalSession, changed: Callable[[PortalSession], PortalSession]
) -> None:
    """Change the session, if it still is there: one that was ended meanwhile must not come back."""
    reference = reference_of(session)

    async def work(store: Transaction) -> None:
        found = await store.find(PORTAL_SESSIONS, shard_of(reference.subject), _key(reference))
        if found is not None:
            put_session(store, changed(found), portal.idle_seconds)

    await portal.tools.store.transact(work)


async def end_session(portal: Portal, session: PortalSession) -> None:
    async def work(store: Transaction) -> None:
        delete_session(store, session)

    await portal.tools.store.transact(work)


def reference_of(session: PortalSession) -> SessionReference:
    return SessionReference(session.identity.subject, session.session_id)


def _lives(session: PortalSession, idle_seconds: int, now: float) -> bool:
    return now < min(session.ends_at, session.last_seen_at + idle_seconds)


def _key(reference: SessionReference) -> str:
    return session_key(reference.subject, reference.session_id)
