"""POST policies: what a signed form may upload ("POST policy", Amazon S3 API reference).

# INVARIANT: every field that the gateway acts on is in a condition of the policy, except those that cannot be: the
signature, the policy itself, and the file. What a field holds is judged after `${filename}` was replaced in it.
"""

import binascii
import json
from base64 import b64decode
from collections.abc import Mapping
from datetime import datetime

import msgspec

from broker.errors import Refusal
from broker.strict_json import read_object

_UNCOVERED = frozenset({"x-amz-signature", "file", "policy"})
_IGNORED = "x-ignore-"
_RANGE = "content-length-range"
_OPERATORS = ("eq", "starts-with")
_LARGEST_NUMBER = 1 << 50


class FieldCondition(msgspec.Struct, frozen=True):
    """`field` in lower case, without its dollar sign; `text` as a refusal shows it."""

    operator: str
    field: str
    value: str
    text: str


class PostPolicy(msgspec.Struct, frozen=True):
    """`expiration` in epoch seconds; `lengths` are the ranges of bytes that the file must be in, ends included."""

    expiration: float
    conditions: tuple[FieldCondition, ...]
    lengths: tuple[tuple[int, int], ...]


def read_post_policy(encoded: str) -> PostPolicy:
    """Raises Refusal InvalidPolicyDocument."""
    try:
        document = read_object(b64decode(encoded, validate=True))
        if document.keys() != {"expiration", "conditions"}:
            raise ValueError("a policy has expiration and conditions")
        fields, lengths = [], []
        for one in document["conditions"]:
            if isinstance(one, list) and one and str(one[0]).lower() == _RANGE:
                lengths.append(_length_range(one))
            else:
                fields.extend(_conditions(one))
        return PostPolicy(_moment(document["expiration"]), tuple(fields), tuple(lengths))
    except (ValueError, TypeError, OverflowError, binascii.Error) as error:
        raise Refusal("InvalidPolicyDocument", f"Invalid Policy: {_said(error)}.") from None


def _said(error: Exception) -> str:
    """No text of the policy: what is not JSON may be anything."""
    return "Invalid JSON" if isinstance(error, binascii.Error | UnicodeDecodeError) else str(error)[:128]


def _moment(text: object) -> float:
    if not isinstance(text, str):
        raise ValueError("Invalid 'expiration' value")
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("Invalid 'expiration' value: the time zone is missing")
    return moment.timestamp()


def _length_range(condition: list[object]) -> tuple[int, int]:
    if len(condition) != 3:
        raise ValueError("Invalid content-length-range: wrong number of arguments")
    least, most = map(_number, condition[1:])
    return least, most


def _number(value: object) -> int:
    is_digits = isinstance(value, str) and value.isascii() and value.isdigit() and len(value) < 17
    if type(value) is not int and not is_digits:
        raise ValueError("Invalid content-length-range: not a number")
    number = int(str(value))
    if not 0 <= number <= _LARGEST_NUMBER:
        raise ValueError("Invalid content-length-range: not a length")
    return number


def _conditions(condition: object) -> list[FieldCondition]:
    text = json.dumps(condition)
    if isinstance(condition, dict):
        if not condition or not all(isinstance(value, str) for value in condition.values()):
            raise ValueError("Invalid Simple-Condition: value must be a string")
        return [
            FieldCondition("eq", name.lower(), value, json.dumps(["eq", f"${name}", value]))
            for name, value in condition.items()
        ]
    if (
        not isinstance(condition, list)
        or len(condition) != 3
        or not all(isinstance(one, str) for one in condition)
    ):
        raise ValueError("Invalid Condition: an object or a list of three strings is expected")
    operator, field, value = condition
    if operator.lower() not in _OPERATORS or not field.startswith("$"):
        raise ValueError("Invalid Condition: the operator or the field is unknown")
    return [FieldCondition(operator.lower(), field[1:].lower(), value, text)]


def require_current(policy: PostPolicy, now: float) -> None:
    if now > policy.expiration:
        raise _against_policy("Policy expired.")


def require_fields(policy: PostPolicy, fields: Mapping[str, str], bucket: str) -> None:
    """Every condition holds, and every field has one. Raises Refusal AccessDenied."""
    if fields.get("bucket", bucket) != bucket:
        raise _against_policy("the field bucket is not the bucket of the request")
    values = {**fields, "bucket": bucket}
    for one in policy.conditions:
        if not _holds(one, values.get(one.field)):
            raise _against_policy(f"Policy Condition failed: {one.text}")
    covered = _UNCOVERED.union(one.field for one in policy.conditions)
    extra = [name for name in values if name not in covered and not name.startswith(_IGNORED)]
    if extra:
        raise _against_policy(f"Extra input fields: {', '.join(extra)[:256]}")


def _holds(condition: FieldCondition, value: str | None) -> bool:
    """The clause: content types "are interpreted as lists that can contain comma-separated values", each of which has
    to begin so.
    """
    if value is None:
        return False
    if condition.operator == "eq":
        return value == condition.value
    parts = value.split(",") if condition.field == "content-type" else [value]
    return (
        all(part.strip().startswith(condition.value) for part in parts)
        if len(parts) > 1
        else value.startswith(condition.value)
    )


def require_length(policy: PostPolicy, length: int) -> None:
    """Raises Refusal EntityTooSmall, EntityTooLarge."""
    for least, most in policy.lengths:
        if length < least:
            raise Refusal(
                "EntityTooSmall",
                "Your proposed upload is smaller than the minimum allowed size",
                members={"ProposedSize": str(length), "MinSizeAllowed": str(least)},
            )
        if length > most:
            raise Refusal(
                "EntityTooLarge",
                "Your proposed upload exceeds the maximum allowed size",
                members={"ProposedSize": str(length), "MaxSizeAllowed": str(most)},
            )


def _against_policy(why: str) -> Refusal:
    return Refusal("AccessDenied", f"Invalid according to Policy: {why}")
