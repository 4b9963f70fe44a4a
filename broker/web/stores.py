"""The door of stores that ask by protocols of their own: MinIO's policy plug-in, and Keystone's tokens for signatures.

Neither can sign: each proves itself by a secret of the settings, without which the door is not there. A question
leaves a record; MinIO's has the caller that MinIO has proven.
"""

from collections.abc import Awaitable, Callable
from secrets import compare_digest
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.audit.event import Event, begin_event, recordable, shortened, uuid_text
from broker.audit.journal import JournalUnavailable
from broker.authorize.keystone import PresentedSignature, read_ec2_token, read_s3_token, token_document
from broker.authorize.minio import decide_minio, find_minio_caller, read_minio
from broker.errors import Refusal, service_unavailable, status_and_fault, validation_error
from broker.names.secret import SecretKey
from broker.performing import note_refusal, record_caller
from broker.sigv4.authorization import find_authorization
from broker.sigv4.verify import BodyLocation, Dialect
from broker.storage.store import Transaction
from broker.strict_json import read_object
from broker.web.dependencies import Dependencies
from broker.web.http import Request, Response, header_lines
from broker.web.log import log_refusal
from broker.web.peers import source_of
from broker.web.proofs import find_issuer
from broker.web.requests import refusal_for

MINIO, S3_TOKENS, EC2_TOKENS = "/minio/policy", "/v3/s3tokens", "/v3/ec2tokens"
_NAMES = {MINIO: "DecideForMinio", S3_TOKENS: "CreateS3Token", EC2_TOKENS: "CreateEC2Token"}
_JSON = header_lines({"Content-Type": "application/json", "Cache-Control": "no-store", "Server": "broker"})
_UNAUTHORIZED = frozenset(("InvalidClientTokenId", "SignatureDoesNotMatch", "IncompleteSignature"))


class StoreRules(msgspec.Struct, frozen=True):
    """The secrets by which stores prove themselves; an empty one: there is no such door."""

    minio_authorization: SecretKey = SecretKey("")
    minio_account_id: str = ""
    keystone_token: SecretKey = SecretKey("")
    keystone_roles: tuple[str, ...] = ()


class AskedByStore(msgspec.Struct, frozen=True):
    """A question of a store, with its record."""

    dependencies: Dependencies
    rules: StoreRules
    members: dict[str, Any]
    facts: RequestFacts
    event: Event

    def __repr__(self) -> str:
        return "AskedByStore(***)"


async def answer_store(dependencies: Dependencies, rules: StoreRules, request: Request) -> Response | None:
    """The answer to a store; None where the request is for none of its doors, or the settings have not opened it."""
    name = _NAMES.get(request.path)
    secret = rules.minio_authorization if request.path == MINIO else rules.keystone_token
    if name is None or request.method != "POST" or not secret.reveal():
        return None
    started = dependencies.timer()
    facts, event = _begin(dependencies, request, name)
    try:
        dependencies.journal.catch_up()
        _require_secret(request, secret)
        asked = AskedByStore(dependencies, rules, _read(request), facts, event)
        response = Response(200, _JSON, msgspec.json.encode(await _ANSWERS[request.path](asked)))
    except Exception as error:  # noqa: BLE001  the outermost handler: the store always gets an answer
        response = _refused(event, refusal_for(error, facts.request_id))
    try:
        await dependencies.journal.record(event)
    except JournalUnavailable as error:
        response = _refused(event, service_unavailable(str(error)))
    seconds = dependencies.timer() - started
    dependencies.metrics.count("broker", name, event.error_code, seconds, facts.request_id)
    return response


def _begin(dependencies: Dependencies, request: Request, name: str) -> tuple[RequestFacts, Event]:
    now, random = dependencies.clock(), dependencies.entropy(32)
    source, secure = source_of(request, dependencies.trusted_proxies)
    user_agent = recordable(request.find_header("user-agent") or "")
    request_id = uuid_text(random[:16])
    event = begin_event(now, request_id, source, user_agent, random[16:])
    event.event_source, event.event_name = "broker.amazonaws.com", name
    event.read_only, event.aws_region = True, "us-east-1"
    return RequestFacts(now, request_id, source, user_agent, secure, "us-east-1", "broker"), event


