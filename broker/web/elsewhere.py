"""Requests for other services of AWS: told that they are not here, in a form that their clients show.

Whoever sets one endpoint URL for all services sends them all here. Nothing of such a request is proven, and nothing is
told but which services are here. The services' protocols: botocore's models; what JSON clients read of a refusal:
AWS JSON 1.1 and restJson1 ("Error serialization", Smithy).
"""

import re
from collections.abc import Iterable

from broker.errors import Refusal
from broker.protocol.json import refuse_as_json_services_do
from broker.protocol.wire import FORM, Refuse
from broker.web.http import Request

# Every part is bounded: anybody may send a header that begins a credential again and again.
_SCOPE = re.compile(
    r"Credential=[^/,\s]{1,128}/[0-9]{8}/(?:[a-z0-9-]{1,64}/)?([a-z0-9-]{1,32})/aws4_request", re.ASCII
)
_OPERATION = re.compile(r"[A-Za-z0-9]{1,64}", re.ASCII)
_REPLACED = ("InvalidAction", "MissingAction", "UnsupportedHttpVerb", "UnsupportedMediaType")
_REST_XML = ("s3", "s3express", "s3-outposts", "s3-object-lambda", "route53", "cloudfront")


class Elsewhere(Refusal):
    """A request for `service`, one that is not here; `operation` is empty where the request does not say."""

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


def elsewhere_or(refusal: Refusal, request: Request, services: Iterable[str]) -> Refusal:
    """`refusal`, or what takes its place where the request was signed for a service that is none of `services`."""
    if refusal.code not in _REPLACED:
        return refusal
    scope = _SCOPE.search(request.find_header("authorization") or "")
    if scope is None or scope[1] in services:
        return refusal
    return Elsewhere(request, scope[1], " and ".join(sorted(name.upper() for name in services)))


def refuse_elsewhere(refusal: Refusal, refuse: Refuse) -> Refuse:
    """How `refusal` is rendered: as JSON services do where its client speaks to one, else by `refuse`."""
    if isinstance(refusal, Elsewhere) and refusal.wants_json:
        return refuse_as_json_services_do
    return refuse
