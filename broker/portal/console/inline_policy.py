"""An inline policy of a user, group or role, in the editor; its name is in the address, a new one has none yet."""

from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.editor import Draft, edit, empty_policy, indented, save
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.operations import OperationForm, attempt
from broker.portal.console.permissions import PolicyHolder
from broker.portal.console.what_changes import Edited, find_inline
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_NOUNS = {"users": "User", "groups": "Group", "roles": "Role"}
_PATH = r"/{kind:users|groups|roles}/{name:[\w+=,.@-]{1,128}}/inline"


def _holder(visit: Visit) -> PolicyHolder:
    matched = visit.request.match_info
    return PolicyHolder(_NOUNS[matched["kind"]], matched["name"], matched["account"])


async def show(portal: Portal, visit: Visit) -> web.Response:
    holder, name = _holder(visit), visit.request.match_info["policy"]
    named = {**holder.named, "PolicyName": name}
    found = await attempt(portal, visit, f"Get{holder.noun}Policy", named)
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    return await edit(portal, visit, _draft(holder, indented(found.policy_document), name))


async def change(portal: Portal, visit: Visit) -> web.Response:
    holder, name = _holder(visit), visit.request.match_info["policy"]
    named = {**holder.named, "PolicyName": name}
    return await save(
        portal, visit, _draft(holder, "", name), named, OperationForm(lambda _answer: holder.path)
    )


async def show_new(portal: Portal, visit: Visit) -> web.Response:
    return await edit(portal, visit, _draft(_holder(visit), empty_policy()))


async def create(portal: Portal, visit: Visit) -> web.Response:
    holder = _holder(visit)
    draft = _draft(holder, "")
    return await save(portal, visit, draft, holder.named, OperationForm(lambda _answer: holder.path))


def _draft(holder: PolicyHolder, text: str, name: str = "") -> Draft:
    """Of the policy `name`; of a new one, which the form names, where that is ""."""

    async def find_edited(portal: Portal, visit: Visit) -> Edited | Refusal:
        return await find_inline(portal, visit, holder, name)

    return Draft(
        kind="identity",
        operation=f"Put{holder.noun}Policy",
        text=text,
        heading="inline" if name else "new_inline",
        back=holder.path,
        is_named=not name,
        find_edited=find_edited if name else None,
        name=name,
        owner=holder.name,
    )


ROUTES = (
    console_route("GET", _PATH, show_new, "ConsoleNewInlinePolicy"),
    console_route("POST", _PATH, create, "ConsoleNewInlinePolicy"),
    console_route("GET", rf"{_PATH}/{{policy:[\w+=,.@-]{{1,128}}}}", show, "ConsoleInlinePolicy"),
    console_route("POST", rf"{_PATH}/{{policy:[\w+=,.@-]{{1,128}}}}", change, "ConsoleInlinePolicy"),
)
