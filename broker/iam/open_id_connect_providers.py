"""OpenID Connect providers, whose tokens are exchanged for credentials of roles that trust them."""

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

import msgspec

from broker.access.resource import Resource
from broker.errors import Refusal, validation_error
from broker.iam.entities import require_room
from broker.iam.identity_propagation import refuse_identity_propagation, require_one_change
from broker.iam.resources import found_open_id_connect_provider
from broker.iam.tags import new_tags, tag_shapes
from broker.names.arn import iam_arn
from broker.operation import Absent, Call, Prepared, no_resource, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import OpenIdConnectProvider
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS

MOST_THUMBPRINTS = 5

_is_thumbprint = re.compile(r"[0-9a-fA-F]{40}").fullmatch
# A provider's name is the prefix of its tokens' condition keys, so it must never be `aws:`, `sts:` and the like.
_is_host = re.compile(
    r"[a-z0-9-]+(\.[a-z0-9-]+)+|localhost|[a-z0-9.-]+:[0-9]{1,5}|\[[0-9a-f:]+\](:[0-9]{1,5})?"
).fullmatch


async def new_open_id_connect_provider(
    call: Call, request: shapes.CreateOpenIDConnectProviderRequest
) -> Prepared[None]:
    return Prepared(Resource(iam_arn(call.account, f"oidc-provider/{request.url.partition('://')[2]}")), None)


@operation("iam:CreateOpenIDConnectProvider", prepare=new_open_id_connect_provider)
async def create_open_id_connect_provider(
    call: Call, request: shapes.CreateOpenIDConnectProviderRequest, prepared: Prepared[None]
) -> shapes.CreateOpenIDConnectProviderResponse:
    """A thumbprint is needed only for a certificate that no trusted authority vouches for; none is looked up here."""
    refuse_identity_propagation(request)
    provider = OpenIdConnectProvider(
        account_id=call.account,
        url=require_provider_url(call, request.url),
        client_ids=tuple(dict.fromkeys(request.client_id_list)),
        thumbprints=_require_thumbprints(request.thumbprint_list),
        created_at=int(call.now),
        tags=await new_tags(call, "iam:TagOpenIDConnectProvider", prepared.resource, request),
    )
    _require_room_for_client_ids(call, provider.client_ids)
    if await call.store.find(OPEN_ID_CONNECT_PROVIDERS, call.account, provider.name) is not None:
        raise Refusal("EntityAlreadyExists", f"Provider with url {request.url} already exists.")
    present = await call.store.scan(OPEN_ID_CONNECT_PROVIDERS, call.account)
    require_room(call, present, "open_id_connect_providers", "OpenIDConnectProvidersPerAccount")
    call.store.put(OPEN_ID_CONNECT_PROVIDERS, call.account, provider)
    return shapes.CreateOpenIDConnectProviderResponse(
        open_id_connect_provider_arn=provider.arn, tags=tag_shapes(provider.tags)
    )


@operation("iam:GetOpenIDConnectProvider", prepare=found_open_id_connect_provider)
async def get_open_id_connect_provider(
    call: Call,
    request: shapes.GetOpenIDConnectProviderRequest,
    prepared: Prepared[OpenIdConnectProvider],
) -> shapes.GetOpenIDConnectProviderResponse:
    provider = prepared.found
    return shapes.GetOpenIDConnectProviderResponse(
        url=provider.name,  # as IAM shows it: without the scheme
        client_id_list=provider.client_ids,
        thumbprint_list=provider.thumbprints,
        create_date=provider.created_at,
        tags=tag_shapes(provider.tags),
    )


@operation("iam:ListOpenIDConnectProviders", prepare=no_resource)
async def list_open_id_connect_providers(
    call: Call, request: shapes.ListOpenIDConnectProvidersRequest, prepared: Prepared[None]
) -> shapes.ListOpenIDConnectProvidersResponse:
    providers = await call.store.scan(OPEN_ID_CONNECT_PROVIDERS, call.account)
    return shapes.ListOpenIDConnectProvidersResponse(
        open_id_connect_provider_list=tuple(
            shapes.OpenIDConnectProviderListEntry(arn=provider.arn) for provider in providers
        )
    )


async def _found_to_delete(
    call: Call, request: shapes.DeleteOpenIDConnectProviderRequest
) -> Prepared[OpenIdConnectProvider] | Absent:
    """AWS says in words of its own that there is none, although its documentation calls deletion idempotent."""
    prepared = await found_open_id_connect_provider(call, request)
    if isinstance(prepared, Prepared):
        return prepared
    arn = request.open_id_connect_provider_arn
    return Absent(
        prepared.resource, Refusal("NoSuchEntity", f"OpenId connect Provider {arn} cannot be found.")
    )


