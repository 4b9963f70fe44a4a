"""What a signed request to S3 says of its body, in x-amz-content-sha256.

"Signature calculations for the Authorization header: transferring payload in multiple chunks" (Amazon S3 API
reference): a hash of the whole body, UNSIGNED-PAYLOAD, or the name of one of the forms of `aws-chunked`.
"""

import re

import msgspec

from broker.errors import Refusal
from broker.sigv4.signer import ASYMMETRIC, SYMMETRIC
from broker.sigv4.verify import UNSIGNED_PAYLOAD

_is_hash = re.compile(r"[0-9a-f]{64}").fullmatch


class PayloadForm(msgspec.Struct, frozen=True):
    """`sha256` is the hex of the whole body's hash, empty where it is not stated.

    With `is_chunked` the body is framed as aws-chunked; `algorithm` is the one that signs its chunks, empty where they
    are not signed. `has_trailer` says that headers follow the last chunk.
    """

    sha256: str = ""
    is_chunked: bool = False
    algorithm: str = ""
    has_trailer: bool = False


UNSIGNED = PayloadForm()

_FORMS = {
    UNSIGNED_PAYLOAD: UNSIGNED,
    f"STREAMING-{SYMMETRIC}-PAYLOAD": PayloadForm("", True, SYMMETRIC),
    f"STREAMING-{SYMMETRIC}-PAYLOAD-TRAILER": PayloadForm("", True, SYMMETRIC, True),
    f"STREAMING-{ASYMMETRIC}-PAYLOAD": PayloadForm("", True, ASYMMETRIC),
    f"STREAMING-{ASYMMETRIC}-PAYLOAD-TRAILER": PayloadForm("", True, ASYMMETRIC, True),
    "STREAMING-UNSIGNED-PAYLOAD-TRAILER": PayloadForm("", True, "", True),
}


def read_payload_form(claim: str, algorithm: str) -> PayloadForm:
    """The form that `claim`, the verified value of x-amz-content-sha256, names; `algorithm` signed the request.

    Raises Refusal InvalidArgument for what is no form, and for chunks that are signed with another algorithm.
    """
    if _is_hash(claim):
        return PayloadForm(sha256=claim)
    form = _FORMS.get(claim)
    if form is None or form.algorithm not in ("", algorithm):
        raise Refusal(
            "InvalidArgument",
            "x-amz-content-sha256 must be UNSIGNED-PAYLOAD, STREAMING-UNSIGNED-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-HMAC-SHA256-PAYLOAD, STREAMING-AWS4-HMAC-SHA256-PAYLOAD-TRAILER, "
            "STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD, STREAMING-AWS4-ECDSA-P256-SHA256-PAYLOAD-TRAILER or a valid "
            "sha256 value.",
        )
    return form
