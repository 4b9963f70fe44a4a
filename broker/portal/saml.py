"""Sign in at a SAML provider: begun here (SP-initiated), or at the provider (IdP-initiated) as at AWS's own address.

SAML 2.0 profiles, 4.1, and "Configure SAML assertions for the authentication response" (IAM User Guide). A response
comes by a form of another site, with which browsers send no cookie of ours (SameSite). So it is handed on, sealed, to a
page of ours. One that answers a request of ours signs in only in the browser that made the request; an unasked one asks
first where somebody else is signed in. RelayState is not followed.
"""

import asyncio
from typing import TYPE_CHECKING

import msgspec
from aiohttp import web
from msgspec.structs import replace

from broker.access.saml_subjects import longest_session, verified_assertion
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.saml_assertion import Expected, SamlAssertion
from broker.assertions.saml_attributes import offered_roles, role_session_name
from broker.audit.event import iso_time
from broker.credentials.saml_request_keys import request_keys
from broker.errors import Refusal, service_unavailable
from broker.federation.replay import use_once
from broker.federation.saml_sign_in import SamlSignIn
from broker.portal.cookies import BegunSignIn
from broker.portal.dependencies import Portal
from broker.portal.headers import forms_may_lead_to
from broker.portal.rendering import page, see_other
from broker.portal.replacing import ask_first, end_replaced, is_somebody_else
from broker.portal.routes import Route
from broker.portal.sign_in import refused_at_provider
from broker.portal.signing_in import begin_federated_session, new_state, with_state
from broker.portal.visit import LARGEST_FOREIGN_FORM, Visit, is_own_page
from broker.sealing.envelope import SealBroken
from broker.sealing.message import open_message, seal_message
from broker.storage.portal_records import SamlIdentity
from broker.storage.records import SAML_ENCRYPTION_REQUIRED, SamlProvider
from broker.storage.store import SAML_PROVIDERS, Transaction

if TYPE_CHECKING:
    from broker.assertions.saml_request import RequestSigner

CONSUMER = "/saml"
_OLDER_CONSUMER = "/static/saml"  # AWS's, which identity providers that were set up for it long ago still use
_CONSUMER_OF_ONE = "/saml/acs/{provider:[A-Z0-9]{1,64}}"
_GO_ON, _REPLACE = "/saml/go-on", "/saml/replace"
_PROVEN = "proven"  # the field of what was handed on
_METADATA = "/static/saml-metadata.xml"  # as AWS calls it
_ID_SIZE = 16
_PURPOSE = b"portal saml"
_ENTROPY = 16
# Accounts whose providers one assertion may be verified against: AWS's session has room for few roles, too.
_MOST_PROVIDERS = 50


class ProvenHere(msgspec.Struct, frozen=True, array_like=True):
    """A verified response, on its way to the browser; `in_response_to` is "" where no request was made."""

    identity: SamlIdentity
    in_response_to: str
    longest: int | None


async def begin(portal: Portal, visit: Visit) -> web.Response:
    """Send the browser to the provider with a request."""
    sign_in = portal.sign_ins.find_saml(visit.request.match_info["name"])
    if sign_in is None:
        raise web.HTTPNotFound
    # Imported with the first request: lxml and xmlsec take eleven megabytes.
    from broker.assertions.saml_metadata import provider_metadata
    from broker.assertions.saml_request import AuthenticationRequest

    provider = await _find_provider(portal.tools.store.transaction(), sign_in.provider)
    if provider is None:
        raise service_unavailable(f"sign-in with {sign_in.name}: there is no {sign_in.provider}")
    metadata = provider_metadata(provider.metadata)
    destination = metadata.redirect_url or metadata.post_url
    if not destination:
        raise service_unavailable(
            f"sign-in with {sign_in.name}: the metadata of {sign_in.provider} has no SingleSignOnService that takes "
            "requests by redirect or POST"
        )
    begun = BegunSignIn(sign_in.name, int(visit.facts.now), f"_{portal.tools.entropy(_ID_SIZE).hex()}")
    request = AuthenticationRequest(
        request_id=begun.state,
        issued_at=iso_time(visit.facts.now),
        destination=destination,
        consumer_url=_consumer_of(visit, provider),
        entity_id=portal.tools.federation.saml.audiences[0],
    )
    signs = sign_in.sign_requests or metadata.wants_signed_requests
    signer = (await _signers(portal, visit))[0] if signs else None
    state = replace(new_state(portal, visit), begun=begun)
    if metadata.redirect_url:
        return with_state(portal, visit, see_other(request.redirect_url(signer)), state)
    value = request.form_value(signer)
    response = _form_to(portal, visit, destination, "SAMLRequest", value, sign_in.title)
    forms_may_lead_to(response, destination)
    return with_state(portal, visit, response, state)


