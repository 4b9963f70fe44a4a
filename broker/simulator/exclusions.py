"""PolicyExclusionList: policies that a simulation does not evaluate, to show the effect of removing them.

IAM API reference, PolicyIdentifier. Only attached policies can be excluded, not those in the request.
"""

import re
from collections.abc import Callable, Iterable

import msgspec

from broker.errors import Refusal
from broker.names.arn import AWS_ACCOUNT, iam_arn, is_account_id, parse_arn
from broker.policy import Layers, PolicySet, Source, SourceKind
from broker.protocol.shapes import iam as shapes
from broker.simulator.subjects import invalid_input

_INLINE = (SourceKind.USER, SourceKind.GROUP, SourceKind.ROLE)
_MANAGED = (SourceKind.AWS_MANAGED, SourceKind.USER_MANAGED)
_KINDS: dict[str, tuple[SourceKind, ...]] = {
    "inline": _INLINE,
    "aws-managed": (SourceKind.AWS_MANAGED,),
    "user-managed": (SourceKind.USER_MANAGED,),
}
_WHOLE_LAYERS: dict[str, dict[str, object]] = {
    "permission-boundary": {"boundary": None},
    "scp": {"scps": ()},
    "rcp": {"rcps": ()},
}

IsExcluded = Callable[[Source], bool]


def without(layers: Layers, identifiers: Iterable[shapes.PolicyIdentifier]) -> Layers:
    """`layers` without the policies that `identifiers` name; raises InvalidInput for an invalid identifier."""
    excluded: list[IsExcluded] = []
    for identifier in identifiers:
        named = (identifier.policy_type, identifier.policy_arn, identifier.inline_policy_identifier)
        if sum(one is not None for one in named) != 1:
            raise invalid_input(
                "A policy identifier must specify exactly one of PolicyType, PolicyArn, or InlinePolicyIdentifier."
            )
        if identifier.policy_type in _WHOLE_LAYERS:
            layers = msgspec.structs.replace(layers, **_WHOLE_LAYERS[identifier.policy_type])
        else:
            excluded.append(_predicate(identifier))
    return (
        msgspec.structs.replace(layers, identity=_remaining(layers.identity, excluded))
        if excluded
        else layers
    )


def without_resource_controls(layers: Layers, identifiers: Iterable[shapes.PolicyIdentifier]) -> Layers:
    """`layers` without RCPs if `identifiers` name them. AWS accepts this identifier, too, but simulates no RCPs."""
    is_excluded = any(identifier.policy_type == "rcp" for identifier in identifiers)
    return msgspec.structs.replace(layers, rcps=()) if is_excluded else layers


def _remaining(policies: PolicySet, excluded: list[IsExcluded]) -> PolicySet:
    """The policies that are not excluded. Each leaf has one document, so none has to be compiled again."""
    return PolicySet.union(
        *(
            leaf
            for leaf in policies.leaves
            if not any(is_excluded(source) for source, _ in leaf.policies for is_excluded in excluded)
        )
    )


def _predicate(identifier: shapes.PolicyIdentifier) -> IsExcluded:
    if identifier.policy_type is not None:
        kinds = _KINDS[identifier.policy_type]
        return lambda source: source.kind in kinds
    if identifier.policy_arn is not None:
        return _managed(identifier.policy_arn)
    assert identifier.inline_policy_identifier is not None
    return _inline(identifier.inline_policy_identifier)


def _managed(text: str) -> IsExcluded:
    """By ARN, or by the ARN that the policy would have without a path, which is how AWS's simulator compares."""
    try:
        arn = parse_arn(text)
    except ValueError:
        raise _malformed(text) from None
    is_account = arn.account == AWS_ACCOUNT or is_account_id(arn.account)
    if arn.service != "iam" or not is_account or not arn.resource.startswith("policy/"):
        raise _malformed(text)
    matches = _selector(text)

    def is_excluded(source: Source) -> bool:
        if source.kind not in _MANAGED:
            return False
        pathless = iam_arn(parse_arn(source.arn).account, f"policy/{source.name}")
        return matches(source.arn) or matches(pathless)

    return is_excluded


def _inline(identifier: shapes.InlinePolicyIdentifierType) -> IsExcluded:
    matches = _selector(identifier.attachment_name)

    def is_excluded(source: Source) -> bool:
        is_named = source.kind == identifier.attachment_type and source.name == identifier.policy_name
        return is_named and matches(source.arn.rpartition("/")[2])

    return is_excluded


def _selector(text: str) -> Callable[[str], bool]:
    """At most one `*`, any number of `?`."""
    if text.count("*") > 1:
        raise _malformed(text)
    pattern = re.escape(text).replace(r"\*", ".*").replace(r"\?", ".")
    compiled = re.compile(pattern)
    return lambda name: compiled.fullmatch(name) is not None


def _malformed(text: str) -> Refusal:
    return invalid_input(f"Invalid policy identifier: {text}")
