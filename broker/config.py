"""Settings: defaults, then a TOML file, then `BROKER_…` variables, then the command line; checked whole at load.

A variable is `BROKER_` and the setting's place: `store.url` is `BROKER_STORE_URL`. Every secret also has a `_FILE` form
that names a file holding it. An unknown key is refused, with the nearest known one as a suggestion.
Imported by `app.py` and the command line only; rooms get the values they need, never the settings.
"""

import difflib
import re
import tomllib
from collections.abc import Iterator, Mapping
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import msgspec

from broker.audit.journal import Sync
from broker.federation.federation import LONGEST_LEEWAY, SamlRules, faults_of_issuer_url
from broker.names.arn import is_account_id
from broker.names.ids import is_key_id
from broker.names.secret import SecretKey, shown_url
from broker.operation import Quotas


class ConfigurationError(ValueError):
    """Settings that cannot stand; the message names each, and says what would do: a line each."""


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Listen(Section, frozen=True):
    api: str = "127.0.0.1:8080"
    metadata: str = "127.0.0.1:1338"
    operations: str = "127.0.0.1:9464"
    host_names: tuple[str, ...] = ()
    workers: int = 1
    worker_silence_seconds: int = 30
    maximum_connections: int = 4096


class Tls(Section, frozen=True):
    certificate_file: str = ""
    key_file: str = ""
    reload_seconds: int = 10


class StoreSettings(Section, frozen=True):
    url: SecretKey = SecretKey("sqlite:var/broker.db")  # a Redis has its password in it


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
    keep_unauthenticated: int = 1
    sync: str = "none"


class Requests(Section, frozen=True):
    maximum_body_bytes: int = 256 << 10
    trusted_proxies: tuple[str, ...] = ()
    honour_presigned_expires: bool = True
    graceful_shutdown_seconds: int = 20


class Metadata(Section, frozen=True):
    loopback_instance: str = ""
    session_seconds: int = 6 * 3600
    requests_per_second: int = 0


class FederationSettings(Section, frozen=True):
    plain_http: bool = False
    private_networks: tuple[str, ...] = ()
    certificate_authorities: str = ""
    pinned_keys: tuple[str, ...] = ()
    clock_leeway_seconds: int = 60
    single_use_tokens: bool = False
    issuer_url: str = ""
    issuer_rotate_every_hours: int = 24 * 30
    issuer_published_for_hours: int = 24
    saml_recipients: tuple[str, ...] = SamlRules().recipients
    saml_audiences: tuple[str, ...] = SamlRules().audiences
    saml_allow_sha1: bool = False
    saml_allow_replay: bool = False


class Policies(Section, frozen=True):
    service_principals: tuple[str, ...] = ()


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
    federation: FederationSettings = FederationSettings()
    quotas: Quotas = Quotas()
    policies: Policies = Policies()
    log: Log = Log()
    root: RootUser = RootUser()


