"""The event of a request: made when it arrives, filled while it is handled, journalled however it ends."""

from datetime import UTC, datetime
from functools import lru_cache
from typing import Any

import msgspec

from broker.names.ids import is_key_id


class SessionIssuer(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    type: str
    principal_id: str
    arn: str
    account_id: str
    user_name: str = ""


class SessionAttributes(msgspec.Struct, frozen=True, rename="camel"):
    creation_date: str
    mfa_authenticated: str


class SessionContext(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    attributes: SessionAttributes
    session_issuer: SessionIssuer | None = None
    source_identity: str | None = None
    assumed_root: str | None = None


class InvokedByDelegate(msgspec.Struct, frozen=True, rename="camel"):
    """The account that acts by a delegation request."""

    account_id: str


class UserIdentity(msgspec.Struct, frozen=True, omit_defaults=True, rename="camel"):
    """Who called; `type` is CloudTrail's (Root, IAMUser, AssumedRole, FederatedUser, AWSService, ...) or Unknown.

    `invoked_by` is set only where a service acted by itself: its name.
    """

    type: str
    principal_id: str = ""
    arn: str = ""
    account_id: str = ""
    access_key_id: str = ""
    user_name: str = ""
    session_context: SessionContext | None = None
    invoked_by: str = ""
    invoked_by_delegate: InvokedByDelegate | None = None


class Event(
    msgspec.Struct,
    omit_defaults=True,
    rename={
        "event_version": "eventVersion",
        "user_identity": "userIdentity",
        "event_time": "eventTime",
        "event_source": "eventSource",
        "event_name": "eventName",
        "aws_region": "awsRegion",
        "source_ip": "sourceIPAddress",
        "user_agent": "userAgent",
        "error_code": "errorCode",
        "error_message": "errorMessage",
        "request_parameters": "requestParameters",
        "response_elements": "responseElements",
        "additional_event_data": "additionalEventData",
        "request_id": "requestID",
        "event_id": "eventID",
        "read_only": "readOnly",
        "event_type": "eventType",
        "management_event": "managementEvent",
        "recipient_account_id": "recipientAccountId",
        "event_category": "eventCategory",
    },
):
    """A CloudTrail record. `request_parameters` are redacted already.

    As in CloudTrail, `requestParameters` and `responseElements` are null where there are none.
    """

    event_version: str
    event_time: str
    source_ip: str
    user_agent: str
    request_id: str
    event_id: str
    user_identity: UserIdentity
    request_parameters: dict[str, Any] | None
    response_elements: dict[str, Any] | None
    event_source: str = ""
    event_name: str = ""
    aws_region: str = ""
    error_code: str = ""
    error_message: str = ""
    additional_event_data: dict[str, Any] | None = None
    read_only: bool | None = None
    event_type: str = ""
    management_event: bool = False
    recipient_account_id: str = ""
    event_category: str = ""

    @property
    def is_unauthenticated(self) -> bool:
        """Whether the caller has proven nothing."""
        return self.user_identity.type == _UNKNOWN.type


LONGEST_TEXT = 1024  # bytes
_LONGEST_CHARACTER = 4  # bytes, in UTF-8

_UNKNOWN = UserIdentity("Unknown")  # frozen, so all events share it
_VARIANTS = ["89ab"[octet >> 6] for octet in range(256)]


def begin_event(now: float, request_id: str, source_ip: str, user_agent: str, entropy: bytes) -> Event:
    """The event of a request that has just arrived; `entropy` is sixteen bytes for the event's id.

    Every text from the wire passes `recordable` before it is put into an event, and `shortened` where nothing else
    bounds it.
    """
    return Event(
        "1.11",
        _iso_time(now // 1),
        source_ip,
        shortened(user_agent),
        request_id,
        uuid_text(entropy),
        _UNKNOWN,
        None,
        None,
        event_type="AwsApiCall",
        management_event=True,
        event_category="Management",
    )


def claimed_identity(unverified_access_key_id: str) -> UserIdentity:
    """For an unproven request: the access key id that it claims, without saying whose key that is."""
    claimed = unverified_access_key_id if is_key_id(unverified_access_key_id) else ""
    return UserIdentity("Unknown", access_key_id=claimed)


def uuid_text(entropy: bytes) -> str:
    """Sixteen random bytes as a UUID of version 4 (RFC 9562, 5.4); `uuid.UUID` takes five times as long."""
    digits = entropy.hex("-", 6)  # eight digits, twelve, twelve: the first and the last hyphen are in place
    return f"{digits[:13]}-4{digits[14:17]}-{_VARIANTS[entropy[8]]}{digits[18:]}"


def recordable(text: str) -> str:
    """`text` as valid UTF-8: header bytes that were not (surrogate escapes) become question marks.

    DANGER: a record that cannot be encoded cannot be written, so one invalid byte would leave a request unrecorded.
    """
    return text if text.isascii() else text.encode("utf-8", "replace").decode()


def shortened(text: str) -> str:
    """The beginning of `text`, 1,024 bytes at most: CloudTrail's limit for `userAgent` and `errorMessage`."""
    if len(text) * _LONGEST_CHARACTER <= LONGEST_TEXT:
        return text
    return text.encode("utf-8", "replace")[:LONGEST_TEXT].decode("utf-8", "ignore")


def iso_time(seconds: float) -> str:
    """Epoch seconds as CloudTrail prints them: 2026-01-01T00:00:00Z."""
    return _iso_time(int(seconds))


@lru_cache(maxsize=256)
def _iso_time(second: float) -> str:
    return datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
