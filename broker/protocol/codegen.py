"""Generated functions: what a service model says of a shape, as straight-line Python that is compiled once.

A loop over a table of members takes three times as long as the generated statements, and every request is rendered
and recorded. DANGER: the source holds names of the pinned models only, never anything that a client sent.
"""

from collections.abc import Callable, Iterable
from typing import Any


def indented(lines: Iterable[str]) -> list[str]:
    """`lines` as the block of the statement before them."""
    return [f"    {line}" for line in lines]


def compile_function(
    title: str, parameters: str, lines: Iterable[str], names: dict[str, Any]
) -> Callable[..., Any]:
    """A function of `parameters` with the body `lines`; `names` are its globals, `title` is for tracebacks."""
    source = "\n".join([f"def generated({parameters}):", *indented(lines)])
    namespace = dict(names)
    exec(compile(source, f"<{title}>", "exec"), namespace)  # noqa: S102  see DANGER above
    function: Callable[..., Any] = namespace["generated"]
    return function
