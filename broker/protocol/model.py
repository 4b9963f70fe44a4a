"""The service models: botocore's data without its documentation, and our additions, decoded into frozen structs.

Only botocore's files are read, not its code: `import botocore.model` costs 0.15 s and 18 MB, its data 15 ms.
Readers and renderers are compiled on first use, operation by operation, into the tables of `ServiceModel`
(by `broker.protocol.request`, `.xml`, `.json` and `.redaction`), so that a start does not compile unused operations.
"""

import gzip
from collections.abc import Callable, Mapping
from importlib import import_module, resources
from typing import Any

import botocore
import msgspec

from broker.errors import Refusal, status_and_fault
from broker.protocol.extensions import ADDED_MEMBERS, EXTENSIONS, merged

# The services this broker speaks for, and the version of each model: a folder of botocore's data.
VERSIONS = {
    "iam": "2010-05-08",
    "sts": "2011-06-15",
    "sso": "2019-06-10",
    "sso-oidc": "2019-06-10",
    "signin": "2023-01-01",
    "organizations": "2016-11-28",
    "cloudtrail": "2013-11-01",
    "accessanalyzer": "2019-11-01",
    "rolesanywhere": "2018-05-10",
    "eks": "2017-11-01",
    "eks-auth": "2023-11-26",
    "cognito-identity": "2014-06-30",
    "identitystore": "2020-06-15",
}

# CloudTrail's name of a service, where it is not the model's.
_EVENT_SOURCES = {"sso-oidc": "sso", "accessanalyzer": "access-analyzer"}

# The prefix of a service's actions, where it is not the model's name -> that name.
MODELS_BY_PREFIX = {"access-analyzer": "accessanalyzer"}

# What AWS enforces and its models leave out: shape -> greatest length. AssumeRole was seen to refuse a policy of
# 2,238 characters, in the words of a constraint and before the trust policy was asked (espressif/esp-rainmaker-neo);
# "You can provide up to 10 managed policy ARNs" (STS API reference).
_UNDECLARED_MAXIMA: Mapping[str, Mapping[str, int]] = {
    "sts": {"unrestrictedSessionPolicyDocumentType": 2048, "policyDescriptorListType": 10},
}

# Proofs that the models do not call sensitive: one-time codes and context assertions. A code is valid until its
# request was granted, and a reader of the journal could use it first. `tokenType` is the session token in an answer.
# `AuthCode`, `AuthorizationCode` and `DeviceCode` are traded for tokens.
PROOFS = frozenset(
    {
        "tokenCodeType",
        "authenticationCodeType",
        "contextAssertionType",
        "tokenType",
        "SessionTokenString",
        "AuthCode",
        "DeviceCode",
        "AuthorizationCode",
        "CodeVerifier",
        "IdToken",
    }
)

Reader = Callable[[Mapping[str, str]], msgspec.Struct | None]
Renderer = Callable[[msgspec.Struct | None, str], bytes]
Redactor = Callable[[msgspec.Struct | None], dict[str, Any] | None]


class Reference(msgspec.Struct, frozen=True, rename="camel"):
    """A member of a shape, or an operation's input or output: the name of the shape it has."""

    shape: str
    location_name: str | None = None
    result_wrapper: str | None = None
    location: str | None = None


class ErrorTrait(msgspec.Struct, frozen=True, rename="camel"):
    """An exception shape on the wire: its code and its HTTP status."""

    code: str | None = None
    http_status_code: int | None = None
    sender_fault: bool = False


class Shape(msgspec.Struct, frozen=True):
    """One shape of a model: a structure, list, map or scalar, with its constraints."""

    type: str
    members: dict[str, Reference] = {}
    required: tuple[str, ...] = ()
    member: Reference | None = None
    key: Reference | None = None
    value: Reference | None = None
    min: int | None = None
    max: int | None = None
    pattern: str | None = None
    enum: tuple[str, ...] = ()
    sensitive: bool = False
    flattened: bool = False
    union: bool = False
    document: bool = False
    payload: str | None = None
    exception: bool = False
    fault: bool = False
    error: ErrorTrait = ErrorTrait()
    timestamp_format: str | None = msgspec.field(name="timestampFormat", default=None)


class HttpTrait(msgspec.Struct, frozen=True, rename="camel"):
    """Where the protocol is REST-JSON: the method and the path, with what the query string must hold."""

    method: str = "POST"
    request_uri: str = "/"
    response_code: int = 200


class OperationModel(msgspec.Struct, frozen=True):
    """One operation: its input and output shapes, and whether it is called without a signature."""

    name: str
    input: Reference | None = None
    output: Reference | None = None
    authtype: str | None = None
    http: HttpTrait = HttpTrait()

    @property
    def is_unsigned(self) -> bool:
        return self.authtype == "none"


