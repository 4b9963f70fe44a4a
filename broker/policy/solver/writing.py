"""The text of a formula in SMT-LIB's language, as it is made."""

from collections.abc import Sequence
from typing import TypeVar

from broker.policy.solver.satisfying import any_of

Item = TypeVar("Item")


class FormulaText:
    """Declarations and assertions about names that are true or false."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def declare(self, name: str) -> str:
        self._lines.append(f"(declare-const {name} Bool)")
        return name

    def define(self, name: str, part: str) -> str:
        self.declare(name)
        self.require(f"(= {name} {part})")
        return name

    def require(self, part: str) -> None:
        if part != "true":
            self._lines.append(f"(assert {part})")

    def choice(self, prefix: str, count: int) -> list[str]:
        """Names of which exactly one is true."""
        names = [self.declare(f"{prefix}{number}") for number in range(count)]
        self.exactly_one(names)
        return names

    def exactly_one(self, names: Sequence[str]) -> None:
        self.require(any_of(names))
        if len(names) > 1:
            self.require(f"((_ at-most 1) {' '.join(names)})")

    def __str__(self) -> str:
        return "\n".join(self._lines)


def any_with(names: Sequence[str], chosen: Sequence[bool]) -> str:
    """One of the names that are chosen; of a choice, always where all are."""
    if all(chosen):
        return "true"
    return any_of([name for name, is_so in zip(names, chosen, strict=True) if is_so])


def chosen_of(names: Sequence[str], items: Sequence[Item], model: frozenset[str]) -> list[Item]:
    """The items whose names are true in `model`."""
    return [one for one, name in zip(items, names, strict=True) if name in model]
