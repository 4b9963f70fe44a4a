"""The door of AuthZEN (Authorization API 1.0, section 10): JSON in and out, a decision is always status 200.

Who asks signs the request (SigV4, service `broker`) or presents an access token of an account's issuer. Each decision
leaves a record of its own, whose request id is the decision's id; no answer is given before the journal has it.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.audit.event import Event, begin_event, claimed_identity, recordable, shortened, uuid_text
from broker.audit.journal import JournalUnavailable
from broker.authorize.evaluation import Evaluated, evaluate
from broker.authorize.questions import (
    DENY_ON_FIRST_DENY,
    PERMIT_ON_FIRST_PERMIT,
    AccessQuestion,
    Members,
    fault_of,
    read_evaluations,
    read_question,
)
from broker.authorize.searches import Search, search_actions, search_resources, search_subjects
from broker.errors import Refusal, service_unavailable, status_and_fault, validation_error
from broker.operation import Call
from broker.performing import note_refusal, record_caller
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.storage.store import Transaction
from broker.strict_json import read_object
from broker.trace_context import recorded_trace
from broker.web.dependencies import Dependencies
from broker.web.http import Request, Response, header_lines
from broker.web.log import log_refusal
from broker.web.peers import source_of
from broker.web.proofs import find_bearer, prove_asker
from broker.web.requests import refusal_for
from broker.web.role_sessions import RoleSessions

EVALUATION, EVALUATIONS = "/access/v1/evaluation", "/access/v1/evaluations"
SEARCH_SUBJECT, SEARCH_RESOURCE, SEARCH_ACTION = (
    f"/access/v1/search/{kind}" for kind in ("subject", "resource", "action")
)
CONFIGURATION = "/.well-known/authzen-configuration"
AUTHZEN_PATHS = ("/access/v1/", CONFIGURATION)
SERVICE = "broker"
_OPERATION = "EvaluateAccess"
_JSON = "application/json"
_LONGEST_REQUEST_ID = 256
_HEADERS = {"Content-Type": _JSON, "Cache-Control": "no-store", "Server": "broker"}
_NO_HEADERS: Mapping[str, str] = {}
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="broker", AWS4-HMAC-SHA256'}
_UNAUTHENTICATED = frozenset(
    (
        "ExpiredToken",
        "IncompleteSignature",
        "InvalidClientTokenId",
        "InvalidIdentityToken",
        "MissingAuthenticationToken",
        "RequestExpired",
        "SignatureDoesNotMatch",
    )
)


class AskedByService(msgspec.Struct, frozen=True):
    """A request of a service: `event` is its record where no question of it gets one of its own."""

    dependencies: Dependencies
    role_sessions: RoleSessions
    request: Request
    http: UnverifiedRequest
    facts: RequestFacts
    event: Event
    members: Members = {}

    def __repr__(self) -> str:
        return "AskedByService(***)"  # tokens are in it


class AnswerToService(msgspec.Struct, frozen=True):
    """The body, and the records that have to be in the journal before it is sent."""

    body: dict[str, Any]
    events: tuple[Event, ...]


Answer = Callable[[AskedByService, Call], Awaitable[AnswerToService]]


async def answer_authzen(
    dependencies: Dependencies, role_sessions: RoleSessions, request: Request
) -> Response | None:
    """The answer to a service's question; None where the path is none of AuthZEN's, so that the API answers."""
    if request.method in ("GET", "HEAD"):
        # Of a request that is too large nobody has looked at the Host header.
        is_known = request.path == CONFIGURATION and request.limit_exceeded is None
        return _configuration(dependencies, request) if is_known else None
    answer = _ANSWERS.get(request.path)
    if answer is None or request.method != "POST":
        return None
    started = dependencies.timer()
    asked = _begin(dependencies, role_sessions, request)
    try:
        # Nothing is done before the journal holds the records of earlier requests.
        dependencies.journal.catch_up()
        asked = replace(asked, members=_read(request))
        answered = await _answered(asked, answer)
        events, response = answered.events, _response(asked, 200, answered.body)
    except Exception as error:  # noqa: BLE001  the outermost handler: the client always gets an answer
        refusal = refusal_for(error, asked.facts.request_id)
        events, response = (asked.event,), _refused(asked, refusal)
    try:
        for event in events:
            await dependencies.journal.record(event)
    except JournalUnavailable as error:
        response = _refused(asked, service_unavailable(str(error)))
    code = "" if response.status == 200 else str(response.status)
    name, request_id = asked.event.event_name, asked.facts.request_id
    dependencies.metrics.count(SERVICE, name, code, dependencies.timer() - started, request_id)
    return response


async def _answered(asked: AskedByService, answer: Answer) -> AnswerToService:
    dependencies = asked.dependencies

    async def work(store: Transaction) -> AnswerToService:
        caller = await prove_asker(dependencies, store, asked.facts, asked.http, SERVICE)
        record_caller(dependencies.store, asked.event, asked.facts, caller)
        return await answer(asked, dependencies.call(store, caller, asked.facts))

    return await dependencies.store.transact(work)


def _begin(dependencies: Dependencies, role_sessions: RoleSessions, request: Request) -> AskedByService:
    now, random = dependencies.clock(), dependencies.entropy(32)
    request_id = uuid_text(random[:16])
    source, secure = source_of(request, dependencies.trusted_proxies)
    user_agent = recordable(request.find_header("user-agent") or "")
    event = begin_event(now, request_id, source, user_agent, random[16:])
    event.additional_event_data = recorded_trace()
    event.event_source, event.event_name = f"{SERVICE}.amazonaws.com", _NAMES[request.path]
    event.read_only, event.aws_region = True, "us-east-1"
    path, _, query = request.target.partition("?")
    http = UnverifiedRequest(request.method, path, query, request.headers, request.body)
    facts = RequestFacts(now, request_id, source, user_agent, secure, event.aws_region, SERVICE)
    return AskedByService(dependencies, role_sessions, request, http, facts, event)


def _read(request: Request) -> Members:
    if request.limit_exceeded is not None:
        status = request.limit_exceeded.status
        raise Refusal("RequestEntityTooLarge", "The request is not whole.", status=status)
    media_type = (request.find_header("content-type") or "").partition(";")[0].strip().lower()
    if media_type != _JSON:
        raise Refusal("UnsupportedMediaType", f"The content-type has to be {_JSON}.")
    try:
        return read_object(request.body)
    except ValueError as error:
        raise validation_error(f"The body is no JSON object: {error}.") from None


async def _evaluation(asked: AskedByService, call: Call) -> AnswerToService:
    question = read_question(asked.members)
    _note_question(asked.event, question)
    evaluated = await evaluate(call, _take_role(asked), question)
    _note_answer(asked.event, evaluated)
    return AnswerToService(_shown(asked.event, evaluated), (asked.event,))


async def _evaluations(asked: AskedByService, call: Call) -> AnswerToService:
    """Each evaluation is answered by itself; the first is not recorded under the request's own id either."""
    if not asked.members.get("evaluations"):
        return await _evaluation(asked, call)
    asked_for = read_evaluations(asked.members)
    bodies, events = [], []
    for members in asked_for.members:
        event, body = await _one_of_many(asked, call, members)
        bodies.append(body)
        events.append(event)
        ends_at = {DENY_ON_FIRST_DENY: False, PERMIT_ON_FIRST_PERMIT: True}.get(asked_for.semantic)
        if body["decision"] is ends_at:
            break
    return AnswerToService({"evaluations": bodies}, tuple(events))


