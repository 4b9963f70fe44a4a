"""A test sign-in: what a provider says of the person who tests it, each check of it, and which roles it would open.

It gives no session and no credentials: the page is shown, once, to the person who began it. The code flow is that of
the portal's own sign-in (`portal.openid_connect`), with a client of the account's provider; a token or a SAML response
that a program got can be pasted. The roles are asked by the operation CheckFederation, as that person.
"""

import json
from collections.abc import Mapping
from hashlib import sha256
from secrets import compare_digest
from typing import Any

import msgspec
from aiohttp import web

from broker.assertions.checks import Check, CheckFailed, Checks
from broker.assertions.sign_in_token import verify_sign_in
from broker.assertions.unverified_token import UnverifiedToken, read_token
from broker.errors import Refusal
from broker.federation.openid_connect import OpenIdConnectSignIn, ProviderEndpoints, shown_error
from broker.federation.provider_keys import ProviderUnreachable
from broker.federation.reach import FetchFailed
from broker.names.secret import SecretKey
from broker.portal.console.acting import acting_of
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.operations import OPERATION_FIELD, attempt, perform
from broker.portal.console.trusting_roles import RolesOfProvider, find_trusting_roles
from broker.portal.cookies import BegunSignIn, ConsoleTestSignIn, delete_cookie, find_cookie, set_cookie
from broker.portal.dependencies import Portal
from broker.portal.openid_connect import authorization_url
from broker.portal.routes import Route
from broker.portal.visit import LARGEST_FOREIGN_FORM, Visit

BEGIN, CHECK = "BeginTestSignIn", "CheckFederation"
LONGEST_FORM = LARGEST_FOREIGN_FORM
_MOST_ROLES = 10
_LONGEST_CODE = 4096  # characters
_LONGEST_CLAIM = 2000
_SECRET_SIZE = 32
_SCOPES = "openid email profile"


class RoleAnswer(msgspec.Struct, frozen=True):
    """What CheckFederation says of one role: an answer, or a Refusal."""

    arn: str
    answer: Any


class Tested(msgspec.Struct, frozen=True):
    """`claims` are by name, as JSON; they are proven where every check has passed."""

    checks: tuple[Check, ...]
    claims: tuple[tuple[str, str], ...]
    is_proven: bool


def returned_to(visit: Visit, provider_arn: str) -> str:
    """The redirect URI to register at the provider: one for each issuer, so that no answer is taken for another's.

    RFC 9700, 4.4.2.2. Accounts share it: it is made of the issuer's name.
    """
    name = provider_arn.partition(":oidc-provider/")[2]
    return f"{visit.origin}/console/test-sign-in/{sha256(name.encode()).hexdigest()[:16]}/answer"


async def act(portal: Portal, visit: Visit) -> web.Response:
    """Begin a sign-in at the provider, or check what was pasted."""
    if visit.form.get(OPERATION_FIELD) == BEGIN:
        return await _begin(portal, visit)
    if visit.form.get(OPERATION_FIELD) == CHECK:
        return await _check_pasted(portal, visit)
    raise Refusal("MalformedInput", "This page has no such form.")


async def _begin(portal: Portal, visit: Visit) -> web.Response:
    """The gate is asked whether the person may have the broker look at this provider; what that found is used."""
    session, arn = visit.session, visit.form.get("provider", "")
    assert session is not None
    known = await perform(portal, visit, "GetOpenIDConnectProvider", {"OpenIDConnectProviderArn": arn})
    inspected = await perform(portal, visit, "InspectOpenIDConnectProvider", {"Url": f"https://{known.url}"})
    client_id = visit.form.get("client_id", "").strip()
    if client_id not in known.client_id_list:
        raise Refusal("InvalidInput", "This provider has no such client id.")
    metadata = await _metadata(portal, inspected.issuer)
    draw = portal.tools.entropy
    begun = BegunSignIn(
        arn,
        int(visit.facts.now),
        draw(_SECRET_SIZE).hex(),
        draw(_SECRET_SIZE).hex(),
        draw(_SECRET_SIZE).hex(),
    )
    state = ConsoleTestSignIn(
        session.session_id,
        visit.request.match_info["account"],
        inspected.issuer,
        client_id,
        SecretKey(visit.form.get("client_secret", "")),
        begun,
    )
    scopes = tuple((visit.form.get("scopes", "") or _SCOPES).split())
    url = authorization_url(_client_of(state, scopes), metadata, begun, returned_to(visit, arn))
    # A link and no redirect: the policy of our pages lets no form lead to another host.
    response = await console_page(
        portal, visit, "test_sign_in_begun", arn=arn, url=url, issuer=inspected.issuer
    )
    set_cookie(portal.tools.mint.keyring(), response, state, draw, is_secure=visit.is_secure)
    return response


