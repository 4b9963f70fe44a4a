"""The door of forward authentication: a proxy asks whether a request that it has received may go on.

The request proves its caller as it would here: SigV4 for whatever service it names, a presigned URL, an access token
of an account's issuer, a token of an OpenID Connect provider (for the route's role), or the portal's cookie. Without
any of these the caller is anonymous. 200 lets it pass, with who it is in headers; 401 says how to prove oneself; 403
is a denial. Each answer has a record, whose request id is the decision's id. Nothing of an answer is to be cached.

Only the proxies of `authorize.proxies` are answered: others could claim to have received any request.
"""

from collections.abc import Awaitable, Callable
from urllib.parse import quote

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.audit.event import Event, begin_event, recordable, shortened, uuid_text
from broker.audit.journal import JournalUnavailable
from broker.authorize.evaluation import judge
from broker.authorize.forwarded import OriginalRequest, read_original, smuggled
from broker.authorize.routes import ForwardRoute, Mapped, find_route
from broker.errors import Refusal, access_denied, status_and_fault
from broker.names.arn import parse_arn
from broker.names.principal import Anonymous
from broker.names.protected_hosts import SIGN_IN_PATH, origin_of, return_path
from broker.performing import note_refusal, record_caller, unjournalled
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest, find_authorization
from broker.sigv4.verify import BodyLocation, Dialect
from broker.storage.store import Transaction
from broker.trace_context import recorded_trace
from broker.web.dependencies import Dependencies
from broker.web.http import Request, Response, header_lines
from broker.web.log import log_refusal
from broker.web.peers import Networks, find_source, is_proxy
from broker.web.proofs import find_bearer, is_of_own_issuer, prove_access_token
from broker.web.requests import refusal_for
from broker.web.role_sessions import RoleSessions

_OPERATION = "AuthorizeRequest"
_SESSION_NAME = "forward"
_ANONYMOUS = Caller(principal=Anonymous(), account="")
_READING = frozenset(("GET", "HEAD", "OPTIONS"))
_CHALLENGE = {"WWW-Authenticate": 'AWS4-HMAC-SHA256, Bearer realm="broker"'}
_LONGEST_PRESIGNED = 604_800

# The person whose cookie of the portal, or of the host, it is: the Cookie header, the host, whether by TLS, the time.
FindPerson = Callable[[Transaction, str, str, bool, float], Awaitable[Caller | None]]
# The Cookie header without what is the portal's.
WithoutOwn = Callable[[str], str]


class ForwardRules(msgspec.Struct, frozen=True):
    """What the settings say. `identity_headers` are those of ARN, account and user id; "" for one that is not sent.

    `sign_in_url` is where browsers are sent; "" for nowhere. Those of `sign_in_hosts` are sent to a page of that host,
    from where they come back signed in. `cookie_header` has the Cookie header that may go on.
    `own_headers` are the canonical names of all of them.
    """

    proxies: Networks
    routes: tuple[ForwardRoute, ...]
    identity_headers: tuple[str, str, str]
    decision_header: str = "X-Broker-Decision-Id"
    cookie_header: str = "X-Broker-Cookie"
    sign_in_header: str = "X-Broker-Sign-In"
    sign_in_url: str = ""
    sign_in_hosts: frozenset[str] = frozenset()
    own_headers: frozenset[str] = frozenset()


class Forwarding(msgspec.Struct, frozen=True):
    """What the door is made of; `find_person` is None where there is no portal."""

    dependencies: Dependencies
    rules: ForwardRules
    role_sessions: RoleSessions
    without_own: WithoutOwn
    find_person: FindPerson | None = None

    async def answer(self, request: Request, fault: str = "") -> Response:
        return await answer_forwarded(self, request, fault)


class ForwardedRequest(msgspec.Struct, frozen=True):
    """A request of a proxy with its event; `original` is None until it was read."""

    request: Request
    facts: RequestFacts
    event: Event
    original: OriginalRequest | None = None
    mapped: Mapped | None = None

    def __repr__(self) -> str:
        return "ForwardedRequest(***)"  # proofs are in it


async def answer_forwarded(forwarding: Forwarding, request: Request, fault: str = "") -> Response:
    """Answer one question of a proxy, whatever is wrong with it; one with a `fault` of its own is denied."""
    dependencies = forwarding.dependencies
    started = dependencies.timer()
    asked = begin_forwarded(forwarding, request)
    try:
        # Nothing is done before the journal holds the records of earlier requests.
        dependencies.journal.catch_up()
        asked = _read(forwarding, asked, fault)
        response = _allowed(forwarding, asked, await _judged(forwarding, asked))
    except Exception as error:  # noqa: BLE001  the outermost handler: the proxy always gets an answer
        response = _refused(forwarding, asked, refusal_for(error, asked.facts.request_id))
    try:
        await dependencies.journal.record(asked.event)
    except JournalUnavailable as error:
        response = _refused(forwarding, asked, unjournalled(asked.event, str(error)))
    code, request_id = asked.event.error_code, asked.facts.request_id
    dependencies.metrics.count("broker", _OPERATION, code, dependencies.timer() - started, request_id)
    return response


