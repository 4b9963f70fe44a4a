"""The door of SCIM 2.0 (RFC 7644): providers push the people and groups of an identity store below `/scim/v2`.

A bearer token says which store. Each request leaves a record before its answer, with ids and names of attributes.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any
from urllib.parse import parse_qsl, unquote

import msgspec

from broker.audit.event import Event, UserIdentity, begin_event, recordable, uuid_text
from broker.audit.journal import JournalUnavailable
from broker.errors import Refusal, status_and_fault
from broker.identity_store.people import People
from broker.identity_store.refusals import SCIM_TYPES, invalid_syntax, invalid_value
from broker.identity_store.scim import ScimOperation, find_scim_operation, headers_of, random_id
from broker.identity_store.scim_requests import ScimAnswer, ScimRequest
from broker.identity_store.tokens import not_proven, prove_token
from broker.performing import note_refusal, note_unknown_outcome, unjournalled
from broker.sigv4.authorization import UnverifiedRequest
from broker.storage.records import Usage
from broker.storage.store import ORGANIZATION, Transaction
from broker.strict_json import read_object
from broker.trace_context import recorded_trace
from broker.web.dependencies import Dependencies
from broker.web.http import Request, Response, header_lines
from broker.web.log import log_refusal
from broker.web.peers import source_of
from broker.web.proofs import find_bearer
from broker.web.requests import refusal_for

SCIM_PATH = "/scim/v2"
_SERVICE = "identitystore-scim"
_MEDIA_TYPES = ("application/scim+json", "application/json")
_ERROR_SCHEMA = "urn:ietf:params:scim:api:messages:2.0:Error"
_HEADERS = {"Content-Type": _MEDIA_TYPES[0], "Cache-Control": "no-store", "Server": "broker"}
_MOST_PARAMETERS = 20
_UNKNOWN = "Unknown"


async def answer_scim(dependencies: Dependencies, request: Request) -> Response | None:
    """None where the path is none of SCIM's, so that the API answers."""
    path = request.path.rstrip("/")
    if path != SCIM_PATH and not path.startswith(f"{SCIM_PATH}/"):
        return None
    started = dependencies.timer()
    event = _begin(dependencies, request)
    operation, name, exists = find_scim_operation(request.method, path.removeprefix(SCIM_PATH))
    event.event_name = operation.event_name if operation is not None else _UNKNOWN
    event.read_only = operation is not None and operation.is_read_only
    try:
        dependencies.journal.catch_up()
        answer = await _answered(dependencies, request, event, operation, unquote(name), exists=exists)
        response = _response(event, answer.status, answer.body, headers_of(answer))
    except Exception as error:  # noqa: BLE001  the outermost handler: the client always gets an answer
        note_unknown_outcome(event, error)
        response = _refused(event, refusal_for(error, event.request_id))
    try:
        await dependencies.journal.record(event)
    except JournalUnavailable as error:
        response = _refused(event, unjournalled(event, str(error)))
    code = "" if response.status < 400 else str(response.status)
    elapsed = dependencies.timer() - started
    dependencies.metrics.count(_SERVICE, event.event_name, code, elapsed, event.request_id)
    return response


async def _answered(
    dependencies: Dependencies,
    request: Request,
    event: Event,
    operation: ScimOperation | None,
    name: str,
    *,
    exists: bool,
) -> ScimAnswer:
    token = find_bearer(UnverifiedRequest(request.method, "", "", request.headers, b""))

    async def work(store: Transaction) -> ScimAnswer:
        people = await _prove(dependencies, store, event, token)
        if operation is None:
            raise _no_operation(exists=exists)
        asked = ScimRequest(
            people,
            _base(dependencies, request),
            partial(random_id, dependencies.entropy),
            name,
            _query(request),
            _body(request),
            request.find_header("if-match"),
        )
        return await operation.answer(asked)

    answer = await dependencies.store.transact(work)
    event.request_parameters = {**(event.request_parameters or {}), **answer.noted}
    return answer


