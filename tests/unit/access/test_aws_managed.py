import json
import lzma
import subprocess
import sys
from fnmatch import fnmatchcase
from importlib.resources import files

import pytest

from broker.access.aws_managed import (
    all_aws_managed,
    find_aws_managed,
    find_task_policy,
    is_aws_managed,
    is_service_linked_policy,
)
from broker.policy import PolicyKind, parse_policy

TASKS = (
    "IAMAuditRootUserCredentials",
    "IAMCreateRootUserPassword",
    "IAMDeleteRootUserCredentials",
    "S3UnlockBucketPolicy",
    "SQSUnlockQueuePolicy",
)
PREFIX = "arn:aws:iam::aws:policy"


def statements(path):
    return json.loads(find_aws_managed(PREFIX + path).document)["Statement"]


@pytest.mark.parametrize("kind", [PolicyKind.IDENTITY, PolicyKind.BOUNDARY, PolicyKind.SESSION])
def test_every_default_document_is_one_that_iam_would_store(kind):
    for policy in all_aws_managed():
        assert parse_policy(policy.document, kind).statements, policy.arn


def test_every_document_is_the_one_of_its_version():
    """The whole file at once, as `xz -dc` reads it, is what the versions read from their blocks."""
    packed = files("broker.access").joinpath("aws_managed_documents.xz").read_bytes()
    versions = [version for policy in all_aws_managed() for version in policy.versions]
    versions.sort(key=lambda version: (version.block, version.line))
    assert lzma.decompress(packed).decode().splitlines() == [version.document for version in versions]


def test_a_policy_is_found_by_its_arn_and_by_no_other():
    found = find_aws_managed("arn:aws:iam::aws:policy/AdministratorAccess")
    assert (found.policy_name, found.path, found.created_at) == ("AdministratorAccess", "/", 1423247986)
    assert find_aws_managed("arn:aws:iam::aws:policy/administratoraccess") is None
    assert find_aws_managed("arn:aws:iam::aws:policy/service-role/AdministratorAccess") is None
    assert find_aws_managed("arn:aws:iam::123456789012:policy/AdministratorAccess") is None
    assert is_aws_managed("arn:aws:iam::aws:policy/Whatever")
    assert not is_aws_managed("arn:aws:iam::123456789012:policy/AdministratorAccess")


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("/SecurityAudit", "iam:GenerateCredentialReport"),
        ("/job-function/ViewOnlyAccess", "s3:ListAllMyBuckets"),
        ("/AmazonS3FullAccess", "s3:*"),
        ("/AmazonSSMManagedInstanceCore", "ssm:UpdateInstanceInformation"),
        ("/service-role/AWSLambdaBasicExecutionRole", "logs:PutLogEvents"),
        ("/aws-service-role/AWSTrustedAdvisorServiceRolePolicy", "ec2:DescribeAddresses"),
    ],
)
def test_the_policies_of_templates_are_there_under_their_paths(path, action):
    assert any(action in statement["Action"] for statement in statements(path))


def test_an_earlier_version_is_what_it_was():
    policy = find_aws_managed("arn:aws:iam::aws:policy/PowerUserAccess")
    first = json.loads(policy.versions[0].document)
    assert (policy.versions[0].version_id, policy.versions[0].created_at) == ("v1", 1423247987)
    assert first["Statement"] == [{"Effect": "Allow", "NotAction": "iam:*", "Resource": "*"}]
    assert policy.default_version_id == policy.default_version.version_id != "v1"
    assert policy.document == policy.default_version.document != policy.versions[0].document


def test_versions_are_in_order_and_the_default_was_made_when_the_policy_was_last_changed():
    for policy in all_aws_managed():
        numbers = [version.number for version in policy.versions]
        dates = [version.created_at for version in policy.versions]
        assert numbers == sorted(set(numbers)) and dates == sorted(dates), policy.arn
        assert policy.default_version.created_at == policy.updated_at >= policy.created_at, policy.arn


def test_a_statement_that_no_policy_may_have_is_left_out():
    first, second = statements("/AmazonDevOpsGuruOrganizationsAccess")
    assert (first["Sid"], second["Sid"]) == ("DevOpsGuruOrganizationsAccess", "OrganizationsAdminDataAccess")


@pytest.mark.parametrize("arn", ["user/alice", "user/division/alice"])
def test_users_change_their_own_password_wherever_their_path_is(arn):
    (own, _) = statements("/IAMUserChangePassword")
    patterns = [pattern.replace("${aws:username}", "alice") for pattern in own["Resource"]]
    assert any(fnmatchcase(f"arn:aws:iam::123456789012:{arn}", pattern) for pattern in patterns)


@pytest.mark.parametrize("name", TASKS)
def test_a_task_policy_only_denies_and_first_of_all_what_it_does_not_list(name):
    found = statements(f"/root-task/{name}")
    assert {statement["Effect"] for statement in found} == {"Deny"}
    assert (found[0]["Resource"], len(found[0]["NotAction"]) > 0) == ("*", True)
    assert "Condition" not in found[0]


def test_only_the_five_are_task_policies():
    names = {policy.policy_name for policy in all_aws_managed() if find_task_policy(policy.arn) is not None}
    assert names == set(TASKS)
    assert find_task_policy("arn:aws:iam::aws:policy/root-task/Gone") is None
    assert find_task_policy("arn:aws:iam::123456789012:policy/root-task/S3UnlockBucketPolicy") is None


def test_the_policies_of_service_linked_roles_are_known_by_their_path():
    assert is_service_linked_policy("arn:aws:iam::aws:policy/aws-service-role/AWSSupportServiceRolePolicy")
    assert not is_service_linked_policy("arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole")


def test_unique_ids_are_distinct_and_well_formed():
    unique_ids = {policy.policy_id for policy in all_aws_managed()}
    assert len(unique_ids) == len(all_aws_managed()) > 1_500
    assert all(unique_id.startswith("ANPA") and len(unique_id) == 21 for unique_id in unique_ids)


def test_a_broker_that_names_none_of_them_reads_none():
    script = (
        "import broker.app.compose, broker.commands.serving\n"
        "from broker.access import aws_managed\n"
        "aws_managed.find_aws_managed('arn:aws:iam::123456789012:policy/mine')\n"
        "print(aws_managed._list.cache_info().currsize)\n"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout == "0\n"
