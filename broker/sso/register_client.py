"""RegisterClient: a client says its name, and gets an id and a secret (RFC 7591 in AWS's spelling)."""

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.credentials.sso_clients import (
    ACCOUNT_ACCESS,
    AUTHORIZATION_CODE,
    GRANT_TYPES,
    Client,
    is_loopback,
    register,
)
from broker.errors import Refusal
from broker.federation.federation import Federation
from broker.names.principal import Anonymous
from broker.operation import Call, Prepared, no_resource, operation
from broker.protocol.shapes import sso_oidc as shapes
from broker.storage.store import Transaction

_LONGEST_NAME, _MOST_REDIRECTS = 200, 10


async def anonymous(
    federation: Federation, store: Transaction, facts: RequestFacts, request: object
) -> Caller:
    """Clients have no identity: only what they register or trade counts."""
    return Caller(principal=Anonymous(), account="")


@operation("sso-oidc:RegisterClient", prepare=no_resource, prove=anonymous)
async def register_client(
    call: Call, request: shapes.RegisterClientRequest, prepared: Prepared[None]
) -> shapes.RegisterClientResponse:
    client = Client(
        name=_name(request.client_name),
        issued_at=int(call.now),
        scopes=_scopes(request.scopes),
        redirect_uris=_redirect_uris(request),
        grant_types=_grant_types(request.grant_types),
    )
    if request.client_type != "public":
        raise _invalid_metadata("The only client type is public.")
    if request.entitled_application_arn is not None:
        raise _invalid_metadata("This broker has no applications.")
    client_id, secret = register(call.mint.keyring(), client, call.entropy(32))
    return shapes.RegisterClientResponse(
        client_id=client_id,
        client_secret=secret,
        client_id_issued_at=client.issued_at,
        client_secret_expires_at=client.expires_at,
    )


def _name(unverified_name: str) -> str:
    """People read it when they allow the client, so nothing in it may be unseen or turn the text around."""
    if not unverified_name.isprintable() or not 0 < len(unverified_name.strip()) <= _LONGEST_NAME:
        raise _invalid_metadata(f"A client name has 1 to {_LONGEST_NAME} printable characters.")
    return unverified_name.strip()


def _scopes(unverified_scopes: tuple[str, ...]) -> tuple[str, ...]:
    if set(unverified_scopes) - {ACCOUNT_ACCESS}:
        raise Refusal("InvalidScopeException", f"The only scope is {ACCOUNT_ACCESS}.")
    return tuple(sorted(set(unverified_scopes)))


def _grant_types(unverified_types: tuple[str, ...]) -> tuple[str, ...]:
    if set(unverified_types) - GRANT_TYPES:
        raise Refusal(
            "UnsupportedGrantTypeException", f"The grant types are {', '.join(sorted(GRANT_TYPES))}."
        )
    return tuple(sorted(set(unverified_types)))


def _redirect_uris(request: shapes.RegisterClientRequest) -> tuple[str, ...]:
    uris = request.redirect_uris
    if len(uris) > _MOST_REDIRECTS or not all(map(is_loopback, uris)):
        raise Refusal(
            "InvalidRedirectUriException",
            "A redirect URI is on the loopback address: http://127.0.0.1/PATH or http://[::1]/PATH.",
        )
    if AUTHORIZATION_CODE in request.grant_types and not uris:
        raise Refusal(
            "InvalidRedirectUriException", "A client that uses authorization codes has a redirect URI."
        )
    return tuple(dict.fromkeys(uris))


def _invalid_metadata(message: str) -> Refusal:
    return Refusal("InvalidClientMetadataException", message)
