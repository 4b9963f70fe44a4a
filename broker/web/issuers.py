"""What the accounts' issuers publish: discovery documents and keys, for all who verify their tokens.

OpenID Connect Discovery 1.0, 4: below the issuer's identifier, read with GET and without a signature. It is public, so
any host name will do, and no reading is recorded in the journal.
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
from broker.web.door import Door
from broker.web.http import Request, Response, header_lines

CONFIGURATION, KEYS = "openid-configuration", "jwks.json"

# A key is published a day before it signs, so this may be long; it is short for those whose issuer is new.
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


async def answer_issuer(door: Door, request: Request) -> Response | None:
    """The document that is asked for; None where the request asks for none, so that it is one of the API."""
    if request.method not in ("GET", "HEAD") or not door.federation.issuer.url or request.trouble is not None:
        return None
    started, rules = door.timer(), door.federation.issuer
    path = urlsplit(rules.url).path
    name = _find_name(request.path, len(path)) if request.path.startswith(path) else None
    if name is None:
        return None
    response = await _published(door, rules, *name.groups())
    code = "" if response.status == 200 else str(response.status)
    door.measures.count("issuer", name[2], code, door.timer() - started)
    return response


async def _published(door: Door, rules: IssuerRules, issuer_id: str, document: str) -> Response:
    try:
        issuer = await _find_issuer(await door.store.read(), issuer_id)
    except (EngineUnavailable, Conflict):
        return Response(503, _TEXT, b"the store is out of reach\n")
    if issuer is None:
        return Response(404, _TEXT, b"there is no such issuer\n")
    if document == CONFIGURATION:
        return Response(200, _JSON, configuration_document(rules, issuer_id))
    return Response(200, _JSON, key_set_document(rules, issuer, door.clock()))


async def _find_issuer(store: Transaction, issuer_id: str) -> TokenIssuer | None:
    owner = await store.find(ISSUER_ACCOUNTS, "", issuer_id)
    return None if owner is None else await store.find(TOKEN_ISSUERS, owner.account_id)


def configuration_document(rules: IssuerRules, issuer_id: str) -> bytes:
    """The discovery document, as AWS's issuers have it; beside that, `response_types_supported`, which is required."""
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
    """The JWK set: the keys that sign, those that will, and those whose tokens have not expired yet."""
    keys = [key.public_key for key in published_keys(issuer.keys, now, rules.schedule)]
    return f'{{"keys":[{",".join(keys)}]}}'.encode()
