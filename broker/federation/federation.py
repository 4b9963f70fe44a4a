"""What the flows are given of federation: the keys of providers, and what the operator lets assertions be."""

import msgspec

from broker.federation.provider_keys import ProviderKeys
from broker.federation.reach import Reach

LONGEST_LEEWAY = 600  # seconds that an operator may let a provider's clock differ


class SamlRules(msgspec.Struct, frozen=True):
    """Whom assertions have to be meant for, and which weaknesses of providers the operator accepts.

    `recipients` are the URLs that an assertion may be delivered to, `audiences` the names that it may be for.
    """

    recipients: tuple[str, ...] = ("https://signin.aws.amazon.com/saml",)
    audiences: tuple[str, ...] = ("urn:amazon:webservices", "https://signin.aws.amazon.com/saml")
    allow_sha1: bool = False
    allow_replay: bool = False


class Federation(msgspec.Struct, frozen=True, kw_only=True):
    """`leeway` is how many seconds a provider's clock may differ; `single_use` refuses a web identity token twice."""

    keys: ProviderKeys
    reach: Reach = Reach()
    saml: SamlRules = SamlRules()
    leeway: int = 60
    single_use: bool = False
