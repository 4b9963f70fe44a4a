"""Ways to sign in at SAML providers: entries of `portal.saml`, which `config/broker.toml` explains."""

import re
from collections.abc import Iterator, Sequence

import msgspec

from broker.federation.openid_connect import is_sign_in_name
from broker.names.identity_store import is_identity_store_arn, no_identity_store

_is_provider = re.compile(r"arn:aws:iam::[0-9]{12}:saml-provider/[\w._-]{1,128}", re.ASCII).fullmatch


class SamlSignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`provider` is the ARN of a SAML provider of IAM, whose metadata says where people sign in.

    `sign_requests`: authentication requests are signed, also where the metadata does not want it.
    """

    name: str
    label: str = ""
    provider: str
    sign_requests: bool = False
    identity_store: str = ""

    @property
    def title(self) -> str:
        return self.label or self.name

    @property
    def path(self) -> str:
        return f"/sign-in/saml/{self.name}"

    @property
    def account_id(self) -> str:
        return self.provider.split(":")[4]

    @property
    def provider_name(self) -> str:
        return self.provider.rpartition("/")[2]


def faults_of_saml(sign_ins: Sequence[SamlSignIn]) -> Iterator[str]:
    """What is wrong with the entries, each text beginning with the name of the setting."""
    for one in sign_ins:
        if not is_sign_in_name(one.name):
            yield f"saml: {one.name!r} is no name: letters a to z, digits and hyphens, for its URL"
        if one.identity_store and not is_identity_store_arn(one.identity_store):
            yield f"saml: {no_identity_store(one.identity_store)}"
        if not _is_provider(one.provider):
            yield f"saml: {one.provider!r} is not the ARN of a SAML provider: arn:aws:iam::ACCOUNT:saml-provider/NAME"
