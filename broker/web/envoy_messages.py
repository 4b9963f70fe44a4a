"""The messages of Envoy's external authorization, `envoy.service.auth.v3.Authorization`, as far as they are used here.

Only these fields: others of a request are left unread. Names and numbers are Envoy's public interface. They are
described here, for the package that has all of Envoy's messages brings 10 MB, and top-level packages called `test` and
`opentelemetry`. Needs the extra `broker[grpc]`; nothing else imports protobuf.
"""

from typing import Any, Final

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import DecodeError
from google.protobuf.message_factory import GetMessageClass

_PACKAGE = "broker.envoy"
_SCALARS = {
    "string": FieldDescriptorProto.TYPE_STRING,
    "bytes": FieldDescriptorProto.TYPE_BYTES,
    "int32": FieldDescriptorProto.TYPE_INT32,  # enumerations, too: the wire has them as numbers
    "bool": FieldDescriptorProto.TYPE_BOOL,
}
_MANY = "repeated "
# By message: the name of each field, its number and its type. `HttpRequest.headers` is a map in Envoy's description: on
# the wire its entries are messages, and read as a list, none hides another.
FIELDS: Final = {
    "SocketAddress": (("address", 2, "string"),),
    "Address": (("socket_address", 1, "SocketAddress"),),
    "Peer": (("address", 1, "Address"),),
    "HeadersEntry": (("key", 1, "string"), ("value", 2, "string")),
    "HeaderValue": (("key", 1, "string"), ("value", 2, "string"), ("raw_value", 3, "bytes")),
    "HeaderMap": (("headers", 1, "repeated HeaderValue"),),
    "HttpRequest": (
        ("method", 2, "string"),
        ("headers", 3, "repeated HeadersEntry"),
        ("path", 4, "string"),
        ("host", 5, "string"),
        ("scheme", 6, "string"),
        ("query", 7, "string"),
        ("fragment", 8, "string"),
        ("body", 11, "string"),
        ("raw_body", 12, "bytes"),
        ("header_map", 13, "HeaderMap"),
    ),
    "Request": (("http", 2, "HttpRequest"),),
    "AttributeContext": (("source", 1, "Peer"), ("request", 4, "Request")),
    "CheckRequest": (("attributes", 1, "AttributeContext"),),
    "BoolValue": (("value", 1, "bool"),),
    "HeaderValueOption": (
        ("header", 1, "HeaderValue"),
        ("append", 2, "BoolValue"),
        ("append_action", 3, "int32"),
    ),
    "HttpStatus": (("code", 1, "int32"),),
    "Status": (("code", 1, "int32"),),
    "DeniedHttpResponse": (
        ("status", 1, "HttpStatus"),
        ("headers", 2, "repeated HeaderValueOption"),
        ("body", 3, "string"),
    ),
    "OkHttpResponse": (
        ("headers", 2, "repeated HeaderValueOption"),
        ("headers_to_remove", 5, "repeated string"),
    ),
    "CheckResponse": (
        ("status", 1, "Status"),
        ("denied_response", 2, "DeniedHttpResponse"),
        ("ok_response", 3, "OkHttpResponse"),
    ),
}


def _described() -> FileDescriptorProto:
    file = FileDescriptorProto(name="broker/envoy.proto", package=_PACKAGE, syntax="proto3")
    for message, fields in FIELDS.items():
        described = file.message_type.add(name=message)
        for name, number, kind in fields:
            _add_field(described.field.add(name=name, number=number), kind)
    return file


def _add_field(field: FieldDescriptorProto, kind: str) -> None:
    field.label = field.LABEL_REPEATED if kind.startswith(_MANY) else field.LABEL_OPTIONAL
    kind = kind.removeprefix(_MANY)
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    else:
        field.type, field.type_name = field.TYPE_MESSAGE, f".{_PACKAGE}.{kind}"


# A pool of its own: a process may have Envoy's own descriptions, too.
_POOL = DescriptorPool()
_POOL.AddSerializedFile(_described().SerializeToString())

CheckRequest: Any = GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.CheckRequest"))
CheckResponse: Any = GetMessageClass(_POOL.FindMessageTypeByName(f"{_PACKAGE}.CheckResponse"))


def read_check_request(unverified_message: bytes) -> Any:
    """A CheckRequest; raises ValueError for bytes that are none."""
    try:
        return CheckRequest.FromString(unverified_message)
    except DecodeError:
        raise ValueError("the message is no CheckRequest") from None
