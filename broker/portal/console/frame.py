"""What every page of the console has: whose permissions are used, in which account, and the way out."""

from typing import Any

import msgspec
from aiohttp import web

from broker.errors import Refusal
from broker.portal.console.acting import acting_of
from broker.portal.dependencies import Portal
from broker.portal.refusals import shown_refusal
from broker.portal.rendering import compile_page, page
from broker.portal.routes import Answer, Route
from broker.portal.visit import LARGEST_FORM, Visit
from broker.storage.portal_records import ConsoleIdentity
from broker.storage.store import ACCOUNTS

ACCOUNT = r"/console/{account:[0-9]{12}}"


class ConsoleFrame(msgspec.Struct, frozen=True):
    """`path` is where the pages of the account begin. `may_leave`: the person has permissions beside those of the role.
    `ends_at` is the end of a role's session, None for others. `is_of_operator`: the account has the operator's page."""

    account_id: str
    account_name: str
    path: str
    person: str
    role_name: str | None
    may_leave: bool
    ends_at: int | None
    now: int
    is_of_operator: bool


async def console_page(
    portal: Portal, visit: Visit, name: str, *, refusal: Refusal | None = None, **values: Any
) -> web.Response:
    """The page `console/NAME`; `refusal` is that of the form that was sent, or of the whole page."""
    assert visit.session is not None
    acting = acting_of(visit.session)
    account = await portal.tools.store.transaction().find(ACCOUNTS, "", acting.account_id)
    frame = ConsoleFrame(
        acting.account_id,
        (account.name or account.alias or "") if account is not None else "",
        console_path(acting.account_id),
        acting.name,
        acting.role_name,
        not isinstance(visit.session.identity, ConsoleIdentity),
        acting.ends_at,
        int(visit.facts.now),
        acting.account_id == portal.operator_account != "",
    )
    shown = shown_refusal(refusal) if refusal is not None else None
    await compile_page(f"console/{name}")
    return page(
        portal,
        visit,
        f"console/{name}",
        status=shown.status if shown is not None else 200,
        console=frame,
        refusal=shown,
        form=visit.form,
        **values,
    )


def console_path(account_id: str) -> str:
    return f"/console/{account_id}"


def console_route(
    method: str, path: str, answer: Answer, name: str, largest_form: int = LARGEST_FORM
) -> Route:
    """A route of the account that the console acts in; of another account its pages do not exist."""
    return Route(
        method,
        f"{ACCOUNT}{path}",
        _in_account(answer),
        name,
        is_of_console=True,
        largest_form=largest_form,
    )


def _in_account(answer: Answer) -> Answer:
    async def checked(portal: Portal, visit: Visit) -> web.StreamResponse:
        assert visit.session is not None
        if visit.request.match_info["account"] != acting_of(visit.session).account_id:
            raise Refusal("AnotherAccount", "The console is open in another account.", status=409)
        return await answer(portal, visit)

    return checked
