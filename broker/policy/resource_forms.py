"""The forms of the ARNs on which an action is judged, with the placeholders of the Service Authorization Reference.

`arn:aws:iam::${Account}:role/${RoleNameWithPath}`; `*` where the action has no resources, or is not in the reference.
"""

from collections.abc import Iterable
from functools import lru_cache

from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.services import facts_of
from broker.policy.validation.reference import ReferencedResourceType, find_service

EVERYTHING = "*"
# CloudFormation's words for types of resources, where the reference has others.
_REFERENCE_NAMES = {"managedpolicy": "policy", "mfadevice": "mfa"}

RecordedName = tuple[str, str]  # CloudFormation's type, "" where it is not known; a name or an ARN


def spelled(action: str) -> str:
    """`action`, `service:Name`, as the reference spells it."""
    prefix, _, name = action.partition(":")
    service = find_service(prefix.lower())
    known = None if service is None else service.actions.get(name.lower())
    return action if known is None else f"{prefix.lower()}:{known.name}"


def is_in_reference(action: str) -> bool:
    prefix, _, name = action.lower().partition(":")
    service = find_service(prefix)
    return service is not None and name in service.actions


def needs_permission(action: str) -> bool:
    """False for what every caller with proof may do, whatever its policies say."""
    rule = facts_of(action).rule
    return not (rule.is_always_allowed and rule.resource is None)


def resource_forms(action: str, recorded: Iterable[RecordedName]) -> tuple[str, ...]:
    """Those of the types that `recorded` names; of all types of the action where it names none of them."""
    seen = {form for name in recorded for form in named_forms(action, name)}
    return tuple(sorted(seen or set(map(_form, _types_of(action.lower()))))) or (EVERYTHING,)


def named_forms(action: str, name: RecordedName) -> list[str]:
    """Those that `name` is the name of; none where it is not of a resource of the action."""
    return [_form(one) for one in _named(name, _types_of(action.lower()))]


@lru_cache(maxsize=4096)
def _types_of(action: str) -> tuple[ReferencedResourceType, ...]:
    prefix, _, name = action.partition(":")
    service = find_service(prefix)
    known = None if service is None else service.actions.get(name)
    if service is None or known is None:
        return ()
    names = [one.name.lower() for one in known.resource_types]
    return tuple(one for one in service.resource_types.values() if one.key.lower() in names and one.arn)


def _form(one: ReferencedResourceType) -> str:
    return one.arn.replace("${Partition}", "aws")


def _named(name: RecordedName, types: tuple[ReferencedResourceType, ...]) -> list[ReferencedResourceType]:
    """Of an ARN the types whose form it has, the longest alone: an object, not a bucket."""
    kind, text = name
    if text.startswith("arn:"):
        fitting = [one for one in types if compile_glob(parse_glob(one.pattern))(text)]
        longest = max((len(one.pattern) for one in fitting), default=0)
        return [one for one in fitting if len(one.pattern) == longest]
    word = kind.rpartition(":")[2].lower()
    word = _REFERENCE_NAMES.get(word, word)
    return [one for one in types if one.key.replace("-", "").lower() == word]
