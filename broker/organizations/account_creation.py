"""CreateAccount: a new account in the organization, with a role that the management account may assume.

AWS creates accounts asynchronously; here the account is there when CreateAccount has answered, and what became of the
request is kept for ninety days.
"""

import json
from typing import Any

from broker.access.organization import find_organization
from broker.access.role_index import index_role
from broker.errors import Refusal
from broker.names import ids
from broker.names.arn import iam_arn
from broker.names.organizations import ID_ENTROPY, new_id
from broker.operation import Call, Prepared, operation
from broker.organizations.membership import Inside, inside
from broker.organizations.nodes import accounts_of, new_node, roots, with_node
from broker.organizations.pages import page_of
from broker.organizations.refusals import constraint, invalid_input
from broker.organizations.tags import new_tags
from broker.protocol.shapes import organizations as shapes
from broker.storage.engine import MARK_SIZE
from broker.storage.organization_records import AccountCreation, Organization
from broker.storage.records import Account, Role
from broker.storage.store import ACCOUNT_CREATIONS, ACCOUNTS, ORGANIZATION, ROLES

ACCESS_ROLE = "OrganizationAccountAccessRole"
KEPT_SECONDS = 90 * 24 * 3600

_ADMINISTRATOR = "arn:aws:iam::aws:policy/AdministratorAccess"
_SERVICE_ROLE_PREFIX = "AWSServiceRoleFor"
_MOST_TRIES = 8  # at an account id that nobody has; a broker has few of the million million ids


@operation("organizations:CreateAccount", prepare=inside("CreateAccount"))
async def create_account(
    call: Call, request: shapes.CreateAccountRequest, prepared: Prepared[Inside]
) -> shapes.CreateAccountResponse:
    organization = prepared.found.organization
    role_name = request.role_name or ACCESS_ROLE
    if role_name.startswith(_SERVICE_ROLE_PREFIX):
        raise invalid_input(
            "INVALID_ROLE_NAME", f"A role name can't begin with the reserved prefix {_SERVICE_ROLE_PREFIX}."
        )
    require_room(call, organization)
    tags = await new_tags(call, prepared.resource, request)
    account_id = failure = None
    if await _is_email_used(call, request.email):
        failure = "EMAIL_ALREADY_EXISTS"
    else:
        account_id = await _new_account(call, request)
        unit = new_node(organization, next(iter(roots(organization))), tags=tags, joined_at=int(call.now))
        call.store.put(ORGANIZATION, "", with_node(organization, account_id, unit))
        await _put_access_role(call, account_id, role_name, organization.management_account_id)
    creation = AccountCreation(
        request_id=new_id("car", call.entropy(ID_ENTROPY)),
        organization_id=organization.organization_id,
        account_name=request.account_name,
        requested_at=int(call.now),
        account_id=account_id,
        failure_reason=failure,
    )
    call.store.put(ACCOUNT_CREATIONS, "", creation, expires_at=call.now + KEPT_SECONDS)
    return shapes.CreateAccountResponse(create_account_status=_shape(creation))


def require_room(call: Call, organization: Organization, invited: int = 0) -> None:
    """Raises where one more account would exceed the quota; `invited` are those that have an open invitation."""
    taken = {*accounts_of(organization), *organization.closed_accounts}
    if len(taken) + invited >= call.quotas.organization_accounts:
        raise constraint(
            "ACCOUNT_NUMBER_LIMIT_EXCEEDED",
            "You have exceeded the allowed number of AWS accounts in your organization.",
        )


async def _is_email_used(call: Call, email: str) -> bool:
    accounts = await call.store.scan(ACCOUNTS, "")
    return any(one.email.lower() == email.lower() for one in accounts)


async def _new_account(call: Call, request: shapes.CreateAccountRequest) -> str:
    for _ in range(_MOST_TRIES):
        account_id = f"{int.from_bytes(call.entropy(8)) % 10**12:012d}"
        if await call.store.find(ACCOUNTS, "", account_id) is None:
            account = Account(
                account_id=account_id,
                name=request.account_name,
                email=request.email,
                created_at=int(call.now),
            )
            call.store.put(ACCOUNTS, "", account)
            return account_id
    raise Refusal("ServiceException", "No id was found for the new account.")


async def _put_access_role(call: Call, account_id: str, role_name: str, management_account: str) -> None:
    """As on AWS: the management account may assume it, and it may do everything."""
    trust = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": iam_arn(management_account, "root")},
                "Action": "sts:AssumeRole",
            }
        ],
    }
    role = Role(
        account_id=account_id,
        role_name=role_name,
        role_id=call.new_id(ids.ROLE),
        created_at=int(call.now),
        assume_role_policy=json.dumps(trust, separators=(",", ":")),
        attached_policies=(_ADMINISTRATOR,),
    )
    call.store.put(ROLES, account_id, role)
    await index_role(call.store, role, call.entropy(MARK_SIZE))


def _shape(creation: AccountCreation) -> shapes.CreateAccountStatus:
    return shapes.CreateAccountStatus(
        id=creation.request_id,
        account_name=creation.account_name,
        state=_state(creation),
        requested_timestamp=creation.requested_at,
        completed_timestamp=creation.requested_at,
        account_id=creation.account_id,
        failure_reason=creation.failure_reason,
    )


def _state(creation: AccountCreation) -> str:
    return "SUCCEEDED" if creation.failure_reason is None else "FAILED"


async def _creations(call: Call) -> list[AccountCreation]:
    """Of this organization, not of one that was deleted."""
    organization = await find_organization(call.store)
    found = await call.store.scan(ACCOUNT_CREATIONS, "")
    return [one for one in found if organization and one.organization_id == organization.organization_id]


@operation("organizations:DescribeCreateAccountStatus", prepare=inside("DescribeCreateAccountStatus"))
async def describe_create_account_status(
    call: Call, request: shapes.DescribeCreateAccountStatusRequest, prepared: Prepared[Inside]
) -> shapes.DescribeCreateAccountStatusResponse:
    for creation in await _creations(call):
        if creation.request_id == request.create_account_request_id:
            return shapes.DescribeCreateAccountStatusResponse(create_account_status=_shape(creation))
    raise Refusal(
        "CreateAccountStatusNotFoundException", "You specified a create account request that doesn't exist."
    )


@operation("organizations:ListCreateAccountStatus", prepare=inside("ListCreateAccountStatus"))
async def list_create_account_status(
    call: Call, request: shapes.ListCreateAccountStatusRequest, prepared: Prepared[Inside]
) -> shapes.ListCreateAccountStatusResponse:
    wanted: Any = [
        one for one in await _creations(call) if not request.states or _state(one) in request.states
    ]
    chosen, token = page_of(wanted, lambda one: one.request_id, request.next_token, request.max_results)
    return shapes.ListCreateAccountStatusResponse(
        create_account_statuses=tuple(map(_shape, chosen)), next_token=token
    )
