"""The statements that a simulation names: their policy, where its page is, and their text, as far as it may be read."""

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from broker.errors import Refusal
from broker.names.arn import AWS_ACCOUNT, parse_arn
from broker.portal.console.lists import policy_path
from broker.portal.console.operations import attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_NOUNS = {"user": "User", "role": "Role", "group": "Group"}
_EDGE = " \t\r\n,["


class ShownStatement(msgspec.Struct, frozen=True):
    """`path` is below the pages of the account, "" where the policy has none; `text` "" where it may not be read."""

    policy: str
    path: str = ""
    text: str = ""


class PolicySource(msgspec.Struct, frozen=True):
    """A policy that a principal has: how the simulator calls it, its page, and the operation that reads it."""

    policy_id: str
    path: str
    operation: str
    parameters: dict[str, str]


Sources = Mapping[str, PolicySource]


async def find_statements(
    portal: Portal, visit: Visit, sources: Sources, matched: Iterable[Any]
) -> dict[Any, ShownStatement]:
    """Each of the matched statements, shown."""
    texts: dict[str, str] = {}
    shown = {}
    for statement in matched:
        name = statement.source_policy_id or ""
        source = sources.get(name)
        if source is None:
            shown[statement] = ShownStatement(name)
            continue
        if name not in texts:
            texts[name] = await _text(portal, visit, source)
        text = cut(texts[name], statement.start_position, statement.end_position)
        shown[statement] = ShownStatement(name, source.path, text)
    return shown


def cut(text: str, start: Any, end: Any) -> str:
    """The part of `text` between two positions, without what separates statements."""
    lines = text.split("\n")
    if start is None or end is None or end.line > len(lines):
        return ""

    def offset(position: Any) -> int:
        before = sum(len(line) + 1 for line in lines[: position.line - 1])
        return before + int(position.column) - 1

    return text[offset(start) : offset(end)].strip(_EDGE)


async def find_sources(portal: Portal, visit: Visit, principal: str) -> Sources:
    """The policies of the principal, and for a user those of its groups, by what the simulator calls them."""
    try:
        kind, _, rest = parse_arn(principal).resource.partition("/")
    except ValueError:
        return {}
    noun, name = _NOUNS.get(kind), rest.rpartition("/")[2]
    if noun is None or not name:
        return {}
    found = await _sources_of(portal, visit, noun, name)
    if noun == "User":
        groups = await attempt(portal, visit, "ListGroupsForUser", {"UserName": name})
        for group in getattr(groups, "groups", ()):
            found += await _sources_of(portal, visit, "Group", group.group_name)
    return {one.policy_id: one for one in found}


async def _sources_of(portal: Portal, visit: Visit, noun: str, name: str) -> list[PolicySource]:
    named, kind = {f"{noun}Name": name}, noun.lower()
    inline = await attempt(portal, visit, f"List{noun}Policies", named)
    attached = await attempt(portal, visit, f"ListAttached{noun}Policies", named)
    found = [
        PolicySource(
            f"{kind}_{name}_{one}",
            f"{kind}s/{quote(name)}/inline/{quote(one)}",
            f"Get{noun}Policy",
            {**named, "PolicyName": one},
        )
        for one in getattr(inline, "policy_names", ())
    ]
    for one in getattr(attached, "attached_policies", ()):
        path = quote(policy_path(one.policy_arn, parse_arn(one.policy_arn).account or AWS_ACCOUNT))
        found.append(PolicySource(one.policy_name, path, "GetPolicyVersion", {"PolicyArn": one.policy_arn}))
    return found


async def _text(portal: Portal, visit: Visit, source: PolicySource) -> str:
    """The text as it is stored, "" where it may not be read."""
    parameters = source.parameters
    if source.operation == "GetPolicyVersion":
        policy = await attempt(portal, visit, "GetPolicy", parameters)
        if isinstance(policy, Refusal):
            return ""
        parameters = {**parameters, "VersionId": policy.policy.default_version_id}
    found = await attempt(portal, visit, source.operation, parameters)
    if isinstance(found, Refusal):
        return ""
    version = getattr(found, "policy_version", None)
    return str(version.document if version is not None else found.policy_document)
