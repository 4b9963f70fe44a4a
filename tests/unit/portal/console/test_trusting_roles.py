"""Which roles trust a provider, by their trust policies."""

import json
from typing import Any

from broker.portal.console.trusting_roles import roles_that_trust
from broker.protocol.shapes import iam as shapes

PROVIDER = "arn:aws:iam::111111111111:oidc-provider/id.example"


def role(name: str, document: Any) -> shapes.Role:
    text = document if isinstance(document, str) else json.dumps(document)
    return shapes.Role(
        path="/",
        role_name=name,
        role_id="AROA",
        arn=f"arn:aws:iam::111111111111:role/{name}",
        create_date=1,
        assume_role_policy_document=text,
    )


def trusting(principal: Any, effect: str = "Allow") -> dict[str, Any]:
    statement = {"Effect": effect, "Principal": principal, "Action": "sts:AssumeRoleWithWebIdentity"}
    return {"Version": "2012-10-17", "Statement": [statement]}


def test_only_an_allow_that_names_the_provider_is_trust():
    roles = [
        role("one", trusting({"Federated": PROVIDER})),
        role("of-several", trusting({"Federated": ["accounts.google.com", PROVIDER]})),
        role("another", trusting({"Federated": f"{PROVIDER}/x"})),
        role("denied", trusting({"Federated": PROVIDER}, "Deny")),
        role("unreadable", "{"),
    ]
    assert [found.name for found in roles_that_trust(roles, PROVIDER)] == ["one", "of-several"]
