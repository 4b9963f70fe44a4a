"""One question, decided: may the asker ask, may the subject do it, and what of it the asker may see.

The permission is `broker:EvaluateAccess` on the subject's ARN. Of a subject that is only named, in its account, so that
nobody asks about the users of others. A subject that has handed the asker its proof is asked about by the asker's own
permissions. Reasons are for those who may `broker:GetDecisionReasons` there.
"""

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.resource import Resource
from broker.authorize.context_keys import Keys
from broker.authorize.questions import PRINCIPAL, AccessQuestion, AskedSubject
from broker.authorize.subjects import FoundSubject, NoSubject, TakeRole, find_subject
from broker.errors import Refusal
from broker.names.arn import parse_arn
from broker.operation import Call
from broker.policy import Decision, Match, denial_sentences
from broker.storage.store import Transaction

_NO_TAGS: Mapping[str, str] = {}
EVALUATE = "broker:EvaluateAccess"
SEE_REASONS = "broker:GetDecisionReasons"


class Evaluated(msgspec.Struct, frozen=True):
    """The answer. `subject_arn` is "" where there is no subject; `reason` is the exact one, for the journal.

    `shown` is what the asker may see of the reasons; None for nothing.
    """

    is_allowed: bool
    subject_arn: str
    reason: str
    shown: dict[str, Any] | None = None


async def evaluate(call: Call, take_role: TakeRole, question: AccessQuestion) -> Evaluated:
    """The answer to `question`, for the caller of `call`; raises Refusal where it may not ask."""
    try:
        found = await find_subject(call.store, call.mint.keyring(), take_role, question.subject, call.now)
    except NoSubject as missing:
        return await _without_subject(call, question, missing)
    subject = subject_resource(call, found)
    await call.require(EVALUATE, subject)
    decision, reason = await decide(call, found.caller, question)
    shown = None
    if await may_see_reasons(call, subject):
        shown = _shown(decision, reason)
    is_allowed = decision is not None and decision.allowed
    return Evaluated(is_allowed, found.caller.principal.arn, reason, shown)


async def _without_subject(call: Call, question: AccessQuestion, missing: NoSubject) -> Evaluated:
    """A caller that may not ask about a principal does not learn whether it exists.

    A proof that is not good is of nobody: the answer is the same for everyone who shows it.
    """
    resource = named_resource(question.subject)
    if question.subject.type == PRINCIPAL:
        await call.require(EVALUATE, resource)
    shown = {"message": missing.reason} if await may_see_reasons(call, resource) else None
    return Evaluated(False, question.subject.id, missing.reason, shown)


def named_resource(subject: AskedSubject) -> Resource:
    """What a subject that is not there would be; `*` for one whose proof is not good."""
    if subject.type != PRINCIPAL:
        return Resource()
    return Resource(subject.id, parse_arn(subject.id).account)


def subject_resource(call: Call, found: FoundSubject) -> Resource:
    """The subject as the resource of the permission to ask."""
    caller = found.caller
    account = call.account if found.is_proven else caller.account
    tags = caller.tags if account == caller.account else {}
    return Resource(caller.principal.arn, account, tags=tags)


async def may_see_reasons(call: Call, subject: Resource) -> bool:
    decision = await call.gate.decide(call.store, call.caller, call.facts, SEE_REASONS, subject)
    return decision.allowed


async def decide(call: Call, subject: Caller, question: AccessQuestion) -> tuple[Decision | None, str]:
    """As `judge`, for what the question says."""
    target = question.resource
    facts = stated_facts(call, target.arn)
    return await judge(
        call.gate, call.store, subject, facts, question.action, target.arn, question.keys, target.tags
    )


async def judge(
    gate: Gate,
    store: Transaction,
    subject: Caller,
    facts: RequestFacts,
    action: str,
    arn: str,
    keys: Keys,
    tags: Mapping[str, str] = _NO_TAGS,
) -> tuple[Decision | None, str]:
    """The gate's decision, and its exact reason; no decision on a resource that nobody owns."""
    try:
        resource = await gate.foreign_resources.resource(store, arn)
    except Refusal as refusal:
        if refusal.code != "AccessDenied":
            raise
        return None, refusal.reason
    resource = replace(resource, tags=tags, keys=keys)
    decision = await gate.decide(store, subject, facts, action, resource)
    return decision, "" if decision.allowed else denial_sentences(decision.request, decision)[1]


def stated_facts(call: Call, arn: str) -> RequestFacts:
    """Nothing of the asker's own connection: where the request came from is said by the question, or not known.

    What is not said counts as plain HTTP, from nowhere: a policy that asks for more does not allow.
    """
    return RequestFacts(
        now=call.now, request_id=call.facts.request_id, source_ip="", region=parse_arn(arn).region
    )


def _shown(decision: Decision | None, reason: str) -> dict[str, Any]:
    if decision is None:
        return {"message": reason}
    shown: dict[str, Any] = {"outcome": decision.outcome.value}
    if decision.layer is not None:
        shown["layer"] = decision.layer.value
    if reason:
        shown["message"] = reason
    shown["statements"] = [_statement(match) for match in decision.deciding]
    return shown


def _statement(match: Match) -> dict[str, str]:
    source = match.source
    shown = {
        "layer": match.layer.value,
        "policy": source.name,
        "arn": source.arn,
        "sid": match.statement.sid or "",
    }
    return {name: value for name, value in shown.items() if value}
