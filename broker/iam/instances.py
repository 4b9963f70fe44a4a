"""ListInstances: the machines of the account that the metadata service knows. AWS has no such operation.

Instances are declared by `broker apply`. An instance names its profile by name or by ARN.
"""

from broker.operation import Call, Prepared, no_resource, operation
from broker.paging import page
from broker.protocol.shapes import iam as shapes
from broker.storage.instance_records import with_bound_address
from broker.storage.records import Instance
from broker.storage.store import INSTANCE_BINDINGS, INSTANCES

_READ_AT_ONCE = 1000


@operation("iam:ListInstances", prepare=no_resource)
async def list_instances(
    call: Call, request: shapes.ListInstancesRequest, prepared: Prepared[None]
) -> shapes.ListInstancesResponse:
    """With a profile's name, those instances that have it."""
    wanted = request.instance_profile_name
    found = [
        instance
        for instance in await _instances_of(call)
        if wanted is None or profile_name_of(instance).lower() == wanted.lower()
    ]
    chosen = page(found, lambda instance: instance.instance_id, request.marker, request.max_items)
    return shapes.ListInstancesResponse(
        instances=tuple(map(_shape, chosen.items)),
        is_truncated=chosen.is_truncated,
        marker=chosen.marker,
    )


async def _instances_of(call: Call) -> list[Instance]:
    """All accounts' instances are in one partition; those of the caller's account."""
    found: list[Instance] = []
    after: str | None = None
    while True:
        read = await call.store.scan(INSTANCES, "", after=after, limit=_READ_AT_ONCE)
        own = [instance for instance in read if instance.account_id == call.account]
        bound = await call.store.find_all(INSTANCE_BINDINGS, "", [one.instance_id for one in own])
        found += map(with_bound_address, own, bound)
        if len(read) < _READ_AT_ONCE:
            return found
        after = read[-1].instance_id


def profile_name_of(instance: Instance) -> str:
    """ "" for an instance without one."""
    return (instance.instance_profile or "").rpartition("/")[2]


def _shape(instance: Instance) -> shapes.Instance:
    return shapes.Instance(
        instance_id=instance.instance_id,
        instance_profile=instance.instance_profile,
        addresses=instance.addresses,
        region=instance.region,
        metadata_enabled=instance.metadata_enabled,
        tokens_required=instance.tokens_required,
        launch_date=instance.launched_at or None,
        tags=tuple(shapes.Tag(key=key, value=value) for key, value in instance.tags.items()),
    )
