"""StartLogging and StopLogging."""

from msgspec.structs import replace

from broker.errors import Refusal
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import cloudtrail as shapes
from broker.storage.store import TRAILS
from broker.storage.trail_records import LoggingPeriod, Trail
from broker.trail.resources import named, require_home

_MOST_PERIODS = 100
_KEPT_SECONDS = 90 * 86400  # a period may have ended so long before its last records are delivered
_named = named("name")


@operation("cloudtrail:StartLogging", prepare=_named)
async def start_logging(
    call: Call, request: shapes.StartLoggingRequest, prepared: Prepared[Trail]
) -> shapes.StartLoggingResponse:
    trail = prepared.found
    require_home(call, trail)
    if trail.is_logging:
        return shapes.StartLoggingResponse()
    kept = tuple(one for one in trail.periods if one.end > call.now - _KEPT_SECONDS)
    if len(kept) >= _MOST_PERIODS:
        raise Refusal("ThrottlingException", "The trail was started and stopped too often.")
    periods = (*kept, LoggingPeriod(start=int(call.now)))
    call.store.put(TRAILS, call.account, replace(trail, periods=periods))
    return shapes.StartLoggingResponse()


@operation("cloudtrail:StopLogging", prepare=_named)
async def stop_logging(
    call: Call, request: shapes.StopLoggingRequest, prepared: Prepared[Trail]
) -> shapes.StopLoggingResponse:
    """What was recorded until now is still delivered."""
    trail = prepared.found
    require_home(call, trail)
    if trail.is_logging:
        ended = replace(trail.periods[-1], end=max(int(call.now), 1))
        call.store.put(TRAILS, call.account, replace(trail, periods=(*trail.periods[:-1], ended)))
    return shapes.StopLoggingResponse()
