"""Refusals of SCIM: their codes are the `scimType` of RFC 7644, 3.12, or our name of what has none."""

from broker.errors import Refusal

SCIM_TYPES = frozenset(
    {
        "invalidFilter",
        "tooMany",
        "uniqueness",
        "mutability",
        "invalidSyntax",
        "invalidPath",
        "noTarget",
        "invalidValue",
        "invalidVers",
        "sensitive",
    }
)
NOT_FOUND, QUOTA_EXCEEDED, VERSION_MISMATCH = "NotFound", "QuotaExceeded", "PreconditionFailed"
UNIQUENESS = "uniqueness"


def invalid_value(message: str) -> Refusal:
    return Refusal("invalidValue", message, status=400)


def invalid_path(message: str) -> Refusal:
    return Refusal("invalidPath", message, status=400)


def invalid_filter(message: str) -> Refusal:
    return Refusal("invalidFilter", message, status=400)


def invalid_syntax(message: str) -> Refusal:
    return Refusal("invalidSyntax", message, status=400)


def no_target(message: str) -> Refusal:
    return Refusal("noTarget", message, status=400)


def not_found(kind: str, resource_id: str) -> Refusal:
    return Refusal(NOT_FOUND, f"{kind} {resource_id} not found.", status=404)


def not_unique(message: str) -> Refusal:
    return Refusal(UNIQUENESS, message, status=409)


def quota_exceeded(message: str) -> Refusal:
    return Refusal(QUOTA_EXCEEDED, message, status=403)


def version_mismatch() -> Refusal:
    return Refusal(VERSION_MISMATCH, "The resource has another version.", status=412)