class ModelMetadata(msgspec.Struct, frozen=True, rename="camel"):
    """The metadata of a model's service."""

    api_version: str
    endpoint_prefix: str
    protocol: str = "query"
    signing_name: str | None = None
    xml_namespace: str = ""
    target_prefix: str = ""


class ModelFile(msgspec.Struct, frozen=True):
    """A model file, without its documentation."""

    metadata: ModelMetadata
    operations: dict[str, OperationModel]
    shapes: dict[str, Shape]


class ServiceModel(msgspec.Struct, frozen=True):
    """One service: its names, shapes and errors, and the readers and renderers that were compiled so far."""

    name: str
    api_version: str
    namespace: str
    signing_name: str
    operations: dict[str, OperationModel]
    shapes: dict[str, Shape]
    structs: Mapping[str, type[msgspec.Struct]]
    errors: dict[str, tuple[int, str]]  # code -> (HTTP status, "Sender" or "Receiver")
    protocol: str = "query"
    target_prefix: str = ""  # of X-Amz-Target, where the protocol is JSON 1.1
    readers: dict[str, Reader] = {}
    rest_readers: dict[str, Callable[[Any], msgspec.Struct]] = {}
    json_readers: dict[str, Callable[[Any], msgspec.Struct]] = {}
    renderers: dict[str, Renderer] = {}
    json_renderers: dict[str, Callable[[Any], Any]] = {}
    redactors: dict[str, Redactor] = {}
    answer_redactors: dict[str, Redactor] = {}
    secret_answers: dict[str, bool] = {}

    @property
    def event_source(self) -> str:
        """What CloudTrail calls the service."""
        return f"{_EVENT_SOURCES.get(self.name, self.name)}.amazonaws.com"

    def status_and_fault(self, refusal: Refusal) -> tuple[int, str]:
        """HTTP status and fault: the refusal's own, else the model's, else those of the common errors."""
        modelled = self.errors.get(refusal.code)
        if modelled is None:
            return status_and_fault(refusal)
        return refusal.status or modelled[0], refusal.fault or modelled[1]


def load_service(name: str) -> ServiceModel:
    """The model of a service; KeyError for a service that this broker does not speak for."""
    folder = resources.files(botocore) / "data" / name / VERSIONS[name]
    packed = (folder / "service-2.json.gz").read_bytes()
    document = with_extensions(name, msgspec.json.decode(gzip.decompress(packed), type=ModelFile))
    for shape, maximum in _UNDECLARED_MAXIMA.get(name, {}).items():
        document.shapes[shape] = msgspec.structs.replace(document.shapes[shape], max=maximum)
    module = name.replace("-", "_")
    return build_service(name, document, vars(import_module(f"broker.protocol.shapes.{module}")))


def with_extensions(name: str, document: ModelFile) -> ModelFile:
    """The document with what `broker.protocol.extensions` adds to it."""
    added = EXTENSIONS.get(name, {})
    for shape, members in ADDED_MEMBERS.get(name, {}).items():
        own = document.shapes[shape]
        with_more = merged(own.members, msgspec.convert(members, dict[str, Reference]))
        document.shapes[shape] = msgspec.structs.replace(own, members=with_more)
    return msgspec.structs.replace(
        document,
        operations=merged(
            document.operations, msgspec.convert(added.get("operations", {}), dict[str, OperationModel])
        ),
        shapes=merged(document.shapes, msgspec.convert(added.get("shapes", {}), dict[str, Shape])),
    )


def build_service(
    name: str, document: ModelFile, structs: Mapping[str, type[msgspec.Struct]]
) -> ServiceModel:
    """A service from its model and the structs generated for it."""
    metadata = document.metadata
    return ServiceModel(
        name=name,
        api_version=metadata.api_version,
        namespace=metadata.xml_namespace,
        signing_name=metadata.signing_name or metadata.endpoint_prefix,
        operations=document.operations,
        shapes=document.shapes,
        structs=structs,
        errors=dict(_wire_error(name, shape) for name, shape in document.shapes.items() if shape.exception),
        protocol=metadata.protocol,
        target_prefix=metadata.target_prefix,
    )


def _wire_error(shape_name: str, shape: Shape) -> tuple[str, tuple[int, str]]:
    """A fault is the service's: its status is 500 where the model names none."""
    error = shape.error
    status = error.http_status_code or (500 if shape.fault else 400)
    is_sender = error.sender_fault or status < 500
    return error.code or shape_name, (status, "Sender" if is_sender else "Receiver")


def fields_by_wire_name(struct: type[msgspec.Struct]) -> dict[str, str]:
    """Wire name -> field of a generated struct."""
    return dict(zip(struct.__struct_encode_fields__, struct.__struct_fields__, strict=True))


def label_of(wire_name: str) -> str:
    """A parameter's name in AWS's messages and in CloudTrail: only the first letter changes, to lower case."""
    return wire_name[:1].lower() + wire_name[1:]
