"""Foreign resources: which resources of other services the account owns, and their resource policies.

AWS has no such operations: there each service keeps its own. The permission is that of the same name with the prefix
`broker:`, on the ARN of the resource, in the account that owns it.
"""

from typing import Any

from broker.access.foreign_resources import (
    deregister_resource,
    find_owner,
    put_resource_policy,
    register_resource,
)
from broker.access.resource import Resource
from broker.access.trust import named_policy
from broker.errors import Refusal, validation_error
from broker.iam.rows import rows_of
from broker.names.foreign_arn import parse_foreign_arn
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.paging import first_key, page_of_rows
from broker.protocol.shapes import iam as shapes
from broker.storage.resource_records import ForeignResource
from broker.storage.store import FOREIGN_RESOURCES


async def _new(call: Call, request: Any) -> Prepared[str]:
    """The ARN that the caller's account is to own."""
    return Prepared(await _resource(call, request.resource_arn), request.resource_arn)


async def _found(call: Call, request: Any) -> Prepared[ForeignResource] | Absent:
    arn = request.resource_arn
    resource = await _resource(call, arn)
    record = await call.store.find(FOREIGN_RESOURCES, call.account, arn)
    if record is None:
        return Absent(resource, Refusal("NoSuchEntity", f"There is no foreign resource {arn}.", status=404))
    return Prepared(resource, record)


async def _resource(call: Call, arn: str) -> Resource:
    """Of its owner; what nobody owns is judged as the caller's."""
    try:
        parse_foreign_arn(arn)
    except ValueError as error:
        raise validation_error(f"ResourceArn: {error}.") from None
    return Resource(arn, await find_owner(call.store, arn))


@operation("iam:RegisterForeignResource", prepare=_new, judged_as="broker:RegisterForeignResource")
async def register_foreign_resource(
    call: Call, request: shapes.RegisterForeignResourceRequest, prepared: Prepared[str]
) -> shapes.RegisterForeignResourceResponse:
    record = await _registered(call, prepared.found)
    return shapes.RegisterForeignResourceResponse(foreign_resource=await _shape(call, record))


@operation("iam:PutForeignResourcePolicy", prepare=_new, judged_as="broker:PutForeignResourcePolicy")
async def put_foreign_resource_policy(
    call: Call, request: shapes.PutForeignResourcePolicyRequest, prepared: Prepared[str]
) -> shapes.PutForeignResourcePolicyResponse:
    """A resource without an owner is the account's afterwards, where accounts may take names."""
    record = await put_resource_policy(
        call.store,
        await _registered(call, prepared.found),
        request.policy_document,
        int(call.now),
        call.quotas.foreign_resource_policy_size,
        call.service_principals,
    )
    return shapes.PutForeignResourcePolicyResponse(foreign_resource=await _shape(call, record))


async def _registered(call: Call, arn: str) -> ForeignResource:
    if not call.accounts_take_names and await find_owner(call.store, arn) is None:
        raise Refusal(
            "InvalidInput",
            f"Nobody owns {arn}, and accounts cannot take names here: the operator gives them by broker apply, and a "
            "gateway to who creates the bucket.",
            reason="authorize.accounts_take_names is false",
        )
    return await register_resource(
        call.store, call.account, arn, int(call.now), call.quotas.foreign_resources
    )


@operation("iam:GetForeignResource", prepare=_found, judged_as="broker:GetForeignResource")
async def get_foreign_resource(
    call: Call, request: shapes.GetForeignResourceRequest, prepared: Prepared[ForeignResource]
) -> shapes.GetForeignResourceResponse:
    return shapes.GetForeignResourceResponse(foreign_resource=await _shape(call, prepared.found))


@operation("iam:ListForeignResources", prepare=no_resource, judged_as="broker:ListForeignResources")
async def list_foreign_resources(
    call: Call, request: shapes.ListForeignResourcesRequest, prepared: Prepared[None]
) -> shapes.ListForeignResourcesResponse:
    prefix = request.arn_prefix or ""
    rows = rows_of(call, FOREIGN_RESOURCES, first_key(request.marker), request.max_items, prefix)
    chosen = await page_of_rows(rows, lambda one: one.arn, request.marker, request.max_items)
    return shapes.ListForeignResourcesResponse(
        foreign_resources=tuple([await _shape(call, one) for one in chosen.items]),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


@operation("iam:DeleteForeignResourcePolicy", prepare=_found, judged_as="broker:DeleteForeignResourcePolicy")
async def delete_foreign_resource_policy(
    call: Call, request: shapes.DeleteForeignResourcePolicyRequest, prepared: Prepared[ForeignResource]
) -> None:
    """The account still owns the resource."""
    await put_resource_policy(call.store, prepared.found, None, int(call.now), 0, call.service_principals)


@operation("iam:DeregisterForeignResource", prepare=_found, judged_as="broker:DeregisterForeignResource")
async def deregister_foreign_resource(
    call: Call, request: shapes.DeregisterForeignResourceRequest, prepared: Prepared[ForeignResource]
) -> None:
    await deregister_resource(call.store, prepared.found)


async def _shape(call: Call, record: ForeignResource) -> shapes.ForeignResource:
    text = record.policy
    return shapes.ForeignResource(
        resource_arn=record.arn,
        policy_document=None if text is None else await named_policy(call.store, text, record.trusted_ids),
        create_date=record.created_at,
        update_date=record.updated_at,
    )
