"""Services that the organization trusts, and the accounts that administer them for it."""

from typing import Any

from msgspec.structs import replace

from broker.errors import Refusal
from broker.operation import Call, ConditionKeys, Prepared, operation
from broker.organizations.accounts import account_shape
from broker.organizations.membership import IAM, Inside, Target, delegations, inside
from broker.organizations.nodes import account
from broker.organizations.pages import page_of
from broker.organizations.refusals import constraint, invalid_input
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization
from broker.storage.store import ORGANIZATION

_SUFFIX = ".amazonaws.com"


def _service_key(request: Any) -> ConditionKeys:
    named = request.service_principal
    return {} if named is None else {"organizations:ServicePrincipal": named}


def _service(organization: Organization, request: Any) -> Target:
    return Target(keys=_service_key(request))


def _require_service(call: Call, service: str) -> None:
    """AWS knows its services by a table; here the form is what counts, as in trust policies."""
    if not service.endswith(_SUFFIX) and service not in call.service_principals:
        raise invalid_input(
            "UNRECOGNIZED_SERVICE_PRINCIPAL", "You specified an unrecognized service principal."
        )


@operation("organizations:EnableAWSServiceAccess", prepare=inside("EnableAWSServiceAccess", _service))
async def enable_aws_service_access(
    call: Call, request: shapes.EnableAWSServiceAccessRequest, prepared: Prepared[Inside]
) -> None:
    """To enable it again is no error, and keeps the date."""
    organization, service = prepared.found.organization, request.service_principal
    _require_service(call, service)
    trusted = {service: int(call.now), **organization.trusted_services}
    call.store.put(ORGANIZATION, "", replace(organization, trusted_services=trusted))


@operation("organizations:DisableAWSServiceAccess", prepare=inside("DisableAWSServiceAccess", _service))
async def disable_aws_service_access(
    call: Call, request: shapes.DisableAWSServiceAccessRequest, prepared: Prepared[Inside]
) -> None:
    organization, service = prepared.found.organization, request.service_principal
    _require_service(call, service)
    if any(service in services for services in delegations(organization).values()):
        raise constraint(
            "DELEGATED_ADMINISTRATOR_EXISTS_FOR_THIS_SERVICE",
            "The service has a delegated administrator. Deregister it first.",
        )
    trusted = {one: at for one, at in organization.trusted_services.items() if one != service}
    call.store.put(ORGANIZATION, "", replace(organization, trusted_services=trusted))


@operation(
    "organizations:ListAWSServiceAccessForOrganization", prepare=inside("ListAWSServiceAccessForOrganization")
)
async def list_aws_service_access_for_organization(
    call: Call, request: shapes.ListAWSServiceAccessForOrganizationRequest, prepared: Prepared[Inside]
) -> shapes.ListAWSServiceAccessForOrganizationResponse:
    trusted = prepared.found.organization.trusted_services
    chosen, token = page_of(trusted, str, request.next_token, request.max_results)
    return shapes.ListAWSServiceAccessForOrganizationResponse(
        enabled_service_principals=tuple(
            shapes.EnabledServicePrincipal(service_principal=one, date_enabled=trusted[one]) for one in chosen
        ),
        next_token=token,
    )


@operation(
    "organizations:RegisterDelegatedAdministrator",
    prepare=inside("RegisterDelegatedAdministrator", account(keys=_service_key)),
)
async def register_delegated_administrator(
    call: Call, request: shapes.RegisterDelegatedAdministratorRequest, prepared: Prepared[Inside]
) -> None:
    organization, service = prepared.found.organization, request.service_principal
    _require_service(call, service)
    _require_delegable(organization, request.account_id)
    delegated = delegations(organization)
    if service in delegated.get(request.account_id, {}):
        raise Refusal(
            "AccountAlreadyRegisteredException",
            "The specified account is already a delegated administrator for this service.",
        )
    if service != IAM and service not in organization.trusted_services:
        raise constraint(
            "SERVICE_ACCESS_NOT_ENABLED", "Enable access of the service to the organization first."
        )
    if service == IAM and organization.delegated_iam_administrator_id is not None:
        raise constraint(
            "MAX_DELEGATED_ADMINISTRATORS_FOR_SERVICE_LIMIT_EXCEEDED",
            "IAM has a delegated administrator already.",
        )
    delegated.setdefault(request.account_id, {})[service] = int(call.now)
    _put(call, organization, delegated)


