"""The policies and resources in a simulation's request, checked with the messages of AWS's simulator (measured)."""

import asyncio
from collections.abc import AsyncIterator, Iterable

from broker.access.simulation import owner_of
from broker.errors import Refusal
from broker.names.arn import is_account_id, parse_arn
from broker.policy import (
    MalformedPolicy,
    Policy,
    PolicyKind,
    PolicySet,
    Source,
    SourceKind,
    compile_policies,
    parse_policy,
)
from broker.protocol.shapes import iam as shapes
from broker.simulator.subjects import invalid_input

EVERYTHING = "*"

# The most decisions in one answer: a page ends before, and a single action on more resources is refused.
MOST_DECISIONS = 5_000

# Statements and missing keys in an answer after which its page ends, and the most for a single action on all its
# resources: without limits, a few kilobytes of policy could make gigabytes of answer.
MOST_SHOWN = 10_000
MOST_SHOWN_AT_ONCE = 50_000

_INSTANCE = ("instance", "image", "security-group", "network-interface")
_SCENARIOS = {
    "EC2-VPC-InstanceStore": _INSTANCE,
    "EC2-VPC-InstanceStore-Subnet": (*_INSTANCE, "subnet"),
    "EC2-VPC-EBS": (*_INSTANCE, "volume"),
    "EC2-VPC-EBS-Subnet": (*_INSTANCE, "subnet", "volume"),
}


async def compiled_policies(texts: Iterable[str]) -> PolicySet:
    """PolicyInputList, compiled. Other requests are served between two policies."""
    compiled = []
    for source, policy in [one async for one in parsed_policies(texts)]:
        compiled.append(compile_policies([(source, policy)]))
        await asyncio.sleep(0)
    return PolicySet.union(*compiled)


async def parsed_policies(texts: Iterable[str]) -> AsyncIterator[tuple[Source, Policy]]:
    """PolicyInputList, parsed as identity policies; a missing Version is 2008-10-17."""
    for number, text in enumerate(texts, 1):
        policy = _parsed(text, PolicyKind.SESSION, f"Policy input list item {number}")
        yield Source(SourceKind.INLINE, f"PolicyInputList.{number}"), policy
        await asyncio.sleep(0)


def find_compiled_boundary(texts: tuple[str, ...]) -> PolicySet | None:
    if len(texts) > 1:
        raise invalid_input("The list of Permissions Boundary policies cannot exceed 1 items.")
    if not texts:
        return None
    source = Source(SourceKind.BOUNDARY, "PermissionsBoundaryPolicyInputList.1")
    return compile_policies(
        [(source, _parsed(texts[0], PolicyKind.SESSION, "Permissions boundary policy input list item 1"))]
    )


async def compiled_controls(
    levels: Iterable[shapes.OrderedOrganizationPolicyType],
) -> tuple[PolicySet, ...]:
    """OrderedOrganizationPolicyInputList: from the root of the organization down to the account."""
    return tuple([await _compiled_level(number, level) for number, level in enumerate(levels, 1)])


async def _compiled_level(number: int, level: shapes.OrderedOrganizationPolicyType) -> PolicySet:
    where = f"Organization policy at index {number}"
    if not level.service_control_policy_input_list:
        raise invalid_input(f"{where} must contain at least one service control policy")
    compiled = []
    for text in level.service_control_policy_input_list:
        compiled.append(
            compile_policies([(Source(SourceKind.SCP, where), _parsed(text, PolicyKind.SCP, where))])
        )
        await asyncio.sleep(0)
    return PolicySet.union(*compiled)


def compiled_resource_policy(text: str, kind: PolicyKind) -> PolicySet:
    return compile_policies(
        [(Source(SourceKind.RESOURCE, "ResourcePolicy"), _parsed(text, kind, "Resource policy"))]
    )


def _parsed(text: str, kind: PolicyKind, what: str) -> Policy:
    try:
        return parse_policy(text, kind)
    except MalformedPolicy as error:
        raise invalid_input(f"{what} has invalid content", reason=error.message) from None


def require_actions(names: Iterable[str]) -> None:
    if not all(":" in name for name in names):
        raise invalid_input("The action is invalid since it is missing names")


def resources_in(names: tuple[str, ...], *, has_policy: bool) -> tuple[str, ...]:
    """ResourceArns, or only `*`; raises InvalidInput for a name that is no ARN.

    A resource policy belongs to a resource: with one (`has_policy`), the resources must be named.
    """
    if names in ((), (EVERYTHING,)):
        if has_policy:
            raise invalid_input("Invalid Entity Arn: * does not clearly define entity type and name.")
        return (EVERYTHING,)
    for name in names:
        _require_arn(name)
    if len(names) > MOST_DECISIONS:
        raise invalid_input(f"ResourceArns: at most {MOST_DECISIONS} resources can be simulated at once.")
    return names


def _require_arn(name: str) -> None:
    try:
        parse_arn(name)
    except ValueError:
        raise invalid_input(f"ResourceNames are not in a valid ARN format: {name}.") from None


def require_scenario(option: str | None, resources: Iterable[str]) -> None:
    """ResourceHandlingOption: a scenario of EC2, in which a resource of each of its types has to be there."""
    if option is None:
        return
    wanted = _SCENARIOS.get(option)
    if wanted is None:
        raise invalid_input(f"ResourceHandlingOption has to be one of {', '.join(_SCENARIOS)}.")
    missing = [kind for kind in wanted if not any(_is_of_ec2(name, kind) for name in resources)]
    if missing:
        raise invalid_input(
            f"ResourceArns has to name a resource of EC2 of each of these types for {option}: {', '.join(missing)}."
        )


def _is_of_ec2(name: str, kind: str) -> bool:
    parts = name.split(":", 5)
    return len(parts) == 6 and parts[2] == "ec2" and parts[5].startswith(f"{kind}/")


def owner_in(text: str | None) -> str | None:
    """ResourceOwner: an account's id, or an ARN of IAM with one. AWS accepts only the ARN."""
    if text is None or is_account_id(text):
        return text
    try:
        arn = parse_arn(text)
    except ValueError:
        raise _no_owner(text) from None
    if arn.service != "iam" or not is_account_id(arn.account):
        raise _no_owner(text)
    return arn.account


def _no_owner(text: str) -> Refusal:
    return invalid_input(f"'{text}' is not a valid as a Resource Owner.")


def owners_of(resources: Iterable[str], owner: str | None, account: str) -> dict[str, str]:
    """The owner of each resource; `owner` is ResourceOwner, `account` the caller's."""
    return {resource: owner_of(resource, owner, account) for resource in resources}
