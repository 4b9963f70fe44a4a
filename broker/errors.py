"""Refusal: the only error that clients see.

The pure floors and the handlers raise it; only `web/` turns it into HTTP. Status and fault of a modelled code are in
the service model (`broker.protocol`). Those of the codes that all query services share are in COMMON below, as AWS
answers them ("Common Errors", IAM and STS API references).
"""

from collections.abc import Mapping
from http import HTTPStatus

_NO_MEMBERS: Mapping[str, str] = {}

# code -> (HTTP status, fault), for codes that no service model lists.
COMMON: dict[str, tuple[int, str]] = {
    "AccessDenied": (403, "Sender"),
    "ExpiredToken": (403, "Sender"),
    "IncompleteSignature": (400, "Sender"),
    "InternalFailure": (500, "Receiver"),
    "InvalidAction": (400, "Sender"),
    "InvalidClientTokenId": (403, "Sender"),
    "InvalidParameterCombination": (400, "Sender"),
    "InvalidParameterValue": (400, "Sender"),
    "MalformedInput": (400, "Sender"),
    "MalformedQueryString": (400, "Sender"),
    "MissingAction": (400, "Sender"),
    "MissingAuthenticationToken": (403, "Sender"),
    "MissingParameter": (400, "Sender"),
    "NotImplemented": (501, "Receiver"),
    "OptInRequired": (403, "Sender"),
    "RequestEntityTooLarge": (413, "Sender"),
    "RequestExpired": (400, "Sender"),
    "ServiceUnavailable": (503, "Receiver"),
    "SignatureDoesNotMatch": (403, "Sender"),
    "Throttling": (400, "Sender"),
    "UnsupportedMediaType": (415, "Sender"),
    "ValidationError": (400, "Sender"),
}


class Refusal(Exception):
    """A refused request: the client reads `code` and `message`.

    `reason` is for the operator only. It may be exact where the message must be vague; it never has a secret. `status`
    and `fault` override those of the model or of COMMON. `oauth_error` is what the body calls it, where a protocol of
    OAuth has more names than codes. `members` are what the model gives the error beside its message, by wire name.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        reason: str = "",
        status: int | None = None,
        fault: str | None = None,
        oauth_error: str = "",
        members: Mapping[str, str] = _NO_MEMBERS,
    ) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.reason = reason
        self.status = status
        self.fault = fault
        self.oauth_error = oauth_error
        self.members = members


def status_and_fault(refusal: Refusal) -> tuple[int, str]:
    """HTTP status and fault of a refusal whose code is in no service model."""
    status, fault = COMMON.get(refusal.code, (HTTPStatus.BAD_REQUEST, "Sender"))
    return refusal.status or status, refusal.fault or fault


def access_denied(message: str, *, reason: str = "") -> Refusal:
    return Refusal("AccessDenied", message, reason=reason)


def validation_error(message: str) -> Refusal:
    return Refusal("ValidationError", message)


def not_implemented(message: str) -> Refusal:
    return Refusal("NotImplemented", message)


def outcome_unknown(reason: str) -> Refusal:
    """It is unknown whether the request was carried out, so the client must not take it for a failure."""
    return Refusal(
        "ServiceUnavailable",
        "It is unknown whether the request was carried out, because of a temporary failure of the server. "
        "Look before you repeat it.",
        reason=reason,
    )


def carried_out_unrecorded(reason: str) -> Refusal:
    """The request was carried out, but not recorded yet; without an audit record nothing is answered."""
    return Refusal(
        "ServiceUnavailable",
        "The request was carried out, but a temporary failure of the server prevents an answer. Do not repeat it.",
        reason=f"carried out, but not journalled yet: {reason}",
    )


def service_unavailable(reason: str) -> Refusal:
    """For a store or a key that cannot be reached."""
    return Refusal(
        "ServiceUnavailable",
        "The request has failed due to a temporary failure of the server.",
        reason=reason,
    )
