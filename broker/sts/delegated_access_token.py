"""GetDelegatedAccessToken: the account that asked trades a released delegation request for credentials.

The trade-in token is the request's id. It is no secret: only the account that asked can trade it in, by a caller that
it permits, and only after a principal of the other account approved the request and released it.
"""

from broker.access.resource import Resource
from broker.access.sessions import session_caller
from broker.errors import Refusal, access_denied
from broker.names.principal import IamUser
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.sealing.claims import (
    OriginalClaims,
    RootClaims,
    ScopedClaims,
    SessionTokenClaims,
    claims_from_bytes,
)
from broker.storage.delegation_records import DelegationRequestRecord
from broker.storage.store import DELEGATION_REQUESTS
from broker.sts.answers import credentials_shape

_RELEASED = "FINALIZED"


async def traded_request(
    call: Call, request: shapes.GetDelegatedAccessTokenRequest
) -> Prepared[DelegationRequestRecord | None]:
    record = await call.store.find(DELEGATION_REQUESTS, "", request.trade_in_token)
    is_own = record is not None and record.requestor_account == call.account
    return Prepared(Resource(), record if is_own else None)


@operation("sts:GetDelegatedAccessToken", prepare=traded_request)
async def get_delegated_access_token(
    call: Call,
    request: shapes.GetDelegatedAccessTokenRequest,
    prepared: Prepared[DelegationRequestRecord | None],
) -> shapes.GetDelegatedAccessTokenResponse:
    record = prepared.found
    if record is None or record.state != _RELEASED:
        raise access_denied("The trade-in token is not valid.")
    approver = _approver(record)
    ends_at = (
        record.expires_at if isinstance(approver, IamUser) else min(record.expires_at, approver.expires_at)
    )
    if call.now >= ends_at:
        raise Refusal("ExpiredTradeInTokenException", "The trade-in token has expired.")
    await _require_standing(call, record, approver)
    minted = call.mint.delegated(
        approver,
        now=call.now,
        approved_at=record.approved_at,
        expires_at=record.expires_at,
        permission_policy=record.permission_policy,
        delegate_account=record.requestor_account,
    )
    return shapes.GetDelegatedAccessTokenResponse(
        credentials=credentials_shape(minted), assumed_principal=record.approver_arn
    )


def _approver(record: DelegationRequestRecord) -> OriginalClaims | ScopedClaims | IamUser:
    if record.approver_claims is None:
        assert record.owner_account and record.approver_name and record.approver_id
        return IamUser(record.owner_account, record.approver_name, record.approver_id, record.approver_path)
    claims = claims_from_bytes(record.approver_claims)
    assert not isinstance(claims, RootClaims), "no root approves"
    return claims


async def _require_standing(
    call: Call, record: DelegationRequestRecord, approver: OriginalClaims | ScopedClaims | IamUser
) -> None:
    """The approver is still there, and what it approved as was not revoked; raises AccessDenied."""
    claims = approver
    if isinstance(approver, IamUser):
        claims = SessionTokenClaims(
            "",
            b"",
            record.approved_at,
            record.expires_at,
            approver.account,
            user_name=approver.name,
            user_id=approver.unique_id,
        )
    assert not isinstance(claims, IamUser)
    try:
        await session_caller(call.store, claims)
    except Refusal as refusal:
        raise access_denied("The trade-in token is not valid.", reason=refusal.reason) from None
