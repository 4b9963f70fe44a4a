"""The portal as an aiohttp application: every page's routes, and the way of a request around them."""

import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus

from aiohttp import web

from broker.errors import Refusal
from broker.performing import internal_failure, known_refusal
from broker.portal import (
    access,
    assets,
    authorize,
    device,
    directory,
    favourites,
    host_sign_in,
    keyboard,
    login,
    new_password,
    openid_connect,
    own_sessions,
    passkeys,
    role,
    saml,
    second_factor,
    security,
    sign_in,
    sign_out,
    start,
    theme,
)
from broker.portal.console import pages as console
from broker.portal.console.entering import CONSOLE
from broker.portal.dependencies import Portal
from broker.portal.headers import add_headers, has_headers
from broker.portal.refusals import shown_refusal
from broker.portal.rendering import page, see_other
from broker.portal.routes import Route
from broker.portal.signing_in import SIGN_IN, new_state, with_state
from broker.portal.visit import (
    LARGEST_FORM,
    Visit,
    begin_visit,
    find_session_again,
    find_visitor,
    read_foreign_form,
    read_form,
)
from broker.storage.portal_records import ConsoleIdentity
from broker.trace_context import HEADER, enter_trace

_PAGES = (
    access,
    assets,
    authorize,
    console,
    device,
    directory,
    favourites,
    host_sign_in,
    keyboard,
    login,
    new_password,
    openid_connect,
    own_sessions,
    passkeys,
    role,
    saml,
    second_factor,
    security,
    sign_in,
    sign_out,
    start,
    theme,
)
_LONGEST_WANTED = 2048  # characters

_logger = logging.getLogger("broker.portal")


def make_application(portal: Portal) -> web.Application:
    application = web.Application(client_max_size=LARGEST_FORM)
    for one in _PAGES:
        for route in one.ROUTES:
            methods = ("GET", "HEAD") if route.method == "GET" else (route.method,)
            for method in methods:
                application.router.add_route(method, route.path, _handler(portal, route))
    # Last, so that it answers what no page does.
    nowhere = Route("*", "/{path:.*}", _absent, "", is_open=True)
    application.router.add_route(nowhere.method, nowhere.path, _handler(portal, nowhere))
    application.on_response_prepare.append(_complete)
    return application


async def _complete(request: web.Request, response: web.StreamResponse) -> None:
    """aiohttp answers some requests itself: an `Expect` that it does not know, `*`, a path with a line break."""
    if not has_headers(response):
        add_headers(response, is_secure=False)


def _handler(portal: Portal, route: Route) -> Callable[[web.Request], Awaitable[web.StreamResponse]]:
    async def answer(request: web.Request) -> web.StreamResponse:
        enter_trace(request.headers.getall(HEADER, ()))
        started = portal.timer()
        visit: Visit | None = None
        code = ""
        try:
            visit = begin_visit(portal, request)
            visit = await find_visitor(portal, visit)
            response: web.StreamResponse = await _answer(portal, route, visit)
        except Exception as error:  # noqa: BLE001  the outermost handler: the browser always gets an answer
            refusal = _refusal_for(error, visit)
            code = refusal.code
            response = _error_page(portal, visit, refusal)
        add_headers(response, is_secure=visit is not None and visit.is_secure)
        request_id = visit.facts.request_id if visit is not None else ""
        portal.count("portal", route.name, code, portal.timer() - started, request_id)
        return response

    return answer


async def _answer(portal: Portal, route: Route, visit: Visit) -> web.StreamResponse:
    if visit.session is None and not route.is_open:
        return _to_sign_in(portal, visit)
    if not (route.is_of_console or route.is_open) and _has_only_the_console(visit):
        return see_other(CONSOLE)
    if visit.request.method == "POST" and not route.is_for_programs:
        had_session = visit.session is not None
        if route.is_from_elsewhere:
            visit = await read_foreign_form(visit)
        else:
            visit = await read_form(visit, route.largest_form)
        visit = await find_session_again(portal, visit)
        # A form from elsewhere proves its content itself, and goes on as that of a visitor who is not signed in.
        if had_session and visit.session is None and not (route.is_open and route.is_from_elsewhere):
            return _to_sign_in(portal, visit)
    return await route.answer(portal, visit)


def _to_sign_in(portal: Portal, visit: Visit) -> web.Response:
    """The sign-in, after which comes the page that was asked for, or that the form was on, which is lost."""
    wanted = visit.request.rel_url.raw_path_qs
    if visit.request.method == "POST":
        wanted = _path_of(visit.request.headers.get("Referer", ""), visit.origin)
    # A cookie that is too long would not be kept at all.
    state = new_state(portal, visit, wanted if len(wanted) <= _LONGEST_WANTED else "")
    return with_state(portal, visit, see_other(SIGN_IN), state)


def _path_of(unverified_url: str, origin: str) -> str:
    """What follows the portal's own origin in the URL; "" where it is of another, or would lead to another."""
    path = unverified_url.removeprefix(origin)
    is_own = unverified_url.startswith(f"{origin}/") and not path.startswith(("//", "/\\"))
    return path if is_own else ""


def _has_only_the_console(visit: Visit) -> bool:
    """Whether the session comes from `/federation` alone, and so has no pages of the portal."""
    return visit.session is not None and isinstance(visit.session.identity, ConsoleIdentity)


async def _absent(portal: Portal, visit: Visit) -> web.Response:
    raise web.HTTPNotFound


def _refusal_for(error: Exception, visit: Visit | None) -> Refusal:
    """What the page says; of a fault of ours the details go to the log only."""
    if isinstance(error, web.HTTPException):
        codes = {404: "NotFound", 405: "UnsupportedHttpVerb", 413: "RequestEntityTooLarge"}
        return Refusal(codes.get(error.status, "MalformedInput"), error.reason or "", status=error.status)
    known = known_refusal(error)
    request_id = visit.facts.request_id if visit is not None else ""
    if known is None:
        _logger.error("internal failure", exc_info=error, extra={"facts": {"request_id": request_id}})
        return internal_failure()
    facts = {"request_id": request_id, "code": known.code, "reason": known.reason or known.message}
    _logger.info("refused", extra={"facts": facts})
    return known


def _error_page(portal: Portal, visit: Visit | None, refusal: Refusal) -> web.Response:
    shown = shown_refusal(refusal)
    if visit is None:  # not even called by its own name: nothing is known of who asks
        return web.Response(text=f"{refusal.message}\n", status=shown.status)
    return page(
        portal,
        visit,
        "error",
        status=shown.status,
        heading=HTTPStatus(shown.status).phrase.capitalize(),
        code=shown.code,
        message=shown.message,
        request_id=visit.facts.request_id,
    )
