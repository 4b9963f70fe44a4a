"""The authorization endpoint of `aws login`: the person lets the AWS CLI act as them (RFC 6749, 4.1; RFC 7636).

The gate is asked whether they may (`signin:AuthorizeOAuth2Access`). On the same machine the code is redirected to the
loopback address; for another machine (`--remote`) the page shows what the person pastes there, and redirects nowhere.
"""

from base64 import b64encode
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from broker.access.login_clients import CROSS_DEVICE, SAME_DEVICE, login_client_resource
from broker.access.people import caller_of
from broker.credentials.sso_clients import hash_of_client, is_loopback
from broker.credentials.sso_codes import is_challenge, put_code
from broker.credentials.sso_sessions import approve
from broker.errors import Refusal
from broker.performing import note_refusal
from broker.portal.authorize import LONGEST_STATE, answer_to
from broker.portal.consent import ALLOW, consent_page, record_decision
from broker.portal.dependencies import Portal
from broker.portal.headers import forms_may_lead_to
from broker.portal.rendering import page
from broker.portal.routes import Route
from broker.portal.sign_in_records import begin_record
from broker.portal.visit import Visit
from broker.storage.portal_records import PortalSession
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
    asked = _asked(visit)
    await _require(portal, visit, asked)
    response = consent_page(portal, visit, _CLIENT_NAME, visit.request.rel_url.raw_path_qs, is_login=True)
    if asked.client_id == SAME_DEVICE:
        forms_may_lead_to(response, asked.redirect_uri)
    return response


async def decide(portal: Portal, visit: Visit) -> web.Response:
    session = visit.session
    assert session is not None
    asked, tools = _asked(visit), portal.tools
    is_allowed = visit.form.get("decision") == ALLOW
    tools.journal.catch_up()
    await _require(portal, visit, asked)

    async def work(store: Transaction) -> str:
        return put_code(
            store,
            approve(session, tools.entropy),
            hash_of_client(asked.client_id),
            _CLIENT_NAME,
            asked.redirect_uri,
            asked.code_challenge,
            tools.entropy,
            visit.facts.now,
            is_refreshable=True,
        )

    code = await tools.store.transact(work) if is_allowed else ""
    await record_decision(
        portal,
        visit,
        session,
        asked.client_id,
        is_allowed=is_allowed,
        way="authorization_code",
        name=_EVENT,
        source=_SOURCE,
    )
    if asked.client_id == SAME_DEVICE:
        answer = {"code": code} if is_allowed else {"error": "access_denied"}
        return answer_to(asked.redirect_uri, asked.state, **answer)
    if not is_allowed:
        return page(portal, visit, "decided", is_allowed=False, client_name=_CLIENT_NAME)
    pasted = b64encode(f"state={asked.state}&code={code}".encode()).decode()
    return page(portal, visit, "paste", pasted=pasted)


async def _require(portal: Portal, visit: Visit, asked: AskedLogin) -> None:
    """Ask the gate; raises AccessDenied, with its record written."""
    session = visit.session
    assert session is not None
    store = portal.tools.store.transaction()
    caller = await caller_of(store, session)
    resource = login_client_resource(asked.client_id, asked.redirect_uri, visit.facts.region, caller.account)
    try:
        await portal.tools.gate.require(store, caller, visit.facts, _ACTION, resource)
    except Refusal as refusal:
        await _record_refusal(portal, visit, session, refusal)
        raise


async def _record_refusal(portal: Portal, visit: Visit, session: PortalSession, refusal: Refusal) -> None:
    event = begin_record(portal, visit.facts, _EVENT)
    event.user_identity = (await caller_of(portal.tools.store.transaction(), session)).identity
    event.recipient_account_id = session.identity.account_id
    note_refusal(event, refusal)
    await portal.tools.journal.record(event)


def _asked(visit: Visit) -> AskedLogin:
    """Raises Refusal for whatever `aws login` does not send: nothing is redirected then."""
    query = visit.request.query
    if len(set(query)) != len(query):
        raise _invalid("A parameter is in the address twice.")
    client_id, redirect_uri = query.get("client_id", ""), query.get("redirect_uri", "")
    state, challenge = query.get("state", ""), query.get("code_challenge", "")
    if client_id not in (SAME_DEVICE, CROSS_DEVICE):
        raise _invalid("The client is not known.")
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
