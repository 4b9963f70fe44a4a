"""Your security: a passkey is added, in two steps, with a question of the browser to its authenticator in between."""

import re

import msgspec
from aiohttp import web

from broker.access.people import name_of
from broker.assertions.passkeys import Ceremony, creation_options
from broker.credentials.passkeys import (
    SERIAL_ENTROPY,
    PasskeyRequest,
    new_serial_number,
    user_handle,
)
from broker.errors import Refusal
from broker.portal.ceremonies import (
    ANSWER_FIELD,
    begin_ceremony,
    find_ceremony,
    find_obstacle,
    host_name_of,
    prepare_verification,
)
from broker.portal.console.operations import attempt, perform_for_page
from broker.portal.dependencies import Portal
from broker.portal.devices import find_passkeys
from broker.portal.rendering import see_other, texts_of
from broker.portal.routes import Route
from broker.portal.security import SECURITY, NewPasskey, as_oneself, own_name, show_security
from broker.portal.visit import Visit
from broker.storage.passkey_records import is_passkey
from broker.storage.portal_records import IamUserIdentity, PortalSession

PASSKEYS_PAGE = f"{SECURITY}/passkeys"
_is_device_name = re.compile(r"[\w+=,.@-]{1,64}", re.ASCII).fullmatch


async def begin(portal: Portal, visit: Visit) -> web.Response:
    """The page with what the browser asks its authenticator for; the gate is asked before that."""
    visit = as_oneself(visit)
    session = visit.session
    assert session is not None
    ceremony, sealed = begin_ceremony(portal, visit, _bound_to(session))
    try:
        await _perform(portal, visit, "BeginPasskey", ceremony)
    except Refusal as refusal:
        return await show_security(portal, visit, refusal)
    options = creation_options(
        ceremony,
        portal.passkey_user_verification,
        f"{name_of(session.identity)} @ {session.identity.account_id}",
        user_handle(session.identity.subject),
        await _known(portal, visit),
    )
    new_passkey = NewPasskey(_device_name(visit), msgspec.json.encode(options).decode(), sealed)
    return await show_security(portal, visit, new_passkey=new_passkey)


async def enable(portal: Portal, visit: Visit) -> web.Response:
    """The authenticator has answered."""
    visit = as_oneself(visit)
    assert visit.session is not None
    ceremony = find_ceremony(portal, visit, _bound_to(visit.session))
    await prepare_verification()
    try:
        if ceremony is None:
            raise Refusal("ValidationError", texts_of("security").too_late)
        await _perform(portal, visit, "EnablePasskey", ceremony)
    except Refusal as refusal:
        return await show_security(portal, visit, refusal)
    return see_other(SECURITY)


async def _perform(portal: Portal, visit: Visit, operation: str, ceremony: Ceremony) -> None:
    """Raises Refusal."""
    if find_obstacle(portal, visit) is not None:
        raise Refusal("ValidationError", texts_of("security").no_passkeys_here)
    name = _device_name(visit)
    if not _is_device_name(name):
        raise Refusal("ValidationError", texts_of("security").bad_device_name)
    session = visit.session
    assert session is not None
    identity = session.identity
    user_name = identity.user_name if isinstance(identity, IamUserIdentity) else None
    entropy = portal.tools.entropy(SERIAL_ENTROPY)
    request = PasskeyRequest(
        user_name=own_name(session),
        serial_number=new_serial_number(identity.account_id, user_name, name, entropy),
        device_name=name,
        ceremony=ceremony,
        unverified_answer=visit.form.get(ANSWER_FIELD, ""),
    )
    await perform_for_page(portal, visit, operation, request)


async def _known(portal: Portal, visit: Visit) -> tuple[bytes, ...]:
    """Of the person's passkeys for this name, as far as they may know them."""
    listed = await attempt(portal, visit, "ListMFADevices")
    serial_numbers = [one.serial_number for one in getattr(listed, "mfa_devices", ())]
    assert visit.session is not None
    passkeys = await find_passkeys(
        portal.tools.store.transaction(),
        visit.session.identity.account_id,
        [one for one in serial_numbers if is_passkey(one)],
    )
    return tuple(one.credential_id for one in passkeys if one.host_name == host_name_of(visit))


def _device_name(visit: Visit) -> str:
    return visit.form.get("passkey_name", "").strip()


def _bound_to(session: PortalSession) -> str:
    return f"session {session.session_id}"


ROUTES = (
    Route("POST", PASSKEYS_PAGE, begin, "Passkeys"),
    Route("POST", f"{PASSKEYS_PAGE}/enable", enable, "Passkeys"),
)
