"""`/federation`: programs trade temporary credentials for a sign-in token, with which a browser opens the console.

The three actions are AWS's. A destination is compared with what the console has, and never sent back as it came;
`Issuer` is ignored: a page does not lead to another site.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

from aiohttp import web

from broker.access.caller import Caller
from broker.access.sessions import session_caller
from broker.audit.event import UserIdentity
from broker.errors import Refusal
from broker.federation.replay import use_once
from broker.names.secret import SecretKey
from broker.portal.console.entering import overview_path
from broker.portal.console.sign_in_tokens import (
    SignInToken,
    open_token,
    seal_token,
    token_used,
    verify_credentials,
    with_duration,
)
from broker.portal.dependencies import Portal
from broker.portal.rendering import page, see_other
from broker.portal.replacing import ask_first, end_replaced, is_somebody_else
from broker.portal.routes import Route
from broker.portal.sessions import TOKEN_SIZE, put_session
from broker.portal.sign_in_records import CONSOLE_LOGIN, begin_record, note_failure, note_success
from broker.portal.signing_in import SIGN_IN, with_session, without_session
from broker.portal.visit import Visit, read_foreign_form
from broker.sealing.claims import SessionClaims
from broker.storage.portal_records import ConsoleIdentity, PortalSession
from broker.storage.store import Transaction

_GET_TOKEN = "GetSigninToken"  # noqa: S105  the name of an event
_PATH, _REPLACE = "/federation", "/federation/replace"
# Fetch Metadata: the browser was opened with the address, or a page of ours led there.
_NO_OTHER_SITE = ("none", "same-origin")
_AWS_CONSOLE = re.compile(r"(?:[a-z0-9-]+\.)?(?:console\.aws\.amazon\.com|signin\.aws\.amazon\.com)")
_OWN_PAGE = re.compile(r"/console/[0-9]{12}(?:/[\w/.@=+-]*)?", re.ASCII)


async def answer(portal: Portal, visit: Visit) -> web.Response:
    given: Mapping[str, str] = visit.request.query
    if visit.request.method == "POST":
        given = {**given, **(await read_foreign_form(visit)).form}
    portal.tools.journal.catch_up()
    match given.get("Action", ""):
        case "getSigninToken":
            return await _get_token(portal, visit, given)
        case "login":
            return await _log_in(portal, visit, given)
        case "logout":
            return await _log_out(portal, visit)
    raise Refusal("ValidationError", "Action has to be getSigninToken, login or logout.")


async def _get_token(portal: Portal, visit: Visit, given: Mapping[str, str]) -> web.Response:
    keyring, now = portal.tools.mint.keyring(), visit.facts.now
    event = begin_record(portal, visit.facts, _GET_TOKEN)
    try:
        claims = verify_credentials(keyring, given.get("Session", ""), now)
        caller = await session_caller(portal.tools.store.transaction(), claims)
        token = seal_token(
            keyring, with_duration(claims, given.get("SessionDuration", ""), now), now, portal.tools.entropy
        )
    except Refusal as refusal:
        note_failure(event, refusal.code, refusal.reason or refusal.message, "", None)
        await portal.tools.journal.record(event)
        return web.json_response({"Error": {"Code": refusal.code, "Message": refusal.message}}, status=400)
    event.user_identity, event.recipient_account_id = caller.identity, caller.account
    event.response_elements = {_GET_TOKEN: "Success"}
    await portal.tools.journal.record(event)
    return web.json_response({"SigninToken": token})


async def _log_in(portal: Portal, visit: Visit, given: Mapping[str, str]) -> web.Response:
    """The session of the token begins; where somebody else is signed in, the person is asked first."""
    event = begin_record(portal, visit.facts, CONSOLE_LOGIN)
    try:
        token = open_token(portal.tools.mint.keyring(), given.get("SigninToken", ""), visit.facts.now)
        destination = destination_of(given.get("Destination", ""), visit.origin, token.session.account)
        is_asked = visit.request.path == _REPLACE
        if not is_asked and is_somebody_else(visit, identity := _identity_of(token.session)):
            fields = {name: given.get(name, "") for name in ("SigninToken", "Destination")}
            return ask_first(portal, visit, identity, _REPLACE, fields)
        session, user_identity = await _begin(portal, visit, token)
    except Refusal as refusal:
        note_failure(event, refusal.code, refusal.reason or refusal.message, "", None)
        await portal.tools.journal.record(event)
        raise
    await end_replaced(portal, visit)
    mfa = "Yes" if session.mfa_authenticated_at else "No"
    note_success(event, session.identity, loginTo=f"{visit.origin}{destination}", mFAUsed=mfa)
    event.user_identity = user_identity
    await portal.tools.journal.record(event)
    return with_session(portal, visit, see_other(destination), session)


async def replace_session(portal: Portal, visit: Visit) -> web.Response:
    """The person has read who would be signed in, and goes on."""
    portal.tools.journal.catch_up()
    return await _log_in(portal, visit, visit.form)


async def _begin(portal: Portal, visit: Visit, token: SignInToken) -> tuple[PortalSession, UserIdentity]:
    """The stored session, and who its records name; raises Refusal where the token was used or the role was deleted."""
    claims = token.session
    session = _session_of(portal, visit, claims, token.claims)
    if session.ends_at <= visit.facts.now:
        raise Refusal("ExpiredToken", "The session of this role has ended.")

    async def work(store: Transaction) -> Caller:
        caller = await session_caller(store, claims)
        is_first = await use_once(
            store, claims.account, _GET_TOKEN, token.identifier, visit.facts.now, token.expires_at
        )
        if not is_first:
            raise token_used()
        put_session(store, session, portal.idle_seconds)
        return caller

    caller = await portal.tools.store.transact(work)
    return session, caller.identity


def _session_of(portal: Portal, visit: Visit, claims: SessionClaims, encoded: bytes) -> PortalSession:
    now, entropy = int(visit.facts.now), portal.tools.entropy
    return PortalSession(
        session_id=entropy(TOKEN_SIZE).hex(),
        identity=_identity_of(claims),
        access_key_id=claims.access_key_id,
        csrf_token=SecretKey(entropy(TOKEN_SIZE).hex()),
        signed_in_at=now,
        last_seen_at=now,
        ends_at=min(claims.expires_at, now + portal.session_seconds),
        mfa_authenticated_at=getattr(claims, "mfa_authenticated_at", None),
        source_ip=visit.facts.source_ip,
        user_agent=visit.facts.user_agent[:256],
        console_claims=encoded,
    )


def _identity_of(claims: SessionClaims) -> ConsoleIdentity:
    return ConsoleIdentity(
        account_id=claims.account, arn=claims.principal.arn, access_key_id=claims.access_key_id
    )


def destination_of(unverified_url: str, origin: str, account_id: str) -> str:
    """A path of ours; raises Refusal for what is neither a page of this console nor of AWS's.

    A page of AWS's console, which tools name by default, is the overview.
    """
    overview = overview_path(account_id)
    if not unverified_url:
        return overview
    try:
        wanted = urlsplit(unverified_url)
    except ValueError:
        wanted = urlsplit("")
    if f"{wanted.scheme}://{wanted.netloc}".lower() == origin.lower():
        return wanted.path if _OWN_PAGE.fullmatch(wanted.path) and ".." not in wanted.path else overview
    if wanted.scheme == "https" and _AWS_CONSOLE.fullmatch(wanted.netloc.lower()):
        return overview
    raise Refusal("ValidationError", "Destination is no page of this console, nor of AWS's.")


async def _log_out(portal: Portal, visit: Visit) -> web.Response:
    """A tool that opens the browser signs out at once; a page of another site does not.

    Else one link that signs out, and a second that signs in, would replace a session unasked.
    """
    if visit.session is not None and visit.request.headers.get("Sec-Fetch-Site") not in _NO_OTHER_SITE:
        return page(portal, visit, "ask_sign_out")
    await end_replaced(portal, visit)
    return without_session(visit, see_other(SIGN_IN))


ROUTES = (
    Route("GET", _PATH, answer, "Federation", is_open=True, is_for_programs=True),
    Route("POST", _PATH, answer, "Federation", is_open=True, is_for_programs=True),
    Route("POST", _REPLACE, replace_session, "Federation", is_of_console=True),
)
