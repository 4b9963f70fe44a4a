"""Settings of notifications that an authority's or a workload's certificate expires.

They are kept and shown. Nothing is sent here: there is no EventBridge, no CloudWatch and no Health Dashboard.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.anchor_shapes import EVERY_CHANNEL, anchor_shape
from broker.roles_anywhere.refusals import invalid
from broker.roles_anywhere.resources import TRUST_ANCHOR, found
from broker.storage.store import TRUST_ANCHORS
from broker.storage.workload_records import ExpiryNotice, TrustAnchor

_named = found(TRUST_ANCHOR, "trust_anchor_id")


def with_notices(anchor: TrustAnchor, settings: Iterable[shapes.NotificationSetting]) -> TrustAnchor:
    """The anchor with these settings added or replaced; raises ValidationException."""
    notices = {one.event: one for one in anchor.notices}
    changed: set[str] = set()
    for one in settings:
        if one.event in changed:
            raise invalid(f"There are two settings of the event {one.event}.")
        if one.enabled and one.threshold is None:
            raise invalid("A setting that is enabled needs a threshold.")
        changed.add(one.event)
        notices[one.event] = ExpiryNotice(
            event=one.event,
            channel=one.channel or EVERY_CHANNEL,
            enabled=one.enabled,
            threshold=one.threshold,
            configured_by=anchor.account_id,
        )
    return replace(anchor, notices=tuple(notices.values()))


@operation("rolesanywhere:PutNotificationSettings", prepare=_named)
async def put_notification_settings(
    call: Call, request: shapes.PutNotificationSettingsRequest, prepared: Prepared[TrustAnchor]
) -> shapes.PutNotificationSettingsResponse:
    after = with_notices(prepared.found, request.notification_settings)
    return shapes.PutNotificationSettingsResponse(trust_anchor=_put(call, after))


@operation("rolesanywhere:ResetNotificationSettings", prepare=_named)
async def reset_notification_settings(
    call: Call, request: shapes.ResetNotificationSettingsRequest, prepared: Prepared[TrustAnchor]
) -> shapes.ResetNotificationSettingsResponse:
    reset = {(one.event, one.channel or EVERY_CHANNEL) for one in request.notification_setting_keys}
    rest = tuple(one for one in prepared.found.notices if (one.event, one.channel) not in reset)
    after = replace(prepared.found, notices=rest)
    return shapes.ResetNotificationSettingsResponse(trust_anchor=_put(call, after))


def _put(call: Call, anchor: TrustAnchor) -> shapes.TrustAnchorDetail:
    after = replace(anchor, updated_at=int(call.now))
    call.store.put(TRUST_ANCHORS, call.account, after)
    return anchor_shape(after)