async def take_answer(portal: Portal, visit: Visit) -> web.Response:
    """What the provider has the browser say; nothing but the page comes of it."""
    state = _believed(portal, visit)
    checks, token = Checks(), None
    try:
        metadata = await _metadata(portal, state.issuer)
        _require_answer(visit, state, metadata, checks)
        token = await _redeemed(portal, visit, state, metadata, checks)
        await _verify(portal, visit, state, token, checks)
        is_proven = True
    except CheckFailed:
        is_proven = False
    tested = Tested(tuple(checks.made), claims_of(token), is_proven)
    text = token.text if token is not None and is_proven else ""
    response = await _show(portal, visit, state.begun.sign_in, tested, text)
    delete_cookie(response, ConsoleTestSignIn, is_secure=visit.is_secure)
    return response


def _believed(portal: Portal, visit: Visit) -> ConsoleTestSignIn:
    """What this browser, in this very session, was sent to the provider with."""
    session, now = visit.session, visit.facts.now
    assert session is not None
    keyring = portal.tools.mint.keyring()
    state = find_cookie(keyring, visit.request, ConsoleTestSignIn, now, is_secure=visit.is_secure)
    is_ours = (
        state is not None
        and state.begun.lives(now)
        and state.session_id == session.session_id
        and state.account_id == acting_of(session).account_id
        and visit.request.path == returned_to(visit, state.begun.sign_in).removeprefix(visit.origin)
    )
    if state is None or not is_ours:
        raise Refusal("NoTestSignIn", "No test sign-in was begun here, or it is over.", status=400)
    return state


def _require_answer(
    visit: Visit, state: ConsoleTestSignIn, metadata: ProviderEndpoints, checks: Checks
) -> None:
    """Raises CheckFailed where the answer is not that of this sign-in."""
    query = visit.request.query
    once = all(len(query.getall(name)) == 1 for name in query)
    checks.require("parameters", once, found="each once" if once else "one of them twice", wanted="each once")
    is_ours = compare_digest(query.get("state", "").encode(), state.begun.state.encode())
    wanted = "that of this browser"
    checks.require("state", is_ours, found=wanted if is_ours else "another", wanted=wanted)
    stated = query.get("iss")
    checks.require(
        "issuer of the answer",
        stated == state.issuer or (stated is None and not metadata.states_issuer),
        found=stated if stated is not None else "not stated",
        wanted=state.issuer,
    )
    if "error" in query:
        raise checks.fail("authorization", found=shown_error(query["error"]), wanted="a code")


async def _redeemed(
    portal: Portal, visit: Visit, state: ConsoleTestSignIn, metadata: ProviderEndpoints, checks: Checks
) -> UnverifiedToken:
    code, clients = visit.request.query.get("code", ""), portal.tools.federation.clients
    assert clients is not None, "the composed broker has them"
    checks.require("code", 0 < len(code) <= _LONGEST_CODE, found=f"{len(code)} characters", wanted="some")
    try:
        text = await clients.redeem(
            _client_of(state), metadata, code, state.begun.verifier, returned_to(visit, state.begun.sign_in)
        )
    except FetchFailed as error:
        raise checks.fail("ID token", found=error, wanted="one for the code") from None
    checks.require("ID token", True, found="one for the code")
    return read_token(text, checks)


