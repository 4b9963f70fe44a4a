"""The organization, its root, its units and its accounts."""

from typing import Any

import msgspec
import pytest

from broker.operation import OPERATIONS, model
from broker.protocol.shapes import organizations as shapes
from broker.storage.store import ROLES
from tests.unit.organizations.conftest import MANAGEMENT, OUTSIDER, SCP, Made, Organizations


def unit(parent: str, name: str, **more: Any) -> shapes.CreateOrganizationalUnitRequest:
    return shapes.CreateOrganizationalUnitRequest(parent_id=parent, name=name, **more)


async def new_unit(made: Made, name: str, parent: str = "") -> str:
    answer = await made.organizations(unit(parent or made.root, name))
    found: str = answer.organizational_unit.id
    return found


async def test_who_creates_the_organization_has_its_management_account(organizations: Organizations) -> None:
    shown = (await organizations(shapes.CreateOrganizationRequest(feature_set="ALL"))).organization
    assert shown.id.startswith("o-") and len(shown.id) == 12
    assert shown.master_account_id == MANAGEMENT
    assert shown.arn == f"arn:aws:organizations::{MANAGEMENT}:organization/{shown.id}"
    assert shown.master_account_arn == f"arn:aws:organizations::{MANAGEMENT}:account/{shown.id}/{MANAGEMENT}"
    assert shown.master_account_email == f"{MANAGEMENT}@example.com"
    assert (await organizations("DescribeOrganization")).organization == shown
    again = shapes.CreateOrganizationRequest()
    assert (await organizations.refused(again))[0] == "AlreadyInOrganizationException"
    assert await organizations.refused_to(OUTSIDER, again) == "ConstraintViolationException"


async def test_consolidated_billing_alone_is_not_there(organizations: Organizations) -> None:
    request = shapes.CreateOrganizationRequest(feature_set="CONSOLIDATED_BILLING")
    assert (await organizations.refused(request))[0] == "NotImplemented"


async def test_an_organization_has_all_features(made: Made) -> None:
    code, _ = await made.organizations.refused("EnableAllFeatures")
    assert code == "HandshakeConstraintViolationException"


PROVEN_OTHERWISE = {
    "AcceptHandshake",
    "CancelHandshake",
    "CreateOrganization",
    "DeclineHandshake",
    "DescribeHandshake",
    "ListHandshakesForAccount",
}
FOR_MEMBERS = {"DescribeOrganization", "LeaveOrganization"}
ALL = sorted({name for service, name in OPERATIONS if service == "organizations"} - PROVEN_OTHERWISE)
IDS = {
    "account_id": MANAGEMENT,
    "parent_id": "r-aaaa",
    "source_parent_id": "r-aaaa",
    "destination_parent_id": "r-aaaa",
    "child_id": MANAGEMENT,
    "organizational_unit_id": "ou-aaaa-aaaaaaaa",
    "policy_id": "p-aaaaaaaa",
    "target_id": MANAGEMENT,
    "resource_id": MANAGEMENT,
    "root_id": "r-aaaa",
    "policy_type": "TAG_POLICY",
    "target": shapes.HandshakeParty(id=OUTSIDER, type="ACCOUNT"),
}


def any_request(name: str) -> Any:
    """A request with all required members."""
    shape = model("organizations").operations[name].input
    if shape is None:
        return name
    struct = getattr(shapes, shape.shape)
    kinds = {field.name: field for field in msgspec.structs.fields(struct)}
    required = {
        one: IDS.get(one, () if "tuple" in str(field.type) else "text")
        for one, field in kinds.items()
        if field.required
    }
    return struct(**required)


@pytest.mark.parametrize("name", ALL)
async def test_an_account_outside_is_told_that_it_is_in_no_organization(made: Made, name: str) -> None:
    assert (
        await made.organizations.refused_to(OUTSIDER, any_request(name))
        == "AWSOrganizationsNotInUseException"
    )


@pytest.mark.parametrize("name", [one for one in ALL if one not in FOR_MEMBERS])
async def test_a_member_may_only_what_is_for_members_whatever_its_policies_allow(
    made: Made, name: str
) -> None:
    assert await made.organizations.refused_to(made.member, any_request(name)) == "AccessDeniedException"


