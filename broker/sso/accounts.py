"""ListAccounts and ListAccountRoles: which roles the person may take, as the portal's first page shows them."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from broker.federated_roles import find_federated_roles
from broker.operation import Call, Prepared, no_resource, operation
from broker.own_roles import OwnRoles, find_roles
from broker.protocol.shapes import sso as shapes
from broker.sso.bearer import Bearing, bearer, identity_of_bearer
from broker.storage.portal_records import FederatedIdentity

_DEFAULT_PAGE = 100
T = TypeVar("T")


@operation("sso:ListAccounts", prepare=no_resource, prove=bearer)
async def list_accounts(
    call: Call, request: shapes.ListAccountsRequest, prepared: Prepared[None]
) -> shapes.ListAccountsResponse:
    found = await _roles_of_bearer(call, request)
    accounts = list({own.account.account_id: own.account for own in found.roles}.values())
    shown, next_token = page(
        accounts, lambda account: account.account_id, request.next_token, request.max_results
    )
    return shapes.ListAccountsResponse(
        next_token=next_token,
        account_list=tuple(
            shapes.AccountInfo(
                account_id=account.account_id,
                account_name=account.name or account.alias or account.account_id,
                email_address=account.email or None,
            )
            for account in shown
        ),
    )


@operation("sso:ListAccountRoles", prepare=no_resource, prove=bearer)
async def list_account_roles(
    call: Call, request: shapes.ListAccountRolesRequest, prepared: Prepared[None]
) -> shapes.ListAccountRolesResponse:
    found = await _roles_of_bearer(call, request, request.account_id)
    names = [own.role.role_name for own in found.roles]
    shown, next_token = page(names, str, request.next_token, request.max_results)
    return shapes.ListAccountRolesResponse(
        next_token=next_token,
        role_list=tuple(shapes.RoleInfo(role_name=name, account_id=request.account_id) for name in shown),
    )


async def _roles_of_bearer(call: Call, request: Bearing, account_id: str | None = None) -> OwnRoles:
    identity = await identity_of_bearer(call, request)
    if isinstance(identity, FederatedIdentity):
        return await find_federated_roles(call, identity, account_id)
    return await find_roles(call, account_id)


def page(
    items: Sequence[T], key: Callable[[T], str], after: str | None, most: int | None
) -> tuple[Sequence[T], str | None]:
    """Items in the order of their keys, behind the key `after`; and the key to go on behind, None at the end.

    The token is a key and no secret: whatever it is, only what is the person's own is shown.
    """
    ordered = sorted((item for item in items if key(item) > (after or "")), key=key)
    size = most or _DEFAULT_PAGE
    return ordered[:size], key(ordered[size - 1]) if len(ordered) > size else None