def _consumer_of(visit: Visit, provider: SamlProvider) -> str:
    """Where the answer is to come to: as on AWS, the address of this provider alone where it has to be encrypted."""
    is_encrypted = provider.encryption_mode == SAML_ENCRYPTION_REQUIRED
    return f"{visit.origin}{CONSUMER}{f'/acs/{provider.provider_id}' if is_encrypted else ''}"


async def _signers(portal: Portal, visit: Visit) -> list["RequestSigner"]:
    """The keys that may sign a request, the one that does so now first."""
    from broker.assertions.saml_request import RequestSigner

    tools = portal.tools
    keys = await request_keys(tools.store, visit.facts.now, tools.entropy)
    return [RequestSigner(one.private_key, one.certificate) for one in keys]


async def consume(portal: Portal, visit: Visit) -> web.Response:
    """What a provider has the browser post: a response, for a request of ours or unasked."""
    portal.tools.journal.catch_up()
    title, checks = "The identity provider", Checks()
    try:
        text = visit.form.get("SAMLResponse", "")
        sign_in, provider = await _issuer_of(
            portal, text, visit.request.match_info.get("provider", ""), checks
        )
        title = sign_in.title
        assertion = await _verify(portal, visit, text, provider, checks)
        identity = await _identity_of(portal, visit, sign_in, text, assertion, checks)
        longest = longest_session(assertion, visit.facts.now, checks)
    except CheckFailed as failed:
        return await refused_at_provider(portal, visit, title, f"check failed: {failed}")
    proven = msgspec.msgpack.encode(ProvenHere(identity, assertion.in_response_to, longest))
    keyring = portal.tools.mint.keyring()
    try:
        sealed = seal_message(keyring, _PURPOSE, proven, b"", portal.tools.entropy(_ENTROPY))
    except ValueError as error:
        return await refused_at_provider(portal, visit, title, str(error))
    return _form_to(portal, visit, _GO_ON, _PROVEN, sealed, title)


async def go_on(portal: Portal, visit: Visit) -> web.Response:
    """What was proven, in the browser that it is for."""
    portal.tools.journal.catch_up()
    title, checks = "The identity provider", Checks()
    try:
        proven = _open_proven(portal, visit)
        title = portal.sign_ins.title_of(proven.identity)
        if proven.in_response_to:
            _require_own_request(visit, proven, checks)
        else:
            _require_own_page(visit, checks)
    except (CheckFailed, SealBroken, msgspec.DecodeError) as error:
        return await refused_at_provider(portal, visit, title, f"check failed: {error}")
    if not proven.in_response_to and is_somebody_else(visit, proven.identity):
        return ask_first(portal, visit, proven.identity, _REPLACE, {_PROVEN: visit.form[_PROVEN]})
    return await _replace(portal, visit, proven)


async def replace_session(portal: Portal, visit: Visit) -> web.Response:
    """The person has read who would be signed in, and goes on."""
    portal.tools.journal.catch_up()
    try:
        proven = _open_proven(portal, visit)
        Checks().require("request", not proven.in_response_to, found=proven.in_response_to, wanted="none")
    except (CheckFailed, SealBroken, msgspec.DecodeError) as error:
        title = "The identity provider"
        return await refused_at_provider(portal, visit, title, f"check failed: {error}")
    return await _replace(portal, visit, proven)


