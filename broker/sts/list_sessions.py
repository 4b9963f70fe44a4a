"""ListSessions: the sessions of the caller's account that have not expired. AWS has no such operation.

What `broker sessions` shows an operator. With a principal, that is what the gate is asked about, so a permission may be
for the sessions of one role.
"""

from broker.access.resource import Resource
from broker.errors import validation_error
from broker.names.arn import parse_arn
from broker.operation import Call, Prepared, operation
from broker.paging import page
from broker.protocol.shapes import sts as shapes
from broker.sts.unexpired_sessions import (
    UnexpiredSession,
    find_identity,
    find_unexpired_sessions,
    parse_identity_arn,
)

# Behind every moment; so that the newest come first in the order of keys.
_LAST = 10**11


async def sessions_of_principal(call: Call, request: shapes.ListSessionsRequest) -> Prepared[None]:
    if request.principal is None:
        return Prepared(Resource(), None)
    try:
        account = parse_arn(request.principal).account
        if not _is_session(request.principal):
            parse_identity_arn(request.principal)
    except ValueError as error:
        raise validation_error(f"Principal: {error}") from None
    return Prepared(Resource(request.principal, account), None)


@operation("sts:ListSessions", prepare=sessions_of_principal)
async def list_sessions(
    call: Call, request: shapes.ListSessionsRequest, prepared: Prepared[None]
) -> shapes.ListSessionsResponse:
    """Of a principal that is not there, none; the newest first."""
    unexpired = await find_unexpired_sessions(call.store, call.account, call.mint.keyring(), call.now)
    chosen = [one for one in unexpired.sessions if request.issued_by in (None, one.session.issued_by)]
    if request.principal is not None:
        chosen = await _of(call, request.principal, chosen)
    listed = page(chosen, _place, request.marker, request.max_items)
    unlisted = unexpired.unlisted.get(call.account)
    return shapes.ListSessionsResponse(
        sessions=tuple(map(_shape, listed.items)),
        unlisted_until=None if unlisted is None else unlisted.issued_until,
        is_truncated=listed.is_truncated,
        marker=listed.marker,
    )


async def _of(call: Call, principal: str, sessions: list[UnexpiredSession]) -> list[UnexpiredSession]:
    if _is_session(principal):
        return [one for one in sessions if one.session.arn == principal]
    identity = await find_identity(call.store, principal)
    return [one for one in sessions if identity and one.session.identity_id == identity.identity_id]


def _is_session(arn: str) -> bool:
    return arn.startswith("arn:aws:sts::")


def _place(one: UnexpiredSession) -> str:
    return f"{_LAST - one.session.issued_at:011d}/{one.session.access_key_id}"


def _shape(one: UnexpiredSession) -> shapes.Session:
    session = one.session
    return shapes.Session(
        access_key_id=session.access_key_id,
        arn=session.arn,
        kind=session.kind,
        issued_at=session.issued_at,
        expires_at=session.expires_at,
        issued_by=session.issued_by or None,
        state=one.state,
    )
