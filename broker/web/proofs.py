"""Who asks: the caller of a request that is signed, or that carries an access token of an issuer of this broker.

For the doors that are no operation of a service model. A token of GetWebIdentityToken is no proof here: it says who its
principal is, and not what limits the session that asked for it (`broker.sts.token_exchange`).
"""

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.assertions.checks import CheckFailed, Checks
from broker.assertions.unverified_token import read_token
from broker.errors import Refusal
from broker.sigv4.authorization import UnverifiedRequest, find_authorization
from broker.storage.store import ISSUER_ACCOUNTS, TOKEN_ISSUERS, Transaction
from broker.sts.issued_tokens import OwnIssuer
from broker.sts.token_exchange import session_of_access_token
from broker.web.dependencies import Dependencies

_BEARER = "bearer "


def find_bearer(request: UnverifiedRequest) -> str | None:
    """The token of `Authorization: Bearer` (RFC 6750, 2.1); None where there is none."""
    found = [value for name, value in request.headers if name == "authorization"]
    if len(found) != 1 or found[0][: len(_BEARER)].lower() != _BEARER:
        return None
    return found[0][len(_BEARER) :].strip()


async def prove_asker(
    dependencies: Dependencies,
    store: Transaction,
    facts: RequestFacts,
    http: UnverifiedRequest,
    signing_name: str,
) -> Caller:
    """The caller of `http`; raises Refusal."""
    token = find_bearer(http)
    if token is not None:
        return await prove_access_token(dependencies, store, facts, token)
    authorization = find_authorization(http)
    caller, _ = await dependencies.prover.prove(store, http, authorization, signing_name, facts.now)
    return caller


async def prove_access_token(
    dependencies: Dependencies, store: Transaction, facts: RequestFacts, unverified_token: str
) -> Caller:
    """The session of an access token that one of the accounts' issuers gave, for itself as the audience."""
    issuer = await _find_issuer(dependencies, store, unverified_token)
    if issuer is None:
        raise not_good("no issuer of this broker has issued the token")
    try:
        return await session_of_access_token(
            dependencies.federation,
            store,
            facts.now,
            dependencies.mint.keyring(),
            issuer,
            unverified_token,
            Checks(),
        )
    except Refusal as refusal:
        raise not_good(refusal.reason or refusal.message) from None


def is_of_own_issuer(dependencies: Dependencies, unverified_token: str) -> bool:
    """Whether it claims to be of one of the accounts' issuers."""
    try:
        stated = read_token(unverified_token, Checks()).claims.get("iss")
    except CheckFailed:
        return False
    return isinstance(stated, str) and dependencies.federation.issuer.is_own(stated)


def not_good(reason: str) -> Refusal:
    return Refusal("InvalidIdentityToken", "The token is not valid.", reason=reason, status=401)


async def _find_issuer(
    dependencies: Dependencies, store: Transaction, unverified_token: str
) -> OwnIssuer | None:
    try:
        stated = read_token(unverified_token, Checks()).claims.get("iss")
    except CheckFailed as failed:
        raise not_good(f"check failed: {failed}") from None
    return await find_issuer(dependencies, store, stated)


async def find_issuer(dependencies: Dependencies, store: Transaction, stated: object) -> OwnIssuer | None:
    """The issuer of an account of this broker that is called so; None for others."""
    rules = dependencies.federation.issuer
    if not rules.url or not isinstance(stated, str) or not rules.is_own(stated):
        return None
    issuer_id = stated.rpartition("/")[2]
    owner = await store.find(ISSUER_ACCOUNTS, "", issuer_id)
    record = None if owner is None else await store.find(TOKEN_ISSUERS, owner.account_id)
    if owner is None or record is None or stated != rules.identifier(issuer_id):
        return None
    return OwnIssuer(owner.account_id, stated, record)
