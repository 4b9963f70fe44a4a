"""The limits of a simulation's cost, checked before it begins: a decision blocks the event loop.

A request may have a quarter of a megabyte of policies, and of values and resources that each of their patterns is
compared with. Costs are the engine's estimates, in microseconds. Other requests are served between two decisions.
"""

from collections.abc import Iterable
from typing import Final

from broker.access.caller import Keys
from broker.policy import PolicySet, cost_of_decision, count_condition_values
from broker.simulator.subjects import invalid_input

# The most comparisons in one decision. A request has at most fifty values of a key.
MOST_COMPARISONS: Final = 100_000

# The cost of one decision.
MOST_AT_ONCE: Final = 200_000
# The cost of a page, which ends before it is exceeded; and of one action on all its resources, else refused.
MOST_OF_PAGE: Final = 5_000_000
MOST_OF_ACTION: Final = 20_000_000


def require_comparable(entered: Keys, sets: Iterable[PolicySet | None]) -> None:
    """Raises InvalidInput where many context values would each be compared with many values in the policies."""
    most = max(map(len, entered.values()), default=0)
    if most <= 1:
        return
    compared = count_condition_values(sets)
    if most * compared > MOST_COMPARISONS:
        raise invalid_input(
            f"ContextEntries: {most} values of a key cannot be compared with {compared} in the conditions at once."
        )


def affordable_cost(entered: Keys, resources: tuple[str, ...], sets: Iterable[PolicySet | None]) -> float:
    """The cost of one decision; raises InvalidInput where it is too much."""
    cost = cost_of_decision(entered, resources, sets)
    if cost > MOST_AT_ONCE:
        raise invalid_input(
            "The policies are too long to be compared with the resources and the values of ContextEntries at once."
        )
    return cost
