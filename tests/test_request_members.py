"""No member of a request is ignored: each is read by its operation, and where nothing is done with it, refused.

A member that botocore's model gains with an update shows up here, for no code reads it. What is read is found in the
code of the operation's functions and of all of ours that these call: attributes of what is called `request`, names in
closures (`resources.new(entity, "role_name")`), and names where `getattr` is used.
"""

import dis
from collections.abc import Callable, Iterator
from itertools import pairwise
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest

import broker.app  # noqa: F401  it imports every room, which declares its operations
from broker.operation import OPERATIONS, Operation, model, request_tag_keys

# No code reads these members; they are in the record of the journal. The start URL names the portal to clients alone:
# a broker has one, whatever it is called there (`config/sign-in.md`). Findings are in English, whatever the locale.
LOGGED = {
    ("sts", "GetScopedCredentials"): {"scoped_session_description"},
    ("accessanalyzer", "ValidatePolicy"): {"locale"},
    # What the same request would do twice is as if it were done once, or a conflict.
    **{
        ("accessanalyzer", name): {"client_token"}
        for name in (
            "ApplyArchiveRule",
            "CreateArchiveRule",
            "DeleteAnalyzer",
            "DeleteArchiveRule",
            "UpdateArchiveRule",
            "UpdateFindings",
        )
    },
    # "This parameter is no longer used" (CreateSession).
    ("rolesanywhere", "CreateSession"): {"session_name"},
    ("sso-oidc", "RegisterClient"): {"issuer_url"},
    ("sso-oidc", "StartDeviceAuthorization"): {"start_url"},
    # There is nothing to remove: what would be there is refused when it is given.
    ("iam", "UpdateSAMLProvider"): {"remove_context_provider", "remove_identity_center_instance"},
    # Of the grants that it refuses.
    ("sso-oidc", "CreateTokenWithIAM"): {
        "code",
        "code_verifier",
        "redirect_uri",
        "refresh_token",
        "requested_token_type",
        "subject_token",
        "subject_token_type",
    },
    # What the agent of AWS says of its machine; the token names the node of its pod.
    ("eks-auth", "AssumeRoleForPodIdentity"): {"instance_id", "zone"},
    # An update says what the association is afterwards, so the same one twice is the same as one.
    ("eks", "UpdatePodIdentityAssociation"): {"client_request_token"},
    # Who may see bills in AWS's console; the broker has none.
    ("organizations", "CreateAccount"): {"iam_user_access_to_billing"},
}

_READS = ("LOAD_ATTR", "LOAD_METHOD")
_VARIABLES = ("LOAD_FAST", "LOAD_DEREF")


def codes_of(code: CodeType) -> Iterator[CodeType]:
    """The code of a function and of those inside of it."""
    yield code
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from codes_of(inner)


def enclosed(function: FunctionType) -> Iterator[Any]:
    for cell in function.__closure__ or ():
        value = cell.cell_contents
        yield from value if isinstance(value, tuple | list) else (value,)


def called_by(function: FunctionType) -> Iterator[Any]:
    """What it can call: by a global name, by a name in a module of ours, from its closure."""
    yield from enclosed(function)
    for code in codes_of(function.__code__):
        for name in code.co_names:
            value = function.__globals__.get(name)
            yield value
            if isinstance(value, ModuleType) and value.__name__.startswith("broker."):
                yield from (getattr(value, each, None) for each in code.co_names)


def reachable(starts: tuple[Any, ...]) -> set[FunctionType]:
    found: set[FunctionType] = set()
    waiting = list(starts)
    while waiting:
        one = waiting.pop()
        if (
            isinstance(one, FunctionType)
            and one not in found
            and one.__module__.startswith(("broker.", __name__))
        ):
            found.add(one)
            waiting += called_by(one)
    return found


def names_read(function: FunctionType) -> set[str]:
    names = {value for value in enclosed(function) if isinstance(value, str)}
    for code in codes_of(function.__code__):
        instructions = list(dis.get_instructions(code))
        for variable, read in pairwise(instructions):
            if read.opname in _READS and variable.opname in _VARIABLES and "request" in variable.argval:
                names.add(read.argval)
        if "getattr" in code.co_names:
            names |= {constant for constant in code.co_consts if isinstance(constant, str)}
    return names


def ignored(fields: set[str], *starts: Callable[..., Any] | None) -> set[str]:
    return fields - set[str]().union(*map(names_read, reachable(starts)))


def fields_of(declared: Operation) -> set[str]:
    service = model(declared.service)
    taken = service.operations[declared.name].input
    return set() if taken is None else set(service.structs[taken.shape].__struct_fields__)


@pytest.mark.parametrize("declared", OPERATIONS.values(), ids=lambda one: one.action)
def test_an_operation_reads_every_member_of_its_request(declared: Operation) -> None:
    tagging = request_tag_keys if declared.is_tagging else None
    found = ignored(fields_of(declared), declared.prepare, declared.handle, declared.prove, tagging)
    assert found == LOGGED.get((declared.service, declared.name), set())


def test_members_that_nobody_reads_are_found_wherever_the_others_are_read() -> None:
    def bound(field: str) -> Callable[[Any], Any]:
        return lambda request: getattr(request, field)

    def reading(request: Any) -> Any:
        return request.policy, [request.path for _ in range(2)], other.duration

    class other:
        duration = 1

    fields = {"policy", "path", "duration", "role_name"}
    assert ignored(fields, reading, bound("role_name")) == {"duration"}
    assert ignored(fields, reading, None) == {"duration", "role_name"}
