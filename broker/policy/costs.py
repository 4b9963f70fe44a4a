"""What a decision costs, estimated before it is made: from above, for what indexes spare is not known beforehand.

For policies, values and resources that one request brings together. Nothing here decides.
"""

from collections.abc import Iterable, Iterator, Mapping

from broker.policy.elements import Condition, Statement
from broker.policy.index import PolicySet

Keys = Mapping[str, tuple[str, ...]]

# Microseconds.
# Of a statement, of a text in it, and of a variable: those in numbers, dates and addresses are read in each decision.
_STATEMENT, _TEXT, _VARIABLE, _READ_VARIABLE = 4.0, 0.4, 6.0, 30.0
# Of a segment of a resource, where the pattern has wildcards before the resource's own name.
_SEGMENT = 0.2
# Characters of a pattern, times characters of a value, that are compared in one microsecond where all nearly match.
_CHARACTERS = 1500
# Characters of a value that are read as a number, a date or bytes in one microsecond.
_READ_CHARACTERS = 300
_READING = ("Numeric", "Date", "IpAddress", "Binary", "Bool")


def count_condition_values(sets: Iterable[PolicySet | None]) -> int:
    """How many values stand in the conditions of these policies."""
    return sum(len(condition.values) for statement in _statements(sets) for condition in statement.conditions)


def cost_of_decision(keys: Keys, resources: tuple[str, ...], sets: Iterable[PolicySet | None]) -> float:
    """Microseconds, at most, for a decision about the worst of `resources`; `keys` are in lower case."""
    longest = max(resources, key=len, default="")
    parted = max((resource.count(":") for resource in resources), default=0)
    characters = sum(len(value) for values in keys.values() for value in values)
    cost = _STATEMENT
    for statement in _statements(sets):
        cost += _STATEMENT
        for text in (*(statement.resources or ()), *(statement.not_resources or ())):
            cost += _cost_of_text(text, 1, len(longest), characters, _VARIABLE)
            cost += _cost_of_segments(text, parted)
        for condition in statement.conditions:
            cost += _cost_of_condition(condition, keys, characters)
    return cost


def _statements(sets: Iterable[PolicySet | None]) -> Iterator[Statement]:
    policies = (policy for one in sets if one is not None for _, policy in one.policies)
    return (statement for policy in policies for statement in policy.statements)


def _cost_of_segments(text: str, parted: int) -> float:
    front = text.rpartition(":")[0]
    return _SEGMENT * parted if "*" in front or "?" in front else 0.0


def _cost_of_condition(condition: Condition, keys: Keys, all_characters: int) -> float:
    values = keys.get(condition.key.lower(), ())
    characters = sum(map(len, values))
    is_read = any(word in condition.operator for word in _READING)
    variable = _READ_VARIABLE if is_read else _VARIABLE
    cost = _TEXT + characters / (_READ_CHARACTERS if is_read else _CHARACTERS)
    for text in condition.values:
        cost += _cost_of_text(text, len(values), characters, all_characters, variable)
    return cost


def _cost_of_text(text: str, count: int, characters: int, all_characters: int, variable: float) -> float:
    """Of a text in a policy, compared with `count` texts that have so many `characters` together."""
    cost = _TEXT * max(1, count)
    variables = text.count("${")
    if variables:
        # What they bring in is compared, or read, as far as it goes.
        cost += variable * variables + variables * all_characters / _CHARACTERS
    if variables or "*" in text or "?" in text:
        cost += len(text) * characters / _CHARACTERS
    return cost
