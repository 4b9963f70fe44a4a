"""Identity providers that a file declares: OpenID Connect by the issuer without its scheme, SAML by their names.

Private keys that decrypt assertions are secrets: neither they nor the encryption mode, which depends on them, are
declared, and both stay as they are.
"""

from broker.declaration.attempt import Attempt, tag_list
from broker.declaration.declared import (
    DeclaredAccount,
    DeclaredOpenIdConnectProvider,
    DeclaredSamlProvider,
    value_or,
)
from broker.declaration.properties import TAGS, NamedEntity, desired, members, require_same
from broker.names.arn import iam_arn
from broker.storage.records import OpenIdConnectProvider, SamlProvider
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS, SAML_PROVIDERS

CLIENT_IDS = members(
    "client_ids",
    ("AddClientIDTo{}", "RemoveClientIDFrom{}"),
    "ClientID",
    "client id",
    key=str,
)


async def settle_providers(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    for name, provider in value_or(wanted.open_id_connect_providers, {}).items():
        await _settle_open_id_connect(attempt, account, name, provider)
    for name, metadata in value_or(wanted.saml_providers, {}).items():
        await _settle_saml(attempt, account, name, metadata)


async def prune_providers(attempt: Attempt, account: str, wanted: DeclaredAccount) -> None:
    """Only those of a key that the file has: without its provider, nobody signs in."""
    if isinstance(wanted.open_id_connect_providers, dict):
        for one in await attempt.store.scan(OPEN_ID_CONNECT_PROVIDERS, account):
            if one.name not in wanted.open_id_connect_providers:
                await _delete(attempt, _open_id_connect(account, one.name, wanted.where))
    if isinstance(wanted.saml_providers, dict):
        for saml in await attempt.store.scan(SAML_PROVIDERS, account):
            if saml.name not in wanted.saml_providers:
                await _delete(attempt, _saml(account, saml.name, wanted.where))


def _open_id_connect(account: str, name: str, where: str) -> NamedEntity:
    arn = iam_arn(account, f"oidc-provider/{name}")
    named = {"OpenIDConnectProviderArn": arn}
    return NamedEntity(account, "OpenIDConnectProvider", f"OpenID Connect provider {name}", named, where)


def _saml(account: str, name: str, where: str) -> NamedEntity:
    named = {"SAMLProviderArn": iam_arn(account, f"saml-provider/{name}")}
    return NamedEntity(account, "SAMLProvider", f"SAML provider {name}", named, where)


async def _delete(attempt: Attempt, target: NamedEntity) -> None:
    operation = f"Delete{target.word}"
    await attempt.perform(target.account, operation, target.parameters, "-", target.label, target.where)


async def _settle_open_id_connect(
    attempt: Attempt, account: str, name: str, wanted: DeclaredOpenIdConnectProvider
) -> None:
    target = _open_id_connect(account, name, wanted.where)
    url = value_or(wanted.url, f"https://{name}")
    require_same(target, "name", url.rpartition("://")[2], name)
    current = await attempt.store.find(OPEN_ID_CONNECT_PROVIDERS, account, name)
    if current is None:
        parameters = {
            "Url": url,
            "ClientIDList": list(value_or(wanted.client_ids, ())),
            "ThumbprintList": list(value_or(wanted.thumbprints, ())),
            "Tags": tag_list(value_or(wanted.tags, {})),
        }
        operation = "CreateOpenIDConnectProvider"
        await attempt.perform(account, operation, parameters, "+", target.label, wanted.where)
        return
    require_same(target, "url", current.url, url)
    assert CLIENT_IDS.settle is not None and TAGS.settle is not None, "both can be changed"
    await CLIENT_IDS.settle(attempt, target, current, wanted)
    await _settle_thumbprints(attempt, target, current, wanted)
    await TAGS.settle(attempt, target, current, wanted)


async def _settle_thumbprints(
    attempt: Attempt,
    target: NamedEntity,
    current: OpenIdConnectProvider,
    wanted: DeclaredOpenIdConnectProvider,
) -> None:
    declared = value_or(desired(attempt, wanted.thumbprints, ()), current.thumbprints)
    if tuple(one.lower() for one in declared) != current.thumbprints:
        # A list without members is an empty parameter, as clients send it.
        parameters = {"ThumbprintList": list(declared) or ""}
        await target.change(attempt, "UpdateOpenIDConnectProviderThumbprint", parameters, "~", "thumbprints")


async def _settle_saml(attempt: Attempt, account: str, name: str, wanted: DeclaredSamlProvider) -> None:
    target, text = _saml(account, name, wanted.where), wanted.metadata.text
    current: SamlProvider | None = await attempt.store.find(SAML_PROVIDERS, account, name)
    if current is None:
        tags = tag_list(value_or(wanted.tags, {}))
        parameters = {"Name": name, "SAMLMetadataDocument": text, "Tags": tags}
        await attempt.perform(account, "CreateSAMLProvider", parameters, "+", target.label, wanted.where)
        return
    if current.metadata != text:
        await target.change(attempt, "UpdateSAMLProvider", {"SAMLMetadataDocument": text}, "~", "metadata")
    assert TAGS.settle is not None, "they can be changed"
    await TAGS.settle(attempt, target, current, wanted)
