"""Faults of [gateway] and [trails]: the store, names, and settings that belong together."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from broker.config.settings import GatewaySettings, Settings, TrailSettings

_is_region = re.compile(r"[a-z0-9-]{1,32}").fullmatch
_is_domain = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*").fullmatch


def faults_of_gateway(settings: Settings) -> Iterator[str]:
    chosen = settings.gateway
    yield from _faults_of_store("gateway", chosen)
    for domain in chosen.domains:
        if not _is_domain(domain):
            yield f"gateway.domains: {domain!r} is no domain; write it in small letters, without a port"
    if chosen.refused_operations:
        # Imported here: most settings name none.
        from broker.gateway.operations import OPERATIONS

        known = {row.name for row in OPERATIONS}
        for name in chosen.refused_operations:
            if name not in known:
                yield f"gateway.refused_operations: the gateway knows no operation {name!r}"


def faults_of_trails(settings: Settings) -> Iterator[str]:
    chosen = settings.trails
    yield from _faults_of_store("trails", chosen)
    if chosen.folder and chosen.store_url:
        yield "trails.folder takes the place of trails.store_url: set one of them"


def _faults_of_store(section: str, chosen: GatewaySettings | TrailSettings) -> Iterator[str]:
    if chosen.store_url and not is_origin(chosen.store_url):
        yield (
            f"{section}.store_url: {chosen.store_url!r} is not the address of a store: http[s]://HOST[:PORT], with "
            "nothing behind it"
        )
    if not _is_region(chosen.region):
        yield f"{section}.region: {chosen.region!r} is no region, such as us-east-1"
    if bool(chosen.access_key_id) != bool(chosen.secret_access_key.reveal()):
        yield f"{section}.access_key_id and {section}.secret_access_key belong together: set both or neither"
    if chosen.access_key_id and chosen.credentials_file:
        yield f"{section}.credentials_file takes the place of {section}.access_key_id: set one of them"


def is_origin(url: str) -> bool:
    """Whether `url` names a scheme and a host, and no user, path or query."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        return False
    shown = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    origin = f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")
    return parts.scheme in ("http", "https") and bool(parts.hostname) and url in (origin, f"{origin}/")
