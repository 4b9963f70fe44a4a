"""Your security: password, access keys, second factors and sessions of the person who is signed in.

Always with the person's own permissions, whichever principal the console acts as. The portal's sessions are no matter
of the API: people may end their own.
"""

import re
from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web
from msgspec.structs import replace

from broker.credentials.password_changes import find_login_profile, find_password_policy
from broker.credentials.portal_sessions import find_sessions
from broker.errors import Refusal
from broker.portal.ceremonies import find_obstacle, host_name_of
from broker.portal.console.operations import (
    OPERATION_FIELD,
    OperationForm,
    attempt,
    entered,
    perform,
    take_form,
)
from broker.portal.dependencies import Portal
from broker.portal.devices import shown_devices
from broker.portal.refusals import shown_refusal
from broker.portal.rendering import page, see_other, texts_of
from broker.portal.routes import Route
from broker.portal.visit import Visit
from broker.storage.passkey_records import is_passkey
from broker.storage.portal_records import (
    FederatedIdentity,
    IamUserIdentity,
    PortalSession,
    RootIdentity,
)

SECURITY = "/security"
_SIMPLE = (
    "UpdateAccessKey",
    "DeleteAccessKey",
    "DeactivateMFADevice",
    "EnableMFADevice",
    "DeleteVirtualMFADevice",
)
_NAMES_ITS_USER = ("DeactivateMFADevice", "EnableMFADevice")
_DEVICE_NAME = "VirtualMFADeviceName"
_is_device_name = re.compile(r"[\w+=,.@-]{1,226}", re.ASCII).fullmatch


class NewPasskey(msgspec.Struct, frozen=True):
    """A passkey that the browser is asked for: its name, the options as JSON, and the sealed challenge."""

    name: str
    options: str
    challenge: str


async def show(portal: Portal, visit: Visit) -> web.Response:
    return await show_security(portal, as_oneself(visit))


def as_oneself(visit: Visit) -> Visit:
    """The same visit, whose operations are performed with the person's own permissions."""
    assert visit.session is not None
    return replace(visit, session=replace(visit.session, console_claims=None))


async def show_security(
    portal: Portal,
    visit: Visit,
    refusal: Refusal | None = None,
    *,
    new_key: Any = None,
    new_device: Any = None,
    new_passkey: NewPasskey | None = None,
) -> web.Response:
    """`new_key` and `new_device` were made just now: their secrets are shown this once. `new_passkey` is asked for."""
    session = visit.session
    assert session is not None
    store = portal.tools.store.transaction()
    is_federated = isinstance(session.identity, FederatedIdentity)
    shown = shown_refusal(refusal) if refusal is not None else None
    return page(
        portal,
        visit,
        "security",
        status=shown.status if shown is not None else 200,
        refusal=shown,
        refused_section=_section_of(visit),
        refused_member=_member_of(visit, refusal),
        form=visit.form,
        now=int(visit.facts.now),
        is_root=isinstance(session.identity, RootIdentity),
        is_federated=is_federated,
        **({} if is_federated else await _credentials(portal, visit)),
        new_key=new_key,
        new_device=new_device,
        new_passkey=new_passkey,
        obstacle=find_obstacle(portal, visit),
        host_name=host_name_of(visit),
        device_serial=visit.form.get("SerialNumber", "") if refusal is not None else "",
        sessions=await find_sessions(store, session.identity.subject),
        own=session.shown_id,
    )


def _section_of(visit: Visit) -> str:
    """The section of the page whose form was sent: the forms of passkeys name no operation."""
    operation = visit.form.get(OPERATION_FIELD, "")
    if operation == "ChangePassword":
        return "password"
    return "keys" if operation.endswith("AccessKey") else "devices"


def _member_of(visit: Visit, refusal: Refusal | None) -> str:
    """The field that was refused, as far as the form has but one that can be; "" for others."""
    if refusal is None:
        return ""
    match visit.form.get(OPERATION_FIELD, ""):
        case "ChangePassword":
            if refusal.code == "AccessDenied":  # of the gate, or of the password
                return "OldPassword" if "old password" in refusal.message else ""
            return "NewPassword"
        case "CreateVirtualMFADevice":
            return _DEVICE_NAME
        case "EnableMFADevice":
            return "AuthenticationCode1"
        case "":
            return "passkey_name"
    return ""


async def _credentials(portal: Portal, visit: Visit) -> dict[str, Any]:
    """What the person proves themselves with, each an answer or a Refusal."""
    return {
        "password_changed_at": await _password_changed_at(portal, visit),
        # Without the gate: a refused password says the same.
        "password_policy": await find_password_policy(portal.tools.store.transaction(), *_owner(visit)),
        "keys": await _keys(portal, visit),
        "devices": await _devices(portal, visit),
    }


