"""The features of an organization, and the condition keys that depend on it: aws:PrincipalOrgID and the like.

"AWS global condition context keys": they are in a request only where the account concerned belongs to an organization.
A path names the organization, its root and the units down to the account's own, each followed by a slash.
"""

from broker.access.caller import Keys
from broker.storage.records import Organization

# The features that an organization may enable, by their names in AWS's APIs.
SERVICE_CONTROL_POLICY, RESOURCE_CONTROL_POLICY = "SERVICE_CONTROL_POLICY", "RESOURCE_CONTROL_POLICY"
ROOT_CREDENTIALS_MANAGEMENT, ROOT_SESSIONS = "ROOT_CREDENTIALS_MANAGEMENT", "ROOT_SESSIONS"
FEATURES = (SERVICE_CONTROL_POLICY, RESOURCE_CONTROL_POLICY, ROOT_CREDENTIALS_MANAGEMENT, ROOT_SESSIONS)


def organization_keys(
    organization: Organization, principal_account: str, resource_account: str | None
) -> Keys:
    """The keys for this principal and this resource. Accounts that are unknown or not members have none."""
    keys: Keys = {}
    if principal_account in organization.accounts or principal_account == organization.management_account_id:
        keys["aws:principalorgid"] = (organization.organization_id,)
        keys["aws:principalorgmasteraccountid"] = (organization.management_account_id,)
        keys["aws:principalorgpaths"] = (organization_path(organization, principal_account),)
    if resource_account is not None and (
        resource_account in organization.accounts or resource_account == organization.management_account_id
    ):
        keys["aws:resourceorgid"] = (organization.organization_id,)
        keys["aws:resourceorgpaths"] = (organization_path(organization, resource_account),)
    return keys


def organization_path(organization: Organization, account: str) -> str:
    """`o-…/r-…/ou-…/`: from the organization to the unit that holds `account`."""
    names: list[str] = []
    unit = organization.accounts.get(account)
    while unit is not None and unit.parent is not None and unit.parent not in names:
        names.append(unit.parent)
        unit = organization.units.get(unit.parent)
    return "/".join([organization.organization_id, *reversed(names)]) + "/"
