"""The way of a request, in numbered steps: one function for every wire protocol, its local variables are the state."""

from functools import lru_cache
from typing import Any

from broker.access.facts import RequestFacts
from broker.audit.event import Event, begin_event, claimed_identity, recordable, shortened, uuid_text
from broker.audit.journal import JournalUnavailable
from broker.errors import Refusal
from broker.operation import find_operation
from broker.performing import (
    internal_failure,
    known_refusal,
    note_answer,
    note_refusal,
    outcome_of,
    perform_proven,
    record_caller,
    unjournalled,
)
from broker.protocol.dispatch import find_protocol
from broker.protocol.model import ServiceModel
from broker.protocol.redaction import audit_parameters
from broker.protocol.wire import Refuse, Rendered, WireProtocol, parse_message
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest, find_authorization
from broker.storage.store import Transaction
from broker.trace_context import recorded_trace
from broker.web.dependencies import Dependencies
from broker.web.http import LimitExceeded, Request, Response, header_lines
from broker.web.log import log_failure, log_refusal
from broker.web.other_services import OtherServiceRefusal, explain_other_service, select_refuse
from broker.web.peers import certificates_of, source_of

# "Because this endpoint is physically located in the US East (N. Virginia) Region, IAM calls are always made to the
# us-east-1 Region" (aws:RequestedRegion): the region that a client signs for is its own choice.
_GLOBAL_SERVICES, _GLOBAL_REGION = frozenset({"iam", "organizations"}), "us-east-1"


async def answer_request(dependencies: Dependencies, request: Request) -> Response:
    """Answer one request of the API, whatever is wrong with it."""
    started, now = dependencies.timer(), dependencies.clock()
    random = dependencies.entropy(32)
    request_id = uuid_text(random[:16])
    source, secure = source_of(request, dependencies.trusted_proxies)
    user_agent = recordable(request.find_header("user-agent") or "")
    # 1. Begin the audit event: every exit below leaves one record.
    event = begin_event(now, request_id, source, user_agent, random[16:])
    event.additional_event_data = recorded_trace()
    protocol = find_protocol(request.path, request.headers)
    refuse, named, operation = protocol.refuse, None, ""
    authorization: UnverifiedAuthorization | None = None
    is_recorded = False
    try:
        # Nothing is done before the journal holds the records of earlier requests.
        dependencies.journal.catch_up()
        # 2. Name service and operation.
        unverified = read_unverified(request, protocol)
        authorization = find_authorization(unverified)
        message = parse_message(unverified, protocol.body_type)
        signing_name = authorization.service if authorization else None
        service, operation = protocol.name(dependencies.services, signing_name, message)
        named = service
        region = _requested_region(service.name, authorization)
        event.event_source, event.event_name = service.event_source, operation
        event.aws_region = shortened(region)
        facts = RequestFacts(
            now,
            request_id,
            source,
            user_agent,
            secure,
            region,
            service.name,
            certificates_of(request, dependencies.trusted_proxies),
            unverified,
            referer=recordable(request.find_header("referer") or ""),
        )
        declared = find_operation(service.name, operation)

        async def perform_once(store: Transaction) -> tuple[Any, bool]:
            # 3. The signed caller, where the operation wants one.
            caller = None
            if declared.prove is None:
                caller, _ = await dependencies.prover.prove(
                    store, unverified, authorization, service.signing_name, now
                )
                record_caller(dependencies.store, event, facts, caller)
            # 4. Read: a typed request that keeps every constraint of the model.
            typed = protocol.read(service, operation, message)
            event.request_parameters = audit_parameters(service, operation, typed)
            # 5. The asserted caller, where the flow itself proves one.
            if caller is None:
                assert declared.prove is not None
                caller = await declared.prove(dependencies.federation, store, facts, typed)
                record_caller(dependencies.store, event, facts, caller)
            # 6-8. Prepare, judge, handle.
            return await perform_proven(dependencies, event, declared, store, caller, facts, typed)

        # 3-8 are retried where the commit meets a conflict.
        result, is_recorded = await dependencies.store.transact(perform_once)
        # From here on the operation is committed, also if rendering fails.
        note_answer(event, service, operation, result)
        # 9. Render.
        answer = protocol.render(service, operation, result, request_id)
    except Exception as error:  # noqa: BLE001  the outermost handler: the client always gets an answer
        refusal, is_recorded = refusal_for(error, request_id), False
        event.additional_event_data = outcome_of(event, error)
        if authorization is not None and not event.recipient_account_id:
            event.user_identity = claimed_identity(authorization.signer.access_key_id)
        if named is None:
            refusal = explain_other_service(refusal, request, dependencies.services)
            refuse = select_refuse(refusal, refuse)
        answer = _refused(refuse, named, refusal, event, request_id)
    # 10. Journal, then answer: no journal, no answer.
    try:
        if not is_recorded:
            await dependencies.journal.record(event)
    except JournalUnavailable as error:
        answer = _refused(protocol.refuse, named, unjournalled(event, str(error)), event, request_id)
    name, seconds = named.name if named else "", dependencies.timer() - started
    dependencies.metrics.count(name, operation, event.error_code, seconds, request_id)
    lines = _header_lines(answer.content_type, answer.headers)
    return Response(answer.status, b"%bx-amzn-RequestId: %b\r\n" % (lines, request_id.encode()), answer.body)