async def test_a_member_describes_the_organization_and_leaves_it(made: Made) -> None:
    shown = await made.organizations.as_account(made.member, "DescribeOrganization")
    assert shown.organization.master_account_id == MANAGEMENT
    await made.organizations.as_account(made.member, "LeaveOrganization")
    assert await made.organizations.refused_to(made.member, "DescribeOrganization") == (
        "AWSOrganizationsNotInUseException"
    )
    code, _ = await made.organizations.refused("LeaveOrganization")
    assert code == "MasterCannotLeaveOrganizationException"


async def test_a_created_account_has_a_role_that_the_management_account_may_assume(made: Made) -> None:
    role = await made.organizations.store.transaction().find(
        ROLES, made.member, "OrganizationAccountAccessRole"
    )
    assert role is not None
    assert role.attached_policies == ("arn:aws:iam::aws:policy/AdministratorAccess",)
    assert f'"AWS":"arn:aws:iam::{MANAGEMENT}:root"' in role.assume_role_policy
    shown = (await made.organizations(shapes.DescribeAccountRequest(account_id=made.member))).account
    assert (shown.name, shown.email, shown.status, shown.joined_method) == (
        "member",
        "member@example.com",
        "ACTIVE",
        "CREATED",
    )
    organization = (await made.organizations.record()).organization_id
    assert shown.arn == f"arn:aws:organizations::{MANAGEMENT}:account/{organization}/{made.member}"
    assert shown.paths == (f"{organization}/{made.root}/{made.member}/",)


async def test_what_became_of_a_creation_is_described_and_listed(made: Made) -> None:
    request = shapes.CreateAccountRequest(
        email="Member@example.com", account_name="again", role_name="Access"
    )
    failed = (await made.organizations(request)).create_account_status
    assert (failed.state, failed.failure_reason, failed.account_id) == (
        "FAILED",
        "EMAIL_ALREADY_EXISTS",
        None,
    )
    asked = shapes.DescribeCreateAccountStatusRequest(create_account_request_id=failed.id)
    assert (await made.organizations(asked)).create_account_status == failed
    for states, count in (((), 2), (("SUCCEEDED",), 1), (("FAILED",), 1), (("IN_PROGRESS",), 0)):
        listed = await made.organizations(shapes.ListCreateAccountStatusRequest(states=states))
        assert len(listed.create_account_statuses) == count
    unknown = shapes.DescribeCreateAccountStatusRequest(create_account_request_id="car-aaaaaaaaaa")
    assert (await made.organizations.refused(unknown))[0] == "CreateAccountStatusNotFoundException"


async def test_the_quota_of_accounts_counts_closed_ones_too(made: Made) -> None:
    await made.organizations(shapes.CloseAccountRequest(account_id=made.member))
    made.organizations.quotas = type(made.organizations.quotas)(organization_accounts=2)
    request = shapes.CreateAccountRequest(email="more@example.com", account_name="more")
    assert (await made.organizations.refused(request))[0] == "ConstraintViolationException"


async def test_a_role_name_of_services_is_refused(made: Made) -> None:
    request = shapes.CreateAccountRequest(
        email="more@example.com", account_name="more", role_name="AWSServiceRoleForMe"
    )
    assert (await made.organizations.refused(request))[0] == "InvalidInputException"


