"""Organization access reports: which services control policies leave to an entity, and when its accounts used them.

Fed by the same marks as service last accessed details. A job is what was asked; its report is of the moment at which it
is read. What counts are service control policies alone, as on AWS ("Refine permissions in AWS Organizations using last
accessed information"): the management account, which they do not limit, is reported only where it is named itself.
"""

import asyncio
from collections.abc import Callable, Iterable
from uuid import UUID

import msgspec

from broker.access.organization import find_organization, find_policy, organization_path, policies_at
from broker.access.resource import Resource
from broker.errors import Refusal, access_denied
from broker.names.arn import iam_arn
from broker.names.organizations import SERVICE_CONTROL_POLICY
from broker.operation import Call, Prepared, no_resource, operation
from broker.paging import page
from broker.policy import PolicyKind, parse_policy, service_grants
from broker.protocol.shapes import iam as shapes
from broker.simulator.service_reference import service_name, service_namespaces
from broker.simulator.subjects import invalid_input
from broker.storage.last_accessed import ALL_OPERATIONS, LAST_ACCESSED_SECONDS
from broker.storage.organization_records import Organization, OrganizationalUnit
from broker.storage.records import Usage
from broker.storage.store import LAST_ACCESSED_JOBS, USAGE
from broker.storage.task_records import ORGANIZATIONS_JOB, LastAccessedJob

_KEPT_SECONDS = 7 * 86_400
_BY_TIME = ("LAST_AUTHENTICATED_TIME_ASCENDING", "LAST_AUTHENTICATED_TIME_DESCENDING")
Grants = Callable[[str], bool]


class _LastUse(msgspec.Struct, frozen=True):
    """The last use of a service by an account of the entity, and how many of its accounts have used it."""

    account: str
    usage: Usage
    accounts: int


async def _access_report(
    call: Call, request: shapes.GenerateOrganizationsAccessReportRequest
) -> Prepared[None]:
    policy_id = request.organizations_policy_id
    keys = {} if policy_id is None else {"iam:OrganizationsPolicyId": policy_id}
    arn = iam_arn(call.account, f"access-report/{request.entity_path}")
    return Prepared(Resource(arn, keys=keys), None)


@operation("iam:GenerateOrganizationsAccessReport", prepare=_access_report)
async def generate_organizations_access_report(
    call: Call, request: shapes.GenerateOrganizationsAccessReportRequest, prepared: Prepared[None]
) -> shapes.GenerateOrganizationsAccessReportResponse:
    organization = await _get_managed(call)
    _entity_of(organization, request.entity_path)
    policy_id = request.organizations_policy_id
    if policy_id is not None:
        policy = find_policy(organization, policy_id)
        if policy is None or policy.type != SERVICE_CONTROL_POLICY:
            raise invalid_input(f"The service control policy {policy_id} does not exist.")
    job = LastAccessedJob(
        arn=request.entity_path, job_type=ORGANIZATIONS_JOB, created_at=int(call.now), policy_id=policy_id
    )
    job_id = str(UUID(bytes=call.entropy(16), version=4))
    call.store.put(LAST_ACCESSED_JOBS, call.account, job, key=job_id, expires_at=call.now + _KEPT_SECONDS)
    return shapes.GenerateOrganizationsAccessReportResponse(job_id=job_id)


@operation("iam:GetOrganizationsAccessReport", prepare=no_resource)
async def get_organizations_access_report(
    call: Call, request: shapes.GetOrganizationsAccessReportRequest, prepared: Prepared[None]
) -> shapes.GetOrganizationsAccessReportResponse:
    organization = await _get_managed(call)
    job = await call.store.find(LAST_ACCESSED_JOBS, call.account, request.job_id)
    if job is None or job.job_type != ORGANIZATIONS_JOB:
        raise Refusal("NoSuchEntity", f"The job with id {request.job_id} cannot be found.")
    entity = _entity_of(organization, job.arn)
    allowed = await _allowed_services(_grants(organization, entity, job.policy_id))
    uses = await _last_uses(call, _accounts(organization, entity, job.policy_id))
    details = [_detail(organization, service, uses.get(service)) for service in allowed]
    chosen, marker = _page(details, request)
    return shapes.GetOrganizationsAccessReportResponse(
        job_status="COMPLETED",
        job_creation_date=job.created_at,
        job_completion_date=job.created_at,
        number_of_services_accessible=len(details),
        number_of_services_not_accessed=sum(one.last_authenticated_time is None for one in details),
        access_details=chosen,
        is_truncated=marker is not None,
        marker=marker,
    )


async def _get_managed(call: Call) -> Organization:
    """The organization that the caller's account manages; raises AccessDenied or InvalidInput."""
    organization = await find_organization(call.store)
    if organization is None or organization.management_account_id != call.account:
        raise access_denied("You must be signed in to the management account of an organization.")
    if SERVICE_CONTROL_POLICY not in organization.features:
        raise invalid_input("Service control policies are not enabled in the organization.")
    return organization


