"""The operators of conditions as validation sees them: what their values are, and of what types their keys."""

from collections.abc import Callable

import msgspec

from broker.policy.operands import read_boolean, read_bytes, read_date, read_network, read_number


class ConditionOperator(msgspec.Struct, frozen=True):
    """A row: `family` is String, Arn, Numeric, Date, Bool, IpAddress, Binary or Null."""

    name: str
    family: str
    is_like: bool = False


_ROWS = (
    *(ConditionOperator(f"String{rest}", "String", "Like" in rest) for rest in (
        "Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike")),
    *(ConditionOperator(f"Arn{rest}", "Arn", True) for rest in ("Equals", "NotEquals", "Like", "NotLike")),
    *(ConditionOperator(f"{family}{rest}", family) for family in ("Numeric", "Date") for rest in (
        "Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals")),
    ConditionOperator("Bool", "Bool"),
    ConditionOperator("BinaryEquals", "Binary"),
    ConditionOperator("IpAddress", "IpAddress"),
    ConditionOperator("NotIpAddress", "IpAddress"),
    ConditionOperator("Null", "Null"),
)  # fmt: skip
OPERATORS = {one.name.lower(): one for one in _ROWS}

# Types of the reference -> families of operators that fit. Times may be compared as epoch seconds.
FAMILIES: dict[str, frozenset[str]] = {
    "String": frozenset({"String", "Arn"}),  # some keys of type String hold ARNs
    "ARN": frozenset({"Arn", "String"}),
    "Numeric": frozenset({"Numeric"}),
    "Date": frozenset({"Date", "Numeric"}),
    "Bool": frozenset({"Bool"}),
    "IPAddress": frozenset({"IpAddress"}),
    "Binary": frozenset({"Binary"}),
}
READERS: dict[str, Callable[[str], object]] = {
    "Numeric": read_number,
    "Date": read_date,
    "Bool": read_boolean,
    "Null": read_boolean,
    "IpAddress": read_network,
    "Binary": read_bytes,
}
