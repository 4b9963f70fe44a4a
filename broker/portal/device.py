"""A device's code: the person enters what `aws sso login --use-device-code` shows, and allows that client or not.

The page asks for the code also where the address has it, so that the person compares it with that on the device (RFC
8628, 3.3.1 and 5.4). Wrong codes are counted for each person.
"""

from aiohttp import web

from broker.credentials.failed_attempts import Counter, count_failure, counter, find_wait
from broker.credentials.sso_clients import DEVICE_CODE
from broker.credentials.sso_devices import answer_waiting, find_waiting
from broker.credentials.sso_sessions import approve
from broker.portal.consent import ALLOW, consent_page, record_decision
from broker.portal.dependencies import Portal
from broker.portal.rendering import page, texts_of
from broker.portal.routes import Route
from broker.portal.sessions import require_session
from broker.portal.visit import Visit
from broker.storage.portal_records import PortalSession
from broker.storage.sso_records import DeviceAuthorization
from broker.storage.store import Transaction

_PAGE, _DECISION = "/device", "/device/decision"
_LONGEST_CODE = 20
_FREE, _LONGEST_WAIT = 5, 3600.0


async def show(portal: Portal, visit: Visit) -> web.Response:
    return _form(portal, visit, visit.request.query.get("user_code", ""))


async def enter_code(portal: Portal, visit: Visit) -> web.Response:
    """The client that waits for this code, to be allowed or not."""
    assert visit.session is not None
    user_code, guesses = _user_code(visit), _guesses_of(visit.session)

    async def work(store: Transaction) -> DeviceAuthorization | None:
        if await find_wait(store, guesses, visit.facts.now):
            return None
        device = await find_waiting(store, user_code, visit.facts.now)
        if device is None:
            await count_failure(store, guesses, visit.facts.now)
        return device

    device = await portal.tools.store.transact(work)
    if device is None:
        return _form(portal, visit, user_code, error=texts_of("device").incorrect, status=403)
    return consent_page(portal, visit, device.client_name, _DECISION, user_code.upper())


async def decide(portal: Portal, visit: Visit) -> web.Response:
    session = visit.session
    assert session is not None
    tools, is_allowed = portal.tools, visit.form.get("decision") == ALLOW
    user_code, guesses = _user_code(visit), _guesses_of(session)
    approval = approve(session, tools.entropy) if is_allowed else None
    tools.journal.catch_up()

    async def work(store: Transaction) -> DeviceAuthorization | None:
        # First: it opens the partition of the promise, before that of the count, which may be that of the device.
        await require_session(portal, store, session, visit.facts.now)
        if await find_wait(store, guesses, visit.facts.now):
            return None
        device = await answer_waiting(store, user_code, approval, visit.facts.now)
        if device is None:
            await count_failure(store, guesses, visit.facts.now)
        return device

    device = await tools.store.transact(work)
    if device is None:
        return _form(portal, visit, user_code, error=texts_of("device").incorrect, status=403)
    await record_decision(portal, visit, session, device.client_name, is_allowed=is_allowed, way=DEVICE_CODE)
    return page(portal, visit, "decided", is_allowed=is_allowed, client_name=device.client_name)


def _form(
    portal: Portal, visit: Visit, user_code: str, *, error: str = "", status: int = 200
) -> web.Response:
    return page(portal, visit, "device", status=status, user_code=user_code[:_LONGEST_CODE], error=error)


def _user_code(visit: Visit) -> str:
    return visit.form.get("user_code", "").strip()[:_LONGEST_CODE]


def _guesses_of(session: PortalSession) -> Counter:
    return counter(_FREE, _LONGEST_WAIT, "user code", session.identity.subject)


ROUTES = (
    Route("GET", _PAGE, show, "Device"),
    Route("POST", _PAGE, enter_code, "Device"),
    Route("POST", _DECISION, decide, "Device"),
)
