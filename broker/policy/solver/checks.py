"""The three checks, from texts to an answer in words."""

import enum
import re
from collections.abc import Callable, Iterator
from typing import Final

import msgspec

from broker.policy.document import parse_policy
from broker.policy.elements import OLD_VERSION, MalformedPolicy, Policy, PolicyKind, quoted
from broker.policy.solver.examining import Examination, Example, examine
from broker.policy.solver.publicness import PUBLIC_VALUES, public_values
from broker.policy.solver.questions import ExampleRequest, PolicyQuestion

# The kinds of policies that name principals.
WITH_PRINCIPALS: Final = frozenset(
    {PolicyKind.RESOURCE, PolicyKind.TRUST, PolicyKind.RCP, PolicyKind.ENDPOINT}
)
_ACTION = re.compile(r"\*|[A-Za-z0-9*?.-]+:[^:\s]+")
# Wildcards are only in the part that names the resource itself.
_RESOURCE = re.compile(r"\*|arn:[^:*?]*:[^:*?]*:[^:*?]*:[^:*?]*:.+", re.DOTALL)
_PLAIN = re.compile(r"[!-~]{1,200}")


class CheckedAccess(enum.Enum):
    """What a check is about."""

    NEW = "new"
    GRANTED = "granted"
    PUBLIC = "public"


class UnreadableParameter(ValueError):
    """`parameter` is the name of one that cannot be checked; the text says what is wrong with it."""

    def __init__(self, parameter: str, message: str) -> None:
        super().__init__(message)
        self.parameter = parameter


class ParameterFault(msgspec.Struct, frozen=True, tag="fault"):
    """An UnreadableParameter, as another process hands it back."""

    parameter: str
    message: str


class CustomCheck(msgspec.Struct, frozen=True):
    """One check, as it is handed to another process. Whether access is public is asked of policies with principals.

    `actions` and `resources`, or patterns of them, are those that may not be granted; none of either means any.
    """

    what: CheckedAccess
    kind: PolicyKind
    text: str
    existing_text: str = ""
    actions: tuple[str, ...] = ()
    resources: tuple[str, ...] = ()

    def __repr__(self) -> str:
        return f"CustomCheck({self.what.value}, ***)"


class CheckReason(msgspec.Struct, frozen=True):
    """Why a check fails; `index` is that of the statement, None where no statement is to blame."""

    description: str
    index: int | None = None
    sid: str = ""


class CheckAnswer(msgspec.Struct, frozen=True, tag="answer"):
    """`has_passed` only where it was shown that there is no such access."""

    has_passed: bool
    message: str
    reasons: tuple[CheckReason, ...] = ()


# Of each: the message where the check passes, where it fails, and what a reason begins with.
_WORDS: Final[dict[CheckedAccess, tuple[str, str, str]]] = {
    CheckedAccess.NEW: (
        "The modified permissions do not grant new access compared to your existing policy.",
        "The modified permissions grant new access compared to your existing policy.",
        "New access",
    ),
    CheckedAccess.GRANTED: (
        "The policy document does not grant access to perform the listed actions or resources.",
        "The policy document grants access to perform one or more of the listed actions or resources.",
        "One or more of the listed actions or resources",
    ),
    CheckedAccess.PUBLIC: (
        "The resource policy does not grant public access for the specified resource type.",
        "The resource policy grants public access for the specified resource type.",
        "Public access",
    ),
}


def check_policy(check: CustomCheck) -> CheckAnswer:
    """It may take seconds, and needs z3. Raises UnreadableParameter."""
    question = _QUESTIONS[check.what](check)
    return _answer(question.policy, examine(question), _WORDS[check.what])


def undecided_answer(what: CheckedAccess, why: str) -> CheckAnswer:
    return _answer(None, Examination(is_impossible=False, undecided=why), _WORDS[what])


