"""Fifty clients change the same names at once: no update is lost, nothing dangles, quotas hold; on both engines."""

import json
import random
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from tests.e2e.conftest import REGION, Account, Server, sdk

CLIENTS = 50
READ = json.dumps(
    {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}}
)
POLICIES = [
    f"arn:aws:iam::aws:policy/{name}"
    for name in (
        *("ReadOnlyAccess", "SecurityAudit", "AdministratorAccess", "PowerUserAccess"),
        *("AmazonS3FullAccess", "AmazonS3ReadOnlyAccess", "IAMReadOnlyAccess", "IAMFullAccess"),
        *("AmazonEC2FullAccess", "AmazonEC2ReadOnlyAccess", "AmazonSQSFullAccess", "AmazonSNSFullAccess"),
    )
]
# What a race may end with; anything else is an error of the broker.
LOSSES = {"NoSuchEntity", "EntityAlreadyExists", "DeleteConflict", "LimitExceeded", "ConcurrentModification"}


@pytest.fixture
def iam(server: Server, account: Account) -> Any:
    """A client of root that fifty threads share: botocore's clients are safe for that."""
    return sdk().client(
        "iam",
        region_name=REGION,
        endpoint_url=server.url,
        aws_access_key_id=account.root.access_key_id,
        aws_secret_access_key=account.root.secret_access_key,
        config=Config(max_pool_connections=CLIENTS, retries={"max_attempts": 0}, read_timeout=60),
    )


def at_once(works: Sequence[Callable[[], Any]]) -> Counter[str]:
    """The outcomes of `works`, each in a thread of its own: "done", or the code of the refusal."""

    def outcome(work: Callable[[], Any]) -> str:
        try:
            work()
        except ClientError as error:
            return str(error.response["Error"]["Code"])
        return "done"

    with ThreadPoolExecutor(CLIENTS) as threads:
        return Counter(threads.map(outcome, works))


def test_of_fifty_creations_of_one_name_one_is_done(iam: Any) -> None:
    names = ["same", "SAME"] * (CLIENTS // 2)
    expected = {"done": 1, "EntityAlreadyExists": CLIENTS - 1}
    assert at_once([lambda name=name: iam.create_user(UserName=name) for name in names]) == expected
    creations = [lambda name=name: iam.create_policy(PolicyName=name, PolicyDocument=READ) for name in names]
    assert at_once(creations) == expected


def test_no_attachment_is_lost_and_the_quota_holds(iam: Any) -> None:
    iam.create_user(UserName="many")
    attach = [lambda arn=arn: iam.attach_user_policy(UserName="many", PolicyArn=arn) for arn in POLICIES]
    outcomes = at_once(attach * 4)
    assert set(outcomes) == {"done", "LimitExceeded"}
    attached = iam.list_attached_user_policies(UserName="many")["AttachedPolicies"]
    assert len(attached) == 10, "the quota of a user"
    detach = [
        lambda arn=one["PolicyArn"]: iam.detach_user_policy(UserName="many", PolicyArn=arn)
        for one in attached
    ]
    assert at_once(detach * 5) == {"done": 10, "NoSuchEntity": 40}
    assert iam.list_attached_user_policies(UserName="many")["AttachedPolicies"] == []


def test_no_tag_of_fifty_writers_is_lost(iam: Any) -> None:
    iam.create_user(UserName="tagged")
    tags = [[{"Key": f"k{number}", "Value": str(number)}] for number in range(CLIENTS)]
    assert at_once([lambda tag=tag: iam.tag_user(UserName="tagged", Tags=tag) for tag in tags]) == {
        "done": CLIENTS
    }
    written = iam.list_user_tags(UserName="tagged", MaxItems=1000)["Tags"]
    assert {one["Key"]: one["Value"] for one in written} == {f"k{n}": str(n) for n in range(CLIENTS)}


def test_no_more_access_keys_are_made_than_the_quota_has(iam: Any) -> None:
    iam.create_user(UserName="keys")
    outcomes = at_once([lambda: iam.create_access_key(UserName="keys")] * CLIENTS)
    assert outcomes == {"done": 2, "LimitExceeded": CLIENTS - 2}


def test_nothing_dangles_when_everything_is_created_and_deleted_at_once(iam: Any) -> None:
    """Users, a group and a policy come and go while others use them: what is left refers to what exists."""
    random.seed(15)
    arn = iam.create_policy(PolicyName="shared", PolicyDocument=READ)["Policy"]["Arn"]
    user = "volatile"
    changes: list[Callable[[], Any]] = [
        lambda: iam.create_user(UserName=user),
        lambda: iam.delete_user(UserName=user),
        lambda: iam.create_group(GroupName="crowd"),
        lambda: iam.delete_group(GroupName="crowd"),
        lambda: iam.add_user_to_group(GroupName="crowd", UserName=user),
        lambda: iam.remove_user_from_group(GroupName="crowd", UserName=user),
        lambda: iam.attach_user_policy(UserName=user, PolicyArn=arn),
        lambda: iam.detach_user_policy(UserName=user, PolicyArn=arn),
        lambda: iam.delete_policy(PolicyArn=arn),
        lambda: iam.create_policy(PolicyName="shared", PolicyDocument=READ),
    ]
    outcomes = at_once([random.choice(changes) for _ in range(200)])
    assert set(outcomes) <= LOSSES | {"done"}, outcomes
    details = iam.get_account_authorization_details(
        Filter=["User", "Group", "LocalManagedPolicy"], MaxItems=1000
    )
    groups = {one["GroupName"] for one in details["GroupDetailList"]}
    policies = {one["Arn"]: one["AttachmentCount"] for one in details["Policies"]}
    used = Counter(
        attached["PolicyArn"]
        for one in details["UserDetailList"]
        for attached in one["AttachedManagedPolicies"]
    )
    assert {name for one in details["UserDetailList"] for name in one["GroupList"]} <= groups
    assert dict(used).items() <= policies.items(), "what is attached exists, and is counted"
    for group in groups:
        members = {one["UserName"] for one in iam.get_group(GroupName=group)["Users"]}
        assert members <= {one["UserName"] for one in details["UserDetailList"]}
