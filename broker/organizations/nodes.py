"""Roots, units and accounts in the tree of an organization: found by their ids, with their ARNs and their names."""

from collections.abc import Callable
from typing import Any

from msgspec.structs import replace

from broker.errors import Refusal
from broker.names.organizations import FULL_AWS_ACCESS, SERVICE_CONTROL_POLICY, node_arn
from broker.operation import ConditionKeys
from broker.organizations.membership import Find, Target
from broker.organizations.refusals import missing
from broker.storage.organization_records import Organization, OrganizationalUnit

ROOT_NAME = "Root"
NO_KEYS: ConditionKeys = {}


def find_node(organization: Organization, node_id: str) -> OrganizationalUnit | None:
    """A root, a unit or an account. The management account is one, also where no file has declared it as one."""
    node = organization.units.get(node_id) or organization.accounts.get(node_id)
    if node is None and node_id == organization.management_account_id:
        return OrganizationalUnit(parent=next(iter(roots(organization)), None))
    return node


def roots(organization: Organization) -> dict[str, OrganizationalUnit]:
    return {node_id: unit for node_id, unit in organization.units.items() if unit.parent is None}


def accounts_of(organization: Organization) -> dict[str, OrganizationalUnit]:
    """All accounts by id, the management account among them."""
    own = organization.management_account_id
    found = find_node(organization, own)
    return {**organization.accounts, **({} if found is None else {own: found})}


def arn_of(organization: Organization, node_id: str) -> str:
    return node_arn(organization.management_account_id, organization.organization_id, node_id)


def node(
    field: str, refusal: Callable[[], Refusal], keys: Callable[[Any], ConditionKeys] = lambda request: NO_KEYS
) -> Find:
    """Finds the root, unit or account that the request names in `field`; `refusal` is for one that is not there."""

    def find(organization: Organization, request: Any) -> Target:
        return node_target(organization, getattr(request, field), refusal, keys(request))

    return find


def account(
    field: str = "account_id", keys: Callable[[Any], ConditionKeys] = lambda request: NO_KEYS
) -> Find:
    """As `node`, for a field that holds the id of an account."""
    return node(field, lambda: missing("account"), keys)


def node_target(
    organization: Organization, node_id: str, refusal: Callable[[], Refusal], keys: ConditionKeys = NO_KEYS
) -> Target:
    unit = find_node(organization, node_id)
    arn = arn_of(organization, node_id)
    if unit is None:
        return Target(arn=arn, keys=keys, refusal=refusal())
    return Target(unit, arn, unit.tags, keys)


def name_of(node_id: str, unit: OrganizationalUnit) -> str:
    """The name of a root or a unit; one that was declared without a name has its id."""
    return unit.name or (ROOT_NAME if unit.parent is None else node_id)


def depth_of(organization: Organization, node_id: str) -> int:
    """How many units are above `node_id`, itself included, below the root."""
    depth, unit = 0, organization.units.get(node_id)
    while unit is not None and unit.parent is not None and depth <= len(organization.units):
        depth, unit = depth + 1, organization.units.get(unit.parent)
    return depth


def new_node(organization: Organization, parent: str | None, **facts: Any) -> OrganizationalUnit:
    """A node with FullAWSAccess, where service control policies are enabled: else it could do nothing."""
    is_limited = SERVICE_CONTROL_POLICY in organization.features
    return OrganizationalUnit(parent=parent, policies=(FULL_AWS_ACCESS,) if is_limited else (), **facts)


def with_node(organization: Organization, node_id: str, unit: OrganizationalUnit) -> Organization:
    """The organization with this root, unit or account."""
    if node_id in organization.units or node_id.startswith(("r-", "ou-")):
        return replace(organization, units={**organization.units, node_id: unit})
    return replace(organization, accounts={**organization.accounts, node_id: unit})
