"""The XML bodies that policies can see, or that name keys: read strictly, and written again for the store.

What is written again says exactly what was judged, however the store would have read the original. Shapes: the
Amazon S3 API reference (Tagging, ObjectLockRetention, ObjectLockLegalHold, Delete, CreateBucketConfiguration).
"""

from collections.abc import Callable, Mapping
from typing import TypeVar
from xml.sax.saxutils import escape

import msgspec
from lxml import etree
from lxml.etree import _Element as Element

from broker.assertions.xml_documents import read_document, text_of, value_of
from broker.errors import Refusal
from broker.gateway.refusals import malformed_xml
from broker.storage.resource_records import PublicAccessBlock

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MOST_KEYS = 1000
MOST_TAGS = 10  # of an object

Found = TypeVar("Found")

# Member of the XML -> field of the record.
PUBLIC_ACCESS = {
    "BlockPublicAcls": "block_public_acls",
    "IgnorePublicAcls": "ignore_public_acls",
    "BlockPublicPolicy": "block_public_policy",
    "RestrictPublicBuckets": "restrict_public_buckets",
}


class Deletion(msgspec.Struct, frozen=True):
    """A key to delete; `conditions` are further members by name: ETag, LastModifiedTime, Size."""

    key: str
    version_id: str = ""
    conditions: Mapping[str, str] = {}


class Deletions(msgspec.Struct, frozen=True):
    objects: tuple[Deletion, ...]
    is_quiet: bool


class Retention(msgspec.Struct, frozen=True):
    mode: str = ""
    retain_until: str = ""


def read_tags(body: bytes) -> dict[str, str]:
    """Of PutObjectTagging; raises Refusal."""
    return read_body(body, "Tagging", _tags)


def read_retention(body: bytes) -> Retention:
    def members(root: Element) -> Retention:
        found = _members(root, {"Mode", "RetainUntilDate"})
        return Retention(found.get("Mode", ""), found.get("RetainUntilDate", ""))

    return read_body(body, "Retention", members)


def read_legal_hold(body: bytes) -> str:
    """ON or OFF."""
    status = read_body(body, "LegalHold", lambda root: _members(root, {"Status"}).get("Status", ""))
    if status not in ("ON", "OFF"):
        raise malformed_xml()
    return status


def read_location(body: bytes) -> str:
    """The LocationConstraint of CreateBucket, empty where there is none."""
    if not body:
        return ""

    def location(root: Element) -> str:
        children = {element_name(child): child for child in root}
        if children.keys() - {"LocationConstraint"}:
            raise ValueError("more than a LocationConstraint")
        return text_of(children.get("LocationConstraint"))

    return read_body(body, "CreateBucketConfiguration", location)


def read_deletions(body: bytes) -> Deletions:
    """Of DeleteObjects; raises Refusal for none, and for more than a thousand keys."""
    found = read_body(body, "Delete", _deletions)
    if not 0 < len(found.objects) <= MOST_KEYS:
        raise malformed_xml()
    return found


def read_public_access_block(body: bytes) -> PublicAccessBlock:
    """What is not there is false."""

    def members(root: Element) -> PublicAccessBlock:
        found = _members(root, set(PUBLIC_ACCESS))
        if any(value not in ("true", "false", "TRUE", "FALSE") for value in found.values()):
            raise ValueError("a member is neither true nor false")
        return PublicAccessBlock(
            **{PUBLIC_ACCESS[name]: value.lower() == "true" for name, value in found.items()}
        )

    return read_body(body, "PublicAccessBlockConfiguration", members)


def write_tags(tags: Mapping[str, str]) -> bytes:
    inner = "".join(
        f"<Tag>{write_element('Key', key)}{write_element('Value', value)}</Tag>"
        for key, value in tags.items()
    )
    return _document("Tagging", f"<TagSet>{inner}</TagSet>")


def write_retention(retention: Retention) -> bytes:
    until = write_element("RetainUntilDate", retention.retain_until) if retention.retain_until else ""
    return _document("Retention", (write_element("Mode", retention.mode) if retention.mode else "") + until)


def write_legal_hold(status: str) -> bytes:
    return _document("LegalHold", write_element("Status", status))


def write_deletions(objects: tuple[Deletion, ...], *, is_quiet: bool) -> bytes:
    return _document(
        "Delete", "".join(map(_deletion, objects)) + write_element("Quiet", "true" if is_quiet else "false")
    )


def _deletion(one: Deletion) -> str:
    version = write_element("VersionId", one.version_id) if one.version_id else ""
    conditions = "".join(write_element(name, value) for name, value in one.conditions.items())
    return f"<Object>{write_element('Key', one.key)}{version}{conditions}</Object>"


def _document(name: str, inner: str) -> bytes:
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{name} xmlns="{NAMESPACE}">{inner}</{name}>'.encode()


def write_element(name: str, value: str) -> str:
    """A carriage return is a character reference: a parser would read it as a line feed."""
    return f"<{name}>{escape(value, {chr(13): '&#13;'})}</{name}>"


def read_body(body: bytes, name: str, read: Callable[[Element], Found]) -> Found:
    """What `read` makes of the root element, which is called `name`. Raises Refusal where that raises ValueError."""
    try:
        root = read_document(body)
        if element_name(root) != name:
            raise ValueError(f"{element_name(root)} where {name} is expected")
        return read(root)
    except ValueError as error:
        refusal = malformed_xml()
        refusal.reason = str(error)
        raise refusal from None


def element_name(element: Element) -> str:
    """The name without its namespace, which clients leave out; raises ValueError for another namespace."""
    name = etree.QName(element)
    if name.namespace not in (None, NAMESPACE):
        raise ValueError(f"the namespace {name.namespace}")
    return name.localname


def _members(element: Element, names: set[str]) -> dict[str, str]:
    """The texts of the leaves in `element`. Raises ValueError for a repeated or another one."""
    found: dict[str, str] = {}
    for child in element:
        name = element_name(child)
        if name in found or name not in names:
            raise ValueError(f"{name} is repeated or unknown")
        found[name] = value_of(child)
    return found


def _tags(root: Element) -> dict[str, str]:
    sets = list(root)
    if len(sets) != 1 or element_name(sets[0]) != "TagSet":
        raise ValueError("one TagSet is expected")
    tags: dict[str, str] = {}
    for one in sets[0]:
        members = _members(one, {"Key", "Value"})
        if element_name(one) != "Tag" or not members.get("Key") or members["Key"] in tags:
            raise ValueError("a tag without a key, or twice the same")
        tags[members["Key"]] = members.get("Value", "")
    require_tag_number(tags)
    return tags


def require_tag_number(tags: Mapping[str, str]) -> None:
    if len(tags) > MOST_TAGS:
        raise Refusal("BadRequest", "Object tags cannot be greater than 10", status=400)


def _deletions(root: Element) -> Deletions:
    objects, quiet = [], ""
    for child in root:
        if element_name(child) == "Quiet":
            quiet = text_of(child)
        elif element_name(child) == "Object":
            members = _members(child, {"Key", "VersionId", "ETag", "LastModifiedTime", "Size"})
            key, version = members.pop("Key", ""), members.pop("VersionId", "")
            if not key:
                raise ValueError("an object without a key")
            objects.append(Deletion(key, version, members))
        else:
            raise ValueError(f"{element_name(child)} is unknown")
    return Deletions(tuple(objects), quiet == "true")
