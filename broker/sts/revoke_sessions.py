"""RevokeSessions: sessions of the caller's account end before they expire. AWS has no such operation.

One session, by its access key id, or those of a role, a user or the root user that were issued before a moment: what
`broker revoke` does for an operator. The gate is asked about `arn:aws:sts::ACCOUNT:session/ACCESS-KEY-ID` for one
session, and about the principal for all of its sessions.
"""

import asyncio
import time
from collections.abc import Mapping

import msgspec

from broker.access.resource import Resource
from broker.access.revocations import find_revocation
from broker.access.trust import find_role
from broker.audit.event import iso_time
from broker.credentials.keyrings import MOST_SKEW
from broker.credentials.revoking import TooManyRevocations, latest_end, revoke
from broker.errors import Refusal, validation_error
from broker.names.arn import parse_arn, sts_arn
from broker.names.ids import TEMPORARY_KEY, account_of_access_key_id
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import sts as shapes
from broker.storage.session_records import Revocation, Revocations
from broker.storage.store import USERS
from broker.sts.unexpired_sessions import (
    UnexpiredSession,
    find_identity,
    find_unexpired_sessions,
    parse_identity_arn,
)


class RevokedSubject(msgspec.Struct, frozen=True):
    """Whose sessions, by the name that the store knows: an access key id, or the unique id of a principal."""

    subject: str
    is_session: bool = False


async def subject_of_revocation(
    call: Call, request: shapes.RevokeSessionsRequest
) -> Prepared[RevokedSubject] | Absent:
    if (request.principal is None) == (request.access_key_id is None):
        raise Refusal("InvalidParameterCombination", "Name a Principal or an AccessKeyId, and not both.")
    if request.access_key_id is not None:
        return _one_session(request.access_key_id, request.issued_before)
    assert request.principal is not None
    try:
        account, kind = parse_identity_arn(request.principal)
        identity = await find_identity(call.store, request.principal)
    except ValueError as error:
        raise validation_error(f"Principal: {error}") from None
    resource = Resource(request.principal, account, tags=await _tags_of(call, kind, request.principal))
    if identity is None:
        refusal = Refusal("NoSuchEntity", f"There is no {kind} {request.principal}.", status=404)
        return Absent(resource, refusal)
    return Prepared(resource, RevokedSubject(identity.identity_id))


def _one_session(access_key_id: str, issued_before: float | None) -> Prepared[RevokedSubject]:
    account = account_of_access_key_id(access_key_id) if access_key_id.startswith(TEMPORARY_KEY) else None
    if account is None:
        raise validation_error("AccessKeyId is of no session of this broker: ASIA and 16 characters.")
    if issued_before is not None:
        raise Refusal(
            "InvalidParameterCombination", "IssuedBefore is for a Principal: one session ends whole."
        )
    arn = sts_arn(account, f"session/{access_key_id}")
    return Prepared(Resource(arn, account), RevokedSubject(access_key_id, is_session=True))


async def _tags_of(call: Call, kind: str, arn: str) -> Mapping[str, str]:
    """For aws:ResourceTag; a root user has none."""
    if kind == "role":
        role = await find_role(call.store, arn)
        return {} if role is None else role.tags
    parts = parse_arn(arn)
    user = (
        await call.store.find(USERS, parts.account, parts.resource.rpartition("/")[2])
        if kind == "user"
        else None
    )
    return user.tags if user is not None and user.arn == arn else {}


@operation("sts:RevokeSessions", prepare=subject_of_revocation)
async def revoke_sessions(
    call: Call, request: shapes.RevokeSessionsRequest, prepared: Prepared[RevokedSubject]
) -> shapes.RevokeSessionsResponse:
    """Whatever it was before, it is refused by every request that begins after the answer."""
    found = prepared.found
    unexpired = await find_unexpired_sessions(call.store, call.account, call.mint.keyring(), call.now)
    moment = await _moment(call, request.issued_before, found)
    listed = next(
        (one.session for one in unexpired.sessions if one.session.access_key_id == found.subject), None
    )
    ends_at = latest_end(found.subject, moment) if listed is None else listed.expires_at + int(MOST_SKEW)
    wanted = Revocation(issued_before=moment, ends_at=ends_at, revoked_at=int(call.now))
    if ends_at <= call.now:  # whatever was issued before the moment has expired
        return shapes.RevokeSessionsResponse(issued_before=moment, forgotten_at=ends_at, ended_sessions=0)
    try:
        written = await revoke(call.store, call.account, found.subject, wanted, call.now)
    except TooManyRevocations as error:
        raise Refusal("LimitExceeded", f"Cannot revoke: {error}.", status=409) from None
    return shapes.RevokeSessionsResponse(
        issued_before=None if found.is_session else written.issued_before,
        forgotten_at=written.ends_at,
        ended_sessions=len(_ended_by(found.subject, written, unexpired.sessions)),
    )


async def _moment(call: Call, issued_before: float | None, found: RevokedSubject) -> int:
    """Sessions know the second in which they were issued, and no more: so the moment is the end of this one.

    It is waited for, so that what is issued after the answer is not revoked, and all that was issued before the request
    is. Where the transaction is repeated, the moment has passed.
    """
    if issued_before is not None:
        moment = -int(-issued_before // 1)  # rounded up
        if moment > int(call.now) + 1:
            raise validation_error(f"IssuedBefore is yet to come: it is {iso_time(int(call.now))}.")
        return moment
    moment = int(call.now) + 1
    if not found.is_session:
        await asyncio.sleep(max(0.0, moment - call.now - (time.monotonic() - call.facts.arrived)))
    return moment


def _ended_by(
    subject: str, written: Revocation, unexpired: tuple[UnexpiredSession, ...]
) -> list[UnexpiredSession]:
    """The listed sessions that were good until now."""
    revocations = Revocations(by_subject={subject: written})
    return [
        one
        for one in unexpired
        if one.is_live
        and find_revocation(
            revocations,
            one.session.access_key_id,
            one.session.identity_id,
            one.session.issued_at,
            one.session.ancestors,
        )
    ]
