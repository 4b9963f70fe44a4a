"""Trust policies to copy: each is one that IAM takes, and names the client and whose people it means."""

import json
from typing import Any

import pytest

from broker.policy import PolicyKind, named_principals, parse_policy
from broker.portal.console.trust_templates import openid_trust_policy, saml_trust_policy

OF_ACCOUNT = "arn:aws:iam::111111111111"


def openid(name: str, client_id: str = "app") -> dict[str, Any]:
    arn = f"{OF_ACCOUNT}:oidc-provider/{name}"
    text = openid_trust_policy(arn, client_id)
    assert named_principals(parse_policy(text, PolicyKind.TRUST, is_new=True)).federated == (arn,)
    conditions: dict[str, Any] = json.loads(text)["Statement"][0]["Condition"]
    return conditions


def test_an_unknown_provider_is_narrowed_to_a_subject():
    assert openid("id.example.com/x") == {
        "StringEquals": {"id.example.com/x:aud": "app", "id.example.com/x:sub": "SUBJECT"}
    }


def test_without_a_client_there_is_a_place_for_one():
    assert openid("id.example.com", "")["StringEquals"]["id.example.com:aud"] == "CLIENT-ID"


def test_a_public_provider_is_narrowed_to_a_tenant_of_its_own_words():
    github = "token.actions.githubusercontent.com"
    assert openid(github)["StringEquals"][f"{github}:sub"].startswith("repo:ORGANIZATION/REPOSITORY")
    terraform = openid("app.terraform.io")
    assert terraform["StringLike"]["app.terraform.io:sub"].startswith("organization:ORGANIZATION:")


def test_the_tenant_that_the_issuer_names_is_filled_in():
    entra = "login.microsoftonline.com/72f988bf-86f1-41af-91ab-2d7cd011db47/v2.0"
    assert openid(entra)["StringEquals"][f"{entra}:tid"] == "72f988bf-86f1-41af-91ab-2d7cd011db47"


@pytest.mark.parametrize("name", ["a.example", "gitlab.example.com", "oidc.eks.eu-west-1.amazonaws.com/id/1"])
def test_no_template_trusts_everybody_of_a_provider(name: str):
    narrowed = [key for condition in openid(name).values() for key in condition if not key.endswith(":aud")]
    assert narrowed


def test_a_saml_provider_is_bound_to_the_recipient():
    arn = f"{OF_ACCOUNT}:saml-provider/staff"
    text = saml_trust_policy(arn)
    assert named_principals(parse_policy(text, PolicyKind.TRUST, is_new=True)).federated == (arn,)
    assert "SAML:aud" in text
