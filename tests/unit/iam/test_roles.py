import json

import msgspec
import pytest

from broker.access import trust
from broker.access.trust import bound_trust_policy
from broker.errors import Refusal
from broker.operation import Quotas
from broker.protocol.shapes import iam as shapes
from broker.storage.records import Account, Usage
from broker.storage.records import Role as RoleRecord
from broker.storage.records import User as UserRecord
from broker.storage.store import ACCOUNTS, ROLES, USERS

ACCOUNT = "111122223333"
OTHER_ACCOUNT = "444455556666"


def trusting(principal, **more):
    statement = {"Effect": "Allow", "Principal": principal, "Action": "sts:AssumeRole", **more}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


EC2 = trusting({"Service": "ec2.amazonaws.com"})
ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"


def new_role(name="app", document=EC2, **fields):
    return shapes.CreateRoleRequest(role_name=name, assume_role_policy_document=document, **fields)


async def get(iam, name="app"):
    return (await iam(shapes.GetRoleRequest(role_name=name))).role


async def record(store, name="app"):
    return await store.transaction().find(ROLES, ACCOUNT, name)


async def test_a_role_is_created_with_all_that_was_asked_for(iam):
    created = await iam(
        new_role(
            path="/service/",
            description="runs the app",
            max_session_duration=7200,
            permissions_boundary=ADMINISTRATOR,
            tags=(shapes.Tag(key="Team", value="blue"),),
        )
    )
    role = created.role
    assert role.arn == f"arn:aws:iam::{ACCOUNT}:role/service/app"
    assert role.role_id.startswith("AROA") and len(role.role_id) == 21
    assert role.assume_role_policy_document == EC2
    read = await get(iam, "APP")
    assert read.role_name == "app"
    assert read.description == "runs the app"
    assert read.max_session_duration == 7200
    assert read.permissions_boundary.permissions_boundary_arn == ADMINISTRATOR
    assert read.permissions_boundary.permissions_boundary_type == "Policy"
    assert read.tags == (shapes.Tag(key="Team", value="blue"),)
    assert read.role_last_used == shapes.RoleLastUsed()


async def test_a_role_without_settings_has_one_hour_and_the_root_path(iam):
    await iam(new_role())
    role = await get(iam)
    assert (role.path, role.max_session_duration, role.permissions_boundary) == ("/", 3600, None)


async def test_a_second_role_of_the_name_is_refused_in_whatever_case(iam):
    await iam(new_role("App"))
    assert await iam.refused(new_role("aPP")) == (
        "EntityAlreadyExists",
        "Role with name aPP already exists.",
    )


async def test_the_quota_of_roles_is_kept(iam):
    iam.quotas = Quotas(roles=1)
    await iam(new_role("one"))
    assert await iam.refused(new_role("two")) == (
        "LimitExceeded",
        "Cannot exceed quota for RolesPerAccount: 1",
    )


async def test_a_missing_role_is_no_such_entity(iam):
    refusal = ("NoSuchEntity", "The role with name ghost cannot be found.")
    assert await iam.refused(shapes.GetRoleRequest(role_name="ghost")) == refusal
    assert await iam.refused(shapes.DeleteRoleRequest(role_name="ghost")) == refusal
    assert await iam.refused(shapes.UpdateRoleRequest(role_name="ghost")) == refusal


async def test_a_boundary_must_be_a_policy_that_exists(iam):
    arn = f"arn:aws:iam::{ACCOUNT}:policy/ghost"
    assert await iam.refused(new_role(permissions_boundary=arn)) == (
        "NoSuchEntity",
        f"Scope ARN: {arn} does not exist or is not attachable.",
    )


@pytest.mark.parametrize(
    "document",
    [
        "not json",
        trusting({"Service": "ec2.amazonaws.com"}, Resource="*"),
        json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole"}]}),
    ],
    ids=["no JSON", "a resource", "no principal"],
)
async def test_what_is_no_trust_policy_is_malformed(iam, document):
    code, _ = await iam.refused(new_role(document=document))
    assert code == "MalformedPolicyDocument"


async def test_the_size_of_a_trust_policy_is_counted_without_white_space(iam):
    wide = json.dumps(json.loads(EC2), indent=200)
    assert len(wide) > 2048
    await iam(new_role(document=wide))
    long = trusting({"Service": "ec2.amazonaws.com"}, Sid="x" * 2048)
    assert await iam.refused(new_role("long", long)) == (
        "LimitExceeded",
        "Cannot exceed quota for ACLSizePerRole: 2048",
    )


