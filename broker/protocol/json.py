"""Results and refusals of query services -> JSON, for clients that send `Accept: application/json`.

The model's member names as they are; lists are arrays without `member`, maps are objects, times whole seconds since
1970, blobs base64. A member that is None is null, as AWS answers (seen of STS, `"PackedPolicySize":null`, and of SQS);
lists and maps without members are `[]` and `{}`. Policy documents in IAM's answers are percent-encoded as in XML,
because SDKs decode the value whatever its rendering.

One renderer per operation, made on first use.
"""

import re
from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import msgspec

from broker.errors import Refusal, status_and_fault
from broker.protocol.markup import PERCENT_ENCODED, format_timestamp
from broker.protocol.model import ServiceModel, fields_by_wire_name
from broker.protocol.wire import Rendered

Show = Callable[[Any], Any]  # a value that is not None -> what JSON shows of it

_encode = msgspec.json.Encoder().encode
_surrogate = re.compile("[\ud800-\udfff]")

_SCALARS: dict[str, Show] = {
    "blob": lambda value: b64encode(value).decode(),
    "timestamp": int,
}


def render_json_result(
    service: ServiceModel, operation: str, result: msgspec.Struct | None, request_id: str
) -> bytes:
    """The answer of `operation`; TypeError where `result` is not the struct that the model names."""
    output = service.operations[operation].output
    expected = type(None) if output is None else service.structs[output.shape]
    if type(result) is not expected:
        raise TypeError(f"{operation} answers {expected.__name__}, not {type(result).__name__}")
    shown: dict[str, Any] = {}
    if output is not None:
        show = service.json_renderers.get(operation)
        if show is None:
            show = service.json_renderers[operation] = _structure(service, output.shape)
        shown[output.result_wrapper or f"{operation}Result"] = show(result)
    shown["ResponseMetadata"] = {"RequestId": request_id}
    return _encode({f"{operation}Response": shown})


def render_json_refusal(service: ServiceModel | None, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
    """HTTP status and body of a refusal; `service` is None where no service was named. An empty message is null."""
    status, fault = status_and_fault(refusal) if service is None else service.status_and_fault(refusal)
    # A message may quote bytes of the request that are not UTF-8.
    message = _surrogate.sub("\ufffd", refusal.message) or None
    error = {"Code": refusal.code, "Message": message, "Type": fault}
    return status, _encode({"Error": error, "RequestId": request_id})


def refuse_for_json_clients(service: ServiceModel | None, refusal: Refusal, request_id: str) -> Rendered:
    """A refusal of the protocols AWS JSON 1.0 and 1.1 and restJson1, whose clients read the header or the body."""
    status, _ = status_and_fault(refusal) if service is None else service.status_and_fault(refusal)
    body = _encode({"__type": refusal.code, "message": _surrogate.sub("\ufffd", refusal.message)})
    return Rendered(status, "application/json", body, (("x-amzn-ErrorType", refusal.code),))


def shown_as(service: ServiceModel, name: str) -> Show | None:
    """What JSON shows of the values of shape `name`; None for scalars that are shown as they are."""
    shape = service.shapes[name]
    if shape.document:
        return None
    if shape.type == "structure":
        return _structure(service, name)
    if shape.type == "list":
        assert shape.member is not None
        if service.shapes[shape.member.shape].type == "structure":
            return _each(_shown_later(service, shape.member.shape))
        show = shown_as(service, shape.member.shape)
        return list if show is None else _each(show)
    if shape.type == "map":
        assert shape.value is not None
        show = shown_as(service, shape.value.shape)
        return dict if show is None else _each_value(show)
    if name in PERCENT_ENCODED:
        return lambda value: quote(value, safe="")
    if shape.type == "timestamp" and shape.timestamp_format == "iso8601":
        return format_timestamp
    return _SCALARS.get(shape.type)


def _shown_later(service: ServiceModel, name: str) -> Show:
    """The renderer of a structure, made when the first value is shown: a structure may contain itself, in a list."""
    made: list[Show] = []

    def show(value: Any) -> Any:
        if not made:
            made.append(_structure(service, name))
        return made[0](value)

    return show


def _each(show: Show) -> Show:
    return lambda values: [show(value) for value in values]


def _each_value(show: Show) -> Show:
    return lambda entries: {key: show(value) for key, value in entries.items()}


def _structure(service: ServiceModel, name: str) -> Show:
    fields = fields_by_wire_name(service.structs[name])
    members = [
        (reference.location_name or wire_name, fields[wire_name], shown_as(service, reference.shape))
        for wire_name, reference in service.shapes[name].members.items()
    ]

    def show(struct: msgspec.Struct) -> dict[str, Any]:
        shown = {}
        for wire_name, field, show_member in members:
            value = getattr(struct, field)
            shown[wire_name] = value if value is None or show_member is None else show_member(value)
        return shown

    return show
