"""A managed policy: its text, its versions and what differs between them, where it is attached."""

from collections.abc import Iterator
from difflib import ndiff
from typing import Any
from urllib.parse import quote

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.names.arn import iam_arn
from broker.portal.console.editor import Draft, edit, empty_policy, findings_of, indented, save
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.lists import policy_path
from broker.portal.console.operations import OperationForm, attempt, take_form
from broker.portal.console.what_changes import find_managed
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_NAMED = r"{owner:[0-9]{12}|aws}/{policy:.{1,640}}"
_HERE = ("SetDefaultPolicyVersion", "DeletePolicyVersion")


class DiffLine(msgspec.Struct, frozen=True):
    """`mark` is "+" for a line that is only in the newer text, "-" for one only in the older, or a space."""

    mark: str
    text: str


def _arn(visit: Visit) -> str:
    matched = visit.request.match_info
    return iam_arn(matched["owner"], f"policy/{matched['policy']}")


def _path(visit: Visit) -> str:
    matched = visit.request.match_info
    return f"{console_path(matched['account'])}/{quote(policy_path(_arn(visit), matched['owner']))}"


async def show(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    named = {"PolicyArn": _arn(visit)}
    found = await attempt(portal, visit, "GetPolicy", named)
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    versions = await attempt(portal, visit, "ListPolicyVersions", named)
    known = {one.version_id for one in getattr(versions, "versions", ())}
    default = found.policy.default_version_id
    chosen = visit.request.query.get("version", "")
    chosen = chosen if chosen in known else default
    text, other = await _text(portal, visit, chosen), await _text(portal, visit, default)
    read = await findings_of(portal, text if isinstance(text, str) else "", "managed")
    return await console_page(
        portal,
        visit,
        "policy",
        refusal=refusal,
        policy=found.policy,
        versions=versions,
        chosen=chosen,
        document=text,
        difference=list(differences(other, text))
        if chosen != default and isinstance(text, str) and isinstance(other, str)
        else [],
        statements=read["statements"],
        in_words=read["in_words"],
        entities=await attempt(portal, visit, "ListEntitiesForPolicy", named),
        is_own=visit.request.match_info["owner"] != "aws",
        here=_path(visit),
    )


async def _text(portal: Portal, visit: Visit, version: str) -> Any:
    """The text of a version, or a Refusal."""
    named = {"PolicyArn": _arn(visit), "VersionId": version}
    found = await attempt(portal, visit, "GetPolicyVersion", named)
    return found if isinstance(found, Refusal) else indented(found.policy_version.document)


def differences(older: str, newer: str) -> Iterator[DiffLine]:
    """Every line of both texts, each with its mark."""
    for line in ndiff(older.splitlines(), newer.splitlines()):
        if line[0] != "?":
            yield DiffLine(line[0], line[2:])


async def act(portal: Portal, visit: Visit) -> web.Response:
    account_path, here = console_path(visit.request.match_info["account"]), _path(visit)
    forms = {
        **{operation: OperationForm(lambda _answer: here) for operation in _HERE},
        "DeletePolicy": OperationForm(lambda _answer: f"{account_path}/policies"),
    }
    return await take_form(portal, visit, forms, {"PolicyArn": _arn(visit)}, show)


async def show_new(portal: Portal, visit: Visit) -> web.Response:
    return await edit(portal, visit, _new_policy(visit))


async def create(portal: Portal, visit: Visit) -> web.Response:
    path = console_path(visit.request.match_info["account"])

    def page_of(answer: Any) -> str:
        arn = answer.policy.arn
        return f"{path}/{quote(policy_path(arn, visit.request.match_info['account']))}"

    return await save(portal, visit, _new_policy(visit), {}, OperationForm(page_of))


def _new_policy(visit: Visit) -> Draft:
    return Draft(
        kind="managed",
        operation="CreatePolicy",
        text=empty_policy(),
        heading="new_policy",
        back=f"{console_path(visit.request.match_info['account'])}/policies",
        is_named=True,
        is_described=True,
    )


async def show_edit(portal: Portal, visit: Visit) -> web.Response:
    found = await attempt(portal, visit, "GetPolicy", {"PolicyArn": _arn(visit)})
    text = found
    if not isinstance(found, Refusal):
        text = await _text(portal, visit, found.policy.default_version_id)
    if isinstance(text, Refusal):
        return await console_page(portal, visit, "refused", refusal=text)
    return await edit(portal, visit, _new_version(visit, text))


async def add_version(portal: Portal, visit: Visit) -> web.Response:
    named = {"PolicyArn": _arn(visit), "SetAsDefault": "true"}
    here = _path(visit)
    return await save(portal, visit, _new_version(visit, ""), named, OperationForm(lambda _answer: here))


def _new_version(visit: Visit, text: str) -> Draft:
    return Draft(
        kind="managed",
        operation="CreatePolicyVersion",
        text=text,
        heading="new_version",
        back=_path(visit),
        find_edited=lambda portal, visit: find_managed(portal, visit, _arn(visit)),
        name=_arn(visit).rpartition("/")[2],
    )


ROUTES = (
    console_route("GET", "/new/policy", show_new, "ConsoleNewPolicy"),
    console_route("POST", "/new/policy", create, "ConsoleNewPolicy"),
    console_route("GET", f"/edit/policies/{_NAMED}", show_edit, "ConsoleNewPolicyVersion"),
    console_route("POST", f"/edit/policies/{_NAMED}", add_version, "ConsoleNewPolicyVersion"),
    console_route("GET", f"/policies/{_NAMED}", show, "ConsolePolicy"),
    console_route("POST", f"/policies/{_NAMED}", act, "ConsolePolicy"),
)
