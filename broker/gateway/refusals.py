"""S3's refusals: codes, HTTP statuses and sentences ("Error responses", Amazon S3 API reference)."""

from xml.sax.saxutils import escape

from broker.errors import Refusal

STATUS = {
    "AccessControlListNotSupported": 400,
    "AccessDenied": 403,
    "AccessForbidden": 403,
    "AuthorizationHeaderMalformed": 400,
    "AuthorizationQueryParametersError": 400,
    "BadDigest": 400,
    "BucketAlreadyExists": 409,
    "BucketAlreadyOwnedByYou": 409,
    "EntityTooLarge": 400,
    "EntityTooSmall": 400,
    "ExpiredToken": 400,
    "IncompleteBody": 400,
    "InternalError": 500,
    "InvalidAccessKeyId": 403,
    "InvalidArgument": 400,
    "InvalidBucketName": 400,
    "InvalidDigest": 400,
    "InvalidPolicyDocument": 400,
    "InvalidRequest": 400,
    "InvalidToken": 400,
    "InvalidURI": 400,
    "KeyTooLongError": 400,
    "MalformedPOSTRequest": 400,
    "MalformedPolicy": 400,
    "MalformedTrailerError": 400,
    "MalformedXML": 400,
    "MaxPostPreDataLengthExceeded": 400,
    "MethodNotAllowed": 405,
    "MissingContentLength": 411,
    "NoSuchBucket": 404,
    "NoSuchBucketPolicy": 404,
    "NoSuchCORSConfiguration": 404,
    "NoSuchKey": 404,
    "NoSuchPublicAccessBlockConfiguration": 404,
    "NotImplemented": 501,
    "PreconditionFailed": 412,
    "RequestTimeTooSkewed": 403,
    "RequestTimeout": 400,
    "ServiceUnavailable": 503,
    "SignatureDoesNotMatch": 403,
    "SlowDown": 503,
    "XAmzContentSHA256Mismatch": 400,
}


def status_of(refusal: Refusal) -> int:
    return refusal.status or STATUS.get(refusal.code, 400)


def render_refusal(refusal: Refusal, resource: str, request_id: str) -> bytes:
    """The body; `resource` is the path that was asked for, as far as it could be read."""
    members = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in refusal.members.items())
    return (
        '<?xml version="1.0" encoding="UTF-8"?>\n'
        f"<Error><Code>{escape(refusal.code)}</Code><Message>{escape(_printable(refusal.message))}</Message>{members}"
        f"<Resource>{escape(_printable(resource))}</Resource><RequestId>{request_id}</RequestId></Error>"
    ).encode()


def _printable(text: str) -> str:
    """Without what XML cannot carry."""
    return "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in text)


def not_implemented(what: str) -> Refusal:
    return Refusal(
        "NotImplemented",
        f"A header or query you provided implies functionality that is not implemented: {what}.",
    )


def invalid_argument(message: str) -> Refusal:
    return Refusal("InvalidArgument", message)


def no_such_bucket(name: str) -> Refusal:
    return Refusal("NoSuchBucket", "The specified bucket does not exist", members={"BucketName": name})


def access_denied(reason: str) -> Refusal:
    return Refusal("AccessDenied", "Access Denied", reason=reason)


def acl_not_supported() -> Refusal:
    return Refusal("AccessControlListNotSupported", "The bucket does not allow ACLs")


def malformed_xml() -> Refusal:
    return Refusal(
        "MalformedXML",
        "The XML you provided was not well-formed or did not validate against our published schema",
    )


def store_failed(reason: str) -> Refusal:
    """The store behind the gateway is away, or refuses the gateway itself."""
    return Refusal("ServiceUnavailable", "Please reduce your request rate or try again.", reason=reason)
