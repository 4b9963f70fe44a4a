"""Which permissions are unused: by the policies of users and roles, and the marks of what they asked for."""

import json
from typing import Any

import pytest

import broker.app  # noqa: F401  # declares the operations of all services
from broker.analyzer.looking import unused_findings, without_excluded
from broker.permission_use.account_use import AccountUse
from broker.permission_use.unused_permissions import EntityPermissions, seen_services, unused_services
from broker.storage.analyzer_records import Analyzer, ExcludedEntities, UnusedService
from broker.storage.records import Group, Role, Usage, User

HERE = "111122223333"
DAY, NOW = 86_400, 1_800_000_000
SINCE = NOW - 30 * DAY
OF_AWS = "arn:aws:iam::aws:policy/IAMReadOnlyAccess"


def document(*actions: str, effect: str = "Allow", **more: Any) -> str:
    statement = {"Effect": effect, "Action": list(actions), "Resource": "*", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def role(*documents: str, **more: Any) -> Role:
    policies = {str(number): one for number, one in enumerate(documents)}
    given: dict[str, Any] = {
        "role_name": "worker",
        "role_id": "AROA1",
        "created_at": 1,
        "assume_role_policy": "{}",
        "inline_policies": policies,
    }
    return Role(account_id=HERE, **(given | more))


def mark(action: str, days: int = 1) -> Usage:
    service, _, name = action.partition(":")
    return Usage(last_used_at=NOW - days * DAY, service=service, action=name)


def unused(entity: User | Role, *marks: Usage, **more: Any) -> dict[str, list[str]]:
    return {one.service: [two.action for two in one.actions] for one in services_of(entity, *marks, **more)}


def services_of(
    entity: User | Role, *marks: Usage, documents: dict[str, str] | None = None, groups: Any = None
) -> tuple[UnusedService, ...]:
    key = entity.user_id if isinstance(entity, User) else entity.role_id
    permissions = EntityPermissions(documents or {}, groups or {}, {key: marks})
    return unused_services(entity, permissions, seen_services(permissions), SINCE)


GET = mark("iam:GetUser")


@pytest.mark.parametrize(
    ("documents", "marks", "found"),
    [
        ([document("iam:GetUser", "iam:ListUsers")], [GET], {"iam": ["ListUsers"]}),
        ([document("iam:GetUser")], [GET], {}),
        ([document("iam:GetUser", "organizations:List*")], [GET], {"organizations": []}),
        (
            [document("iam:GetUser", "iam:ListUsers")],
            [GET, mark("iam:ListUsers", 31)],
            {"iam": ["ListUsers"]},
        ),
        (
            [document("iam:GetUser", "iam:ListUsers")],
            [mark("iam:GetUser", 31)],
            {},
        ),  # the role itself is unused
        ([document("iam:GetUser", "iam:ListUsers")], [], {}),
        (
            [document("iam:GetUser", "iam:ListUsers"), document("iam:ListUsers", effect="Deny")],
            [GET],
            {},
        ),
        (
            [
                document("iam:GetUser", "iam:ListUsers"),
                document(
                    "iam:ListUsers", effect="Deny", Condition={"Bool": {"aws:SecureTransport": "false"}}
                ),
            ],
            [GET],
            {"iam": ["ListUsers"]},
        ),
        ([document("iam:GetUser", "iam:PassRole", "sts:GetCallerIdentity")], [GET], {}),
        ([document("iam:GetUser", "sqs:*")], [GET], {}),  # whose use the broker does not see
        ([document("iam:GetUser", "s3:GetObject")], [GET], {}),
        (
            [document("iam:GetUser", "s3:*Object")],
            [GET, mark("s3:HeadObject")],
            {"s3": ["DeleteObject", "PutObject"]},
        ),
        (["{", document("iam:GetUser")], [GET], {}),
    ],
)
def test_what_is_allowed_and_was_not_asked_for_is_unused(
    documents: list[str], marks: list[Usage], found: dict[str, list[str]]
) -> None:
    assert unused(role(*documents), *marks) == found


def test_everything_is_allowed_by_a_star_and_by_what_is_not_excluded() -> None:
    star = unused(role(document("*")), GET)
    assert {"iam", "organizations", "sts", "rolesanywhere"} <= star.keys()
    assert "CreateUser" in star["iam"]
    assert not {"GetUser", "PassRole"} & set(star["iam"])
    statement = {"Effect": "Allow", "NotAction": "iam:Create*", "Resource": "*"}
    rest = unused(role(json.dumps({"Version": "2012-10-17", "Statement": [statement]})), GET)
    assert "CreateUser" not in rest["iam"]
    assert "DeleteUser" in rest["iam"]


def test_moments_are_those_of_the_last_use() -> None:
    (found,) = services_of(
        role(document("iam:GetUser", "iam:ListUsers", "iam:ListRoles")), GET, mark("iam:ListUsers", 40)
    )
    assert found.last_accessed == NOW - DAY
    assert {one.action: one.last_accessed for one in found.actions} == {
        "ListRoles": None,
        "ListUsers": NOW - 40 * DAY,
    }


def test_policies_of_groups_and_managed_ones_count() -> None:
    user = User(
        account_id=HERE,
        user_name="ann",
        user_id="AIDA1",
        created_at=1,
        groups=("Staff",),
        attached_policies=(OF_AWS,),
    )
    group = Group(
        account_id=HERE,
        group_name="staff",
        group_id="AGPA1",
        created_at=1,
        inline_policies={"p": document("sts:AssumeRole")},
    )
    found = unused(
        user, GET, documents={OF_AWS: document("iam:GetUser", "iam:GetRole")}, groups={"staff": group}
    )
    assert found == {"iam": ["GetRole"], "sts": []}


@pytest.mark.parametrize("boundary", [document("iam:GetUser"), document("*", effect="Deny")])
def test_a_permissions_boundary_hides_no_permission_that_a_policy_grants(boundary: str) -> None:
    """It may be lifted by others than those who wrote the policy, and grants nothing itself."""
    limited = role(document("iam:GetUser", "iam:ListUsers", "sts:*"), permissions_boundary=OF_AWS)
    found = unused(limited, GET, documents={OF_AWS: boundary})
    assert found == unused(role(*limited.inline_policies.values()), GET) == {"iam": ["ListUsers"], "sts": []}
    narrow = role(document("iam:GetUser"), permissions_boundary=OF_AWS)
    assert unused(narrow, GET, documents={OF_AWS: document("*")}) == {}


def use_of(*roles: Role) -> AccountUse:
    marks: dict[str, tuple[Usage, ...]] = {one.role_id: (GET,) for one in roles}
    usage = {one.role_id: GET for one in roles}
    return AccountUse(roles, (), (), {}, usage, EntityPermissions({}, {}, marks))


ANALYZER = Analyzer(
    account_id=HERE, region="us-east-1", name="a", type="ACCOUNT_UNUSED_ACCESS", created_at=1, unused_days=30
)


def test_a_finding_is_of_one_role_and_not_of_those_that_are_new_or_of_services() -> None:
    text = document("iam:GetUser", "iam:ListUsers")
    roles = (
        role(text),
        role(text, role_id="AROA2", created_at=NOW - DAY),
        role(text, role_id="AROA3", path="/aws-service-role/x/"),
    )
    found = list(unused_findings(ANALYZER, use_of(*roles), NOW))
    assert [(one.type, one.resource) for one in found] == [("UnusedPermission", roles[0].arn)]
    again = list(unused_findings(ANALYZER, use_of(role(document("iam:*"))), NOW))
    assert again[0].finding_id == found[0].finding_id  # it is about the role: its content changes


def test_roles_are_excluded_by_their_tags() -> None:
    text = document("iam:GetUser", "iam:ListUsers")
    red, blue = (
        role(text, role_id=name, role_name=name, tags={"team": name, "x": "1"}) for name in ("red", "blue")
    )

    def left(*excluded: ExcludedEntities) -> list[str]:
        analyzer = Analyzer(
            account_id=HERE,
            region="us-east-1",
            name="a",
            type="ACCOUNT_UNUSED_ACCESS",
            created_at=1,
            excluded_entities=excluded,
        )
        return [one.role_name for one in without_excluded(analyzer, use_of(red, blue)).roles]

    assert left(ExcludedEntities(tags=({"team": "red"},))) == ["blue"]
    assert left(ExcludedEntities(tags=({"team": "red", "x": "2"}, {"team": "green"}))) == ["red", "blue"]
    assert left(ExcludedEntities(tags=({"x": "1"},), accounts=("444455556666",))) == ["red", "blue"]
    assert left(ExcludedEntities(tags=({"x": "1"},), accounts=(HERE,))) == []
