"""The answers in S3's XML that the gateway gives itself ("Amazon S3 API reference", syntax of each operation)."""

from collections.abc import Iterable
from hashlib import sha256
from xml.sax.saxutils import escape

from aiohttp import web

from broker.audit.event import iso_time
from broker.gateway.bodies import NAMESPACE, PUBLIC_ACCESS, Deletion
from broker.gateway.cross_origin_rules import write_cross_origin_rules
from broker.storage.resource_records import CrossOriginRule, ForeignResource, PublicAccessBlock

_XSI = "http://www.w3.org/2001/XMLSchema-instance"


def xml(name: str, inner: str) -> web.Response:
    text = f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{NAMESPACE}">{inner}</{name}>'
    return web.Response(body=text.encode(), content_type="application/xml")


def canonical_id(account: str) -> str:
    """The canonical user id of an account: 64 digits that do not show its number, the same on every gateway."""
    return sha256(f"broker canonical user {account}".encode()).hexdigest()


def owner(account: str) -> str:
    return f"<Owner><ID>{canonical_id(account)}</ID><DisplayName>{account}</DisplayName></Owner>"


def bucket_list(account: str, buckets: Iterable[ForeignResource], prefix: str, more: str) -> web.Response:
    """`more` is the continuation token, empty where the list is complete."""
    items = "".join(
        f"<Bucket><Name>{name_of(one)}</Name><CreationDate>{_moment(one.created_at)}</CreationDate></Bucket>"
        for one in buckets
    )
    ends = f"<Prefix>{escape(prefix)}</Prefix>" if prefix else ""
    ends += f"<ContinuationToken>{escape(more)}</ContinuationToken>" if more else ""
    return xml("ListAllMyBucketsResult", f"{owner(account)}<Buckets>{items}</Buckets>{ends}")


def name_of(bucket: ForeignResource) -> str:
    return bucket.arn.rpartition(":")[2]


def location(region: str) -> web.Response:
    """us-east-1 is an empty constraint."""
    return xml("LocationConstraint", "" if region == "us-east-1" else escape(region))


def access_control(account: str) -> web.Response:
    """The one ACL there is: everything is its account's."""
    identity = canonical_id(account)
    grantee = (
        f'<Grantee xmlns:xsi="{_XSI}" xsi:type="CanonicalUser"><ID>{identity}</ID>'
        f"<DisplayName>{account}</DisplayName></Grantee>"
    )
    grant = f"<Grant>{grantee}<Permission>FULL_CONTROL</Permission></Grant>"
    return xml("AccessControlPolicy", f"{owner(account)}<AccessControlList>{grant}</AccessControlList>")


def ownership() -> web.Response:
    rule = "<Rule><ObjectOwnership>BucketOwnerEnforced</ObjectOwnership></Rule>"
    return xml("OwnershipControls", rule)


def policy_status(*, is_public: bool) -> web.Response:
    return xml("PolicyStatus", f"<IsPublic>{'true' if is_public else 'false'}</IsPublic>")


def public_access_block(block: PublicAccessBlock) -> web.Response:
    values = {name: "true" if getattr(block, field) else "false" for name, field in PUBLIC_ACCESS.items()}
    return xml(
        "PublicAccessBlockConfiguration",
        "".join(f"<{name}>{value}</{name}>" for name, value in values.items()),
    )


def cross_origin_rules(rules: tuple[CrossOriginRule, ...]) -> web.Response:
    return xml("CORSConfiguration", write_cross_origin_rules(rules))


def denied_deletion(one: Deletion, code: str, message: str) -> str:
    """An Error in the answer of DeleteObjects."""
    version = f"<VersionId>{escape(one.version_id)}</VersionId>" if one.version_id else ""
    return (
        f"<Error><Key>{escape(one.key)}</Key>{version}<Code>{escape(code)}</Code>"
        f"<Message>{escape(message)}</Message></Error>"
    )


def _moment(seconds: float) -> str:
    return iso_time(seconds).replace("Z", ".000Z")
