"""Plain values converted to the structs of `declared`, strictly: every error says where it is and what is expected."""

import difflib
import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from broker.causes import cause_of
from broker.declaration.declared import WHERE, Declaration, Document
from broker.declaration.source import DeclarationError, SourceFile, read_source
from broker.declaration.toml_lines import Route


def read_declaration(file: Path) -> Declaration:
    """The declaration in `file`; raises DeclarationError."""
    source = read_source(file)
    if source.value is None:
        raise DeclarationError(f"{file} is empty; config/demo.yaml shows what a declaration looks like")
    declaration: Declaration = _read(source, _type_of(Declaration), source.value, ())
    return declaration


def encode_declaration(declaration: Declaration) -> str:
    """As a text for another process, which opens no file of it again."""
    return msgspec.json.encode(declaration).decode()


def decode_declaration(text: str) -> Declaration:
    """Raises DeclarationError."""
    try:
        return msgspec.json.decode(text, type=Declaration)
    except msgspec.DecodeError as error:
        raise DeclarationError(f"this is no declaration: {error}") from None


def has_fixed_keys(declaration: Declaration) -> bool:
    """Whether it names files or variables with the secrets of access keys."""
    users = (user for members in declaration.accounts.values() for user in members.users.values())
    return any(not isinstance(user.access_keys, int) and user.access_keys for user in users)


def _read(source: SourceFile, kind: inspect.Type, value: Any, route: Route) -> Any:
    if isinstance(kind, inspect.UnionType):
        kind = _chosen(source, kind, value, route)
    if isinstance(kind, inspect.NoneType):
        return None
    if isinstance(kind, inspect.StructType):
        if kind.cls is Document:
            return _document(source, value, route)
        return _struct(source, kind, _mapping(source, value, route), route)
    if isinstance(kind, inspect.DictType):
        members = _mapping(source, value, route)
        return {key: _read(source, kind.value_type, one, (*route, key)) for key, one in members.items()}
    if isinstance(kind, inspect.VarTupleType):
        if not isinstance(value, list):
            raise _error(source, route, f"a list belongs here, not {_shown(value)}")
        return tuple(_read(source, kind.item_type, one, (*route, index)) for index, one in enumerate(value))
    return _scalar(source, kind, value, route)


def _chosen(source: SourceFile, kind: inspect.UnionType, value: Any, route: Route) -> inspect.Type:
    """The member of a union that fits the form of the value: null, list, mapping or scalar; a document may be each."""
    for member in kind.types:
        if value is not None and isinstance(member, inspect.StructType) and member.cls is Document:
            return member
    wanted: type | tuple[type, ...] = (inspect.StrType, inspect.IntType, inspect.BoolType)
    if value is None:
        wanted = inspect.NoneType
    elif isinstance(value, list):
        wanted = inspect.VarTupleType
    elif isinstance(value, dict):
        wanted = (inspect.DictType, inspect.StructType)
    for member in kind.types:
        if isinstance(member, wanted):
            return member
    raise _error(source, route, f"{_shown(value)} does not belong here")


def _struct(source: SourceFile, kind: inspect.StructType, values: dict[str, Any], route: Route) -> Any:
    fields = {field.name: field for field in kind.fields if field.name != WHERE}
    for key in values:
        if key not in fields:
            near = difflib.get_close_matches(key, fields, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(fields)}"
            raise _error(source, (*route, key), f"there is no {key} here; {hint}")
    for name, field in fields.items():
        if field.required and name not in values:
            raise _error(source, route, f"{name} is missing")
    read = {key: _read(source, fields[key].type, value, (*route, key)) for key, value in values.items()}
    return kind.cls(**read, where=source.location(route))


def _mapping(source: SourceFile, value: Any, route: Route) -> dict[str, Any]:
    if value is None:
        return {}  # `alice:` without a value declares alice
    if not isinstance(value, dict):
        raise _error(source, route, f"a mapping belongs here, not {_shown(value)}")
    return value


def _scalar(source: SourceFile, kind: inspect.Type, value: Any, route: Route) -> Any:
    if not isinstance(value, str):
        raise _error(source, route, f"{_NAMES[type(kind)]} belongs here, not {_shown(value)}")
    if isinstance(kind, inspect.StrType):
        return value
    try:
        return msgspec.convert(value, _SCALARS[type(kind)], strict=False)
    except msgspec.ValidationError:
        raise _error(source, route, f"{_NAMES[type(kind)]} belongs here, not {value!r}") from None


def _document(source: SourceFile, value: Any, route: Route) -> Document:
    """A policy: a mapping, a string of JSON, or the content of the file that `file` names."""
    where = source.location(route)
    if isinstance(value, str):
        return Document(value, where)
    if not isinstance(value, dict):
        raise _error(source, route, f"a policy document belongs here, not {_shown(value)}")
    if set(value) != {"file"}:
        return Document(json.dumps(value, separators=(",", ":"), ensure_ascii=False), where)
    return Document(read_beside(source, value["file"], (*route, "file")), where)


def read_beside(source: SourceFile, name: Any, route: Route) -> str:
    """The text of the file `name`, relative to the declaration."""
    try:
        return (source.file.parent / str(name)).read_text("utf-8")
    except OSError as error:
        raise _error(source, route, f"{name} cannot be read: {cause_of(error)}") from None
    except UnicodeDecodeError:
        raise _error(source, route, f"{name} cannot be read: it is not UTF-8") from None


_SCALARS: dict[type[inspect.Type], type] = {inspect.IntType: int, inspect.BoolType: bool}
_NAMES: dict[type[inspect.Type], str] = {
    inspect.StrType: "a text",
    inspect.IntType: "a whole number",
    inspect.BoolType: "true or false",
}


@cache
def _type_of(kind: type) -> inspect.Type:
    return inspect.type_info(kind)


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    return "a mapping" if isinstance(value, dict) else "a list" if isinstance(value, list) else repr(value)


def _error(source: SourceFile, route: Route, message: str) -> DeclarationError:
    return DeclarationError(f"{source.location(route)}: {message}")
