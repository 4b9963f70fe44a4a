"""The proof of the portal's API: an access token, in a header of its own (RFC 6750 in AWS's spelling)."""

from typing import Protocol

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.approvals import approving_caller
from broker.credentials.sso_sessions import find_by_access_token
from broker.errors import Refusal
from broker.federation.federation import Federation
from broker.operation import Call
from broker.storage.portal_records import Identity
from broker.storage.store import Transaction


class Bearing(Protocol):
    """A request with an access token."""

    @property
    def access_token(self) -> str: ...


async def bearer(federation: Federation, store: Transaction, facts: RequestFacts, request: Bearing) -> Caller:
    """The person whose token this is; raises UnauthorizedException, also where their account or session has ended."""
    session = await find_by_access_token(store, request.access_token, facts.now)
    if session is None:
        raise _unknown_token()
    try:
        return await approving_caller(federation, store, session.approval, facts.now)
    except Refusal as refusal:
        raise unauthorized(refusal.reason) from None


async def identity_of_bearer(call: Call, request: Bearing) -> Identity:
    """Who the caller is in the portal; raises UnauthorizedException."""
    session = await find_by_access_token(call.store, request.access_token, call.now)
    if session is None:
        raise _unknown_token()
    return session.approval.identity


def _unknown_token() -> Refusal:
    return unauthorized("the access token is none that was given out, was replaced, or has expired")


def unauthorized(reason: str) -> Refusal:
    return Refusal("UnauthorizedException", "Session token not found or invalid", reason=reason)
