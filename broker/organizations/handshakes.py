"""Handshakes: the management account invites an account of the broker, which accepts or declines.

"Managing account invitations": an invitation is open for fifteen days; what became of one is shown for thirty more.
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec.structs import replace

from broker.access.organization import find_organization, is_member
from broker.access.resource import Resource
from broker.errors import Refusal
from broker.names.organizations import ID_ENTROPY, handshake_arn, new_id
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.organizations.account_creation import require_room
from broker.organizations.membership import Inside, Target, inside
from broker.organizations.nodes import arn_of, new_node, roots, with_node
from broker.organizations.pages import page_of
from broker.organizations.refusals import invalid_input, missing
from broker.organizations.tags import new_tags
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Handshake, Organization
from broker.storage.records import Account
from broker.storage.store import ACCOUNTS, HANDSHAKES, ORGANIZATION

OPEN, ACCEPTED, DECLINED, CANCELED, EXPIRED = "REQUESTED", "ACCEPTED", "DECLINED", "CANCELED", "EXPIRED"
INVITE = "INVITE"
_OPEN_SECONDS, _SHOWN_SECONDS = 15 * 24 * 3600, 30 * 24 * 3600


def state_of(handshake: Handshake, now: float) -> str:
    is_expired = handshake.state == OPEN and now >= handshake.expires_at
    return EXPIRED if is_expired else handshake.state


def _arn(handshake: Handshake) -> str:
    return handshake_arn(handshake.management_account_id, handshake.organization_id, handshake.handshake_id)


def _put(call: Call, handshake: Handshake) -> None:
    shown_until = max(call.now, handshake.expires_at if handshake.state == OPEN else 0) + _SHOWN_SECONDS
    call.store.put(HANDSHAKES, "", handshake, expires_at=shown_until)


async def _shape(call: Call, handshake: Handshake) -> shapes.Handshake:
    management = await call.store.find(ACCOUNTS, "", handshake.management_account_id)
    sender = (
        ("MASTER_EMAIL", management.email if management else ""),
        ("MASTER_NAME", management.name if management else ""),
        ("ORGANIZATION_FEATURE_SET", "FULL"),
    )
    resources = [
        shapes.HandshakeResource(
            type="ORGANIZATION",
            value=handshake.organization_id,
            resources=tuple(
                shapes.HandshakeResource(type=kind, value=value) for kind, value in sender if value
            ),
        ),
        shapes.HandshakeResource(type=handshake.party_type, value=handshake.party_id),
    ]
    if handshake.notes:
        resources.append(shapes.HandshakeResource(type="NOTES", value=handshake.notes))
    return shapes.Handshake(
        id=handshake.handshake_id,
        arn=_arn(handshake),
        parties=(
            shapes.HandshakeParty(id=handshake.organization_id, type="ORGANIZATION"),
            shapes.HandshakeParty(id=handshake.party_id, type=handshake.party_type),
        ),
        state=state_of(handshake, call.now),
        requested_timestamp=handshake.requested_at,
        expiration_timestamp=handshake.expires_at,
        action=INVITE,
        resources=tuple(resources),
    )


def _invited(organization: Organization, request: shapes.InviteAccountToOrganizationRequest) -> Target:
    party = request.target
    return Target(arn=arn_of(organization, party.id)) if party.type == "ACCOUNT" else Target()


@operation(
    "organizations:InviteAccountToOrganization", prepare=inside("InviteAccountToOrganization", _invited)
)
async def invite_account_to_organization(
    call: Call, request: shapes.InviteAccountToOrganizationRequest, prepared: Prepared[Inside]
) -> shapes.InviteAccountToOrganizationResponse:
    organization = prepared.found.organization
    account = await _get_account(call, request.target)
    if is_member(organization, account.account_id):
        raise Refusal(
            "HandshakeConstraintViolationException",
            "The invited account is already a member of an organization.",
            members={"Reason": "ALREADY_IN_AN_ORGANIZATION"},
        )
    opened = [one for one in await call.store.scan(HANDSHAKES, "") if state_of(one, call.now) == OPEN]
    if any(one.account_id == account.account_id for one in opened):
        raise Refusal(
            "DuplicateHandshakeException", "A handshake with the same action and target exists already."
        )
    require_room(call, organization, len(opened))
    handshake = Handshake(
        handshake_id=new_id("h", call.entropy(ID_ENTROPY)),
        organization_id=organization.organization_id,
        management_account_id=organization.management_account_id,
        account_id=account.account_id,
        party_type=request.target.type,
        party_id=request.target.id,
        state=OPEN,
        requested_at=int(call.now),
        expires_at=int(call.now) + _OPEN_SECONDS,
        notes=request.notes,
        tags=await new_tags(call, prepared.resource, request),
    )
    _put(call, handshake)
    return shapes.InviteAccountToOrganizationResponse(handshake=await _shape(call, handshake))


async def _get_account(call: Call, party: shapes.HandshakeParty) -> Account:
    """The account that is invited, by its id or by its e-mail address: one of this broker."""
    if party.type == "ACCOUNT":
        account = await call.store.find(ACCOUNTS, "", party.id)
        if account is not None:
            return account
    elif party.type == "EMAIL":
        for one in await call.store.scan(ACCOUNTS, ""):
            if one.email and one.email.lower() == party.id.lower():
                return one
    else:
        raise invalid_input("INVALID_PARTY_TYPE_TARGET", "You specified the wrong type of entity as a party.")
    raise invalid_input(
        "INVALID_EMAIL_ADDRESS_TARGET" if party.type == "EMAIL" else "INVALID_PATTERN_TARGET_ID",
        "You specified an account that this broker does not keep.",
    )


def _known_to(*sides: Callable[[Handshake], str]) -> Any:
    """The `prepare` for a handshake that the caller's account sent or received, as `sides` say."""

    async def prepare(call: Call, request: Any) -> Prepared[Handshake] | Absent:
        found = await call.store.find(HANDSHAKES, "", request.handshake_id)
        if found is None or call.account not in {side(found) for side in sides}:
            own = handshake_arn(call.account, "*", request.handshake_id)
            return Absent(Resource(own), missing("handshake"))
        return Prepared(Resource(_arn(found)), found)

    return prepare


