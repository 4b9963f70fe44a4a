"""Checks in processes of their own: an answer, an end after a time, a bound on how many wait."""

import asyncio
import json
import sys

import pytest

from broker.app.check_processes import CheckProcesses
from broker.errors import Refusal
from broker.policy import PolicyKind
from broker.policy.solver import CheckAnswer, CheckedAccess, CustomCheck, ParameterFault

READS = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}
TEXT = json.dumps({"Version": "2012-10-17", "Statement": [READS]})
CHECK = CustomCheck(CheckedAccess.GRANTED, PolicyKind.IDENTITY, TEXT, actions=("s3:*",))


async def test_a_check_is_answered_by_a_process() -> None:
    processes = CheckProcesses()
    answer = await processes(CHECK)
    assert isinstance(answer, CheckAnswer)
    assert "For example: s3:GetObject" in answer.reasons[0].description
    fault = await processes(CustomCheck(CheckedAccess.GRANTED, PolicyKind.IDENTITY, "{", actions=("s3:*",)))
    assert isinstance(fault, ParameterFault)
    assert fault.parameter == "policyDocument"


async def test_a_process_that_takes_too_long_is_ended_and_nothing_passes() -> None:
    answer = await CheckProcesses(seconds=0.01)(CHECK)
    assert isinstance(answer, CheckAnswer)
    assert not answer.has_passed
    assert answer.message == "It could not be decided: it took too long."


async def test_too_many_that_wait_are_refused_at_once() -> None:
    processes = CheckProcesses(seconds=0.01)
    answers = await asyncio.gather(*(processes(CHECK) for _ in range(12)), return_exceptions=True)
    refused = [one for one in answers if isinstance(one, Refusal)]
    assert [one.code for one in refused] == ["ThrottlingException"] * 3
    assert isinstance(await processes(CHECK), CheckAnswer)


async def test_the_process_has_nothing_of_the_brokers_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BROKER_KEYS_MASTER_KEY", "secret")
    shown = "{'type': 'fault', 'parameter': '', 'message': str(dict(os.environ))}"
    program = (sys.executable, "-c", f"import json, os; print(json.dumps({shown}))")
    answer = await CheckProcesses(program=program)(CHECK)
    assert isinstance(answer, ParameterFault)
    assert "PYTHONPATH" in answer.message
    assert "secret" not in answer.message


async def test_a_process_that_ends_without_an_answer_passes_nothing() -> None:
    answer = await CheckProcesses(program=(sys.executable, "-c", "raise SystemExit(1)"))(CHECK)
    assert isinstance(answer, CheckAnswer)
    assert not answer.has_passed
