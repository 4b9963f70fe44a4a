"""Faults of [gateway]: the store, names, and settings that belong together."""

import re
from collections.abc import Iterator
from urllib.parse import urlsplit

from broker.config.settings import GatewaySettings, Settings

_is_region = re.compile(r"[a-z0-9-]{1,32}").fullmatch
_is_domain = re.compile(r"[a-z0-9-]{1,63}(\.[a-z0-9-]{1,63})*").fullmatch


def faults_of_gateway(settings: Settings) -> Iterator[str]:
    chosen = settings.gateway
    if chosen.store_url and not is_origin(chosen.store_url):
        yield (
            f"gateway.store_url: {chosen.store_url!r} is not the address of a store: http[s]://HOST[:PORT], with "
            "nothing behind it"
        )
    if not _is_region(chosen.region):
        yield f"gateway.region: {chosen.region!r} is no region, such as us-east-1"
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
    yield from _faults_of_credentials(chosen)


def _faults_of_credentials(chosen: GatewaySettings) -> Iterator[str]:
    if bool(chosen.access_key_id) != bool(chosen.secret_access_key.reveal()):
        yield "gateway.access_key_id and gateway.secret_access_key belong together: set both or neither"
    if chosen.access_key_id and chosen.credentials_file:
        yield "gateway.credentials_file takes the place of gateway.access_key_id: set one of them"


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
