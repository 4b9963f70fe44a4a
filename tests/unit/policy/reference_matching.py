"""The reference judge's reading of patterns, variables and conditions, page by page of the IAM User Guide.

Shares nothing with broker/policy. What cannot be evaluated is None, neither True nor False.
"""

import base64
import ipaddress
import re
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from functools import lru_cache


def as_list(value):
    return value if isinstance(value, list) else [value]


# --- Truth of three values: True, False, and None for what cannot be evaluated ---


def either(results):
    results = list(results)
    return True if True in results else None if None in results else False


def every(results):
    results = list(results)
    return False if False in results else None if None in results else True


def opposite(result):
    return None if result is None else not result


# --- Variables: "IAM policy elements: Variables and tags" ---

VARIABLE = re.compile(r"\$\{([^}]*)\}")
SPECIAL = {"*": "*", "?": "?", "$": "$"}


def value_of_variable(inside, context):
    """The text that `${inside}` stands for, or None: "the value is effectively null"."""
    if inside in SPECIAL:
        return SPECIAL[inside]
    key, comma, default = inside.partition(",")
    values = context.get(key.strip().lower())
    if values is not None and len(values) == 1:
        return values[0]
    return default.strip()[1:-1] if comma else None


def pieces(text, context, version):
    """`text` as (piece, literal) pairs: what a variable gave is literal, it never acts as a wildcard."""
    if version != "2012-10-17":
        return [(text, False)]
    found, position = [], 0
    for match in VARIABLE.finditer(text):
        value = value_of_variable(match.group(1), context)
        if value is None:
            return None
        found += [(text[position : match.start()], False), (value, True)]
        position = match.end()
    return [*found, (text[position:], False)]


def plain_text(text, context, version):
    found = pieces(text, context, version)
    return None if found is None else "".join(piece for piece, _ in found)


# --- Patterns: "IAM JSON policy elements: Action", "... Resource" ---


MANY, ONE = "any characters", "any character"


def tokens(found):
    """Characters and wildcards, one by one, from (piece, literal) pairs."""
    wild = {"*": MANY, "?": ONE}
    return tuple(one if literal else wild.get(one, one) for piece, literal in found for one in piece)


@lru_cache(maxsize=200_000)
def glob(wanted, text):
    """Follows every place of `text` that can have been reached after each token; never backtracks."""
    places = {0}
    for token in wanted:
        if not places:
            return False
        if token is MANY:
            places = set(range(min(places), len(text) + 1))
        else:
            places = {place + 1 for place in places if place < len(text) and token in (ONE, text[place])}
    return len(text) in places


def plain_glob(pattern, text):
    return glob(tokens([(pattern, False)]), text)


def arn_like(pattern, arn, context, version):
    """Each of the six parts is checked separately; variables stand in the last one only."""
    if pattern == "*":
        return True
    wanted, given = pattern.split(":", 5), arn.split(":", 5)
    if len(wanted) != 6 or len(given) != 6:
        return False
    found = pieces(wanted[5], context, version)
    return (
        found is not None
        and all(plain_glob(one, other) for one, other in zip(wanted[:5], given[:5], strict=True))
        and glob(tokens(found), given[5])
    )


def action_matches(statement, action):
    patterns = as_list(statement.get("Action", statement.get("NotAction")))
    return any(plain_glob(pattern.lower(), action.lower()) for pattern in patterns) == ("Action" in statement)


def resource_matches(statement, resource, context, version):
    """A statement without either element (a trust policy) speaks of the resource that it is attached to."""
    if "Resource" not in statement and "NotResource" not in statement:
        return True
    patterns = as_list(statement.get("Resource", statement.get("NotResource")))
    found = any(arn_like(pattern, resource, context, version) for pattern in patterns)
    return found == ("Resource" in statement)


# --- Operators: "IAM JSON policy elements: Condition operators" ---


def number(text):
    try:
        found = Decimal(text)
    except InvalidOperation:
        return None
    return found if found.is_finite() else None


W3C_FORMS = (
    "%Y",
    "%Y-%m",
    "%Y-%m-%d",
    *(f"%Y-%m-%dT{time}%z" for time in ("%H:%M", "%H:%M:%S", "%H:%M:%S.%f")),
)


