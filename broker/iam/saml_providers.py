"""SAML providers, whose assertions are exchanged for credentials of roles that trust them."""

import asyncio
from typing import TYPE_CHECKING

import msgspec

from broker.access.resource import Resource
from broker.assertions.private_keys import require_private_key
from broker.errors import Refusal
from broker.iam.entities import require_room
from broker.iam.identity_propagation import refuse_identity_propagation
from broker.iam.resources import found_saml_provider
from broker.iam.tags import new_tags, tag_shapes
from broker.names.arn import iam_arn
from broker.names.secret import SecretKey
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import SAML_ENCRYPTION_REQUIRED, SamlPrivateKey, SamlProvider
from broker.storage.store import SAML_PROVIDERS

if TYPE_CHECKING:
    from broker.assertions.saml_metadata import ProviderMetadata

MOST_PRIVATE_KEYS = 2

# IAM's validity for metadata without validUntil: a hundred years.
_LONGEST_VALIDITY = 100 * 365 * 24 * 3600  # seconds

_PROVIDER_ID, _PRIVATE_KEY_ID = "SAMLPROV", "SAMLKEY"


async def new_saml_provider(call: Call, request: shapes.CreateSAMLProviderRequest) -> Prepared[None]:
    return Prepared(Resource(iam_arn(call.account, f"saml-provider/{request.name}")), None)


@operation("iam:CreateSAMLProvider", prepare=new_saml_provider)
async def create_saml_provider(
    call: Call, request: shapes.CreateSAMLProviderRequest, prepared: Prepared[None]
) -> shapes.CreateSAMLProviderResponse:
    refuse_identity_propagation(request)
    provider = SamlProvider(
        account_id=call.account,
        name=request.name,
        provider_id=call.new_id(_PROVIDER_ID),
        metadata=request.saml_metadata_document,
        valid_until=await _require_metadata(call, request.saml_metadata_document),
        encryption_mode=request.assertion_encryption_mode or "",
        private_keys=_with_key(call, (), request.add_private_key),
        created_at=int(call.now),
        tags=await new_tags(call, "iam:TagSAMLProvider", prepared.resource, request),
    )
    _require_openable(provider)
    if await call.store.find(SAML_PROVIDERS, call.account, provider.name) is not None:
        raise Refusal("EntityAlreadyExists", f"SAML Provider with name {request.name} already exists.")
    present = await call.store.scan(SAML_PROVIDERS, call.account)
    require_room(call, present, "saml_providers", "SAMLProvidersPerAccount")
    _put(call, provider)
    return shapes.CreateSAMLProviderResponse(saml_provider_arn=provider.arn, tags=tag_shapes(provider.tags))


@operation("iam:UpdateSAMLProvider", prepare=found_saml_provider)
async def update_saml_provider(
    call: Call, request: shapes.UpdateSAMLProviderRequest, prepared: Prepared[SamlProvider]
) -> shapes.UpdateSAMLProviderResponse:
    """Properties that the request does not have are not changed."""
    refuse_identity_propagation(request)
    provider = prepared.found
    metadata = request.saml_metadata_document
    if metadata is not None:
        valid_until = await _require_metadata(call, metadata)
        provider = msgspec.structs.replace(provider, metadata=metadata, valid_until=valid_until)
    keys = _without_key(provider, request.remove_private_key)
    provider = msgspec.structs.replace(
        provider,
        private_keys=_with_key(call, keys, request.add_private_key),
        encryption_mode=request.assertion_encryption_mode or provider.encryption_mode,
    )
    _require_openable(provider)
    _put(call, provider)
    return shapes.UpdateSAMLProviderResponse(saml_provider_arn=provider.arn)