def _entity_of(organization: Organization, entity_path: str) -> str:
    """The id of the root, unit or account at the path; raises InvalidInput where there is none."""
    path = entity_path.rstrip("/")
    node_id = path.rpartition("/")[2]
    is_known = node_id in organization.units or node_id in organization.accounts
    if is_known and path == f"{organization_path(organization, node_id)}{node_id}":
        return node_id
    raise invalid_input(f"There is no entity of the organization at {entity_path}.")


def _grants(organization: Organization, entity: str, policy_id: str | None) -> list[list[Grants]]:
    """For each level that has to allow a service, what its policies grant."""
    if entity == organization.management_account_id:
        return []
    if policy_id is not None:
        policy = find_policy(organization, policy_id)
        return [[_grants_of(policy.content)] if policy is not None else []]
    return [
        [_grants_of(policy.content) for _, policy in policies_at(organization, node, SERVICE_CONTROL_POLICY)]
        for node in _nodes_above(organization, entity)
    ]


def _grants_of(content: str) -> Grants:
    return service_grants(parse_policy(content, PolicyKind.SCP))


def _nodes_above(organization: Organization, entity: str) -> Iterable[OrganizationalUnit]:
    """The entity and what is above it; each id of its path is one, for the path was compared."""
    *above, _ = f"{organization_path(organization, entity)}{entity}".split("/")[1:]
    own = organization.units.get(entity) or organization.accounts[entity]
    return [*(organization.units[one] for one in above), own]


async def _allowed_services(levels: list[list[Grants]]) -> list[str]:
    allowed = []
    for number, service in enumerate(sorted(service_namespaces())):
        if number % 50 == 0:
            await asyncio.sleep(0)  # hundreds of services, each compared with all policies
        if all(any(are_granted(service) for are_granted in level) for level in levels):
            allowed.append(service)
    return allowed


def _accounts(organization: Organization, entity: str, policy_id: str | None) -> list[str]:
    """The accounts that the report is of: the entity, or those below it; with a policy, those that it limits."""
    if entity == organization.management_account_id:
        return [entity]
    return [
        account
        for account in organization.accounts
        if account != organization.management_account_id
        and entity in (account, *organization_path(organization, account).split("/"))
        and (policy_id is None or _is_limited_by(organization, account, policy_id))
    ]


def _is_limited_by(organization: Organization, account: str, policy_id: str) -> bool:
    return any(policy_id in node.policies for node in _nodes_above(organization, account))


async def _last_uses(call: Call, accounts: Iterable[str]) -> dict[str, _LastUse]:
    """The last use of each service by users and roles of these accounts."""
    found: dict[str, _LastUse] = {}
    for account in accounts:
        own: dict[str, Usage] = {}
        for mark in await call.store.scan(USAGE, account, ALL_OPERATIONS):
            known = own.get(mark.service)
            if mark.last_used_at > call.now - LAST_ACCESSED_SECONDS and (
                known is None or mark.last_used_at > known.last_used_at
            ):
                own[mark.service] = mark
        for service, usage in own.items():
            before = found.get(service)
            if before is None:
                found[service] = _LastUse(account, usage, 1)
            elif usage.last_used_at > before.usage.last_used_at:
                found[service] = _LastUse(account, usage, before.accounts + 1)
            else:
                found[service] = msgspec.structs.replace(before, accounts=before.accounts + 1)
    return found


def _detail(organization: Organization, service: str, use: _LastUse | None) -> shapes.AccessDetail:
    shape = shapes.AccessDetail(
        service_name=service_name(service), service_namespace=service, total_authenticated_entities=0
    )
    if use is None:
        return shape
    return msgspec.structs.replace(
        shape,
        region=use.usage.region or None,
        entity_path=f"{organization_path(organization, use.account)}{use.account}",
        last_authenticated_time=use.usage.last_used_at,
        total_authenticated_entities=use.accounts,
    )


def _page(
    details: list[shapes.AccessDetail], request: shapes.GetOrganizationsAccessReportRequest
) -> tuple[tuple[shapes.AccessDetail, ...], str | None]:
    """In the order that the request names, by namespace by default; what was never used comes first by time."""
    order = request.sort_key or "SERVICE_NAMESPACE_ASCENDING"
    details = sorted(details, key=lambda one: one.service_namespace)
    if order in _BY_TIME:
        details = sorted(details, key=lambda one: one.last_authenticated_time or 0)
    if order.endswith("_DESCENDING"):
        details = details[::-1]
    places = {one.service_namespace: f"{number:06}" for number, one in enumerate(details)}
    chosen = page(details, lambda one: places[one.service_namespace], request.marker, request.max_items)
    return chosen.items, chosen.marker
