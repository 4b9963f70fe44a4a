"""The parsed text of a declaration: plain values, and the line of each of them.

Scalars remain strings, so that an account id keeps its leading zeros and a policy's Version is not read as a date;
`reading` converts them by the declared type. Only YAML's null is None.
"""

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec
import yaml
from yaml.composer import Composer

from broker.causes import cause_of
from broker.declaration.toml_lines import Route, toml_lines

_COLLECTION_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("map", "seq")}
_PLAIN_TAGS = {f"tag:yaml.org,2002:{kind}" for kind in ("str", "int", "float", "bool", "null", "timestamp")}
_NULL = "tag:yaml.org,2002:null"
_TOML_LOCATION = re.compile(r" \(at line (\d+), column \d+\)$")

_DEEPEST = 100
_TOO_DEEP = "nested too deeply"
_MOST_REPEATED = 100_000  # values that aliases repeat


class DeclarationError(Exception):
    """What is wrong with a declaration; the message begins with the file, the line if known, and the route."""


class UnreadableDeclaration(DeclarationError):
    """The file itself cannot be read."""


class SourceFile(msgspec.Struct, frozen=True):
    """Values are dicts, lists, texts and None; `lines` has the line (from 1) of routes."""

    file: Path
    value: Any
    lines: Mapping[Route, int]

    def location(self, route: Route) -> str:
        """The beginning of an error message: `demo.yaml:12: accounts.111111111111.users.alice`."""
        # A key in an inline table of TOML has the line of the table.
        around = (route[:length] for length in range(len(route), 0, -1))
        line = next((self.lines[outer] for outer in around if outer in self.lines), None)
        location = f"{self.file}:{line}" if line else str(self.file)
        return f"{location}: {'.'.join(map(str, route))}" if route else location


def read_source(file: Path) -> SourceFile:
    """Read YAML, or TOML where the name ends so. Raises DeclarationError."""
    try:
        data = file.read_bytes()
        text = data.decode()
    except OSError as error:
        raise UnreadableDeclaration(f"{file} cannot be read: {cause_of(error)}") from None
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise DeclarationError(f"{file}:{line}: this line is not UTF-8") from None
    return _read_toml(file, text) if file.suffix == ".toml" else _read_yaml(file, text)


def _read_toml(file: Path, text: str) -> SourceFile:
    try:
        return SourceFile(file, _as_texts(tomllib.loads(text)), toml_lines(text))
    except tomllib.TOMLDecodeError as error:
        message, line = _TOML_LOCATION.sub("", str(error)), _TOML_LOCATION.search(str(error))
        raise DeclarationError(f"{file}{f':{line[1]}' if line else ''}: {message}") from None
    except RecursionError:
        raise DeclarationError(f"{file}: {_TOO_DEEP}") from None


def _as_texts(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _as_texts(member) for key, member in value.items()}
    if isinstance(value, list):
        return [_as_texts(member) for member in value]
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def _read_yaml(file: Path, text: str) -> SourceFile:
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        line = f":{error.problem_mark.line + 1}" if error.problem_mark else ""
        raise DeclarationError(f"{file}{line}: {error.problem or error}") from None
    except yaml.reader.ReaderError as error:
        number = text.count("\n", 0, error.position) + 1
        raise DeclarationError(f"{file}:{number}: {error.reason}") from None
    except yaml.YAMLError as error:
        raise DeclarationError(f"{file}: {error}") from None
    lines: dict[Route, int] = {}
    value = None if node is None else _Yaml(file, lines).value_of(node, (), ())
    return SourceFile(file, value, lines)


class _Loader(Composer, yaml.CSafeLoader):
    """Composes nodes, with a limit of depth, from the events of libyaml, far faster than the parser in Python."""

    _depth = 0

    def __init__(self, text: str) -> None:
        yaml.CSafeLoader.__init__(self, text)
        Composer.__init__(self)

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._depth += 1
        if self._depth > _DEEPEST:
            event: Any = self.peek_event()
            raise yaml.MarkedYAMLError(problem=_TOO_DEEP, problem_mark=event.start_mark)
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node


class _Yaml:
    """Converts nodes to values, and records their lines."""

    def __init__(self, file: Path, lines: dict[Route, int]) -> None:
        self._file = file
        self._lines = lines
        self._seen: set[int] = set()
        self._repeated = 0

    def value_of(self, node: yaml.Node, route: Route, around: tuple[int, ...]) -> Any:
        self._lines.setdefault(route, node.start_mark.line + 1)
        # DANGER: with anchors inside anchors, a file of ten lines can have any size and depth.
        if id(node) in self._seen:
            self._repeated += 1
        self._seen.add(id(node))
        if len(around) > _DEEPEST:
            raise self._error(node, _TOO_DEEP)
        if self._repeated > _MOST_REPEATED:
            raise self._error(node, f"anchors are repeated more than {_MOST_REPEATED:,} times")
        if id(node) in around:
            raise self._error(node, "an anchor contains itself")
        if node.tag not in _PLAIN_TAGS | _COLLECTION_TAGS:
            raise self._error(node, f"the tag {node.tag} has no meaning here")
        inside = (*around, id(node))
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, route, inside)
        if isinstance(node, yaml.SequenceNode):
            return [self.value_of(member, (*route, index), inside) for index, member in enumerate(node.value)]
        return None if node.tag == _NULL else node.value

    def _mapping(self, node: yaml.MappingNode, route: Route, inside: tuple[int, ...]) -> dict[str, Any]:
        values: dict[str, Any] = {}
        for key, member in node.value:
            if not isinstance(key, yaml.ScalarNode) or key.tag not in _PLAIN_TAGS:
                raise self._error(key, "a key is a plain text here")
            if key.value in values:
                raise self._error(key, f"the key {key.value} is repeated")
            self._lines[*route, key.value] = key.start_mark.line + 1
            values[key.value] = self.value_of(member, (*route, key.value), inside)
        return values

    def _error(self, node: yaml.Node, message: str) -> DeclarationError:
        return DeclarationError(f"{self._file}:{node.start_mark.line + 1}: {message}")
