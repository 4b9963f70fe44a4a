"""The discovery documents and key sets of the accounts' issuers, for the verifiers of their tokens.

OpenID Connect Discovery 1.0, 4: below the issuer's identifier, read with GET and without a signature. The documents are
public, so any host name is accepted, and reads are not recorded in the journal. The authorization server's metadata is
between the host and the path of the identifier (RFC 8414, 3.1), and also below the identifier, for proxies that pass on
the issuers' path alone.
"""

import re
from urllib.parse import urlsplit

import msgspec

from broker.assertions.token_signing import SIGNING_ALGORITHMS
from broker.credentials.issuer_keys import published_keys
from broker.federation.federation import ISSUER_ID, IssuerRules
from broker.storage.engine import Conflict, EngineUnavailable
from broker.storage.records import TokenIssuer
from broker.storage.store import ISSUER_ACCOUNTS, TOKEN_ISSUERS, Transaction
from broker.sts.token_requests import TOKEN_EXCHANGE
from broker.web.dependencies import Dependencies
from broker.web.http import Request, Response, header_lines
from broker.web.token_endpoint import INTROSPECT, REVOKE, TOKEN

CONFIGURATION, KEYS, AUTHORIZATION_SERVER = "openid-configuration", "jwks.json", "oauth-authorization-server"

# A key is published a day before it signs, so a longer age is possible; it is short because of new issuers.
_MAXIMUM_AGE = 300  # seconds

_find_name = re.compile(
    rf"/({ISSUER_ID})/\.well-known/(openid-configuration|jwks\.json|oauth-authorization-server)"
).fullmatch
_find_inserted = re.compile(rf"/\.well-known/(oauth-authorization-server)(.*)/({ISSUER_ID})").fullmatch
_JSON = header_lines(
    {
        "Content-Type": "application/json",
        "Cache-Control": f"public, max-age={_MAXIMUM_AGE}",
        "Server": "broker",
    }
)
_TEXT = header_lines(
    {"Content-Type": "text/plain; charset=utf-8", "Cache-Control": "no-store", "Server": "broker"}
)


async def answer_issuer(dependencies: Dependencies, request: Request) -> Response | None:
    """The document at the request's path; None where there is none, so that the API answers the request."""
    if (
        request.method not in ("GET", "HEAD")
        or not dependencies.federation.issuer.url
        or request.limit_exceeded is not None
    ):
        return None
    started, rules = dependencies.timer(), dependencies.federation.issuer
    named = _find_document(urlsplit(rules.url).path, request.path)
    if named is None:
        return None
    response = await _published(dependencies, rules, *named)
    code = "" if response.status == 200 else str(response.status)
    dependencies.metrics.count("issuer", named[1], code, dependencies.timer() - started)
    return response


def _find_document(base: str, path: str) -> tuple[str, str] | None:
    """The issuer's id and the document; `base` is the path that the issuers are below."""
    inserted = _find_inserted(path)
    if inserted is not None:
        return (inserted[3], inserted[1]) if inserted[2] == base else None
    found = _find_name(path, len(base)) if path.startswith(base) else None
    return None if found is None else (found[1], found[2])


async def _published(
    dependencies: Dependencies, rules: IssuerRules, issuer_id: str, document: str
) -> Response:
    try:
        issuer = await _find_issuer(dependencies.store.transaction(), issuer_id)
    except (EngineUnavailable, Conflict):
        return Response(503, _TEXT, b"the store is out of reach\n")
    if issuer is None:
        return Response(404, _TEXT, b"there is no such issuer\n")
    if document == CONFIGURATION:
        return Response(200, _JSON, configuration_document(rules, issuer_id))
    if document == AUTHORIZATION_SERVER:
        return Response(200, _JSON, authorization_server_document(rules, issuer_id))
    return Response(200, _JSON, key_set_document(rules, issuer, dependencies.clock()))


async def _find_issuer(store: Transaction, issuer_id: str) -> TokenIssuer | None:
    owner = await store.find(ISSUER_ACCOUNTS, "", issuer_id)
    return None if owner is None else await store.find(TOKEN_ISSUERS, owner.account_id)


def configuration_document(rules: IssuerRules, issuer_id: str) -> bytes:
    """The discovery document with the members of AWS's, and `response_types_supported`, which the standard requires."""
    identifier = rules.identifier(issuer_id)
    return msgspec.json.encode(
        {
            "issuer": identifier,
            "jwks_uri": f"{identifier}/.well-known/{KEYS}",
            "response_types_supported": ["id_token"],
            "subject_types_supported": ["public"],
            "id_token_signing_alg_values_supported": list(reversed(SIGNING_ALGORITHMS)),
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "jti", "https://sts.amazonaws.com/"],
        }
    )


def authorization_server_document(rules: IssuerRules, issuer_id: str) -> bytes:
    """The metadata of the authorization server; it has no authorization endpoint, so no response types."""
    identifier = rules.identifier(issuer_id)
    return msgspec.json.encode(
        {
            "issuer": identifier,
            "token_endpoint": f"{identifier}/oauth2/{TOKEN}",
            "jwks_uri": f"{identifier}/.well-known/{KEYS}",
            "response_types_supported": [],
            "grant_types_supported": [TOKEN_EXCHANGE],
            "token_endpoint_auth_methods_supported": ["none"],
            "introspection_endpoint": f"{identifier}/oauth2/{INTROSPECT}",
            "introspection_endpoint_auth_methods_supported": ["AWS4-HMAC-SHA256"],
            "revocation_endpoint": f"{identifier}/oauth2/{REVOKE}",
            "revocation_endpoint_auth_methods_supported": ["none"],
        }
    )


def key_set_document(rules: IssuerRules, issuer: TokenIssuer, now: float) -> bytes:
    """The JWK set: current keys, next keys, and earlier ones whose tokens have not expired yet."""
    keys = [key.public_key for key in published_keys(issuer.keys, now, rules.schedule)]
    return f'{{"keys":[{",".join(keys)}]}}'.encode()
