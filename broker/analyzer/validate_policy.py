"""ValidatePolicy: the findings in a text, a page at a time.

A token is the number of findings before its page, with a digest of the request. It is no secret: the findings are those
of the text that the caller sent.
"""

import asyncio
import base64
from hashlib import blake2b

import msgspec

from broker.errors import Refusal
from broker.operation import Call, Prepared, no_resource, operation
from broker.policy.validation import (
    LONGEST_VALIDATED,
    FindingLocation,
    FindingType,
    TextPosition,
    ValidatedAs,
    ValidationFinding,
    validate_policy,
)
from broker.protocol.shapes import accessanalyzer as shapes

_MOST = 1000
_DEFAULT = 100
_LONGEST_TOKEN = 128
_TYPES = {
    "IDENTITY_POLICY": ValidatedAs.IDENTITY,
    "RESOURCE_POLICY": ValidatedAs.RESOURCE,
    "SERVICE_CONTROL_POLICY": ValidatedAs.SCP,
    "RESOURCE_CONTROL_POLICY": ValidatedAs.RCP,
}
_TRUST = "AWS::IAM::AssumeRolePolicyDocument"
_REFERENCE = "https://docs.aws.amazon.com/IAM/latest/UserGuide/access-analyzer-reference-policy-checks.html"
_CHAPTERS = {
    FindingType.ERROR: "error",
    FindingType.SECURITY_WARNING: "security-warning",
    FindingType.WARNING: "general-warning",
    FindingType.SUGGESTION: "suggestion",
}


class _FindingsToken(msgspec.Struct, frozen=True, array_like=True):
    """How many findings were shown, and of which request."""

    shown: int
    wanted: str


@operation("access-analyzer:ValidatePolicy", prepare=no_resource)
async def validate(
    call: Call, request: shapes.ValidatePolicyRequest, prepared: Prepared[None]
) -> shapes.ValidatePolicyResponse:
    validated_as, most = _validated_as(request), _page_size(request)
    if len(request.policy_document) > LONGEST_VALIDATED:
        raise _invalid(f"The policy document has more than {LONGEST_VALIDATED} characters.")
    start = _open_token(request.next_token, request) if request.next_token else 0
    # In a thread: a long text takes a part of a second.
    found = await asyncio.to_thread(
        validate_policy,
        request.policy_document,
        validated_as,
        call.service_principals,
        request.validate_policy_resource_type or "",
        as_aws=True,
    )
    end = start + most
    return shapes.ValidatePolicyResponse(
        findings=tuple(map(_shape, found[start:end])),
        next_token=_token(end, request) if end < len(found) else None,
    )


def _validated_as(request: shapes.ValidatePolicyRequest) -> ValidatedAs:
    """Raises Refusal."""
    kind = request.validate_policy_resource_type
    if kind is not None and request.policy_type != "RESOURCE_POLICY":
        raise _invalid("validatePolicyResourceType is only for policies of the type RESOURCE_POLICY.")
    return ValidatedAs.TRUST if kind == _TRUST else _TYPES[request.policy_type]


def _page_size(request: shapes.ValidatePolicyRequest) -> int:
    """Raises Refusal."""
    most = _DEFAULT if request.max_results is None else request.max_results
    if not 1 <= most <= _MOST:
        raise _invalid(f"maxResults is from 1 to {_MOST}.")
    return most


def _shape(found: ValidationFinding) -> shapes.ValidatePolicyFinding:
    mend = f" Write: {found.suggestion}" if found.suggestion else ""
    return shapes.ValidatePolicyFinding(
        finding_details=f"{found.message}{mend}",
        finding_type=found.type.value,
        issue_code=found.code,
        learn_more_link=_link(found),
        locations=(_location(found.location),),
    )


def _link(found: ValidationFinding) -> str:
    section = f"{_CHAPTERS[found.type]}-{found.code.lower().replace('_', '-')}"
    return f"{_REFERENCE}#access-analyzer-reference-policy-checks-{section}"


def _location(found: FindingLocation) -> shapes.Location:
    return shapes.Location(
        path=tuple(_step(kind, at) for kind, at in found.path),
        span=shapes.Span(start=_position(found.start), end=_position(found.end)),
    )


def _step(kind: str, at: str | int) -> shapes.PathElement:
    if isinstance(at, int):
        return shapes.PathElement(index=at)
    return shapes.PathElement(key=at) if kind == "key" else shapes.PathElement(value=at)


def _position(found: TextPosition) -> shapes.Position:
    return shapes.Position(line=found.line, column=found.column, offset=found.offset)


def _token(shown: int, request: shapes.ValidatePolicyRequest) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(_FindingsToken(shown, _digest(request)))).decode()


def _open_token(unverified_token: str, request: shapes.ValidatePolicyRequest) -> int:
    """Raises Refusal for what is no token of the same request."""
    try:
        text = base64.urlsafe_b64decode(unverified_token[:_LONGEST_TOKEN].encode("ascii"))
        token = msgspec.json.decode(text, type=_FindingsToken)
    except (ValueError, msgspec.DecodeError):
        token = None
    if token is None or token.wanted != _digest(request) or token.shown < 0:
        raise _invalid("nextToken is not of a request with these parameters.")
    return token.shown


def _digest(request: shapes.ValidatePolicyRequest) -> str:
    parts = (request.policy_document, request.policy_type, request.validate_policy_resource_type)
    return blake2b(msgspec.json.encode(parts), digest_size=8).hexdigest()


def _invalid(message: str) -> Refusal:
    return Refusal("ValidationException", message)
