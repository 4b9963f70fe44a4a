"""Session policies of a request, checked as AWS checks them. Their number and length are checked by the protocol."""

from collections.abc import Sequence

from broker.access.aws_managed import is_task_policy
from broker.access.caller import SessionPolicies
from broker.access.gather import find_managed_policy
from broker.errors import Refusal, validation_error
from broker.operation import Call
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.protocol.shapes import sts as shapes

# The end of the error message for a managed policy that does not exist.
NOT_ATTACHABLE = "does not exist or is not attachable."

NO_SESSION_POLICIES = SessionPolicies()


async def session_policies(
    call: Call, account: str, inline: str | None, managed: Sequence[shapes.PolicyDescriptorType]
) -> SessionPolicies:
    """The policies of a session in `account`, NO_SESSION_POLICIES where there are none.

    Raises MalformedPolicyDocument for an inline policy that does not parse, ValidationError for managed policies that
    name nothing or do not exist: a requested limit is never ignored.
    """
    if inline is None and not managed:
        return NO_SESSION_POLICIES
    arns = tuple(descriptor.arn or "" for descriptor in managed)
    for arn in arns:
        if is_task_policy(arn) or await find_managed_policy(call.store, account, arn) is None:
            raise validation_error(f"The policy ARN {arn} {NOT_ATTACHABLE}")
    if inline is not None:
        _require_document(inline)
    return SessionPolicies(inline, arns)


def _require_document(text: str) -> None:
    try:
        parse_policy(text, PolicyKind.SESSION)
    except MalformedPolicy as error:
        raise Refusal("MalformedPolicyDocument", error.message) from None
