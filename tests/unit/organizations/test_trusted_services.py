"""Trusted services, delegated administrators, and the organization's resource policy."""

import json
from typing import Any

import msgspec
import pytest

from broker.access.caller import Caller
from broker.names.principal import IamUser
from broker.protocol.shapes import organizations as shapes
from broker.storage.records import User
from tests.unit.organizations.conftest import MANAGEMENT, SCP, Made

SSO, IAM = "sso.amazonaws.com", "iam.amazonaws.com"


def register(account: str, service: str = SSO) -> shapes.RegisterDelegatedAdministratorRequest:
    return shapes.RegisterDelegatedAdministratorRequest(account_id=account, service_principal=service)


def deregister(account: str, service: str = SSO) -> shapes.DeregisterDelegatedAdministratorRequest:
    return shapes.DeregisterDelegatedAdministratorRequest(account_id=account, service_principal=service)


def enable(service: str = SSO) -> shapes.EnableAWSServiceAccessRequest:
    return shapes.EnableAWSServiceAccessRequest(service_principal=service)


async def test_a_service_is_trusted_from_when_access_was_enabled(made: Made) -> None:
    organizations = made.organizations
    await organizations(enable())
    organizations.now += 10
    await organizations(enable())
    listed = await organizations(shapes.ListAWSServiceAccessForOrganizationRequest())
    shown = [(one.service_principal, one.date_enabled) for one in listed.enabled_service_principals]
    assert shown == [(SSO, organizations.now - 10)]
    assert (await organizations.refused(enable("sso.example")))[0] == "InvalidInputException"
    await organizations(shapes.DisableAWSServiceAccessRequest(service_principal=SSO))
    listed = await organizations(shapes.ListAWSServiceAccessForOrganizationRequest())
    assert listed.enabled_service_principals == ()


async def test_a_delegated_administrator_reads_and_changes_nothing(made: Made) -> None:
    organizations, member = made.organizations, made.member
    assert (await organizations.refused(register(member)))[0] == "ConstraintViolationException"
    await organizations(enable())
    assert await organizations.refused_to(member, shapes.ListAccountsRequest()) == "AccessDeniedException"
    await organizations(register(member))
    assert len((await organizations.as_account(member, shapes.ListAccountsRequest())).accounts) == 2
    assert await organizations.refused_to(member, enable(IAM)) == "AccessDeniedException"
    listed = await organizations(shapes.ListDelegatedAdministratorsRequest(service_principal=SSO))
    assert [(one.id, one.name) for one in listed.delegated_administrators] == [(member, "member")]
    other = await organizations(shapes.ListDelegatedAdministratorsRequest(service_principal=IAM))
    assert other.delegated_administrators == ()
    services = await organizations(shapes.ListDelegatedServicesForAccountRequest(account_id=member))
    assert [one.service_principal for one in services.delegated_services] == [SSO]
    await organizations(deregister(member))
    assert await organizations.refused_to(member, shapes.ListAccountsRequest()) == "AccessDeniedException"


async def test_what_cannot_be_delegated_or_undone_is_refused(made: Made) -> None:
    organizations, member = made.organizations, made.member
    await organizations(enable())
    await organizations(register(member))
    disable = shapes.DisableAWSServiceAccessRequest(service_principal=SSO)
    for request, code in (
        (register(member), "AccountAlreadyRegisteredException"),
        (register(MANAGEMENT), "ConstraintViolationException"),
        (register("999999999999"), "AccountNotFoundException"),
        (deregister(member, IAM), "AccountNotRegisteredException"),
        (
            shapes.ListDelegatedServicesForAccountRequest(account_id=MANAGEMENT),
            "AccountNotRegisteredException",
        ),
        (disable, "ConstraintViolationException"),
        (shapes.RemoveAccountFromOrganizationRequest(account_id=member), "ConstraintViolationException"),
        (shapes.CloseAccountRequest(account_id=member), "ConstraintViolationException"),
    ):
        assert (await organizations.refused(request))[0] == code


async def test_iams_delegated_administrator_is_the_one_that_assume_root_asks_for(made: Made) -> None:
    organizations = made.organizations
    await organizations(register(made.member, IAM))
    assert (await organizations.record()).delegated_iam_administrator_id == made.member
    await organizations(deregister(made.member, IAM))
    assert (await organizations.record()).delegated_iam_administrator_id is None


def delegating(member: str, *actions: str, **condition: Any) -> str:
    statement = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{member}:root"},
        "Action": list(actions),
        "Resource": "*",
        **condition,
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def put(content: str) -> shapes.PutResourcePolicyRequest:
    return shapes.PutResourcePolicyRequest(content=content)