def _require_secret(request: Request, secret: SecretKey) -> None:
    header = "authorization" if request.path == MINIO else "x-auth-token"
    given = request.all_headers(header)
    if len(given) != 1 or not compare_digest(
        given[0].encode("utf-8", "surrogatepass"), secret.reveal().encode()
    ):
        raise Refusal(
            "InvalidClientTokenId",
            "The request you have made requires authentication.",
            reason=f"{header} is wrong",
        )


def _read(request: Request) -> dict[str, Any]:
    if request.limit_exceeded is not None:
        raise validation_error("The request is not whole.")
    try:
        return read_object(request.body)
    except ValueError as error:
        raise validation_error(f"The body is no JSON object: {error}.") from None


async def _minio(asked: AskedByStore) -> dict[str, Any]:
    """The rules of MinIO's connection are the asker's; of the request to it only what `conditions` says is known."""
    dependencies, account = asked.dependencies, asked.rules.minio_account_id
    question = read_minio(asked.members)
    shown = {"action": question.action, "bucket": question.bucket, "object": question.object_name}
    asked.event.request_parameters = {"account": question.account, **shown}

    async def work(store: Transaction) -> tuple[bool, str]:
        issuer = await find_issuer(dependencies, store, question.claims.get("iss"))
        own = None if issuer is None else issuer.identifier
        caller = await find_minio_caller(store, account, own, question, asked.facts.now)
        if caller is None:
            return False, f"nobody here is who MinIO calls {question.account}"
        record_caller(dependencies.store, asked.event, asked.facts, caller)
        facts = RequestFacts(asked.facts.now, asked.facts.request_id, "")
        return await decide_minio(dependencies.gate, store, caller, facts, account, question)

    is_allowed, reason = await dependencies.store.transact(work)
    decision = {"decision": "allowed" if is_allowed else "denied", "reason": shortened(recordable(reason))}
    asked.event.response_elements = {name: value for name, value in decision.items() if value}
    return {"result": is_allowed}


async def _keystone(asked: AskedByStore, presented: PresentedSignature) -> dict[str, Any]:
    asked.event.request_parameters = {"access": presented.access_key_id}
    dependencies, now = asked.dependencies, asked.facts.now

    async def work(store: Transaction) -> Caller:
        caller = await _prove(dependencies, store, presented, now)
        record_caller(dependencies.store, asked.event, asked.facts, caller)
        return caller

    return token_document(await dependencies.store.transact(work), now, asked.rules.keystone_roles)


async def _prove(
    dependencies: Dependencies, store: Transaction, presented: PresentedSignature, now: float
) -> Caller:
    if presented.request is None:
        return await dependencies.prover.prove_string(
            store, presented.access_key_id, presented.string_to_sign, presented.signature, now
        )
    authorization = find_authorization(presented.request)
    if authorization is None or authorization.access_key_id != presented.access_key_id:
        raise Refusal("SignatureDoesNotMatch", "The request is not signed by this key.")
    is_s3 = authorization.service == "s3"
    dialect = Dialect(normalise_path=not is_s3, unsigned_payload=True, body=BodyLocation.NOT_SENT)
    caller, _ = await dependencies.prover.prove(
        store, presented.request, authorization, authorization.service, now, dialect
    )
    return caller


async def _s3_token(asked: AskedByStore) -> dict[str, Any]:
    return await _keystone(asked, read_s3_token(asked.members))


async def _ec2_token(asked: AskedByStore) -> dict[str, Any]:
    return await _keystone(asked, read_ec2_token(asked.members))


_ANSWERS: dict[str, Callable[[AskedByStore], Awaitable[dict[str, Any]]]] = {
    MINIO: _minio,
    S3_TOKENS: _s3_token,
    EC2_TOKENS: _ec2_token,
}


def _refused(event: Event, refusal: Refusal) -> Response:
    """Keystone's form of an error, which MinIO logs as well."""
    note_refusal(event, refusal)
    log_refusal(event)
    status = 401 if refusal.code in _UNAUTHORIZED else int(status_and_fault(refusal)[0])
    body = {"error": {"code": status, "title": refusal.code, "message": refusal.message.partition("\n")[0]}}
    return Response(status, _JSON, msgspec.json.encode(body))
