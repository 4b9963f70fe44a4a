"""Logout: the client's session ends, with both of its tokens. Credentials that it got live on until they expire."""

from broker.credentials.sso_sessions import end_session, find_by_access_token
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import sso as shapes
from broker.sso.bearer import bearer


@operation("sso:Logout", prepare=no_resource, prove=bearer)
async def logout(call: Call, request: shapes.LogoutRequest, prepared: Prepared[None]) -> None:
    session = await find_by_access_token(call.store, request.access_token, call.now)
    if session is not None:
        end_session(call.store, session)