@pytest.mark.parametrize("path", ["/aws-service-role/ec2.amazonaws.com/", "/aws-reserved/sso.amazonaws.com/"])
async def test_nobody_creates_a_role_under_a_reserved_path(iam, path):
    code, message = await iam.refused(new_role(path=path))
    assert code == "AccessDenied"
    assert "is not authorized to perform: iam:CreateRole" in message


async def put_kept_role(store, path):
    async def put(transaction):
        transaction.put(
            ROLES,
            ACCOUNT,
            RoleRecord(
                account_id=ACCOUNT,
                role_name="AWSServiceRoleForX",
                role_id="AROAEXAMPLE0000000001",
                path=path,
                created_at=1,
                assume_role_policy=EC2,
            ),
        )

    await store.transact(put)


async def test_roles_that_aws_keeps_are_not_modified(iam, store):
    await put_kept_role(store, "/aws-service-role/x.amazonaws.com/")
    name = "AWSServiceRoleForX"
    for request in (
        shapes.DeleteRoleRequest(role_name=name),
        shapes.UpdateRoleRequest(role_name=name, max_session_duration=7200),
        shapes.UpdateAssumeRolePolicyRequest(role_name=name, policy_document=EC2),
        shapes.AttachRolePolicyRequest(role_name=name, policy_arn=ADMINISTRATOR),
        shapes.DetachRolePolicyRequest(role_name=name, policy_arn=ADMINISTRATOR),
        shapes.PutRolePolicyRequest(role_name=name, policy_name="p", policy_document="{}"),
        shapes.DeleteRolePolicyRequest(role_name=name, policy_name="p"),
        shapes.PutRolePermissionsBoundaryRequest(role_name=name, permissions_boundary=ADMINISTRATOR),
        shapes.DeleteRolePermissionsBoundaryRequest(role_name=name),
    ):
        assert await iam.refused(request) == (
            "UnmodifiableEntity",
            "Cannot perform the operation on the protected role 'AWSServiceRoleForX' - "
            "this role is only modifiable by AWS",
        ), type(request).__name__
    described = await iam(shapes.UpdateRoleDescriptionRequest(role_name=name, description="X"))
    assert described.role.description == (await get(iam, name)).description == "X"


async def test_roles_that_aws_keeps_are_given_to_no_machine(iam, store):
    await put_kept_role(store, "/aws-service-role/x.amazonaws.com/")
    await iam(shapes.CreateInstanceProfileRequest(instance_profile_name="machines"))
    add = shapes.AddRoleToInstanceProfileRequest(
        instance_profile_name="machines", role_name="AWSServiceRoleForX"
    )
    assert (await iam.refused(add))[0] == "UnmodifiableEntity"


async def test_a_role_of_single_sign_on_is_not_even_described(iam, store):
    await put_kept_role(store, "/aws-reserved/sso.amazonaws.com/")
    request = shapes.UpdateRoleDescriptionRequest(role_name="AWSServiceRoleForX", description="X")
    assert (await iam.refused(request))[0] == "UnmodifiableEntity"


async def test_an_update_without_a_duration_keeps_it_and_the_description(iam):
    await iam(new_role(description="old", max_session_duration=7200))
    await iam(shapes.UpdateRoleRequest(role_name="app"))
    role = await get(iam)
    assert (role.description, role.max_session_duration) == ("old", 7200)
    await iam(shapes.UpdateRoleRequest(role_name="app", description="new", max_session_duration=43200))
    role = await get(iam)
    assert (role.description, role.max_session_duration) == ("new", 43200)


async def test_the_description_alone_is_updated_and_the_role_answered(iam):
    await iam(new_role(max_session_duration=7200))
    answer = await iam(shapes.UpdateRoleDescriptionRequest(role_name="app", description="new"))
    assert answer.role.description == "new"
    role = await get(iam)
    assert (role.description, role.max_session_duration) == ("new", 7200)


async def test_the_trust_policy_is_replaced_as_a_whole(iam):
    await iam(new_role())
    lambda_ = trusting({"Service": "lambda.amazonaws.com"})
    await iam(shapes.UpdateAssumeRolePolicyRequest(role_name="app", policy_document=lambda_))
    assert (await get(iam)).assume_role_policy_document == lambda_


