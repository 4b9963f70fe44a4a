"""An account leaves the organization, by itself or removed by the management account: the same conditions."""

from msgspec.structs import replace

from broker.errors import Refusal
from broker.organizations.membership import delegations
from broker.organizations.refusals import constraint
from broker.storage.organization_records import Organization


def without_account(organization: Organization, account: str) -> Organization:
    """The organization without `account`; raises where it may not leave.

    A closed account may not: it would be open again.
    """
    if account == organization.management_account_id:
        raise Refusal(
            "MasterCannotLeaveOrganizationException",
            "You can't remove a management account from an organization. "
            "Remove all member accounts, then delete the organization.",
        )
    if account in delegations(organization):
        raise constraint(
            "CANNOT_REMOVE_DELEGATED_ADMINISTRATOR_FROM_ORG",
            "You attempted to remove an account that is a delegated administrator. Deregister it first.",
        )
    if account in organization.closed_accounts:
        raise constraint(
            "ACCOUNT_CANNOT_LEAVE_ORGANIZATION", "A closed account cannot leave the organization."
        )
    rest = {one: unit for one, unit in organization.accounts.items() if one != account}
    return replace(organization, accounts=rest)