async def _one_of_many(asked: AskedByService, call: Call, members: Members) -> tuple[Event, dict[str, Any]]:
    random = asked.dependencies.entropy(32)
    event = msgspec.structs.replace(
        asked.event, request_id=uuid_text(random[:16]), event_id=uuid_text(random[16:])
    )
    event.additional_event_data = {**(event.additional_event_data or {}), "batch": asked.event.request_id}
    try:
        question = read_question(members)
        _note_question(event, question)
        evaluated = await evaluate(call, _take_role(asked), question)
    except Refusal as refusal:
        if status_and_fault(refusal)[1] == "Receiver":
            raise
        note_refusal(event, refusal)
        context = {"decision_id": event.request_id, "error": fault_of(refusal)}
        return event, {"decision": False, "context": context}
    _note_answer(event, evaluated)
    return event, _shown(event, evaluated)


def _take_role(asked: AskedByService) -> Callable[[Transaction, str, str, str], Awaitable[Caller]]:
    async def take(store: Transaction, token: str, role_arn: str, session_name: str) -> Caller:
        return await asked.role_sessions.caller_of(
            asked.dependencies, store, asked.facts, asked.event, token, role_arn, session_name
        )

    return take


def _note_question(event: Event, question: AccessQuestion) -> None:
    subject = question.subject
    shown = {"type": subject.type, "id": subject.id, "roleArn": subject.role_arn}
    event.request_parameters = {
        "subject": {name: value for name, value in shown.items() if value},
        "action": question.action,
        "resource": question.resource.arn,
        "context": {key: list(values) for key, values in question.keys.items()},
    }