def begin_forwarded(forwarding: Forwarding, request: Request) -> ForwardedRequest:
    dependencies = forwarding.dependencies
    now, random = dependencies.clock(), dependencies.entropy(32)
    request_id = uuid_text(random[:16])
    source, secure = find_source(
        request.peer.address,
        request.peer.is_secure,
        request.all_headers("x-forwarded-for"),
        request.find_header("x-forwarded-proto") or "",
        trusted=forwarding.rules.proxies,
    )
    user_agent = recordable(request.find_header("user-agent") or "")
    event = begin_event(now, request_id, source, user_agent, random[16:])
    event.additional_event_data = recorded_trace()
    event.event_source, event.event_name = "broker.amazonaws.com", _OPERATION
    event.read_only, event.aws_region = True, "us-east-1"
    facts = RequestFacts(now, request_id, source, user_agent, secure, event.aws_region, "broker")
    return ForwardedRequest(request, facts, event)


def _read(forwarding: Forwarding, asked: ForwardedRequest, fault: str) -> ForwardedRequest:
    """The same with the original request and what it is; raises Refusal AccessDenied."""
    request, rules, event = asked.request, forwarding.rules, asked.event
    if not is_proxy(request, rules.proxies):
        raise _denied(f"{request.peer.address} is not one of authorize.proxies")
    if request.limit_exceeded is not None:
        raise _denied(request.limit_exceeded.value)
    if fault:
        raise _denied(fault)
    try:
        original = read_original(request.method, request.target, request.headers, request.body)
        if original is None:
            raise _denied(f"{request.path[:64]} is the path of no kind of proxy")
        event.request_parameters = {
            "method": original.method,
            "host": original.host,
            "path": shortened(recordable(original.path)),
        }
        mapped = find_route(rules.routes, original.method, original.host, original.path)
    except ValueError as error:
        raise _denied(str(error)) from None
    own = smuggled(original.headers, rules.own_headers)
    if own is not None:
        raise _denied(f"the client sent {own[:64]}, which only the broker may say")
    if mapped is None:
        raise _denied("no route of authorize.routes names this host, method and path")
    shown = {name: list(values) for name, values in mapped.keys.items()}
    event.request_parameters |= {"action": mapped.action, "resource": mapped.resource, "context": shown}
    region = parse_arn(mapped.resource).region
    return replace(asked, original=original, mapped=mapped, facts=replace(asked.facts, region=region))


def _denied(reason: str) -> Refusal:
    return access_denied("Access Denied", reason=reason)


async def _judged(forwarding: Forwarding, asked: ForwardedRequest) -> Caller:
    """The proven caller, for whom the gate allows the request; raises Refusal."""
    dependencies, mapped, event = forwarding.dependencies, asked.mapped, asked.event
    assert mapped is not None, "it was read"

    async def work(store: Transaction) -> Caller:
        caller = await _caller(forwarding, store, asked)
        if caller.account:  # of those who have proven nothing the record says nothing
            record_caller(dependencies.store, event, asked.facts, caller)
        decision, reason = await judge(
            dependencies.gate, store, caller, asked.facts, mapped.action, mapped.resource, mapped.keys
        )
        if decision is not None and decision.allowed:
            return caller
        if not caller.account:
            raise Refusal("MissingAuthenticationToken", "Missing Authentication Token", reason=reason)
        raise _denied(reason)

    return await dependencies.store.transact(work)


async def _caller(forwarding: Forwarding, store: Transaction, asked: ForwardedRequest) -> Caller:
    """Who sent the original request; anonymous without a proof. Raises Refusal for a proof that is not good."""
    original, mapped = asked.original, asked.mapped
    assert original is not None and mapped is not None, "they were read"
    http = UnverifiedRequest(original.method, original.path, original.query, original.headers, original.body)
    token = find_bearer(http)
    if token is not None:
        return await _bearer(forwarding, store, asked, mapped.route, token)
    authorization = find_authorization(http)
    if authorization is not None:
        return await _signed(forwarding, store, asked, mapped.route, authorization)
    cookie = original.find_header("cookie")
    if cookie is not None and forwarding.find_person is not None:
        host, is_secure = original.host.lower(), asked.facts.secure_transport
        person = await forwarding.find_person(store, cookie, host, is_secure, asked.facts.now)
        return person or _ANONYMOUS
    return _ANONYMOUS


