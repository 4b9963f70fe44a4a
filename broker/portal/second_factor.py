"""The second step of a sign-in: a one-time code of the person's own device, or one of their passkeys."""

from typing import Any

import msgspec
from aiohttp import web
from msgspec.structs import replace

from broker.assertions.passkeys import PasskeyRefused, request_options
from broker.credentials.one_time_codes import take_code
from broker.credentials.passkeys import take_passkey, user_handle
from broker.portal.ceremonies import (
    ANSWER_FIELD,
    begin_ceremony,
    find_ceremony,
    find_obstacle,
    host_name_of,
    prepare_verification,
)
from broker.portal.cookies import SignInState
from broker.portal.dependencies import Portal
from broker.portal.devices import Device, find_devices, passkeys_of, virtual_of
from broker.portal.rendering import page, see_other, texts_of
from broker.portal.routes import Route
from broker.portal.sign_in_records import CONSOLE_LOGIN, begin_record, note_failure
from broker.portal.signing_in import CODE, SIGN_IN, go_on, new_state, with_state
from broker.portal.visit import Visit
from broker.storage.passkey_records import Passkey
from broker.storage.portal_records import IamUserIdentity
from broker.storage.store import USERS, Transaction


class _NotProven(msgspec.Struct, frozen=True):
    """What the person reads, and the reason, for the journal."""

    error: str
    reason: str


async def show(portal: Portal, visit: Visit) -> web.Response:
    if visit.state is None or visit.state.identity is None:
        return see_other(SIGN_IN)
    devices = await find_devices(portal.tools.store.transaction(), visit.state.identity)
    return _page(portal, visit, visit.state, devices)


async def prove(portal: Portal, visit: Visit) -> web.Response:
    state = visit.state
    if state is None or state.identity is None:
        return with_state(portal, visit, see_other(SIGN_IN), new_state(portal, visit))
    portal.tools.journal.catch_up()
    prove_one = _prove_passkey if ANSWER_FIELD in visit.form else _prove_code
    proven = await prove_one(portal, visit, state)
    if isinstance(proven, _NotProven):
        await _record_failure(portal, visit, proven.reason)
        devices = await find_devices(portal.tools.store.transaction(), state.identity)
        return _page(portal, visit, state, devices, status=403, error=proven.error)
    now = int(visit.facts.now)
    return await go_on(
        portal, visit, replace(state, mfa_authenticated_at=now, mfa_serial=proven.serial_number)
    )


async def _prove_code(portal: Portal, visit: Visit, state: SignInState) -> Device | _NotProven:
    error, now = texts_of("second_factor").incorrect, visit.facts.now
    assert state.identity is not None
    devices = await find_devices(portal.tools.store.transaction(), state.identity)
    chosen = visit.form.get("device", "")
    device = next((one for one in virtual_of(devices) if one.serial_number == chosen), None)
    if device is None:
        return _NotProven(error, "the device is none of the user's")
    code = visit.form.get("code", "").replace(" ", "")
    if await portal.tools.store.transact(lambda store: take_code(store, device, code, now)):
        return device
    reason = f"the code of {chosen} is wrong, was used before, or came after too many wrong ones"
    return _NotProven(error, reason)


async def _prove_passkey(portal: Portal, visit: Visit, state: SignInState) -> Device | _NotProven:
    error, identity = texts_of("second_factor").passkey_incorrect, state.identity
    assert identity is not None
    ceremony = find_ceremony(portal, visit, _bound_to(state))
    if ceremony is None:
        return _NotProven(error, "the passkey's challenge is of another sign-in, or too old")
    await prepare_verification()
    answer, handle = visit.form[ANSWER_FIELD], user_handle(identity.subject)

    async def take(store: Transaction) -> Passkey | PasskeyRefused:
        passkeys = passkeys_of(await find_devices(store, identity))
        known = [one for one in passkeys if one.host_name == ceremony.host_name]
        return await take_passkey(
            store, identity.account_id, known, handle, ceremony, answer, visit.facts.now
        )

    taken = await portal.tools.store.transact(take)
    if isinstance(taken, PasskeyRefused):
        return _NotProven(error, f"the passkey was refused: {taken}")
    return taken


def _page(
    portal: Portal,
    visit: Visit,
    state: SignInState,
    devices: list[Device],
    *,
    status: int = 200,
    error: str = "",
) -> web.Response:
    passkeys, here = passkeys_of(devices), host_name_of(visit)
    known = tuple(one.credential_id for one in passkeys if one.host_name == here)
    return page(
        portal,
        visit,
        "second_factor",
        status=status,
        devices=virtual_of(devices),
        chosen=visit.form.get("device", ""),
        error=error,
        is_about_passkey=ANSWER_FIELD in visit.form,
        obstacle=find_obstacle(portal, visit) if passkeys else None,
        other_host_names=sorted({one.host_name for one in passkeys if one.host_name != here}),
        passkey=_asked_for(portal, visit, state, known) if known else None,
    )


def _asked_for(portal: Portal, visit: Visit, state: SignInState, known: tuple[bytes, ...]) -> dict[str, Any]:
    """What the browser asks the authenticator for, as JSON, and the sealed challenge in it."""
    ceremony, sealed = begin_ceremony(portal, visit, _bound_to(state))
    options = request_options(ceremony, portal.passkey_user_verification, known)
    return {"options": msgspec.json.encode(options).decode(), "challenge": sealed}


def _bound_to(state: SignInState) -> str:
    return f"sign-in {state.csrf_token}"


async def _record_failure(portal: Portal, visit: Visit, reason: str) -> None:
    assert visit.state is not None
    identity = visit.state.identity
    assert identity is not None
    user = None
    if isinstance(identity, IamUserIdentity):
        user = await portal.tools.store.transaction().find(USERS, identity.account_id, identity.user_name)
    event = begin_record(portal, visit.facts, CONSOLE_LOGIN)
    note_failure(event, "AccessDenied", reason, identity.account_id, user, mFAUsed="Yes")
    await portal.tools.journal.record(event)


ROUTES = (
    Route("GET", CODE, show, "SecondFactor", is_open=True),
    Route("POST", CODE, prove, "SecondFactor", is_open=True),
)
