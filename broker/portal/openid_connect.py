"""Sign in at an OpenID Connect provider: the code flow with PKCE and a nonce; each provider answers at its own URL.

RFC 9700 (OAuth 2.0 Security Best Current Practice). What the provider sends back is believed only in the browser that
was sent there, within minutes, once. Whatever is wrong, the person reads one sentence, and the journal has the check.
"""

from base64 import urlsafe_b64encode
from hashlib import sha256
from secrets import compare_digest
from urllib.parse import urlencode

from aiohttp import web
from msgspec.structs import replace

from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.sign_in_token import verify_sign_in
from broker.assertions.unverified_token import read_token
from broker.errors import Refusal, service_unavailable
from broker.federation.openid_connect import (
    OpenIdConnectClients,
    OpenIdConnectSignIn,
    ProviderEndpoints,
    identity_of,
    shown_error,
)
from broker.federation.provider_keys import ProviderUnreachable
from broker.federation.reach import FetchFailed
from broker.federation.replay import use_once
from broker.names.secret import SecretKey
from broker.portal.cookies import BegunSignIn
from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.routes import Route
from broker.portal.sign_in import refused_at_provider
from broker.portal.signing_in import begin_federated_session, new_state, with_state
from broker.portal.visit import Visit
from broker.storage.portal_records import OpenIdConnectIdentity
from broker.storage.store import Transaction

_PATH = "/sign-in/with/{name:[a-z0-9-]{1,40}}"
_LONGEST_CODE = 4096  # characters
_LONGEST_KEPT_TOKEN = 6000  # characters: it becomes part of a URL at the sign-out
_SECRET_SIZE = 32
_MARK_SECONDS = 24 * 3600  # a token is taken for a day after it was issued, at most


async def begin(portal: Portal, visit: Visit) -> web.Response:
    """Send the browser to the provider."""
    sign_in = _get_sign_in(portal, visit)
    metadata = await _get_metadata(portal, sign_in)
    draw = portal.tools.entropy
    begun = BegunSignIn(
        sign_in.name,
        int(visit.facts.now),
        draw(_SECRET_SIZE).hex(),
        draw(_SECRET_SIZE).hex(),
        draw(_SECRET_SIZE).hex(),
    )
    response = see_other(authorization_url(sign_in, metadata, begun, _returned_to(visit, sign_in)))
    return with_state(portal, visit, response, replace(new_state(portal, visit), begun=begun))


async def take_answer(portal: Portal, visit: Visit) -> web.Response:
    """What the provider has the browser say."""
    sign_in = _get_sign_in(portal, visit)
    portal.tools.journal.catch_up()
    checks = Checks()
    try:
        metadata = await _get_metadata(portal, sign_in)
        begun = _believed(visit, sign_in, metadata, checks)
        identity = await _prove(portal, visit, sign_in, metadata, begun, checks)
    except CheckFailed as failed:
        return await refused_at_provider(portal, visit, sign_in.title, f"check failed: {failed}")

    async def require_unused(store: Transaction) -> None:
        until = visit.facts.now + _MARK_SECONDS
        if not await use_once(store, "", sign_in.issuer, f"sign-in {begun.nonce}", visit.facts.now, until):
            raise Refusal("AccessDenied", "This sign-in was used already.", status=403)

    return await begin_federated_session(
        portal, visit, identity, require_unused, noted={"identityProvider": sign_in.issuer}
    )


def authorization_url(
    sign_in: OpenIdConnectSignIn, metadata: ProviderEndpoints, begun: BegunSignIn, returned_to: str
) -> str:
    challenge = urlsafe_b64encode(sha256(begun.verifier.encode()).digest()).rstrip(b"=").decode()
    query = {
        "response_type": "code",
        "client_id": sign_in.client_id,
        "redirect_uri": returned_to,
        "scope": " ".join(sign_in.scopes),
        "state": begun.state,
        "nonce": begun.nonce,
        "code_challenge": challenge,
        "code_challenge_method": "S256",
    }
    return with_query(metadata.authorization_endpoint, query)


def with_query(url: str, query: dict[str, str]) -> str:
    return f"{url}{'&' if '?' in url else '?'}{urlencode(query)}"