def policy(name: str, policy_type: str = SCP) -> shapes.CreatePolicyRequest:
    content = '{"Version":"2012-10-17","Statement":{"Effect":"Deny","Action":"s3:*","Resource":"*"}}'
    if policy_type != SCP:
        content = content.replace('"Action"', '"Principal":"*","Action"')
    return shapes.CreatePolicyRequest(name=name, type=policy_type, description="", content=content)


async def test_a_resource_policy_is_put_described_and_deleted(made: Made) -> None:
    organizations = made.organizations
    assert (await organizations.refused("DescribeResourcePolicy"))[0] == "ResourcePolicyNotFoundException"
    content = delegating(made.member, "organizations:DescribePolicy")
    shown = (await organizations(put(content))).resource_policy
    assert shown.content == content
    own = shown.resource_policy_summary
    organization = (await organizations.record()).organization_id
    assert own.arn == f"arn:aws:organizations::{MANAGEMENT}:resourcepolicy/{organization}/{own.id}"
    again = (await organizations(put(content + " "))).resource_policy
    assert again.resource_policy_summary == own, "the same policy with another text"
    assert (await organizations("DescribeResourcePolicy")).resource_policy == again
    await organizations("DeleteResourcePolicy")
    assert (await organizations.refused("DeleteResourcePolicy"))[0] == "ResourcePolicyNotFoundException"


@pytest.mark.parametrize(
    "actions", [("organizations:CloseAccount",), ("organizations:*",), ("iam:CreateUser",), ("*",)]
)
async def test_what_aws_does_not_let_be_delegated_is_refused(made: Made, actions: tuple[str, ...]) -> None:
    request = put(delegating(made.member, *actions))
    assert (await made.organizations.refused(request))[0] == "InvalidInputException"


async def test_a_resource_policy_that_is_no_policy_is_refused(made: Made) -> None:
    assert (await made.organizations.refused(put("{")))[0] == "InvalidInputException"


async def test_a_member_does_what_is_delegated_to_it_and_nothing_else(made: Made) -> None:
    organizations, member = made.organizations, made.member
    condition = {"Condition": {"StringEquals": {"organizations:PolicyType": SCP}}}
    actions = ("organizations:CreatePolicy", "organizations:List*")
    await organizations(put(delegating(member, *actions, **condition)))
    created = await organizations.as_account(member, policy("of a member"))
    assert (
        await organizations.refused_to(member, policy("other", "RESOURCE_CONTROL_POLICY")) == "AccessDenied"
    )
    listed = await organizations.as_account(member, shapes.ListPoliciesRequest(filter=SCP))
    assert {one.name for one in listed.policies} == {"FullAWSAccess", "of a member"}
    delete = shapes.DeletePolicyRequest(policy_id=created.policy.policy_summary.id)
    assert await organizations.refused_to(member, delete) == "AccessDenied"
    close = shapes.CloseAccountRequest(account_id=member)
    assert await organizations.refused_to(member, close) == "AccessDeniedException"


async def test_what_is_delegated_takes_a_permission_of_the_member_as_well(made: Made) -> None:
    await made.organizations(put(delegating(made.member, "organizations:CreatePolicy")))
    allowed = {
        "may": '{"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"organizations:*","Resource":"*"}}'
    }
    for policies, is_allowed in (({}, False), (allowed, True)):
        user = User(
            account_id=made.member,
            user_name="ada",
            user_id=f"AIDA{is_allowed}",
            created_at=0,
            inline_policies=policies,
        )
        caller = Caller(principal=IamUser(made.member, "ada", user.user_id), account=made.member, user=user)
        if is_allowed:
            await made.organizations(policy("by a user"), caller=caller)
        else:
            assert (await made.organizations.refused(policy("by a user"), caller=caller))[0] == "AccessDenied"


async def test_tags_of_a_resource_policy_are_kept_apart_from_its_text(made: Made) -> None:
    organizations = made.organizations
    content = delegating(made.member, "organizations:DescribePolicy")
    tagged = msgspec.structs.replace(put(content), tags=(shapes.Tag(key="a", value="b"),))
    own = (await organizations(tagged)).resource_policy.resource_policy_summary.id
    await organizations(put(content))
    listed = await organizations(shapes.ListTagsForResourceRequest(resource_id=own))
    assert [(tag.key, tag.value) for tag in listed.tags] == [("a", "b")]
    assert (await organizations.refused(tagged))[0] == "InvalidInputException"
    await organizations(shapes.UntagResourceRequest(resource_id=own, tag_keys=("a",)))
    assert (await organizations(shapes.ListTagsForResourceRequest(resource_id=own))).tags == ()
