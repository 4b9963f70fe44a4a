"""The settings: one struct for each table of the file, with its defaults."""

from typing import Any

import msgspec

from broker.authorize.routes import ForwardRoute
from broker.credentials.passwords import PasswordSettings
from broker.federation.access_token_owners import ProviderAddresses
from broker.federation.client_certificates import CertificateRules
from broker.federation.directory_rules import DirectoryRules
from broker.federation.federation import SamlRules
from broker.federation.identity_plugin import PluginRules
from broker.federation.openid_connect import OpenIdConnectSignIn
from broker.federation.saml_sign_in import SamlSignIn
from broker.names.secret import SecretKey
from broker.operation import Quotas


class ConfigurationError(ValueError):
    """Invalid settings; the message has a line for each fault: the setting, and what is expected.

    `settings` are those that could be read, with faults in `faulty_sections`; None where the file could not be read or
    had an unknown name.
    """

    def __init__(
        self,
        message: str,
        settings: "Settings | None" = None,
        faulty_sections: frozenset[str] = frozenset(),
    ) -> None:
        super().__init__(message)
        self.settings = settings
        self.faulty_sections = faulty_sections


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A table of the file."""


class Listen(Section, frozen=True):
    api: str = "127.0.0.1:8080"
    metadata: tuple[str, ...] = ("127.0.0.1:1338",)
    metadata_https: str = ""
    operations: str = "127.0.0.1:9464"
    portal: str = ""
    forward: str = ""
    forward_grpc: str = ""
    admin: str = ""
    admin_group: str = ""
    host_names: tuple[str, ...] = ()
    workers: int = 1
    worker_silence_seconds: int = 30
    maximum_connections: int = 4096
    allow_plain_http: bool = False
    allow_public_operations: bool = False
    allow_public_metadata: bool = False


def listener_addresses(listen: Listen, name: str) -> tuple[str, ...]:
    """The addresses of a listener, HOST:PORT each; none where it has none."""
    found: str | tuple[str, ...] = getattr(listen, name)
    return found if isinstance(found, tuple) else (found,) if found else ()


class Tls(Section, frozen=True):
    certificate_file: str = ""
    key_file: str = ""
    reload_seconds: int = 10


class StoreSettings(Section, frozen=True):
    url: SecretKey = SecretKey("sqlite:var/broker.db")  # a secret, since the URL of a Redis has its password
    redis_replicas: int = -1
    accept_lost_commits: bool = False


class Keys(Section, frozen=True):
    master_key: SecretKey = SecretKey("")
    master_key_file: str = "var/master.key"
    create_master_key: bool = True
    allow_readable_master_key: bool = False
    rotate_every_hours: int = 24
    staged_for_minutes: int = 60


class Audit(Section, frozen=True):
    path: str = "var/audit.jsonl"
    maximum_size_bytes: int = 100 << 20
    keep: int = 10
    keep_unauthenticated: int = 1
    keep_days: int = 0
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


class PortalSettings(Section, frozen=True):
    url: str = ""
    api_url: str = ""
    help_text: str = ""
    sso_region: str = "us-east-1"
    idle_minutes: int = 60
    session_hours: int = 12
    passkey_user_verification: str = "preferred"
    operator_account: str = ""
    openid_connect: tuple[OpenIdConnectSignIn, ...] = ()
    saml: tuple[SamlSignIn, ...] = ()


class FederationSettings(Section, frozen=True):
    plain_http: bool = False
    private_networks: tuple[str, ...] = ()
    certificate_authorities: str = ""
    pinned_keys: tuple[str, ...] = ()
    clock_leeway_seconds: int = 60
    single_use_tokens: bool = False
    login_with_amazon_url: str = ProviderAddresses().amazon
    facebook_graph_url: str = ProviderAddresses().facebook
    issuer_url: str = ""
    issuer_rotate_every_hours: int = 24 * 30
    issuer_published_for_hours: int = 24
    saml_recipients: tuple[str, ...] = SamlRules().recipients
    saml_audiences: tuple[str, ...] = SamlRules().audiences
    saml_allow_sha1: bool = False
    saml_allow_replay: bool = False


class GatewaySettings(Section, frozen=True):
    listen: str = ""
    operations: str = ""
    workers: int = 1
    maximum_connections: int = 1024
    store_url: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: SecretKey = SecretKey("")
    credentials_file: str = ""
    certificate_authorities: str = ""
    domains: tuple[str, ...] = ()
    reserved_bucket_names: tuple[str, ...] = (
        "admin",
        "api",
        "auth",
        "health",
        "healthz",
        "metrics",
        "minio",
        "status",
        "swift",
    )
    refused_operations: tuple[str, ...] = ()
    relative_keys: bool = False
    anonymous: bool = False
    existing_object_tags: bool = False
    forward_trailers: bool = True
    journal_data_events: bool = False


class TrailSettings(Section, frozen=True):
    folder: str = ""
    store_url: str = ""
    region: str = "us-east-1"
    access_key_id: str = ""
    secret_access_key: SecretKey = SecretKey("")
    credentials_file: str = ""
    certificate_authorities: str = ""
    delivery_seconds: int = 60
    digest_seconds: int = 3600


class Policies(Section, frozen=True):
    service_principals: tuple[str, ...] = ()


class AuthorizeSettings(Section, frozen=True):
    proxies: tuple[str, ...] = ("127.0.0.1", "::1")
    arn_header: str = "X-Broker-Arn"
    account_header: str = "X-Broker-Account"
    user_id_header: str = "X-Broker-User-Id"
    accounts_take_names: bool = False
    sign_in_hosts: tuple[str, ...] = ()
    routes: tuple[ForwardRoute, ...] = ()


class StoresSettings(Section, frozen=True):
    minio_authorization: SecretKey = SecretKey("")
    minio_account_id: str = ""
    keystone_token: SecretKey = SecretKey("")
    keystone_roles: tuple[str, ...] = ("member", "Member")


class Log(Section, frozen=True):
    level: str = "info"
    format: str = "auto"


class Otlp(Section, frozen=True):
    endpoint: str = ""
    headers: SecretKey = SecretKey("")  # a collector's headers are mostly its credentials
    certificate_authorities: str = ""
    sampled_percent: int = 100
    metrics_seconds: int = 60


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
    portal: PortalSettings = PortalSettings()
    federation: FederationSettings = FederationSettings()
    ldap: DirectoryRules = DirectoryRules()
    client_certificates: CertificateRules = CertificateRules()
    identity_plugin: PluginRules = PluginRules()
    passwords: PasswordSettings = PasswordSettings()
    quotas: Quotas = Quotas()
    policies: Policies = Policies()
    authorize: AuthorizeSettings = AuthorizeSettings()
    stores: StoresSettings = StoresSettings()
    gateway: GatewaySettings = GatewaySettings()
    trails: TrailSettings = TrailSettings()
    log: Log = Log()
    otlp: Otlp = Otlp()
    root: RootUser = RootUser()


SECTIONS: dict[str, type[Any]] = {field.name: field.type for field in msgspec.structs.fields(Settings)}
PREFIX = "BROKER_"
FILE_VARIABLE = "BROKER_CONFIG"  # names the settings file itself, where no --config does


def variable_of(name: str) -> str:
    """The environment variable of a setting: `store.url` is BROKER_STORE_URL."""
    return f"{PREFIX}{name.replace('.', '_').upper()}"


def field_of(name: str) -> msgspec.structs.FieldInfo:
    """Type and default of the setting with that dotted name."""
    section, _, key = name.partition(".")
    return next(field for field in msgspec.structs.fields(SECTIONS[section]) if field.name == key)


def setting_names() -> list[str]:
    """Every setting's dotted name."""
    return [
        f"{section}.{field.name}"
        for section, kind in SECTIONS.items()
        for field in msgspec.structs.fields(kind)
    ]
