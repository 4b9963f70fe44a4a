"""Organizational units, and what is above and below a node of the tree."""

from msgspec.structs import replace

from broker.access.organization import organization_path
from broker.errors import Refusal
from broker.names.organizations import ID_ENTROPY, new_unit_id
from broker.operation import Call, Prepared, operation
from broker.organizations.membership import Inside, inside
from broker.organizations.nodes import (
    account,
    accounts_of,
    arn_of,
    depth_of,
    find_node,
    name_of,
    new_node,
    node,
    roots,
    with_node,
)
from broker.organizations.pages import page_of
from broker.organizations.refusals import constraint, missing
from broker.organizations.tags import new_tags
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.store import ORGANIZATION

DEEPEST = 5  # units below the root

_PARENT = node("parent_id", lambda: missing("parent"))
_UNIT = node("organizational_unit_id", lambda: missing("organizational unit"))


def _shape(organization: Organization, unit_id: str, unit: OrganizationalUnit) -> shapes.OrganizationalUnit:
    return shapes.OrganizationalUnit(
        id=unit_id,
        arn=arn_of(organization, unit_id),
        name=name_of(unit_id, unit),
        path=f"{organization_path(organization, unit_id)}{unit_id}/",
    )


def _children(organization: Organization, parent: str) -> dict[str, OrganizationalUnit]:
    return {one: unit for one, unit in organization.units.items() if unit.parent == parent}


def _require_unused_name(organization: Organization, parent: str | None, name: str) -> None:
    for unit_id, unit in organization.units.items():
        if unit.parent == parent and name_of(unit_id, unit) == name:
            raise Refusal("DuplicateOrganizationalUnitException", "An OU with the same name already exists.")


@operation("organizations:CreateOrganizationalUnit", prepare=inside("CreateOrganizationalUnit", _PARENT))
async def create_organizational_unit(
    call: Call, request: shapes.CreateOrganizationalUnitRequest, prepared: Prepared[Inside]
) -> shapes.CreateOrganizationalUnitResponse:
    organization, parent = prepared.found.organization, request.parent_id
    _require_unused_name(organization, parent, request.name)
    if depth_of(organization, parent) >= DEEPEST:
        raise constraint(
            "OU_DEPTH_LIMIT_EXCEEDED",
            "You cannot add an organizational unit to the specified parent because it would exceed the max depth "
            "allowed.",
        )
    if len(organization.units) - len(roots(organization)) >= call.quotas.organizational_units:
        raise constraint(
            "OU_NUMBER_LIMIT_EXCEEDED", "You have exceeded the number of OUs in an organization."
        )
    unit = new_node(
        organization,
        parent,
        name=request.name,
        tags=await new_tags(call, prepared.resource, request),
        joined_at=int(call.now),
    )
    unit_id = new_unit_id(_root_of(organization, parent), call.entropy(ID_ENTROPY))
    changed = with_node(organization, unit_id, unit)
    call.store.put(ORGANIZATION, "", changed)
    return shapes.CreateOrganizationalUnitResponse(organizational_unit=_shape(changed, unit_id, unit))


def _root_of(organization: Organization, node_id: str) -> str:
    path = f"{organization_path(organization, node_id)}{node_id}"
    return path.split("/")[1]


@operation("organizations:DescribeOrganizationalUnit", prepare=inside("DescribeOrganizationalUnit", _UNIT))
async def describe_organizational_unit(
    call: Call, request: shapes.DescribeOrganizationalUnitRequest, prepared: Prepared[Inside]
) -> shapes.DescribeOrganizationalUnitResponse:
    inside_of = prepared.found
    shape = _shape(inside_of.organization, request.organizational_unit_id, inside_of.found)
    return shapes.DescribeOrganizationalUnitResponse(organizational_unit=shape)


@operation("organizations:UpdateOrganizationalUnit", prepare=inside("UpdateOrganizationalUnit", _UNIT))
async def update_organizational_unit(
    call: Call, request: shapes.UpdateOrganizationalUnitRequest, prepared: Prepared[Inside]
) -> shapes.UpdateOrganizationalUnitResponse:
    organization, unit = prepared.found.organization, prepared.found.found
    unit_id = request.organizational_unit_id
    if request.name is not None and request.name != name_of(unit_id, unit):
        _require_unused_name(organization, unit.parent, request.name)
        unit = replace(unit, name=request.name)
        organization = with_node(organization, unit_id, unit)
        call.store.put(ORGANIZATION, "", organization)
    return shapes.UpdateOrganizationalUnitResponse(organizational_unit=_shape(organization, unit_id, unit))


