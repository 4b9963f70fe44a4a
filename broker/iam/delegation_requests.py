"""Delegation requests: an account asks another for a while of some of its permissions, and a person there decides.

IAM User Guide, "Understanding the Request Lifecycle". Differs from AWS on purpose: any account may ask. A template is a
managed policy of the asking account, without parameters. There is no notification channel, and no secret that one would
carry: the asking account polls GetDelegationRequest, and trades the request's own id in (sts:GetDelegatedAccessToken).
"""

from msgspec.structs import replace

from broker.access.gather import find_managed_policy
from broker.access.resource import Resource
from broker.audit.event import iso_time, uuid_text
from broker.errors import Refusal
from broker.names.arn import iam_arn
from broker.names.principal import Root
from broker.operation import Absent, Call, ConditionKeys, Prepared, operation
from broker.paging import page
from broker.policy import MalformedPolicy, PolicyKind, parse_policy, policy_sentences
from broker.protocol.shapes import iam as shapes
from broker.storage.delegation_records import DelegationRequestRecord
from broker.storage.store import DELEGATION_REQUESTS

UNASSIGNED, ASSIGNED, PENDING_APPROVAL, ACCEPTED = "UNASSIGNED", "ASSIGNED", "PENDING_APPROVAL", "ACCEPTED"
FINALIZED, REJECTED, EXPIRED = "FINALIZED", "REJECTED", "EXPIRED"

POLL = "poll"  # the only NotificationChannel
OPEN_FOR = 7 * 24 * 3600  # seconds that a request waits for the next step
SHOWN_FOR = 7 * 24 * 3600  # seconds that an expired one is still shown
MOST_REQUESTS = 500  # of one asking account at a time
LONGEST_POLICY = 2048  # characters, as of a session policy, which it becomes

_RESOURCE = "delegation-request/"
_LOCALE = "en"


def resource_for(call: Call, request_id: str, record: DelegationRequestRecord | None = None) -> Resource:
    """In the caller's account, also for requests of others: its own policies decide what it may do with them."""
    keys: dict[str, str | tuple[str, ...]] = {}
    if record is not None and record.owner_arn is not None:
        keys["iam:DelegationRequestOwner"] = record.owner_arn
    return Resource(iam_arn(call.account, f"{_RESOURCE}{request_id}"), keys=keys)


def missing(call: Call, request_id: str) -> Absent:
    refusal = Refusal("NoSuchEntity", f"The delegation request with id {request_id} cannot be found.")
    return Absent(resource_for(call, request_id), refusal)


def invalid_input(message: str) -> Refusal:
    return Refusal("InvalidInput", message)


def state_of(record: DelegationRequestRecord, now: float) -> str:
    return EXPIRED if record.state != REJECTED and now >= record.expires_at else record.state


def put_request(call: Call, record: DelegationRequestRecord) -> None:
    changed = replace(record, updated_at=int(call.now))
    call.store.put(DELEGATION_REQUESTS, "", changed, expires_at=changed.expires_at + SHOWN_FOR)


async def new_request(call: Call, request: shapes.CreateDelegationRequestRequest) -> Prepared[None]:
    keys: ConditionKeys = {
        "iam:DelegationDuration": str(request.session_duration),
        "iam:NotificationChannel": request.notification_channel,
        "iam:TemplateArn": request.permissions.policy_template_arn or "",
    }
    if request.owner_account_id is not None:
        keys = {**keys, "iam:DelegationRequestOwner": Root(request.owner_account_id).arn}
    return Prepared(replace(resource_for(call, "*"), keys=keys), None)


@operation("iam:CreateDelegationRequest", prepare=new_request)
async def create_delegation_request(
    call: Call, request: shapes.CreateDelegationRequestRequest, prepared: Prepared[None]
) -> shapes.CreateDelegationRequestResponse:
    if request.notification_channel != POLL:
        raise invalid_input(f"This broker sends no notifications: NotificationChannel has to be {POLL}.")
    await _require_room(call, request.requestor_workflow_id)
    arn, policy = await _template(call, request.permissions)
    record = DelegationRequestRecord(
        request_id=uuid_text(call.entropy(16)),
        requestor_account=call.account,
        workflow_id=request.requestor_workflow_id,
        description=request.description,
        policy_template_arn=arn,
        permission_policy=policy,
        session_duration=request.session_duration,
        created_at=int(call.now),
        updated_at=int(call.now),
        expires_at=int(call.now) + OPEN_FOR,
        state=UNASSIGNED,
        owner_account=request.owner_account_id,
        request_message=request.request_message,
        redirect_url=request.redirect_url,
        only_send_by_owner=bool(request.only_send_by_owner),
    )
    put_request(call, record)
    return shapes.CreateDelegationRequestResponse(delegation_request_id=record.request_id)


async def _require_room(call: Call, workflow_id: str) -> None:
    records = await call.store.scan(DELEGATION_REQUESTS, "")
    own = [one for one in records if one.requestor_account == call.account]
    if any(one.workflow_id == workflow_id for one in own):
        raise Refusal(
            "EntityAlreadyExists", f"A delegation request with workflow id {workflow_id} already exists."
        )
    if len(own) >= MOST_REQUESTS:
        raise Refusal(
            "LimitExceeded", f"Cannot exceed quota for DelegationRequestsPerAccount: {MOST_REQUESTS}"
        )


