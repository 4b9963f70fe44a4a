"""The OAuth endpoints of the accounts' issuers: POST ISSUER/oauth2/token, /introspect and /revoke.

RFC 6749, 5: a form in, JSON out, nothing of it cached. The way of a request is that of the API (`requests.py`): one
audit event, one transaction, and no answer before the journal has the record. The records call these what AWS's sign-in
service calls them.
"""

import re
from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.resource import Resource
from broker.access.restrictions import refuse_restricted
from broker.audit.event import (
    Event,
    UserIdentity,
    begin_event,
    claimed_identity,
    iso_time,
    recordable,
    shortened,
    uuid_text,
)
from broker.audit.journal import JournalUnavailable
from broker.errors import Refusal
from broker.federation.federation import ISSUER_ID, IssuerRules
from broker.operation import model
from broker.performing import outcome_of, record_ahead, record_caller, unjournalled
from broker.protocol.redaction import HIDDEN, audit_answer
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest, find_authorization
from broker.storage.store import ISSUER_ACCOUNTS, TOKEN_ISSUERS, Transaction
from broker.sts.issued_tokens import OwnIssuer, introspect, revoke
from broker.sts.token_exchange import Exchanged, as_oauth_refusal, exchange, prove_subject
from broker.sts.token_requests import (
    CREDENTIALS,
    SIGNED_REQUEST,
    TOKEN_EXCHANGE,
    ExchangeRequest,
    Parameters,
    invalid_request,
    read_exchange,
    read_parameters,
    required,
)
from broker.trace_context import recorded_trace
from broker.web.dependencies import Dependencies
from broker.web.http import Request, Response, header_lines
from broker.web.log import log_refusal
from broker.web.peers import source_of
from broker.web.requests import refusal_for

TOKEN, INTROSPECT, REVOKE = "token", "introspect", "revoke"

_OPERATIONS = {
    TOKEN: "CreateOAuth2TokenWithTokenExchange",
    INTROSPECT: "IntrospectOAuth2TokenWithIAM",
    REVOKE: "RevokeOAuth2TokenWithIAM",
}
_SIGNIN = "signin"  # the service that AWS has these operations in
_SIGNED_FOR = "sts"  # and the one that requests are signed for
_FORM = "application/x-www-form-urlencoded"
_LONGEST_DESCRIPTION = 4096

_find_name = re.compile(rf"/({ISSUER_ID})/oauth2/(token|introspect|revoke)").fullmatch
# RFC 6749, 5.2: what an error_description may hold.
_is_not_describable = re.compile(r"[^\x20-\x21\x23-\x5b\x5d-\x7e]")

_HEADERS = {
    "Content-Type": "application/json",
    "Cache-Control": "no-store",
    "Pragma": "no-cache",
    "Server": "broker",
}
_JSON = header_lines(_HEADERS)
_UNAUTHORIZED = header_lines({**_HEADERS, "WWW-Authenticate": "AWS4-HMAC-SHA256"})


class _Arrived(msgspec.Struct, frozen=True):
    """A request that has been given an event; `http` is the same as SigV4 reads it."""

    issuer_id: str
    endpoint: str
    request: Request
    http: UnverifiedRequest
    facts: RequestFacts
    event: Event
    authorization: UnverifiedAuthorization | None = None


class _Done(msgspec.Struct, frozen=True):
    """What was done: the body of the answer, and what the record says of it."""

    body: dict[str, Any] | None = None
    recorded: dict[str, Any] | None = None
    is_recorded: bool = False

    def __repr__(self) -> str:
        return "_Done(***)"  # credentials may be in it


