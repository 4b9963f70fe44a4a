"""Certificates without a trusted authority are accepted by thumbprint only."""

import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from hashlib import sha1
from pathlib import Path

import pytest
from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding

from broker.federation.fetching import Fetcher
from broker.federation.provider_keys import ProviderKeys, ProviderUnreachable
from broker.federation.reach import FetchFailed, Reach
from tests.identity_providers.certificates import KeyPair
from tests.unit.federation.conftest import LOOPBACK, Host
from tests.unit.federation.test_provider_keys import _PUBLIC, Clock

MakeFetcher = Callable[..., Fetcher]
Open = Callable[..., Awaitable[Host]]

OWN, OTHER, ROOT = KeyPair("idp"), KeyPair("another"), KeyPair("a private authority")
ISSUED = KeyPair("idp", ROOT)


def thumbprint(pair: KeyPair) -> str:
    return sha1(pair.certificate.public_bytes(Encoding.DER)).hexdigest()


@pytest.fixture
async def open_host(tmp_path: Path) -> AsyncIterator[Open]:
    """A server with TLS that presents the certificates of `chain`, the first one's key being its own."""
    hosts = []

    async def open_with(*chain: KeyPair) -> Host:
        tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        key, certificates = chain[0].write(tmp_path, "server")
        certificates.write_text("".join(pair.pem for pair in chain))
        tls.load_cert_chain(certificates, key)
        host = Host()
        await host.server.start_server(ssl=tls)
        hosts.append(host)
        host.answers("/a", {})
        return host

    yield open_with
    for host in hosts:
        await host.server.close()


def url_of(host: Host, name: str = "127.0.0.1") -> str:
    return f"https://{name}:{host.server.port}/a"


async def test_a_certificate_is_accepted_by_its_thumbprint(
    open_host: Open, make_fetcher: MakeFetcher
) -> None:
    host, fetcher = await open_host(OWN), make_fetcher()
    assert (await fetcher.get(url_of(host), (thumbprint(OTHER), thumbprint(OWN)))).body == b"{}"


async def test_it_is_refused_without_one(open_host: Open, make_fetcher: MakeFetcher) -> None:
    host, fetcher = await open_host(OWN), make_fetcher()
    with pytest.raises(FetchFailed, match=r"cannot be reached: .*CERTIFICATE_VERIFY_FAILED"):
        await fetcher.get(url_of(host))
    assert host.asked == []


async def test_it_is_refused_with_anothers_and_the_operator_reads_its_own(
    open_host: Open, make_fetcher: MakeFetcher
) -> None:
    host, fetcher = await open_host(OWN), make_fetcher()
    with pytest.raises(FetchFailed, match=f"thumbprints.* presented: {thumbprint(OWN)}"):
        await fetcher.get(url_of(host), (thumbprint(OTHER),))
    assert host.asked == []


async def test_it_is_refused_for_another_host_name(open_host: Open, make_fetcher: MakeFetcher) -> None:
    host, fetcher = await open_host(OWN), make_fetcher()
    with pytest.raises(FetchFailed, match=r"cannot be reached: .*ostname mismatch"):
        await fetcher.get(url_of(host, "localhost"), (thumbprint(OWN),))
    assert host.asked == []


@pytest.mark.parametrize("listed", [ISSUED, ROOT], ids=["its own", "the authority's"])
async def test_the_thumbprint_is_of_any_certificate_of_the_chain(
    open_host: Open, make_fetcher: MakeFetcher, listed: KeyPair
) -> None:
    host, fetcher = await open_host(ISSUED, ROOT), make_fetcher()
    assert (await fetcher.get(url_of(host), (thumbprint(listed),))).body == b"{}"


async def test_a_listed_certificate_that_is_only_presented_proves_nothing(
    open_host: Open, make_fetcher: MakeFetcher
) -> None:
    """Every server can present the certificate of another."""
    host, fetcher = await open_host(OTHER, ROOT), make_fetcher()
    with pytest.raises(FetchFailed, match="CERTIFICATE_VERIFY_FAILED"):
        await fetcher.get(url_of(host), (thumbprint(ROOT),))
    assert host.asked == []


async def test_one_that_was_accepted_by_thumbprint_is_not_accepted_without(
    open_host: Open, make_fetcher: MakeFetcher
) -> None:
    """An open connection is not used for other providers."""
    host, fetcher = await open_host(OWN), make_fetcher()
    await fetcher.get(url_of(host), (thumbprint(OWN),))
    for others in ((), (thumbprint(OTHER),)):
        with pytest.raises(FetchFailed):
            await fetcher.get(url_of(host), others)
    assert host.asked == ["/a"]


async def test_an_address_that_is_not_admitted_is_not_asked_for_its_certificate(
    open_host: Open, make_fetcher: MakeFetcher
) -> None:
    host, fetcher = await open_host(OWN), make_fetcher(Reach())
    for name in ("127.0.0.1", "localhost"):
        with pytest.raises(FetchFailed, match=r"may not be reached|may be reached"):
            await fetcher.get(url_of(host, name), (thumbprint(OWN),))


async def test_a_redirect_is_followed_to_a_listed_certificate_only(
    open_host: Open, make_fetcher: MakeFetcher
) -> None:
    host, other = await open_host(OWN), await open_host(OTHER)

    async def redirect(request: web.Request) -> web.Response:
        raise web.HTTPFound(url_of(other))

    host.handlers["/a"] = redirect
    fetcher = make_fetcher()
    with pytest.raises(FetchFailed, match="thumbprints"):
        await fetcher.get(url_of(host), (thumbprint(OWN),))
    assert other.asked == []
    assert (await fetcher.get(url_of(host), (thumbprint(OWN), thumbprint(OTHER)))).body == b"{}"


async def test_keys_that_one_providers_thumbprints_admitted_serve_no_provider_with_others(
    open_host: Open, make_fetcher: MakeFetcher
) -> None:
    host = await open_host(OWN)
    issuer = f"https://127.0.0.1:{host.server.port}"
    host.answers("/.well-known/openid-configuration", {"issuer": issuer, "jwks_uri": f"{issuer}/keys"})
    host.answers("/keys", {"keys": [{**_PUBLIC, "kid": "one"}]})
    keys = ProviderKeys(make_fetcher(LOOPBACK), Clock())
    for _ in range(2):
        assert len(await keys.get(issuer, "one", (thumbprint(OWN),))) == 1
        for others in ((), (thumbprint(OTHER),)):
            with pytest.raises(ProviderUnreachable):
                await keys.get(issuer, "one", others)
    assert host.asked.count("/keys") == 1