async def test_a_role_in_use_is_not_deleted(iam):
    await iam(new_role())
    await iam(shapes.AttachRolePolicyRequest(role_name="app", policy_arn=ADMINISTRATOR))
    delete = shapes.DeleteRoleRequest(role_name="app")
    assert await iam.refused(delete) == (
        "DeleteConflict",
        "Cannot delete entity, must detach all policies first.",
    )
    await iam(shapes.DetachRolePolicyRequest(role_name="app", policy_arn=ADMINISTRATOR))
    allow = '{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"*","Resource":"*"}]}'
    await iam(shapes.PutRolePolicyRequest(role_name="app", policy_name="p", policy_document=allow))
    assert await iam.refused(delete) == (
        "DeleteConflict",
        "Cannot delete entity, must delete policies first.",
    )
    await iam(shapes.DeleteRolePolicyRequest(role_name="app", policy_name="p"))
    await iam(shapes.CreateInstanceProfileRequest(instance_profile_name="machines"))
    await iam(shapes.AddRoleToInstanceProfileRequest(instance_profile_name="machines", role_name="app"))
    assert await iam.refused(delete) == (
        "DeleteConflict",
        "Cannot delete entity, must remove roles from instance profile first.",
    )
    await iam(shapes.RemoveRoleFromInstanceProfileRequest(instance_profile_name="machines", role_name="app"))
    await iam(delete)
    assert (await iam.refused(shapes.GetRoleRequest(role_name="app")))[0] == "NoSuchEntity"


async def test_roles_are_listed_by_name_under_a_path_and_in_pages(iam):
    for name, path in (("c", "/a/"), ("B", "/a/b/"), ("a", "/a/"), ("z", "/")):
        await iam(new_role(name, path=path, tags=(shapes.Tag(key="k", value="v"),)))
    first = await iam(shapes.ListRolesRequest(path_prefix="/a/", max_items=2))
    assert [role.role_name for role in first.roles] == ["a", "B"]
    assert first.is_truncated
    assert first.roles[0].tags == ()
    second = await iam(shapes.ListRolesRequest(path_prefix="/a/", marker=first.marker))
    assert [role.role_name for role in second.roles] == ["c"]
    assert not second.is_truncated and second.marker is None


async def test_the_last_use_of_a_role_is_shown(iam, store):
    created = await iam(new_role())
    store.mark_used(ACCOUNT, created.role.role_id, Usage(last_used_at=1_799_999_000, region="eu-central-1"))
    used = (await get(iam)).role_last_used
    assert (used.last_used_date, used.region) == (1_799_999_000, "eu-central-1")


async def test_a_new_role_of_an_old_name_was_never_used(iam, store):
    created = await iam(new_role())
    store.mark_used(ACCOUNT, created.role.role_id, Usage(last_used_at=1_799_999_000, region="eu-central-1"))
    await iam(shapes.DeleteRoleRequest(role_name="app"))
    await iam(new_role())
    assert (await get(iam)).role_last_used == shapes.RoleLastUsed()


async def test_tags_of_a_role_are_laid_over_listed_and_taken_off(iam):
    await iam(new_role(tags=(shapes.Tag(key="Team", value="blue"), shapes.Tag(key="a", value="1"))))
    await iam(shapes.TagRoleRequest(role_name="app", tags=(shapes.Tag(key="team", value="red"),)))
    await iam(shapes.UntagRoleRequest(role_name="app", tag_keys=("A",)))
    listed = await iam(shapes.ListRoleTagsRequest(role_name="app"))
    assert listed.tags == (shapes.Tag(key="team", value="red"),)


# Whom a trust policy means.


@pytest.mark.parametrize(
    "arn",
    [
        f"arn:aws:iam::{ACCOUNT}:user/ghost",
        f"arn:aws:iam::{ACCOUNT}:role/ghost",
        f"arn:aws:iam::{ACCOUNT}:user/other/path/bob",
        f"arn:aws:iam::{ACCOUNT}:group/people",
        f"arn:aws:sts::{ACCOUNT}:assumed-role/ghost/session",
        "AIDAGHOST000000000001",
    ],
)
async def test_a_principal_that_does_not_exist_is_invalid(iam, arn):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    code, message = await iam.refused(new_role(document=trusting({"AWS": arn})))
    assert code == "MalformedPolicyDocument"
    assert message == f'Invalid principal in policy: "AWS":"{arn}"'


async def test_a_role_cannot_trust_itself_before_it_is(iam):
    document = trusting({"AWS": f"arn:aws:iam::{ACCOUNT}:role/app"})
    assert (await iam.refused(new_role(document=document)))[0] == "MalformedPolicyDocument"
    await iam(new_role())
    await iam(shapes.UpdateAssumeRolePolicyRequest(role_name="app", policy_document=document))
    assert (await get(iam)).assume_role_policy_document == document


