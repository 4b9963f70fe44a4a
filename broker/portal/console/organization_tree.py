"""The tree of the organization as its operations show it, and the policies that limit one place in it by level."""

from typing import Any

import msgspec

from broker.errors import Refusal
from broker.names.organizations import RESOURCE_CONTROL_POLICY, SERVICE_CONTROL_POLICY
from broker.policy import MalformedPolicy, PolicyKind, parse_policy
from broker.portal.console.operations import attempt
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_MOST_NODES = 200  # on one page
_KINDS = {SERVICE_CONTROL_POLICY: PolicyKind.SCP, RESOURCE_CONTROL_POLICY: PolicyKind.RCP}
_SERVICE = "organizations"


class OrganizationNode(msgspec.Struct, frozen=True):
    """A root, unit or account; `depth` is how many are above it, `policy_types` are those enabled in a root."""

    node_id: str
    name: str
    kind: str
    depth: int
    parent: str | None = None
    is_closed: bool = False
    policy_types: tuple[str, ...] = ()


class Tree(msgspec.Struct, frozen=True):
    """The nodes in the order of the tree; `has_more` where not all were read."""

    nodes: tuple[OrganizationNode, ...]
    has_more: bool = False

    def find(self, node_id: str) -> OrganizationNode | None:
        return next((one for one in self.nodes if one.node_id == node_id), None)

    def path_to(self, node: OrganizationNode) -> list[OrganizationNode]:
        """From the root down to `node`."""
        path = [node]
        while path[-1].parent is not None and (above := self.find(path[-1].parent)) is not None:
            path.append(above)
        return path[::-1]


class LimitingPolicy(msgspec.Struct, frozen=True):
    """A policy of a level; `statements` are empty where it may not be read."""

    summary: Any
    statements: tuple[Any, ...]


class Level(msgspec.Struct, frozen=True):
    """What is attached to one node of the path."""

    node: OrganizationNode
    policies: tuple[LimitingPolicy, ...]


async def find_tree(portal: Portal, visit: Visit) -> Tree | Refusal:
    """The tree as far as it fits a page; the Refusal where the caller may not list it."""
    roots = await attempt(portal, visit, "ListRoots", service=_SERVICE)
    if isinstance(roots, Refusal):
        return roots
    nodes: list[OrganizationNode] = []
    for root in roots.roots:
        types = tuple(one.type for one in root.policy_types)
        nodes.append(OrganizationNode(root.id, root.name, "ROOT", 0, policy_types=types))
        refusal = await _add_children(portal, visit, nodes, nodes[-1])
        if refusal is not None:
            return refusal
    return Tree(tuple(nodes[:_MOST_NODES]), len(nodes) > _MOST_NODES)


async def _add_children(
    portal: Portal, visit: Visit, nodes: list[OrganizationNode], parent: OrganizationNode
) -> Refusal | None:
    """The accounts of `parent`, then each of its units with what is below."""
    accounts = await _listed(portal, visit, "ListAccountsForParent", "accounts", parent)
    if isinstance(accounts, Refusal):
        return accounts
    below = parent.depth + 1
    for account in accounts:
        is_closed = account.status != "ACTIVE"
        nodes.append(OrganizationNode(account.id, account.name, "ACCOUNT", below, parent.node_id, is_closed))
    units = await _listed(portal, visit, "ListOrganizationalUnitsForParent", "organizational_units", parent)
    if isinstance(units, Refusal):
        return units
    for unit in units:
        if len(nodes) > _MOST_NODES:
            return None
        nodes.append(OrganizationNode(unit.id, unit.name, "ORGANIZATIONAL_UNIT", below, parent.node_id))
        refusal = await _add_children(portal, visit, nodes, nodes[-1])
        if refusal is not None:
            return refusal
    return None


async def _listed(portal: Portal, visit: Visit, operation: str, member: str, parent: OrganizationNode) -> Any:
    """All of a list, or as many as fit a page."""
    found: list[Any] = []
    token = ""
    while True:
        parameters = {"ParentId": parent.node_id, **({"NextToken": token} if token else {})}
        answer = await attempt(portal, visit, operation, parameters, service=_SERVICE)
        if isinstance(answer, Refusal):
            return answer
        found += getattr(answer, member)
        token = answer.next_token or ""
        if not token or len(found) > _MOST_NODES:
            return sorted(found, key=lambda one: one.name)


async def find_levels(portal: Portal, visit: Visit, tree: Tree, node: OrganizationNode) -> list[Level]:
    """What limits `node`, from the root down; each level has to allow, and none may deny."""
    path = tree.path_to(node)
    read: dict[str, LimitingPolicy] = {}
    levels = []
    for one in path:
        policies: list[LimitingPolicy] = []
        for policy_type in path[0].policy_types:
            asked = {"TargetId": one.node_id, "Filter": policy_type}
            attached = await attempt(portal, visit, "ListPoliciesForTarget", asked, service=_SERVICE)
            for summary in getattr(attached, "policies", ()):
                if summary.id not in read:
                    read[summary.id] = await _limiting(portal, visit, summary)
                policies.append(read[summary.id])
        levels.append(Level(one, tuple(policies)))
    return levels


async def _limiting(portal: Portal, visit: Visit, summary: Any) -> LimitingPolicy:
    answer = await attempt(portal, visit, "DescribePolicy", {"PolicyId": summary.id}, service=_SERVICE)
    if isinstance(answer, Refusal):
        return LimitingPolicy(summary, ())
    try:
        return LimitingPolicy(summary, parse_policy(answer.policy.content, _KINDS[summary.type]).statements)
    except MalformedPolicy:  # an earlier broker stored it; the gate refuses what it limits
        return LimitingPolicy(summary, ())
