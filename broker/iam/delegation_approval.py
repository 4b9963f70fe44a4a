"""What the asked account does with a delegation request: take it on, hand it on, approve, reject, release.

The credentials will be those of the approver, with the request's policy as a limit. So only users and sessions of roles
approve, and a session's delegation ends with the session.
"""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from broker.errors import access_denied
from broker.iam.delegation_requests import (
    ACCEPTED,
    ASSIGNED,
    FINALIZED,
    OPEN_FOR,
    PENDING_APPROVAL,
    REJECTED,
    UNASSIGNED,
    invalid_input,
    missing,
    put_request,
    resource_for,
    state_of,
)
from broker.names.principal import AssumedRole, IamUser
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.sealing.claims import RootClaims, claims_to_bytes
from broker.storage.delegation_records import DelegationRequestRecord
from broker.storage.store import DELEGATION_REQUESTS

Found = Prepared[DelegationRequestRecord]


async def _found(
    call: Call, request_id: str, is_meant: Callable[[DelegationRequestRecord], bool]
) -> Found | Absent:
    record = await call.store.find(DELEGATION_REQUESTS, "", request_id)
    if record is None or not is_meant(record):
        return missing(call, request_id)
    return Prepared(resource_for(call, request_id, record), record)


async def claimable_request(call: Call, request: shapes.AssociateDelegationRequestRequest) -> Found | Absent:
    """One that is for the caller's account, or for any."""
    return await _found(
        call, request.delegation_request_id, lambda one: one.owner_account in (None, call.account)
    )


async def owned_request(call: Call, request: Any) -> Found | Absent:
    """One that an identity of the caller's account has taken on."""
    return await _found(
        call,
        request.delegation_request_id,
        lambda one: one.owner_account == call.account and one.owner_arn is not None,
    )


def _require_state(call: Call, record: DelegationRequestRecord, *states: str) -> None:
    state = state_of(record, call.now)
    if state not in states:
        raise invalid_input(f"The delegation request is in the state {state}, not in {' or '.join(states)}.")


def _require_user_or_role(call: Call) -> None:
    if not isinstance(call.caller.principal, IamUser | AssumedRole):
        raise access_denied("Only users and roles can own or approve a delegation request.")


@operation("iam:AssociateDelegationRequest", prepare=claimable_request)
async def associate_delegation_request(
    call: Call, request: shapes.AssociateDelegationRequestRequest, prepared: Found
) -> None:
    _require_user_or_role(call)
    _require_state(call, prepared.found, UNASSIGNED)
    changed = replace(
        prepared.found,
        state=ASSIGNED,
        owner_account=call.account,
        owner_arn=call.caller.principal.arn,
        expires_at=int(call.now) + OPEN_FOR,
    )
    put_request(call, changed)


@operation("iam:UpdateDelegationRequest", prepare=owned_request)
async def update_delegation_request(
    call: Call, request: shapes.UpdateDelegationRequestRequest, prepared: Found
) -> None:
    record = prepared.found
    _require_state(call, record, ASSIGNED, PENDING_APPROVAL)
    notes = record.notes if request.notes is None else request.notes
    put_request(
        call, replace(record, state=PENDING_APPROVAL, notes=notes, expires_at=int(call.now) + OPEN_FOR)
    )


@operation("iam:AcceptDelegationRequest", prepare=owned_request)
async def accept_delegation_request(
    call: Call, request: shapes.AcceptDelegationRequestRequest, prepared: Found
) -> None:
    """Record the approver with all that limits its session, if it is one."""
    _require_user_or_role(call)
    _require_state(call, prepared.found, ASSIGNED, PENDING_APPROVAL)
    principal, claims = call.caller.principal, call.caller.claims
    changed = replace(
        prepared.found,
        state=ACCEPTED,
        approved_at=int(call.now),
        approver_arn=principal.arn,
        expires_at=int(call.now) + OPEN_FOR,
    )
    if claims is not None and not isinstance(claims, RootClaims):
        changed = replace(changed, approver_claims=claims_to_bytes(claims))
    elif isinstance(principal, IamUser) and not call.caller.is_temporary:
        changed = replace(
            changed,
            approver_name=principal.name,
            approver_path=principal.path,
            approver_id=principal.unique_id,
        )
    else:
        raise access_denied("The calling session cannot approve a delegation request.")
    put_request(call, changed)


@operation("iam:RejectDelegationRequest", prepare=owned_request)
async def reject_delegation_request(
    call: Call, request: shapes.RejectDelegationRequestRequest, prepared: Found
) -> None:
    _require_state(call, prepared.found, ASSIGNED, PENDING_APPROVAL, ACCEPTED)
    changed = replace(
        prepared.found,
        state=REJECTED,
        rejection_reason=request.notes,
        expires_at=int(call.now) + OPEN_FOR,
    )
    put_request(call, changed)


@operation("iam:SendDelegationToken", prepare=owned_request)
async def send_delegation_token(
    call: Call, request: shapes.SendDelegationTokenRequest, prepared: Found
) -> None:
    """From now on, and for the duration that was asked for, the request's id can be traded in."""
    record = prepared.found
    if record.only_send_by_owner and call.caller.principal.arn != record.owner_arn:
        raise access_denied("Only the owner of this delegation request can send its token.")
    _require_state(call, record, ACCEPTED)
    put_request(call, replace(record, state=FINALIZED, expires_at=int(call.now) + record.session_duration))
