"""Loads settings from the file, the environment and the command line, and checks them all."""

import difflib
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from broker.authorize.routes import ForwardRoute
from broker.causes import cause_of
from broker.config.faults import faults_of, section_of
from broker.config.settings import (
    FILE_VARIABLE,
    PREFIX,
    SECTIONS,
    ConfigurationError,
    Settings,
    field_of,
    setting_names,
    variable_of,
)
from broker.declaration.toml_lines import Route, toml_lines
from broker.federation.openid_connect import OpenIdConnectSignIn
from broker.federation.saml_sign_in import SamlSignIn
from broker.names.secret import SecretKey

_setting_at_begin = re.compile(r"[a-z0-9_]+\.[a-z0-9_]+").match
_KINDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    tuple[str, ...]: "a list of texts",
    SecretKey: "a text",
}
_TABLES: dict[Any, type[msgspec.Struct]] = {
    tuple[OpenIdConnectSignIn, ...]: OpenIdConnectSignIn,
    tuple[SamlSignIn, ...]: SamlSignIn,
    tuple[ForwardRoute, ...]: ForwardRoute,
}
_KINDS |= dict.fromkeys(_TABLES, "a list of tables with the names that config/broker.toml explains")


class _RawValue(msgspec.Struct, frozen=True):
    """A value before it is converted; `where` is the line of the file, the variable or the option, for errors."""

    value: Any
    where: str
    is_text: bool = True  # a variable or an option is text, whatever the setting's type

    def __repr__(self) -> str:
        return f"_RawValue(***, {self.where})"  # it may be a secret


