"""The searches of AuthZEN (section 8): questions for each candidate that the broker knows, a page at a time.

What can be listed, and nothing else:

- subjects: the users and roles of the asker's account, those that it may ask about. Not sessions, not people of
  identity providers, not principals of other accounts: these are not on record one by one.
- resources: those that the subject's account has registered (`RegisterForeignResource`), themselves. Not what lies in
  them, as the objects of a bucket: only its service knows them.
- actions: of services that AWS has, those that its Service Authorization Reference knows on such a resource. Not those
  of services of your own: only their policies name them, and by patterns.

A page looks at a hundred candidates; it may have fewer results, even none, and still be followed by another.
"""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from broker.access.caller import user_caller
from broker.access.simulation import role_caller
from broker.authorize.evaluation import EVALUATE, decide, named_resource, subject_resource
from broker.authorize.questions import (
    PRINCIPAL,
    RESOURCE,
    AccessQuestion,
    AskedResource,
    AskedSubject,
    Members,
    member_object,
    read_action,
    read_context,
    read_subject,
    read_target,
)
from broker.authorize.subjects import FoundSubject, NoSubject, TakeRole, find_subject
from broker.errors import validation_error
from broker.operation import Call
from broker.policy.validation import actions_on
from broker.storage.store import FOREIGN_RESOURCES, ROLES, USERS, Collection

AT_ONCE = 100
_LONGEST_MARKER = 400

_PRINCIPALS: dict[str, Collection[Any]] = {"user": USERS, "role": ROLES}

Search = Callable[[Call, TakeRole, Members], Awaitable["Found"]]


class Found(msgspec.Struct, frozen=True):
    """A page of results as they are answered; `next_token` is "" after the last. `asked` is for the record."""

    results: list[dict[str, Any]]
    next_token: str
    asked: dict[str, Any]


async def search_subjects(call: Call, take_role: TakeRole, members: Members) -> Found:
    """Which users and roles of the asker's account may do it. Raises ValidationError."""
    if member_object(members, "subject").get("type") != PRINCIPAL:
        raise validation_error(f"Subjects of the type {PRINCIPAL} alone can be searched.")
    action = read_action(member_object(members, "action"))
    target, keys = read_target(member_object(members, "resource")), read_context(members)
    kind, behind = _read_marker(members, tuple(_PRINCIPALS), "user")
    collection = _PRINCIPALS[kind]
    records = await call.store.scan(collection, call.account, after=behind, limit=AT_ONCE)
    results = []
    for record in records:
        caller = user_caller(record) if kind == "user" else role_caller(record, call.now)
        found = FoundSubject(caller, is_proven=False)
        question = AccessQuestion(AskedSubject(PRINCIPAL, record.arn), action, target, keys)
        if await _may_ask(call, found) and await _is_allowed(call, found, question):
            results.append({"type": PRINCIPAL, "id": record.arn})
    if len(records) == AT_ONCE:
        token = _marker(kind, collection.key_of(records[-1]))
    else:
        token = _marker("role", "") if kind == "user" else ""
    return Found(results, token, {"action": action, "resource": target.arn})


async def search_resources(call: Call, take_role: TakeRole, members: Members) -> Found:
    """On which resources that its account has registered the subject may do it."""
    subject = read_subject(member_object(members, "subject"))
    action, keys = read_action(member_object(members, "action")), read_context(members)
    if member_object(members, "resource").get("type") != RESOURCE:
        raise validation_error(f"resource.type is {RESOURCE}.")
    found = await _subject(call, take_role, subject)
    asked = {"subject": subject.id, "action": action}
    if found is None:
        return Found([], "", asked)
    _, behind = _read_marker(members, ("resource",), "resource")
    rows = await call.store.scan(FOREIGN_RESOURCES, found.caller.account, after=behind, limit=AT_ONCE)
    results = [
        {"type": RESOURCE, "id": row.arn}
        for row in rows
        if await _is_allowed(call, found, AccessQuestion(subject, action, AskedResource(row.arn), keys))
    ]
    token = _marker("resource", rows[-1].arn) if len(rows) == AT_ONCE else ""
    return Found(results, token, asked)


async def search_actions(call: Call, take_role: TakeRole, members: Members) -> Found:
    """What AWS's reference knows of actions on such a resource, and the subject may do there."""
    subject = read_subject(member_object(members, "subject"))
    target, keys = read_target(member_object(members, "resource")), read_context(members)
    found = await _subject(call, take_role, subject)
    asked = {"subject": subject.id, "resource": target.arn}
    if found is None:
        return Found([], "", asked)
    _, behind = _read_marker(members, ("action",), "action")
    names = [name for name in actions_on(target.arn) if name > behind]
    results = [
        {"name": name}
        for name in names[:AT_ONCE]
        if await _is_allowed(call, found, AccessQuestion(subject, name, target, keys))
    ]
    token = _marker("action", names[AT_ONCE - 1]) if len(names) > AT_ONCE else ""
    return Found(results, token, asked)


async def _subject(call: Call, take_role: TakeRole, subject: AskedSubject) -> FoundSubject | None:
    """None where there is no such subject; raises AccessDenied where the asker may not ask about it."""
    try:
        found = await find_subject(call.store, call.mint.keyring(), take_role, subject, call.now)
    except NoSubject:
        if subject.type == PRINCIPAL:
            await call.require(EVALUATE, named_resource(subject))
        return None
    await call.require(EVALUATE, subject_resource(call, found))
    return found


async def _may_ask(call: Call, found: FoundSubject) -> bool:
    resource = subject_resource(call, found)
    return (await call.gate.decide(call.store, call.caller, call.facts, EVALUATE, resource)).allowed


async def _is_allowed(call: Call, found: FoundSubject, question: AccessQuestion) -> bool:
    decision, _ = await decide(call, found.caller, question)
    return decision is not None and decision.allowed


def _read_marker(members: Members, kinds: tuple[str, ...], first: str) -> tuple[str, str]:
    """What kind of candidate the page begins with, and behind which key. Raises ValidationError."""
    page = member_object(members, "page", {})
    token = page.get("token", page.get("next_token"))
    if not token:
        return first, ""
    try:
        if not isinstance(token, str) or len(token) > _LONGEST_MARKER:
            raise ValueError("no marker")
        kind, _, key = urlsafe_b64decode(token.encode("ascii")).decode().partition(" ")
        if kind not in kinds:
            raise ValueError("the marker of another search")
    except ValueError:
        raise validation_error("page.token is not one that a search has answered.") from None
    return kind, key


def _marker(kind: str, key: str) -> str:
    return urlsafe_b64encode(f"{kind} {key}".encode()).decode()