async def _verify(
    portal: Portal, visit: Visit, state: ConsoleTestSignIn, token: UnverifiedToken, checks: Checks
) -> None:
    federation = portal.tools.federation
    known = await perform(
        portal, visit, "GetOpenIDConnectProvider", {"OpenIDConnectProviderArn": state.begun.sign_in}
    )
    try:
        keys = await federation.keys.get(state.issuer, token.key_id, known.thumbprint_list)
    except ProviderUnreachable as error:
        raise checks.fail("keys", found=error, wanted="those of the provider") from None
    verify_sign_in(
        token,
        keys,
        issuer=state.issuer,
        client_id=state.client_id,
        nonce=state.begun.nonce,
        now=visit.facts.now,
        leeway=federation.leeway,
        checks=checks,
    )


async def _check_pasted(portal: Portal, visit: Visit) -> web.Response:
    """A token or a SAML response that the person has; whose it is does not matter, for it is only looked at."""
    arn, role = visit.form.get("provider", ""), visit.form.get("RoleArn", "").strip()
    pasted = "".join(visit.form.get("pasted", "").split())
    is_saml = ":saml-provider/" in arn
    proof = {"PrincipalArn": arn, "SAMLAssertion": pasted} if is_saml else {"WebIdentityToken": pasted}
    answer = await attempt(portal, visit, CHECK, {"RoleArn": role, **proof}, service="sts")
    if isinstance(answer, Refusal):
        raise answer
    token = None if is_saml else _unverified_token(pasted)
    tested = Tested(
        (), claims_of(token), any(one.name == "signature" and one.passed for one in answer.checks)
    )
    return await _page(portal, visit, arn, tested, (RoleAnswer(role, answer),), is_complete=True)


async def _show(portal: Portal, visit: Visit, arn: str, tested: Tested, token: str) -> web.Response:
    """`token` is "" where it was not proven: then no role is asked."""
    found = await find_trusting_roles(portal, visit, arn) if token else RolesOfProvider((), True)
    roles = () if isinstance(found, Refusal) else found.roles
    answers = []
    for role in roles[:_MOST_ROLES]:
        parameters = {"RoleArn": role.arn, "WebIdentityToken": token}
        answers.append(RoleAnswer(role.arn, await attempt(portal, visit, CHECK, parameters, service="sts")))
    is_complete = not isinstance(found, Refusal) and found.is_complete and len(roles) <= _MOST_ROLES
    return await _page(portal, visit, arn, tested, tuple(answers), is_complete=is_complete)


async def _page(
    portal: Portal,
    visit: Visit,
    arn: str,
    tested: Tested,
    roles: tuple[RoleAnswer, ...],
    *,
    is_complete: bool,
) -> web.Response:
    return await console_page(
        portal, visit, "test_sign_in", arn=arn, tested=tested, roles=roles, is_complete=is_complete
    )


def claims_of(token: UnverifiedToken | None) -> tuple[tuple[str, str], ...]:
    return shown_claims(token.claims) if token is not None else ()


def shown_claims(claims: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    """By name; a text as it is, anything else as JSON."""
    return tuple(
        (
            name[:_LONGEST_CLAIM],
            (one if isinstance(one, str) else json.dumps(one, ensure_ascii=False))[:_LONGEST_CLAIM],
        )
        for name, one in claims.items()
    )


def _unverified_token(pasted: str) -> UnverifiedToken | None:
    try:
        return read_token(pasted, Checks())
    except CheckFailed:
        return None


def _client_of(state: ConsoleTestSignIn, scopes: tuple[str, ...] = ()) -> OpenIdConnectSignIn:
    return OpenIdConnectSignIn(
        name="test",
        issuer=state.issuer,
        client_id=state.client_id,
        client_secret=state.client_secret,
        scopes=scopes or tuple(_SCOPES.split()),
    )


async def _metadata(portal: Portal, issuer: str) -> ProviderEndpoints:
    """What people are sent to; raises Refusal where the provider signs in no people."""
    clients = portal.tools.federation.clients
    assert clients is not None, "the composed broker has them"
    try:
        return await clients.metadata(issuer)
    except FetchFailed as error:
        raise Refusal("InvalidInput", f"Nobody can sign in at this provider: {error}") from None


ROUTES = (
    console_route("POST", "/test-sign-in", act, "ConsoleTestSignIn", LONGEST_FORM),
    Route(
        "GET",
        "/console/test-sign-in/{provider:[0-9a-f]{16}}/answer",
        take_answer,
        "ConsoleTestSignIn",
        is_of_console=True,
    ),
)