async def answer_token_request(dependencies: Dependencies, request: Request) -> Response | None:
    """The answer of an issuer's endpoint; None where the request is for none, so that it is one of the API."""
    if "/oauth2/" not in request.target:  # said first: it is asked of every request
        return None
    name = _find_endpoint(dependencies.federation.issuer, request.path)
    if name is None:
        return None
    started = dependencies.timer()
    arrived = _begin(dependencies, request, *name)
    event = arrived.event
    try:
        # Nothing is done before the journal holds the records of earlier requests.
        dependencies.journal.catch_up()
        parameters = _read(request)
        arrived = _with_authorization(arrived)

        async def perform_once(store: Transaction) -> _Done:
            done = await _PERFORM[arrived.endpoint](dependencies, store, arrived, parameters)
            # A subject token that is good once would be spent, and its answer lost without a record.
            if store.is_dirty and arrived.endpoint == TOKEN:
                _note(arrived, done)
                await record_ahead(dependencies.journal, dependencies.entropy, event)
                return replace(done, is_recorded=True)
            return done

        done = await dependencies.store.transact(perform_once)
        is_recorded = done.is_recorded
        # From here on it is committed.
        _note(arrived, done)
        response = _answered(200, done.body, arrived.facts.request_id)
    except Exception as error:  # noqa: BLE001  the outermost handler: the client always gets an answer
        refusal, is_recorded = refusal_for(error, arrived.facts.request_id), False
        event.additional_event_data = outcome_of(event, error)
        response = _refused(refusal, event, arrived.facts.request_id)
    # No journal, no answer.
    try:
        if not is_recorded:
            await dependencies.journal.record(event)
    except JournalUnavailable as error:
        response = _refused(unjournalled(event, str(error)), event, arrived.facts.request_id)
    operation, seconds = _OPERATIONS[arrived.endpoint], dependencies.timer() - started
    dependencies.metrics.count(_SIGNIN, operation, event.error_code, seconds, arrived.facts.request_id)
    return response


def _note(arrived: _Arrived, done: _Done) -> None:
    # CloudTrail counts issuing as reading.
    arrived.event.read_only = arrived.endpoint != REVOKE
    arrived.event.response_elements = done.recorded


def _find_endpoint(rules: IssuerRules, path: str) -> tuple[str, str] | None:
    base = urlsplit(rules.url).path
    found = _find_name(path, len(base)) if rules.url and path.startswith(base) else None
    return None if found is None else (found[1], found[2])


def _begin(dependencies: Dependencies, request: Request, issuer_id: str, endpoint: str) -> _Arrived:
    now, random = dependencies.clock(), dependencies.entropy(32)
    request_id = uuid_text(random[:16])
    source, secure = source_of(request, dependencies.trusted_proxies)
    user_agent = recordable(request.find_header("user-agent") or "")
    event = begin_event(now, request_id, source, user_agent, random[16:])
    event.additional_event_data = recorded_trace()
    event.event_source, event.event_name = f"{_SIGNIN}.amazonaws.com", _OPERATIONS[endpoint]
    event.aws_region = "us-east-1"
    facts = RequestFacts(now, request_id, source, user_agent, secure, event.aws_region, _SIGNED_FOR)
    path, _, query = request.target.partition("?")
    http = UnverifiedRequest(request.method, path, query, request.headers, request.body)
    return _Arrived(issuer_id, endpoint, request, http, facts, event)


def _read(request: Request) -> Parameters:
    if request.limit_exceeded is not None:
        status = request.limit_exceeded.status
        raise Refusal(
            "invalid_request", "The request is not whole.", reason=request.limit_exceeded.value, status=status
        )
    media_type = (request.find_header("content-type") or "").partition(";")[0].strip().lower()
    if media_type != _FORM:
        raise invalid_request(f"The content-type has to be {_FORM}.")
    if request.query:
        raise invalid_request("Parameters belong in the body, not in the URL.")
    return read_parameters(request.body)


async def _find_issuer(dependencies: Dependencies, store: Transaction, arrived: _Arrived) -> OwnIssuer:
    owner = await store.find(ISSUER_ACCOUNTS, "", arrived.issuer_id)
    record = None if owner is None else await store.find(TOKEN_ISSUERS, owner.account_id)
    if owner is None or record is None:
        raise Refusal("invalid_request", "There is no such issuer.", status=404)
    arrived.event.recipient_account_id = owner.account_id
    return OwnIssuer(owner.account_id, dependencies.federation.issuer.identifier(arrived.issuer_id), record)


