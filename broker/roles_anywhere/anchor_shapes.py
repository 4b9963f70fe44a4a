"""Trust anchors as the API shows them."""

from msgspec.structs import replace

from broker.protocol.shapes import rolesanywhere as shapes
from broker.roles_anywhere.resources import SERVICE_PRINCIPAL, TRUST_ANCHOR, alias_arn, previous_alias
from broker.storage.workload_records import ExpiryNotice, TrustAnchor

_EVENTS = ("CA_CERTIFICATE_EXPIRY", "END_ENTITY_CERTIFICATE_EXPIRY")
EVERY_CHANNEL = "ALL"
_DEFAULT_DAYS = 45


def anchor_shape(anchor: TrustAnchor, before: TrustAnchor | None = None) -> shapes.TrustAnchorDetail:
    data = shapes.SourceData(x509_certificate_data=anchor.certificates)
    return shapes.TrustAnchorDetail(
        trust_anchor_id=anchor.id,
        trust_anchor_arn=anchor.arn,
        name=anchor.name,
        source=shapes.Source(source_type=anchor.source_type, source_data=data),
        enabled=anchor.enabled,
        crl_dp_revocation_enabled=anchor.follows_distribution_points,
        created_at=anchor.created_at,
        updated_at=anchor.updated_at,
        notification_settings=notice_shapes(anchor),
        alias_name=anchor.alias or None,
        alias_arn=alias_arn(TRUST_ANCHOR, anchor),
        previous_alias_name=None if before is None else previous_alias(before, anchor),
    )


def notice_shapes(anchor: TrustAnchor) -> tuple[shapes.NotificationSettingDetail, ...]:
    """The settings of both events: the account's own, else the defaults."""
    own = {one.event: one for one in anchor.notices}
    default = ExpiryNotice(
        event="",
        channel=EVERY_CHANNEL,
        enabled=True,
        threshold=_DEFAULT_DAYS,
        configured_by=SERVICE_PRINCIPAL,
    )
    return tuple(_shape(own.get(event) or replace(default, event=event)) for event in _EVENTS)


def _shape(notice: ExpiryNotice) -> shapes.NotificationSettingDetail:
    return shapes.NotificationSettingDetail(
        enabled=notice.enabled,
        event=notice.event,
        threshold=notice.threshold,
        channel=notice.channel,
        configured_by=notice.configured_by,
    )
