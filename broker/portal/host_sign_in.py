"""Signing in at another host: a person who is signed in here gets a cookie of a host that stands behind a proxy.

1. The host (`/.broker/sign-in`) gives the browser a verifier in a cookie, and sends it here with the challenge that was
   made of it, as in RFC 7636. 2. Here the person's session becomes a code: for that host and that challenge, for a
   minute, once. 3. The host (`/.broker/signed-in`) trades it, if the browser has the verifier. So a code that somebody
   reads is of no use to them, and nobody can sign another person's browser in as themselves.

The cookie of the host refers to the session here: it ends with that, and means nothing at any other host.
"""

import re
from base64 import urlsafe_b64encode
from hashlib import sha256
from urllib.parse import urlencode

import msgspec
from aiohttp import web

from broker.access.caller import Caller
from broker.credentials.sso_codes import is_challenge, is_verified
from broker.errors import Refusal, access_denied
from broker.federation.replay import use_once
from broker.names.protected_hosts import SIGNED_IN_PATH, origin_of, return_path
from broker.portal.cookies import HostReference, cookie_line, host_cookie_name, only_cookie
from broker.portal.dependencies import Portal
from broker.portal.forwarded_person import HOST_VERIFIER, person_of
from broker.portal.rendering import page
from broker.portal.routes import Route
from broker.portal.sessions import reference_of
from broker.portal.visit import Visit
from broker.sealing.envelope import SealBroken
from broker.sealing.message import open_message, seal_message
from broker.storage.portal_records import PortalSession
from broker.storage.store import Transaction

PAGE = "/forward/sign-in"
CODE_SECONDS = 60
_VERIFIER_SECONDS = 900  # as long as a sign-in may take
_PURPOSE = b"forwarded host code"
_ENTROPY = 16
_is_verifier = re.compile(r"[0-9a-f]{64}", re.ASCII).fullmatch


class HostCode(msgspec.Struct, frozen=True, array_like=True):
    """What a code holds, sealed. `returns_to` is a path of the host."""

    code_id: str
    expires_at: int
    reference: HostReference
    challenge: str
    returns_to: str


def begin(portal: Portal, unverified_cookie: str, host: str, unverified_return: str) -> tuple[str, str]:
    """Where the browser goes, and the cookie that it keeps meanwhile. `host` is one of the settings.

    A verifier that it has already is kept: several pages may be opened at once.
    """
    name = host_cookie_name(HOST_VERIFIER, host)
    found = only_cookie(unverified_cookie, name)
    verifier = found if found and _is_verifier(found) else portal.tools.entropy(32).hex()
    challenge = urlsafe_b64encode(sha256(verifier.encode()).digest()).rstrip(b"=").decode()
    asked = {"host": host, "challenge": challenge, "return": return_path(unverified_return)}
    secure = "; Secure" if name.startswith("__Host-") else ""
    line = f"{name}={verifier}; HttpOnly; Path=/; SameSite=Lax; Max-Age={_VERIFIER_SECONDS}{secure}"
    return f"{portal.url_for_hosts}{PAGE}?{urlencode(asked)}", line


async def show(portal: Portal, visit: Visit) -> web.Response:
    """Send the browser back with a code.

    A page and no redirect: the way here may have begun with the form of the sign-in, which may lead to no other host.
    """
    session, query = visit.session, visit.request.query
    assert session is not None, "the route is not open"
    host, challenge = query.get("host", ""), query.get("challenge", "")
    if len(set(query)) != len(query) or host not in portal.sign_in_hosts or not is_challenge(challenge):
        raise Refusal("ValidationError", "This is no address of a sign-in for a host that is known here.")
    address = address_with_code(portal, session, host, challenge, query.get("return", ""), visit.facts.now)
    response = page(portal, visit, "goes_on", host=host, address=address)
    response.headers["Refresh"] = f"0; url={address}"
    return response


def address_with_code(
    portal: Portal, session: PortalSession, host: str, challenge: str, unverified_return: str, now: float
) -> str:
    """The address at `host`, one of the settings, with a new code of this session."""
    seen, entropy = reference_of(session), portal.tools.entropy
    code = HostCode(
        entropy(_ENTROPY).hex(),
        int(now) + CODE_SECONDS,
        HostReference(host, seen.subject, seen.session_id),
        challenge,
        return_path(unverified_return),
    )
    message = msgspec.msgpack.encode(code)
    text = seal_message(portal.tools.mint.keyring(), _PURPOSE, message, b"", entropy(_ENTROPY))
    return f"{origin_of(host)}{SIGNED_IN_PATH}?{urlencode({'code': text})}"


async def exchange(
    portal: Portal, store: Transaction, unverified_code: str, unverified_cookie: str, host: str, now: float
) -> tuple[str, str, Caller]:
    """The cookie for the host, the path to go to, and who the person is; raises AccessDenied."""
    code = _opened(portal, unverified_code, now)
    if code is None or now >= code.expires_at:
        raise _denied("the code is none that was given out, or has expired")
    if code.reference.host != host:
        raise _denied("the code is for another host")
    verifier = only_cookie(unverified_cookie, host_cookie_name(HOST_VERIFIER, host))
    if verifier is None or not is_verified(code.challenge, verifier):
        raise _denied("the sign-in was not begun by this browser")
    if not await use_once(store, "", _PURPOSE.decode(), code.code_id, now, code.expires_at + CODE_SECONDS):
        raise _denied("the code was used before")
    caller = await person_of(portal, store, code.reference.session, now)
    if caller is None:
        raise _denied("the session has ended, or acts in no account")
    line = cookie_line(
        portal.tools.mint.keyring(),
        code.reference,
        portal.tools.entropy,
        is_secure=origin_of(host).startswith("https:"),
    )
    return line, code.returns_to, caller


def _opened(portal: Portal, unverified_code: str, now: float) -> HostCode | None:
    try:
        message = open_message(portal.tools.mint.keyring(), _PURPOSE, unverified_code, b"", now)
        return msgspec.msgpack.decode(message, type=HostCode)
    except (SealBroken, msgspec.DecodeError):
        return None


def _denied(reason: str) -> Refusal:
    return access_denied("The sign-in did not succeed.", reason=reason)


ROUTES = (Route("GET", PAGE, show, "HostSignIn"),)
