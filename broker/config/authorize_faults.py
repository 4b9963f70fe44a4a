"""What makes forward authentication impossible, or trusts too many: routes, header names, who counts as a proxy."""

import re
from collections.abc import Iterator
from importlib.util import find_spec
from ipaddress import ip_network

from broker.authorize.routes import faults_of_routes
from broker.config.settings import AuthorizeSettings, Settings, StoresSettings
from broker.names.arn import is_account_id

_SHORTEST_SECRET = 16
_GRPC = ("grpc", "google.protobuf")
_is_header_name = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}").fullmatch
# What a proxy or a server reads for itself.
_TAKEN = frozenset(
    (
        "authorization",
        "connection",
        "content-length",
        "content-type",
        "cookie",
        "date",
        "host",
        "location",
        "server",
    )
)


def faults_of_authorize(settings: Settings) -> Iterator[str]:
    chosen = settings.authorize
    names = {
        "arn_header": chosen.arn_header,
        "account_header": chosen.account_header,
        "user_id_header": chosen.user_id_header,
    }
    seen: set[str] = set()
    for setting, name in names.items():
        if name and (_is_header_name(name) is None or name.lower() in _TAKEN):
            yield f"authorize.{setting}: {name!r} is not the name of a header of its own"
        if name and name.lower() in seen:
            yield f"authorize.{setting}: {name} is the name of another one, too"
        seen.add(name.lower())
    for network in chosen.proxies:
        try:
            found = ip_network(network)
        except ValueError:
            continue  # reported by its own check
        if found.prefixlen == 0:
            yield f"authorize.proxies: {network} trusts everyone who reaches the listener"
    if settings.listen.forward and not chosen.routes:
        yield "authorize.routes: listen.forward denies everything without a route"
    yield from _faults_of_sign_in_hosts(settings)
    if settings.listen.forward_grpc:
        yield from _faults_of_grpc(chosen)
    yield from (f"authorize.routes: {fault}" for fault in faults_of_routes(chosen.routes))
    yield from _faults_of_stores(settings.stores)


def _faults_of_sign_in_hosts(settings: Settings) -> Iterator[str]:
    known = {route.host for route in settings.authorize.routes}
    for host in settings.authorize.sign_in_hosts:
        if host not in known:
            yield f"authorize.sign_in_hosts: {host!r} is the host of no route; it is written as there, port included"
    if settings.authorize.sign_in_hosts and not settings.listen.portal:
        yield "authorize.sign_in_hosts: people sign in at the portal, and listen.portal is empty"


def _faults_of_grpc(chosen: AuthorizeSettings) -> Iterator[str]:
    if not chosen.routes:
        yield "authorize.routes: listen.forward_grpc denies everything without a route"
    if not all(map(_is_installed, _GRPC)):
        yield "listen.forward_grpc needs packages that are not installed: pip install 'broker[grpc]'"


def _is_installed(module: str) -> bool:
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # of a package above it
        return False


def _faults_of_stores(stores: StoresSettings) -> Iterator[str]:
    for name, secret in (
        ("minio_authorization", stores.minio_authorization),
        ("keystone_token", stores.keystone_token),
    ):
        if 0 < len(secret.reveal()) < _SHORTEST_SECRET or not secret.reveal().isascii():
            yield f"stores.{name} has {_SHORTEST_SECRET} characters of ASCII at least: it is all that proves the store"
    if stores.minio_authorization.reveal() and not is_account_id(stores.minio_account_id):
        yield "stores.minio_account_id has twelve digits: the account whose users MinIO's are"
