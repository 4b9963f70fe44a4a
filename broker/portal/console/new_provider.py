"""A provider is set up in two steps: what it publishes is looked at, and then it is created.

Of an OpenID Connect provider the person pastes the issuer, and the broker fetches what that publishes, as the operation
InspectOpenIDConnectProvider. Of a SAML provider the person pastes its metadata, which say everything themselves.
"""

import asyncio
import re
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
from aiohttp import web

from broker.assertions.key_descriptions import KeyDescription
from broker.errors import Refusal
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.operations import OPERATION_FIELD, OperationForm, attempt, entered, take_form
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

INSPECT = "InspectOpenIDConnectProvider"
READ_METADATA = "ReadMetadata"  # no operation: the page reads what it is sent
LARGEST_METADATA_FORM = (
    640 << 10
)  # bytes: metadata of an AD FS are 100 kB, each + and / and = of them as three
USUAL_CLIENT = "sts.amazonaws.com"

_no_name_character = re.compile(r"[^\w.-]+", re.ASCII)


class SamlDescription(msgspec.Struct, frozen=True):
    """What a metadata document says; `suggested_name` is made of the entity id."""

    entity_id: str
    redirect_url: str
    post_url: str
    valid_until: float | None
    wants_signed_requests: bool
    certificates: tuple[KeyDescription, ...]
    suggested_name: str


async def describe_metadata(document: str) -> SamlDescription | Refusal:
    """Beside the event loop, for metadata may be long."""
    return await asyncio.to_thread(_described, document)


def _described(document: str) -> SamlDescription | Refusal:
    # Imported with the first document: lxml takes five megabytes.
    from broker.assertions.key_descriptions import describe_certificate
    from broker.assertions.saml_metadata import parse_saml_metadata

    try:
        metadata = parse_saml_metadata(document)
        certificates = tuple(map(describe_certificate, metadata.certificates))
    except ValueError as error:
        return Refusal("InvalidInput", f"Could not parse metadata: {error}")
    return SamlDescription(
        metadata.entity_id,
        metadata.redirect_url,
        metadata.post_url,
        metadata.valid_until,
        metadata.wants_signed_requests,
        certificates,
        _name_for(metadata.entity_id),
    )


def _name_for(entity_id: str) -> str:
    try:
        host = urlsplit(entity_id).hostname or entity_id
    except ValueError:
        host = entity_id
    return _no_name_character.sub("-", host).strip("-")[:128]


def openid_path(account_id: str, arn: str) -> str:
    """Where the page of an OpenID Connect provider is."""
    return f"{console_path(account_id)}/providers/openid/{quote(arn.partition(':oidc-provider/')[2])}"


def saml_path(account_id: str, arn: str) -> str:
    return f"{console_path(account_id)}/providers/saml/{quote(arn.partition(':saml-provider/')[2])}"


def without_discovery(url: str) -> str:
    """The issuer, where somebody pastes the URL of its discovery document."""
    return url.strip().removesuffix("/.well-known/openid-configuration")


async def show_openid(
    portal: Portal, visit: Visit, refusal: Refusal | None = None, inspected: Any = None
) -> web.Response:
    return await console_page(
        portal,
        visit,
        "new_openid_provider",
        refusal=refusal,
        inspected=inspected,
        url=without_discovery(visit.form.get("Url", "")),
        client=visit.form.get("ClientIDList.member.1", USUAL_CLIENT),
    )


async def take_openid(portal: Portal, visit: Visit) -> web.Response:
    account_id = visit.request.match_info["account"]
    url = {"Url": without_discovery(visit.form.get("Url", ""))}
    if visit.form.get(OPERATION_FIELD) == INSPECT:
        found = await attempt(portal, visit, INSPECT, url)
        if isinstance(found, Refusal):
            return await show_openid(portal, visit, found)
        return await show_openid(portal, visit, inspected=found)
    forms = {
        "CreateOpenIDConnectProvider": OperationForm(
            lambda answer: openid_path(account_id, answer.open_id_connect_provider_arn)
        )
    }
    return await take_form(portal, visit, forms, url, show_openid)


async def show_saml(
    portal: Portal, visit: Visit, refusal: Refusal | None = None, found: Any = None
) -> web.Response:
    return await console_page(
        portal,
        visit,
        "new_saml_provider",
        refusal=refusal,
        found=found,
        metadata=visit.form.get("SAMLMetadataDocument", ""),
    )


async def take_saml(portal: Portal, visit: Visit) -> web.Response:
    account_id = visit.request.match_info["account"]
    if visit.form.get(OPERATION_FIELD) == READ_METADATA:
        found = await describe_metadata(entered(visit).get("SAMLMetadataDocument", ""))
        if isinstance(found, Refusal):
            return await show_saml(portal, visit, found)
        return await show_saml(portal, visit, found=found)
    forms = {
        "CreateSAMLProvider": OperationForm(lambda answer: saml_path(account_id, answer.saml_provider_arn))
    }
    return await take_form(portal, visit, forms, {}, show_saml)


ROUTES = (
    console_route("GET", "/new/openid-provider", show_openid, "ConsoleNewOpenIdProvider"),
    console_route("POST", "/new/openid-provider", take_openid, "ConsoleNewOpenIdProvider"),
    console_route("GET", "/new/saml-provider", show_saml, "ConsoleNewSamlProvider"),
    console_route("POST", "/new/saml-provider", take_saml, "ConsoleNewSamlProvider", LARGEST_METADATA_FORM),
)
