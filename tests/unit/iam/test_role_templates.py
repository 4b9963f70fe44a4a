import json
from typing import Any

import pytest

from broker.protocol.shapes import iam as shapes
from broker.storage.store import ROLE_TEMPLATES
from broker.storage.template_records import RoleTemplate, RoleTemplateVersion, TemplateParameter
from tests.unit.iam.conftest import ACCOUNT, Iam

ARN = f"arn:aws:iam::{ACCOUNT}:role-template/app"
READ_ONLY = "arn:aws:iam::aws:policy/ReadOnlyAccess"


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(action: Any, resource: Any = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


TRUST = document(
    {"Effect": "Allow", "Principal": {"Service": "@{service}"}, "Action": "sts:AssumeRole"},
)
OWN = document(
    allow("s3:GetObject", ["arn:aws:s3:::always/*", "@{objects}"]), allow("s3:ListBucket", "@{bucket}")
)


def version(number: int = 1, **more: Any) -> RoleTemplateVersion:
    parameters = (
        TemplateParameter(name="app", type="String"),
        TemplateParameter(name="service", type="String", default_value="ec2.amazonaws.com"),
        TemplateParameter(name="bucket", type="Arn"),
        TemplateParameter(name="objects", type="ArnList", is_required=False),
        TemplateParameter(name="size", type="Number", is_required=False, default_value="3"),
    )
    fields: dict[str, Any] = {
        "version_id": "ARTV" + "A" * 17,
        "minor_version": number,
        "created_at": 0,
        "role_name": "app-@{app}",
        "role_path": "/apps/@{app}/",
        "role_description": "runs @{app}",
        "trust_policy": TRUST,
        "inline_policies": {"own": OWN},
        "attached_policies": (READ_ONLY,),
        "permissions_boundary": READ_ONLY,
        "parameters": parameters,
        "tags": {"App": "@{app}", "Size": "@{size}"},
        "max_session_duration": 7200,
    }
    return RoleTemplateVersion(**fields | more)


@pytest.fixture
async def template(iam: Iam) -> RoleTemplate:
    return await put(iam, version())


async def put(iam: Iam, *versions: RoleTemplateVersion, **more: Any) -> RoleTemplate:
    template = RoleTemplate(account_id=ACCOUNT, template_name="app", versions=versions, **more)

    async def work(store: Any) -> None:
        store.put(ROLE_TEMPLATES, ACCOUNT, template)

    await iam.store.transact(work)
    return template


BUCKET = "arn:aws:s3:::photos"


def acquire(minor: int | None = None, **values: Any) -> shapes.AcquireRoleRequest:
    supplied = {"app": "web", "bucket": BUCKET} | values
    entries = {
        name: shapes.ReplacementValueEntry(values=(value,) if isinstance(value, str) else tuple(value))
        for name, value in supplied.items()
        if value is not None
    }
    return shapes.AcquireRoleRequest(
        template_arn=ARN, template_minor_version=minor, replacement_values=entries
    )


async def test_a_role_is_made_as_its_template_says(iam: Iam, template: RoleTemplate) -> None:
    answer = await iam(acquire(objects=["arn:aws:s3:::photos/a", "arn:aws:s3:::photos/b"]))
    source = shapes.SourceRoleTemplate(template_arn=ARN, template_minor_version=1)
    assert answer.role.arn == f"arn:aws:iam::{ACCOUNT}:role/apps/web/app-web"
    assert answer.role.source_role_template == source
    role = (await iam(shapes.GetRoleRequest(role_name="app-web"))).role
    assert (role.description, role.max_session_duration) == ("runs web", 7200)
    assert role.source_role_template == source
    assert role.permissions_boundary.permissions_boundary_arn == READ_ONLY
    assert {tag.key: tag.value for tag in role.tags} == {"App": "web", "Size": "3"}
    assert '"Service":"ec2.amazonaws.com"' in role.assume_role_policy_document
    attached = await iam(shapes.ListAttachedRolePoliciesRequest(role_name="app-web"))
    assert [policy.policy_arn for policy in attached.attached_policies] == [READ_ONLY]
    own = await iam(shapes.GetRolePolicyRequest(role_name="app-web", policy_name="own"))
    objects, bucket = json.loads(own.policy_document)["Statement"]
    assert objects["Resource"] == [
        "arn:aws:s3:::always/*",
        "arn:aws:s3:::photos/a",
        "arn:aws:s3:::photos/b",
    ]
    assert bucket["Resource"] == BUCKET


async def test_the_default_is_the_newest_version_and_an_older_one_can_be_asked_for(iam: Iam) -> None:
    await put(iam, version(1, role_name="first-@{app}"), version(2, role_name="second-@{app}"))
    assert (await iam(acquire())).role.role_name == "second-web"
    assert (await iam(acquire(1))).role.role_name == "first-web"
    shown = await iam(shapes.GetRoleTemplateVersionRequest(template_arn=ARN, minor_version=1))
    one = shown.role_template_version
    assert (one.minor_version, one.default_minor_version, one.role_name_pattern) == (1, 2, "first-@{app}")
    assert one.assume_role_policy_document_template == TRUST
    assert [parameter.name for parameter in one.parameters_definition][:2] == ["app", "service"]
    no_version = ("NoSuchEntity", f"Role template {ARN} has no minor version 3.")
    assert await iam.refused(acquire(3)) == no_version


async def test_a_template_of_another_account_or_none_cannot_be_found(
    iam: Iam, template: RoleTemplate
) -> None:
    for arn in (f"{ARN}s", ARN.replace(ACCOUNT, "999988887777"), "arn:aws:iam::aws:role-template/app"):
        missing = ("NoSuchEntity", f"Role template {arn} cannot be found.")
        assert await iam.refused(shapes.AcquireRoleRequest(template_arn=arn)) == missing
        assert await iam.refused(shapes.GetRoleTemplateVersionRequest(template_arn=arn)) == missing


async def test_of_a_disabled_template_no_role_is_made(iam: Iam) -> None:
    await put(iam, version(), is_enabled=False)
    assert (await iam.refused(acquire()))[0] == "RoleTemplateDisabled"


async def test_a_role_that_exists_is_not_taken_over(iam: Iam, template: RoleTemplate) -> None:
    await iam(acquire())
    assert (await iam.refused(acquire()))[0] == "EntityAlreadyExists"


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"unknown": "x"}, "has no parameter unknown"),
        ({"app": None}, "A value for the parameter app is required"),
        ({"app": ["a", "b"]}, "The parameter app takes one value"),
        ({"bucket": "photos"}, "no Arn"),
        ({"bucket": "arn:aws:s3:::*"}, "no Arn"),
        ({"objects": [BUCKET, "arn:aws:s3:::photos/?"]}, "no Arn"),
        ({"app": "a*"}, "no String"),
        ({"app": "${aws:username}"}, "no String"),
        ({"app": "@{bucket}"}, "no String"),
        ({"app": "a\n"}, "no String"),
        ({"size": "three"}, "no Number"),
    ],
)
async def test_a_value_that_the_template_does_not_take_is_refused(
    iam: Iam, template: RoleTemplate, values: dict[str, Any], said: str
) -> None:
    code, message = await iam.refused(acquire(**values))
    assert code == "InvalidInput"
    assert said in message