@operation("iam:GetSAMLProvider", prepare=found_saml_provider)
async def get_saml_provider(
    call: Call, request: shapes.GetSAMLProviderRequest, prepared: Prepared[SamlProvider]
) -> shapes.GetSAMLProviderResponse:
    provider = prepared.found
    return shapes.GetSAMLProviderResponse(
        saml_provider_uuid=provider.provider_id,
        saml_metadata_document=provider.metadata,
        create_date=provider.created_at,
        valid_until=provider.valid_until,
        tags=tag_shapes(provider.tags),
        assertion_encryption_mode=provider.encryption_mode or None,
        private_key_list=tuple(
            shapes.SAMLPrivateKey(key_id=key.key_id, timestamp=key.added_at) for key in provider.private_keys
        ),
    )


@operation("iam:ListSAMLProviders", prepare=no_resource)
async def list_saml_providers(
    call: Call, request: shapes.ListSAMLProvidersRequest, prepared: Prepared[None]
) -> shapes.ListSAMLProvidersResponse:
    providers = await call.store.scan(SAML_PROVIDERS, call.account)
    return shapes.ListSAMLProvidersResponse(
        saml_provider_list=tuple(
            shapes.SAMLProviderListEntry(
                arn=provider.arn, valid_until=provider.valid_until, create_date=provider.created_at
            )
            for provider in providers
        )
    )


@operation("iam:DeleteSAMLProvider", prepare=found_saml_provider)
async def delete_saml_provider(
    call: Call, request: shapes.DeleteSAMLProviderRequest, prepared: Prepared[SamlProvider]
) -> None:
    """Roles that trust it are not changed, but cannot be assumed with its assertions any more."""
    call.store.delete(SAML_PROVIDERS, call.account, prepared.found.name)


def _put(call: Call, provider: SamlProvider) -> None:
    call.store.put(SAML_PROVIDERS, call.account, provider)


async def _require_metadata(call: Call, document: str) -> int:
    """Until when the metadata is valid; raises InvalidInput for metadata that can verify no assertion."""
    try:
        metadata = await asyncio.to_thread(_parsed, document)
    except ValueError as error:
        raise Refusal("InvalidInput", f"Could not parse metadata: {error}") from None
    latest = call.now + _LONGEST_VALIDITY
    valid_until = latest if metadata.valid_until is None else min(metadata.valid_until, latest)
    if valid_until <= call.now:
        raise Refusal("InvalidInput", "The metadata document has expired.")
    return int(valid_until)


def _parsed(document: str) -> "ProviderMetadata":
    # Imported with the first provider: lxml takes five megabytes.
    from broker.assertions.saml_metadata import parse_saml_metadata

    return parse_saml_metadata(document)


def _with_key(call: Call, keys: tuple[SamlPrivateKey, ...], pem: str | None) -> tuple[SamlPrivateKey, ...]:
    if pem is None:
        return keys
    try:
        require_private_key(pem)
    except ValueError as error:
        raise Refusal("InvalidInput", f"The private key cannot be used: {error}.") from None
    if len(keys) >= MOST_PRIVATE_KEYS:
        raise Refusal(
            "LimitExceeded", f"Cannot exceed quota for PrivateKeysPerSAMLProvider: {MOST_PRIVATE_KEYS}"
        )
    added = SamlPrivateKey(key_id=call.new_id(_PRIVATE_KEY_ID), added_at=int(call.now), key=SecretKey(pem))
    return (*keys, added)


def _without_key(provider: SamlProvider, key_id: str | None) -> tuple[SamlPrivateKey, ...]:
    keys = provider.private_keys
    if key_id is None:
        return keys
    left = tuple(key for key in keys if key.key_id != key_id)
    if left == keys:
        raise Refusal("NoSuchEntity", f"The private key {key_id} cannot be found.")
    return left


def _require_openable(provider: SamlProvider) -> None:
    """Raises where encryption is required without a private key: no assertion could be decrypted."""
    if provider.encryption_mode == SAML_ENCRYPTION_REQUIRED and not provider.private_keys:
        raise Refusal("InvalidInput", "A private key is needed where encrypted assertions are required.")
