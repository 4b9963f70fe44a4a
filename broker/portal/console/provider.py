"""One identity provider: what it publishes, which roles trust it, a trust policy to copy, and a test sign-in."""

from typing import Any

from aiohttp import web

from broker.errors import Refusal
from broker.names.arn import iam_arn
from broker.portal.console.frame import console_page, console_path, console_route
from broker.portal.console.new_provider import (
    INSPECT,
    LARGEST_METADATA_FORM,
    describe_metadata,
    openid_path,
    saml_path,
)
from broker.portal.console.operations import OPERATION_FIELD, OperationForm, attempt, take_form
from broker.portal.console.test_sign_in import LONGEST_FORM, returned_to
from broker.portal.console.trust_templates import openid_trust_policy, saml_trust_policy
from broker.portal.console.trusting_roles import find_trusting_roles
from broker.portal.dependencies import Portal
from broker.portal.visit import Visit

_OPENID = r"/providers/openid/{name:.{1,255}}"
_SAML = r"/providers/saml/{name:[\w._-]{1,128}}"
_OF_OPENID = ("AddClientIDToOpenIDConnectProvider", "RemoveClientIDFromOpenIDConnectProvider")
_OF_SAML = ("UpdateSAMLProvider",)


def openid_arn(visit: Visit) -> str:
    matched = visit.request.match_info
    return iam_arn(matched["account"], f"oidc-provider/{matched['name']}")


def _saml_arn(visit: Visit) -> str:
    matched = visit.request.match_info
    return iam_arn(matched["account"], f"saml-provider/{matched['name']}")


async def show_openid(
    portal: Portal, visit: Visit, refusal: Refusal | None = None, inspected: Any = None
) -> web.Response:
    arn = openid_arn(visit)
    found = await attempt(portal, visit, "GetOpenIDConnectProvider", {"OpenIDConnectProviderArn": arn})
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    clients = tuple(found.client_id_list)
    return await console_page(
        portal,
        visit,
        "openid_provider",
        refusal=refusal,
        provider=found,
        arn=arn,
        here=openid_path(visit.request.match_info["account"], arn),
        inspected=inspected,
        roles=await find_trusting_roles(portal, visit, arn),
        trust_policy=openid_trust_policy(arn, clients[0] if clients else ""),
        returned_to=returned_to(visit, arn),
    )


async def act_openid(portal: Portal, visit: Visit) -> web.Response:
    arn, account_id = openid_arn(visit), visit.request.match_info["account"]
    if visit.form.get(OPERATION_FIELD) == INSPECT:
        found = await attempt(portal, visit, INSPECT, {"Url": f"https://{visit.request.match_info['name']}"})
        if isinstance(found, Refusal):
            return await show_openid(portal, visit, found)
        return await show_openid(portal, visit, inspected=found)
    here = openid_path(account_id, arn)
    forms = {
        **{operation: OperationForm(lambda _answer: here) for operation in _OF_OPENID},
        "DeleteOpenIDConnectProvider": OperationForm(lambda _answer: f"{console_path(account_id)}/providers"),
    }
    return await take_form(portal, visit, forms, {"OpenIDConnectProviderArn": arn}, show_openid)


async def show_saml(portal: Portal, visit: Visit, refusal: Refusal | None = None) -> web.Response:
    arn = _saml_arn(visit)
    found = await attempt(portal, visit, "GetSAMLProvider", {"SAMLProviderArn": arn})
    if isinstance(found, Refusal):
        return await console_page(portal, visit, "refused", refusal=found)
    return await console_page(
        portal,
        visit,
        "saml_provider",
        refusal=refusal,
        provider=found,
        arn=arn,
        here=saml_path(visit.request.match_info["account"], arn),
        found=await describe_metadata(found.saml_metadata_document or ""),
        roles=await find_trusting_roles(portal, visit, arn),
        trust_policy=saml_trust_policy(arn),
    )


async def act_saml(portal: Portal, visit: Visit) -> web.Response:
    arn, account_id = _saml_arn(visit), visit.request.match_info["account"]
    here = saml_path(account_id, arn)
    forms = {
        **{operation: OperationForm(lambda _answer: here) for operation in _OF_SAML},
        "DeleteSAMLProvider": OperationForm(lambda _answer: f"{console_path(account_id)}/providers"),
    }
    return await take_form(portal, visit, forms, {"SAMLProviderArn": arn}, show_saml)


ROUTES = (
    console_route("GET", _OPENID, show_openid, "ConsoleOpenIdProvider"),
    console_route("POST", _OPENID, act_openid, "ConsoleOpenIdProvider"),
    console_route("GET", _SAML, show_saml, "ConsoleSamlProvider"),
    console_route("POST", _SAML, act_saml, "ConsoleSamlProvider", max(LARGEST_METADATA_FORM, LONGEST_FORM)),
)
