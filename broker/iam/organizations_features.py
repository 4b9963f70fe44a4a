"""The organization's features for root access to member accounts: listed, enabled and disabled.

They decide which tasks `sts:AssumeRoot` does. `broker apply` declares them, too. An organization of the broker has all
features of Organizations, and trusts IAM.
"""

from typing import Any

import msgspec

from broker.access.organization import ROOT_CREDENTIALS_MANAGEMENT, ROOT_SESSIONS, find_organization
from broker.errors import Refusal
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.organization_records import Organization
from broker.storage.store import ORGANIZATION

# The feature of the record -> its name on the wire, which is in the names of operations, too.
_WIRE_NAMES = {
    ROOT_CREDENTIALS_MANAGEMENT: "RootCredentialsManagement",
    ROOT_SESSIONS: "RootSessions",
}


@operation("iam:ListOrganizationsFeatures", prepare=no_resource)
async def list_organizations_features(
    call: Call, request: shapes.ListOrganizationsFeaturesRequest, prepared: Prepared[None]
) -> shapes.ListOrganizationsFeaturesResponse:
    organization = await _get_administered(call)
    return shapes.ListOrganizationsFeaturesResponse(
        organization_id=organization.organization_id, enabled_features=_enabled(organization)
    )


def _declare(feature: str, name: str) -> None:
    @operation(f"iam:EnableOrganizations{name}", prepare=no_resource)
    async def enable(call: Call, request: Any, prepared: Prepared[None]) -> Any:
        """Only the management account may."""
        organization = await _get_administered(call)
        if call.account != organization.management_account_id:
            raise Refusal(
                "CallerIsNotManagementAccountException",
                f"The account {call.account} is not the management account of the organization.",
            )
        features = tuple(dict.fromkeys((*organization.features, feature)))
        return _changed(call, organization, features, f"EnableOrganizations{name}Response")

    @operation(f"iam:DisableOrganizations{name}", prepare=no_resource)
    async def disable(call: Call, request: Any, prepared: Prepared[None]) -> Any:
        organization = await _get_administered(call)
        features = tuple(one for one in organization.features if one != feature)
        return _changed(call, organization, features, f"DisableOrganizations{name}Response")


for _feature, _name in _WIRE_NAMES.items():
    _declare(_feature, _name)


async def _get_administered(call: Call) -> Organization:
    """The organization, for its management account and its delegated IAM administrator; else raises."""
    organization = await find_organization(call.store)
    if organization is None or (
        call.account not in organization.accounts and call.account != organization.management_account_id
    ):
        raise Refusal(
            "OrganizationNotFoundException", f"The account {call.account} is not a member of an organization."
        )
    if call.account not in (
        organization.management_account_id,
        organization.delegated_iam_administrator_id,
    ):
        raise Refusal(
            "AccountNotManagementOrDelegatedAdministratorException",
            f"The account {call.account} is neither the management account nor the delegated administrator of IAM.",
        )
    return organization


def _changed(call: Call, organization: Organization, features: tuple[str, ...], shape: str) -> Any:
    """Store the organization's features, and answer with the result shape of that name."""
    changed = msgspec.structs.replace(organization, features=features)
    if changed != organization:
        call.store.put(ORGANIZATION, "", changed)
    answer = getattr(shapes, shape)
    return answer(organization_id=changed.organization_id, enabled_features=_enabled(changed))


def _enabled(organization: Organization) -> tuple[str, ...]:
    return tuple(name for feature, name in _WIRE_NAMES.items() if feature in organization.features)