async def _prove(
    dependencies: Dependencies, store: Transaction, event: Event, unverified_token: str | None
) -> People:
    """Who pushes; the event is of the store's account from here on."""
    now = dependencies.clock()
    if unverified_token is None:
        raise not_proven("the request has no bearer token")
    identity_store, token = await prove_token(store, unverified_token, now)
    account_id, store_id = identity_store.account_id, identity_store.store_id
    event.user_identity = UserIdentity(
        "IdentityStoreToken", principal_id=f"{store_id}:{token.token_id}", account_id=account_id
    )
    event.recipient_account_id = account_id
    event.request_parameters = {"identityStoreId": store_id}
    organization = await store.find(ORGANIZATION, "")
    if organization is not None and account_id in organization.closed_accounts:
        raise Refusal("Forbidden", "The account is closed.", status=403)
    dependencies.store.mark_used(account_id, token.token_id, Usage(last_used_at=int(now)))
    quotas = dependencies.quotas
    return People(
        store,
        identity_store.shard,
        int(now),
        quotas.users_per_identity_store,
        quotas.groups_per_identity_store,
    )


def _no_operation(*, exists: bool) -> Refusal:
    if exists:
        return Refusal("MethodNotAllowed", "The resource does not have this method.", status=405)
    return Refusal("NotFound", "There is no such endpoint.", status=404)


def _begin(dependencies: Dependencies, request: Request) -> Event:
    random = dependencies.entropy(32)
    source, _ = source_of(request, dependencies.trusted_proxies)
    user_agent = recordable(request.find_header("user-agent") or "")
    event = begin_event(dependencies.clock(), uuid_text(random[:16]), source, user_agent, random[16:])
    event.additional_event_data = recorded_trace()
    event.event_source, event.aws_region = f"{_SERVICE}.amazonaws.com", "us-east-1"
    return event


def _base(dependencies: Dependencies, request: Request) -> str:
    """As the client sees the endpoint."""
    _, is_secure = source_of(request, dependencies.trusted_proxies)
    return f"{'https' if is_secure else 'http'}://{request.find_header('host') or ''}{SCIM_PATH}"


def _query(request: Request) -> dict[str, str]:
    text = request.target.partition("?")[2]
    try:
        return dict(parse_qsl(text, max_num_fields=_MOST_PARAMETERS, errors="strict"))
    except ValueError:
        raise invalid_value("The query of the request cannot be read.") from None


def _body(request: Request) -> Mapping[str, Any]:
    if request.limit_exceeded is not None:
        raise Refusal("RequestEntityTooLarge", "The request is too large.", status=413)
    if request.method in ("GET", "DELETE", "HEAD"):
        return {}
    media_type = (request.find_header("content-type") or "").partition(";")[0].strip().lower()
    if media_type not in _MEDIA_TYPES:
        raise Refusal("UnsupportedMediaType", f"The content-type is {_MEDIA_TYPES[0]}.", status=415)
    try:
        return read_object(request.body)
    except ValueError as error:
        raise invalid_syntax(f"The body is no JSON object: {error}.") from None


def _refused(event: Event, refusal: Refusal) -> Response:
    note_refusal(event, refusal)
    log_refusal(event)
    status = int(status_and_fault(refusal)[0])
    body: dict[str, Any] = {"schemas": [_ERROR_SCHEMA], "status": str(status), "detail": refusal.message}
    if refusal.code in SCIM_TYPES:
        body["scimType"] = refusal.code
    return _response(
        event, status, body, {"WWW-Authenticate": 'Bearer realm="SCIM"'} if status == 401 else {}
    )


def _response(event: Event, status: int, body: dict[str, Any] | None, more: Mapping[str, str]) -> Response:
    headers = {**_HEADERS, **more, "x-amzn-RequestId": event.request_id}
    return Response(status, header_lines(headers), b"" if body is None else msgspec.json.encode(body))
