"""A group: its members, and the permissions that they have from it."""

from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OperationForm, attempt, entered, take_form
from broker.portal.console.permissions import PolicyHolder, find_permissions, permission_forms
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_PATH = r"/groups/{name:[\w+=,.@-]{1,128}}"
_HERE = ("AddUserToGroup", "RemoveUserFromGroup")


def _holder(visit: Visit) -> PolicyHolder:
    return PolicyHolder("Group", visit.request.match_info["name"], visit.request.match_info["account"])


async def show(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    holder = _holder(visit)
    found = await attempt(portal, visit, "GetGroup", {**holder.named, "MaxItems": "200"})
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    return await console_page(
        portal,
        visit,
        "group",
        refusal=refusal,
        group=found.group,
        members=found.users,
        has_more=bool(found.is_truncated),
        holder=holder,
        permissions=await find_permissions(portal, visit, holder),
    )


async def act(portal: Portal, visit: Visit) -> web.Response:
    holder = _holder(visit)
    forms = {
        **permission_forms(holder),
        **{operation: OperationForm(lambda _answer: holder.path) for operation in _HERE},
        "DeleteGroup": OperationForm(lambda _answer: f"{console_path(holder.account_id)}/groups"),
    }
    return await take_form(portal, visit, forms, holder.named, show)


async def show_new(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    return await console_page(portal, visit, "new_group", refusal=refusal)


async def create(portal: Portal, visit: Visit) -> web.Response:
    account_id = visit.request.match_info["account"]
    name = entered(visit).get("GroupName", "")
    forms = {"CreateGroup": OperationForm(lambda _answer: PolicyHolder("Group", name, account_id).path)}
    return await take_form(portal, visit, forms, {}, show_new)


ROUTES = (
    console_route("GET", "/new/group", show_new, "ConsoleNewGroup"),
    console_route("POST", "/new/group", create, "ConsoleNewGroup"),
    console_route("GET", _PATH, show, "ConsoleGroup"),
    console_route("POST", _PATH, act, "ConsoleGroup"),
)
