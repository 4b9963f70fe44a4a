"""The policy editor: a text, the findings at their lines, what it says in words. One page for every kind of policy."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.policy import PolicyKind, read_for_author, summarize
from broker.portal.console.frame import console_page, console_route
from broker.portal.console.operations import OPERATION_FIELD, OperationForm, take_form
from broker.portal.console.what_changes import DAYS, Edited, WhatChanges, what_changes
from broker.portal.dependencies import Portal
from broker.portal.rendering import page, texts_of
from broker.portal.visit import Visit

_CHECK, _WHAT_CHANGES = "check", "what-changes"
FindEdited = Callable[[Portal, Visit], Awaitable[Edited | Refusal]]
_KINDS = {"identity": PolicyKind.IDENTITY, "managed": PolicyKind.IDENTITY, "trust": PolicyKind.TRUST}
_EMPTY = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Action": ["iam:GetUser"], "Resource": "*"}],
}


class Draft(msgspec.Struct, frozen=True):
    """A policy that is being written.

    `kind` is identity, managed or trust; `operation` stores it, `member` is its parameter for the text. `heading` is
    what the policy is of, `back` the page to return to. `name` is the policy's and `owner` whose it is, "" without one.
    `is_named` asks for a name, `is_described` for more. `find_edited` finds who has the policy; None for one that
    nobody has yet, and for a trust policy.
    """

    kind: str
    operation: str
    text: str
    heading: str
    back: str
    member: str = "PolicyDocument"
    is_named: bool = False
    is_described: bool = False
    find_edited: FindEdited | None = None
    name: str = ""
    owner: str = ""


def indented(document: str) -> str:
    """A stored document, one member a line; unchanged where it is no JSON."""
    try:
        return json.dumps(json.loads(document), indent=2, ensure_ascii=False)
    except ValueError:
        return document


def empty_policy() -> str:
    return json.dumps(_EMPTY, indent=2)


async def edit(
    portal: Portal,
    visit: Visit,
    draft: Draft,
    refusal: Refusal | None = None,
    changes: WhatChanges | None = None,
) -> web.Response:
    """The page with what was entered, or with the stored text."""
    text = visit.form.get(draft.member, draft.text).replace("\r\n", "\n")
    return await console_page(
        portal,
        visit,
        "editor",
        refusal=refusal,
        draft=draft,
        text_entered=text,
        changes=changes,
        change_text=texts_of("console/what_changes"),
        days=DAYS,
        now=int(visit.facts.now),
        **await findings_of(portal, text, draft.kind),
    )


async def save(
    portal: Portal, visit: Visit, draft: Draft, named: Mapping[str, str], form: OperationForm
) -> web.Response:
    """Store the text, or, for the other buttons, only look at it."""
    if visit.form.get(OPERATION_FIELD) == _CHECK:
        return await edit(portal, visit, draft)
    if visit.form.get(OPERATION_FIELD) == _WHAT_CHANGES and draft.find_edited is not None:
        text = visit.form.get(draft.member, "").replace("\r\n", "\n")
        edited = await draft.find_edited(portal, visit)
        return await edit(portal, visit, draft, changes=await what_changes(portal, visit, edited, text))

    async def again(portal: Portal, visit: Visit, refusal: Refusal | None) -> web.Response:
        return await edit(portal, visit, draft, refusal)

    return await take_form(portal, visit, {draft.operation: form}, named, again)


async def findings_of(portal: Portal, text: str, kind: str) -> dict[str, Any]:
    # In a thread: the checks of a long text take a second and more.
    reading = await asyncio.to_thread(
        read_for_author,
        text,
        _KINDS[kind],
        is_managed=kind == "managed",
        own_services=portal.tools.service_principals,
    )
    return {
        "findings": reading.findings,
        "statements": reading.policy.statements if reading.policy is not None else (),
        "in_words": summarize(reading.policy) if reading.policy is not None else (),
    }


async def check(portal: Portal, visit: Visit) -> web.Response:
    """The part of the page below the text, for the script, while the person types."""
    kind = visit.form.get("kind", "")
    if kind not in _KINDS:
        raise Refusal("MalformedInput", "There is no such kind of policy.")
    found = await findings_of(portal, visit.form.get("text", ""), kind)
    return page(portal, visit, "console/findings", **found)


ROUTES = (console_route("POST", "/check-policy", check, "ConsoleCheckPolicy"),)