@lru_cache(maxsize=64)
def _header_lines(content_type: str, headers: tuple[tuple[str, str], ...]) -> bytes:
    return header_lines({"Content-Type": content_type, **dict(headers), "Server": "broker"})


def refusal_for(error: Exception, request_id: str) -> Refusal:
    """The refusal that the client reads; the details of a fault of ours go to the log only."""
    known = known_refusal(error)
    if known is not None:
        return known
    log_failure(request_id, error)
    return internal_failure()


def _refused(
    refuse: Refuse, service: ServiceModel | None, refusal: Refusal, event: Event, request_id: str
) -> Rendered:
    if isinstance(refusal, OtherServiceRefusal):
        event.event_source, event.event_name = f"{refusal.service}.amazonaws.com", refusal.operation
    note_refusal(event, refusal)
    log_refusal(event)
    return refuse(service, refusal, request_id)


def read_unverified(request: Request, protocol: WireProtocol) -> UnverifiedRequest:
    """The request as it arrived; raises Refusal for methods and bodies that its protocol does not take."""
    if request.method not in protocol.methods:
        raise Refusal(
            "UnsupportedHttpVerb", f"The HTTP verb {request.method[:16]} is not supported.", status=405
        )
    if request.limit_exceeded is not None:
        raise _refusal_of(request.limit_exceeded)
    if request.body and _media_type(request.find_header("content-type") or "") != protocol.body_type:
        raise Refusal(
            "UnsupportedMediaType",
            f"The content-type is not supported: this request has {protocol.body_type}.",
        )
    path, _, query = request.target.partition("?")
    return UnverifiedRequest(request.method, path, query, request.headers, request.body)


def _refusal_of(limit_exceeded: LimitExceeded) -> Refusal:
    match limit_exceeded:
        case LimitExceeded.HEAD_TOO_LARGE:
            message = "Your request header section exceeds the maximum allowed size."
            return Refusal("RequestHeaderSectionTooLarge", message, status=limit_exceeded.status)
        case LimitExceeded.TOO_LARGE:
            message = "The request body is larger than this service takes."
            return Refusal("RequestEntityTooLarge", message)
        case LimitExceeded.LATE:
            message = "The request's body did not arrive in time."
            return Refusal("RequestTimeout", message, status=limit_exceeded.status)
        case LimitExceeded.TOO_MANY:
            return Refusal("Throttling", "Rate exceeded", reason=limit_exceeded.value)


@lru_cache(maxsize=256)
def _media_type(unverified_content_type: str) -> str:
    return unverified_content_type.partition(";")[0].strip().lower()


def _requested_region(service: str, unverified: UnverifiedAuthorization | None) -> str:
    if service in _GLOBAL_SERVICES or unverified is None:
        return _GLOBAL_REGION
    return recordable(unverified.region) or _GLOBAL_REGION