@operation("iam:DeleteOpenIDConnectProvider", prepare=_found_to_delete)
async def delete_open_id_connect_provider(
    call: Call,
    request: shapes.DeleteOpenIDConnectProviderRequest,
    prepared: Prepared[OpenIdConnectProvider],
) -> None:
    """Roles that trust it are not changed, but cannot be assumed with its tokens any more."""
    call.store.delete(OPEN_ID_CONNECT_PROVIDERS, call.account, prepared.found.name)


@operation("iam:AddClientIDToOpenIDConnectProvider", prepare=found_open_id_connect_provider)
async def add_client_id_to_open_id_connect_provider(
    call: Call,
    request: shapes.AddClientIDToOpenIDConnectProviderRequest,
    prepared: Prepared[OpenIdConnectProvider],
) -> None:
    """Adding an existing client id changes nothing, and is no error."""
    provider = prepared.found
    client_ids = tuple(dict.fromkeys((*provider.client_ids, request.client_id)))
    _require_room_for_client_ids(call, client_ids)
    _put(call, msgspec.structs.replace(provider, client_ids=client_ids))


@operation("iam:RemoveClientIDFromOpenIDConnectProvider", prepare=found_open_id_connect_provider)
async def remove_client_id_from_open_id_connect_provider(
    call: Call,
    request: shapes.RemoveClientIDFromOpenIDConnectProviderRequest,
    prepared: Prepared[OpenIdConnectProvider],
) -> None:
    """Removing a client id that does not exist changes nothing, and is no error."""
    provider = prepared.found
    left = tuple(client_id for client_id in provider.client_ids if client_id != request.client_id)
    _put(call, msgspec.structs.replace(provider, client_ids=left))


@operation("iam:UpdateOpenIDConnectProviderThumbprint", prepare=found_open_id_connect_provider)
async def update_open_id_connect_provider_thumbprint(
    call: Call,
    request: shapes.UpdateOpenIDConnectProviderThumbprintRequest,
    prepared: Prepared[OpenIdConnectProvider],
) -> None:
    thumbprints = _require_thumbprints(request.thumbprint_list)
    _put(call, msgspec.structs.replace(prepared.found, thumbprints=thumbprints))


@operation("iam:UpdateOpenIDConnectProvider", prepare=found_open_id_connect_provider)
async def update_open_id_connect_provider(
    call: Call,
    request: shapes.UpdateOpenIDConnectProviderRequest,
    prepared: Prepared[OpenIdConnectProvider],
) -> None:
    """It is for trusted identity propagation alone: to remove that changes nothing, to set it up is refused."""
    require_one_change(request)
    refuse_identity_propagation(request)


def _put(call: Call, provider: OpenIdConnectProvider) -> None:
    call.store.put(OPEN_ID_CONNECT_PROVIDERS, call.account, provider)


def require_provider_url(call: Call, url: str) -> str:
    """The issuer; raises ValidationError for a URL that no token can have, or that the broker may not fetch."""
    try:
        parts = urlsplit(url)
        host = parts.netloc
    except ValueError:
        raise validation_error("Invalid Open ID Connect Provider URL") from None
    schemes = ("https", "http") if call.federation.reach.plain_http else ("https",)
    is_plain = (
        not parts.query and not parts.fragment and url.isascii() and url.isprintable() and " " not in url
    )
    if parts.scheme not in schemes or not _is_host(host) or not is_plain:
        raise validation_error("Invalid Open ID Connect Provider URL")
    return url


def _require_thumbprints(thumbprints: Iterable[str]) -> tuple[str, ...]:
    found = tuple(dict.fromkeys(thumbprint.lower() for thumbprint in thumbprints))
    if len(found) > MOST_THUMBPRINTS:
        raise Refusal("InvalidInput", f"Thumbprint list must contain fewer than {MOST_THUMBPRINTS} entries.")
    if not all(map(_is_thumbprint, found)):
        raise Refusal("InvalidInput", "A thumbprint has 40 hexadecimal characters.")
    return found


def _require_room_for_client_ids(call: Call, client_ids: tuple[str, ...]) -> None:
    limit = call.quotas.client_ids_per_open_id_connect_provider
    if len(client_ids) > limit:
        raise Refusal("LimitExceeded", f"Cannot exceed quota for ClientIdsPerOpenIdConnectProvider: {limit}")