def _believed(
    visit: Visit, sign_in: OpenIdConnectSignIn, metadata: ProviderEndpoints, checks: Checks
) -> BegunSignIn:
    """What this browser was sent to the provider with, if the answer fits it; raises CheckFailed."""
    query = visit.request.query
    checks.require(
        "parameters",
        all(len(query.getall(name)) == 1 for name in query),
        found="one of them twice",
        wanted="each once",
    )
    begun = visit.state.begun if visit.state is not None else None
    if begun is None or begun.sign_in != sign_in.name or not begun.lives(visit.facts.now):
        raise checks.fail("sign-in", found="none of this browser", wanted="one that it began")
    is_ours = compare_digest(query.get("state", "").encode(), begun.state.encode())
    checks.require("state", is_ours, found="another", wanted="that of this browser")
    # RFC 9207, 2.4: against an answer of another provider than the browser was sent to.
    stated = query.get("iss")
    checks.require(
        "issuer of the answer",
        stated == sign_in.issuer or (stated is None and not metadata.states_issuer),
        found=stated,
        wanted=sign_in.issuer,
    )
    if "error" in query:
        raise checks.fail("authorization", found=shown_error(query["error"]), wanted="a code")
    return begun


async def _prove(
    portal: Portal,
    visit: Visit,
    sign_in: OpenIdConnectSignIn,
    metadata: ProviderEndpoints,
    begun: BegunSignIn,
    checks: Checks,
) -> OpenIdConnectIdentity:
    """Trade the code, and verify the ID token; raises CheckFailed."""
    federation = portal.tools.federation
    code = visit.request.query.get("code", "")
    checks.require("code", 0 < len(code) <= _LONGEST_CODE, found=len(code), wanted="some characters")
    returned_to = _returned_to(visit, sign_in)
    try:
        text = await _clients(portal).redeem(sign_in, metadata, code, begun.verifier, returned_to)
        token = read_token(text, checks)
        keys = await federation.keys.get(sign_in.issuer, token.key_id)
    except (FetchFailed, ProviderUnreachable) as error:
        raise checks.fail("provider", found=error, wanted="an ID token, and keys") from None
    identity = verify_sign_in(
        token,
        keys,
        issuer=sign_in.issuer,
        client_id=sign_in.client_id,
        nonce=begun.nonce,
        now=visit.facts.now,
        leeway=federation.leeway,
        checks=checks,
    )
    kept = SecretKey(text if len(text) <= _LONGEST_KEPT_TOKEN else "")
    return identity_of(sign_in, identity, kept)


async def find_logout_url(portal: Portal, visit: Visit, identity: OpenIdConnectIdentity) -> str:
    """Where the provider ends its own session with the person; "" where it has no such place (RP-Initiated Logout)."""
    sign_in = portal.sign_ins.find_openid_connect(identity.sign_in)
    try:
        metadata = await _get_metadata(portal, sign_in) if sign_in is not None else None
    except Refusal:
        return ""
    if sign_in is None or metadata is None or not metadata.end_session_endpoint:
        return ""
    query = {"client_id": sign_in.client_id, "post_logout_redirect_uri": f"{visit.origin}/sign-in"}
    token = identity.id_token.reveal()
    return with_query(metadata.end_session_endpoint, {**query, "id_token_hint": token} if token else query)


def _get_sign_in(portal: Portal, visit: Visit) -> OpenIdConnectSignIn:
    sign_in = portal.sign_ins.find_openid_connect(visit.request.match_info["name"])
    if sign_in is None:
        raise web.HTTPNotFound
    return sign_in


async def _get_metadata(portal: Portal, sign_in: OpenIdConnectSignIn) -> ProviderEndpoints:
    try:
        return await _clients(portal).metadata(sign_in.issuer)
    except FetchFailed as error:
        raise service_unavailable(f"sign-in with {sign_in.name}: {error}") from None


def _clients(portal: Portal) -> OpenIdConnectClients:
    clients = portal.tools.federation.clients
    assert clients is not None, "the composed broker has them"
    return clients


def _returned_to(visit: Visit, sign_in: OpenIdConnectSignIn) -> str:
    """The redirect URI: one for each provider, so that answers of two cannot be mixed up (RFC 9700, 4.4.2.2)."""
    return f"{visit.origin}/sign-in/with/{sign_in.name}/answer"


ROUTES = (
    Route("GET", _PATH, begin, "SignInWith", is_open=True),
    Route("GET", f"{_PATH}/answer", take_answer, "SignInWith", is_open=True),
)