_SECTIONS: dict[str, type[Any]] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
_STORES = ("sqlite:", "redis://", "rediss://", "redis+cluster://", "rediss+cluster://", "unix://")
_SYNCS = tuple(one.value for one in Sync)
_LEVELS = ("debug", "info", "warning", "error")
_PREFIX = "BROKER_"
_is_host_name = re.compile(
    r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII | re.IGNORECASE
).fullmatch
_is_database = re.compile(r"[^/?]*(/[0-9]{0,5})?(\?.*)?", re.DOTALL).fullmatch
_is_cluster = re.compile(r"[^/?]*(/0?)?(\?.*)?", re.DOTALL).fullmatch
_is_service_principal = re.compile(r"[a-zA-Z0-9_-]+(?:\.[a-zA-Z0-9_-]+)+").fullmatch
_is_port = re.compile(r"[0-9]{1,5}").fullmatch
FILE_VARIABLE = "BROKER_CONFIG"  # names the settings file itself, where no --config does
_KINDS: dict[Any, str] = {
    str: "a text",
    int: "a whole number",
    bool: "true or false",
    tuple[str, ...]: "a list of texts",
    SecretKey: "a text",
}
_RANGES = {
    "listen.workers": (1, 256),
    "listen.worker_silence_seconds": (2, 3600),
    "listen.maximum_connections": (1, 1_000_000),
    "tls.reload_seconds": (1, 86_400),
    "keys.rotate_every_hours": (1, 24 * 366),
    "keys.staged_for_minutes": (1, 60 * 24 * 366),
    "audit.maximum_size_bytes": (4096, 1 << 50),
    "audit.keep": (0, 10_000),
    "audit.keep_unauthenticated": (0, 10_000),
    "requests.maximum_body_bytes": (1024, 64 << 20),
    "requests.graceful_shutdown_seconds": (0, 3600),
    "metadata.session_seconds": (1210, 43_200),
    "metadata.requests_per_second": (0, 1_000_000),
    "federation.clock_leeway_seconds": (0, LONGEST_LEEWAY),
    "federation.issuer_rotate_every_hours": (7 * 24, 24 * 366),
    "federation.issuer_published_for_hours": (1, 7 * 24),  # never longer than the key before signs
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
    tables: dict[str, dict[str, Any]] = {section: {} for section in _SECTIONS}
    for name, one in given.items():
        section, _, key = name.partition(".")
        try:
            tables[section][key] = _typed(name, one)
        except ConfigurationError as error:
            faults.append(str(error))
    settings = Settings(**{section: kind(**tables[section]) for section, kind in _SECTIONS.items()})
    faults += _faults_of(settings)
    if faults:
        raise ConfigurationError("\n".join(faults))
    return settings


def _from_file(file: Path | None, faults: list[str]) -> dict[str, _Given]:
    given = {}
    for section, table in _read_tables(file, faults).items():
        hint = _nearest(section, list(_SECTIONS), "[{}]")
        if not isinstance(table, dict):
            faults.append(f"{file}: {section} stands outside of every [section]{hint}")
            continue
        if section not in _SECTIONS:
            faults.append(f"{file}: there is no section [{section}]{hint}")
            continue
        known = [field.name for field in msgspec.structs.fields(_SECTIONS[section])]
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
        if not variable.startswith(_PREFIX) or variable == FILE_VARIABLE:
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
            bare = [name.removeprefix(_PREFIX) for name in known]
            hint = _nearest(variable.removeprefix(_PREFIX), bare, f"{_PREFIX}{{}}")
            faults.append(f"the environment variable {variable} is no setting{hint}")
    return given


def _typed(name: str, given: _Given) -> Any:
    """The value as the setting's type wants it: in a text, the entries of a list are separated by commas."""
    kind = field_of(name).type
    value = given.value
    if kind is SecretKey and isinstance(value, str):
        return SecretKey(value)
    if given.is_text and kind == tuple[str, ...]:
        value = [part.strip() for part in value.split(",") if part.strip()]
    try:
        return msgspec.convert(value, kind, strict=not given.is_text)
    except msgspec.ValidationError:
        shown = "what is given" if kind is SecretKey else repr(value)
        raise ConfigurationError(f"{given.where}: {name} is {_KINDS[kind]}, not {shown}") from None


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


def variable_of(name: str) -> str:
    """The environment variable of a setting: `store.url` is BROKER_STORE_URL."""
    return f"{_PREFIX}{name.replace('.', '_').upper()}"


def field_of(name: str) -> msgspec.structs.FieldInfo:
    """Type and default of the setting with that dotted name."""
    section, _, key = name.partition(".")
    return next(field for field in msgspec.structs.fields(_SECTIONS[section]) if field.name == key)


def setting_names() -> list[str]:
    """Every setting's dotted name."""
    return [
        f"{section}.{field.name}"
        for section, kind in _SECTIONS.items()
        for field in msgspec.structs.fields(kind)
    ]


def _faults_of(settings: Settings) -> Iterator[str]:
    """What types cannot say."""
    for name in ("api", "metadata", "operations"):
        try:
            parse_address(getattr(settings.listen, name), f"listen.{name}")
        except ConfigurationError as error:
            yield str(error)
    for host_name in settings.listen.host_names:
        if not _is_host_name(host_name):
            yield (
                f"listen.host_names: {host_name!r} is no host name; "
                "write it as it stands in a URL between // and the port, without wildcards"
            )
    for name, (low, high) in _RANGES.items():
        section, _, key = name.partition(".")
        if not low <= getattr(getattr(settings, section), key) <= high:
            yield f"{name} is a number from {low} to {high}"
    for key in Quotas.__struct_fields__:
        if getattr(settings.quotas, key) < 0:
            yield f"quotas.{key} cannot be negative"
    if settings.keys.staged_for_minutes > settings.keys.rotate_every_hours * 60:
        yield "keys.staged_for_minutes cannot be longer than keys.rotate_every_hours"
    if bool(settings.tls.certificate_file) != bool(settings.tls.key_file):
        yield "tls.certificate_file and tls.key_file belong together: set both or neither"
    yield from _faults_of_store(settings.store.url)
    if settings.audit.sync not in _SYNCS:
        yield f"audit.sync is one of {', '.join(_SYNCS)}"
    if settings.log.level not in _LEVELS:
        yield f"log.level is one of {', '.join(_LEVELS)}"
    yield from _faults_of_networks("requests.trusted_proxies", settings.requests.trusted_proxies)
    yield from _faults_of_networks("federation.private_networks", settings.federation.private_networks)
    for pinned in settings.federation.pinned_keys:
        if "://" not in pinned.partition("=")[0] or not pinned.partition("=")[2]:
            yield f"federation.pinned_keys: {pinned!r} is not ISSUER=FILE"
    for service in settings.policies.service_principals:
        if _is_service_principal(service) is None:
            yield (
                f"policies.service_principals: {service!r} is no service principal; write a name with dots, such as "
                "scheduler.corp.example"
            )
    yield from faults_of_issuer_url(settings.federation.issuer_url, settings.federation.plain_http)
    yield from _faults_of_root(settings.root)


def _faults_of_networks(name: str, networks: tuple[str, ...]) -> Iterator[str]:
    for network in networks:
        try:
            ip_network(network)
        except ValueError:
            yield f"{name}: {network} is no address or CIDR network"


def _faults_of_store(url: SecretKey) -> Iterator[str]:
    scheme, _, rest = url.reveal().partition(":")
    if not url.reveal().startswith(_STORES):
        yield (f"store.url: {shown_url(url)!r} is no store; write sqlite:PATH or redis://HOST:PORT/NUMBER")
    elif not rest.removeprefix("//"):
        what = "file; write sqlite:PATH" if scheme == "sqlite" else "server; write redis://HOST:PORT/NUMBER"
        yield f"store.url: {url.reveal()!r} names no {what}"
    elif scheme.endswith("+cluster") and not _is_cluster(url.reveal().partition("://")[2]):
        yield "store.url: behind HOST:PORT of a cluster comes nothing, for a cluster has one database"
    elif scheme.startswith("redi") and not _is_database(url.reveal().partition("://")[2]):
        # Not quoted: it may be a part of the password. redis-py takes `/abc` for 0, and `/1/2` for 12.
        yield "store.url: behind HOST:PORT comes the number of a database, as in redis://HOST:PORT/0, or nothing"


def _faults_of_root(root: RootUser) -> Iterator[str]:
    given = [bool(root.account_id), bool(root.access_key_id), bool(root.secret_access_key.reveal())]
    if any(given) and not all(given):
        yield (
            "BROKER_ROOT_ACCOUNT_ID, BROKER_ROOT_ACCESS_KEY_ID and BROKER_ROOT_SECRET_ACCESS_KEY belong together: "
            "set all three or none"
        )
    if root.account_id and not is_account_id(root.account_id):
        yield "root.account_id has twelve digits"
    if root.access_key_id and not is_key_id(root.access_key_id):
        yield "root.access_key_id has 16 to 128 letters, digits and underscores"


def parse_address(text: str, name: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 host in brackets; raises ConfigurationError."""
    host, _, port = text.rpartition(":")
    if not host or not _is_port(port) or int(port) > 65535:
        raise ConfigurationError(f"{name}: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
