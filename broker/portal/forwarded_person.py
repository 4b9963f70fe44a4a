"""The person whose cookie of the portal came with a request to another server on the portal's host.

Browsers send cookies to every port of a host, so a server behind a proxy there gets them as well. It must not keep
them: `without_own` is the Cookie header that may go on. A request of this kind does not keep the session alive.
"""

from broker.access.caller import Caller
from broker.errors import Refusal
from broker.portal.console.acting import acting_caller, acting_of
from broker.portal.cookies import SessionReference, cookie_names, open_cookie
from broker.portal.dependencies import Portal
from broker.portal.sessions import find_unused_session
from broker.storage.store import Transaction


async def find_person(
    portal: Portal, store: Transaction, unverified_cookie: str, is_secure: bool, now: float
) -> Caller | None:
    """The person, or the role that they have opened in the console; None for nobody who acts in an account."""
    name = cookie_names(SessionReference)[is_secure]
    found = [value for known, value in _pairs(unverified_cookie) if known == name]
    reference = (
        open_cookie(portal.tools.mint.keyring(), found[0], SessionReference, now) if len(found) == 1 else None
    )
    if reference is None:
        return None
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
    pairs = [(name, value) for name, value in _pairs(cookie) if name not in _OWN]
    return "; ".join(f"{name}={','.join(_others(value))}" for name, value in pairs)


def _others(value: str) -> list[str]:
    """The parts of a value between commas that are no cookie of the portal's: values of others may have commas, too."""
    parts = value.split(",")
    return [part for part in parts if "=" not in part or part.partition("=")[0].strip() not in _OWN]


_OWN = frozenset(cookie_names())


def _pairs(cookie: str) -> list[tuple[str, str]]:
    """Names and values (RFC 6265, 5.4)."""
    pairs = [part.strip().partition("=") for part in cookie.split(";")]
    return [(name.strip(), value.strip()) for name, equals, value in pairs if equals]
