"""What policies, chains and tags do not allow, one by one: each with the sentence that AWS gives."""

from typing import Any

from broker.storage.organization_records import Organization, OrganizationalUnit
from tests.e2e.conftest import Account, Server
from tests.e2e.raw_requests import VERSIONS, raw_request
from tests.e2e.scenes import (
    allow,
    assume,
    deny,
    document,
    new_role,
    new_user,
    organization,
    records_of,
    refused,
    sentence,
    trust,
)

FULL_ACCESS = {"FullAWSAccess": document(allow("*"))}


def test_a_session_policy_does_not_widen(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:AssumeRole"))
    role = new_role(server, account, "worker", trust(account.account_id), allow("iam:ListUsers"))
    wide = assume(server, keys, role, Policy=document(allow("*")))
    assert server.client("iam", wide).list_users()["Users"]
    assert refused(server.client("iam", wide).list_roles)[1] == "AccessDenied"
    administrator = [{"arn": "arn:aws:iam::aws:policy/AdministratorAccess"}]
    wide = assume(server, keys, role, PolicyArns=administrator)
    assert refused(server.client("iam", wide).list_roles)[1] == "AccessDenied"


def test_a_session_policy_narrows(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:AssumeRole"))
    role = new_role(server, account, "worker", trust(account.account_id), allow("iam:*"))
    narrow = assume(server, keys, role, Policy=document(allow("iam:ListRoles")))
    assert server.client("iam", narrow).list_roles()["Roles"]
    _, code, message = refused(server.client("iam", narrow).list_users)
    assert code == "AccessDenied"
    assert sentence(message).endswith("because no session policy allows the iam:ListUsers action")


def test_a_session_policy_that_names_nothing_is_refused_not_dropped(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:AssumeRole"))
    role = new_role(server, account, "worker", trust(account.account_id), allow("*"))
    asked = {
        "Action": "AssumeRole",
        "Version": VERSIONS["sts"],
        "RoleArn": role,
        "RoleSessionName": "session",
    }
    for limit in (
        {"PolicyArns.member.1.wrong": "x"},
        {"Policy": ""},
        {"Policy.x": "{}"},
        {"PolicyArns": "x"},
    ):
        answer = raw_request(server, keys, {**asked, **limit}).send(server)
        assert (answer.status, answer.code) in {(400, "ValidationError"), (400, "MalformedInput")}, limit


def test_a_chained_session_lives_an_hour_at_most(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:AssumeRole"))
    first = new_role(server, account, "first", trust(account.account_id), allow("sts:AssumeRole"))
    session = assume(server, keys, first)
    role = new_role(server, account, "second", trust(account.account_id), MaxSessionDuration=7200)
    sts = server.client("sts", session)
    request = {"RoleArn": role, "RoleSessionName": "chained"}
    assert refused(sts.assume_role, **request, DurationSeconds=3601) == (
        400,
        "ValidationError",
        "The requested DurationSeconds exceeds the 1 hour session limit for roles assumed by role chaining.",
    )
    # The role's own maximum is looked at first, the schema's range before that.
    assert refused(sts.assume_role, **request, DurationSeconds=7201) == (
        400,
        "ValidationError",
        "The requested DurationSeconds exceeds the MaxSessionDuration set for this role.",
    )
    assert "less than or equal to 43200" in refused(sts.assume_role, **request, DurationSeconds=43201)[2]
    sts.assume_role(**request, DurationSeconds=3600)


def test_a_missing_external_id_is_refused(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:AssumeRole"))
    secret = {"StringEquals": {"sts:ExternalId": "s3cret"}}
    role = new_role(server, account, "worker", trust(account.account_id, Condition=secret))
    sts = server.client("sts", keys)
    request = {"RoleArn": role, "RoleSessionName": "session"}
    for given in ({}, {"ExternalId": "S3CRET"}, {"ExternalId": "s3cret "[:-1] + "x"}):
        status, code, message = refused(sts.assume_role, **request, **given)
        assert (status, code) == (403, "AccessDenied")
        assert sentence(message) == (
            f"User: arn:aws:iam::{account.account_id}:user/ursula is not authorized to perform: sts:AssumeRole "
            f"on resource: {role} because no role trust policy allows the sts:AssumeRole action"
        )
    sts.assume_role(**request, ExternalId="s3cret")


def test_a_boundary_limits_users_and_roles(server: Server, account: Account, root: Any) -> None:
    boundary = root.create_policy(
        PolicyName="boundary", PolicyDocument=document(allow("iam:ListUsers", "sts:AssumeRole"))
    )["Policy"]["Arn"]
    keys = new_user(server, account, "bea", allow("*"))
    root.put_user_permissions_boundary(UserName="bea", PermissionsBoundary=boundary)
    role = new_role(
        server, account, "worker", trust(account.account_id), allow("*"), PermissionsBoundary=boundary
    )
    for limited in (keys, assume(server, keys, role)):
        iam = server.client("iam", limited)
        assert iam.list_users()["Users"]
        _, code, message = refused(iam.list_roles)
        assert code == "AccessDenied"
        assert sentence(message).endswith("because no permissions boundary allows the iam:ListRoles action")


def test_an_explicit_deny_beats_every_allow(server: Server, account: Account, root: Any) -> None:
    keys = new_user(server, account, "dan", allow("*"), deny("iam:ListRoles"))
    root.attach_user_policy(UserName="dan", PolicyArn="arn:aws:iam::aws:policy/AdministratorAccess")
    iam = server.client("iam", keys)
    assert iam.list_users()["Users"]
    _, code, message = refused(iam.list_roles)
    assert code == "AccessDenied"
    assert sentence(message).endswith("with an explicit deny in an identity-based policy")


def test_a_service_control_policy_holds_root_too(server: Server, account: Account) -> None:
    management = server.new_account()
    keys = new_user(server, account, "ada", allow("*"))
    guarded = {**FULL_ACCESS, "guard": document(deny("iam:ListRoles"))}
    record = Organization(
        organization_id="o-scene",
        management_account_id=management.account_id,
        units={"r-root": OrganizationalUnit(parent=None, service_control_policies=FULL_ACCESS)},
        accounts={
            member: OrganizationalUnit(parent="r-root", service_control_policies=guarded)
            for member in (management.account_id, account.account_id)
        },
        features=("SERVICE_CONTROL_POLICY",),
    )
    with organization(server, record):
        for limited in (keys, account.root):
            iam = server.client("iam", limited)
            assert iam.list_users()["Users"]
            _, code, message = refused(iam.list_roles)
            assert code == "AccessDenied"
            named = f"arn:aws:organizations::{management.account_id}:policy/o-scene/service_control_policy/p-"
            assert f" with an explicit deny in a service control policy: {named}" in sentence(message)
        # The management account is bound by none.
        assert server.client("iam", management.root).list_roles()["Roles"] == []
    assert server.client("iam", keys).list_roles()["Roles"] == []


def test_a_resource_control_policy_holds_callers_from_elsewhere(server: Server, account: Account) -> None:
    elsewhere = server.new_account()
    keys = new_user(server, elsewhere, "ada", allow("sts:AssumeRole"))
    role = new_role(server, account, "worker", trust(elsewhere.account_id))
    stranger = {"StringNotEquals": {"aws:PrincipalAccount": account.account_id}}
    guard = {**deny("sts:AssumeRole", Condition=stranger), "Principal": "*"}
    assume(server, keys, role)
    place = OrganizationalUnit(parent=None, resource_control_policies={"guard": document(guard)})
    record = Organization(
        organization_id="o-scene",
        management_account_id=server.new_account().account_id,
        accounts={account.account_id: place},
        features=("RESOURCE_CONTROL_POLICY",),
    )
    with organization(server, record):
        refusal = refused(server.client("sts", keys).assume_role, RoleArn=role, RoleSessionName="session")
    assert refusal[1] == "AccessDenied"
    assert sentence(refusal[2]).endswith(f"on resource: {role}")


# Source identity and tags


def test_a_source_identity_cannot_be_changed_down_the_chain(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:*"))
    trusts = trust(account.account_id, "sts:AssumeRole", "sts:SetSourceIdentity")
    first = new_role(server, account, "first", trusts, allow("sts:*"))
    second = new_role(server, account, "second", trusts)
    session = assume(server, keys, first, SourceIdentity="ursula")
    sts = server.client("sts", session)
    request = {"RoleArn": second, "RoleSessionName": "chained"}
    assert refused(sts.assume_role, **request, SourceIdentity="somebody")[:2] == (403, "AccessDenied")
    assert sts.assume_role(**request, SourceIdentity="ursula")["SourceIdentity"] == "ursula"
    carried = sts.assume_role(**request)
    assert carried["SourceIdentity"] == "ursula"
    request_id = carried["ResponseMetadata"]["RequestId"]
    (record,) = records_of(server, request_id)
    assert record["userIdentity"]["sessionContext"]["sourceIdentity"] == "ursula"


def test_a_source_identity_needs_the_trust_to_set_it(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:*"))
    role = new_role(server, account, "worker", trust(account.account_id))
    refusal = refused(
        server.client("sts", keys).assume_role,
        RoleArn=role,
        RoleSessionName="session",
        SourceIdentity="ursula",
    )
    assert refusal[1] == "AccessDenied"
    assert "because no role trust policy allows the sts:SetSourceIdentity action" in refusal[2]


def tags(**pairs: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def test_tags_need_the_trust_to_tag(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:*"))
    role = new_role(server, account, "worker", trust(account.account_id))
    refusal = refused(
        server.client("sts", keys).assume_role,
        RoleArn=role,
        RoleSessionName="session",
        Tags=tags(team="blue"),
    )
    assert refusal[1] == "AccessDenied"
    assert "because no role trust policy allows the sts:TagSession action" in refusal[2]


def test_a_trust_policy_says_which_tags(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:*"))
    blue = {
        "StringEquals": {"aws:RequestTag/Team": "blue"},
        "ForAllValues:StringEquals": {"aws:TagKeys": ["Team"]},
    }
    role = new_role(
        server,
        account,
        "worker",
        trust(account.account_id, "sts:AssumeRole", "sts:TagSession", Condition=blue),
    )
    assume(server, keys, role, Tags=tags(Team="blue"))
    sts = server.client("sts", keys)
    for wrong in (tags(Team="red"), tags(Team="blue", Cost="1"), tags(Cost="1"), []):
        refusal = refused(sts.assume_role, RoleArn=role, RoleSessionName="session", Tags=wrong)
        assert refusal[1] == "AccessDenied"


def test_tag_keys_that_differ_in_case_are_refused(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:*"))
    role = new_role(server, account, "worker", trust(account.account_id, "sts:AssumeRole", "sts:TagSession"))
    sts = server.client("sts", keys)
    request = {"RoleArn": role, "RoleSessionName": "session"}
    assert refused(sts.assume_role, **request, Tags=tags(Team="blue", team="red")) == (
        400,
        "InvalidParameterValue",
        "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
    )
    assert refused(sts.assume_role, **request, Tags=[{"Key": "aws:x", "Value": "1"}])[1] == (
        "InvalidParameterValue"
    )
    missing = refused(sts.assume_role, **request, Tags=tags(Team="blue"), TransitiveTagKeys=["Cost"])
    assert missing[1] == "InvalidParameterValue"


def test_a_transitive_tag_stays_whatever_its_spelling(server: Server, account: Account) -> None:
    keys = new_user(server, account, "ursula", allow("sts:*"))
    trusts = trust(account.account_id, "sts:AssumeRole", "sts:TagSession")
    first = new_role(server, account, "first", trusts, allow("sts:*"))
    is_blue = {"StringEquals": {"aws:PrincipalTag/Team": "blue"}}
    second = new_role(server, account, "second", trusts, allow("iam:ListRoles", Condition=is_blue))
    session = assume(server, keys, first, Tags=tags(Team="blue", Cost="1"), TransitiveTagKeys=["TEAM"])
    refusal = refused(
        server.client("sts", session).assume_role,
        RoleArn=second,
        RoleSessionName="chained",
        Tags=tags(team="red"),
    )
    assert refusal[:2] == (400, "InvalidParameterValue")
    assert "conflicts with a transitive tag key" in refusal[2]
    chained = assume(server, session, second, Tags=tags(Cost="2"))
    assert server.client("iam", chained).list_roles()["Roles"]
