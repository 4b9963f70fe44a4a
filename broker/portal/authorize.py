"""The authorization endpoint of `aws sso login`: the person allows a client, which gets a code (RFC 6749, 4.1).

The code is sent to the machine of the browser alone: only loopback addresses are registered, and matched whole but for
the port. What is wrong with client or address is shown here and redirected nowhere.
"""

from urllib.parse import urlencode

import msgspec
from aiohttp import web

from broker.credentials.sso_clients import (
    ACCOUNT_ACCESS,
    AUTHORIZATION_CODE,
    Client,
    find_client,
    hash_of_client,
    is_registered_redirect,
)
from broker.credentials.sso_codes import is_challenge, put_code
from broker.credentials.sso_sessions import approve
from broker.errors import Refusal
from broker.portal.consent import ALLOW, consent_page, record_decision
from broker.portal.dependencies import Portal
from broker.portal.headers import forms_may_lead_to
from broker.portal.routes import Route
from broker.portal.sessions import require_session
from broker.portal.visit import Visit
from broker.storage.store import Transaction

_PAGE = "/authorize"
LONGEST_STATE = 512


class AskedAuthorization(msgspec.Struct, frozen=True):
    """A request whose client and address are right; `fault` is OAuth's name of what else is wrong, "" for nothing."""

    client: Client
    client_id: str
    redirect_uri: str
    state: str
    code_challenge: str
    fault: str


async def show(portal: Portal, visit: Visit) -> web.Response:
    asked = _asked(portal, visit)
    if asked.fault:
        return _to_client(asked, error=asked.fault)
    response = consent_page(portal, visit, asked.client.name, visit.request.rel_url.raw_path_qs)
    forms_may_lead_to(response, asked.redirect_uri)
    return response


async def decide(portal: Portal, visit: Visit) -> web.Response:
    session = visit.session
    assert session is not None
    asked, tools = _asked(portal, visit), portal.tools
    if asked.fault:
        return _to_client(asked, error=asked.fault)
    is_allowed = visit.form.get("decision") == ALLOW
    tools.journal.catch_up()

    approval = approve(session, tools.entropy)

    async def work(store: Transaction) -> str:
        await require_session(portal, store, session, visit.facts.now)
        return put_code(
            store,
            approval,
            hash_of_client(asked.client_id),
            asked.client.name,
            asked.redirect_uri,
            asked.code_challenge,
            tools.entropy,
            visit.facts.now,
            is_refreshable=asked.client.is_refreshable,
        )

    code = await tools.store.transact(work) if is_allowed else ""
    await record_decision(
        portal, visit, session, asked.client.name, is_allowed=is_allowed, way=AUTHORIZATION_CODE
    )
    return _to_client(asked, code=code) if is_allowed else _to_client(asked, error="access_denied")


def _asked(portal: Portal, visit: Visit) -> AskedAuthorization:
    """Raises Refusal where it is not known to whom an answer may be sent."""
    query = visit.request.query
    if len(set(query)) != len(query):
        raise _invalid("A parameter is in the address twice.")
    client_id, redirect_uri = query.get("client_id", ""), query.get("redirect_uri", "")
    client = find_client(portal.tools.mint.keyring(), client_id, visit.facts.now)
    if client is None:
        raise _invalid("The client is not known, or was registered too long ago. Start its sign-in again.")
    if not is_registered_redirect(client, redirect_uri):
        raise _invalid("The client has not registered the address to which it wants the answer.")
    challenge, state = query.get("code_challenge", ""), query.get("state", "")
    return AskedAuthorization(
        client, client_id, redirect_uri, state[:LONGEST_STATE], challenge, _fault(client, dict(query))
    )


def _fault(client: Client, query: dict[str, str]) -> str:
    """RFC 6749, 4.1.2.1. The scopes are in `scopes`, as AWS's CLI sends them, or in `scope`."""
    scopes = f"{query.get('scopes', '')} {query.get('scope', '')}".split()
    if query.get("response_type") != "code":
        return "unsupported_response_type"
    if not client.may_use(AUTHORIZATION_CODE):
        return "unauthorized_client"
    if query.get("code_challenge_method") != "S256" or not is_challenge(query.get("code_challenge", "")):
        return "invalid_request"
    if len(query.get("state", "")) > LONGEST_STATE:
        return "invalid_request"
    return "invalid_scope" if set(scopes) - {ACCOUNT_ACCESS, *client.scopes} else ""


def _to_client(asked: AskedAuthorization, **answer: str) -> web.Response:
    return answer_to(asked.redirect_uri, asked.state, **answer)


def answer_to(proven_uri: str, state: str, **answer: str) -> web.Response:
    """Back to the client, at an address of which it is known that it is the client's."""
    with_state = {**answer, "state": state} if state else answer
    return web.Response(status=303, headers={"Location": f"{proven_uri}?{urlencode(with_state)}"})


def _invalid(message: str) -> Refusal:
    return Refusal("ValidationError", message)


ROUTES = (
    Route("GET", _PAGE, show, "Authorize"),
    Route("POST", _PAGE, decide, "Authorize"),
)
