"""How much work one question may take, counted in steps: this floor has no clock."""

from typing import Final

# A step takes less than a microsecond.
MOST_STEPS: Final = 8_000_000
# What z3 may take for one question, by its own measures. The limit of time is for a machine that is busy.
SOLVER_MILLISECONDS: Final = 2_000
SOLVER_RESOURCES: Final = 20_000_000
# Representatives of callers, classes of the values of one variable, and characters of a formula.
MOST_CALLERS: Final = 20_000
MOST_CLASSES: Final = 5_000
LONGEST_FORMULA: Final = 8_000_000


class Undecided(Exception):
    """The question could not be decided; the text says why. INVARIANT: then no check passes."""


class Budget:
    """The steps that are left of one question."""

    def __init__(self, steps: int = MOST_STEPS) -> None:
        self._left = steps

    def spend(self, steps: int) -> None:
        """Raises Undecided where there are not so many left."""
        self._left -= steps
        if self._left < 0:
            raise Undecided("the policies are too complex for the time that a check may take")