async def _replace(portal: Portal, visit: Visit, proven: ProvenHere) -> web.Response:
    response = await _finish(portal, visit, proven.identity, proven.longest)
    await end_replaced(portal, visit)
    return response


def _open_proven(portal: Portal, visit: Visit) -> ProvenHere:
    """Raises SealBroken or msgspec.DecodeError."""
    keyring = portal.tools.mint.keyring()
    text = open_message(keyring, _PURPOSE, visit.form.get(_PROVEN, ""), b"", visit.facts.now)
    return msgspec.msgpack.decode(text, type=ProvenHere)


def _require_own_request(visit: Visit, proven: ProvenHere, checks: Checks) -> None:
    """Only the browser that made the request signs in (login CSRF); raises CheckFailed."""
    begun = visit.state.begun if visit.state is not None else None
    is_ours = begun is not None and begun.lives(visit.facts.now)
    checks.require("sign-in", is_ours, found="none of this browser", wanted="one that it began")
    assert begun is not None
    checks.require(
        "request",
        (begun.sign_in, begun.state) == (proven.identity.sign_in, proven.in_response_to),
        found=proven.in_response_to,
        wanted=begun.state,
    )


def _require_own_page(visit: Visit, checks: Checks) -> None:
    """Else the browser would send no cookie, and nobody would seem to be signed in; raises CheckFailed."""
    is_own = is_own_page(visit.request.headers, visit.origin)
    checks.require("page", is_own, found="a page of another site", wanted="one of the portal")


async def show_metadata(portal: Portal, visit: Visit) -> web.Response:
    """What an identity provider is given to know us by, with the certificates of our requests where any are signed."""
    from broker.assertions.saml_metadata import provider_metadata
    from broker.assertions.saml_request import service_provider_metadata

    store, consumers, signs = portal.tools.store.transaction(), [f"{visit.origin}{CONSUMER}"], []
    for sign_in in portal.sign_ins.saml:
        provider = await _find_provider(store, sign_in.provider)
        if provider is not None:
            consumers.append(f"{visit.origin}{CONSUMER}/acs/{provider.provider_id}")
            wants = provider_metadata(provider.metadata).wants_signed_requests
            signs.append(sign_in.sign_requests or wants)
    certificates = [one.certificate for one in await _signers(portal, visit)] if any(signs) else []
    document = service_provider_metadata(
        portal.tools.federation.saml.audiences[0],
        consumers,
        certificates,
        signs=any(signs) and all(signs),
    )
    return web.Response(body=document, content_type="application/samlmetadata+xml")


async def _finish(portal: Portal, visit: Visit, identity: SamlIdentity, longest: int | None) -> web.Response:
    async def require_unused(store: Transaction) -> None:
        """In every account that it counts in: so that STS does not take it there, either."""
        now, until = visit.facts.now, identity.expires_at
        checked = visit.facts.now < until
        accounts = sorted({arn.split(":")[4] for arn in identity.providers})
        if portal.tools.federation.saml.allow_replay:
            accounts = []
        for account in accounts:
            is_first = await use_once(store, account, identity.issuer, identity.assertion_id, now, until)
            checked = checked and is_first
        if not checked:
            raise Refusal("AccessDenied", "This sign-in was used already.", status=403)

    noted = {"samlProviderArn": identity.providers[0]}
    return await begin_federated_session(
        portal, visit, identity, require_unused, longest=longest, noted=noted
    )


async def _issuer_of(
    portal: Portal, text: str, provider_id: str, checks: Checks
) -> tuple[SamlSignIn, SamlProvider]:
    """The way in whose provider the response names as its issuer; only a signature proves it.

    `provider_id` is in the address that the response came to; "" where that is the one of all providers.
    """
    from broker.assertions.saml_metadata import provider_metadata
    from broker.assertions.saml_response import read_response, unverified_issuer

    root = await asyncio.to_thread(read_response, text, checks)
    issuer = unverified_issuer(root)
    store = portal.tools.store.transaction()
    for sign_in in portal.sign_ins.saml:
        provider = await _find_provider(store, sign_in.provider)
        if provider is None or provider_id not in ("", provider.provider_id):
            continue
        if provider_metadata(provider.metadata).entity_id == issuer:
            return sign_in, provider
    raise checks.fail("issuer", found=issuer, wanted="that of an entry of portal.saml")


