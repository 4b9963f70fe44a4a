"""A role: who may take it, what it may do, and for how long."""

import json

from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.editor import Draft, edit, indented, save
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OperationForm, attempt, entered, take_form
from broker.portal.console.permissions import PolicyHolder, find_permissions, permission_forms
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_PATH = r"/roles/{name:[\w+=,.@-]{1,64}}"
_HERE = ("UpdateRole", "TagRole", "UntagRole")


def _holder(visit: Visit) -> PolicyHolder:
    return PolicyHolder("Role", visit.request.match_info["name"], visit.request.match_info["account"])


async def show(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    holder = _holder(visit)
    found = await attempt(portal, visit, "GetRole", holder.named)
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    role = found.role
    return await console_page(
        portal,
        visit,
        "role",
        refusal=refusal,
        role=role,
        trust_policy=indented(role.assume_role_policy_document or ""),
        holder=holder,
        permissions=await find_permissions(portal, visit, holder),
        profiles=await attempt(portal, visit, "ListInstanceProfilesForRole", holder.named),
    )


async def act(portal: Portal, visit: Visit) -> web.Response:
    holder = _holder(visit)
    forms = {
        **permission_forms(holder),
        **{operation: OperationForm(lambda _answer: holder.path) for operation in _HERE},
        "DeleteRole": OperationForm(lambda _answer: f"{console_path(holder.account_id)}/roles"),
    }
    return await take_form(portal, visit, forms, holder.named, show)


async def show_new(portal: Portal, visit: Visit) -> web.Response:
    return await edit(portal, visit, _new_role(visit))


async def create(portal: Portal, visit: Visit) -> web.Response:
    draft = _new_role(visit)
    name = entered(visit).get("RoleName", "")
    account_id = visit.request.match_info["account"]
    form = OperationForm(lambda _answer: PolicyHolder("Role", name, account_id).path)
    return await save(portal, visit, draft, {}, form)


def _new_role(visit: Visit) -> Draft:
    account_id = visit.request.match_info["account"]
    own_account = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account_id}:root"},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    return Draft(
        kind="trust",
        operation="CreateRole",
        text=json.dumps(own_account, indent=2),
        heading="new_role",
        back=f"{console_path(account_id)}/roles",
        member="AssumeRolePolicyDocument",
        is_named=True,
        is_described=True,
    )


async def show_trust(portal: Portal, visit: Visit) -> web.Response:
    found = await attempt(portal, visit, "GetRole", _holder(visit).named)
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    return await edit(portal, visit, _trust(visit, found.role.assume_role_policy_document or ""))


async def change_trust(portal: Portal, visit: Visit) -> web.Response:
    holder = _holder(visit)
    form = OperationForm(lambda _answer: holder.path)
    return await save(portal, visit, _trust(visit, ""), holder.named, form)


def _trust(visit: Visit, document: str) -> Draft:
    return Draft(
        kind="trust",
        operation="UpdateAssumeRolePolicy",
        text=indented(document),
        heading="trust",
        back=_holder(visit).path,
        owner=_holder(visit).name,
    )


ROUTES = (
    console_route("GET", "/new/role", show_new, "ConsoleNewRole"),
    console_route("POST", "/new/role", create, "ConsoleNewRole"),
    console_route("GET", _PATH, show, "ConsoleRole"),
    console_route("POST", _PATH, act, "ConsoleRole"),
    console_route("GET", f"{_PATH}/trust", show_trust, "ConsoleTrust"),
    console_route("POST", f"{_PATH}/trust", change_trust, "ConsoleTrust"),
)