@pytest.mark.parametrize(
    "principal",
    [{"AWS": "*"}, {"AWS": ACCOUNT}, {"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:root"}],
)
async def test_accounts_and_everyone_are_bound_to_nobody(iam, store, principal):
    await iam(new_role(document=trusting(principal)))
    assert (await record(store)).trusted_ids == {}


async def test_everyone_is_written_as_aws_takes_it_in_a_trust_policy(iam):
    code, message = await iam.refused(new_role(document=trusting("*")))
    assert code == "MalformedPolicyDocument"
    assert message.startswith('AssumeRolepolicy contained an invalid principal: "STAR":"*".')


@pytest.mark.parametrize("element", ["Principal", "NotPrincipal"])
async def test_an_account_is_shown_by_the_arn_of_its_root_and_judged_as_written(iam, store, element):
    condition = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    statement = {"Effect": "Deny", "Action": "sts:AssumeRole", "Condition": condition}
    written = {"AWS": [ACCOUNT, f"arn:aws:iam::{OTHER_ACCOUNT}:root"], "Service": "ec2.amazonaws.com"}
    shown = {**written, "AWS": [f"arn:aws:iam::{one}:root" for one in (ACCOUNT, OTHER_ACCOUNT)]}
    document = json.dumps({"Version": "2012-10-17", "Statement": {**statement, element: written}})
    await iam(new_role())
    await store_trust(store, document)
    shown_policy = json.loads((await get(iam)).assume_role_policy_document)
    assert shown_policy == {"Version": "2012-10-17", "Statement": {**statement, element: shown}}
    assert str(bound_trust_policy(await record(store))) == document


async def store_trust(store, document):
    """As an earlier version of the broker may have stored it."""

    async def work(transaction):
        role = await transaction.find(ROLES, ACCOUNT, "app")
        transaction.put(ROLES, ACCOUNT, msgspec.structs.replace(role, assume_role_policy=document))

    await store.transact(work)


@pytest.mark.parametrize("effect", ["Allow", "Deny"])
async def test_a_trust_policy_with_not_principal_is_refused_and_changes_nothing(iam, effect):
    statement = {"Effect": effect, "Action": "sts:AssumeRole", "NotPrincipal": {"AWS": ACCOUNT}}
    document = json.dumps({"Version": "2012-10-17", "Statement": statement})
    said = {"Deny": "Has prohibited field NotPrincipal", "Allow": "Allow with NotPrincipal is not allowed."}
    refusal = ("MalformedPolicyDocument", said[effect])
    assert await iam.refused(new_role(document=document)) == refusal
    assert (await iam.refused(shapes.GetRoleRequest(role_name="app")))[0] == "NoSuchEntity"
    await iam(new_role())
    update = shapes.UpdateAssumeRolePolicyRequest(role_name="app", policy_document=document)
    assert await iam.refused(update) == refusal
    assert (await get(iam)).assume_role_policy_document == EC2


async def test_a_long_trust_policy_is_shown_as_a_short_one_and_not_cached(iam):
    document = trusting({"AWS": ACCOUNT}).replace(" ", " " * 4000)
    await iam(new_role(document=document))
    before = trust._cached_with_account_arns.cache_info().currsize
    shown_policy = json.loads((await get(iam)).assume_role_policy_document)
    assert shown_policy["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:root"}
    assert trust._cached_with_account_arns.cache_info().currsize == before


async def test_a_trust_policy_that_names_no_account_so_is_shown_to_the_letter(iam):
    condition = {"StringEquals": {"aws:SourceAccount": ACCOUNT}}
    document = trusting({"Service": "ec2.amazonaws.com"}, Condition=condition).replace(",", " , ")
    await iam(new_role(document=document))
    assert (await get(iam)).assume_role_policy_document == document


async def test_principals_of_accounts_elsewhere_pass_by_name(iam, store):
    document = trusting({"AWS": f"arn:aws:iam::{OTHER_ACCOUNT}:role/deployer"})
    await iam(new_role(document=document))
    assert (await record(store)).trusted_ids == {}


