"""A bucket's CORSConfiguration: read as strictly as S3 reads it, and shown.

Source: "PutBucketCors" and "Elements of a CORS configuration", Amazon S3.
"""

import re

from lxml.etree import _Element as Element

from broker.assertions.xml_documents import value_of
from broker.errors import Refusal
from broker.gateway.bodies import element_name, read_body, write_element
from broker.storage.resource_records import CrossOriginRule

MOST_RULES = 100
LARGEST = 64 << 10  # bytes
MOST_PATTERNS = 100  # AllowedHeaders with a wildcard: a stranger's preflight is compared with each

_is_origin = re.compile(r"[!-+\--~]+").fullmatch  # printable ASCII, but no comma
_is_name = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+").fullmatch  # RFC 9110, 5.6.2: "token"
_METHODS = ("GET", "PUT", "HEAD", "POST", "DELETE")
_LONGEST_ID = 255
_LONGEST_AGE = 2**31 - 1  # seconds
# Member of the XML that may be repeated -> field of the record.
_LISTS = {
    "AllowedOrigin": "allowed_origins",
    "AllowedMethod": "allowed_methods",
    "AllowedHeader": "allowed_headers",
    "ExposeHeader": "expose_headers",
}


def read_cross_origin_rules(body: bytes) -> tuple[CrossOriginRule, ...]:
    """Raises Refusal: MalformedXML, InvalidRequest."""
    if len(body) > LARGEST:
        raise Refusal("EntityTooLarge", "Your proposed upload exceeds the maximum allowed size")
    rules = read_body(body, "CORSConfiguration", _rules)
    for rule in rules:
        _require_usable(rule)
    if sum("*" in name for rule in rules for name in rule.allowed_headers) > MOST_PATTERNS:
        raise _invalid(f"A CORS configuration has at most {MOST_PATTERNS} AllowedHeaders with a wildcard.")
    return rules


def write_cross_origin_rules(rules: tuple[CrossOriginRule, ...]) -> str:
    """What is inside the CORSConfiguration."""
    return "".join(f"<CORSRule>{_members(rule)}</CORSRule>" for rule in rules)


def _rules(root: Element) -> tuple[CrossOriginRule, ...]:
    found = []
    for child in root:
        if element_name(child) != "CORSRule":
            raise ValueError(f"{element_name(child)} where a CORSRule is expected")
        found.append(_rule(child))
    if not 0 < len(found) <= MOST_RULES:
        raise ValueError(f"{len(found)} rules, where 1 to {MOST_RULES} are accepted")
    return tuple(found)


def _rule(element: Element) -> CrossOriginRule:
    lists: dict[str, list[str]] = {field: [] for field in _LISTS.values()}
    single: dict[str, str] = {}
    for child in element:
        name, text = element_name(child), value_of(child).strip()
        if name in _LISTS:
            lists[_LISTS[name]].append(text)
        elif name in ("ID", "MaxAgeSeconds") and name not in single:
            single[name] = text
        else:
            raise ValueError(f"{name} is repeated or unknown")
    if not lists["allowed_origins"] or not lists["allowed_methods"]:
        raise ValueError("a rule without an AllowedOrigin or an AllowedMethod")
    if len(single.get("ID", "")) > _LONGEST_ID:
        raise ValueError("an ID that is too long")
    values = {field: tuple(texts) for field, texts in lists.items()}
    return CrossOriginRule(
        id=single.get("ID", ""), max_age_seconds=_age(single.get("MaxAgeSeconds")), **values
    )


def _age(text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) <= 10 and int(text) <= _LONGEST_AGE):
        raise ValueError("MaxAgeSeconds is no number of seconds")
    return int(text)


def _require_usable(rule: CrossOriginRule) -> None:
    """Raises Refusal InvalidRequest, with S3's sentences."""
    for method in rule.allowed_methods:
        if method not in _METHODS:
            raise _invalid(f"Found unsupported HTTP method in CORS config. Unsupported method is {method}")
    for name, values in (("AllowedOrigin", rule.allowed_origins), ("AllowedHeader", rule.allowed_headers)):
        for value in values:
            if value.count("*") > 1:
                raise _invalid(f'{name} "{value}" can not have more than one wildcard.')
    for value in rule.expose_headers:
        if "*" in value:
            raise _invalid(
                f'ExposeHeader "{value}" contains wildcard. We currently do not support wildcard for ExposeHeader.'
            )
    # They become headers of answers.
    if not all(map(_is_origin, rule.allowed_origins)):
        raise _invalid("An origin consists of printable ASCII without spaces and commas.")
    if not all(map(_is_name, (*rule.allowed_headers, *rule.expose_headers))):
        raise _invalid("An AllowedHeader or ExposeHeader is the name of a header.")


def _invalid(message: str) -> Refusal:
    return Refusal("InvalidRequest", message)


def _members(rule: CrossOriginRule) -> str:
    lists = [(name, value) for name, field in _LISTS.items() for value in getattr(rule, field)]
    age = [] if rule.max_age_seconds is None else [("MaxAgeSeconds", str(rule.max_age_seconds))]
    identifier = [("ID", rule.id)] if rule.id else []
    return "".join(write_element(name, value) for name, value in (*identifier, *lists, *age))
