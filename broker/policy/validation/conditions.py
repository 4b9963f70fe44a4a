"""Checks of conditions: operators, keys and values."""

import re
from collections.abc import Iterator
from difflib import get_close_matches

from broker.policy.elements import quoted
from broker.policy.operands import is_storable_date
from broker.policy.validation.findings import Issue
from broker.policy.validation.nodes import JsonNode
from broker.policy.validation.operators import FAMILIES, OPERATORS, READERS
from broker.policy.validation.reference import find_key_type, known_services, nearest_key
from broker.policy.validation.subject import ConditionNode, Subject

_ARN_KEY = "aws:arn"
_TAG_KEYS = ("aws:requesttag", "aws:resourcetag", "aws:principaltag")
_VPC = re.compile(r"vpc-(?:[0-9a-z]{8}|[0-9a-z]{17})")
_VPC_ENDPOINT = re.compile(r"vpce-(?:[0-9a-z]{8}|[0-9a-z]{17})")
_EPOCH = re.compile(r"[0-9]{5,}(?:\.[0-9]+)?")  # a year has four digits
# Not a list of them: AWS adds some every year, and brokers have their own.
REGION = re.compile(r"[a-z]{2}(?:-[a-z]+)+-[0-9]{1,2}|global")
_KEY = re.compile(r"[^:\s]+:\S.*", re.DOTALL)
# Of the pair, the second says which network the address of the first is in.
_PAIRS = {
    "aws:ec2instancesourceprivateipv4": ("aws:ec2instancesourcevpc",),
    "aws:vpcsourceip": ("aws:sourcevpc", "aws:sourcevpce", "aws:sourcevpcarn"),
}


def _conditions(subject: Subject) -> Iterator[ConditionNode]:
    for statement in subject.statements:
        yield from statement.conditions


def _values(condition: ConditionNode) -> Iterator[JsonNode]:
    """The values that have no variable."""
    return (value for value in condition.values if "${" not in value.text)


def _family(condition: ConditionNode) -> str:
    known = OPERATORS.get(condition.name)
    return known.family if known is not None else ""


def _prefix(condition: ConditionNode) -> str:
    return condition.key.text.partition(":")[0].lower()