async def test_units_are_made_renamed_listed_and_deleted(made: Made) -> None:
    organizations = made.organizations
    first = await new_unit(made, "first")
    assert first.startswith(f"ou-{made.root[2:]}-")
    assert (await organizations.refused(unit(made.root, "first")))[
        0
    ] == "DuplicateOrganizationalUnitException"
    second = await new_unit(made, "first", first)  # another parent, so the name is free
    rename = shapes.UpdateOrganizationalUnitRequest(organizational_unit_id=second, name="second")
    assert (await organizations(rename)).organizational_unit.name == "second"
    asked = shapes.DescribeOrganizationalUnitRequest(organizational_unit_id=second)
    shown = (await organizations(asked)).organizational_unit
    organization = (await organizations.record()).organization_id
    assert shown.path == f"{organization}/{made.root}/{first}/{second}/"
    assert shown.arn == f"arn:aws:organizations::{MANAGEMENT}:ou/{organization}/{second}"
    listed = await organizations(shapes.ListOrganizationalUnitsForParentRequest(parent_id=first))
    assert [one.id for one in listed.organizational_units] == [second]
    parents = await organizations(shapes.ListParentsRequest(child_id=second))
    assert [(one.id, one.type) for one in parents.parents] == [(first, "ORGANIZATIONAL_UNIT")]
    parents = await organizations(shapes.ListParentsRequest(child_id=first))
    assert [(one.id, one.type) for one in parents.parents] == [(made.root, "ROOT")]
    remove = shapes.DeleteOrganizationalUnitRequest(organizational_unit_id=first)
    assert (await organizations.refused(remove))[0] == "OrganizationalUnitNotEmptyException"
    await organizations(shapes.DeleteOrganizationalUnitRequest(organizational_unit_id=second))
    await organizations(remove)
    assert (await organizations.refused(asked))[0] == "OrganizationalUnitNotFoundException"


async def test_units_are_five_deep_at_most_and_as_many_as_the_quota(made: Made) -> None:
    parent = made.root
    for number in range(5):
        parent = await new_unit(made, f"unit {number}", parent)
    assert (await made.organizations.refused(unit(parent, "sixth")))[0] == "ConstraintViolationException"
    made.organizations.quotas = type(made.organizations.quotas)(organizational_units=5)
    assert (await made.organizations.refused(unit(made.root, "one more")))[
        0
    ] == "ConstraintViolationException"


async def test_an_account_is_moved_from_where_it_is(made: Made) -> None:
    organizations, team = made.organizations, await new_unit(made, "team")

    def move(source: str, destination: str) -> shapes.MoveAccountRequest:
        return shapes.MoveAccountRequest(
            account_id=made.member, source_parent_id=source, destination_parent_id=destination
        )

    for source, destination, code in (
        (team, made.root, "SourceParentNotFoundException"),
        (made.root, "ou-aaaa-aaaaaaaa", "DestinationParentNotFoundException"),
        (made.root, made.root, "DuplicateAccountException"),
    ):
        assert (await organizations.refused(move(source, destination)))[0] == code
    await organizations(move(made.root, team))
    below = await organizations(shapes.ListAccountsForParentRequest(parent_id=team))
    assert [one.id for one in below.accounts] == [made.member]
    children = await organizations(shapes.ListChildrenRequest(parent_id=made.root, child_type="ACCOUNT"))
    assert [one.id for one in children.children] == [MANAGEMENT]
    units = shapes.ListChildrenRequest(parent_id=made.root, child_type="ORGANIZATIONAL_UNIT")
    assert [one.id for one in (await organizations(units)).children] == [team]


async def test_lists_are_paged(made: Made) -> None:
    names = {await new_unit(made, f"unit {number:02}") for number in range(22)}
    seen: list[str] = []
    token = None
    while token is not None or not seen:
        request = shapes.ListOrganizationalUnitsForParentRequest(parent_id=made.root, next_token=token)
        answer = await made.organizations(request)
        seen += [one.id for one in answer.organizational_units]
        assert len(answer.organizational_units) <= 20
        token = answer.next_token
    assert sorted(seen) == sorted(names)
    wrong = shapes.ListAccountsRequest(next_token="nothing")
    assert (await made.organizations.refused(wrong))[0] == "InvalidInputException"


async def test_an_account_is_closed_once_and_stays_in_the_organization(made: Made) -> None:
    organizations, close = made.organizations, shapes.CloseAccountRequest(account_id=made.member)
    await organizations(close)
    assert (await organizations.refused(close))[0] == "AccountAlreadyClosedException"
    shown = (await organizations(shapes.DescribeAccountRequest(account_id=made.member))).account
    assert (shown.status, shown.state) == ("SUSPENDED", "CLOSED")
    remove = shapes.RemoveAccountFromOrganizationRequest(account_id=made.member)
    assert (await organizations.refused(remove))[0] == "ConstraintViolationException"
    assert (await organizations.refused("DeleteOrganization"))[0] == "OrganizationNotEmptyException"
    management = shapes.CloseAccountRequest(account_id=MANAGEMENT)
    assert (await organizations.refused(management))[0] == "ConstraintViolationException"
    # Nobody may do anything in it any more, its root neither.
    assert await organizations.refused_to(made.member, "LeaveOrganization") == "AccessDenied"


