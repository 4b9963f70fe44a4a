"""Policies generated from the journal: who has nothing but such a policy may do the same again, and little else."""

import json
from typing import Any

import pytest

from tests.e2e.conftest import REGION, Account, Keys, Server
from tests.e2e.scenes import allow, document, new_role, new_user, refused, trust

TRUST = document({**trust("x"), "Principal": {"Service": "ec2.amazonaws.com"}})
TAGS = [{"Key": "team", "Value": "red"}]
NAMES = {
    "UserNameWithPath": ["made"],
    "GroupNameWithPath": ["made-group"],
    "RoleNameWithPath": ["made-role"],
    "PolicyNameWithPath": ["made-policy"],
    "InstanceProfileNameWithPath": ["made-profile"],
    "MfaTokenIdWithPath": ["made-device"],
    "FederatedUserName": ["fed"],
    "AnalyzerName": ["made-analyzer"],
}


def ask(client: Any, principal: str, **more: Any) -> Any:
    """The answer about the finished job."""
    job = client.start_policy_generation(policyGenerationDetails={"principalArn": principal}, **more)["jobId"]
    for _ in range(100):
        answer = client.get_generated_policy(jobId=job, includeResourcePlaceholders=True)
        if answer["jobDetails"]["status"] != "IN_PROGRESS":
            return answer
    raise AssertionError("the job does not end")


def filled(text: str, account: Account, names: dict[str, list[str]]) -> str:
    """The policy with these names in the place of its placeholders."""
    text = text.replace("${Account}", account.account_id).replace("${Region}", REGION)
    for placeholder, values in names.items():
        (value,) = values
        text = text.replace(f"${{{placeholder}}}", value)
    assert "${" not in text
    return text


def everyday_work(server: Server, account: Account, keys: Keys) -> None:
    """Makes things, looks at them, and removes them: may be done again by somebody else."""
    iam, sts = server.client("iam", keys), server.client("sts", keys)
    with pytest.raises(iam.exceptions.NoSuchEntityException):
        iam.get_user(UserName="made")
    iam.create_user(UserName="made", Tags=TAGS)
    iam.list_user_tags(UserName="made")
    iam.list_users()
    iam.create_group(GroupName="made-group")
    iam.add_user_to_group(GroupName="made-group", UserName="made")
    iam.get_group(GroupName="made-group")
    policy = iam.create_policy(PolicyName="made-policy", PolicyDocument=document(allow("s3:GetObject")))
    arn = policy["Policy"]["Arn"]
    iam.get_policy_version(PolicyArn=arn, VersionId="v1")
    iam.attach_user_policy(UserName="made", PolicyArn=arn)
    iam.create_role(RoleName="made-role", AssumeRolePolicyDocument=TRUST, Tags=TAGS)
    iam.put_role_policy(RoleName="made-role", PolicyName="in", PolicyDocument=document(allow("sqs:*")))
    iam.create_instance_profile(InstanceProfileName="made-profile")
    iam.add_role_to_instance_profile(InstanceProfileName="made-profile", RoleName="made-role")
    key = iam.create_access_key(UserName="made")["AccessKey"]["AccessKeyId"]
    device = iam.create_virtual_mfa_device(VirtualMFADeviceName="made-device")["VirtualMFADevice"]
    iam.simulate_principal_policy(
        PolicySourceArn=f"arn:aws:iam::{account.account_id}:user/made", ActionNames=["s3:GetObject"]
    )
    sts.get_caller_identity()
    sts.get_federation_token(Name="fed", Policy=document(allow("s3:GetObject")))
    analyzer = server.client("accessanalyzer", keys)
    found = analyzer.create_analyzer(analyzerName="made-analyzer", type="ACCOUNT")["arn"]
    analyzer.list_findings_v2(analyzerArn=found)
    analyzer.delete_analyzer(analyzerName="made-analyzer")

    iam.delete_virtual_mfa_device(SerialNumber=device["SerialNumber"])
    iam.delete_access_key(UserName="made", AccessKeyId=key)
    iam.remove_role_from_instance_profile(InstanceProfileName="made-profile", RoleName="made-role")
    iam.delete_instance_profile(InstanceProfileName="made-profile")
    iam.delete_role_policy(RoleName="made-role", PolicyName="in")
    iam.delete_role(RoleName="made-role")
    iam.detach_user_policy(UserName="made", PolicyArn=arn)
    iam.delete_policy(PolicyArn=arn)
    iam.remove_user_from_group(GroupName="made-group", UserName="made")
    iam.delete_group(GroupName="made-group")
    iam.delete_user(UserName="made")


