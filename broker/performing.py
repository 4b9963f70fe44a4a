"""An operation for a caller that is proven already, from the first line of its record to the last.

The pages perform operations so, without a wire protocol: the gate, the mint and the record in the journal are those of
a signed request. The way of a signed request (`broker.web.requests`) takes its records from here.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from copy import copy
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.restrictions import refuse_restricted
from broker.audit.event import Event, begin_event, recordable, shortened, uuid_text
from broker.audit.history import EventHistory
from broker.audit.journal import Journal, JournalUnavailable
from broker.credentials.mint import Mint
from broker.credentials.passwords import Passwords
from broker.errors import Refusal, carried_out_unrecorded, outcome_unknown, service_unavailable
from broker.federation.federation import Federation
from broker.operation import (
    OPERATIONS,
    Call,
    CheckPolicy,
    Operation,
    Performed,
    Quotas,
    find_operation,
    model,
    perform,
)
from broker.protocol.model import ServiceModel
from broker.protocol.redaction import audit_answer, audit_parameters, gives_secret, is_reading
from broker.storage.engine import Conflict, EngineUnavailable, OutcomeUnknown
from broker.storage.last_accessed import operation_key
from broker.storage.records import Usage
from broker.storage.store import Store, Transaction


class Tools(msgspec.Struct, frozen=True, kw_only=True):
    """What operations are performed with; made once, by `app`. `clock` gives epoch seconds."""

    clock: Callable[[], float]
    entropy: Callable[[int], bytes]
    store: Store
    gate: Gate
    mint: Mint
    journal: Journal
    quotas: Quotas
    federation: Federation
    passwords: Passwords
    service_principals: frozenset[str] = frozenset()
    portal_url: str = ""
    history: EventHistory | None = None
    accounts_take_names: bool = True
    delivers_trails: bool = False
    check_policy: CheckPolicy | None = None

    def call(self, store: Transaction, caller: Caller, facts: RequestFacts) -> Call:
        return Call(
            caller,
            facts,
            store,
            self.gate,
            self.mint,
            self.entropy,
            self.quotas,
            self.federation,
            self.passwords,
            self.service_principals,
            self.portal_url,
            self.history,
            self.accounts_take_names,
            self.delivers_trails,
            self.check_policy,
        )


CallerOf = Callable[[Transaction], Awaitable[Caller]]


async def perform_recorded(
    tools: Tools, facts: RequestFacts, caller_of: CallerOf, operation: str, typed: Any
) -> Any:
    """As `perform_declared`, of the operation of `facts.service` with this name."""
    return await perform_declared(tools, facts, caller_of, find_operation(facts.service, operation), typed)


async def perform_declared(
    tools: Tools, facts: RequestFacts, caller_of: CallerOf, declared: Operation, typed: Any
) -> Any:
    """The answer of the operation to `typed`, once its record is in the journal.

    `caller_of` finds the caller in the operation's own transaction: a caller who was deleted or revoked in between
    does nothing any more. Raises Refusal, with its record written, and what store and journal raise.
    """
    service, operation = model(declared.service), declared.name
    event = begin_event(facts.now, facts.request_id, facts.source_ip, facts.user_agent, tools.entropy(16))
    event.event_source, event.event_name = service.event_source, operation
    event.aws_region = facts.region

    async def perform_once(store: Transaction) -> tuple[Any, bool]:
        caller = await caller_of(store)
        record_caller(tools.store, event, facts, caller)
        event.request_parameters = audit_parameters(service, operation, typed)
        return await perform_proven(tools, event, declared, store, caller, facts, typed)

    try:
        # Nothing is done before the journal holds the records of earlier requests.
        tools.journal.catch_up()
        result, is_recorded = await tools.store.transact(perform_once)
        note_answer(event, service, operation, result)
    except Exception as error:
        event.additional_event_data = outcome_of(event, error)
        note_refusal(event, known_refusal(error) or internal_failure())
        await tools.journal.record(event)
        raise
    try:
        if not is_recorded and not declared.is_ahead:
            await tools.journal.record(event)
    except JournalUnavailable as error:
        raise unjournalled(event, str(error)) from None
    return result


@asynccontextmanager
async def recorded(tools: Tools, event: Event) -> AsyncIterator[None]:
    """For a look that no operation of a model is: its record is written at the end, also of a refusal or a failure.

    Raises what is raised inside, and Refusal where the record cannot be written.
    """
    try:
        # Nothing is done before the journal holds the records of earlier requests.
        tools.journal.catch_up()
        yield
    except Exception as error:
        note_refusal(event, known_refusal(error) or internal_failure())
        await tools.journal.record(event)
        raise
    try:
        await tools.journal.record(event)
    except JournalUnavailable as error:
        raise unjournalled(event, str(error)) from None


async def perform_proven(
    tools: Tools,
    event: Event,
    declared: Operation,
    store: Transaction,
    caller: Caller,
    facts: RequestFacts,
    typed: Any,
) -> tuple[Any, bool]:
    """Prepare, judge, handle for a proven caller: the answer, and whether its record is in the journal already."""
    refuse_restricted(caller, declared.service, declared.name)
    call = tools.call(store, caller, facts)
    answer = await perform(declared, call, typed)
    if call.performed:
        tools.journal.write_ahead([record_of(one, event, tools.entropy) for one in call.performed])
    # A secret that is shown once is lost where its record cannot be written: then it must not be committed either.
    service = model(declared.service)
    is_shown_once = store.is_dirty and gives_secret(service, declared.name)
    if is_shown_once:
        note_answer(event, service, declared.name, answer)
        await record_ahead(tools.journal, tools.entropy, event)
    return answer, is_shown_once


def record_of(performed: Performed, event: Event, entropy: Callable[[int], bytes]) -> Event:
    """The record of what was performed within the request that `event` is of."""
    declared, caller = performed.operation, performed.caller
    service = model(declared.service)
    record = copy(event)
    record.event_id = uuid_text(entropy(16))
    record.event_source, record.event_name = service.event_source, declared.name
    record.user_identity = caller.identity
    record.recipient_account_id = caller.account or (caller.asserted.account if caller.asserted else "")
    record.request_parameters = audit_parameters(service, declared.name, performed.request)
    note_answer(record, service, declared.name, performed.answer)
    return record


def record_caller(store: Store, event: Event, facts: RequestFacts, caller: Caller) -> None:
    """Say in the record who calls, and mark as used the key or the role, and the operation by its user or role."""
    event.user_identity = caller.identity
    event.recipient_account_id = caller.account or (caller.asserted.account if caller.asserted else "")
    namespace = _namespace(facts.service, event.event_name)
    if caller.access_key_id and not caller.is_temporary:
        usage = Usage(last_used_at=int(facts.now), region=facts.region, service=namespace)
        store.mark_used(caller.account, caller.access_key_id, usage)
    elif caller.role is not None:
        usage = Usage(last_used_at=int(facts.now), region=facts.region)
        store.mark_used(caller.account, caller.role.role_id, usage)
    _mark_operation(store, namespace, event.event_name, facts, caller)


def _namespace(service: str, operation: str) -> str:
    """What policies, and IAM's answers about last uses, call the service: not always as its model does."""
    declared = OPERATIONS.get((service, operation))
    return service if declared is None else declared.action.partition(":")[0]