async def test_principals_of_another_account_of_this_broker_are_checked_and_bound(iam, store):
    arn = f"arn:aws:iam::{OTHER_ACCOUNT}:user/eve"

    async def create_account(transaction):
        transaction.put(ACCOUNTS, "", Account(account_id=OTHER_ACCOUNT))

    await store.transact(create_account)
    assert (await iam.refused(new_role(document=trusting({"AWS": arn}))))[0] == "MalformedPolicyDocument"

    async def create_user(transaction):
        eve = UserRecord(
            account_id=OTHER_ACCOUNT, user_name="eve", user_id="AIDAEVE00000000000001", created_at=1
        )
        transaction.put(USERS, OTHER_ACCOUNT, eve)

    await store.transact(create_user)
    await iam(new_role(document=trusting({"AWS": arn})))
    assert (await record(store)).trusted_ids == {arn: "AIDAEVE00000000000001"}


async def test_a_trust_policy_is_judged_by_unique_ids_and_shown_by_arns(iam, store):
    bob = (await iam(shapes.CreateUserRequest(user_name="bob"))).user
    deployer = (await iam(new_role("deployer"))).role
    session = f"arn:aws:sts::{ACCOUNT}:assumed-role/deployer/night"
    document = trusting({"AWS": [bob.arn, deployer.arn, session, f"arn:aws:iam::{ACCOUNT}:root"]})
    await iam(new_role(document=document))
    bound = json.loads(str(bound_trust_policy(await record(store))))
    assert bound["Statement"][0]["Principal"]["AWS"] == [
        bob.user_id,
        deployer.role_id,
        f"{deployer.role_id}:night",
        f"arn:aws:iam::{ACCOUNT}:root",
    ]
    assert (await get(iam)).assume_role_policy_document == document


async def test_an_arn_in_a_condition_is_no_principal(iam, store):
    bob = (await iam(shapes.CreateUserRequest(user_name="bob"))).user
    condition = {"ArnEquals": {"aws:PrincipalArn": bob.arn}}
    await iam(new_role(document=trusting({"AWS": bob.arn}, Condition=condition)))
    statement = json.loads(str(bound_trust_policy(await record(store))))["Statement"][0]
    assert statement["Principal"] == {"AWS": bob.user_id}
    assert statement["Condition"] == condition


async def test_a_namesake_of_a_deleted_user_is_a_stranger(iam, store):
    first = (await iam(shapes.CreateUserRequest(user_name="bob"))).user
    await iam(new_role(document=trusting({"AWS": first.arn})))
    await iam(shapes.DeleteUserRequest(user_name="bob"))
    second = (await iam(shapes.CreateUserRequest(user_name="bob"))).user
    assert second.arn == first.arn and second.user_id != first.user_id
    bound = str(bound_trust_policy(await record(store)))
    assert first.user_id in bound and second.user_id not in bound and first.arn not in bound
    shown = json.loads((await get(iam)).assume_role_policy_document)
    assert shown["Statement"][0]["Principal"] == {"AWS": first.user_id}
    listed = await iam(shapes.ListRolesRequest())
    assert first.user_id in listed.roles[0].assume_role_policy_document


async def test_a_renamed_user_is_still_trusted_and_shown_under_the_new_name(iam, store):
    bob = (await iam(shapes.CreateUserRequest(user_name="bob"))).user
    await iam(new_role(document=trusting({"AWS": bob.arn})))
    await iam(shapes.UpdateUserRequest(user_name="bob", new_user_name="robert"))
    await iam(shapes.CreateUserRequest(user_name="bob"))
    assert bob.user_id in str(bound_trust_policy(await record(store)))
    shown = json.loads((await get(iam)).assume_role_policy_document)
    assert shown["Statement"][0]["Principal"] == {"AWS": f"arn:aws:iam::{ACCOUNT}:user/robert"}


async def test_the_unique_id_of_somebody_here_may_be_written_in_a_trust_policy(iam):
    bob = (await iam(shapes.CreateUserRequest(user_name="bob"))).user
    document = trusting({"AWS": bob.user_id})
    await iam(new_role(document=document))
    assert (await get(iam)).assume_role_policy_document == document


# Who may.


async def test_the_boundary_asked_for_is_a_condition_key_of_create_role(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": "iam:CreateRole",
                "Resource": f"arn:aws:iam::{ACCOUNT}:role/teams/*",
                "Condition": {"ArnEquals": {"iam:PermissionsBoundary": ADMINISTRATOR}},
            }
        ],
    }
    await iam(
        shapes.PutUserPolicyRequest(user_name="bob", policy_name="p", policy_document=json.dumps(document))
    )
    assert (await iam.refused(new_role(path="/teams/"), user="bob"))[0] == "AccessDenied"
    elsewhere = new_role(path="/other/", permissions_boundary=ADMINISTRATOR)
    assert (await iam.refused(elsewhere, user="bob"))[0] == "AccessDenied"
    await iam(new_role(path="/teams/", permissions_boundary=ADMINISTRATOR), user="bob")


