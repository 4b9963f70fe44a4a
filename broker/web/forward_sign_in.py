"""The pages under `/.broker/` of a host behind a proxy, which passes them on to the door of forward authentication.

The first sends a browser to the portal, the second takes the code that it comes back with (`broker.portal.host_sign_in`
has how). The Host header says which host it is: the proxy's word, believed where the settings name the host.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import parse_qs

import msgspec

from broker.access.caller import Caller
from broker.audit.journal import JournalUnavailable
from broker.errors import Refusal, access_denied, status_and_fault
from broker.names.protected_hosts import SIGN_IN_PATH, SIGNED_IN_PATH, is_plain
from broker.performing import note_refusal, note_unknown_outcome, unjournalled
from broker.storage.store import Transaction
from broker.web.forward import ForwardedRequest, Forwarding, begin_forwarded
from broker.web.http import Request, Response, header_lines
from broker.web.log import log_refusal
from broker.web.peers import is_proxy
from broker.web.requests import refusal_for

_EVENT = "SignInAtHost"
_FIELDS = {SIGN_IN_PATH: "return", SIGNED_IN_PATH: "code"}
_MOST_FIELDS = 8

# The Cookie header, the host, the path to return to: where the browser goes, and the line of its cookie.
Begin = Callable[[str, str, str], tuple[str, str]]
# The code, the Cookie header, the host, the time: the line of the cookie, the path to go to, and the person.
Exchange = Callable[[Transaction, str, str, str, float], Awaitable[tuple[str, str, Caller]]]


class HostSignIn(msgspec.Struct, frozen=True):
    """What the portal does of it, and the hosts of the settings, in small letters."""

    hosts: frozenset[str]
    begin: Begin
    exchange: Exchange


class ForwardListener(msgspec.Struct, frozen=True):
    """All that the listener answers; `host_sign_in` is None where people sign in at no host but the portal's."""

    forwarding: Forwarding
    host_sign_in: HostSignIn | None = None

    async def answer(self, request: Request) -> Response:
        if self.host_sign_in is not None and request.path in _FIELDS:
            return await answer_host_sign_in(self.forwarding, self.host_sign_in, request)
        return await self.forwarding.answer(request)


async def answer_host_sign_in(forwarding: Forwarding, signing_in: HostSignIn, request: Request) -> Response:
    """Answer one request of a browser, whatever is wrong with it."""
    dependencies = forwarding.dependencies
    started = dependencies.timer()
    asked = begin_forwarded(forwarding, request)
    asked.event.event_name = _EVENT
    try:
        # Nothing is done before the journal holds the records of earlier requests.
        dependencies.journal.catch_up()
        location, cookie = await _answered(forwarding, signing_in, asked)
        response = _response(asked, 302, "", {"Location": location, "Set-Cookie": cookie})
    except Exception as error:  # noqa: BLE001  the outermost handler: the browser always gets an answer
        note_unknown_outcome(asked.event, error)
        response = _refused(asked, refusal_for(error, asked.facts.request_id))
    try:
        await dependencies.journal.record(asked.event)
    except JournalUnavailable as error:
        response = _refused(asked, unjournalled(asked.event, str(error)))
    code, request_id = asked.event.error_code, asked.facts.request_id
    dependencies.metrics.count("broker", _EVENT, code, dependencies.timer() - started, request_id)
    return response


async def _answered(
    forwarding: Forwarding, signing_in: HostSignIn, asked: ForwardedRequest
) -> tuple[str, str]:
    """Where the browser goes, and its cookie; raises Refusal."""
    request, event, now = asked.request, asked.event, asked.facts.now
    host, value = _read(forwarding, signing_in, asked)
    event.request_parameters = {"host": host, "path": request.path}
    cookie = "; ".join(request.all_headers("cookie"))  # HTTP/2 may send several
    if request.path == SIGN_IN_PATH:
        return signing_in.begin(cookie, host, value)

    async def work(store: Transaction) -> tuple[str, str, Caller]:
        return await signing_in.exchange(store, value, cookie, host, now)

    line, path, caller = await forwarding.dependencies.store.transact(work)
    event.user_identity, event.recipient_account_id = caller.identity, caller.account
    event.response_elements = {"decision": "signed in"}
    return path, line


def _read(forwarding: Forwarding, signing_in: HostSignIn, asked: ForwardedRequest) -> tuple[str, str]:
    """The host, and the one field of the query; raises Refusal AccessDenied."""
    request = asked.request
    if not is_proxy(request, forwarding.rules.proxies):
        raise _denied(f"{request.peer.address} is not one of authorize.proxies")
    if request.limit_exceeded is not None or request.method != "GET":
        raise _denied("it is no whole GET")
    hosts = request.all_headers("host")
    host = hosts[0].lower() if len(hosts) == 1 else ""
    if host not in signing_in.hosts:
        raise _denied(f"{host[:64]!r} is not one of authorize.sign_in_hosts")
    if not (asked.facts.secure_transport or is_plain(host)):
        raise _denied("the proxy does not say by X-Forwarded-Proto that the browser spoke TLS")
    try:
        query = parse_qs(request.query, max_num_fields=_MOST_FIELDS, errors="strict")
    except ValueError:  # a UnicodeError is one, too
        raise _denied("the query is none") from None
    values = query.get(_FIELDS[request.path], [""])
    if len(values) != 1:
        raise _denied("a field is in the query twice")
    return host, values[0]


def _denied(reason: str) -> Refusal:
    return access_denied("The sign-in did not succeed.", reason=reason)


def _refused(asked: ForwardedRequest, refusal: Refusal) -> Response:
    note_refusal(asked.event, refusal)
    asked.event.response_elements = None
    log_refusal(asked.event)
    if status_and_fault(refusal)[1] == "Receiver":
        return _response(asked, 503, "Try again later.", {})
    return _response(asked, 403, "The sign-in did not succeed. Open the page that you wanted once more.", {})


def _response(asked: ForwardedRequest, status: int, sentence: str, headers: dict[str, str]) -> Response:
    sent = {
        **headers,
        "Cache-Control": "no-store",
        "Content-Type": "text/plain; charset=utf-8",
        "Referrer-Policy": "no-referrer",
        "Server": "broker",
        "X-Content-Type-Options": "nosniff",
    }
    text = f"{sentence}\nrequest id: {asked.facts.request_id}\n" if sentence else ""
    return Response(status, header_lines(sent), text.encode())
