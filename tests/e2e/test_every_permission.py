"""Each operation of IAM, by boto3, is refused to whom nothing is allowed."""

from typing import Any

from botocore import xform_name
from botocore.model import OperationModel, Shape

from tests.e2e.conftest import Account, Server
from tests.e2e.scenes import new_user, refused
from tests.unit.iam.conftest import ACCOUNT
from tests.unit.iam.test_root_tasks import VALUES, keys_of

# What is built otherwise in boto3's parameters than in the shapes of the broker.
PARAMETERS: dict[str, Any] = {
    "Permissions": {"PolicyTemplateArn": VALUES["policy_arn"]},
    "Tags": [{"Key": "team", "Value": "blue"}],
    "SAMLMetadataDocument": "x" * 1000,
    "DelegationRequestId": "a-request-of-nobody",
}
IDENTIFIERS = keys_of("dora")


def parameters_of(operation: OperationModel, account: Account) -> dict[str, Any]:
    """Those that the operation requires, with ARNs of the account."""
    if operation.input_shape is None:
        return {}
    return {
        name: PARAMETERS.get(name) or _in(account, _value(name, operation.input_shape.members[name]))
        for name in operation.input_shape.required_members
    }


def _value(name: str, shape: Shape) -> Any:
    value = VALUES.get(xform_name(name)) or IDENTIFIERS[xform_name(name)]
    return list(value) if shape.type_name == "list" else value


def _in(account: Account, value: Any) -> Any:
    return value.replace(ACCOUNT, account.account_id) if isinstance(value, str) else value


def test_no_operation_is_for_whom_nothing_is_allowed(server: Server, account: Account) -> None:
    eve = server.client("iam", new_user(server, account, "eve"))
    model, outcomes = eve.meta.service_model, {}
    for name in model.operation_names:
        asked = parameters_of(model.operation_model(name), account)
        outcomes[name] = refused(getattr(eve, xform_name(name)), **asked)
    assert len(outcomes) == 181
    strays = {name: outcome for name, outcome in outcomes.items() if outcome[:2] != (403, "AccessDenied")}
    assert strays == {}
