"""Tables and colours in a terminal, plain text in a pipe."""

import json
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import IO, Any, Literal

from rich.console import Console
from rich.table import Table
from rich.text import Text

from broker.commands.colours import has_colours

_NO_STYLES: Mapping[str, str] = MappingProxyType({})


def console(file: IO[str] | None = None) -> Console:
    """A console for standard output, or for `file`; in a pipe without colour and without line breaks."""
    if sys.stdout is not None and sys.stdout.isatty():
        system: Literal["auto"] | None = "auto" if has_colours(sys.stdout) else None
        return Console(
            file=file, force_terminal=True, highlight=False, markup=False, emoji=False, color_system=system
        )
    return Console(
        file=file, highlight=False, markup=False, emoji=False, no_color=True, width=10_000, soft_wrap=True
    )


def print_table(headings: list[str], rows: list[list[str]], styles: Mapping[str, str] = _NO_STYLES) -> None:
    """Print a table: coloured in a terminal, padded with spaces in a pipe. `styles` maps texts of cells to styles."""
    if sys.stdout.isatty():
        table = Table(box=None, header_style="bold", pad_edge=False)
        for heading in headings:
            table.add_column(heading, overflow="fold")  # never truncated: a part of an id is useless
        for row in rows:
            table.add_row(*(Text(cell, style=styles.get(cell, "")) for cell in row))
        console().print(table)
        return
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    for row in [headings, *rows]:
        print("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())


def print_json(value: Any) -> None:
    """Indented JSON; coloured in a terminal."""
    text = json.dumps(value, indent=2, ensure_ascii=False)
    if has_colours(sys.stdout):
        Console().print_json(text, indent=2)
    else:
        print(text)
