"""Trust in an identity provider that many organizations share needs a condition on the tenant."""

import json
from typing import Any

import pytest

from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.policy.shared_issuers import TENANT_KEYS

GITHUB = "token.actions.githubusercontent.com"
COGNITO = "cognito-identity.amazonaws.com"


def trust(issuer: str, condition: Any = None, effect: str = "Allow") -> str:
    provider = issuer if issuer == COGNITO else f"arn:aws:iam::123456789012:oidc-provider/{issuer}"
    statement = {
        "Effect": effect,
        "Principal": {"Federated": ["arn:aws:iam::123456789012:saml-provider/idp", provider]},
        "Action": ["sts:AssumeRoleWithWebIdentity", "sts:TagSession"],
        **({"Condition": condition} if condition else {}),
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def is_refused(text: str) -> str:
    with pytest.raises(MalformedPolicy) as refused:
        parse_policy(text, PolicyKind.TRUST, is_new=True)
    return refused.value.message


@pytest.mark.parametrize("issuer", sorted(TENANT_KEYS))
def test_trust_in_all_tenants_of_a_shared_issuer_is_refused(issuer: str) -> None:
    message = is_refused(trust(issuer))
    assert "Cognito" in message if issuer == COGNITO else TENANT_KEYS[issuer] in message
    assert parse_policy(trust(issuer), PolicyKind.TRUST), "what is stored is read for ever"
    assert parse_policy(
        trust(issuer, {"StringLike": {TENANT_KEYS[issuer]: "tenant*"}}), PolicyKind.TRUST, is_new=True
    )


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {f"{GITHUB}:aud": "sts.amazonaws.com"}},
        {"StringEquals": {"gitlab.com:sub": "project"}},
        {"StringLike": {f"{GITHUB}:sub": "*"}},
        {"StringLike": {f"{GITHUB}:sub": ["repo:mine/*", "**?"]}},
        {"StringNotEquals": {f"{GITHUB}:sub": "repo:theirs/one"}},
        {"StringNotLike": {f"{GITHUB}:sub": "repo:theirs/*"}},
        {"Null": {f"{GITHUB}:sub": "false"}},
        {"StringEquals": {f"{GITHUB}:sub": []}},
    ],
)
def test_a_condition_that_leaves_all_tenants_in_is_not_enough(condition: Any) -> None:
    assert is_refused(trust(GITHUB, condition)) == (
        f"A condition on {GITHUB}:sub must be present for the shared provider {GITHUB}"
    )


@pytest.mark.parametrize(
    "condition",
    [
        {"StringEquals": {f"{GITHUB}:sub": "repo:mine/one:ref:refs/heads/main"}},
        {"StringLike": {f"{GITHUB.upper()}:SUB": ["repo:mine/*", "repo:ours/*"]}},
        {"ForAnyValue:StringEqualsIgnoreCase": {f"{GITHUB}:sub": "repo:mine/one"}},
    ],
)
def test_a_condition_on_the_tenant_is_enough(condition: Any) -> None:
    assert parse_policy(trust(GITHUB, condition), PolicyKind.TRUST, is_new=True)


def test_an_issuer_of_ones_own_and_a_denial_need_no_condition() -> None:
    assert parse_policy(trust("gitlab.example.com"), PolicyKind.TRUST, is_new=True)
    assert parse_policy(trust("gitlab.com/other"), PolicyKind.TRUST, is_new=True)
    assert parse_policy(trust(GITHUB, effect="Deny"), PolicyKind.TRUST, is_new=True)