def _with_authorization(arrived: _Arrived) -> _Arrived:
    """With what the request says of its signature, its region among it; raises invalid_client."""
    try:
        authorization = find_authorization(arrived.http)
    except Refusal as refusal:
        raise _invalid_client(refusal) from None
    if authorization is None:
        return arrived
    region = recordable(authorization.region) or arrived.facts.region
    arrived.event.aws_region = shortened(region)
    arrived.event.user_identity = claimed_identity(authorization.signer.access_key_id)
    return replace(arrived, facts=replace(arrived.facts, region=region), authorization=authorization)


async def _signed(dependencies: Dependencies, store: Transaction, arrived: _Arrived) -> Caller:
    """The caller whose credentials have signed this request; raises invalid_client."""
    try:
        caller, _ = await dependencies.prover.prove(
            store, arrived.http, arrived.authorization, _SIGNED_FOR, arrived.facts.now
        )
    except Refusal as refusal:
        raise _invalid_client(refusal) from None
    return caller


def _invalid_client(refusal: Refusal) -> Refusal:
    # The first line only: the rest of a signature's refusal quotes the request, session token included.
    reason = f"{refusal.code}: {refusal.reason or refusal.message.partition(chr(10))[0]}"
    message = "The request has to be signed with AWS credentials, for the service sts."
    return Refusal("invalid_client", message, reason=reason, status=401)


# Token


async def _exchange(
    dependencies: Dependencies, store: Transaction, arrived: _Arrived, parameters: Parameters
) -> _Done:
    issuer = await _find_issuer(dependencies, store, arrived)
    asked = read_exchange(parameters, issuer.account)
    arrived.event.request_parameters = _recorded(asked)
    if not issuer.record.is_enabled:
        raise invalid_request("Outbound web identity federation is disabled for this account.")
    if arrived.authorization is not None and asked.subject_token_type != SIGNED_REQUEST:
        message = "No client is authenticated for this subject token: leave the Authorization header out."
        raise Refusal("invalid_client", message, status=401)
    try:
        subject = await prove_subject(
            dependencies.federation,
            store,
            arrived.facts,
            dependencies.mint.keyring(),
            issuer,
            asked,
            lambda: _signed(dependencies, store, arrived),
        )
        record_caller(dependencies.store, arrived.event, arrived.facts, subject.caller)
        call = dependencies.call(store, subject.caller, arrived.facts)
        exchanged = await exchange(call, issuer, asked, subject)
    except Refusal as refusal:
        raise as_oauth_refusal(refusal) from None
    body = _exchanged_body(asked, exchanged, int(arrived.facts.now))
    return _Done(body, _recorded_answer(subject.operation, exchanged))


def _recorded(asked: ExchangeRequest) -> dict[str, Any]:
    shown: dict[str, Any] = {
        "grantType": TOKEN_EXCHANGE,
        "subjectToken": HIDDEN,
        "subjectTokenType": asked.subject_token_type,
        "requestedTokenType": asked.issued_token_type,
        "resource": asked.role_arn,
        "audience": list(asked.audience),
        "scope": " ".join(asked.policy_arns),
        "roleSessionName": asked.role_session_name,
        "principalArn": asked.provider_arn,
        "duration": asked.duration,
    }
    return {name: value for name, value in shown.items() if value}


def _recorded_answer(operation: str, exchanged: Exchanged) -> dict[str, Any] | None:
    shown = audit_answer(model(_SIGNED_FOR), operation, exchanged.answer) or {}
    if exchanged.token is None:
        return shown
    token = {"jti": exchanged.token.token_id, "expiration": iso_time(exchanged.token.expires_at)}
    # The session's credentials are given to no one.
    return {**{name: value for name, value in shown.items() if name != "credentials"}, "token": token}


