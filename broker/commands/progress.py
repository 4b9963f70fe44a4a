"""A progress bar on standard error, in a terminal, for work that lasts."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from broker.declaration.declared import Declaration

_FEW = 200  # that many entities take a part of a second


@contextmanager
def progress_of(declaration: "Declaration") -> Iterator[Callable[[], None]]:
    """A function to be called for each entity of the declaration; it draws nothing in a pipe, or for a few entities."""
    total = sum(
        len(getattr(account, kind))
        for account in declaration.accounts.values()
        for kind in ("policies", "groups", "users", "roles", "instance_profiles")
    )
    if total < _FEW or not sys.stderr.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("applying", total=total)
        yield lambda: bar.advance(task)
