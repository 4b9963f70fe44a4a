"""Settings: defaults, then a TOML file, then `BROKER_…` variables, then the command line; checked whole at load.

A variable is `BROKER_` and the setting's place: `store.url` is `BROKER_STORE_URL`. Every secret also has a `_FILE` form
that names a file holding it. An unknown key is refused, with the nearest known one as a suggestion.
Imported by `app.py` and the command line only; rooms get the values they need, never the settings.
"""

import difflib
import tomllib
from collections.abc import Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec

from broker.names.arn import is_account_id
from broker.names.secret import SecretKey
from broker.operation import Quotas


class ConfigurationError(ValueError):
    """A setting that cannot stand; the message names it, and says what would do."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Listen(Section, frozen=True):
    api: str = "127.0.0.1:8080"
    metadata: str = "127.0.0.1:1338"
    operations: str = "127.0.0.1:9464"
    workers: int = 1


class Tls(Section, frozen=True):
    certificate_file: str = ""
    key_file: str = ""
    reload_seconds: int = 10


class StoreSettings(Section, frozen=True):
    url: str = "sqlite:var/broker.db"


class Keys(Section, frozen=True):
    master_key: SecretKey = SecretKey("")
    master_key_file: str = "var/master.key"
    create_master_key: bool = True
    rotate_every_hours: int = 24
    staged_for_minutes: int = 60


class Audit(Section, frozen=True):
    path: str = "var/audit.jsonl"
    maximum_size_bytes: int = 100 << 20
    keep: int = 10


class Requests(Section, frozen=True):
    maximum_body_bytes: int = 256 << 10
    trusted_proxies: tuple[str, ...] = ()
    graceful_shutdown_seconds: int = 20


class Metadata(Section, frozen=True):
    loopback_instance: str = ""
    region: str = "us-east-1"
    session_seconds: int = 6 * 3600


class Log(Section, frozen=True):
    level: str = "info"


class RootUser(Section, frozen=True):
    account_id: str = ""
    access_key_id: str = ""
    secret_access_key: SecretKey = SecretKey("")


class Settings(Section, frozen=True):
    """Everything that can be set. `config/broker.toml` explains each in a sentence."""

    listen: Listen = Listen()
    tls: Tls = Tls()
    store: StoreSettings = StoreSettings()
    keys: Keys = Keys()
    audit: Audit = Audit()
    requests: Requests = Requests()
    metadata: Metadata = Metadata()
    quotas: Quotas = Quotas()
    log: Log = Log()
    root: RootUser = RootUser()


_SECTIONS: dict[str, type[Any]] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_LEVELS = ("debug", "info", "warning", "error")


def load_settings(
    file: Path | None, environment: Mapping[str, str], overrides: Mapping[str, str] | None = None
) -> Settings:
    """The settings in force; `overrides` are dotted names from the command line. Raises ConfigurationError."""
    tables = _read_file(file) if file else {}
    for name, value in {**_from_environment(environment), **(overrides or {})}.items():
        section, _, key = name.partition(".")
        tables.setdefault(section, {})[key] = value
    _refuse_unknown(tables, str(file) if file else "the settings")
    try:
        settings = msgspec.convert(tables, Settings, strict=False, dec_hook=_secret)
    except msgspec.ValidationError as error:
        raise ConfigurationError(f"{file or 'settings'}: {error}") from None
    return _checked(settings)


def _read_file(file: Path) -> dict[str, dict[str, Any]]:
    try:
        tables = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{file} does not exist") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{file}: {error}") from None
    for name, table in tables.items():
        if not isinstance(table, dict):
            raise ConfigurationError(f"{file}: {name} stands outside of every [section]{_did_you_mean(name)}")
    for section, key in _secret_fields():
        if key in tables.get(section, {}):
            tables[section][key] = {"value": tables[section][key]}
    return tables


def _from_environment(environment: Mapping[str, str]) -> dict[str, Any]:
    known = {f"BROKER_{name.replace('.', '_').upper()}": name for name in setting_names()}
    secrets = {f"BROKER_{section}_{key}".upper() for section, key in _secret_fields()}
    values: dict[str, Any] = {}
    for variable, text in environment.items():
        if not variable.startswith("BROKER_"):
            continue
        plain = variable.removesuffix("_FILE")
        if variable not in known and plain in secrets:
            variable, text = plain, _read_secret(variable, text)
        if variable not in known:
            near = difflib.get_close_matches(variable, known, 1)
            hint = f"; did you mean {near[0]}?" if near else ""
            raise ConfigurationError(f"the environment variable {variable} is no setting{hint}")
        values[known[variable]] = _typed(known[variable], text)
    return values


def _typed(name: str, text: str) -> Any:
    """A variable's text as the setting's type wants it: lists are separated by commas."""
    section, _, key = name.partition(".")
    field = next(f for f in msgspec.structs.fields(_SECTIONS[section]) if f.name == key)
    if field.type is SecretKey:
        return {"value": text}
    return (
        [part.strip() for part in text.split(",") if part.strip()] if field.type == tuple[str, ...] else text
    )


def _read_secret(variable: str, path: str) -> str:
    try:
        return Path(path).read_text("utf-8").strip()
    except OSError as error:
        raise ConfigurationError(f"{variable}: cannot read {path}: {error.strerror}") from None


def _refuse_unknown(tables: Mapping[str, Mapping[str, Any]], where: str) -> None:
    for section, table in tables.items():
        if section not in _SECTIONS:
            raise ConfigurationError(f"{where}: there is no section [{section}]{_did_you_mean(section)}")
        known = [field.name for field in msgspec.structs.fields(_SECTIONS[section])]
        for key in table:
            if key not in known:
                near = difflib.get_close_matches(key, known, 1)
                hint = f"; did you mean {near[0]}?" if near else f"; it knows {', '.join(known)}"
                raise ConfigurationError(f"{where}: [{section}] has no setting {key}{hint}")


def _did_you_mean(name: str) -> str:
    near = difflib.get_close_matches(name, _SECTIONS, 1)
    return f"; did you mean [{near[0]}]?" if near else f"; there are {', '.join(_SECTIONS)}"


def _secret(kind: type, value: Any) -> Any:
    raise ConfigurationError(f"{value!r} cannot be read as {kind.__name__}")


def _secret_fields() -> list[tuple[str, str]]:
    return [
        (section, field.name)
        for section, kind in _SECTIONS.items()
        for field in msgspec.structs.fields(kind)
        if field.type is SecretKey
    ]


def setting_names() -> list[str]:
    """Every setting's dotted name."""
    return [
        f"{section}.{field.name}"
        for section, kind in _SECTIONS.items()
        for field in msgspec.structs.fields(kind)
    ]