def _ask_new(check: CustomCheck) -> PolicyQuestion:
    policy = _read("newPolicyDocument", check.text, check.kind)
    existing = _read("existingPolicyDocument", check.existing_text, check.kind)
    return PolicyQuestion(policy, existing, is_resource=check.kind in WITH_PRINCIPALS)


def _ask_granted(check: CustomCheck) -> PolicyQuestion:
    policy = _read("policyDocument", check.text, check.kind)
    _require_access(check.actions, check.resources)
    return PolicyQuestion(
        policy,
        actions=tuple(action.lower() for action in check.actions),
        resources=check.resources,
        is_resource=check.kind in WITH_PRINCIPALS,
    )


def _require_access(actions: tuple[str, ...], resources: tuple[str, ...]) -> None:
    if not actions and not resources:
        raise UnreadableParameter("access", "it names neither actions nor resources")
    for action in actions:
        if _ACTION.fullmatch(action) is None:
            raise UnreadableParameter("access", f"{quoted(action)} is no action")
    for resource in resources:
        if _RESOURCE.fullmatch(resource) is None:
            message = f"{quoted(resource)} is no ARN, or has wildcards before the name of the resource"
            raise UnreadableParameter("access", message)


def _ask_public(check: CustomCheck) -> PolicyQuestion:
    policy = _read("policyDocument", check.text, check.kind)
    excluded = public_values(policy, knows_variables=policy.version != OLD_VERSION)
    return PolicyQuestion(
        policy, is_resource=True, is_public=True, is_excluded=excluded, known=dict(PUBLIC_VALUES)
    )


_QUESTIONS: Final[dict[CheckedAccess, Callable[[CustomCheck], PolicyQuestion]]] = {
    CheckedAccess.NEW: _ask_new,
    CheckedAccess.GRANTED: _ask_granted,
    CheckedAccess.PUBLIC: _ask_public,
}


def _read(parameter: str, text: str, kind: PolicyKind) -> Policy:
    try:
        return parse_policy(text, kind)
    except MalformedPolicy as error:
        raise UnreadableParameter(parameter, error.message) from None


def _answer(policy: Policy | None, found: Examination, words: tuple[str, str, str]) -> CheckAnswer:
    passes, fails, what = words
    if found.is_impossible:
        return CheckAnswer(True, passes)
    undecided = f"It could not be decided: {found.undecided}."
    if policy is None or not found.examples:
        return CheckAnswer(False, undecided, (CheckReason(f"{what}, perhaps. {undecided}"),))
    reasons = tuple(_reason(policy, one, what) for one in found.examples)
    return CheckAnswer(False, undecided if found.undecided else fails, reasons)


def _reason(policy: Policy, found: Example, what: str) -> CheckReason:
    sid = policy.statements[found.statement].sid
    where = f"in the statement with index: {found.statement}"
    if found.request is None:
        return CheckReason(f"{what}, perhaps, {where}. It could not be decided.", found.statement, sid)
    request = " ".join(_words_of(found.request, names_resources=_names_resources(policy)))
    return CheckReason(f"{what} {where}. For example: {request}.", found.statement, sid)


def _names_resources(policy: Policy) -> bool:
    return any(one.resources is not None or one.not_resources is not None for one in policy.statements)


def _words_of(request: ExampleRequest, *, names_resources: bool) -> Iterator[str]:
    """Such as `s3:GetObject on arn:aws:s3:::a/b with aws:SourceIp 192.0.2.1`."""
    yield request.action
    if names_resources:
        yield f"on {_shown(request.resource)}"
    if request.caller is not None:
        yield f"by {_shown(request.caller.principal.arn)}"
    for number, (key, values) in enumerate(sorted(request.values.items())):
        yield f"{'and' if number else 'with'} {key} {', '.join(map(_shown, values))}"


def _shown(text: str) -> str:
    """As it is where it is plain, else as JSON."""
    return text if _PLAIN.fullmatch(text) else quoted(text)
