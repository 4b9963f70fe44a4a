"""Certificates without a trusted authority, accepted by thumbprint (IAM User Guide, "Obtain the thumbprint").

The record of a provider lists the SHA-1 of a certificate. Where a server presents that certificate, it is the only
trust anchor for one request: signatures, times and the host name are verified as always. So it is not enough to present
a listed certificate: the server's own must be it, or be issued by it, and the server must have the key of its own.
"""

import asyncio
import socket
import ssl
from collections.abc import Sequence
from contextlib import suppress
from hashlib import sha1
from typing import Any
from urllib.parse import SplitResult, urlsplit

from aiohttp.abc import AbstractResolver

from broker.federation.addresses import find_address
from broker.federation.reach import FetchFailed


async def anchored_tls(url: str, resolver: AbstractResolver, thumbprints: Sequence[str]) -> ssl.SSLContext:
    """A TLS context that trusts only the listed certificates that the server at `url` presents; raises FetchFailed.

    `thumbprints` are in lower case. `require_admitted` has checked `url`; `resolver` resolves a name in it.
    """
    chain = await _presented_chain(urlsplit(url), resolver)
    presented = {_thumbprint(certificate): certificate for certificate in chain}
    listed = [certificate for thumbprint, certificate in presented.items() if thumbprint in thumbprints]
    if not listed:
        raise FetchFailed(
            f"{url} cannot be reached: its certificate is of no trusted authority, and the thumbprints of the "
            f"provider are of none that it presented: {', '.join(presented)}"
        )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate need not be that of an authority, nor the end of its chain.
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for certificate in listed:
        tls.load_verify_locations(cadata=certificate)
    return tls


async def _presented_chain(url: SplitResult, resolver: AbstractResolver) -> list[bytes]:
    """The certificates in DER, the server's own first. Nothing is verified here, and no request is sent."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    host, port = url.hostname or "", url.port or 443
    addresses = [host]
    if find_address(host) is None:
        addresses = [one["host"] for one in await resolver.resolve(host, port, socket.AF_UNSPEC)]
    for address in addresses:
        with suppress(ConnectionError):  # then the next address is tried, as aiohttp does
            _, writer = await asyncio.open_connection(address, port, ssl=unverified, server_hostname=host)
            try:
                return _chain_of(writer.get_extra_info("ssl_object"))
            finally:
                writer.transport.abort()
    raise FetchFailed(f"{url.geturl()} cannot be reached: no address of {host} answers")


def _chain_of(connection: Any) -> list[bytes]:
    """The whole chain; before Python 3.13 from an undocumented object, and without it only the first certificate."""
    if hasattr(connection, "get_unverified_chain"):
        return list(connection.get_unverified_chain())
    inner: Any = getattr(connection, "_sslobj", None)
    if hasattr(inner, "get_unverified_chain"):
        return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_unverified_chain()]
    return [connection.getpeercert(binary_form=True)]


def _thumbprint(certificate: bytes) -> str:
    return sha1(certificate, usedforsecurity=False).hexdigest()
