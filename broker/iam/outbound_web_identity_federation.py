"""Outbound web identity federation: whether the account issues web identity tokens, and under which identifier.

An issuer has the same identifier after it was disabled and enabled again, since verifiers trust it by that. The
identifier is random: it does not contain the account's id, and the issuers of accounts cannot be enumerated. Issued
tokens remain valid while the issuer is disabled ("This operation does not affect tokens that were issued before").
"""

from msgspec.structs import replace

from broker.assertions.token_signing import SIGNING_ALGORITHMS
from broker.audit.event import uuid_text
from broker.credentials.issuer_keys import new_token_keys
from broker.errors import Refusal, not_implemented
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import IssuerAccount, TokenIssuer
from broker.storage.store import ISSUER_ACCOUNTS, TOKEN_ISSUERS

_NO_URL = "This broker issues no web identity tokens: its operator has not set federation.issuer_url."


@operation("iam:EnableOutboundWebIdentityFederation", prepare=no_resource)
async def enable_outbound_web_identity_federation(
    call: Call, request: None, prepared: Prepared[None]
) -> shapes.EnableOutboundWebIdentityFederationResponse:
    rules = call.federation.issuer
    if not rules.url:
        raise not_implemented(_NO_URL)
    issuer = await call.store.find(TOKEN_ISSUERS, call.account)
    if issuer is not None and issuer.is_enabled:
        raise Refusal("FeatureEnabled", "Outbound identity federation is already enabled for this account.")
    if issuer is None:
        issuer = await _new_issuer(call)
    call.store.put(TOKEN_ISSUERS, call.account, replace(issuer, is_enabled=True))
    return shapes.EnableOutboundWebIdentityFederationResponse(
        issuer_identifier=rules.identifier(issuer.issuer_id)
    )


async def _new_issuer(call: Call) -> TokenIssuer:
    """The first keys sign at once: no verifier can have cached earlier ones."""
    issuer = TokenIssuer(
        issuer_id=uuid_text(call.entropy(16)),
        keys=await new_token_keys(SIGNING_ALGORITHMS, call.now, call.now, call.entropy),
    )
    owner = IssuerAccount(issuer_id=issuer.issuer_id, account_id=call.account)
    call.store.put(ISSUER_ACCOUNTS, "", owner)
    return issuer


@operation("iam:DisableOutboundWebIdentityFederation", prepare=no_resource)
async def disable_outbound_web_identity_federation(
    call: Call, request: None, prepared: Prepared[None]
) -> None:
    issuer = await _get_enabled(call)
    call.store.put(TOKEN_ISSUERS, call.account, replace(issuer, is_enabled=False))


@operation("iam:GetOutboundWebIdentityFederationInfo", prepare=no_resource)
async def get_outbound_web_identity_federation_info(
    call: Call, request: None, prepared: Prepared[None]
) -> shapes.GetOutboundWebIdentityFederationInfoResponse:
    """Raises FeatureDisabled where the issuer is off, as IAM does instead of answering false."""
    issuer = await _get_enabled(call)
    rules = call.federation.issuer
    if not rules.url:
        raise not_implemented(_NO_URL)
    return shapes.GetOutboundWebIdentityFederationInfoResponse(
        issuer_identifier=rules.identifier(issuer.issuer_id), jwt_vending_enabled=True
    )


async def _get_enabled(call: Call) -> TokenIssuer:
    issuer = await call.store.find(TOKEN_ISSUERS, call.account)
    if issuer is None or not issuer.is_enabled:
        raise Refusal("FeatureDisabled", "Outbound identity federation is disabled for this account.")
    return issuer
