"""What an edited document would change: the requests of the last thirty days, judged with the present one and with it.

The records are those that cloudtrail:LookupEvents shows the person, the judgement needs iam:SimulatePrincipalPolicy on
each principal. Bounded: a few principals, and the newest records of each.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from broker.access.past_requests import PastRequest, Replayed, ReplayRequest
from broker.audit.event import Event
from broker.audit.facets import RecordFilter, RecordOutcome, name_of_caller, outcome_of_record, time_of
from broker.audit.resources import RecordedResource, resources_of
from broker.errors import Refusal
from broker.portal.console.journal import look_up
from broker.portal.console.operations import FAULTS, attempt, perform_for_page
from broker.portal.console.permissions import PolicyHolder
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit
from broker.protocol.shapes import iam as shapes

DAYS = 30
MOST_PRINCIPALS = 10
MOST_RECORDS = 200  # of all principals together
_MOST_SHOWN = 100
_SERVICES = ".amazonaws.com"
_SESSIONS = (
    "AWS::STS::AssumedRole",
    "AWS::STS::FederatedUser",
)  # of answers: what was made, not what was asked for


class Principal(msgspec.Struct, frozen=True):
    """A user or a role that has the policy; `arn` is what its records are found by."""

    name: str
    arn: str


class AnsweredRequests(msgspec.Struct, frozen=True):
    """Requests that are alike; `was_allowed` is what the journal says of them, `times` how many there were."""

    who: str
    action: str
    resource: str
    was_allowed: bool
    would_be: bool | None
    times: int
    last_at: int


class WhatChanges(msgspec.Struct, frozen=True):
    """`changes` would be answered otherwise; of `uncertain` ones that cannot be known; `same` is a number of requests.

    `failed` were refused for other reasons than policies, which are not judged. `has_more` and `left_out` say what was
    not looked at: older records, and principals. `refusals` are of what the person may not see or ask.
    """

    changes: tuple[AnsweredRequests, ...] = ()
    uncertain: tuple[AnsweredRequests, ...] = ()
    same: int = 0
    failed: int = 0
    principals: tuple[str, ...] = ()
    left_out: int = 0
    has_more: bool = False
    is_readable: bool = True
    refusals: tuple[Refusal, ...] = ()


class Edited(msgspec.Struct, frozen=True):
    """The policy whose document is edited, who has it, and how the simulator leaves it out."""

    identifier: shapes.PolicyIdentifier
    principals: tuple[Principal, ...]


class Judged(msgspec.Struct, frozen=True):
    event: Event
    who: str
    replayed: Replayed


async def find_managed(portal: Portal, visit: Visit, arn: str) -> Edited | Refusal:
    found = await attempt(portal, visit, "ListEntitiesForPolicy", {"PolicyArn": arn})
    if isinstance(found, Refusal):
        return found
    account = visit.request.match_info["account"]
    holders = [PolicyHolder("User", one.user_name, account) for one in found.policy_users]
    holders += [PolicyHolder("Role", one.role_name, account) for one in found.policy_roles]
    holders += [PolicyHolder("Group", one.group_name, account) for one in found.policy_groups]
    principals = await _principals(portal, visit, holders)
    identifier = shapes.PolicyIdentifier(policy_arn=arn)
    return principals if isinstance(principals, Refusal) else Edited(identifier, principals)


async def find_inline(portal: Portal, visit: Visit, holder: PolicyHolder, name: str) -> Edited | Refusal:
    principals = await _principals(portal, visit, [holder])
    inline = shapes.InlinePolicyIdentifierType(
        policy_name=name, attachment_type=holder.noun.lower(), attachment_name=holder.name
    )
    identifier = shapes.PolicyIdentifier(inline_policy_identifier=inline)
    return principals if isinstance(principals, Refusal) else Edited(identifier, principals)


async def _principals(
    portal: Portal, visit: Visit, holders: Iterable[PolicyHolder]
) -> tuple[Principal, ...] | Refusal:
    """Users and roles, each once: of groups the members."""
    found: dict[str, Principal] = {}
    for holder in holders:
        answer = await attempt(portal, visit, f"Get{holder.noun}", holder.named)
        if isinstance(answer, Refusal):
            return answer
        if holder.noun == "Group":
            members = [Principal(one.user_name, one.arn) for one in answer.users]
        else:
            one = answer.role if holder.noun == "Role" else answer.user
            members = [Principal(holder.name, one.arn)]
        found.update({member.arn: member for member in members})
    return tuple(found.values())


async def what_changes(portal: Portal, visit: Visit, edited: Edited | Refusal, document: str) -> WhatChanges:
    if isinstance(edited, Refusal):
        return WhatChanges(refusals=(edited,))
    if portal.tools.history is None:
        return WhatChanges(is_readable=False)
    chosen = edited.principals[:MOST_PRINCIPALS]
    judged: list[Judged] = []
    refusals: dict[str, Refusal] = {}
    has_more, failed = False, 0
    for principal in chosen:
        try:
            records, more = await _records(portal, visit, principal, len(chosen))
            asked = [one for one in records if outcome_of_record(one) is not RecordOutcome.FAILED]
            failed += len(records) - len(asked)
            has_more = has_more or more
            judged += await _judge(portal, visit, edited, principal, document, asked)
        except Refusal as refusal:
            if refusal.code in FAULTS:
                raise
            refusals[refusal.message.partition(". Encoded")[0]] = refusal
    return msgspec.structs.replace(
        summarized(judged),
        failed=failed,
        principals=tuple(one.name for one in chosen),
        left_out=len(edited.principals) - len(chosen),
        has_more=has_more,
        refusals=tuple(refusals.values()),
    )


async def _records(
    portal: Portal, visit: Visit, principal: Principal, principals: int
) -> tuple[list[Event], bool]:
    """The newest of the principal, and whether there are more. Raises Refusal."""
    history, now = portal.tools.history, int(visit.facts.now)
    assert history is not None
    wanted = RecordFilter((("principal", principal.arn),), start=now - DAYS * 86_400)
    found = await look_up(portal, history, visit, wanted, limit=max(1, MOST_RECORDS // principals))
    is_whole = not found.has_more and found.complete_since is None
    return [one.event for one in found.records], not is_whole


async def _judge(
    portal: Portal,
    visit: Visit,
    edited: Edited,
    principal: Principal,
    document: str,
    events: Sequence[Event],
) -> list[Judged]:
    """Raises Refusal."""
    past = tuple(past_request(one) for one in events)
    if not past:
        return []
    answer: Any = await perform_for_page(
        portal,
        visit,
        "ReplayRequests",
        ReplayRequest(
            policy_source_arn=principal.arn,
            policy_exclusion_list=(edited.identifier,),
            policy_input_list=(document,),
            action_names=tuple(sorted({one.action for one in past})),
            past=past,
        ),
    )
    return [
        Judged(event, name_of_caller(event) or principal.name, replayed)
        for event, replayed in zip(events, answer.replayed, strict=True)
    ]


def past_request(event: Event) -> PastRequest:
    """What the record holds of the request that the gate was asked about."""
    identity, context = event.user_identity, event.user_identity.session_context
    keys = {
        "aws:currenttime": (event.event_time,),
        "aws:epochtime": (str(time_of(event)),),
        "aws:requestedregion": (event.aws_region,),
        "aws:sourceip": (event.source_ip,),
        "aws:useragent": (event.user_agent,),
        "aws:userid": (identity.principal_id,),
    }
    absent = set()
    if context is None:
        absent = {"aws:multifactorauthpresent", "aws:multifactorauthage", "aws:tokenissuetime"}
    else:
        # A role's session without a second factor may be a federated one, which has no such key.
        if identity.type != "AssumedRole" or context.attributes.mfa_authenticated == "true":
            keys["aws:multifactorauthpresent"] = (context.attributes.mfa_authenticated,)
        keys["aws:tokenissuetime"] = (context.attributes.creation_date,)
    return PastRequest(
        f"{event.event_source.removesuffix(_SERVICES)}:{event.event_name}",
        tuple((one.type, one.name) for one in asked_about(event)),
        {key: value for key, value in keys.items() if value[0]},
        frozenset(absent),
    )


def asked_about(event: Event) -> tuple[RecordedResource, ...]:
    """The resources of the request; of one that names none, those that it made."""
    named = resources_of(msgspec.structs.replace(event, response_elements=None))
    return named or tuple(one for one in resources_of(event) if one.type not in _SESSIONS)


def summarized(judged: Iterable[Judged]) -> WhatChanges:
    """Requests that are alike together, the most frequent first."""
    changes: dict[tuple[Any, ...], AnsweredRequests] = {}
    uncertain: dict[tuple[Any, ...], AnsweredRequests] = {}
    same = 0
    for one in judged:
        was = outcome_of_record(one.event) is RecordOutcome.SUCCEEDED
        before, after = one.replayed.before, one.replayed.after
        # The present policies have to give the answer that was given: else more has changed since, or is not known.
        is_certain = before is was and after is not None
        if is_certain and after is was:
            same += 1
            continue
        would_be = after if is_certain else None
        _count(changes if is_certain else uncertain, one, was_allowed=was, would_be=would_be)
    return WhatChanges(_most_frequent(changes), _most_frequent(uncertain), same)


def _count(
    found: dict[tuple[Any, ...], AnsweredRequests], one: Judged, *, was_allowed: bool, would_be: bool | None
) -> None:
    event = one.event
    action = f"{event.event_source.removesuffix(_SERVICES)}:{event.event_name}"
    resource = next((named.name for named in asked_about(event)), "")
    key = (one.who, action, resource, was_allowed, would_be)
    before = found.get(key)
    times, last_at = (before.times, before.last_at) if before is not None else (0, 0)
    found[key] = AnsweredRequests(*key, times + 1, max(last_at, time_of(event)))


def _most_frequent(found: dict[tuple[Any, ...], AnsweredRequests]) -> tuple[AnsweredRequests, ...]:
    ordered = sorted(found.values(), key=lambda one: (-one.times, -one.last_at))
    return tuple(ordered[:_MOST_SHOWN])
