"""Red text for errors, in a terminal that has colours and unless NO_COLOR is set.

Tables and reports are coloured by rich (`terminal.py`), by the same rules. This is for single lines, in commands that
should start without importing rich.
"""

import os
from typing import TextIO


def in_red(text: str, stream: TextIO) -> str:
    """`text`, in red where `stream` has colours: not in a pipe, a dumb terminal, or with NO_COLOR (no-color.org)."""
    return f"\x1b[31m{text}\x1b[0m" if has_colours(stream) else text


def has_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
