"""The second step of a sign-in: a one-time code of the person's own device."""

from aiohttp import web
from msgspec.structs import replace

from broker.credentials.one_time_codes import take_code
from broker.portal.dependencies import Portal
from broker.portal.rendering import page, see_other, texts_of
from broker.portal.routes import Route
from broker.portal.sign_in_records import CONSOLE_LOGIN, begin_record, note_failure
from broker.portal.signing_in import CODE, SIGN_IN, find_devices, go_on, new_state, with_state
from broker.portal.visit import Visit
from broker.storage.portal_records import IamUserIdentity
from broker.storage.records import VirtualMfaDevice
from broker.storage.store import USERS


async def show(portal: Portal, visit: Visit) -> web.Response:
    if visit.state is None or visit.state.identity is None:
        return see_other(SIGN_IN)
    devices = await find_devices(portal.tools.store.transaction(), visit.state.identity)
    return page(portal, visit, "second_factor", devices=devices, chosen="", error="")


async def give_code(portal: Portal, visit: Visit) -> web.Response:
    tools, state, now = portal.tools, visit.state, visit.facts.now
    if state is None or state.identity is None:
        return with_state(portal, visit, see_other(SIGN_IN), new_state(portal, visit))
    tools.journal.catch_up()
    devices = await find_devices(tools.store.transaction(), state.identity)
    chosen = visit.form.get("device", "")
    device = next((one for one in devices if one.serial_number == chosen), None)
    code = visit.form.get("code", "").replace(" ", "")
    if device is not None and await tools.store.transact(lambda store: take_code(store, device, code, now)):
        proven = replace(state, mfa_authenticated_at=int(now), mfa_serial=device.serial_number)
        return await go_on(portal, visit, proven)
    await _record_failure(portal, visit, device)
    return page(
        portal,
        visit,
        "second_factor",
        status=403,
        devices=devices,
        chosen=chosen,
        error=texts_of("second_factor").incorrect,
    )


async def _record_failure(portal: Portal, visit: Visit, device: VirtualMfaDevice | None) -> None:
    assert visit.state is not None
    identity = visit.state.identity
    assert identity is not None
    user = None
    if isinstance(identity, IamUserIdentity):
        user = await portal.tools.store.transaction().find(USERS, identity.account_id, identity.user_name)
    event = begin_record(portal, visit.facts, CONSOLE_LOGIN)
    reason = "the device is none of the user's"
    if device is not None:
        reason = (
            f"the code of {device.serial_number} is wrong, was used before, or came after too many wrong ones"
        )
    note_failure(event, "AccessDenied", reason, identity.account_id, user, mFAUsed="Yes")
    await portal.tools.journal.record(event)


ROUTES = (
    Route("GET", CODE, show, "SecondFactor", is_open=True),
    Route("POST", CODE, give_code, "SecondFactor", is_open=True),
)
