"""CreateInstanceNonce: by which an instance proves itself, once, to the metadata service. AWS has no such operation.

Who can present the nonce gets the credentials of the instance's role: whoever makes one needs `iam:PassRole` for it.
"""

import re

from broker.access.resource import Resource
from broker.credentials.instance_nonces import (
    NONCE_ENTROPY,
    digest_of_nonce,
    new_nonce,
)
from broker.errors import Refusal, validation_error
from broker.iam.instance_profiles import require_pass_role
from broker.iam.instances import profile_name_of
from broker.names.addresses import parse_network
from broker.operation import Absent, Call, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.instance_records import InstanceBinding
from broker.storage.records import Instance
from broker.storage.store import INSTANCE_BINDINGS, INSTANCE_PROFILES, INSTANCES

_DEFAULT_LIFE = 3600  # seconds
_fits_in_header = re.compile(r"[!-~]{1,256}").fullmatch


async def _found(call: Call, request: shapes.CreateInstanceNonceRequest) -> Prepared[Instance] | Absent:
    """An instance of another account is not there."""
    instance_id = request.instance_id
    instance = await call.store.find(INSTANCES, "", instance_id)
    if instance is None or instance.account_id != call.account:
        missing = Resource(_arn(call.facts.region, call.account, instance_id))
        message = f"There is no instance {instance_id} in this account."
        return Absent(missing, Refusal("NoSuchEntity", message, status=404))
    arn = _arn(instance.region, instance.account_id, instance_id)
    return Prepared(Resource(arn, tags=instance.tags), instance)


def _arn(region: str, account: str, instance_id: str) -> str:
    return f"arn:aws:ec2:{region}:{account}:instance/{instance_id}"


@operation("iam:CreateInstanceNonce", prepare=_found)
async def create_instance_nonce(
    call: Call, request: shapes.CreateInstanceNonceRequest, prepared: Prepared[Instance]
) -> shapes.CreateInstanceNonceResponse:
    """The instance is no longer known by the address that used an earlier nonce."""
    instance = prepared.found
    await _require_pass_role(call, instance)
    _require_usable(instance)
    expires_at = int(call.now) + (request.duration_seconds or _DEFAULT_LIFE)
    nonce = new_nonce(instance.instance_id, call.entropy(NONCE_ENTROPY))
    binding = InstanceBinding(
        instance_id=instance.instance_id,
        account_id=instance.account_id,
        nonce_digest=digest_of_nonce(nonce),
        nonce_expires_at=expires_at,
        network=_network(request.source_network),
    )
    call.store.put(INSTANCE_BINDINGS, "", binding)
    return shapes.CreateInstanceNonceResponse(
        instance_id=instance.instance_id, nonce=nonce, expiration_date=expires_at
    )


async def _require_pass_role(call: Call, instance: Instance) -> None:
    name = profile_name_of(instance)
    profile = await call.store.find(INSTANCE_PROFILES, call.account, name) if name else None
    for role_name in profile.role_names if profile is not None else ():
        await require_pass_role(call, role_name)


def _require_usable(instance: Instance) -> None:
    if instance.addresses:
        message = f"{instance.instance_id} has declared addresses, so it is known by these."
    elif not instance.metadata_enabled:
        message = f"The metadata service is off for {instance.instance_id}."
    elif not _fits_in_header(instance.instance_id):
        message = "The id of the instance has characters that no nonce can have."
    else:
        return
    raise Refusal("InvalidInput", message)


def _network(text: str | None) -> str:
    if text is None:
        return ""
    try:
        return str(parse_network(text))
    except ValueError:
        raise validation_error("SourceNetwork is an address, or a network as in 192.0.2.0/24.") from None