def _owner(visit: Visit) -> tuple[str, str | None]:
    """Account and name of whose password it is; None is the root user."""
    assert visit.session is not None
    identity = visit.session.identity
    return identity.account_id, identity.user_name if isinstance(identity, IamUserIdentity) else None


async def _password_changed_at(portal: Portal, visit: Visit) -> int:
    """0 where the person has no password."""
    profile = await find_login_profile(portal.tools.store.transaction(), *_owner(visit))
    return profile.changed_at if profile is not None else 0


async def _devices(portal: Portal, visit: Visit) -> Any:
    """Each second factor with when it was last used, or a Refusal."""
    listed = await attempt(portal, visit, "ListMFADevices")
    if isinstance(listed, Refusal):
        return listed
    assert visit.session is not None
    account = visit.session.identity.account_id
    return await shown_devices(portal.tools.store.transaction(), account, listed.mfa_devices)


async def _keys(portal: Portal, visit: Visit) -> Any:
    """Each access key with when it was last used (None where that may not be known), or a Refusal."""
    keys = await attempt(portal, visit, "ListAccessKeys")
    if isinstance(keys, Refusal):
        return keys
    rows = []
    for key in keys.access_key_metadata:
        used = await attempt(portal, visit, "GetAccessKeyLastUsed", {"AccessKeyId": key.access_key_id})
        rows.append((key, getattr(used, "access_key_last_used", None)))
    return rows


async def act(portal: Portal, visit: Visit) -> web.Response:
    visit = as_oneself(visit)
    operation = visit.form.get(OPERATION_FIELD, "")
    match operation:
        case "CreateAccessKey":
            return await _create(portal, visit, operation, "new_key", "access_key")
        case "CreateVirtualMFADevice":
            return await _create(portal, visit, operation, "new_device", "virtual_mfa_device")
        case "ChangePassword":
            return await _change_password(portal, visit)
    forms = {one: OperationForm(lambda _answer: SECURITY) for one in _SIMPLE}
    named = {"UserName": own_name(visit.session)} if operation in _NAMES_ITS_USER else {}
    answer = await take_form(portal, visit, forms, named, show_security)
    if operation == "DeactivateMFADevice" and answer.status == HTTPStatus.SEE_OTHER:
        await _delete_device(portal, visit, visit.form.get("SerialNumber", ""))
    return answer


async def _delete_device(portal: Portal, visit: Visit, serial_number: str) -> None:
    """What is left of a virtual device would have its name for ever, on no list; who may not delete it leaves it."""
    if not is_passkey(serial_number):
        await attempt(portal, visit, "DeleteVirtualMFADevice", {"SerialNumber": serial_number})


async def _create(portal: Portal, visit: Visit, operation: str, name: str, member: str) -> web.Response:
    """Perform an operation whose answer has a secret, and show it at once."""
    try:
        _require_device_name(visit)
        answer = await perform(portal, visit, operation, entered(visit))
    except Refusal as refusal:
        return await show_security(portal, visit, _about_device(refusal, operation))
    return await show_security(portal, visit, **{name: getattr(answer, member)})


def _require_device_name(visit: Visit) -> None:
    """Raises Refusal in words of the page, where IAM's would name a member of its API and a regular expression."""
    name = visit.form.get(_DEVICE_NAME)
    if name is not None and not _is_device_name(name):
        raise Refusal("ValidationError", texts_of("security").bad_device_name)


def _about_device(refusal: Refusal, operation: str) -> Refusal:
    """A device that was never enabled is on no list, and has its name all the same."""
    if (operation, refusal.code) != ("CreateVirtualMFADevice", "EntityAlreadyExists"):
        return refusal
    return Refusal(refusal.code, texts_of("security").device_exists)


async def _change_password(portal: Portal, visit: Visit) -> web.Response:
    given = entered(visit)
    if given.get("NewPassword") != given.get("repeated_password"):
        refusal = Refusal("ValidationError", texts_of("security").different)
        return await show_security(portal, visit, refusal)
    try:
        await perform(portal, visit, "ChangePassword", given)
    except Refusal as refusal:
        return await show_security(portal, visit, refusal)
    return see_other(SECURITY)


def own_name(session: PortalSession | None) -> str:
    """How operations on second factors name their owner; root's is named by the number of the account."""
    assert session is not None
    identity = session.identity
    return identity.user_name if isinstance(identity, IamUserIdentity) else identity.account_id


ROUTES = (
    Route("GET", SECURITY, show, "Security"),
    Route("POST", SECURITY, act, "Security"),
)
