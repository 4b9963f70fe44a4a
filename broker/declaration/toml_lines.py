"""The lines of the keys in a TOML file, which `tomllib` does not return.

The text must be one that `tomllib` accepts: errors are not recognized here. Keys inside an inline table or an array
are not looked for; an error about them names the line of the table or array.
"""

import re
import tomllib
from collections.abc import Iterator

Route = tuple[str | int, ...]  # ("accounts", "111111111111", "users", "alice", "groups", 0)

_TOKEN = re.compile(
    r"""
    (?P<text> \"{3}(?:\\.|[^\\])*?\"{3,5} | '{3}.*?'{3,5} | "(?:\\.|[^"\\\n])*" | '[^'\n]*' )
    | (?P<skipped> \#[^\n]* | [ \t\r]+ )
    | (?P<word> [A-Za-z0-9_-]+ )
    | (?P<mark> . )
    """,
    re.VERBOSE | re.DOTALL,
)


def toml_lines(text: str) -> dict[Route, int]:
    """The line (from 1) of each table and key of a TOML text, and of the tables that contain it."""
    lines: dict[Route, int] = {}
    last: dict[Route, int] = {}  # of each array of tables, the index of its last table so far
    table: Route = ()
    for line, statement in _statements(text):
        if statement[0] == "[":
            is_array = statement[1] == "["
            table = _within_arrays(_keys(statement), last)
            if is_array:
                last[table] = last.get(table, -1) + 1
                table = (*table, last[table])
            route = table
        else:
            route = (*table, *_keys(statement[: statement.index("=")]))
        for length in range(1, len(route) + 1):
            lines.setdefault(route[:length], line)
    return lines


def _statements(text: str) -> Iterator[tuple[int, list[str]]]:
    """Each table header and each assignment: the line where it begins, and its tokens."""
    statement: list[str] = []
    line = began = 1
    depth = 0
    for token in _TOKEN.finditer(text + "\n"):
        word = token.group()
        if word == "\n" and depth == 0:
            if statement:
                yield began, statement
            statement = []
        elif token.lastgroup != "skipped":
            began = began if statement else line
            statement.append(word)
            depth += (word in ("[", "{")) - (word in ("]", "}"))
        line += word.count("\n")


def _keys(tokens: list[str]) -> Route:
    """The parts of a dotted key: `accounts."111"`."""
    keys = [token for token in tokens if token not in ("[", "]", ".", "=")]
    return tuple(tomllib.loads(f"key = {key}")["key"] if key[0] in "\"'" else key for key in keys)


def _within_arrays(keys: Route, last: dict[Route, int]) -> Route:
    """The route of a table header: of each array of tables on the way, it uses the last table."""
    route: Route = ()
    for key in keys[:-1]:
        route = (*route, key)
        if route in last:
            route = (*route, last[route])
    return (*route, *keys[-1:])