def _exchanged_body(asked: ExchangeRequest, exchanged: Exchanged, now: int) -> dict[str, Any]:
    """RFC 8693, 2.2.1. Of credentials, `access_token` is the session token: it is of no use without the secret key."""
    if exchanged.token is not None:
        return {
            "access_token": exchanged.token.text,
            "issued_token_type": asked.issued_token_type,
            "token_type": "Bearer",
            "expires_in": exchanged.token.expires_at - now,
        }
    credentials = exchanged.answer.credentials
    return {
        "access_token": credentials.session_token,
        "issued_token_type": CREDENTIALS,
        "token_type": "N_A",
        "expires_in": int(credentials.expiration) - now,
        "accessKeyId": credentials.access_key_id,
        "secretAccessKey": credentials.secret_access_key,
        "sessionToken": credentials.session_token,
        "expiration": iso_time(credentials.expiration),
    }


# Introspection and revocation


async def _introspect(
    dependencies: Dependencies, store: Transaction, arrived: _Arrived, parameters: Parameters
) -> _Done:
    """For callers of the issuer's account who may `signin:IntrospectOAuth2TokenWithIAM`."""
    caller = await _signed(dependencies, store, arrived)
    record_caller(dependencies.store, arrived.event, arrived.facts, caller)
    issuer = await _find_issuer(dependencies, store, arrived)
    action = f"{_SIGNIN}:{_OPERATIONS[INTROSPECT]}"
    try:
        refuse_restricted(caller, _SIGNIN, _OPERATIONS[INTROSPECT])
        call = dependencies.call(store, caller, arrived.facts)
        await call.require(action, Resource(account=issuer.account))
    except Refusal as refusal:
        reason = f"{refusal.code}: {refusal.reason or refusal.message}"
        raise Refusal("access_denied", refusal.message, reason=reason, status=403) from None
    answer = await introspect(
        dependencies.federation,
        dependencies.mint.keyring(),
        store,
        issuer,
        required(parameters, "token"),
        arrived.facts.now,
    )
    return _Done(answer, {name: answer[name] for name in ("active", "jti", "sub") if name in answer})


async def _revoke(
    dependencies: Dependencies, store: Transaction, arrived: _Arrived, parameters: Parameters
) -> _Done:
    """RFC 7009, 2.2: a token that is not good is answered like one that was revoked."""
    issuer = await _find_issuer(dependencies, store, arrived)
    token = required(parameters, "token")
    keyring = dependencies.mint.keyring()
    claims = await revoke(dependencies.federation, keyring, store, issuer, token, arrived.facts.now)
    if claims is None:
        return _Done()
    # The token proves its subject, so the record is one of a proven caller.
    arrived.event.user_identity = UserIdentity(
        "AssumedRole" if ":role/" in claims.subject else "IAMUser",
        arn=claims.subject,
        account_id=issuer.account,
    )
    return _Done(None, {"jti": claims.claims["jti"], "sub": claims.subject})


_PERFORM: dict[str, Callable[[Dependencies, Transaction, _Arrived, Parameters], Awaitable[_Done]]] = {
    TOKEN: _exchange,
    INTROSPECT: _introspect,
    REVOKE: _revoke,
}


# Answers


def _answered(status: int, body: dict[str, Any] | None, request_id: str, lines: bytes = _JSON) -> Response:
    lines = b"%bx-amzn-RequestId: %b\r\n" % (lines, request_id.encode())
    return Response(status, lines, b"" if body is None else msgspec.json.encode(body))


def _refused(refusal: Refusal, event: Event, request_id: str) -> Response:
    shown = as_oauth_refusal(refusal)
    event.error_code = shown.code
    event.error_message = shortened(recordable(shown.reason or shown.message))
    log_refusal(event)
    status = shown.status or 400
    description = _is_not_describable.sub("'", shown.message)[:_LONGEST_DESCRIPTION]
    body = {"error": shown.code, "error_description": description}
    return _answered(status, body, request_id, _UNAUTHORIZED if status == 401 else _JSON)
