"""The person whose cookie of the portal came with a request to another server.

Browsers send cookies to every port of a host, so a server behind a proxy on the portal's host gets them as well. On
another host it is the cookie of that host (`broker.portal.host_sign_in`). The server must keep neither: `without_own`
is the Cookie header that may go on. A request of this kind does not keep the session alive.
"""

from broker.access.caller import Caller
from broker.errors import Refusal
from broker.names.protected_hosts import is_plain
from broker.portal.console.acting import acting_caller, acting_of
from broker.portal.cookies import (
    HostReference,
    SessionReference,
    cookie_names,
    only_cookie,
    open_cookie,
    pairs_of,
)
from broker.portal.dependencies import Portal
from broker.portal.sessions import find_unused_session
from broker.storage.store import Transaction

HOST_VERIFIER = "broker-forward-state"


async def find_person(
    portal: Portal, store: Transaction, unverified_cookie: str, host: str, is_secure: bool, now: float
) -> Caller | None:
    """The person, or the role that they have opened in the console; None for nobody who acts in an account.

    `host` is the one that the request is for, in small letters, as the browser calls it.
    """
    text = only_cookie(unverified_cookie, cookie_names(SessionReference)[is_secure])
    reference = text and open_cookie(portal.tools.mint.keyring(), text, SessionReference, now)
    if not reference:
        reference = _session_at(portal, unverified_cookie, host, is_secure, now)
    return await person_of(portal, store, reference, now) if reference else None


def _session_at(
    portal: Portal, unverified_cookie: str, host: str, is_secure: bool, now: float
) -> SessionReference | None:
    """What the host's own cookie refers to, at a host of the settings."""
    if host not in portal.sign_in_hosts or not (is_secure or is_plain(host)):
        return None
    text = only_cookie(unverified_cookie, cookie_names(HostReference)[not is_plain(host)])
    found = text and open_cookie(portal.tools.mint.keyring(), text, HostReference, now)
    return found.session if found and found.host == host else None


async def person_of(
    portal: Portal, store: Transaction, reference: SessionReference, now: float
) -> Caller | None:
    session = await find_unused_session(portal, store, reference, now)
    if session is None or not acting_of(session).account_id:
        return None
    try:
        return await acting_caller(store, session, now)
    except Refusal as refusal:
        if refusal.code == "ServiceUnavailable":
            raise
        return None


def without_own(cookie: str) -> str:
    """A Cookie header without the portal's cookies, nor those in a value where a proxy joined headers by commas."""
    pairs = [(name, value) for name, value in pairs_of(cookie) if name not in _OWN]
    return "; ".join(f"{name}={','.join(_others(value))}" for name, value in pairs)


def _others(value: str) -> list[str]:
    """The parts of a value between commas that are no cookie of the portal's: values of others may have commas, too."""
    parts = value.split(",")
    return [part for part in parts if "=" not in part or part.partition("=")[0].strip() not in _OWN]


_OWN = frozenset((*cookie_names(), HOST_VERIFIER, f"__Host-{HOST_VERIFIER}"))
