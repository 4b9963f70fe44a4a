"""CheckNoNewAccess, CheckAccessNotGranted and CheckNoPublicAccess: custom checks of a text, by a solver.

A check that cannot be decided fails, with a reason that says so.
"""

from broker.analyzer.refusals import invalid
from broker.errors import Refusal, not_implemented
from broker.operation import Call, Prepared, no_resource, operation
from broker.policy import PolicyKind
from broker.policy.solver import (
    CheckAnswer,
    CheckedAccess,
    CheckReason,
    CustomCheck,
    ParameterFault,
    has_solver,
)
from broker.policy.validation import LONGEST_VALIDATED
from broker.protocol.shapes import accessanalyzer as shapes

_TRUST = "AWS::IAM::AssumeRolePolicyDocument"
_KINDS = {"IDENTITY_POLICY": PolicyKind.IDENTITY, "RESOURCE_POLICY": PolicyKind.RESOURCE}
_MISSING = "Custom policy checks need a package that is not installed: pip install 'broker[solver]'"


@operation("access-analyzer:CheckNoNewAccess", prepare=no_resource)
async def check_no_new_access(
    call: Call, request: shapes.CheckNoNewAccessRequest, prepared: Prepared[None]
) -> shapes.CheckNoNewAccessResponse:
    check = CustomCheck(
        CheckedAccess.NEW,
        _KINDS[request.policy_type],
        request.new_policy_document,
        request.existing_policy_document,
    )
    answer = await _answer(call, check)
    return shapes.CheckNoNewAccessResponse(
        result=_result(answer), message=answer.message, reasons=tuple(map(_reason, answer.reasons))
    )


@operation("access-analyzer:CheckAccessNotGranted", prepare=no_resource)
async def check_access_not_granted(
    call: Call, request: shapes.CheckAccessNotGrantedRequest, prepared: Prepared[None]
) -> shapes.CheckAccessNotGrantedResponse:
    access = request.access[0] if request.access else shapes.Access()
    check = CustomCheck(
        CheckedAccess.GRANTED,
        _KINDS[request.policy_type],
        request.policy_document,
        actions=access.actions,
        resources=access.resources,
    )
    answer = await _answer(call, check)
    return shapes.CheckAccessNotGrantedResponse(
        result=_result(answer), message=answer.message, reasons=tuple(map(_reason, answer.reasons))
    )


@operation("access-analyzer:CheckNoPublicAccess", prepare=no_resource)
async def check_no_public_access(
    call: Call, request: shapes.CheckNoPublicAccessRequest, prepared: Prepared[None]
) -> shapes.CheckNoPublicAccessResponse:
    kind = PolicyKind.TRUST if request.resource_type == _TRUST else PolicyKind.RESOURCE
    answer = await _answer(call, CustomCheck(CheckedAccess.PUBLIC, kind, request.policy_document))
    return shapes.CheckNoPublicAccessResponse(
        result=_result(answer), message=answer.message, reasons=tuple(map(_reason, answer.reasons))
    )


async def _answer(call: Call, check: CustomCheck) -> CheckAnswer:
    """Raises Refusal."""
    if call.check_policy is None or not has_solver():
        raise not_implemented(_MISSING)
    if max(len(check.text), len(check.existing_text)) > LONGEST_VALIDATED:
        message = f"A policy document has more than {LONGEST_VALIDATED} characters."
        raise Refusal("UnprocessableEntityException", message)
    answer = await call.check_policy(check)
    if isinstance(answer, ParameterFault):
        if answer.parameter == "access":
            raise invalid(f"The parameter access is not valid: {answer.message}.")
        raise Refusal("InvalidParameterException", f"The {answer.parameter} is not valid: {answer.message}")
    return answer


def _result(answer: CheckAnswer) -> str:
    return "PASS" if answer.has_passed else "FAIL"


def _reason(reason: CheckReason) -> shapes.ReasonSummary:
    return shapes.ReasonSummary(
        description=reason.description, statement_index=reason.index, statement_id=reason.sid or None
    )
