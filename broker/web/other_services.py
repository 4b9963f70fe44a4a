"""Requests for services of AWS that are not served here are refused in a form that their clients can show.

A client that sets one endpoint URL for all services sends every service's requests here. Nothing of such a request is
proven, so the refusal says only which services are served. The services' protocols: botocore's models; what JSON
clients read of a refusal: AWS JSON 1.1 and restJson1 ("Error serialization", Smithy).
"""

import re
from collections.abc import Mapping

from broker.errors import Refusal
from broker.protocol.json import refuse_for_json_clients
from broker.protocol.model import ServiceModel
from broker.protocol.wire import FORM, Refuse
from broker.web.http import Request

# Every part is bounded: an unauthenticated client may send a header that repeats the beginning of a credential.
_SCOPE = re.compile(
    r"Credential=[^/,\s]{1,128}/[0-9]{8}/(?:[a-z0-9-]{1,64}/)?([a-z0-9-]{1,32})/aws4_request", re.ASCII
)
_OPERATION = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_REPLACED_CODES = (
    "InvalidAction",
    "MissingAction",
    "UnknownOperationException",
    "UnsupportedHttpVerb",
    "UnsupportedMediaType",
)
_REST_XML = ("s3", "s3express", "s3-outposts", "s3-object-lambda", "route53", "cloudfront")


class OtherServiceRefusal(Refusal):
    """A request for `service`, which is not served here; `operation` is empty where the request does not name it."""

    def __init__(self, request: Request, service: str, served: str) -> None:
        is_form = (request.find_header("content-type") or "").startswith(FORM)
        self.service = service
        self.wants_json = not is_form and service not in _REST_XML
        super().__init__(
            "UnknownOperationException" if self.wants_json else "InvalidAction",
            f"This endpoint serves {served}, not {service}.",
            status=400,
            fault="Sender",
        )
        operation = (request.find_header("x-amz-target") or "").rpartition(".")[2]
        self.operation = operation if _OPERATION.fullmatch(operation) else ""


def explain_other_service(
    refusal: Refusal, request: Request, services: Mapping[str, ServiceModel]
) -> Refusal:
    """An OtherServiceRefusal where the request was signed for a service that is not in `services`, else `refusal`."""
    if refusal.code not in _REPLACED_CODES:
        return refusal
    scope = _SCOPE.search(request.find_header("authorization") or "")
    if scope is None or scope[1] in services:
        return refusal
    return OtherServiceRefusal(request, scope[1], _listed(services))


def _listed(services: Mapping[str, ServiceModel]) -> str:
    """`IAM, ORGANIZATIONS, SIGNIN, SSO, SSO-OIDC and STS`."""
    *names, last = sorted(service.name.upper() for service in services.values())
    return f"{', '.join(names)} and {last}" if names else last


def select_refuse(refusal: Refusal, refuse: Refuse) -> Refuse:
    """The function that renders `refusal`: the JSON services' where its client expects JSON, else `refuse`."""
    if isinstance(refusal, OtherServiceRefusal) and refusal.wants_json:
        return refuse_for_json_clients
    return refuse
