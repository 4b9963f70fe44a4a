"""What the protocols with JSON bodies share: a body that is read strictly, and answers without absent members."""

from typing import Any

import msgspec

from broker.errors import Refusal
from broker.protocol.wire import Message
from broker.strict_json import read_object

LARGEST_BODY = (
    128 << 10
)  # bytes; tokens of the broker have 64 kB at most, policies of organizations 40,000 characters

encode_json = msgspec.json.Encoder().encode


def read_body(message: Message, largest: int = LARGEST_BODY) -> dict[str, Any]:
    """The object in the body, empty where there is no body; raises MalformedInput."""
    body = message.http.body
    if len(body) > largest:
        raise Refusal("MalformedInput", f"The body is larger than {largest} bytes.")
    try:
        return read_object(body) if body else {}
    except ValueError as error:  # an error of decoding is one, too
        reason = "not UTF-8" if isinstance(error, UnicodeError) else str(error)
        raise Refusal("MalformedInput", f"The body cannot be read as a JSON object: {reason}.") from None


def without_absent(value: Any) -> Any:
    """Members that are None are left out; lists and maps without members stay."""
    if isinstance(value, dict):
        return {key: without_absent(item) for key, item in value.items() if item is not None}
    return [without_absent(item) for item in value] if isinstance(value, list) else value
