"""The discovery documents and key sets of the accounts' issuers, for the verifiers of their tokens.

OpenID Connect Discovery 1.0, 4: below the issuer's identifier, read with GET and without a signature. The documents are
public, so any host name is accepted, and reads are not recorded in the journal.
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
from broker.web.dependencies import Dependencies
from broker.web.http import Request, Response, header_lines

CONFIGURATION, KEYS = "openid-configuration", "jwks.json"

# A key is published a day before it signs, so a longer age is possible; it is short because of new issuers.
_MAXIMUM_AGE = 300  # seconds

_find_name = re.compile(rf"/({ISSUER_ID})/\.well-known/(openid-configuration|jwks\.json)").fullmatch
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
    path = urlsplit(rules.url).path
    name = _find_name(request.path, len(path)) if request.path.startswith(path) else None
    if name is None:
        return None
    response = await _published(dependencies, rules, *name.groups())
    code = "" if response.status == 200 else str(response.status)
    dependencies.metrics.count("issuer", name[2], code, dependencies.timer() - started)
    return response


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


def key_set_document(rules: IssuerRules, issuer: TokenIssuer, now: float) -> bytes:
    """The JWK set: current keys, next keys, and earlier ones whose tokens have not expired yet."""
    keys = [key.public_key for key in published_keys(issuer.keys, now, rules.schedule)]
    return f'{{"keys":[{",".join(keys)}]}}'.encode()
