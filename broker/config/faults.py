"""Faults of settings with the right types: ranges, addresses, settings that need each other."""

import re
from collections.abc import Iterator
from ipaddress import ip_network

from broker.audit.journal import Sync
from broker.config.authorize_faults import faults_of_authorize
from broker.config.exposure import faults_of_exposure
from broker.config.gateway_faults import faults_of_gateway, faults_of_trails
from broker.config.otlp_faults import faults_of_otlp
from broker.config.portal_faults import faults_of_portal
from broker.config.settings import ConfigurationError, RootUser, Settings, listener_addresses
from broker.federation.access_token_owners import ProviderAddresses, faults_of_addresses
from broker.federation.client_certificates import faults_of_certificates
from broker.federation.directory_rules import faults_of_directory
from broker.federation.federation import LONGEST_LEEWAY, faults_of_issuer_url
from broker.federation.identity_plugin import faults_of_plugin
from broker.federation.reach import Reach
from broker.names.arn import is_account_id
from broker.names.ids import is_key_id
from broker.names.secret import SecretKey, shown_url
from broker.operation import Quotas

_REDIS = (
    "redis",
    "rediss",
    *(f"{tls}+{kind}" for tls in ("redis", "rediss") for kind in ("cluster", "sentinel")),
)
_STORES = ("sqlite:", "unix://", *(f"{scheme}://" for scheme in _REDIS))
_SYNCS = tuple(one.value for one in Sync)
_LEVELS = ("debug", "info", "warning", "error")
_FORMATS = ("auto", "json", "text")
_is_host_name = re.compile(
    r"(?=.{1,254}\Z)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*\.?", re.ASCII | re.IGNORECASE
).fullmatch
_is_database = re.compile(r"[^/?]*(/[0-9]{0,5})?(\?.*)?", re.DOTALL).fullmatch
_is_sentinel = re.compile(
    r"([^/]*@)?[^/,@?]+(,[^/,@?]+)*/[^/?]+(/[0-9]+)?(\?ssl_[^?]*)?", re.DOTALL
).fullmatch
_is_cluster = re.compile(r"[^/?]*(/0?)?(\?.*)?", re.DOTALL).fullmatch
_is_service_principal = re.compile(r"[a-zA-Z0-9_-]+(?:\.[a-zA-Z0-9_-]+)+").fullmatch
_is_port = re.compile(r"[0-9]{1,5}").fullmatch
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
    "audit.keep_days": (0, 3650),
    "requests.maximum_body_bytes": (1024, 64 << 20),
    "requests.graceful_shutdown_seconds": (0, 3600),
    "gateway.workers": (1, 256),
    "gateway.maximum_connections": (1, 1_000_000),
    "trails.delivery_seconds": (1, 3600),
    "trails.digest_seconds": (1, 86_400),
    "metadata.session_seconds": (1210, 43_200),
    "metadata.requests_per_second": (0, 1_000_000),
    "federation.clock_leeway_seconds": (0, LONGEST_LEEWAY),
    "otlp.sampled_percent": (0, 100),
    "otlp.metrics_seconds": (0, 3600),
    "portal.idle_minutes": (1, 24 * 60),
    "portal.session_hours": (1, 36),  # revocations are remembered no longer than a session of a user can live
    "ldap.timeout_seconds": (1, 60),
    "ldap.logins_at_a_time": (1, 64),
    "passwords.memory_kib": (7 * 1024, 1 << 20),
    "passwords.passes": (1, 100),
    "passwords.hashes_at_a_time": (1, 64),
    "passwords.free_attempts_of_user": (1, 1000),
    "passwords.free_attempts_of_address": (1, 100_000),
    "passwords.longest_wait_of_user_seconds": (1, 3600),  # no longer than a failure is remembered
    "passwords.longest_wait_of_address_seconds": (1, 3600),
    "federation.issuer_rotate_every_hours": (7 * 24, 24 * 366),
    "federation.issuer_published_for_hours": (1, 7 * 24),  # never longer than the previous key signs
}