def _mark_operation(
    store: Store, namespace: str, operation: str, facts: RequestFacts, caller: Caller
) -> None:
    """For service last accessed details, which count what is refused as well. `operation` is one that is declared."""
    if caller.role is not None:
        entity_id = caller.role.role_id
    elif caller.user is not None:
        entity_id = caller.user.user_id
    else:
        return
    usage = Usage(last_used_at=int(facts.now), region=facts.region, service=namespace, action=operation)
    store.mark_used(caller.account, operation_key(entity_id, namespace, operation), usage)


async def record_ahead(journal: Journal, entropy: Callable[[int], bytes], event: Event) -> None:
    """Journal before the commit. Raises JournalUnavailable.

    Where the commit fails, or has to be tried again, another record of the same request follows: the last one counts.
    """
    try:
        journal.write_ahead([event])
    finally:
        # It is not done yet.
        event.response_elements = event.read_only = None
    event.event_id = uuid_text(entropy(16))
    await journal.synced()


def note_answer(event: Event, service: ServiceModel, operation: str, answer: Any) -> None:
    # CloudTrail counts issuing as reading.
    is_issuing = service.name == "eks-auth" or (service.name == "sts" and operation != "RevokeSessions")
    event.read_only = is_reading(operation) or is_issuing
    event.response_elements = audit_answer(service, operation, answer)


def note_refusal(event: Event, refusal: Refusal) -> None:
    event.error_code = refusal.code
    # The first line only: the rest of a signature's refusal quotes the request, session token included.
    event.error_message = shortened(recordable(refusal.reason or refusal.message.partition("\n")[0]))


def known_refusal(error: Exception) -> Refusal | None:
    """The refusal that the client reads; None for a fault of ours."""
    if isinstance(error, Refusal):
        return error
    if isinstance(error, OutcomeUnknown):
        return outcome_unknown(str(error))
    if isinstance(error, EngineUnavailable | Conflict | JournalUnavailable):
        return service_unavailable(str(error))
    return None


def outcome_of(event: Event, error: Exception) -> dict[str, Any] | None:
    """`additionalEventData` of a failed request: whether the operation was carried out, where it may have been."""
    data = event.additional_event_data or {}
    if isinstance(error, OutcomeUnknown):
        return {**data, "outcome": "unknown"}
    return {**data, "outcome": "carried out"} if event.read_only is False else data or None


def note_unknown_outcome(event: Event, error: Exception) -> None:
    """As `outcome_of`, for records that say from the start whether the request changes something."""
    if isinstance(error, OutcomeUnknown):
        event.additional_event_data = outcome_of(event, error)


def unjournalled(event: Event, reason: str) -> Refusal:
    """The refusal where the record cannot be written; the journal still holds it and retries."""
    is_carried_out = not event.error_code and event.read_only is False
    return carried_out_unrecorded(reason) if is_carried_out else service_unavailable(reason)


def internal_failure() -> Refusal:
    return Refusal("InternalFailure", "The request processing has failed because of an unknown error.")
