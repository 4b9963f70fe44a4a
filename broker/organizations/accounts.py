"""Accounts of the organization: described, listed, removed, closed. Their records: `storage/records.py`."""

from collections.abc import Iterable

from msgspec.structs import replace

from broker.access.organization import organization_path
from broker.errors import Refusal
from broker.operation import Call, Prepared, operation
from broker.organizations.membership import Inside, delegations, inside
from broker.organizations.nodes import account, accounts_of, arn_of, node
from broker.organizations.pages import page_of
from broker.organizations.refusals import constraint, missing
from broker.organizations.removal import without_account
from broker.protocol.shapes import organizations as shapes
from broker.storage.organization_records import Organization
from broker.storage.store import ACCOUNTS, ORGANIZATION

ACTIVE, SUSPENDED = "ACTIVE", "SUSPENDED"


async def account_shape(call: Call, organization: Organization, account_id: str) -> shapes.Account:
    record = await call.store.find(ACCOUNTS, "", account_id)
    unit = accounts_of(organization)[account_id]
    is_closed = account_id in organization.closed_accounts
    joined_at = unit.joined_at or (record.created_at if record else 0)
    return shapes.Account(
        id=account_id,
        arn=arn_of(organization, account_id),
        email=(record.email or None) if record else None,
        name=(record.name if record else "") or account_id,
        status=SUSPENDED if is_closed else ACTIVE,
        state="CLOSED" if is_closed else ACTIVE,
        paths=(f"{organization_path(organization, account_id)}{account_id}/",),
        joined_method="INVITED" if unit.is_invited else "CREATED",
        joined_timestamp=joined_at or None,
    )


@operation("organizations:DescribeAccount", prepare=inside("DescribeAccount", account()))
async def describe_account(
    call: Call, request: shapes.DescribeAccountRequest, prepared: Prepared[Inside]
) -> shapes.DescribeAccountResponse:
    shape = await account_shape(call, prepared.found.organization, request.account_id)
    return shapes.DescribeAccountResponse(account=shape)


@operation("organizations:ListAccounts", prepare=inside("ListAccounts"))
async def list_accounts(
    call: Call, request: shapes.ListAccountsRequest, prepared: Prepared[Inside]
) -> shapes.ListAccountsResponse:
    organization = prepared.found.organization
    accounts, token = await _page(call, organization, accounts_of(organization), request)
    return shapes.ListAccountsResponse(accounts=accounts, next_token=token)


@operation(
    "organizations:ListAccountsForParent",
    prepare=inside("ListAccountsForParent", node("parent_id", lambda: missing("parent"))),
)
async def list_accounts_for_parent(
    call: Call, request: shapes.ListAccountsForParentRequest, prepared: Prepared[Inside]
) -> shapes.ListAccountsForParentResponse:
    organization = prepared.found.organization
    below = [one for one, unit in accounts_of(organization).items() if unit.parent == request.parent_id]
    accounts, token = await _page(call, organization, below, request)
    return shapes.ListAccountsForParentResponse(accounts=accounts, next_token=token)


async def _page(
    call: Call,
    organization: Organization,
    account_ids: Iterable[str],
    request: shapes.ListAccountsRequest | shapes.ListAccountsForParentRequest,
) -> tuple[tuple[shapes.Account, ...], str | None]:
    chosen, token = page_of(account_ids, str, request.next_token, request.max_results)
    return tuple([await account_shape(call, organization, one) for one in chosen]), token


@operation(
    "organizations:RemoveAccountFromOrganization", prepare=inside("RemoveAccountFromOrganization", account())
)
async def remove_account_from_organization(
    call: Call, request: shapes.RemoveAccountFromOrganizationRequest, prepared: Prepared[Inside]
) -> None:
    call.store.put(ORGANIZATION, "", without_account(prepared.found.organization, request.account_id))


@operation("organizations:CloseAccount", prepare=inside("CloseAccount", account()))
async def close_account(call: Call, request: shapes.CloseAccountRequest, prepared: Prepared[Inside]) -> None:
    """From the next request on, nobody may do anything in the account. `broker apply` opens it again."""
    organization, account_id = prepared.found.organization, request.account_id
    if account_id == organization.management_account_id:
        raise constraint("CANNOT_CLOSE_MANAGEMENT_ACCOUNT", "You attempted to close the management account.")
    if account_id in organization.closed_accounts:
        raise Refusal(
            "AccountAlreadyClosedException", "You attempted to close an account that is already closed."
        )
    if account_id in delegations(organization):
        raise constraint(
            "CANNOT_REMOVE_DELEGATED_ADMINISTRATOR_FROM_ORG",
            "You attempted to close an account that is a delegated administrator. Deregister it first.",
        )
    closed = {**organization.closed_accounts, account_id: int(call.now)}
    call.store.put(ORGANIZATION, "", replace(organization, closed_accounts=closed))
