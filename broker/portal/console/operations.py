"""How a page performs an operation of the API: its request checked as the wire's, then gate, handler and record."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from aiohttp import web
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.errors import Refusal
from broker.operation import PAGE_OPERATIONS, Operation, find_operation, model
from broker.performing import perform_declared
from broker.portal.console.acting import acting_caller
from broker.portal.dependencies import Portal
from broker.portal.rendering import see_other
from broker.portal.sessions import require_session
from broker.portal.visit import CSRF_FIELD, Visit
from broker.protocol.redaction import is_reading
from broker.protocol.request import read_request
from broker.storage.store import Transaction

OPERATION_FIELD = "do"
_NONE: Mapping[str, str] = {}
# Refusals that concern one panel of a page; what the server cannot do at all is no answer to show in a corner.
FAULTS = frozenset({"ServiceUnavailable", "InternalFailure", "ExpiredToken"})


async def perform(
    portal: Portal,
    visit: Visit,
    operation: str,
    parameters: Mapping[str, str] = _NONE,
    *,
    service: str = "iam",
) -> Any:
    """The answer of `operation`; `parameters` are those of the Query protocol. Raises Refusal."""
    typed = read_request(model(service), operation, parameters)
    return await _perform(portal, visit, find_operation(service, operation), typed)


async def perform_for_page(portal: Portal, visit: Visit, name: str, typed: Any) -> Any:
    """The answer of an operation that only pages know, by its name there. Raises Refusal."""
    return await _perform(portal, visit, PAGE_OPERATIONS[name], typed)


async def _perform(portal: Portal, visit: Visit, declared: Operation, typed: Any) -> Any:
    session = visit.session
    assert session is not None

    async def caller_in(store: Transaction) -> Caller:
        if not is_reading(declared.name):
            await require_session(portal, store, session, visit.facts.now)
        return await acting_caller(store, session, visit.facts.now)

    started, code = portal.timer(), ""
    try:
        return await perform_declared(
            portal.tools,
            replace(visit.facts, service=declared.service),
            caller_in,
            declared,
            typed,
        )
    except Refusal as refusal:
        code = refusal.code
        raise
    finally:
        seconds = portal.timer() - started
        portal.count(declared.service, declared.name, code, seconds, visit.facts.request_id)


async def attempt(
    portal: Portal,
    visit: Visit,
    operation: str,
    parameters: Mapping[str, str] = _NONE,
    *,
    service: str = "iam",
) -> Any:
    """The answer, or the Refusal itself: one part of a page may be refused while the others are shown."""
    try:
        return await perform(portal, visit, operation, parameters, service=service)
    except Refusal as refusal:
        if refusal.code in FAULTS:
            raise
        return refusal


async def attempt_for_page(portal: Portal, visit: Visit, name: str, typed: Any) -> Any:
    """As `attempt`, for an operation that only pages know."""
    try:
        return await perform_for_page(portal, visit, name, typed)
    except Refusal as refusal:
        if refusal.code in FAULTS:
            raise
        return refusal


class OperationForm(msgspec.Struct, frozen=True):
    """A form of a page: `then` gives, from the answer, the page to look at afterwards."""

    then: Callable[[Any], str]
    service: str = "iam"


Show = Callable[[Portal, Visit, Refusal | None], Awaitable[web.Response]]


async def take_form(
    portal: Portal,
    visit: Visit,
    forms: Mapping[str, OperationForm],
    named: Mapping[str, str],
    show: Show,
) -> web.Response:
    """Perform the operation of the form that was sent; `show` makes the page again where that is refused.

    `forms` are those of the page by operation, `named` is what the page's address says.
    """
    operation = visit.form.get(OPERATION_FIELD, "")
    form = forms.get(operation)
    if form is None:
        raise Refusal("MalformedInput", "This page has no such form.")
    try:
        answer = await perform(portal, visit, operation, {**entered(visit), **named}, service=form.service)
    except Refusal as refusal:
        if refusal.code in FAULTS:
            raise
        return await show(portal, visit, refusal)
    return see_other(form.then(answer))


def entered(visit: Visit) -> dict[str, str]:
    """The fields of the form that were filled in; an empty one is left out, as a client leaves out what is not given.

    A text of several lines comes with the line ends of forms (CRLF).
    """
    hidden = (CSRF_FIELD, OPERATION_FIELD)
    return {
        name: text.replace("\r\n", "\n") for name, text in visit.form.items() if text and name not in hidden
    }
