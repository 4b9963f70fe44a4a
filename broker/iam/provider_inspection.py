"""InspectOpenIDConnectProvider: what an issuer publishes, registered or not. AWS has no such operation."""

from broker.access.resource import Resource
from broker.errors import Refusal, service_unavailable
from broker.federation.reach import FetchFailed
from broker.iam.open_id_connect_providers import require_provider_url
from broker.names.arn import iam_arn
from broker.operation import Call, Prepared, operation
from broker.protocol.shapes import iam as shapes
from broker.storage.records import OpenIdConnectProvider
from broker.storage.store import OPEN_ID_CONNECT_PROVIDERS

_LONGEST = 2048  # characters of what was found, and of what was wanted


async def inspected_provider(
    call: Call, request: shapes.InspectOpenIDConnectProviderRequest
) -> Prepared[OpenIdConnectProvider | None]:
    """The ARN that the provider has, or would have."""
    name = request.url.partition("://")[2]
    provider = await call.store.find(OPEN_ID_CONNECT_PROVIDERS, call.account, name)
    tags = provider.tags if provider is not None else {}
    return Prepared(Resource(iam_arn(call.account, f"oidc-provider/{name}"), tags=tags), provider)


@operation("iam:InspectOpenIDConnectProvider", prepare=inspected_provider)
async def inspect_open_id_connect_provider(
    call: Call,
    request: shapes.InspectOpenIDConnectProviderRequest,
    prepared: Prepared[OpenIdConnectProvider | None],
) -> shapes.InspectOpenIDConnectProviderResponse:
    """Fetches, under the rules of `[federation]`; a step that fails is an answer and no error.

    The scheme of a provider that is registered is the one that it was registered with.
    """
    provider = prepared.found
    issuer = provider.url if provider is not None else require_provider_url(call, request.url)
    inspector = call.federation.inspector
    if inspector is None:
        raise service_unavailable("no provider can be inspected")
    thumbprints = provider.thumbprints if provider is not None else ()
    try:
        found = await inspector.inspect(issuer, thumbprints)
    except FetchFailed as error:
        raise Refusal("Throttling", "Rate exceeded", reason=str(error), status=400) from None
    return shapes.InspectOpenIDConnectProviderResponse(
        issuer=issuer,
        checks=tuple(
            shapes.InspectionCheck(
                name=check.name,
                passed=check.passed,
                found=check.found[:_LONGEST] or None,
                wanted=check.wanted[:_LONGEST] or None,
            )
            for check in found.checks
        ),
        endpoints=tuple(shapes.ProviderEndpoint(name=name, url=url) for name, url in found.endpoints.items()),
        keys=tuple(
            shapes.ProviderKey(
                key_id=key.key_id or None,
                kind=key.kind,
                algorithm=key.algorithm or None,
                certificate_begins=key.begins,
                certificate_expires=key.expires,
            )
            for key in found.keys
        ),
        keys_fetched_at=found.fetched_at,
        keys_fresh_until=found.fresh_until,
    )
