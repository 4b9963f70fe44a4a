"""A user: what it is, where its permissions come from, and its credentials."""

from typing import Any

from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OperationForm, attempt, entered, perform, take_form
from broker.portal.console.permissions import PolicyHolder, find_permissions, permission_forms
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_PATH = r"/users/{name:[\w+=,.@-]{1,64}}"
_KEY_FORM = "CreateAccessKey"
_HERE = (
    "AddUserToGroup",
    "RemoveUserFromGroup",
    "UpdateAccessKey",
    "DeleteAccessKey",
    "CreateLoginProfile",
    "DeleteLoginProfile",
    "DeactivateMFADevice",
    "TagUser",
    "UntagUser",
)


def _holder(visit: Visit) -> PolicyHolder:
    return PolicyHolder("User", visit.request.match_info["name"], visit.request.match_info["account"])


async def show(
    portal: Portal, visit: Visit, refusal: Refusal | None = None, new_key: Any = None
) -> web.Response:
    """`new_key` is an access key that was made just now: its secret is shown this once."""
    holder = _holder(visit)
    found = await attempt(portal, visit, "GetUser", holder.named)
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    return await console_page(
        portal,
        visit,
        "user",
        refusal=refusal,
        user=found.user,
        holder=holder,
        permissions=await find_permissions(portal, visit, holder),
        memberships=await attempt(portal, visit, "ListGroupsForUser", holder.named),
        all_groups=await attempt(portal, visit, "ListGroups", {"MaxItems": "300"}),
        keys=await _keys(portal, visit, holder),
        login=await attempt(portal, visit, "GetLoginProfile", holder.named),
        devices=await attempt(portal, visit, "ListMFADevices", holder.named),
        new_key=new_key,
    )


async def _keys(portal: Portal, visit: Visit, holder: PolicyHolder) -> Any:
    """The user's access keys, each with when it was last used (None where that may not be known), or a Refusal."""
    keys = await attempt(portal, visit, "ListAccessKeys", holder.named)
    if isinstance(keys, Refusal):
        return keys
    rows = []
    for key in keys.access_key_metadata:
        used = await attempt(portal, visit, "GetAccessKeyLastUsed", {"AccessKeyId": key.access_key_id})
        rows.append((key, getattr(used, "access_key_last_used", None)))
    return rows


async def act(portal: Portal, visit: Visit) -> web.Response:
    holder = _holder(visit)
    if visit.form.get("do") == _KEY_FORM:
        try:
            answer = await perform(portal, visit, _KEY_FORM, holder.named)
        except Refusal as refusal:
            return await show(portal, visit, refusal)
        return await show(portal, visit, new_key=answer.access_key)
    forms = {
        **permission_forms(holder),
        **{operation: OperationForm(lambda _answer: holder.path) for operation in _HERE},
        "DeleteUser": OperationForm(lambda _answer: f"{console_path(holder.account_id)}/users"),
    }
    return await take_form(portal, visit, forms, holder.named, show)


async def show_new(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    return await console_page(portal, visit, "new_user", refusal=refusal)


async def create(portal: Portal, visit: Visit) -> web.Response:
    account_id = visit.request.match_info["account"]
    name = entered(visit).get("UserName", "")
    forms = {"CreateUser": OperationForm(lambda _answer: PolicyHolder("User", name, account_id).path)}
    return await take_form(portal, visit, forms, {}, show_new)


ROUTES = (
    console_route("GET", "/new/user", show_new, "ConsoleNewUser"),
    console_route("POST", "/new/user", create, "ConsoleNewUser"),
    console_route("GET", _PATH, show, "ConsoleUser"),
    console_route("POST", _PATH, act, "ConsoleUser"),
)
