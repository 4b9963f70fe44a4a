"""An instance profile: the role that its machines get credentials for, and which machines these are."""

from urllib.parse import quote

from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OperationForm, attempt, entered, take_form
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_NAME = r"[\w+=,.@-]{1,128}"
_PATH = rf"/profiles/{{name:{_NAME}}}"
_HERE = (
    "AddRoleToInstanceProfile",
    "RemoveRoleFromInstanceProfile",
    "TagInstanceProfile",
    "UntagInstanceProfile",
)


def _named(visit: Visit) -> dict[str, str]:
    return {"InstanceProfileName": visit.request.match_info["name"]}


def _list_path(visit: Visit) -> str:
    return f"{console_path(visit.request.match_info['account'])}/profiles"


def _path(visit: Visit, name: str) -> str:
    return f"{_list_path(visit)}/{quote(name)}"


async def show(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    found = await attempt(portal, visit, "GetInstanceProfile", _named(visit))
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    return await console_page(
        portal,
        visit,
        "instance_profile",
        refusal=refusal,
        profile=found.instance_profile,
        roles=await attempt(portal, visit, "ListRoles", {"MaxItems": "300"}),
        instances=await attempt(portal, visit, "ListInstances", {**_named(visit), "MaxItems": "200"}),
    )


async def act(portal: Portal, visit: Visit) -> web.Response:
    here = _path(visit, visit.request.match_info["name"])
    forms = {
        **{operation: OperationForm(lambda _answer: here) for operation in _HERE},
        "DeleteInstanceProfile": OperationForm(lambda _answer: _list_path(visit)),
    }
    return await take_form(portal, visit, forms, _named(visit), show)


async def show_new(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    return await console_page(portal, visit, "new_instance_profile", refusal=refusal)


async def create(portal: Portal, visit: Visit) -> web.Response:
    name = entered(visit).get("InstanceProfileName", "")
    forms = {"CreateInstanceProfile": OperationForm(lambda _answer: _path(visit, name))}
    return await take_form(portal, visit, forms, {}, show_new)


async def show_instances(portal: Portal, visit: Visit) -> web.Response:
    """Every machine of the account that the metadata service knows."""
    marker = visit.request.query.get("marker", "")
    parameters = {"MaxItems": "100", **({"Marker": marker} if marker else {})}
    listed = await attempt(portal, visit, "ListInstances", parameters)
    refusal = listed if isinstance(listed, Refusal) else None
    return await console_page(portal, visit, "instances", refusal=refusal, listed=listed)


ROUTES = (
    console_route("GET", "/instances", show_instances, "ConsoleInstances"),
    console_route("GET", "/new/profile", show_new, "ConsoleNewInstanceProfile"),
    console_route("POST", "/new/profile", create, "ConsoleNewInstanceProfile"),
    console_route("GET", _PATH, show, "ConsoleInstanceProfile"),
    console_route("POST", _PATH, act, "ConsoleInstanceProfile"),
)
