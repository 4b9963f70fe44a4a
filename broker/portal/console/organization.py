"""The organization: its tree, the policies of one place in it, and what an account there may do at most."""

from urllib.parse import quote

from aiohttp import web

from broker.errors import Refusal
from broker.names.organizations import RESOURCE_CONTROL_POLICY, SERVICE_CONTROL_POLICY
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OperationForm, attempt, take_form
from broker.portal.console.organization_tree import OrganizationNode, Tree, find_levels, find_tree
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_SERVICE = "organizations"
NOT_IN_USE = "AWSOrganizationsNotInUseException"
# Operations after which the same place is shown, and those after which it may not be there any more.
_STAYING = (
    "AcceptHandshake",
    "AttachPolicy",
    "CancelHandshake",
    "CloseAccount",
    "CreateAccount",
    "CreateOrganization",
    "CreateOrganizationalUnit",
    "CreatePolicy",
    "DeclineHandshake",
    "DeletePolicy",
    "DetachPolicy",
    "DisablePolicyType",
    "EnablePolicyType",
    "InviteAccountToOrganization",
    "MoveAccount",
)
_LEAVING = (
    "DeleteOrganization",
    "DeleteOrganizationalUnit",
    "LeaveOrganization",
    "RemoveAccountFromOrganization",
)


def _path(visit: Visit) -> str:
    return f"{console_path(visit.request.match_info['account'])}/organization"


async def show(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    described = await attempt(portal, visit, "DescribeOrganization", service=_SERVICE)
    invitations = await attempt(portal, visit, "ListHandshakesForAccount", service=_SERVICE)
    if isinstance(described, Refusal):
        is_outside = described.code == NOT_IN_USE
        return await console_page(
            portal,
            visit,
            "no_organization",
            refusal=refusal or (None if is_outside else described),
            is_outside=is_outside,
            invitations=invitations,
        )
    tree = await find_tree(portal, visit)
    if isinstance(tree, Refusal):
        return await console_page(
            portal,
            visit,
            "member_of_organization",
            refusal=refusal,
            organization=described.organization,
            tree=tree,
        )
    chosen = _chosen(visit, tree)
    return await console_page(
        portal,
        visit,
        "organization",
        refusal=refusal,
        organization=described.organization,
        tree=tree,
        here=_path(visit),
        chosen=chosen,
        levels=await find_levels(portal, visit, tree, chosen),
        policy_types=(SERVICE_CONTROL_POLICY, RESOURCE_CONTROL_POLICY),
        policies=[
            policy
            for policy_type in (SERVICE_CONTROL_POLICY, RESOURCE_CONTROL_POLICY)
            for policy in getattr(
                await attempt(portal, visit, "ListPolicies", {"Filter": policy_type}, service=_SERVICE),
                "policies",
                (),
            )
        ],
        sent=await attempt(portal, visit, "ListHandshakesForOrganization", service=_SERVICE),
    )


def _chosen(visit: Visit, tree: Tree) -> OrganizationNode:
    """The place that the address names, else the root."""
    return tree.find(visit.request.query.get("node", "")) or tree.nodes[0]


async def act(portal: Portal, visit: Visit) -> web.Response:
    here, node = _path(visit), visit.request.query.get("node", "")
    place = f"{here}?node={quote(node)}" if node else here
    forms = {
        **{one: OperationForm(lambda _answer: place, _SERVICE) for one in _STAYING},
        **{one: OperationForm(lambda _answer: here, _SERVICE) for one in _LEAVING},
    }
    return await take_form(portal, visit, forms, {}, show)


ROUTES = (
    console_route("GET", "/organization", show, "ConsoleOrganization"),
    console_route("POST", "/organization", act, "ConsoleOrganization"),
)