def moment(text):
    """Seconds since 1970, from epoch seconds or a W3C form of ISO 8601."""
    if number(text) is not None and not re.fullmatch(r"\d{4}", text):
        return number(text)
    for form in (
        "%Y",
        "%Y-%m",
        "%Y-%m-%d",
        "%Y-%m-%dT%H:%M%z",
        "%Y-%m-%dT%H:%M:%S%z",
        "%Y-%m-%dT%H:%M:%S.%f%z",
    ):
        try:
            found = datetime.strptime(text, form)
        except ValueError:
            continue
        return Decimal(str((found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()))
    return None


def truth(text):
    return {"true": True, "false": False}.get(text.lower())


def octets(text):
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return None


def compared(read, compare):
    def matches(wanted, given):
        one, other = read(given), read(wanted)
        return None if one is None or other is None else compare(one, other)

    return matches


MAPPED = ipaddress.ip_network("::ffff:0:0/96")


def network_of(text):
    """A range; an IPv4 one where it lies within the IPv4-mapped addresses (RFC 4291, section 2.5.5.2)."""
    network = ipaddress.ip_network(text, strict=False)
    if network.version == 6 and network.subnet_of(MAPPED):
        return ipaddress.ip_network((int(network.network_address) & 0xFFFFFFFF, network.prefixlen - 96))
    return network


def address_of(text):
    address = ipaddress.ip_address(text)
    return getattr(address, "ipv4_mapped", None) or address


def in_range(wanted, given):
    """An IPv4 address is in no range of IPv6 but a mapped one: S3's guide has policies list both kinds of ranges."""
    try:
        network, address = network_of(wanted), address_of(given)
    except ValueError:
        return None
    return address in network


COMPARISONS = {
    "Equals": lambda one, other: one == other,
    "LessThan": lambda one, other: one < other,
    "LessThanEquals": lambda one, other: one <= other,
    "GreaterThan": lambda one, other: one > other,
    "GreaterThanEquals": lambda one, other: one >= other,
}
OPERATORS = {
    "Bool": compared(truth, COMPARISONS["Equals"]),
    "BinaryEquals": compared(octets, COMPARISONS["Equals"]),
    "IpAddress": in_range,
    **{f"Numeric{name}": compared(number, compare) for name, compare in COMPARISONS.items()},
    **{f"Date{name}": compared(moment, compare) for name, compare in COMPARISONS.items()},
}
NEGATED = {
    "StringNotEquals": "StringEquals",
    "StringNotEqualsIgnoreCase": "StringEqualsIgnoreCase",
    "StringNotLike": "StringLike",
    "NumericNotEquals": "NumericEquals",
    "DateNotEquals": "DateEquals",
    "NotIpAddress": "IpAddress",
    "ArnNotEquals": "ArnEquals",
    "ArnNotLike": "ArnLike",
}


def one_value_matches(operator, wanted, given, context, version):
    """A value of the policy against a value of the request; only String and Arn operators know variables."""
    if operator in OPERATORS:
        return OPERATORS[operator](wanted, given)
    if operator in ("ArnEquals", "ArnLike"):
        return arn_like(wanted, given, context, version)
    if operator == "StringLike":
        found = pieces(wanted, context, version)
        return found is not None and glob(tokens(found), given)
    text = plain_text(wanted, context, version)
    if operator == "StringEqualsIgnoreCase":
        return text is not None and text.lower() == given.lower()
    return text == given


def condition_holds(operator, key, wanted, context, version):
    """One operator on one key: True, False, or None where it cannot be evaluated."""
    given = context.get(key.lower())
    quantifier, _, operator = operator.rpartition(":")
    if operator == "Null":
        return either(None if truth(value) is None else truth(value) == (not given) for value in wanted)
    if_exists, operator = operator.endswith("IfExists"), operator.removesuffix("IfExists")
    negated, operator = operator in NEGATED, NEGATED.get(operator, operator)
    if not given:
        return if_exists or quantifier == "ForAllValues" or (negated and quantifier != "ForAnyValue")
    if quantifier and given == [""]:  # "a null data set, such as an empty string"
        return quantifier == "ForAllValues"
    if not quantifier and len(given) > 1:  # "you must use" a set operator
        return None

    def holds(value):
        found = either(one_value_matches(operator, one, value, context, version) for one in wanted)
        return opposite(found) if negated else found

    results = [holds(value) for value in given]
    return every(results) if quantifier == "ForAllValues" else either(results)


def conditions_hold(statement, context, version):
    """All operators and all keys are joined by AND, the values of a key by OR (by NOR where negated)."""
    return every(
        condition_holds(operator, key, [str(value) for value in as_list(wanted)], context, version)
        for operator, keys in statement.get("Condition", {}).items()
        for key, wanted in keys.items()
    )
