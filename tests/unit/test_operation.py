"""What an operation must declare: a name that the model knows, one owner, and a proof exactly where nobody signs."""

from typing import Any

import pytest

import broker.iam  # noqa: F401  declares its operations
from broker.operation import Prove, no_resource, operation


async def handler(call: Any, request: Any) -> None:
    return None


async def prove(store: Any, facts: Any, request: Any) -> Any:
    return None


@pytest.mark.parametrize(
    ("action", "proof", "said"),
    [
        ("iam:MakeUser", None, "the model of iam knows no operation MakeUser"),
        ("iam:CreateUser", None, "iam:CreateUser has an owner already"),
        ("sts:AssumeRoleWithSAML", None, "nobody signs sts:AssumeRoleWithSAML: it has to prove its caller itself"),
        ("iam:ListServerCertificates", prove, "callers sign iam:ListServerCertificates: their signature is the proof"),
    ],
)  # fmt: skip
def test_an_operation_that_cannot_stand_is_refused_at_import(
    action: str, proof: Prove | None, said: str
) -> None:
    with pytest.raises(ValueError) as refused:
        operation(action, resource=no_resource, prove=proof)(handler)
    assert said in str(refused.value)
