"""A step of a sign-in: a password that has to be changed is replaced, after it was proven again."""

from aiohttp import web
from msgspec.structs import replace

from broker.credentials.password_changes import find_password_policy
from broker.credentials.sign_in import PasswordAccepted, change_password_at_sign_in
from broker.errors import Refusal
from broker.names.secret import SecretKey
from broker.portal.cookies import SignInState
from broker.portal.dependencies import Portal
from broker.portal.devices import find_devices
from broker.portal.rendering import page, see_other, texts_of
from broker.portal.routes import Route
from broker.portal.sign_in_records import PASSWORD_UPDATED, begin_record, note_failure, note_success
from broker.portal.signing_in import NEW_PASSWORD, SIGN_IN, go_on, new_state, with_state
from broker.portal.visit import Visit
from broker.storage.password_records import PasswordPolicy
from broker.storage.portal_records import IamUserIdentity, Identity


async def show(portal: Portal, visit: Visit) -> web.Response:
    state = visit.state
    if state is None or state.identity is None or not await _may_change(portal, state):
        return see_other(SIGN_IN)
    return await _page(portal, visit, state.identity, 200, "")


async def rules_of_password(portal: Portal, identity: Identity) -> PasswordPolicy | None:
    """What a new password has to be like; without the gate, for a refused password says the same."""
    user_name = identity.user_name if isinstance(identity, IamUserIdentity) else None
    return await find_password_policy(portal.tools.store.transaction(), identity.account_id, user_name)


async def _page(portal: Portal, visit: Visit, identity: Identity, status: int, error: str) -> web.Response:
    policy = await rules_of_password(portal, identity)
    return page(portal, visit, "new_password", status=status, error=error, password_policy=policy)


async def change(portal: Portal, visit: Visit) -> web.Response:
    state = visit.state
    if state is None or state.identity is None or not await _may_change(portal, state):
        return with_state(portal, visit, see_other(SIGN_IN), new_state(portal, visit))
    portal.tools.journal.catch_up()
    new = visit.form.get("new_password", "")
    if new != visit.form.get("repeated_password", ""):
        return await _page(portal, visit, state.identity, 400, texts_of("new_password").different)
    try:
        accepted = await _change(portal, visit, state.identity, SecretKey(new))
    except Refusal as refusal:
        status = {"Throttling": 429, "PasswordPolicyViolation": 400}.get(refusal.code, 403)
        return await _page(portal, visit, state.identity, status, refusal.message)
    mark = accepted.password_mark
    return await go_on(portal, visit, replace(state, must_change=False, password_mark=mark))


async def _may_change(portal: Portal, state: SignInState | None) -> bool:
    """Whether everything before this step is proven, the second factor included."""
    if state is None or state.identity is None or not state.must_change:
        return False
    devices = await find_devices(portal.tools.store.transaction(), state.identity)
    return state.mfa_authenticated_at is not None or not devices


async def _change(portal: Portal, visit: Visit, identity: Identity, new: SecretKey) -> PasswordAccepted:
    """Raises Refusal; in both cases the journal says so first. The sessions that the person had before end."""
    user_name = identity.user_name if isinstance(identity, IamUserIdentity) else None
    event = begin_record(portal, visit.facts, PASSWORD_UPDATED)
    try:
        accepted = await change_password_at_sign_in(
            portal.tools.store,
            portal.tools.passwords,
            identity.account_id,
            user_name,
            SecretKey(visit.form.get("password", "")),
            new,
            visit.facts.source_ip,
            visit.facts.now,
        )
    except Refusal as refusal:
        note_failure(event, refusal.code, refusal.reason or refusal.message, identity.account_id, None)
        await portal.tools.journal.record(event)
        raise
    note_success(event, identity)
    await portal.tools.journal.record(event)
    return accepted


ROUTES = (
    Route("GET", NEW_PASSWORD, show, "NewPassword", is_open=True),
    Route("POST", NEW_PASSWORD, change, "NewPassword", is_open=True),
)