def test_who_has_the_generated_policy_alone_may_do_the_same_again_and_little_else(
    server: Server, account: Account
) -> None:
    keys = new_user(server, account, "ann", allow("*"))
    everyday_work(server, account, keys)
    analyzer, iam = server.client("accessanalyzer", account.root), server.client("iam", account.root)
    answer = ask(analyzer, f"arn:aws:iam::{account.account_id}:user/ann")
    result = answer["generatedPolicyResult"]
    assert answer["jobDetails"]["status"] == "SUCCEEDED"
    assert result["properties"]["isComplete"] is True
    (policy,) = result["generatedPolicies"]
    text = filled(policy["policy"], account, NAMES)
    found = analyzer.validate_policy(policyDocument=text, policyType="IDENTITY_POLICY")["findings"]
    assert [one for one in found if one["findingType"] in ("ERROR", "SECURITY_WARNING")] == []

    bob = new_user(server, account, "bob")
    made = iam.create_policy(PolicyName="generated", PolicyDocument=text)["Policy"]["Arn"]
    iam.attach_user_policy(UserName="bob", PolicyArn=made)
    everyday_work(server, account, bob)
    own = server.client("iam", bob)
    for call, arguments in (
        (own.get_user, {"UserName": "ann"}),
        (own.list_roles, {}),
        (own.create_user, {"UserName": "other"}),
        (own.delete_role, {"RoleName": "other"}),
        (own.put_user_policy, {"UserName": "made", "PolicyName": "p", "PolicyDocument": text}),
        (own.attach_role_policy, {"RoleName": "made-role", "PolicyArn": made}),
    ):
        assert refused(call, **arguments)[1] == "AccessDenied", call
    # Of some thousand actions of the services it allows those that were used.
    actions = [one for statement in json.loads(text)["Statement"] for one in statement["Action"]]
    assert len(actions) == len(set(actions)) == 35


def test_what_sessions_of_a_role_did_counts_and_what_was_refused_does_not(
    server: Server, account: Account
) -> None:
    here = f"arn:aws:iam::{account.account_id}:root"
    role = new_role(server, account, "worker", trust(here), allow("iam:GetUser", "iam:ListUsers"))
    dana = new_user(server, account, "dana", allow("sts:AssumeRole"))
    for name in ("first", "second"):
        sts = server.client("sts", dana)
        session = Keys.of(sts.assume_role(RoleArn=role, RoleSessionName=name)["Credentials"])
        iam = server.client("iam", session)
        iam.get_user(UserName="dana") if name == "first" else iam.list_users()
        assert refused(iam.delete_user, UserName="dana")[1] == "AccessDenied"
    analyzer = server.client("accessanalyzer", account.root)
    (policy,) = ask(analyzer, role)["generatedPolicyResult"]["generatedPolicies"]
    assert json.loads(policy["policy"])["Statement"] == [
        {"Effect": "Allow", "Action": ["iam:ListUsers"], "Resource": "*"},
        {
            "Effect": "Allow",
            "Action": ["iam:GetUser"],
            "Resource": "arn:aws:iam::${Account}:user/${UserNameWithPath}",
        },
    ]
    of_dana = ask(analyzer, f"arn:aws:iam::{account.account_id}:user/dana")["generatedPolicyResult"]
    assert [json.loads(one["policy"])["Statement"] for one in of_dana["generatedPolicies"]] == [
        [
            {
                "Effect": "Allow",
                "Action": ["sts:AssumeRole"],
                "Resource": "arn:aws:iam::${Account}:role/${RoleNameWithPath}",
            }
        ]
    ]


def test_jobs_are_listed_and_those_that_cannot_be_are_refused(server: Server, account: Account) -> None:
    analyzer = server.client("accessanalyzer", account.root)
    here = f"arn:aws:iam::{account.account_id}"
    new_user(server, account, "ann")
    access = new_role(server, account, "access", trust(f"{here}:root"))
    trail = f"arn:aws:cloudtrail:{REGION}:{account.account_id}:trail/t"
    details = {
        "trails": [{"cloudTrailArn": trail, "allRegions": True}],
        "accessRole": access,
        "startTime": 1_700_000_000,
    }
    named = {"policyGenerationDetails": {"principalArn": f"{here}:user/ann"}, "clientToken": "1"}
    job, again = (analyzer.start_policy_generation(**named)["jobId"] for _ in range(2))
    assert job == again
    (listed,) = analyzer.list_policy_generations(principalArn=f"{here}:user/ann")["policyGenerations"]
    assert (listed["jobId"], listed["status"]) == (job, "SUCCEEDED")
    assert analyzer.list_policy_generations(principalArn=f"{here}:user/bob")["policyGenerations"] == []
    answer = analyzer.get_generated_policy(jobId=job)["generatedPolicyResult"]
    assert answer["generatedPolicies"] == []
    second = analyzer.start_policy_generation(**named | {"clientToken": "2"})["jobId"]
    analyzer.cancel_policy_generation(jobId=second)
    assert analyzer.get_generated_policy(jobId=second)["jobDetails"]["status"] == "CANCELED"
    own = server.client("accessanalyzer", new_user(server, account, "bob"))
    assert refused(own.list_policy_generations)[1] == "AccessDeniedException"
    for call, arguments, code in (
        (analyzer.get_generated_policy, {"jobId": "nowhere"}, "ValidationException"),
        (analyzer.cancel_policy_generation, {"jobId": "nowhere"}, "ValidationException"),
        (analyzer.cancel_policy_generation, {"jobId": job}, "ValidationException"),
        (
            analyzer.start_policy_generation,
            {"policyGenerationDetails": {"principalArn": f"{here}:user/nobody"}},
            "ValidationException",
        ),
        (
            analyzer.start_policy_generation,
            {**named, "policyGenerationDetails": {"principalArn": access}},
            "ConflictException",
        ),
        (
            analyzer.start_policy_generation,
            {**named, "clientToken": "3", "cloudTrailDetails": details},
            "ValidationException",  # more than ninety days
        ),
    ):
        assert refused(call, **arguments)[:2] == ({"ConflictException": 409}.get(code, 400), code), arguments