async def test_a_value_never_becomes_an_element_of_a_policy(iam: Iam) -> None:
    statement = allow(
        "s3:GetObject", "arn:aws:s3:::photos", Condition={"StringEquals": {"aws:userid": "@{app}"}}
    )
    await put(
        iam, version(inline_policies={"own": document(statement)}, role_name="fixed", role_path="/", tags={})
    )
    hostile = 'x"}},{"Effect":"Allow","Action":"iam:PassRole","Resource":"'
    await iam(acquire(app=hostile))
    own = await iam(shapes.GetRolePolicyRequest(role_name="fixed", policy_name="own"))
    (filled,) = json.loads(own.policy_document)["Statement"]
    assert filled["Condition"] == {"StringEquals": {"aws:userid": hostile}}


async def test_names_keep_the_rules_of_names(iam: Iam, template: RoleTemplate) -> None:
    code, message = await iam.refused(acquire(app="a b"))
    assert (code, "roleName" in message or "path" in message) == ("ValidationError", True)


async def test_each_permission_of_making_the_role_by_hand_is_needed(iam: Iam, template: RoleTemplate) -> None:
    needed = ["iam:AcquireRole", "iam:CreateRole", "iam:TagRole", "iam:AttachRolePolicy", "iam:PutRolePolicy"]
    await iam(shapes.CreateUserRequest(user_name="bob"))
    for lacking in needed:
        own = document(allow([action for action in needed if action != lacking]))
        await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="own", policy_document=own))
        code, message = await iam.refused(acquire(), user="bob")
        assert (code, lacking in message) == ("AccessDenied", True)
        assert (await iam.refused(shapes.GetRoleRequest(role_name="app-web")))[0] == "NoSuchEntity"
    await iam(
        shapes.PutUserPolicyRequest(
            user_name="bob", policy_name="own", policy_document=document(allow(needed))
        )
    )
    await iam(acquire(), user="bob")


@pytest.mark.parametrize(("arn", "is_allowed"), [(ARN, True), (f"{ARN}-other", False)])
async def test_a_policy_can_say_of_which_templates_roles_are_made(
    iam: Iam, template: RoleTemplate, arn: str, is_allowed: bool
) -> None:
    await iam(shapes.CreateUserRequest(user_name="bob"))
    of_template = {"Condition": {"StringEquals": {"iam:RoleTemplateARN": arn}}}
    steps = ["iam:AcquireRole", "iam:CreateRole", "iam:AttachRolePolicy", "iam:PutRolePolicy"]
    own = document(allow(steps, **of_template), allow("iam:TagRole"))
    await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="own", policy_document=own))
    if is_allowed:
        await iam(acquire(), user="bob")
    else:
        assert (await iam.refused(acquire(), user="bob"))[0] == "AccessDenied"
    by_hand = shapes.CreateRoleRequest(
        role_name="by-hand", assume_role_policy_document=TRUST.replace("@{service}", "ec2.amazonaws.com")
    )
    assert (await iam.refused(by_hand, user="bob"))[0] == "AccessDenied"


async def test_who_may_not_ask_does_not_learn_which_templates_exist(iam: Iam, template: RoleTemplate) -> None:
    await iam(shapes.CreateUserRequest(user_name="eve"))
    for arn in (ARN, f"{ARN}s"):
        for request in (shapes.GetRoleTemplateVersionRequest, shapes.AcquireRoleRequest):
            code, message = await iam.refused(request(template_arn=arn), user="eve")
            assert (code, f"resource: {arn} because" in message) == ("AccessDenied", True)
