"""ListPublicKeys: the keys by which the account's digest files are verified."""

from broker.errors import Refusal
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import cloudtrail as shapes
from broker.storage.store import DIGEST_KEYS
from broker.trail.refusals import invalid_token


@operation("cloudtrail:ListPublicKeys", prepare=no_resource)
async def list_public_keys(
    call: Call, request: shapes.ListPublicKeysRequest, prepared: Prepared[None]
) -> shapes.ListPublicKeysResponse:
    """Those that were valid at some moment from StartTime to EndTime; without, that are valid now."""
    if request.next_token is not None:
        raise invalid_token()  # the keys of a hundred years fit into one page
    start = call.now if request.start_time is None else request.start_time
    end = call.now if request.end_time is None else request.end_time
    if start > end:
        raise Refusal("InvalidTimeRangeException", "The start time is after the end time.")
    kept = await call.store.find(DIGEST_KEYS, call.account)
    keys = () if kept is None else kept.keys
    return shapes.ListPublicKeysResponse(
        public_key_list=tuple(
            shapes.PublicKey(
                value=one.public_key,
                validity_start_time=one.start,
                validity_end_time=one.end,
                fingerprint=one.fingerprint,
            )
            for one in keys
            if one.start <= end and one.end >= start
        )
    )