def _checked(settings: Settings) -> Settings:
    """What types cannot say."""
    for name in ("api", "metadata", "operations"):
        parse_address(getattr(settings.listen, name), f"listen.{name}")
    if not 1 <= settings.listen.workers <= 256:
        raise ConfigurationError("listen.workers is a number of processes from 1 to 256")
    if bool(settings.tls.certificate_file) != bool(settings.tls.key_file):
        raise ConfigurationError("tls.certificate_file and tls.key_file belong together: set both or neither")
    if settings.log.level not in _LEVELS:
        raise ConfigurationError(f"log.level is one of {', '.join(_LEVELS)}")
    for network in settings.requests.trusted_proxies:
        try:
            ip_network(network)
        except ValueError:
            raise ConfigurationError(
                f"requests.trusted_proxies: {network} is no address or CIDR network"
            ) from None
    _check_root(settings.root)
    return settings


def _check_root(root: RootUser) -> None:
    given = [bool(root.account_id), bool(root.access_key_id), bool(root.secret_access_key.reveal())]
    if any(given) and not all(given):
        raise ConfigurationError(
            "BROKER_ROOT_ACCOUNT_ID, BROKER_ROOT_ACCESS_KEY_ID and BROKER_ROOT_SECRET_ACCESS_KEY belong together: "
            "set all three or none"
        )
    if root.account_id and not is_account_id(root.account_id):
        raise ConfigurationError("root.account_id has twelve digits")
    if root.access_key_id and not (16 <= len(root.access_key_id) <= 128 and root.access_key_id.isalnum()):
        raise ConfigurationError("root.access_key_id has 16 to 128 letters and digits")


def parse_address(text: str, name: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 host in brackets; raises ConfigurationError."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdigit() or int(port) > 65535:
        raise ConfigurationError(f"{name}: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
