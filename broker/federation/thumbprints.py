"""Certificates that no trusted authority vouches for, accepted by thumbprint (IAM User Guide, "Obtain the thumbprint").

A provider lists the SHA-1 of a certificate. Where a server presents that certificate, it becomes the only one that is
trusted, for one request: signatures, times and the host name are verified as ever. To present a listed certificate is
thus not enough: the server's own has to be it, or to be issued by it, and the server has to hold the key of its own.
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
    """What trusts the listed certificate that the server at `url` presents, and nothing else; raises FetchFailed.

    `thumbprints` are in small hexadecimal digits. `url` has been judged by `require_admitted`; a name in it is resolved
    by `resolver`.
    """
    chain = await _presented_chain(urlsplit(url), resolver)
    presented = {_thumbprint(certificate): certificate for certificate in chain}
    listed = [certificate for thumbprint, certificate in presented.items() if thumbprint in thumbprints]
    if not listed:
        raise FetchFailed(
            f"{url} cannot be reached: no trusted authority vouches for its certificate, and the thumbprints of the "
            f"provider are of none that it presented: {', '.join(presented)}"
        )
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The certificate need be none of an authority, nor the end of its chain.
    tls.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    for certificate in listed:
        tls.load_verify_locations(cadata=certificate)
    return tls


async def _presented_chain(url: SplitResult, resolver: AbstractResolver) -> list[bytes]:
    """The certificates in DER, the server's own first. Nothing is verified here, and nothing is sent."""
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname = False
    unverified.verify_mode = ssl.CERT_NONE
    host, port = url.hostname or "", url.port or 443
    addresses = [host]
    if find_address(host) is None:
        addresses = [one["host"] for one in await resolver.resolve(host, port, socket.AF_UNSPEC)]
    for address in addresses:
        with suppress(ConnectionError):  # then the next address may answer, as for the request before
            _, writer = await asyncio.open_connection(address, port, ssl=unverified, server_hostname=host)
            try:
                return _chain_of(writer.get_extra_info("ssl_object"))
            finally:
                writer.transport.abort()
    raise FetchFailed(f"{url.geturl()} cannot be reached: no address of {host} answers")


def _chain_of(connection: Any) -> list[bytes]:
    """Python 3.13 shows the whole chain; before, an undocumented object has it, and if that is not there, the first."""
    if hasattr(connection, "get_unverified_chain"):
        return list(connection.get_unverified_chain())
    inner: Any = getattr(connection, "_sslobj", None)
    if hasattr(inner, "get_unverified_chain"):
        return [ssl.PEM_cert_to_DER_cert(one.public_bytes()) for one in inner.get_unverified_chain()]
    return [connection.getpeercert(binary_form=True)]


def _thumbprint(certificate: bytes) -> str:
    return sha1(certificate, usedforsecurity=False).hexdigest()