def invalid_operators(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        node = statement.find("Condition")
        for block in node.members if node is not None else ():
            name = re.sub(
                r"^(?:ForAllValues|ForAnyValue):|IfExists$", "", block.key.text, flags=re.IGNORECASE
            )
            if name.lower() not in OPERATORS:
                near = get_close_matches(name.lower(), OPERATORS, 1, 0.75)
                mend = OPERATORS[near[0]].name if near else ""
                yield Issue(block.key, f"No condition operator is called {quoted(block.key.text)}.", mend)


def null_if_exists(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        if condition.name == "null" and condition.is_if_exists:
            yield Issue(condition.operator, "Null asks if a key exists, so IfExists cannot be added.", "Null")


def null_with_set_operator(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        if condition.name == "null" and condition.set_operator:
            yield Issue(
                condition.operator, "Null asks of the whole key: leave the set operator away.", "Null"
            )


def key_formats(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        if _KEY.fullmatch(condition.key.text) is None:
            message = f"{quoted(condition.key.text)} is no condition key: SERVICE:KEY is expected."
            yield Issue(condition.key, message)


def unknown_global_keys(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        is_other = condition.key.text.lower() == _ARN_KEY or not _has_tag(condition)
        if _prefix(condition) == "aws" and not is_other and find_key_type(condition.key.text) is None:
            message = f"No global condition key is called {condition.key.text}."
            yield Issue(condition.key, message, nearest_key(condition.key.text))


def _has_tag(condition: ConditionNode) -> bool:
    return condition.key.text.lower().rstrip("/") not in _TAG_KEYS


def unsupported_global_keys(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        if condition.key.text.lower() == _ARN_KEY:
            message = f"{condition.key.text} is no condition key: it does not say whose ARN."
            yield Issue(condition.key, message, "aws:PrincipalArn or aws:SourceArn")


def missing_tag_keys(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        if not _has_tag(condition):
            message = (
                f"{condition.key.text} needs the key of the tag: {condition.key.text.rstrip('/')}/TAG-KEY."
            )
            yield Issue(condition.key, message)


def unknown_service_keys(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        key = condition.key.text
        if _prefix(condition) in known_services() and find_key_type(key) is None:
            yield Issue(condition.key, f"No condition key is called {key}.", nearest_key(key))


def value_types(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        first = ""
        for value in condition.values:
            if value.kind in ("object", "array", "null"):
                message = f"The value of a condition is a string, not a JSON value of type {value.kind}."
                yield Issue(value, message)
                continue
            first = first or value.kind
            if value.kind != first:
                message = f"This is a JSON value of type {value.kind}; one before it is of type {first}."
                yield Issue(value, message, quoted(value.text))


def several_booleans(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        if _family(condition) in ("Bool", "Null") and len(condition.values) > 1:
            yield Issue(condition.value, "Both truth values always match: write one.")


def mismatched_operators(subject: Subject) -> Iterator[Issue]:
    """The operator compares another type than the key has."""
    for condition in _conditions(subject):
        kind = find_key_type(condition.key.text)
        family = _family(condition)
        if kind is None or family in ("", "Null"):
            continue
        fitting = FAMILIES.get(kind.removeprefix("ArrayOf"), frozenset())
        if fitting and family not in fitting:
            message = (
                f"{condition.key.text} is of type {kind}, which {condition.operator.text} does not compare."
            )
            yield Issue(condition.operator, message, f"an operator of {' or '.join(sorted(fitting))}")


def _unreadable(subject: Subject, *families: str) -> Iterator[JsonNode]:
    for condition in _conditions(subject):
        family = _family(condition)
        if family in families:
            yield from (node for node in _values(condition) if _is_unreadable(node, family))


def _is_unreadable(node: JsonNode, family: str) -> bool:
    return node.kind in ("string", "number", "boolean") and READERS[family](node.text) is None


def unreadable_booleans(subject: Subject) -> Iterator[Issue]:
    for node in _unreadable(subject, "Bool", "Null"):
        yield Issue(node, f"{quoted(node.text)} is neither true nor false.")


def unreadable_dates(subject: Subject) -> Iterator[Issue]:
    for node in _unreadable(subject, "Date"):
        if not is_storable_date(node.text):
            yield Issue(
                node, f"{quoted(node.text)} is no date: 2026-01-31T12:00:00Z, or seconds of the epoch."
            )


def unusual_dates(subject: Subject) -> Iterator[Issue]:
    """What IAM stores and does not read as a date, and seconds of the epoch."""
    for condition in _conditions(subject):
        for node in _values(condition) if _family(condition) == "Date" else ():
            if _EPOCH.fullmatch(node.text):
                yield Issue(node, f"{quoted(node.text)} is taken for seconds since 1970: write YYYY-MM-DD.")
    for node in _unreadable(subject, "Date"):
        if is_storable_date(node.text):
            yield Issue(
                node, f"{quoted(node.text)} is not read as a date: write YYYY-MM-DD, and the time behind T."
            )


def unreadable_numbers(subject: Subject) -> Iterator[Issue]:
    for node in _unreadable(subject, "Numeric"):
        yield Issue(node, f"{quoted(node.text)} is no number.")


def unreadable_ranges(subject: Subject) -> Iterator[Issue]:
    for node in _unreadable(subject, "IpAddress"):
        yield Issue(node, f"{quoted(node.text)} is no IP address and no range of them.")


def unreadable_binaries(subject: Subject) -> Iterator[Issue]:
    for node in _unreadable(subject, "Binary"):
        yield Issue(node, f"{quoted(node.text)} is not in base64.")


def wildcards_without_like(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        known = OPERATORS.get(condition.name)
        if known is None or known.family != "String" or known.is_like:
            continue
        for node in _values(condition):
            if "*" in node.text or "?" in node.text:
                like = "StringNotLike" if "not" in condition.name else "StringLike"
                yield Issue(node, f"{condition.operator.text} takes * and ? literally.", like)


def like_of_arns(subject: Subject) -> Iterator[Issue]:
    """A star of StringLike also matches colons, so that it reaches into other fields of the ARN."""
    for condition in _conditions(subject):
        kind = (find_key_type(condition.key.text) or "").removeprefix("ArrayOf")
        known = OPERATORS.get(condition.name)
        if kind != "ARN" or known is None or known.family != "String" or not known.is_like:
            continue
        like = "ArnNotLike" if "not" in condition.name else "ArnLike"
        message = f"{condition.key.text} is an ARN: {like} keeps wildcards within its fields."
        yield Issue(condition.operator, message, like)


def invalid_regions(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        if condition.key.text.lower() == "aws:requestedregion" and _family(condition) == "String":
            for node in _values(condition):
                if not {"*", "?"} & set(node.text) and REGION.fullmatch(node.text) is None:
                    yield Issue(node, f"{quoted(node.text)} is no Region.")


def for_all_of_single(subject: Subject) -> Iterator[Issue]:
    """ForAllValues is met by a key that is missing."""
    for statement in subject.statements:
        for condition in statement.conditions if statement.is_allow else ():
            kind = find_key_type(condition.key.text)
            if condition.set_operator == "forallvalues" and _is_single(kind):
                message = f"{condition.key.text} has one value; ForAllValues also allows requests without it."
                yield Issue(condition.operator, message, condition.operator.text.partition(":")[2])


def _is_single(kind: str | None) -> bool:
    return kind is not None and not kind.startswith("ArrayOf")


def missing_set_operators(subject: Subject) -> Iterator[Issue]:
    for condition in _conditions(subject):
        kind = find_key_type(condition.key.text) or ""
        if kind.startswith("ArrayOf") and not condition.set_operator and condition.name != "null":
            message = f"{condition.key.text} may have several values, which need a set operator."
            yield Issue(condition.operator, message, f"ForAnyValue:{condition.operator.text}")


def missing_pairs(subject: Subject) -> Iterator[Issue]:
    for statement in subject.statements:
        for condition in statement.conditions:
            others = _PAIRS.get(condition.key.text.lower())
            if others is not None and not statement.has_key(*others):
                message = f"{condition.key.text} is an address of any network: name the network, too."
                yield Issue(condition.key, message, others[0])


def vpc_formats(subject: Subject) -> Iterator[Issue]:
    yield from _ids(subject, "aws:sourcevpc", _VPC, "VPC")


def vpc_endpoint_formats(subject: Subject) -> Iterator[Issue]:
    yield from _ids(subject, "aws:sourcevpce", _VPC_ENDPOINT, "VPC endpoint")


def _ids(subject: Subject, key: str, form: re.Pattern[str], kind: str) -> Iterator[Issue]:
    for condition in _conditions(subject):
        if condition.key.text.lower() == key and _family(condition) == "String":
            for node in _values(condition):
                if not {"*", "?"} & set(node.text) and form.fullmatch(node.text) is None:
                    yield Issue(node, f"{quoted(node.text)} is no id of a {kind}.")


def _empty(subject: Subject, set_operator: str, is_if_exists: bool) -> Iterator[Issue]:
    for condition in _conditions(subject):
        is_empty = condition.value.kind == "array" and not condition.value.items
        if is_empty and (condition.set_operator, condition.is_if_exists) == (set_operator, is_if_exists):
            yield Issue(condition.value, "The list of values is empty: it matches no value.")


def empty_values(subject: Subject) -> Iterator[Issue]:
    yield from _empty(subject, "", False)


def empty_values_for_all(subject: Subject) -> Iterator[Issue]:
    for is_if_exists in (False, True):
        yield from _empty(subject, "forallvalues", is_if_exists)


def empty_values_for_any(subject: Subject) -> Iterator[Issue]:
    for is_if_exists in (False, True):
        yield from _empty(subject, "foranyvalue", is_if_exists)


def empty_values_if_exists(subject: Subject) -> Iterator[Issue]:
    yield from _empty(subject, "", True)
