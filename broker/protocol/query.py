"""The AWS Query protocol, with answers in XML or, where the client asks for it, in JSON.

Both read the same form, in which `Action` and `Version` name the operation (`broker.protocol.request`).
"""

from collections.abc import Mapping

import msgspec

from broker.errors import Refusal
from broker.protocol.json import render_json_refusal, render_json_result
from broker.protocol.model import ServiceModel
from broker.protocol.request import read_request
from broker.protocol.wire import FORM, Message, Rendered, WireProtocol
from broker.protocol.xml import render_refusal, render_result

_METHODS = frozenset({"GET", "POST"})
_XML, _JSON = "text/xml", "application/json"


def name_operation(
    services: Mapping[str, ServiceModel], signing_name: str | None, action: str | None, version: str | None
) -> tuple[ServiceModel, str]:
    """The service and the operation; `services` is by signing name.

    AWS has one endpoint per service; this broker has one for all. A signed request names its service in the credential
    scope; an unsigned one (AssumeRoleWithWebIdentity, AssumeRoleWithSAML) is found by Action and Version.

    A signing name that no service has is ignored here, as in an unsigned request: SigV4 refuses its scope later.
    Raises MissingAction and InvalidAction. (Where the action is missing, AWS redirects to a page about IAM; where the
    version is missing or wrong, it answers InvalidAction with this message.)
    """
    if action is None:
        raise Refusal("MissingAction", "The request is missing an action or a required parameter.")
    signed_for = services.get(signing_name) if signing_name else None
    if signed_for is not None and signed_for.protocol != "query":
        signed_for = None
    if signed_for is not None and signed_for.api_version == version and action in signed_for.operations:
        return signed_for, action
    for service in () if signed_for else services.values():
        if service.protocol == "query" and service.api_version == version and action in service.operations:
            return service, action
    shown = "NO_VERSION_SPECIFIED" if version is None else version[:64]
    raise Refusal("InvalidAction", f"Could not find operation {action[:128]} for version {shown}")


def _name(
    services: Mapping[str, ServiceModel], signing_name: str | None, message: Message
) -> tuple[ServiceModel, str]:
    parameters = message.parameters
    return name_operation(services, signing_name, parameters.get("Action"), parameters.get("Version"))


def _read(service: ServiceModel, operation: str, message: Message) -> msgspec.Struct | None:
    return read_request(service, operation, message.parameters)


def _render_xml(
    service: ServiceModel, operation: str, result: msgspec.Struct | None, request_id: str
) -> Rendered:
    return Rendered(200, _XML, render_result(service, operation, result, request_id))


def _refuse_xml(service: ServiceModel | None, refusal: Refusal, request_id: str) -> Rendered:
    status, body = render_refusal(service, refusal, request_id)
    return Rendered(status, _XML, body)


def _render_json(
    service: ServiceModel, operation: str, result: msgspec.Struct | None, request_id: str
) -> Rendered:
    return Rendered(200, _JSON, render_json_result(service, operation, result, request_id))


def _refuse_json(service: ServiceModel | None, refusal: Refusal, request_id: str) -> Rendered:
    status, body = render_json_refusal(service, refusal, request_id)
    return Rendered(status, _JSON, body)


QUERY = WireProtocol(_METHODS, FORM, _name, _read, _render_xml, _refuse_xml)
QUERY_JSON = WireProtocol(_METHODS, FORM, _name, _read, _render_json, _refuse_json)