def faults_of(settings: Settings) -> Iterator[str]:
    """The faults that the types do not show, as messages that begin with the setting."""
    yield from _faults_of_listeners(settings)
    for host_name in settings.listen.host_names:
        if not _is_host_name(host_name):
            yield (
                f"listen.host_names: {host_name!r} is no host name; "
                "write it as in a URL between // and the port, without wildcards"
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
    if settings.store.redis_replicas < -1:
        yield "store.redis_replicas is -1, 0, or a number of replicas"
    if settings.audit.sync not in _SYNCS:
        yield f"audit.sync is one of {', '.join(_SYNCS)}"
    if settings.log.format not in _FORMATS:
        yield f"log.format is one of {', '.join(_FORMATS)}"
    if settings.log.level not in _LEVELS:
        yield f"log.level is one of {', '.join(_LEVELS)}"
    yield from _faults_of_networks("requests.trusted_proxies", settings.requests.trusted_proxies)
    yield from _faults_of_networks("authorize.proxies", settings.authorize.proxies)
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
    yield from faults_of_exposure(settings)
    yield from faults_of_portal(settings)
    yield from faults_of_authorize(settings)
    yield from faults_of_gateway(settings)
    yield from faults_of_trails(settings)
    yield from _faults_of_federation(settings)
    yield from faults_of_otlp(settings.otlp)
    yield from _faults_of_root(settings.root)


def _faults_of_listeners(settings: Settings) -> Iterator[str]:
    named = {
        f"listen.{name}": listener_addresses(settings.listen, name)
        for name in ("api", "metadata", "metadata_https", "operations", "portal", "forward", "forward_grpc")
    }
    for name in ("listen.api", "listen.metadata", "listen.operations"):
        if not named[name]:
            yield f"{name}: '' is not HOST:PORT"
    for name in ("listen", "operations"):
        if address := getattr(settings.gateway, name):
            named[f"gateway.{name}"] = (address,)
    for name, addresses in named.items():
        for address in addresses:
            try:
                parse_address(address, name)
            except ConfigurationError as error:
                yield str(error)
    if settings.listen.metadata_https and not settings.tls.certificate_file:
        yield "listen.metadata_https needs tls.certificate_file and tls.key_file"


def _faults_of_federation(settings: Settings) -> Iterator[str]:
    yield from faults_of_issuer_url(settings.federation.issuer_url, settings.federation.plain_http)
    yield from (f"ldap.{fault}" for fault in faults_of_directory(settings.ldap))
    chosen = settings.federation
    # An invalid network is reported by its own check.
    networks = tuple(one for one in chosen.private_networks if not list(_faults_of_networks("", (one,))))
    reach = Reach(chosen.plain_http, networks)
    addresses = ProviderAddresses(chosen.login_with_amazon_url, chosen.facebook_graph_url)
    yield from (f"federation.{fault}" for fault in faults_of_addresses(addresses, reach))
    for fault in faults_of_plugin(settings.identity_plugin, reach):
        yield f"identity_plugin.{fault}"
    serves_tls = bool(settings.tls.certificate_file)
    for fault in faults_of_certificates(settings.client_certificates, serves_tls):
        yield f"client_certificates.{fault}"


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
        yield "store.url: nothing may follow HOST:PORT of a cluster: a cluster has one database"
    elif scheme.endswith("+sentinel"):
        if not _is_sentinel(url.reveal().partition("://")[2]):
            yield (
                "store.url: the URL of a Sentinel is redis+sentinel://HOST:PORT,HOST:PORT/MASTER, and perhaps /NUMBER"
            )
    elif scheme.startswith("redi") and not _is_database(url.reveal().partition("://")[2]):
        # Not quoted: it may be a part of the password. redis-py reads `/abc` as 0, and `/1/2` as 12.
        yield "store.url: only the number of a database may follow HOST:PORT, as in redis://HOST:PORT/0"


def _faults_of_root(root: RootUser) -> Iterator[str]:
    are_set = [bool(root.account_id), bool(root.access_key_id), bool(root.secret_access_key.reveal())]
    if any(are_set) and not all(are_set):
        yield (
            "BROKER_ROOT_ACCOUNT_ID, BROKER_ROOT_ACCESS_KEY_ID and BROKER_ROOT_SECRET_ACCESS_KEY belong together: "
            "set all three or none"
        )
    if root.account_id and not is_account_id(root.account_id):
        yield "root.account_id has twelve digits"
    if root.access_key_id and not is_key_id(root.access_key_id):
        yield "root.access_key_id has 16 to 128 letters, digits and underscores"


def section_of(fault: str) -> str:
    """The section of a fault of `faults_of`: its message begins with the setting, or names the variables of root."""
    return "root" if fault.startswith("BROKER_ROOT_") else fault.partition(".")[0]


def parse_address(text: str, name: str) -> tuple[str, int]:
    """`HOST:PORT`, an IPv6 host in brackets; raises ConfigurationError."""
    host, _, port = text.rpartition(":")
    if not host or not _is_port(port) or int(port) > 65535:
        raise ConfigurationError(f"{name}: {text!r} is not HOST:PORT")
    return host.strip("[]"), int(port)