def _note_answer(event: Event, evaluated: Evaluated) -> None:
    shown = {"subjectArn": evaluated.subject_arn, "reason": shortened(recordable(evaluated.reason))}
    event.response_elements = {
        "decision": "allowed" if evaluated.is_allowed else "denied",
        **{name: value for name, value in shown.items() if value},
    }


def _shown(event: Event, evaluated: Evaluated) -> dict[str, Any]:
    context: dict[str, Any] = {"decision_id": event.request_id}
    if evaluated.shown is not None:
        context["reason"] = evaluated.shown
    return {"decision": evaluated.is_allowed, "context": context}


def _refused(asked: AskedByService, refusal: Refusal) -> Response:
    event = asked.event
    note_refusal(event, refusal)
    if not event.recipient_account_id and find_bearer(asked.http) is None:
        event.user_identity = claimed_identity(_claimed_key(asked.http))
    log_refusal(event)
    status = 401 if refusal.code in _UNAUTHENTICATED else status_and_fault(refusal)[0]
    body = {"error": {"code": refusal.code, "message": refusal.message}}
    return _response(asked, int(status), body, _CHALLENGE if status == 401 else _NO_HEADERS)


def _claimed_key(http: UnverifiedRequest) -> str:
    try:
        found = find_authorization(http)
    except Refusal:
        return ""
    return "" if found is None else found.signer.access_key_id


def _response(
    asked: AskedByService, status: int, body: dict[str, Any], more: Mapping[str, str] = _NO_HEADERS
) -> Response:
    headers = {**_HEADERS, **more, "x-amzn-RequestId": asked.facts.request_id}
    given = asked.request.find_header("x-request-id")
    if given is not None and len(given) <= _LONGEST_REQUEST_ID and given.isascii() and given.isprintable():
        headers["X-Request-ID"] = given
    return Response(status, header_lines(headers), msgspec.json.encode(body))


def _configuration(dependencies: Dependencies, request: Request) -> Response:
    """Section 9: the metadata, whose endpoints are below the address that it was read from."""
    _, secure = source_of(request, dependencies.trusted_proxies)
    host = request.find_header("host") or ""
    base = f"{'https' if secure else 'http'}://{host}"
    document = {
        "policy_decision_point": base,
        "access_evaluation_endpoint": base + EVALUATION,
        "access_evaluations_endpoint": base + EVALUATIONS,
        "search_subject_endpoint": base + SEARCH_SUBJECT,
        "search_resource_endpoint": base + SEARCH_RESOURCE,
        "search_action_endpoint": base + SEARCH_ACTION,
    }
    return Response(200, header_lines(_HEADERS), msgspec.json.encode(document))


def _searching(search: Search) -> Answer:
    async def answer(asked: AskedByService, call: Call) -> AnswerToService:
        found = await search(call, _take_role(asked), asked.members)
        asked.event.request_parameters = found.asked
        asked.event.response_elements = {"results": len(found.results)}
        page = {"next_token": found.next_token, "count": len(found.results)}
        return AnswerToService({"results": found.results, "page": page}, (asked.event,))

    return answer


_NAMES = {
    EVALUATION: _OPERATION,
    EVALUATIONS: _OPERATION,
    SEARCH_SUBJECT: "SearchSubjects",
    SEARCH_RESOURCE: "SearchResources",
    SEARCH_ACTION: "SearchActions",
}
_ANSWERS: dict[str, Answer] = {
    EVALUATION: _evaluation,
    EVALUATIONS: _evaluations,
    SEARCH_SUBJECT: _searching(search_subjects),
    SEARCH_RESOURCE: _searching(search_resources),
    SEARCH_ACTION: _searching(search_actions),
}
