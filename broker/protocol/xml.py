"""Results and refusals -> XML, in the layout of the AWS Query protocol.

One renderer per operation, compiled on first use from the lines of `broker.protocol.markup`.

Characters that XML 1.0 cannot carry become U+FFFD: no request with one is accepted (`constraints`), but a message
may quote one.
"""

import re

import msgspec

from broker.errors import Refusal, status_and_fault
from broker.protocol.codegen import compile_function
from broker.protocol.markup import CONVERSIONS, answer_lines
from broker.protocol.model import Renderer, ServiceModel

# The namespace of refusals given before the service was known (measured on AWS STS: InvalidAction).
FAULT_NAMESPACE = "http://webservices.amazon.com/AWSFault/2005-15-09"

_ESCAPES = {"&": "&amp;", "<": "&lt;", ">": "&gt;", "\r": "&#xD;"}
_needs_escape = re.compile("[&<>\r\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
# ASCII that needs escaping is translated to spaces, so that a text which changes needs escaping.
_MARKED = bytes(octet for octet in range(128) if _needs_escape.match(chr(octet)))
_UNMARKED = bytes.maketrans(_MARKED, b" " * len(_MARKED))


def escape(text: str) -> str:
    """`text` as the content of an element."""
    if text.isprintable() and "&" not in text and "<" not in text and ">" not in text:
        return text  # fast path: four times as fast as the expression
    return _needs_escape.sub(lambda match: _ESCAPES.get(match[0], "\ufffd"), text)


def render_result(
    service: ServiceModel, operation: str, result: msgspec.Struct | None, request_id: str
) -> bytes:
    """The answer of `operation`; TypeError where `result` is not the struct that the model names."""
    renderer = service.renderers.get(operation)
    if renderer is None:
        renderer = service.renderers[operation] = _compile(service, operation)
    return renderer(result, request_id)


def render_refusal(service: ServiceModel | None, refusal: Refusal, request_id: str) -> tuple[int, bytes]:
    """HTTP status and body of a refusal; `service` is None where no service was named.

    An empty message has no element, as on AWS.
    """
    status, fault = status_and_fault(refusal) if service is None else service.status_and_fault(refusal)
    namespace = FAULT_NAMESPACE if service is None else service.namespace
    message = f"<Message>{escape(refusal.message)}</Message>" if refusal.message else ""
    body = (
        f'<ErrorResponse xmlns="{namespace}"><Error><Type>{fault}</Type><Code>{escape(refusal.code)}</Code>'
        f"{message}</Error><RequestId>{escape(request_id)}</RequestId></ErrorResponse>"
    )
    return status, body.encode()


def _compile(service: ServiceModel, operation: str) -> Renderer:
    output = service.operations[operation].output
    expected = type(None) if output is None else service.structs[output.shape]
    pieces_of = compile_function(operation, "v0, request_id", answer_lines(service, operation), CONVERSIONS)

    def render(result: msgspec.Struct | None, request_id: str) -> bytes:
        if type(result) is not expected:
            raise TypeError(f"{operation} answers {expected.__name__}, not {type(result).__name__}")
        pieces = pieces_of(result, request_id)  # markup, text, markup, text, ...
        texts = pieces[1::2]
        together = "".join(texts)
        if not together.isascii() or (octets := together.encode()).translate(_UNMARKED) != octets:
            pieces[1::2] = map(
                escape, texts
            )  # seldom; one check of all texts together is cheaper than one for each
        return "".join(pieces).encode()

    return render
