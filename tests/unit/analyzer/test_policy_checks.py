"""Custom policy checks where they cannot be made, and what an answer becomes on the wire."""

from types import SimpleNamespace
from typing import Any

import pytest

from broker.analyzer.policy_checks import check_no_public_access
from broker.errors import Refusal
from broker.operation import Prepared
from broker.policy.solver import CheckAnswer, CheckReason, CustomCheck
from broker.protocol.shapes import accessanalyzer as shapes

REQUEST = shapes.CheckNoPublicAccessRequest(policy_document="{}", resource_type="AWS::S3::Bucket")
ANYTHING: Any = Prepared(None, None)  # type: ignore[arg-type]


def call(check_policy: Any) -> Any:
    return SimpleNamespace(check_policy=check_policy)


async def test_without_the_extra_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(check: CustomCheck) -> CheckAnswer:
        raise AssertionError

    monkeypatch.setattr("broker.analyzer.policy_checks.has_solver", lambda: False)
    with pytest.raises(Refusal) as refused:
        await check_no_public_access(call(never), REQUEST, ANYTHING)
    assert refused.value.code == "NotImplemented"
    assert "pip install 'broker[solver]'" in refused.value.message


async def test_what_is_not_decided_is_no_pass() -> None:
    async def undecided(check: CustomCheck) -> CheckAnswer:
        return CheckAnswer(False, "It could not be decided.", (CheckReason("Public access, perhaps."),))

    answer = await check_no_public_access(call(undecided), REQUEST, ANYTHING)
    assert (answer.result, answer.message) == ("FAIL", "It could not be decided.")
    (reason,) = answer.reasons
    assert (reason.description, reason.statement_index) == ("Public access, perhaps.", None)
