"""Every refusal of this package, with AWS's messages.

Sources: IAM User Guide "Troubleshoot signed requests for AWS APIs"; answers of STS, IAM and other services built
on the same front end, as quoted in cognitect-labs/aws-api#27, aws/aws-cli#6676, boto/boto3#2280,
hashicorp/vault#4939, aws/aws-sdk-js#142, tedder/requests-aws4auth#7 and the notes of mhart/dynalite. Messages
marked (ours) are used where no answer of AWS is known.
"""

import re
from base64 import b64encode
from hashlib import sha256

from broker.errors import Refusal
from broker.sigv4.encoding import wire_bytes
from broker.sigv4.timestamps import format_timestamp

# Query services answer a wrong signature, and a wrong scope, with this code and 403 (measured on
# STS and IAM); services with a JSON protocol answer InvalidSignatureException and 400.
SIGNATURE_DOES_NOT_MATCH = "SignatureDoesNotMatch"


_NOT_XML = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, production 2


def _printable(text: str) -> str:
    """`text` with what no XML can carry (control characters, bytes that were not UTF-8) written as escapes."""
    return _NOT_XML.sub(lambda match: match[0].encode("unicode_escape").decode(), text)


def incomplete(message: str, *, reason: str = "") -> Refusal:
    """DANGER: a message that quotes a part of the header needs a `reason`, because otherwise the message is logged."""
    return Refusal("IncompleteSignature", _printable(message), reason=reason)


def missing_authentication_token() -> Refusal:
    """For the caller of find_authorization, where an unsigned request names an operation that needs a signature."""
    return Refusal("MissingAuthenticationToken", "Request is missing Authentication Token")


def missing_header_parts(missing: list[str], authorization: str) -> Refusal:
    """`missing` holds the whole sentences."""
    sentences = " ".join(missing)
    return incomplete(
        f"{sentences} (Hashed with SHA-256 and encoded with Base64) Authorization={_hashed(authorization)}",
        reason=sentences,
    )


def missing_query_parts(names: list[str]) -> Refusal:
    sentences = [f"AWS query-string parameters must include '{name}'. " for name in names]
    return incomplete("".join(sentences) + "Re-examine the query-string parameters.")


def not_key_and_value(authorization: str) -> Refusal:
    return incomplete(
        "Invalid key=value pair (missing equal-sign) in Authorization header "
        f"(hashed with SHA-256 and encoded with Base64): '{_hashed(authorization)}'.",
        reason="the Authorization header holds what is no key=value pair",
    )


def _hashed(authorization: str) -> str:
    """A header that is no signature may be a bearer token: AWS shows only its hash.

    Seen in answers of DynamoDB, Bedrock and API Gateway, which share their front end with IAM and STS.
    """
    return b64encode(sha256(wire_bytes(authorization)).digest()).decode()


def repeated(name: str) -> Refusal:
    """(ours) Two values for one claim, of which a proxy might use the other."""
    return incomplete(f"'{name}' must not be given more than once in a signed request.")


def malformed_date(text: str) -> Refusal:
    return incomplete(
        f"Date must be in ISO-8601 'basic format'. Got '{text}'. See http://en.wikipedia.org/wiki/ISO_8601"
    )


def malformed_signed_headers(text: str) -> Refusal:
    message = f"'SignedHeaders' must be header names joined by semicolons. Got '{text}'."  # (ours)
    return incomplete(message, reason="SignedHeaders are not header names")


def unsupported_algorithm(algorithm: str) -> Refusal:
    return incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'.", reason="the algorithm is not supported")


def malformed_credential(credential: str, example: str) -> Refusal:
    return incomplete(
        f"Credential must have exactly {example.count('/') + 1} slash-delimited elements, "
        f"e.g. {example}, got '{credential}'",
        reason=f"the credential is not of the form {example}",
    )


def both_header_and_query() -> Refusal:
    return mismatch(
        "Found both 'X-Amz-Algorithm' as a query-string param and 'Authorization' as HTTP header."
    )


def mismatch(message: str, code: str = SIGNATURE_DOES_NOT_MATCH, *, reason: str = "") -> Refusal:
    return Refusal(code, _printable(message), reason=reason)


def unsigned_header(name: str, code: str) -> Refusal:
    return mismatch(f"'{name}' must be a 'SignedHeader' in the AWS Authorization.", code)


def signature_mismatch(canonical_request: str, string_to_sign: str, code: str) -> Refusal:
    """The client reads what should have been signed: all of it came from the client."""
    return mismatch(
        "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
        "Access Key and signing method. Consult the service documentation for details.\n\n"
        f"The Canonical String for this request should have been\n'{canonical_request}'\n\n"
        f"The String-to-Sign should have been\n'{string_to_sign}'\n",
        code,
        reason="the signature does not match",
    )


def signature_expired(signed_at: str, now: float, lifetime: int, code: str) -> Refusal:
    limit, current = format_timestamp(now - lifetime), format_timestamp(now)
    return mismatch(
        f"Signature expired: {signed_at} is now earlier than {limit} ({current} - {lifetime // 60} min.)",
        code,
    )


def not_yet_current(signed_at: str, now: float, skew: int, code: str) -> Refusal:
    limit, current = format_timestamp(now + skew), format_timestamp(now)
    return mismatch(
        f"Signature not yet current: {signed_at} is still later than {limit} ({current} + {skew // 60} min.)",
        code,
    )


def wrong_terminator(terminator: str, expected: str) -> Refusal:
    return mismatch(
        f"Credential should be scoped with a valid terminator: '{expected}', not '{terminator}'. "
    )


def request_expired() -> Refusal:
    return Refusal("RequestExpired", "Request has expired.")


def missing_content_hash() -> Refusal:
    return Refusal("InvalidRequest", "Missing required header for this request: x-amz-content-sha256")
