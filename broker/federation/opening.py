"""Opens and closes federation: the HTTP client, provider keys and the directory."""

import ssl
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from broker.assertions.key_sets import VerificationKey, parse_key_set
from broker.causes import cause_of
from broker.federation.access_token_owners import AccessTokenOwners, ProviderAddresses
from broker.federation.client_certificates import CertificateRules, ClientCertificates
from broker.federation.directory import DirectoryLogins
from broker.federation.directory_rules import DirectoryRules
from broker.federation.distribution_points import DistributionPoints
from broker.federation.federation import Federation, IssuerRules, SamlRules
from broker.federation.identity_plugin import IdentityPlugin, PluginRules
from broker.federation.openid_connect import OpenIdConnectClients
from broker.federation.provider_inspection import ProviderInspector
from broker.federation.provider_keys import ProviderKeys
from broker.federation.reach import Answer, Reach, StatusAnswer
from broker.federation.sign_ins import SignIns
from broker.federation.token_reviews import TokenReviews

if TYPE_CHECKING:
    from broker.federation.fetching import Fetcher


@asynccontextmanager
async def open_federation(
    clock: Callable[[], float],
    *,
    reach: Reach,
    saml: SamlRules,
    leeway: int,
    single_use: bool,
    issuer: IssuerRules,
    certificate_authorities: str = "",
    pinned_keys: Sequence[str] = (),
    directory: DirectoryLogins | None = None,
    certificates: ClientCertificates | None = None,
    plugin: PluginRules = PluginRules(),  # noqa: B008  frozen
    addresses: ProviderAddresses = ProviderAddresses(),  # noqa: B008  frozen
    sign_ins: SignIns = SignIns(),  # noqa: B008  frozen
) -> AsyncIterator[Federation]:
    """`certificate_authorities` is a PEM file, `pinned_keys` are ISSUER=FILE. The caller closes `directory`.

    Raises ValueError, with a text for the operator, where one of the files cannot be used.
    """
    pinned = dict(map(_read_pinned, pinned_keys))
    tls = _tls_context(certificate_authorities)
    fetcher = _LateFetcher(reach, tls)
    keys = ProviderKeys(fetcher, clock, pinned)
    # Revocation lists are signed, and mostly published by plain http.
    lists_fetcher = _LateFetcher(msgspec.structs.replace(reach, plain_http=True), tls)
    lists = DistributionPoints(lists_fetcher, clock, _parse_revocation_lists)
    try:
        yield Federation(
            keys=keys,
            reach=reach,
            saml=saml,
            leeway=leeway,
            single_use=single_use,
            issuer=issuer,
            directory=directory,
            certificates=certificates,
            access_tokens=AccessTokenOwners(fetcher, addresses),
            plugin=IdentityPlugin(plugin, fetcher) if plugin.url else None,
            clients=OpenIdConnectClients(fetcher, clock, reach),
            inspector=ProviderInspector(fetcher, clock, reach),
            token_reviews=TokenReviews(fetcher),
            distribution_points=lists,
            sign_ins=sign_ins,
        )
    finally:
        await keys.close()
        await lists.close()
        await fetcher.close()
        await lists_fetcher.close()


class _LateFetcher:
    """Opens the HTTP client at the first request: without providers it is never imported (ten megabytes)."""

    def __init__(self, reach: Reach, tls: ssl.SSLContext) -> None:
        self._reach = reach
        self._tls = tls
        self._fetcher: Fetcher | None = None

    async def get(self, url: str, thumbprints: Sequence[str] = ()) -> Answer:
        return await self._opened().get(url, thumbprints)

    async def ask(
        self, method: str, url: str, secret_query: Mapping[str, str], headers: Mapping[str, str]
    ) -> StatusAnswer:
        return await self._opened().ask(method, url, secret_query, headers)

    async def post_form(
        self, url: str, secret_form: Mapping[str, str], headers: Mapping[str, str]
    ) -> StatusAnswer:
        return await self._opened().post_form(url, secret_form, headers)

    async def post_json(
        self, url: str, secret_body: Mapping[str, Any], headers: Mapping[str, str], authorities: str = ""
    ) -> StatusAnswer:
        return await self._opened().post_json(url, secret_body, headers, authorities)

    def _opened(self) -> "Fetcher":
        if self._fetcher is None:
            from broker.federation.fetching import open_fetcher

            self._fetcher = open_fetcher(self._reach, self._tls)
        return self._fetcher

    async def close(self) -> None:
        if self._fetcher is not None:
            await self._fetcher.close()


def _parse_revocation_lists(content: bytes) -> tuple[Any, ...]:
    # Imported with the first list: it takes megabytes.
    from broker.assertions.revocation_lists import parse_revocation_lists

    return parse_revocation_lists(content)


@contextmanager
def open_directory(rules: DirectoryRules) -> Iterator[DirectoryLogins | None]:
    """The logins of an LDAP directory; None where no server is configured.

    Raises ValueError, with a text for the operator, for settings that cannot be used.
    """
    if not rules.servers:
        yield None
        return
    # Imported only where a directory is configured: ldap3 takes 90 ms, and memory in each worker.
    from broker.federation.directory_login import log_in, require_usable

    require_usable(rules)
    logins = DirectoryLogins(rules, partial(log_in, rules, _tls_context(rules.certificate_authorities)))
    try:
        yield logins
    finally:
        logins.close()


def open_certificates(rules: CertificateRules) -> ClientCertificates | None:
    """What verifies client certificates; None where no authorities are configured.

    Raises ValueError, in words for the operator, for what cannot be used.
    """
    if not rules.certificate_authorities:
        return None
    from broker.assertions.certificate_verification import verify_client_certificate
    from broker.assertions.revocation_lists import parse_revocation_lists

    return ClientCertificates(rules, verify_client_certificate, parse_revocation_lists)


def _tls_context(authorities: str) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=authorities or None)
    except ssl.SSLError:
        why = "it holds no certificate in PEM (-----BEGIN CERTIFICATE-----)"
        raise ValueError(f"certificate_authorities: {authorities} cannot be used: {why}") from None
    except OSError as error:
        raise ValueError(
            f"certificate_authorities: {authorities} cannot be used: {cause_of(error)}"
        ) from None


def _read_pinned(pinned: str) -> tuple[str, tuple[VerificationKey, ...]]:
    issuer, _, file = pinned.partition("=")
    try:
        return issuer, parse_key_set(Path(file).read_bytes())
    except OSError as error:
        raise ValueError(f"pinned_keys: {file} cannot be read: {cause_of(error)}") from None
    except ValueError as error:
        raise ValueError(f"pinned_keys: {file}: {error}") from None
