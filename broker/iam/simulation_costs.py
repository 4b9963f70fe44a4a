"""What a simulation costs, weighed before anything is simulated: a decision is made at a stretch, and all wait for it.

A request brings a quarter of a megabyte: of policies, and of values and resources that each of their patterns is
compared with. Weights are estimates in microseconds, from above: what the engine is spared by its indexes is not known
beforehand. Between two decisions others get their turn.
"""

from collections.abc import Iterable, Iterator
from typing import Final

from broker.access.caller import Keys
from broker.iam.simulation_subjects import invalid_input
from broker.policy import Condition, PolicySet, Statement

# Comparisons that one decision may take. A request brings no more than fifty values of a key.
MOST_COMPARISONS: Final = 100_000

# The weight of one decision.
MOST_AT_ONCE: Final = 200_000
# The weight of a page, which ends before it; and of one action on all its resources, beyond which it is refused.
MOST_OF_PAGE: Final = 5_000_000
MOST_OF_ACTION: Final = 20_000_000

# Of a statement, of a text in it, and of a variable: those in numbers, dates and addresses are read in each decision.
_STATEMENT, _TEXT, _VARIABLE, _READ_VARIABLE = 4.0, 0.4, 6.0, 30.0
# Of a segment of a resource, where the pattern has wildcards before the resource's own name.
_SEGMENT = 0.2
# Characters of a pattern, times characters of a value, that are compared in one microsecond where all nearly match.
_CHARACTERS = 1500
# Characters of a value that are read as a number, a date or bytes in one microsecond.
_READ_CHARACTERS = 300
_READING = ("Numeric", "Date", "IpAddress", "Binary", "Bool")


def require_comparable(entered: Keys, sets: Iterable[PolicySet | None]) -> None:
    """Raises InvalidInput where each of many context values would be compared with each of many in the policies."""
    most = max(map(len, entered.values()), default=0)
    if most <= 1:
        return
    compared = sum(
        len(condition.values) for statement in _statements(sets) for condition in statement.conditions
    )
    if most * compared > MOST_COMPARISONS:
        raise invalid_input(
            f"ContextEntries: {most} values of a key cannot be compared with {compared} in the conditions at once."
        )


def weight_of_decision(entered: Keys, resources: Iterable[str], sets: Iterable[PolicySet | None]) -> float:
    """Raises InvalidInput where one decision would take too long."""
    longest = max(resources, key=len, default="")
    parted = max((resource.count(":") for resource in resources), default=0)
    values = sum(len(value) for one in entered.values() for value in one)
    weight = _STATEMENT
    for statement in _statements(sets):
        weight += _STATEMENT
        for text in (*(statement.resources or ()), *(statement.not_resources or ())):
            weight += _weight_of_text(text, 1, len(longest), values, _VARIABLE) + _weight_of_parts(
                text, parted
            )
        for condition in statement.conditions:
            weight += _weight_of_condition(condition, entered, values)
    if weight > MOST_AT_ONCE:
        raise invalid_input(
            "The policies are too long to be compared with the resources and the values of ContextEntries at once."
        )
    return weight


def _statements(sets: Iterable[PolicySet | None]) -> Iterator[Statement]:
    policies = (policy for one in sets if one is not None for _, policy in one.policies)
    return (statement for policy in policies for statement in policy.statements)


def _weight_of_parts(text: str, parted: int) -> float:
    front = text.rpartition(":")[0]
    return _SEGMENT * parted if "*" in front or "?" in front else 0.0


def _weight_of_condition(condition: Condition, entered: Keys, all_values: int) -> float:
    values = entered.get(condition.key.lower(), ())
    characters = sum(map(len, values))
    is_read = any(word in condition.operator for word in _READING)
    variable = _READ_VARIABLE if is_read else _VARIABLE
    weight = _TEXT + characters / (_READ_CHARACTERS if is_read else _CHARACTERS)
    for text in condition.values:
        weight += _weight_of_text(text, len(values), characters, all_values, variable)
    return weight


def _weight_of_text(text: str, count: int, characters: int, all_values: int, variable: float) -> float:
    """Of a text in a policy, compared with `count` texts that have so many `characters` together."""
    weight = _TEXT * max(1, count)
    variables = text.count("${")
    if variables:
        # What they bring in is compared, or read, as far as it goes.
        weight += variable * variables + variables * all_values / _CHARACTERS
    if variables or "*" in text or "?" in text:
        weight += len(text) * characters / _CHARACTERS
    return weight
