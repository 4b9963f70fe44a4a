"""The authorization endpoint of `aws login`: the person lets the AWS CLI act as them (RFC 6749, 4.1; RFC 7636).

The gate is asked whether they may (`signin:AuthorizeOAuth2Access`). On the same machine the code is redirected to the
loopback address; for another machine (`--remote`) the page shows what the person pastes there, and redirects nowhere.

People of identity providers have no permissions of their own: they choose the role that the client acts with. Its
session begins with their decision, and the gate is asked about that session.
"""

from base64 import b64encode
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from broker.access.caller import Caller
from broker.access.login_clients import CROSS_DEVICE, SAME_DEVICE, login_client_resource
from broker.access.people import caller_of
from broker.access.sessions import session_caller
from broker.credentials.sso_clients import hash_of_client, is_loopback
from broker.credentials.sso_codes import is_challenge, put_code
from broker.credentials.sso_sessions import approve, approve_role
from broker.errors import Refusal
from broker.performing import note_refusal
from broker.portal.access import MOST_SHOWN, by_account
from broker.portal.authorize import LONGEST_STATE, answer_to
from broker.portal.consent import ALLOW, OfferedRoles, consent_page, record_decision
from broker.portal.console.acting import acting_of
from broker.portal.dependencies import Portal
from broker.portal.headers import forms_may_lead_to
from broker.portal.rendering import page
from broker.portal.routes import Route
from broker.portal.sessions import require_session
from broker.portal.sign_in_records import begin_record
from broker.portal.taking import roles_of, take_session
from broker.portal.visit import Visit
from broker.storage.portal_records import FederatedIdentity, PortalSession
from broker.storage.store import Transaction

_PAGE = "/v1/authorize"
_CALLBACK, _CONFIRMATION = "/oauth/callback", "/v1/sessions/confirmation"
_EVENT, _SOURCE = "AuthorizeOAuth2Access", "signin.amazonaws.com"
_ACTION = f"signin:{_EVENT}"
_CLIENT_NAME = "AWS CLI (aws login)"


class AskedLogin(msgspec.Struct, frozen=True):
    """A request of `aws login` that is whole."""

    client_id: str
    redirect_uri: str
    state: str
    code_challenge: str


async def show(portal: Portal, visit: Visit) -> web.Response:
    session, asked = _session_of(visit), _asked(visit)
    offered = None
    if isinstance(session.identity, FederatedIdentity):
        offered = await _offered(portal, visit, session)
    else:
        person = await caller_of(portal.tools.store.transaction(), session)
        await _require(portal, visit, asked, person)
    address = visit.request.rel_url.raw_path_qs
    response = consent_page(portal, visit, _CLIENT_NAME, address, is_login=True, offered=offered)
    if asked.client_id == SAME_DEVICE:
        forms_may_lead_to(response, asked.redirect_uri)
    return response


async def decide(portal: Portal, visit: Visit) -> web.Response:
    session, asked = _session_of(visit), _asked(visit)
    is_allowed = visit.form.get("decision") == ALLOW
    portal.tools.journal.catch_up()
    code, caller = await _allow(portal, visit, session, asked) if is_allowed else ("", None)
    await record_decision(
        portal,
        visit,
        session,
        asked.client_id,
        is_allowed=is_allowed,
        way="authorization_code",
        name=_EVENT,
        source=_SOURCE,
        caller=caller,
    )
    if asked.client_id == SAME_DEVICE:
        answer = {"code": code} if is_allowed else {"error": "access_denied"}
        return answer_to(asked.redirect_uri, asked.state, **answer)
    if not is_allowed:
        return page(portal, visit, "decided", is_allowed=False, client_name=_CLIENT_NAME)
    pasted = b64encode(f"state={asked.state}&code={code}".encode()).decode()
    return page(portal, visit, "paste", pasted=pasted)