def _sender(handshake: Handshake) -> str:
    return handshake.management_account_id


def _recipient(handshake: Handshake) -> str:
    return handshake.account_id


@operation("organizations:DescribeHandshake", prepare=_known_to(_sender, _recipient))
async def describe_handshake(
    call: Call, request: shapes.DescribeHandshakeRequest, prepared: Prepared[Handshake]
) -> shapes.DescribeHandshakeResponse:
    return shapes.DescribeHandshakeResponse(handshake=await _shape(call, prepared.found))


@operation("organizations:AcceptHandshake", prepare=_known_to(_recipient))
async def accept_handshake(
    call: Call, request: shapes.AcceptHandshakeRequest, prepared: Prepared[Handshake]
) -> shapes.AcceptHandshakeResponse:
    """The account is in the root from then on, limited by what is attached there."""
    organization = await find_organization(call.store)
    accepted = _in_state(call, prepared.found, ACCEPTED)
    if organization is None or organization.organization_id != accepted.organization_id:
        raise missing("handshake")
    if is_member(organization, call.account):
        raise Refusal(
            "HandshakeConstraintViolationException",
            "The account is already a member of an organization.",
            members={"Reason": "ALREADY_IN_AN_ORGANIZATION"},
        )
    require_room(call, organization)
    root_id = next(iter(roots(organization)))
    unit = new_node(organization, root_id, tags=accepted.tags, joined_at=int(call.now), is_invited=True)
    call.store.put(ORGANIZATION, "", with_node(organization, call.account, unit))
    _put(call, accepted)
    return shapes.AcceptHandshakeResponse(handshake=await _shape(call, accepted))


@operation("organizations:DeclineHandshake", prepare=_known_to(_recipient))
async def decline_handshake(
    call: Call, request: shapes.DeclineHandshakeRequest, prepared: Prepared[Handshake]
) -> shapes.DeclineHandshakeResponse:
    return shapes.DeclineHandshakeResponse(handshake=await _ended(call, prepared.found, DECLINED))


@operation("organizations:CancelHandshake", prepare=_known_to(_sender))
async def cancel_handshake(
    call: Call, request: shapes.CancelHandshakeRequest, prepared: Prepared[Handshake]
) -> shapes.CancelHandshakeResponse:
    return shapes.CancelHandshakeResponse(handshake=await _ended(call, prepared.found, CANCELED))


async def _ended(call: Call, handshake: Handshake, state: str) -> shapes.Handshake:
    ended = _in_state(call, handshake, state)
    _put(call, ended)
    return await _shape(call, ended)


def _in_state(call: Call, handshake: Handshake, state: str) -> Handshake:
    """The handshake in another state; raises where it is open no more."""
    before = state_of(handshake, call.now)
    if before == state:
        raise Refusal(
            "HandshakeAlreadyInStateException", "The specified handshake is already in the requested state."
        )
    if before != OPEN:
        raise Refusal(
            "InvalidHandshakeTransitionException",
            f"You can't perform the operation on the handshake in its current state: {before}.",
        )
    return replace(handshake, state=state)


@operation("organizations:ListHandshakesForAccount", prepare=no_resource)
async def list_handshakes_for_account(
    call: Call, request: shapes.ListHandshakesForAccountRequest, prepared: Prepared[None]
) -> shapes.ListHandshakesForAccountResponse:
    handshakes, token = await _page(call, request, _recipient)
    return shapes.ListHandshakesForAccountResponse(handshakes=handshakes, next_token=token)


@operation("organizations:ListHandshakesForOrganization", prepare=inside("ListHandshakesForOrganization"))
async def list_handshakes_for_organization(
    call: Call, request: shapes.ListHandshakesForOrganizationRequest, prepared: Prepared[Inside]
) -> shapes.ListHandshakesForOrganizationResponse:
    organization = prepared.found.organization
    handshakes, token = await _page(call, request, _sender, organization.management_account_id)
    return shapes.ListHandshakesForOrganizationResponse(handshakes=handshakes, next_token=token)


async def _page(
    call: Call,
    request: shapes.ListHandshakesForAccountRequest | shapes.ListHandshakesForOrganizationRequest,
    side: Callable[[Handshake], str],
    account: str = "",
) -> tuple[tuple[shapes.Handshake, ...], str | None]:
    """A page of what `account`, the caller's own by default, sent or received."""
    found: Iterable[Handshake] = await call.store.scan(HANDSHAKES, "")
    wanted = [one for one in found if side(one) == (account or call.account) and _is_asked_for(request)]
    chosen, token = page_of(wanted, lambda one: one.handshake_id, request.next_token, request.max_results)
    return tuple([await _shape(call, one) for one in chosen]), token


def _is_asked_for(
    request: shapes.ListHandshakesForAccountRequest | shapes.ListHandshakesForOrganizationRequest,
) -> bool:
    """Every handshake here is an invitation, and none has a parent."""
    chosen = request.filter
    if chosen is None:
        return True
    if chosen.action_type is not None and chosen.parent_handshake_id is not None:
        raise invalid_input(
            "MAX_LIMIT_EXCEEDED_FILTER", "You can specify only one filter parameter for the operation."
        )
    return chosen.parent_handshake_id is None and chosen.action_type in (None, INVITE)