async def test_an_organization_is_deleted_when_nothing_is_in_it(made: Made) -> None:
    organizations, team = made.organizations, await new_unit(made, "team")
    assert (await organizations.refused("DeleteOrganization"))[0] == "OrganizationNotEmptyException"
    await organizations(shapes.RemoveAccountFromOrganizationRequest(account_id=made.member))
    assert (await organizations.refused("DeleteOrganization"))[0] == "OrganizationNotEmptyException"
    await organizations(shapes.DeleteOrganizationalUnitRequest(organizational_unit_id=team))
    await organizations("DeleteOrganization")
    assert (await organizations.refused("DescribeOrganization"))[0] == "AWSOrganizationsNotInUseException"


async def test_tags_are_set_removed_and_listed(made: Made) -> None:
    organizations = made.organizations
    tags = (shapes.Tag(key="team", value="a"), shapes.Tag(key="Team", value="b"))
    team = (await organizations(unit(made.root, "team", tags=tags))).organizational_unit.id

    async def listed(resource: str) -> dict[str, str]:
        answer = await organizations(shapes.ListTagsForResourceRequest(resource_id=resource))
        return {tag.key: tag.value for tag in answer.tags}

    assert await listed(team) == {"team": "a", "Team": "b"}, "keys are case-sensitive here"
    for resource in (team, made.root, made.member):
        await organizations(shapes.TagResourceRequest(resource_id=resource, tags=tags[:1]))
        await organizations(shapes.UntagResourceRequest(resource_id=resource, tag_keys=("Team", "none")))
        assert await listed(resource) == {"team": "a"}
    for wrong in ((tags[0], tags[0]), (shapes.Tag(key="aws:x", value=""),)):
        request = shapes.TagResourceRequest(resource_id=team, tags=wrong)
        assert (await organizations.refused(request))[0] == "InvalidInputException"
    many = tuple(shapes.Tag(key=f"k{number}", value="") for number in range(50))
    request = shapes.TagResourceRequest(resource_id=team, tags=many)
    assert (await organizations.refused(request))[0] == "ConstraintViolationException"
    for missing in ("ou-aaaa-aaaaaaaa", "p-aaaaaaaaaa", "rp-aaaaaaaaaa", "999999999999"):
        asked = shapes.ListTagsForResourceRequest(resource_id=missing)
        assert (await organizations.refused(asked))[0] == "TargetNotFoundException"


@pytest.mark.parametrize("policy_type", [SCP])
async def test_a_policy_type_is_enabled_and_disabled_once(made: Made, policy_type: str) -> None:
    organizations = made.organizations
    enable = shapes.EnablePolicyTypeRequest(root_id=made.root, policy_type=policy_type)
    disable = shapes.DisablePolicyTypeRequest(root_id=made.root, policy_type=policy_type)
    assert (await organizations.refused(disable))[0] == "PolicyTypeNotEnabledException"
    shown = (await organizations(enable)).root.policy_types
    assert [(one.type, one.status) for one in shown] == [(policy_type, "ENABLED")]
    assert (await organizations.refused(enable))[0] == "PolicyTypeAlreadyEnabledException"
    record = await organizations.record()
    for node in (*record.units.values(), *record.accounts.values()):
        assert node.policies == ("p-FullAWSAccess",)
    assert (await organizations(disable)).root.policy_types == ()
    record = await organizations.record()
    assert not any(node.policies for node in (*record.units.values(), *record.accounts.values()))
    unknown = shapes.EnablePolicyTypeRequest(root_id="r-zzzz", policy_type=policy_type)
    assert (await organizations.refused(unknown))[0] == "RootNotFoundException"
    other = shapes.EnablePolicyTypeRequest(root_id=made.root, policy_type="TAG_POLICY")
    assert (await organizations.refused(other))[0] == "PolicyTypeNotAvailableForOrganizationException"
