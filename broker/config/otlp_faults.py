"""Faults of the settings of the collector, and what its headers are."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import unquote, urlsplit

from broker.config.settings import Otlp

_EXPORTER = "opentelemetry.exporter.otlp.proto.http"


def headers_of(otlp: Otlp) -> Mapping[str, str]:
    """The headers for the collector, whose values are percent-decoded; raises ValueError."""
    entries = [entry.strip() for entry in otlp.headers.reveal().split(",") if entry.strip()]
    pairs = [entry.partition("=") for entry in entries]
    if not all(separator and name.strip().isascii() and name.strip() for name, separator, _ in pairs):
        raise ValueError("not NAME=VALUE")
    headers = {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
    if not all(one.isprintable() and one.isascii() for pair in headers.items() for one in pair):
        raise ValueError("not printable")
    return headers


def faults_of_otlp(otlp: Otlp) -> Iterator[str]:
    """The faults of the table [otlp]; no value of a header is quoted, for it may be a secret."""
    if not otlp.endpoint:
        return
    if not _is_endpoint(otlp.endpoint):
        yield "otlp.endpoint is the URL of a collector, as http://127.0.0.1:4318, without user, query and fragment"
    elif otlp.headers.reveal() and not _is_private(otlp.endpoint):
        yield "otlp.headers go over https alone, or to this machine: they may hold credentials"
    try:
        headers_of(otlp)
    except ValueError:
        yield "otlp.headers is NAME=VALUE, separated by commas"
    if otlp.certificate_authorities and not Path(otlp.certificate_authorities).is_file():
        yield f"otlp.certificate_authorities: there is no file {otlp.certificate_authorities}"
    if not _has_exporter():
        yield "otlp.endpoint needs packages that are not installed: pip install 'broker[otlp]'"


def _is_endpoint(text: str) -> bool:
    try:
        url = urlsplit(text)
        named = url.hostname and url.port != 0
    except ValueError:
        return False
    return (
        bool(named)
        and url.scheme in ("http", "https")
        and not (url.query or url.fragment or "@" in url.netloc)
    )


def _is_private(endpoint: str) -> bool:
    url = urlsplit(endpoint)
    if url.scheme == "https" or url.hostname == "localhost":
        return True
    try:
        return ip_address(url.hostname or "").is_loopback
    except ValueError:
        return False


def _has_exporter() -> bool:
    try:
        return find_spec(_EXPORTER) is not None
    except ModuleNotFoundError:  # of a package above it
        return False