async def _bearer(
    forwarding: Forwarding, store: Transaction, asked: ForwardedRequest, route: ForwardRoute, token: str
) -> Caller:
    dependencies = forwarding.dependencies
    if is_of_own_issuer(dependencies, token):
        return await prove_access_token(dependencies, store, asked.facts, token)
    if not route.role_arn:
        raise Refusal(
            "InvalidIdentityToken", "The token is not valid.", reason="the route has no role_arn", status=401
        )
    return await forwarding.role_sessions.caller_of(
        dependencies, store, asked.facts, asked.event, token, route.role_arn, _SESSION_NAME
    )


async def _signed(
    forwarding: Forwarding,
    store: Transaction,
    asked: ForwardedRequest,
    route: ForwardRoute,
    authorization: UnverifiedAuthorization,
) -> Caller:
    service = authorization.service
    if route.signing_names and service not in route.signing_names:
        raise Refusal(
            "SignatureDoesNotMatch",
            "Credential should be scoped to correct service.",
            reason=f"signed for {service}, and the route takes {', '.join(route.signing_names)}",
        )
    # S3 alone neither normalises paths nor encodes them twice; a path that could be normalised was refused.
    dialect = Dialect(
        longest_presigned=_LONGEST_PRESIGNED,
        normalise_path=service != "s3",
        unsigned_payload=route.unsigned_payload or authorization.request.method in _READING,
        body=BodyLocation.NOT_SENT,
    )
    caller, _ = await forwarding.dependencies.prover.prove(
        store, authorization.request, authorization, service, asked.facts.now, dialect
    )
    return caller


# Answers


def _allowed(forwarding: Forwarding, asked: ForwardedRequest, caller: Caller) -> Response:
    """All identity headers are there, empty for an anonymous caller: a proxy then leaves none of the client's."""
    rules, principal = forwarding.rules, caller.principal
    values = (principal.arn, caller.account, principal.user_id) if caller.account else ("", "", "")
    headers = dict(zip(rules.identity_headers, map(_header_text, values), strict=True))
    asked.event.response_elements = {"decision": "allowed"}
    return _response(forwarding, asked, 200, headers)


def _header_text(text: str) -> str:
    """A session's name may hold what no header holds; IAM's own names do not."""
    return text if text.isascii() and text.isprintable() else ""


def _refused(forwarding: Forwarding, asked: ForwardedRequest, refusal: Refusal) -> Response:
    event, rules = asked.event, forwarding.rules
    note_refusal(event, refusal)
    event.response_elements = None
    log_refusal(event)
    if refusal.code == "AccessDenied":
        return _response(forwarding, asked, 403, {})
    if status_and_fault(refusal)[1] == "Receiver":
        return _response(forwarding, asked, 503, {})
    original = asked.original
    if not rules.sign_in_url or original is None or not _is_page(original):
        return _response(forwarding, asked, 401, _CHALLENGE)
    address = _sign_in_address(rules, original)
    # nginx knows no answer but 401 and 403: its configuration reads the header.
    headers = {rules.sign_in_header: address, **_CHALLENGE}
    if asked.request.path.endswith("/x-original"):
        return _response(forwarding, asked, 401, headers)
    return _response(forwarding, asked, 302, {"Location": address, **headers})


def _sign_in_address(rules: ForwardRules, original: OriginalRequest) -> str:
    host = original.host.lower()
    if host not in rules.sign_in_hosts:
        return rules.sign_in_url
    return f"{origin_of(host)}{SIGN_IN_PATH}?return={quote(return_path(original.target), safe='')}"


def _is_page(original: OriginalRequest) -> bool:
    """Whether a browser asks for a page, with no proof but cookies."""
    if original.method not in ("GET", "HEAD") or original.find_header("authorization"):
        return False
    return "text/html" in (original.find_header("accept") or "")


def _response(
    forwarding: Forwarding, asked: ForwardedRequest, status: int, headers: dict[str, str]
) -> Response:
    rules, original = forwarding.rules, asked.original
    cookie = "" if original is None else forwarding.without_own(original.find_header("cookie") or "")
    sent = {
        **headers,
        rules.decision_header: asked.facts.request_id,
        rules.cookie_header: _header_text(cookie),
        # Traefik and Envoy cannot give a header of the answer another name.
        **({"Cookie": _header_text(cookie)} if status == 200 else {}),
        "Cache-Control": "no-store",
        "Content-Type": "text/plain; charset=utf-8",
        "Server": "broker",
    }
    text = "" if status == 200 else f"{_SENTENCES[status]}\ndecision id: {asked.facts.request_id}\n"
    return Response(
        status, header_lines({name: value for name, value in sent.items() if name}), text.encode()
    )


_SENTENCES = {302: "Sign in.", 401: "Prove who you are.", 403: "Access denied.", 503: "Try again later."}