async def test_the_boundary_that_a_role_has_is_a_condition_key_of_its_change(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    document = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["iam:AttachRolePolicy", "iam:DeleteRole"],
                "Resource": "*",
                "Condition": {"ArnEquals": {"iam:PermissionsBoundary": ADMINISTRATOR}},
            }
        ],
    }
    await iam(
        shapes.PutUserPolicyRequest(user_name="bob", policy_name="p", policy_document=json.dumps(document))
    )
    await iam(new_role("free"))
    await iam(new_role("bounded", permissions_boundary=ADMINISTRATOR))
    read_only = "arn:aws:iam::aws:policy/ReadOnlyAccess"
    attach = shapes.AttachRolePolicyRequest(role_name="free", policy_arn=read_only)
    assert (await iam.refused(attach, user="bob"))[0] == "AccessDenied"
    await iam(shapes.AttachRolePolicyRequest(role_name="bounded", policy_arn=read_only), user="bob")


async def test_whoever_may_not_ask_learns_nothing_of_what_exists(iam):
    await iam(shapes.CreateUserRequest(user_name="bob"))
    await iam(new_role())
    there = await iam.refused(shapes.GetRoleRequest(role_name="app"), user="bob")
    absent = await iam.refused(shapes.GetRoleRequest(role_name="abc"), user="bob")
    assert there[0] == absent[0] == "AccessDenied"


async def test_a_role_that_trusts_a_misspelt_service_is_refused_and_the_log_names_the_one_that_was_meant(iam):
    await iam(new_role())
    document = trusting({"Service": "esc-tasks.amazonaws.com"})
    for request in (
        new_role("other", document),
        shapes.UpdateAssumeRolePolicyRequest(role_name="app", policy_document=document),
    ):
        with pytest.raises(Refusal) as refused:
            await iam(request)
        assert refused.value.code == "MalformedPolicyDocument"
        assert refused.value.message == 'Invalid principal in policy: "SERVICE":"esc-tasks.amazonaws.com"'
        assert "did you mean ecs-tasks.amazonaws.com?" in refused.value.reason
    assert (await get(iam)).assume_role_policy_document == EC2


async def test_a_role_may_trust_a_service_of_the_operators_own(iam):
    document = trusting({"Service": "scheduler.corp.example"})
    assert (await iam.refused(new_role(document=document)))[0] == "MalformedPolicyDocument"
    iam.service_principals = frozenset({"scheduler.corp.example"})
    await iam(new_role(document=document))
    iam.service_principals = frozenset()
    assert (await get(iam)).assume_role_policy_document == document, (
        "and it stays readable when the setting goes"
    )


async def test_the_longest_sign_in_is_unset_until_it_is_given_and_stays_until_it_is_reset(iam):
    await iam(new_role())
    assert (await get(iam)).max_signin_session_duration is None
    await iam(shapes.UpdateRoleRequest(role_name="app", max_signin_session_duration=3600))
    await iam(shapes.UpdateRoleRequest(role_name="app", description="new"))
    assert (await get(iam)).max_signin_session_duration == 3600
    (listed,) = (await iam(shapes.ListRolesRequest())).roles
    assert listed.max_signin_session_duration == 3600
    await iam(shapes.UpdateRoleRequest(role_name="app", reset_max_signin_session_duration=False))
    assert (await get(iam)).max_signin_session_duration == 3600
    await iam(shapes.UpdateRoleRequest(role_name="app", reset_max_signin_session_duration=True))
    assert (await get(iam)).max_signin_session_duration is None


async def test_a_new_role_may_say_how_long_a_sign_in_lasts(iam):
    await iam(new_role(max_signin_session_duration=7_776_000))
    assert (await get(iam)).max_signin_session_duration == 7_776_000


async def test_a_sign_in_is_not_both_set_and_reset(iam):
    await iam(new_role(max_signin_session_duration=3600))
    both = shapes.UpdateRoleRequest(
        role_name="app",
        description="new",
        max_signin_session_duration=7200,
        reset_max_signin_session_duration=True,
    )
    assert (await iam.refused(both))[0] == "InvalidInput"
    role = await get(iam)
    assert (role.max_signin_session_duration, role.description) == (3600, None)