def load_settings(
    file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force; `overrides` are dotted names from the command line. Raises ConfigurationError."""
    faults: list[str] = []
    options = {name: _RawValue(text, f"the option for {name}") for name, text in (overrides or {}).items()}
    values = {**_from_file(file, faults), **_from_environment(environment, faults), **options}
    is_read = not faults  # else values are missing, and the settings are not those of the operator
    tables: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    faulty_sections: set[str] = set()
    for name, one in values.items():
        section, _, key = name.partition(".")
        try:
            tables[section][key] = _typed(name, one)
        except ConfigurationError as error:
            faults.append(str(error))
            faulty_sections.add(section)
    settings = Settings(**{section: kind(**tables[section]) for section, kind in SECTIONS.items()})
    for fault in faults_of(settings):
        faults.append(f"{_line_of(fault, values)}{fault}")
        faulty_sections.add(section_of(fault))
    if faults:
        raise ConfigurationError("\n".join(faults), settings if is_read else None, frozenset(faulty_sections))
    return settings


def _line_of(fault: str, values: Mapping[str, _RawValue]) -> str:
    """The line of the file that has the setting which the fault begins with; nothing where no file has set it."""
    name = _setting_at_begin(fault)
    found = values.get(name.group()) if name is not None else None
    return "" if found is None or found.is_text else f"{found.where}: "


def _from_file(file: Path | None, faults: list[str]) -> dict[str, _RawValue]:
    values = {}
    tables, lines = _read_tables(file, faults)
    for section, table in tables.items():
        where = _where(file, lines, section)
        hint = _nearest(section, list(SECTIONS), "[{}]")
        if not isinstance(table, dict):
            faults.append(f"{where}: {section} is not in a [section]{hint}")
            continue
        if section not in SECTIONS:
            faults.append(f"{where}: there is no section [{section}]{hint}")
            continue
        known = [field.name for field in msgspec.structs.fields(SECTIONS[section])]
        for key, value in table.items():
            where = _where(file, lines, section, key)
            if key in known:
                values[f"{section}.{key}"] = _RawValue(value, where, is_text=False)
            else:
                faults.append(f"{where}: [{section}] has no setting {key}{_nearest(key, known)}")
    return values


def _where(file: Path | None, lines: Mapping[Route, int], *route: str) -> str:
    """The file and the line of a table or key; of its table where the key is written in braces."""
    line = lines.get(route) or lines.get(route[:1])
    return f"{file}:{line}" if line else str(file)


def _read_tables(file: Path | None, faults: list[str]) -> tuple[dict[str, Any], dict[Route, int]]:
    """The tables of the file, and the lines of its keys."""
    try:
        text = file.read_text("utf-8") if file is not None else ""
        return tomllib.loads(text), toml_lines(text)
    except OSError as error:
        faults.append(f"{file} cannot be read: {cause_of(error)}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{file}: {error}")
    return {}, {}


def _from_environment(environment: Mapping[str, str], faults: list[str]) -> dict[str, _RawValue]:
    known = {variable_of(name): name for name in setting_names()}
    values: dict[str, _RawValue] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        plain = variable.removesuffix("_FILE")
        if variable in known:
            values[known[variable]] = _RawValue(text, variable)
        elif _is_secret(known.get(plain, "")):
            if plain in environment:
                faults.append(f"{plain} and {variable} both name the secret: set one of them")
            else:
                values[known[plain]] = _RawValue(_read_secret(known[plain], variable, text, faults), variable)
        else:
            # Compared without the prefix, which would make all names similar.
            bare = [name.removeprefix(PREFIX) for name in known]
            hint = _nearest(variable.removeprefix(PREFIX), bare, f"{PREFIX}{{}}")
            faults.append(f"the environment variable {variable} is no setting{hint}")
    return values


def _typed(name: str, raw: _RawValue) -> Any:
    """The value converted to the setting's type."""
    kind = field_of(name).type
    value = raw.value
    if kind is SecretKey and isinstance(value, str):
        return SecretKey(value)
    try:
        # One address of the metadata service may be written as a text, as it was before there could be several.
        is_text = raw.is_text or (name == "listen.metadata" and isinstance(value, str))
        if is_text and kind == tuple[str, ...]:
            value = _listed(value)
        if kind in _TABLES:
            return _tables(value, _TABLES[kind])
        return msgspec.convert(value, kind, strict=not raw.is_text)
    except msgspec.DecodeError as error:  # a ValidationError is one, too
        shown = "this value" if kind is SecretKey else repr(value)
        if kind in _TABLES:  # the error has no value in it, which may be a secret
            shown = f"this value: {error}"
        raise ConfigurationError(f"{raw.where}: {name} is {_KINDS[kind]}, not {shown}") from None


def _listed(text: str) -> list[str]:
    """The entries of a list: separated by commas, or a JSON list, which entries with commas need."""
    if re.match(r"\s*\[(?![0-9a-fA-F]*:)", text):  # an address of IPv6 begins with a bracket, too
        return msgspec.json.decode(text, type=list[str])
    return [part.strip() for part in text.split(",") if part.strip()]


def _tables(value: Any, kind: type[msgspec.Struct]) -> tuple[Any, ...]:
    """The entries of a list of tables, which in a variable is JSON; raises DecodeError."""
    entries = msgspec.json.decode(value) if isinstance(value, str) else value
    fields = msgspec.structs.fields(kind)
    secrets = {field.name for field in fields if field.type is SecretKey}
    tables = []
    for number, entry in enumerate(msgspec.convert(entries, list[dict[str, Any]]), 1):
        wrapped = {key: {"value": text} if key in secrets else text for key, text in entry.items()}
        try:
            tables.append(msgspec.convert(wrapped, kind))
        except msgspec.ValidationError as error:
            raise msgspec.ValidationError(f"table {number}: {error}") from None
    return tuple(tables)


def _read_secret(name: str, variable: str, path: str, faults: list[str]) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        faults.append(f"{variable}: cannot read {path}: {cause_of(error)}")
    except UnicodeDecodeError:
        faults.append(f"{variable}: the content of {path} is not UTF-8")
    # A placeholder, so that the missing value does not cause a second fault.
    return str(field_of(name).default.reveal()) or "unread"


def _nearest(name: str, known: list[str], form: str = "{}") -> str:
    """A hint for an unknown name: the most similar known name, else the known names where they are few."""
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"; did you mean {form.format(near[0])}?"
    return f"; it knows {', '.join(known)}" if len(known) <= 25 else "; config/broker.toml explains all"


def _is_secret(name: str) -> bool:
    return bool(name) and field_of(name).type is SecretKey