async def _verify(
    portal: Portal, visit: Visit, text: str, provider: SamlProvider, checks: Checks
) -> SamlAssertion:
    federation = portal.tools.federation
    expected = Expected(
        (
            *federation.saml.recipients,
            f"{visit.origin}{CONSUMER}",
            f"{visit.origin}{_OLDER_CONSUMER}",
            f"{visit.origin}{CONSUMER}/acs/{provider.provider_id}",
        ),
        federation.saml.audiences,
        allow_sha1=federation.saml.allow_sha1,
        leeway=federation.leeway,
        provider_id=provider.provider_id,
    )
    return await asyncio.to_thread(verified_assertion, text, provider, expected, visit.facts.now, checks)


async def _identity_of(
    portal: Portal, visit: Visit, sign_in: SamlSignIn, text: str, assertion: SamlAssertion, checks: Checks
) -> SamlIdentity:
    """Who it is, and which of the providers that the Role attribute names vouch for that as well."""
    offered = [one.provider_arn for one in offered_roles(assertion, checks)]
    store = portal.tools.store.transaction()
    verified, known = [sign_in.provider], {}
    first = await _find_provider(store, sign_in.provider)
    if first is not None:
        known[first.metadata] = True
    for arn in list(dict.fromkeys(offered))[:_MOST_PROVIDERS]:
        provider = await _find_provider(store, arn)
        if provider is None or arn in verified:
            continue
        if provider.metadata not in known or provider.encryption_mode:
            known[provider.metadata] = await _vouches(portal, visit, text, provider)
        if known[provider.metadata]:
            verified.append(arn)
    return SamlIdentity(
        sign_in=sign_in.name,
        name=role_session_name(assertion, checks),
        providers=tuple(verified),
        assertion_id=assertion.id,
        issuer=assertion.issuer,
        name_id=assertion.name_id.value,
        name_id_format=assertion.name_id.format,
        recipient=assertion.recipient,
        audiences=assertion.audiences,
        issued_at=assertion.issued_at,
        expires_at=assertion.expires_at,
        session_expires_at=assertion.session_expires_at,
        attributes=dict(assertion.attributes),
    )


async def _vouches(portal: Portal, visit: Visit, text: str, provider: SamlProvider) -> bool:
    """Whether the response is verified against this provider, too: each account has metadata of its own."""
    try:
        await _verify(portal, visit, text, provider, Checks())
    except CheckFailed:
        return False
    return True


async def _find_provider(store: Transaction, arn: str) -> SamlProvider | None:
    parts = arn.split(":", 5)
    if len(parts) != 6:
        return None
    provider = await store.find(SAML_PROVIDERS, parts[4], parts[5].partition("/")[2])
    return provider if provider is not None and provider.arn == arn else None


def _form_to(portal: Portal, visit: Visit, action: str, field: str, value: str, title: str) -> web.Response:
    """A page that hands a value on: by itself with scripts, by a button without."""
    return page(portal, visit, "hand_on", action=action, field=field, value=value, provider=title)


ROUTES = (
    Route("GET", "/sign-in/saml/{name:[a-z0-9-]{1,40}}", begin, "SignInWithSaml", is_open=True),
    Route("GET", _METADATA, show_metadata, "SamlMetadata", is_open=True),
    Route("POST", CONSUMER, consume, "Saml", is_open=True, is_from_elsewhere=True),
    Route("POST", _OLDER_CONSUMER, consume, "Saml", is_open=True, is_from_elsewhere=True),
    Route("POST", _CONSUMER_OF_ONE, consume, "Saml", is_open=True, is_from_elsewhere=True),
    Route("POST", _GO_ON, go_on, "Saml", is_open=True, is_from_elsewhere=True),
    Route("POST", _REPLACE, replace_session, "Saml", is_of_console=True, largest_form=LARGEST_FOREIGN_FORM),
)
