"""Invitations: sent, accepted, declined, cancelled, expired; and who sees them."""

import pytest

from broker.operation import Quotas
from broker.protocol.shapes import organizations as shapes
from tests.unit.organizations.conftest import MANAGEMENT, OUTSIDER, SCP, Made

DAY = 24 * 3600


def invitation(party: str = OUTSIDER, kind: str = "ACCOUNT") -> shapes.InviteAccountToOrganizationRequest:
    return shapes.InviteAccountToOrganizationRequest(
        target=shapes.HandshakeParty(id=party, type=kind),
        notes="please",
        tags=(shapes.Tag(key="a", value="b"),),
    )


async def invited(made: Made, party: str = OUTSIDER, kind: str = "ACCOUNT") -> shapes.Handshake:
    answer = await made.organizations(invitation(party, kind))
    handshake: shapes.Handshake = answer.handshake
    return handshake


def accept(handshake: shapes.Handshake) -> shapes.AcceptHandshakeRequest:
    return shapes.AcceptHandshakeRequest(handshake_id=handshake.id or "")


def decline(handshake: shapes.Handshake) -> shapes.DeclineHandshakeRequest:
    return shapes.DeclineHandshakeRequest(handshake_id=handshake.id or "")


def cancel(handshake: shapes.Handshake) -> shapes.CancelHandshakeRequest:
    return shapes.CancelHandshakeRequest(handshake_id=handshake.id or "")


async def test_an_account_that_accepts_is_in_the_root_with_what_limits_it_there(made: Made) -> None:
    organizations = made.organizations
    await organizations(shapes.EnablePolicyTypeRequest(root_id=made.root, policy_type=SCP))
    handshake = await invited(made)
    organization = (await organizations.record()).organization_id
    assert handshake.arn == (
        f"arn:aws:organizations::{MANAGEMENT}:handshake/{organization}/invite/{handshake.id}"
    )
    assert (handshake.state, handshake.action) == ("REQUESTED", "INVITE")
    assert handshake.expiration_timestamp == (handshake.requested_timestamp or 0) + 15 * DAY
    assert [(one.type, one.value) for one in handshake.resources] == [
        ("ORGANIZATION", organization),
        ("ACCOUNT", OUTSIDER),
        ("NOTES", "please"),
    ]
    assert [one.type for one in handshake.resources[0].resources] == [
        "MASTER_EMAIL",
        "MASTER_NAME",
        "ORGANIZATION_FEATURE_SET",
    ]
    accepted = (await organizations.as_account(OUTSIDER, accept(handshake))).handshake
    assert accepted.state == "ACCEPTED"
    member = (await organizations.record()).accounts[OUTSIDER]
    assert (member.parent, member.policies, member.tags) == (made.root, ("p-FullAWSAccess",), {"a": "b"})
    shown = (await organizations(shapes.DescribeAccountRequest(account_id=OUTSIDER))).account
    assert shown.joined_method == "INVITED"
    assert await organizations.refused_to(OUTSIDER, accept(handshake)) == "HandshakeAlreadyInStateException"
    assert await organizations.refused_to(OUTSIDER, decline(handshake)) == (
        "InvalidHandshakeTransitionException"
    )


async def test_an_account_may_be_invited_by_its_address(made: Made) -> None:
    handshake = await invited(made, f"{OUTSIDER}@EXAMPLE.com", "EMAIL")
    await made.organizations.as_account(OUTSIDER, accept(handshake))
    assert OUTSIDER in (await made.organizations.record()).accounts


async def test_a_declined_and_a_cancelled_invitation_change_nothing_more(made: Made) -> None:
    organizations = made.organizations
    declined = await invited(made)
    assert (await organizations.as_account(OUTSIDER, decline(declined))).handshake.state == "DECLINED"
    cancelled = await invited(made)
    assert (await organizations(cancel(cancelled))).handshake.state == "CANCELED"
    for handshake in (declined, cancelled):
        assert await organizations.refused_to(OUTSIDER, accept(handshake)) == (
            "InvalidHandshakeTransitionException"
        )
    assert OUTSIDER not in (await organizations.record()).accounts


async def test_an_invitation_expires_after_fifteen_days_and_is_shown_for_thirty_more(made: Made) -> None:
    organizations, handshake = made.organizations, await invited(made)
    described = shapes.DescribeHandshakeRequest(handshake_id=handshake.id or "")
    organizations.now += 15 * DAY
    assert (await organizations(described)).handshake.state == "EXPIRED"
    assert (
        await organizations.refused_to(OUTSIDER, accept(handshake)) == "InvalidHandshakeTransitionException"
    )
    await invited(made)  # another may be sent
    organizations.now += 30 * DAY
    assert (await organizations.refused(described))[0] == "HandshakeNotFoundException"


async def test_only_its_two_sides_see_an_invitation_and_each_does_its_own_part(made: Made) -> None:
    organizations, handshake = made.organizations, await invited(made)
    described = shapes.DescribeHandshakeRequest(handshake_id=handshake.id or "")
    for account, request in (
        (made.member, described),
        (made.member, accept(handshake)),
        (MANAGEMENT, accept(handshake)),
        (OUTSIDER, cancel(handshake)),
    ):
        assert await organizations.refused_to(account, request) == "HandshakeNotFoundException"
    for account, count in ((OUTSIDER, 1), (made.member, 0)):
        answer = await organizations.as_account(account, shapes.ListHandshakesForAccountRequest())
        assert len(answer.handshakes) == count
    for kind, count in (("INVITE", 1), ("ENABLE_ALL_FEATURES", 0)):
        chosen = shapes.HandshakeFilter(action_type=kind)
        request = shapes.ListHandshakesForOrganizationRequest(filter=chosen)
        assert len((await organizations(request)).handshakes) == count
    both = shapes.HandshakeFilter(action_type="INVITE", parent_handshake_id="h-aaaaaaaaaa")
    request = shapes.ListHandshakesForOrganizationRequest(filter=both)
    assert (await organizations.refused(request))[0] == "InvalidInputException"


async def test_whom_nobody_can_invite(made: Made) -> None:
    organizations = made.organizations
    for party, kind, code in (
        (made.member, "ACCOUNT", "HandshakeConstraintViolationException"),
        ("999999999999", "ACCOUNT", "InvalidInputException"),
        ("nobody@example.com", "EMAIL", "InvalidInputException"),
        ("o-aaaaaaaaaa", "ORGANIZATION", "InvalidInputException"),
    ):
        assert (await organizations.refused(invitation(party, kind)))[0] == code
    await invited(made)
    assert (await organizations.refused(invitation()))[0] == "DuplicateHandshakeException"


async def test_an_invitation_counts_against_the_quota_of_accounts(made: Made) -> None:
    made.organizations.quotas = Quotas(organization_accounts=2)
    assert (await made.organizations.refused(invitation()))[0] == "ConstraintViolationException"


@pytest.mark.parametrize("is_made_again", [False, True])
async def test_an_invitation_into_an_organization_that_was_deleted_is_gone(
    made: Made, is_made_again: bool
) -> None:
    organizations, handshake = made.organizations, await invited(made)
    await organizations(shapes.RemoveAccountFromOrganizationRequest(account_id=made.member))
    await organizations("DeleteOrganization")
    if is_made_again:
        await organizations(shapes.CreateOrganizationRequest())
    assert await organizations.refused_to(OUTSIDER, accept(handshake)) == "HandshakeNotFoundException"
