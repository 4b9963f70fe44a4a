"""Red where something went wrong, for a terminal that has colours and a reader who has not set NO_COLOR.

Tables and reports get theirs from rich (`terminal.py`), which keeps the same rules; this is for single lines, in
commands that should not wait for it.
"""

import os
from typing import TextIO


def in_red(text: str, stream: TextIO) -> str:
    """`text` for `stream`: as it is in a pipe, on a dumb terminal, and under NO_COLOR (no-color.org)."""
    return f"\x1b[31m{text}\x1b[0m" if has_colours(stream) else text


def has_colours(stream: TextIO) -> bool:
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM", "dumb") != "dumb"
