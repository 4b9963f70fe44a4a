"""What a simulation may cost, asked before anything is simulated: while a decision is made, all others wait.

A request brings a quarter of a megabyte: of policies, and of values and resources that each of their patterns is
compared with. Costs are the engine's estimates, in microseconds. Between two decisions others get their turn.
"""

from collections.abc import Iterable
from typing import Final

from broker.access.caller import Keys
from broker.policy import PolicySet, cost_of_decision, count_condition_values
from broker.simulator.subjects import invalid_input

# Comparisons that one decision may take. A request brings no more than fifty values of a key.
MOST_COMPARISONS: Final = 100_000

# The cost of one decision.
MOST_AT_ONCE: Final = 200_000
# The cost of a page, which ends before it; and of one action on all its resources, beyond which it is refused.
MOST_OF_PAGE: Final = 5_000_000
MOST_OF_ACTION: Final = 20_000_000


def require_comparable(entered: Keys, sets: Iterable[PolicySet | None]) -> None:
    """Raises InvalidInput where each of many context values would be compared with each of many in the policies."""
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
