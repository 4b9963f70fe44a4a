"""A sign-in, step by step: a proof of who it is, a second factor where there is one, a new password where it must be.

Every way to sign in ends here: it proves an identity and hands over a `SignInState`, and `go_on` says what comes next.
A step that was done is in the sealed cookie; the session begins when none is left.
"""

from collections.abc import Awaitable, Callable, Mapping

from aiohttp import web
from msgspec.structs import replace

from broker.access.people import caller_of
from broker.approvals import require_admitted_person
from broker.credentials.password_changes import find_login_profile, mark_of
from broker.errors import access_denied
from broker.portal.cookies import SessionReference, SignInState, delete_cookie, set_cookie
from broker.portal.dependencies import Portal
from broker.portal.devices import Device, find_devices
from broker.portal.rendering import see_other
from broker.portal.sessions import (
    TOKEN_SIZE,
    list_session,
    new_session,
    put_session,
    reference_of,
)
from broker.portal.sign_in_records import CHECK_MFA, CONSOLE_LOGIN, begin_record, note_success
from broker.portal.visit import Visit
from broker.storage.passkey_records import Passkey
from broker.storage.portal_records import FederatedIdentity, IamUserIdentity, Identity, PortalSession
from broker.storage.store import ACCOUNTS, Transaction

FIRST_PAGE = "/access"
SIGN_IN = "/sign-in"
CODE = "/sign-in/code"
NOTHING_NOTED: Mapping[str, str] = {}

Before = Callable[[Transaction], Awaitable[None]]

NEW_PASSWORD = "/sign-in/password"  # noqa: S105  a path


def new_state(portal: Portal, visit: Visit, wanted: str = "") -> SignInState:
    """The state of a browser of which nothing is known; `wanted` is a page of ours that it asked for.

    Its token stays while nothing is proven, and so does a sign-in that was begun elsewhere, so that a second tab does
    not spoil the first.
    """
    before = visit.state if visit.state is not None and visit.state.identity is None else None
    token = before.csrf_token if before is not None else portal.tools.entropy(TOKEN_SIZE).hex()
    wanted = wanted or (visit.state.wanted if visit.state is not None else "")
    return SignInState(
        token, int(visit.facts.now), wanted, begun=before.begun if before is not None else None
    )


def with_state(portal: Portal, visit: Visit, response: web.Response, state: SignInState) -> web.Response:
    set_cookie(portal.tools.mint.keyring(), response, state, portal.tools.entropy, is_secure=visit.is_secure)
    return response


async def go_on(portal: Portal, visit: Visit, state: SignInState) -> web.Response:
    """The next step for who is proven to be `state.identity`; after the last one, the page that was asked for first."""
    identity = state.identity
    assert identity is not None, "a step follows the one before"
    devices = await find_devices(portal.tools.store.transaction(), identity)
    if state.mfa_authenticated_at is None and devices:
        # The password was right: that is recorded, whether or not a second factor follows.
        event = begin_record(portal, visit.facts, CHECK_MFA)
        note_success(event, identity, mfaType=_type_of(devices))
        await portal.tools.journal.record(event)
        return with_state(portal, visit, see_other(CODE), _next_step(portal, visit, state))
    if state.must_change:
        return with_state(portal, visit, see_other(NEW_PASSWORD), _next_step(portal, visit, state))
    return await _finish(portal, visit, identity, state)


async def begin_federated_session(
    portal: Portal,
    visit: Visit,
    identity: FederatedIdentity,
    before: Before,
    *,
    longest: int | None = None,
    noted: Mapping[str, str] = NOTHING_NOTED,
) -> web.Response:
    """The first page for who is proven to be `identity`: whose provider asks for passwords and second factors.

    `longest` is how many seconds the provider lets the session last, None where it does not say.
    """
    state = replace(new_state(portal, visit), longest=longest)
    return await _finish(portal, visit, identity, state, before=before, noted=noted)


def _type_of(devices: list[Device]) -> str:
    """As AWS's records name it."""
    kinds = {isinstance(one, Passkey) for one in devices}
    if len(kinds) > 1:
        return "Multiple MFA Devices"
    return "U2F MFA" if True in kinds else "Virtual MFA"


def _next_step(portal: Portal, visit: Visit, state: SignInState) -> SignInState:
    return replace(state, csrf_token=portal.tools.entropy(TOKEN_SIZE).hex(), issued_at=int(visit.facts.now))


async def _finish(
    portal: Portal,
    visit: Visit,
    identity: Identity,
    state: SignInState,
    *,
    before: Before | None = None,
    noted: Mapping[str, str] = NOTHING_NOTED,
) -> web.Response:
    """Begin the session, and leave the record of it, with what is `noted`, before the browser has it.

    `before` is part of the transaction that begins the session, and may refuse.
    """
    portal.tools.journal.catch_up()
    session = new_session(portal, visit.facts, identity, state)

    async def work(store: Transaction) -> None:
        if before is not None:
            await before(store)
        if isinstance(identity, FederatedIdentity):
            await require_admitted_person(portal.sign_ins, store, identity, session.signed_in_at)
        else:
            await caller_of(store, session)  # refuses a user who was deleted, or a session that was revoked
            await _require_same_password(store, identity, state)
        put_session(store, session, portal.idle_seconds)

    await portal.tools.store.transact(work)
    list_session(portal.tools.mint, session)
    event = begin_record(portal, visit.facts, CONSOLE_LOGIN)
    mfa = {"mFAIdentifier": session.mfa_serial} if session.mfa_serial else {}
    note_success(
        event,
        identity,
        loginTo=f"{visit.origin}{state.wanted or FIRST_PAGE}",
        mobileVersion="No",
        mFAUsed="Yes" if session.mfa_authenticated_at else "No",
        **mfa,
        **noted,
    )
    await portal.tools.journal.record(event)
    return with_session(portal, visit, see_other(state.wanted or FIRST_PAGE), session)


async def _require_same_password(store: Transaction, identity: Identity, state: SignInState) -> None:
    """Raises Refusal where the password that began this sign-in is not the person's any more."""
    user_name = identity.user_name if isinstance(identity, IamUserIdentity) else None
    profile = await find_login_profile(store, identity.account_id, user_name)
    mark = mark_of(profile.password_hash) if profile is not None else ""
    if profile is None or not mark or mark != state.password_mark or profile.is_reset_required:
        reason = "the password was changed, or has to be, since it was proven"
        raise access_denied("Your password was changed meanwhile. Sign in again.", reason=reason)


def with_session(
    portal: Portal, visit: Visit, response: web.Response, session: PortalSession
) -> web.Response:
    set_cookie(
        portal.tools.mint.keyring(),
        response,
        reference_of(session),
        portal.tools.entropy,
        is_secure=visit.is_secure,
    )
    delete_cookie(response, SignInState, is_secure=visit.is_secure)
    return response


def without_session(visit: Visit, response: web.Response) -> web.Response:
    delete_cookie(response, SessionReference, is_secure=visit.is_secure)
    return response


async def find_account_id(store: Transaction, unverified_name: str) -> str | None:
    """The id of the account that is called so, by its id or its alias; None where none is."""
    name = unverified_name.strip().lower()
    if name.isdecimal() and len(name) == 12:
        account = await store.find(ACCOUNTS, "", name)
        return account.account_id if account is not None else None
    accounts = await store.scan(ACCOUNTS, "") if name else []
    return next((one.account_id for one in accounts if one.alias == name), None)
