"""z3, the extra `broker[solver]`: whether a formula of propositional logic can be met. Nothing else imports it."""

from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any

from broker.policy.solver.budget import LONGEST_FORMULA, SOLVER_MILLISECONDS, SOLVER_RESOURCES, Undecided


def has_solver() -> bool:
    return find_spec("z3") is not None


class Satisfying:
    """A formula in SMT-LIB's language, in a context of z3 of its own: threads share nothing."""

    def __init__(self, text: str) -> None:
        import z3

        if len(text) > LONGEST_FORMULA:
            raise Undecided("the policies are too large together")
        self._context = z3.Context()
        self._bool = z3.Bool
        self._solver: Any = z3.SolverFor("QF_FD", ctx=self._context)
        self._solver.set("timeout", SOLVER_MILLISECONDS)
        self._solver.set("rlimit", SOLVER_RESOURCES)
        self._solver.from_string(text)

    def find(self, *assumed: str) -> frozenset[str] | None:
        """The names that are true where the formula and `assumed` are; None where that cannot be. Raises Undecided."""
        import z3

        answer = self._solver.check(*[self._bool(name, self._context) for name in assumed])
        if answer == z3.unsat:
            return None
        if answer != z3.sat:
            raise Undecided("the solver did not come to an answer in its time")
        model = self._solver.model()
        return frozenset(one.name() for one in model.decls() if z3.is_true(model[one]))


def any_of(parts: Sequence[str]) -> str:
    if "true" in parts:
        return "true"
    kept = [part for part in parts if part != "false"]
    if not kept:
        return "false"
    return kept[0] if len(kept) == 1 else f"(or {' '.join(kept)})"


def all_of(parts: Sequence[str]) -> str:
    if "false" in parts:
        return "false"
    kept = [part for part in parts if part != "true"]
    if not kept:
        return "true"
    return kept[0] if len(kept) == 1 else f"(and {' '.join(kept)})"


def not_(part: str) -> str:
    return {"true": "false", "false": "true"}.get(part, f"(not {part})")