@operation("organizations:DeleteOrganizationalUnit", prepare=inside("DeleteOrganizationalUnit", _UNIT))
async def delete_organizational_unit(
    call: Call, request: shapes.DeleteOrganizationalUnitRequest, prepared: Prepared[Inside]
) -> None:
    organization, unit_id = prepared.found.organization, request.organizational_unit_id
    accounts = [one for one in organization.accounts.values() if one.parent == unit_id]
    if accounts or _children(organization, unit_id):
        raise Refusal(
            "OrganizationalUnitNotEmptyException",
            "The specified OU is not empty. Move all accounts to another root or to other OUs, remove all child OUs, "
            "and try the operation again.",
        )
    rest = {one: unit for one, unit in organization.units.items() if one != unit_id}
    call.store.put(ORGANIZATION, "", replace(organization, units=rest))


@operation(
    "organizations:ListOrganizationalUnitsForParent",
    prepare=inside("ListOrganizationalUnitsForParent", _PARENT),
)
async def list_organizational_units_for_parent(
    call: Call, request: shapes.ListOrganizationalUnitsForParentRequest, prepared: Prepared[Inside]
) -> shapes.ListOrganizationalUnitsForParentResponse:
    organization = prepared.found.organization
    units = _children(organization, request.parent_id)
    chosen, token = page_of(units, str, request.next_token, request.max_results)
    return shapes.ListOrganizationalUnitsForParentResponse(
        organizational_units=tuple(_shape(organization, one, units[one]) for one in chosen), next_token=token
    )


@operation(
    "organizations:ListParents", prepare=inside("ListParents", node("child_id", lambda: missing("child")))
)
async def list_parents(
    call: Call, request: shapes.ListParentsRequest, prepared: Prepared[Inside]
) -> shapes.ListParentsResponse:
    """One, as on AWS."""
    organization, parent = prepared.found.organization, prepared.found.found.parent
    chosen, token = page_of([parent] if parent else [], str, request.next_token, request.max_results)
    return shapes.ListParentsResponse(
        parents=tuple(
            shapes.Parent(id=one, type="ROOT" if one in roots(organization) else "ORGANIZATIONAL_UNIT")
            for one in chosen
        ),
        next_token=token,
    )


@operation("organizations:ListChildren", prepare=inside("ListChildren", _PARENT))
async def list_children(
    call: Call, request: shapes.ListChildrenRequest, prepared: Prepared[Inside]
) -> shapes.ListChildrenResponse:
    organization = prepared.found.organization
    is_of_units = request.child_type == "ORGANIZATIONAL_UNIT"
    nodes = organization.units if is_of_units else accounts_of(organization)
    children = [one for one, unit in nodes.items() if unit.parent == request.parent_id]
    chosen, token = page_of(children, str, request.next_token, request.max_results)
    return shapes.ListChildrenResponse(
        children=tuple(shapes.Child(id=one, type=request.child_type) for one in chosen), next_token=token
    )


@operation("organizations:MoveAccount", prepare=inside("MoveAccount", account()))
async def move_account(call: Call, request: shapes.MoveAccountRequest, prepared: Prepared[Inside]) -> None:
    """Both parents are judged, too."""
    organization, moved = prepared.found.organization, prepared.found.found
    source, destination = request.source_parent_id, request.destination_parent_id
    for parent, what in ((source, "source parent"), (destination, "destination parent")):
        unit = find_node(organization, parent)
        tags = {} if unit is None else unit.tags
        await call.require(
            "organizations:MoveAccount", prepared.found.resource_of(arn_of(organization, parent), tags, {})
        )
        if unit is None:
            raise missing(what)
    if moved.parent != source:
        raise missing("source parent")
    if source == destination:
        raise Refusal(
            "DuplicateAccountException", "The account is already present in the destination parent."
        )
    changed = with_node(organization, request.account_id, replace(moved, parent=destination))
    call.store.put(ORGANIZATION, "", changed)
