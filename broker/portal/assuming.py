"""sts:AssumeRole for the person who is signed in: its gate, its mint, its record."""

from msgspec.structs import replace

from broker.access.people import caller_of
from broker.errors import Refusal
from broker.own_roles import assume_role_request
from broker.performing import perform_recorded
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit
from broker.protocol.shapes.sts import AssumeRoleResponse


async def assume_role(portal: Portal, visit: Visit, arn: str, duration: int) -> AssumeRoleResponse:
    """Raises Refusal."""
    session = visit.session
    assert session is not None
    caller = await caller_of(portal.tools.store.transaction(), session)
    started, code = portal.timer(), ""
    try:
        answer: AssumeRoleResponse = await perform_recorded(
            portal.tools,
            replace(visit.facts, service="sts"),
            lambda store: caller_of(store, session),
            "AssumeRole",
            assume_role_request(caller, arn, duration),
        )
    except Refusal as refusal:
        code = refusal.code
        raise
    finally:
        portal.count("sts", "AssumeRole", code, portal.timer() - started)
    return answer
