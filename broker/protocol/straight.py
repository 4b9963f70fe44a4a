"""Straight-line functions: what a service model says of a shape, written out once as Python.

A loop over a table of members costs three times what the written-out statements cost, and every request renders and
records. DANGER: the source is made of names of the pinned models and of nothing else, never of anything a client sent.
"""

from collections.abc import Callable, Iterable
from typing import Any


def indented(lines: Iterable[str]) -> list[str]:
    """`lines` as the block of the statement before them."""
    return [f"    {line}" for line in lines]


def compile_function(
    title: str, parameters: str, lines: Iterable[str], names: dict[str, Any]
) -> Callable[..., Any]:
    """A function of `parameters` with the body `lines`; `names` is all that it can call, `title` is for tracebacks."""
    source = "\n".join([f"def straight({parameters}):", *indented(lines)])
    namespace = dict(names)
    exec(compile(source, f"<{title}>", "exec"), namespace)  # noqa: S102  see DANGER above
    function: Callable[..., Any] = namespace["straight"]
    return function