async def _template(call: Call, permissions: shapes.DelegationPermission) -> tuple[str, str]:
    """ARN and text of the policy that the request asks for; raises InvalidInput."""
    arn = permissions.policy_template_arn
    if arn is None:
        raise invalid_input("Permissions has to name a PolicyTemplateArn.")
    if permissions.parameters:
        raise invalid_input("Templates of this broker take no Parameters.")
    policy = await find_managed_policy(call.store, call.account, arn)
    if policy is None:
        raise invalid_input(f"The policy template {arn} is no managed policy of this account.")
    if len(policy.document) > LONGEST_POLICY:
        raise invalid_input(f"A policy template has at most {LONGEST_POLICY} characters.")
    try:
        parse_policy(policy.document, PolicyKind.SESSION)
    except MalformedPolicy as error:
        raise invalid_input(f"The policy template {arn} is no session policy: {error.message}") from None
    return arn, policy.document


async def readable_request(
    call: Call, request: shapes.GetDelegationRequestRequest
) -> Prepared[DelegationRequestRecord] | Absent:
    return await _readable(call, request.delegation_request_id)


async def _readable(call: Call, request_id: str) -> Prepared[DelegationRequestRecord] | Absent:
    """For the account that asked, and for the one that is asked; for any as long as none is."""
    record = await call.store.find(DELEGATION_REQUESTS, "", request_id)
    if record is None or (
        record.owner_account is not None
        and call.account not in (record.owner_account, record.requestor_account)
    ):
        return missing(call, request_id)
    return Prepared(resource_for(call, request_id, record), record)


@operation("iam:GetDelegationRequest", prepare=readable_request)
async def get_delegation_request(
    call: Call, request: shapes.GetDelegationRequestRequest, prepared: Prepared[DelegationRequestRecord]
) -> shapes.GetDelegationRequestResponse:
    if request.delegation_permission_check:
        raise invalid_input("This broker makes no permission check: leave DelegationPermissionCheck out.")
    return shapes.GetDelegationRequestResponse(delegation_request=request_shape(prepared.found, call.now))


async def listed_requests(call: Call, request: shapes.ListDelegationRequestsRequest) -> Prepared[None]:
    keys = {} if request.owner_id is None else {"iam:DelegationRequestOwner": request.owner_id}
    return Prepared(Resource(keys=keys), None)


@operation("iam:ListDelegationRequests", prepare=listed_requests)
async def list_delegation_requests(
    call: Call, request: shapes.ListDelegationRequestsRequest, prepared: Prepared[None]
) -> shapes.ListDelegationRequestsResponse:
    """Those that identities of the caller's account own."""
    owned = [
        one
        for one in await call.store.scan(DELEGATION_REQUESTS, "")
        if one.owner_account == call.account
        and one.owner_arn is not None
        and request.owner_id in (None, one.owner_arn)
    ]
    chosen = page(owned, lambda one: one.request_id, request.marker, request.max_items)
    return shapes.ListDelegationRequestsResponse(
        delegation_requests=tuple(request_shape(one, call.now) for one in chosen.items),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


async def summarized_request(
    call: Call, request: shapes.GetHumanReadableSummaryRequest
) -> Prepared[DelegationRequestRecord] | Absent:
    request_id = request.entity_arn.rpartition(f":{_RESOURCE}")[2]
    return await _readable(call, request_id)


@operation("iam:GetHumanReadableSummary", prepare=summarized_request)
async def get_human_readable_summary(
    call: Call,
    request: shapes.GetHumanReadableSummaryRequest,
    prepared: Prepared[DelegationRequestRecord],
) -> shapes.GetHumanReadableSummaryResponse:
    """Plain sentences, the request's own words last; NOT_SUPPORTED in languages other than English."""
    record = prepared.found
    if (request.locale or _LOCALE).partition("-")[0] != _LOCALE:
        return shapes.GetHumanReadableSummaryResponse(locale=request.locale, summary_state="NOT_SUPPORTED")
    until = f"{record.session_duration // 60} minutes"
    policy = parse_policy(record.permission_policy, PolicyKind.IDENTITY)
    summary = (
        f"Account {record.requestor_account} asks for credentials that are good for {until} once they are released. "
        f"They may do what the approver may do and its policy allows, too. {' '.join(policy_sentences(policy))} "
        f"The request was made at {iso_time(record.created_at)}. It says of itself: {record.description}"
    )
    return shapes.GetHumanReadableSummaryResponse(
        summary_content=summary, locale=request.locale or _LOCALE, summary_state="AVAILABLE"
    )


def request_shape(record: DelegationRequestRecord, now: float) -> shapes.DelegationRequest:
    return shapes.DelegationRequest(
        delegation_request_id=record.request_id,
        owner_account_id=record.owner_account,
        description=record.description,
        request_message=record.request_message,
        permissions=shapes.DelegationPermission(policy_template_arn=record.policy_template_arn),
        permission_policy=record.permission_policy,
        owner_id=record.owner_arn,
        approver_id=record.approver_arn,
        state=state_of(record, now),
        expiration_time=record.expires_at,
        requestor_id=record.requestor_account,
        create_date=record.created_at,
        session_duration=record.session_duration,
        redirect_url=record.redirect_url,
        notes=record.notes,
        rejection_reason=record.rejection_reason,
        only_send_by_owner=record.only_send_by_owner,
        updated_time=record.updated_at,
    )
