"""A visit: one request of a browser, and what is known of who makes it.

A form is believed only where three things hold: it came from a page of ours (Origin, Fetch Metadata), it carries the
token of the session or of the sign-in that the sealed cookie names, and it is small and whole in time.
"""

import asyncio
from collections.abc import Mapping
from secrets import compare_digest
from urllib.parse import parse_qsl, urlsplit

import msgspec
from aiohttp import web
from msgspec.structs import replace

from broker.access.facts import RequestFacts
from broker.audit.event import recordable, uuid_text
from broker.errors import Refusal
from broker.portal.cookies import SessionReference, SignInState, find_cookie
from broker.portal.dependencies import Portal
from broker.portal.sessions import find_session, find_unused_session, reference_of
from broker.storage.portal_records import PortalSession

LARGEST_FORM = 64 << 10  # bytes
LARGEST_FOREIGN_FORM = 320 << 10  # bytes: 100,000 characters of base64, each + and / and = of them as three
CSRF_FIELD = "csrf_token"
_MOST_FIELDS = 100
_FORM_SECONDS = 15.0
_FORM_TYPE = "application/x-www-form-urlencoded"
_NO_FORM: Mapping[str, str] = {}


class Visit(msgspec.Struct, frozen=True, eq=False):
    """`origin` is the portal's own, as the browser sees it. `session` and `state` are what the cookies lead to.

    `has_ended`: the browser has a cookie of a session that is over. `form` is filled once the form is believed.
    """

    request: web.Request
    facts: RequestFacts
    origin: str
    session: PortalSession | None = None
    state: SignInState | None = None
    has_ended: bool = False
    form: Mapping[str, str] = _NO_FORM

    @property
    def is_secure(self) -> bool:
        return self.origin.startswith("https:")

    def __repr__(self) -> str:
        return "Visit(***)"  # a password may be in it


def begin_visit(portal: Portal, request: web.Request) -> Visit:
    """The facts of the transport. Raises Refusal for a Host header that is not the portal's."""
    random = portal.tools.entropy(16)
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    is_tls = transport is not None and transport.get_extra_info("sslcontext") is not None
    source, is_tls = portal.source_of(
        peer[0] if isinstance(peer, tuple) else "",
        is_tls,
        request.headers.getall("X-Forwarded-For", []),
        request.headers.get("X-Forwarded-Proto", ""),
    )
    facts = RequestFacts(
        now=portal.tools.clock(),
        request_id=uuid_text(random),
        source_ip=source,
        user_agent=recordable(request.headers.get("User-Agent", "")),
        secure_transport=is_tls,
    )
    return Visit(request, facts, _origin(portal, request, is_tls=is_tls))


async def find_visitor(portal: Portal, visit: Visit) -> Visit:
    """The same with the session and the state of the sign-in that its cookies lead to, if any."""
    now, keyring = visit.facts.now, portal.tools.mint.keyring()
    reference = find_cookie(keyring, visit.request, SessionReference, now, is_secure=visit.is_secure)
    session = await find_session(portal, reference, now) if reference is not None else None
    state = find_cookie(keyring, visit.request, SignInState, now, is_secure=visit.is_secure)
    if state is not None and not state.lives(now):
        state = None
    return replace(visit, session=session, state=state, has_ended=reference is not None and session is None)


async def find_session_again(portal: Portal, visit: Visit) -> Visit:
    """The same with the session as it is now, None where it has ended: a form may take long to arrive.

    Otherwise a person's cookie would let a form be held back, and completed after the person changed the password.
    """
    if visit.session is None:
        return visit
    store, now = portal.tools.store.transaction(), portal.tools.clock()
    return replace(visit, session=await find_unused_session(portal, store, reference_of(visit.session), now))


async def read_form(visit: Visit, largest: int = LARGEST_FORM) -> Visit:
    """The same with its form, of `largest` bytes at most; raises Refusal where it is not from a page of ours."""
    request = visit.request
    if not is_own_page(request.headers, visit.origin):
        raise _not_believed("it was sent from a page of another site")
    form = parse_form(await _read_body(request, largest))
    expected = _expected_token(visit)
    if expected is None:
        raise _not_believed("the browser sent no cookie of a session or a sign-in that is in progress")
    if not compare_digest(form.get(CSRF_FIELD, "").encode(), expected.encode()):
        raise _not_believed("its token is not that of the session")
    return replace(visit, form=form)


async def read_foreign_form(visit: Visit) -> Visit:
    """The same with a form that a page of another site sent: nothing says that the person wanted it sent."""
    return replace(visit, form=parse_form(await _read_body(visit.request, LARGEST_FOREIGN_FORM)))


async def _read_body(request: web.Request, largest: int) -> bytes:
    if request.content_type != _FORM_TYPE:
        raise Refusal("UnsupportedMediaType", f"A form is sent as {_FORM_TYPE}.")
    body = b""
    try:
        async with asyncio.timeout(_FORM_SECONDS):
            async for part in request.content.iter_any():
                body += part
                if len(body) > largest:
                    raise Refusal("RequestEntityTooLarge", "The form is too large.", status=413)
    except TimeoutError:
        raise Refusal("RequestTimeout", "The form did not arrive in time.", status=408) from None
    return body


def parse_form(body: bytes) -> Mapping[str, str]:
    """Raises Refusal for what is no form, or names a field twice."""
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, max_num_fields=_MOST_FIELDS, errors="strict"
        )
    except ValueError:  # a UnicodeError is one, too
        raise Refusal("MalformedInput", "This is not a form.") from None
    form = dict(fields)
    if len(form) != len(fields):
        raise Refusal("MalformedInput", "A field is in the form twice.")
    return form


def is_own_page(headers: Mapping[str, str], origin: str) -> bool:
    """Whether a form was sent by a page of `origin`, as far as the browser says where it comes from."""
    sent_from = headers.get("Origin")
    if sent_from is not None:
        return sent_from == origin
    return headers.get("Sec-Fetch-Site", "same-origin") == "same-origin"


def _expected_token(visit: Visit) -> str | None:
    if visit.session is not None:
        return visit.session.csrf_token.reveal()
    return visit.state.csrf_token if visit.state is not None else None


def _not_believed(reason: str) -> Refusal:
    return Refusal(
        "FormNotBelieved",
        "This form is too old, or was not sent by a page of this portal.",
        reason=reason,
        status=403,
    )


def _origin(portal: Portal, request: web.Request, *, is_tls: bool) -> str:
    host = request.headers.get("Host", "")
    if portal.url:
        wanted = urlsplit(portal.url)
        if host.lower() != wanted.netloc:
            raise Refusal(
                "WrongHost", "The portal has another address.", reason=f"Host: {host[:256]}", status=421
            )
        return f"{wanted.scheme}://{wanted.netloc}"
    if not host or not portal.is_host(host):
        raise Refusal(
            "WrongHost",
            "The portal is not called so: the operator lists its names in listen.host_names, or sets portal.url.",
            reason=f"Host: {host[:256]}",
            status=421,
        )
    return f"{'https' if is_tls else 'http'}://{host.lower()}"