async def _allow(
    portal: Portal, visit: Visit, session: PortalSession, asked: AskedLogin
) -> tuple[str, Caller]:
    """A code, and the principal that the client will act as: the person, or the chosen role; raises Refusal."""
    tools, store = portal.tools, portal.tools.store.transaction()
    if isinstance(session.identity, FederatedIdentity):
        claims = await take_session(portal, session, visit.facts, visit.form.get("role", ""))
        caller = await session_caller(tools.store.transaction(), claims)
        approval = approve_role(session, claims, tools.entropy)
    else:
        caller = await caller_of(store, session)
        approval = approve(session, tools.entropy)
    await _require(portal, visit, asked, caller)

    async def work(store: Transaction) -> str:
        await require_session(portal, store, session, visit.facts.now)
        return put_code(
            store,
            approval,
            hash_of_client(asked.client_id),
            _CLIENT_NAME,
            asked.redirect_uri,
            asked.code_challenge,
            tools.entropy,
            visit.facts.now,
            is_refreshable=True,
        )

    return await tools.store.transact(work), caller


async def _offered(portal: Portal, visit: Visit, session: PortalSession) -> OfferedRoles:
    """Some of the person's roles, that which is open in the console among them."""
    found = await roles_of(portal, portal.tools.store.transaction(), session, visit.facts)
    acting = acting_of(session)
    open_role = f"{acting.account_id}:{acting.role_name}"
    ordered = sorted(
        found.roles, key=lambda one: f"{one.account.account_id}:{one.role.role_name}" != open_role
    )
    shown = frozenset(one.role.arn for one in ordered[:MOST_SHOWN])
    return OfferedRoles(
        by_account([one for one in found.roles if one.role.arn in shown]),
        ordered[0].role.arn if ordered else "",
        is_complete=found.is_complete and len(found.roles) <= MOST_SHOWN,
    )


def _session_of(visit: Visit) -> PortalSession:
    assert visit.session is not None, "the page is for who is signed in"
    return visit.session


async def _require(portal: Portal, visit: Visit, asked: AskedLogin, caller: Caller) -> None:
    """Ask the gate; raises AccessDenied, with its record written."""
    resource = login_client_resource(asked.client_id, asked.redirect_uri, visit.facts.region, caller.account)
    store = portal.tools.store.transaction()
    try:
        await portal.tools.gate.require(store, caller, visit.facts, _ACTION, resource)
    except Refusal as refusal:
        event = begin_record(portal, visit.facts, _EVENT)
        event.user_identity, event.recipient_account_id = caller.identity, caller.account
        note_refusal(event, refusal)
        await portal.tools.journal.record(event)
        raise


def _asked(visit: Visit) -> AskedLogin:
    """Raises Refusal for whatever `aws login` does not send: nothing is redirected then."""
    query = visit.request.query
    if len(set(query)) != len(query):
        raise _invalid("A parameter is in the address twice.")
    client_id, redirect_uri = query.get("client_id", ""), query.get("redirect_uri", "")
    state, challenge = query.get("state", ""), query.get("code_challenge", "")
    if client_id not in (SAME_DEVICE, CROSS_DEVICE):
        raise _invalid("The client is not known. Start its sign-in again.")
    if not _is_own_redirect(client_id, redirect_uri):
        raise _invalid("The client may not have the answer sent to this address.")
    if query.get("response_type") != "code" or query.get("scope", "openid") != "openid":
        raise _invalid("The response type is code, and the scope openid.")
    # The CLI's name of what RFC 7636 calls S256.
    if query.get("code_challenge_method") not in ("SHA-256", "S256") or not is_challenge(challenge):
        raise _invalid("The code challenge is missing or not valid.")
    if not state.isprintable() or not 0 < len(state) <= LONGEST_STATE:
        raise _invalid("The state is missing or too long.")
    return AskedLogin(client_id, redirect_uri, state, challenge)


def _is_own_redirect(client_id: str, unverified_uri: str) -> bool:
    if client_id == SAME_DEVICE:
        return is_loopback(unverified_uri) and urlsplit(unverified_uri).path == _CALLBACK
    # The code is bound to this address and nothing is ever sent to it.
    return len(unverified_uri) <= 2048 and unverified_uri.endswith(_CONFIRMATION)


def _invalid(message: str) -> Refusal:
    return Refusal("ValidationError", message)


ROUTES = (
    Route("GET", _PAGE, show, "Login"),
    Route("POST", _PAGE, decide, "Login"),
)
