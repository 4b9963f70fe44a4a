"""What operations use of federation: the keys of providers, and the operator's rules for assertions and issuers."""

import re
from collections.abc import Iterator

import msgspec

from broker.federation.access_token_owners import AccessTokenOwners
from broker.federation.client_certificates import ClientCertificates
from broker.federation.directory import DirectoryLogins
from broker.federation.distribution_points import DistributionPoints
from broker.federation.identity_plugin import IdentityPlugin
from broker.federation.openid_connect import OpenIdConnectClients
from broker.federation.provider_inspection import ProviderInspector
from broker.federation.provider_keys import ProviderKeys
from broker.federation.reach import Reach
from broker.federation.sign_ins import SignIns
from broker.federation.token_reviews import TokenReviews
from broker.sealing.keyring import HOUR, RotationSchedule

LONGEST_LEEWAY = 600  # seconds

ISSUER_ID = r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"  # a UUID
_is_issuer_id = re.compile(ISSUER_ID).fullmatch

# Issuer identifiers are compared exactly, and IAM limits the URL of a provider to 255 characters.
_is_issuer_url = re.compile(
    r"(?=.{1,200}\Z)https?://[a-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9._~-]+)*", re.ASCII
).fullmatch


class SamlRules(msgspec.Struct, frozen=True):
    """The accepted recipients and audiences of SAML assertions, and the weaknesses that the operator allows.

    `recipients` are URLs of the assertion consumer, `audiences` are our entity ids.
    """

    recipients: tuple[str, ...] = ("https://signin.aws.amazon.com/saml",)
    audiences: tuple[str, ...] = ("urn:amazon:webservices", "https://signin.aws.amazon.com/saml")
    allow_sha1: bool = False
    allow_replay: bool = False


class IssuerRules(msgspec.Struct, frozen=True):
    """The broker as an issuer of tokens. `url` is the base of its accounts' issuers; empty: it issues no tokens.

    By the `schedule` a key is published for `staged_for` before it signs, so that verifiers have fetched it by then,
    and for `open_for` after its last signature: the longest token lasts an hour, and clocks may differ by an hour.
    """

    url: str = ""
    schedule: RotationSchedule = RotationSchedule(
        rotate_every=30 * 24 * HOUR, staged_for=24 * HOUR, open_for=2 * HOUR
    )

    def identifier(self, issuer_id: str) -> str:
        """The issuer's identifier: the `iss` of its tokens, and the base URL of its documents."""
        return f"{self.url}/{issuer_id}"

    def is_own(self, unverified_issuer: str | None) -> bool:
        """Whether this has the form of an issuer of this broker, which may not exist; others may use the same host."""
        url, _, issuer_id = (unverified_issuer or "").rpartition("/")
        return bool(self.url) and url == self.url and _is_issuer_id(issuer_id) is not None


def faults_of_issuer_url(url: str, plain_http: bool) -> Iterator[str]:
    """Errors in the setting federation.issuer_url, for the operator."""
    if url and not _is_issuer_url(url):
        yield (
            f"federation.issuer_url: {url!r} is no issuer's URL: https://HOST or https://HOST/PATH, the host in "
            "lower case, without a slash, a query or a fragment at its end"
        )
    elif url.startswith("http:") and not plain_http:
        yield f"federation.issuer_url: {url} is not https; federation.plain_http admits that, for closed networks"


class Federation(msgspec.Struct, frozen=True, kw_only=True):
    """`leeway` is how many seconds a provider's clock may differ; with `single_use` a web identity token is used once.

    `issuer` is for the tokens that the broker issues. `directory`, `certificates` and `plugin` are None where no LDAP
    directory, no authorities of client certificates and no identity plugin are configured; `access_tokens` is None
    where no provider of such tokens is asked. `clients` is for sign-ins of people at OpenID Connect providers,
    `inspector` for setting one up; `token_reviews` asks API servers of Kubernetes; `distribution_points` fetches the
    revocation lists of workloads' authorities. `sign_ins` are all ways in which people of providers sign in.
    """

    keys: ProviderKeys
    reach: Reach = Reach()
    saml: SamlRules = SamlRules()
    leeway: int = 60
    single_use: bool = False
    issuer: IssuerRules = IssuerRules()
    directory: DirectoryLogins | None = None
    certificates: ClientCertificates | None = None
    plugin: IdentityPlugin | None = None
    access_tokens: AccessTokenOwners | None = None
    clients: OpenIdConnectClients | None = None
    inspector: ProviderInspector | None = None
    token_reviews: TokenReviews | None = None
    distribution_points: DistributionPoints | None = None
    sign_ins: SignIns = SignIns()
