from typing import Any

import pytest

from broker.protocol.shapes import iam as shapes
from tests.unit.simulator.simulating import allow, deny, document

ENABLED = "RoleManager/Enabled"


def put(**properties: str) -> shapes.PutAccountPropertiesRequest:
    return shapes.PutAccountPropertiesRequest(
        properties={key.replace("__", "/"): value for key, value in properties.items()}
    )


async def read(iam: Any, **who: Any) -> dict[str, str]:
    properties: dict[str, str] = (await iam(shapes.GetAccountPropertiesRequest(), **who)).properties
    return properties


async def test_role_manager_is_off_and_stays_so(iam: Any) -> None:
    assert await read(iam) == {ENABLED: "false"}
    await iam(put(RoleManager__Enabled="false"))
    code, message = await iam.refused(put(RoleManager__Enabled="true"))
    assert (code, "no Role Manager" in message) == ("NotImplemented", True)
    assert await read(iam) == {ENABLED: "false"}


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({"Enabled": "false"}, "Property key must be in format Namespace/PropertyName: Enabled"),
        ({"RoleManager__": "false"}, "Property key must be in format Namespace/PropertyName: RoleManager/"),
        ({"A__B__C": "false"}, "Property key must be in format Namespace/PropertyName: A/B/C"),
        (
            {"RoleManager__Enabled": "false", "Other__Enabled": "false"},
            "All properties must belong to the same namespace",
        ),
        ({"Other__Enabled": "false"}, "Unsupported namespace: Other"),
        ({"RoleManager__Size": "1"}, "RoleManager namespace requires Enabled property"),
        (
            {"RoleManager__Enabled": "false", "RoleManager__Size": "1"},
            "Unsupported property: RoleManager/Size",
        ),
        ({"RoleManager__Enabled": "False"}, "Enabled must be 'true' or 'false'"),
    ],
)
async def test_what_is_no_property_is_refused(iam: Any, properties: dict[str, str], message: str) -> None:
    assert await iam.refused(put(**properties)) == ("InvalidInput", message)


async def test_policies_may_look_at_the_namespaces(iam: Any) -> None:
    await iam(shapes.CreateUserRequest(user_name="bob"))
    named = {"ForAnyValue:StringEquals": {"iam:AccountPropertyNamespaces": "RoleManager"}}
    policy = document(allow("iam:*"), deny("iam:PutAccountProperties", Condition=named))
    await iam(shapes.PutUserPolicyRequest(user_name="bob", policy_name="may", policy_document=policy))
    assert await read(iam, user="bob") == {ENABLED: "false"}
    assert (await iam.refused(put(RoleManager__Enabled="false"), user="bob"))[0] == "AccessDenied"
    assert (await iam.refused(put(Other__Enabled="false"), user="bob"))[0] == "InvalidInput"