def _require_delegable(organization: Organization, account_id: str) -> None:
    if account_id == organization.management_account_id:
        raise constraint(
            "CANNOT_REGISTER_MASTER_AS_DELEGATED_ADMINISTRATOR",
            "You cannot register the management account as a delegated administrator.",
        )
    if account_id in organization.closed_accounts:
        raise constraint(
            "CANNOT_REGISTER_SUSPENDED_ACCOUNT_AS_DELEGATED_ADMINISTRATOR",
            "You cannot register a suspended account as a delegated administrator.",
        )


def _put(call: Call, organization: Organization, delegated: dict[str, dict[str, int]]) -> None:
    """IAM's administrator is in a field of its own as well, which sts:AssumeRoot and IAM read."""
    kept = {one: services for one, services in delegated.items() if services}
    of_iam = next((one for one, services in kept.items() if IAM in services), None)
    call.store.put(
        ORGANIZATION,
        "",
        replace(organization, delegated_administrators=kept, delegated_iam_administrator_id=of_iam),
    )


@operation(
    "organizations:DeregisterDelegatedAdministrator",
    prepare=inside("DeregisterDelegatedAdministrator", account(keys=_service_key)),
)
async def deregister_delegated_administrator(
    call: Call, request: shapes.DeregisterDelegatedAdministratorRequest, prepared: Prepared[Inside]
) -> None:
    organization, service = prepared.found.organization, request.service_principal
    delegated = delegations(organization)
    if service not in delegated.get(request.account_id, {}):
        raise _not_registered()
    del delegated[request.account_id][service]
    _put(call, organization, delegated)


def _not_registered() -> Refusal:
    return Refusal(
        "AccountNotRegisteredException",
        "The specified account is not a delegated administrator for this AWS service.",
    )


@operation(
    "organizations:ListDelegatedAdministrators", prepare=inside("ListDelegatedAdministrators", _service)
)
async def list_delegated_administrators(
    call: Call, request: shapes.ListDelegatedAdministratorsRequest, prepared: Prepared[Inside]
) -> shapes.ListDelegatedAdministratorsResponse:
    organization = prepared.found.organization
    wanted = {
        one: services
        for one, services in delegations(organization).items()
        if one in organization.accounts and request.service_principal in (None, *services)
    }
    chosen, token = page_of(wanted, str, request.next_token, request.max_results)
    return shapes.ListDelegatedAdministratorsResponse(
        delegated_administrators=tuple(
            [await _shape(call, organization, one, wanted[one]) for one in chosen]
        ),
        next_token=token,
    )


async def _shape(
    call: Call, organization: Organization, account_id: str, services: dict[str, int]
) -> shapes.DelegatedAdministrator:
    shown = await account_shape(call, organization, account_id)
    return shapes.DelegatedAdministrator(
        id=shown.id,
        arn=shown.arn,
        email=shown.email,
        name=shown.name,
        status=shown.status,
        state=shown.state,
        joined_method=shown.joined_method,
        joined_timestamp=shown.joined_timestamp,
        delegation_enabled_date=min(services.values()),
    )


@operation(
    "organizations:ListDelegatedServicesForAccount",
    prepare=inside("ListDelegatedServicesForAccount", account()),
)
async def list_delegated_services_for_account(
    call: Call, request: shapes.ListDelegatedServicesForAccountRequest, prepared: Prepared[Inside]
) -> shapes.ListDelegatedServicesForAccountResponse:
    services = delegations(prepared.found.organization).get(request.account_id)
    if not services:
        raise _not_registered()
    chosen, token = page_of(services, str, request.next_token, request.max_results)
    return shapes.ListDelegatedServicesForAccountResponse(
        delegated_services=tuple(
            shapes.DelegatedService(service_principal=one, delegation_enabled_date=services[one])
            for one in chosen
        ),
        next_token=token,
    )
