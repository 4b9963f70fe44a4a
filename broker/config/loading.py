"""Settings from the file, the environment and the command line; checked whole at load."""

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

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
from broker.names.secret import SecretKey

_KINDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    tuple[str, ...]: "a list of texts",
    SecretKey: "a text",
}


class _Given(msgspec.Struct, frozen=True):
    """A value as somebody set it; `where` is the file, the variable or the option, for errors."""

    value: Any
    where: str
    is_text: bool = True  # a variable or an option is text, whatever the setting's type

    def __repr__(self) -> str:
        return f"_Given(***, {self.where})"  # it may be a secret's


def load_settings(
    file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force; `overrides` are dotted names from the command line. Raises ConfigurationError."""
    faults: list[str] = []
    options = {name: _Given(text, f"the option for {name}") for name, text in (overrides or {}).items()}
    given = {**_from_file(file, faults), **_from_environment(environment, faults), **options}
    is_read = not faults  # else these are not the settings that are meant
    tables: dict[str, dict[str, Any]] = {section: {} for section in SECTIONS}
    faulty_sections: set[str] = set()
    for name, one in given.items():
        section, _, key = name.partition(".")
        try:
            tables[section][key] = _typed(name, one)
        except ConfigurationError as error:
            faults.append(str(error))
            faulty_sections.add(section)
    settings = Settings(**{section: kind(**tables[section]) for section, kind in SECTIONS.items()})
    for fault in faults_of(settings):
        faults.append(fault)
        faulty_sections.add(section_of(fault))
    if faults:
        raise ConfigurationError("\n".join(faults), settings if is_read else None, frozenset(faulty_sections))
    return settings


def _from_file(file: Path | None, faults: list[str]) -> dict[str, _Given]:
    given = {}
    for section, table in _read_tables(file, faults).items():
        hint = _nearest(section, list(SECTIONS), "[{}]")
        if not isinstance(table, dict):
            faults.append(f"{file}: {section} stands outside of every [section]{hint}")
            continue
        if section not in SECTIONS:
            faults.append(f"{file}: there is no section [{section}]{hint}")
            continue
        known = [field.name for field in msgspec.structs.fields(SECTIONS[section])]
        for key, value in table.items():
            if key in known:
                given[f"{section}.{key}"] = _Given(value, str(file), is_text=False)
            else:
                faults.append(f"{file}: [{section}] has no setting {key}{_nearest(key, known)}")
    return given


def _read_tables(file: Path | None, faults: list[str]) -> dict[str, Any]:
    try:
        return tomllib.loads(file.read_text("utf-8")) if file is not None else {}
    except OSError as error:
        faults.append(f"{file} cannot be read: {error.strerror}")
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        faults.append(f"{file}: {error}")
    return {}


def _from_environment(environment: Mapping[str, str], faults: list[str]) -> dict[str, _Given]:
    known = {variable_of(name): name for name in setting_names()}
    given: dict[str, _Given] = {}
    for variable, text in environment.items():
        if not variable.startswith(PREFIX) or variable == FILE_VARIABLE:
            continue
        plain = variable.removesuffix("_FILE")
        if variable in known:
            given[known[variable]] = _Given(text, variable)
        elif _is_secret(known.get(plain, "")):
            if plain in environment:
                faults.append(f"{plain} and {variable} both name the secret: set one of them")
            else:
                given[known[plain]] = _Given(_read_secret(known[plain], variable, text, faults), variable)
        else:
            # Without the prefix: all are near one another with it.
            bare = [name.removeprefix(PREFIX) for name in known]
            hint = _nearest(variable.removeprefix(PREFIX), bare, f"{PREFIX}{{}}")
            faults.append(f"the environment variable {variable} is no setting{hint}")
    return given


def _typed(name: str, given: _Given) -> Any:
    """The value as the setting's type wants it: in a text, the entries of a list are separated by commas."""
    kind = field_of(name).type
    value = given.value
    if kind is SecretKey and isinstance(value, str):
        return SecretKey(value)
    try:
        if given.is_text and kind == tuple[str, ...]:
            value = _listed(value)
        return msgspec.convert(value, kind, strict=not given.is_text)
    except msgspec.DecodeError:  # a ValidationError is one, too
        shown = "what is given" if kind is SecretKey else repr(value)
        raise ConfigurationError(f"{given.where}: {name} is {_KINDS[kind]}, not {shown}") from None


def _listed(text: str) -> list[str]:
    """The entries of a list: separated by commas, or a JSON list, which entries with commas need."""
    if text.lstrip().startswith("["):
        return msgspec.json.decode(text, type=list[str])
    return [part.strip() for part in text.split(",") if part.strip()]


def _read_secret(name: str, variable: str, path: str, faults: list[str]) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        faults.append(f"{variable}: cannot read {path}: {error.strerror}")
    except UnicodeDecodeError:
        faults.append(f"{variable}: the content of {path} is not UTF-8")
    # Something in its place, so that no second fault is found in its absence.
    return str(field_of(name).default.reveal()) or "unread"


def _nearest(name: str, known: list[str], form: str = "{}") -> str:
    """A suggestion for a name that is not known; where nothing is near, and the choice is short, the choice."""
    near = difflib.get_close_matches(name, known, 1)
    if near:
        return f"; did you mean {form.format(near[0])}?"
    return f"; it knows {', '.join(known)}" if len(known) <= 25 else "; config/broker.toml explains all"


def _is_secret(name: str) -> bool:
    return bool(name) and field_of(name).type is SecretKey
