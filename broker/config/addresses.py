"""The URLs at which clients reach the listeners, from the settings."""

import ipaddress

from broker.config.faults import parse_address
from broker.config.settings import Settings


def portal_url_of(settings: Settings) -> str:
    """Where a person's browser finds the portal; "" where there is none."""
    if settings.portal.url or not settings.listen.portal:
        return settings.portal.url
    scheme = "https" if settings.tls.certificate_file else "http"
    return f"{scheme}://{reachable(settings.listen.portal)}"


def reachable(address: str) -> str:
    """HOST:PORT for a client; the loopback address for a listener on all addresses."""
    host, port = parse_address(address, "address")
    try:
        ip = ipaddress.ip_address(host)
    except ValueError:
        return f"{host}:{port}"
    if ip.is_unspecified:
        ip = ipaddress.ip_address("::1" if ip.version == 6 else "127.0.0.1")
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"
