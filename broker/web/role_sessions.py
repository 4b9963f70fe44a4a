"""Tokens of identity providers that come again and again: each takes its role once, and the session serves the next.

The first use is AssumeRoleWithWebIdentity, with its gate, its mint and its record. The session is used
from the same address while no record that it was made of has changed (the role, the provider, a revocation), until it
or the token ends. What the provider
alone knows, as a key that it withdrew, is seen after fifteen minutes at the latest: no session lasts longer.
"""

from hashlib import sha256
from typing import Any

import msgspec
from msgspec.structs import replace

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.sessions import opened_caller
from broker.assertions.checks import Checks
from broker.assertions.unverified_token import read_token
from broker.audit.event import Event
from broker.cache import Cache
from broker.errors import Refusal
from broker.operation import find_operation, model, perform_within
from broker.performing import record_of
from broker.protocol.request import read_request
from broker.sealing.session import OpenedSession, open_session
from broker.storage.store import Transaction
from broker.sts.assume_role_with_web_identity import prove_web_identity
from broker.web.dependencies import Dependencies

_OPERATION = "AssumeRoleWithWebIdentity"
_SECONDS = 900
_MOST = 1024


class TakenRole(msgspec.Struct, frozen=True):
    """A session that a token has given, and the moment at which both have ended at the latest."""

    opened: OpenedSession
    ends_at: float


class RoleSessions:
    """The sessions of one worker."""

    def __init__(self) -> None:
        self._cache: Cache[tuple[bytes, str, str, str, bool], TakenRole] = Cache(_MOST)

    async def caller_of(
        self,
        dependencies: Dependencies,
        store: Transaction,
        facts: RequestFacts,
        event: Event,
        unverified_token: str,
        role_arn: str,
        session_name: str,
    ) -> Caller:
        """The session of the role that the token takes; raises Refusal. `event` is of the request with the token."""
        if dependencies.federation.single_use:
            raise Refusal(
                "InvalidIdentityToken",
                "A token is good once here: exchange it for credentials first.",
                reason="federation.single_use_tokens is set, and the token would be used with each request",
            )
        digest = sha256(unverified_token.encode("utf-8", "surrogatepass")).digest()
        # The trust policy may ask for the address: a token that comes from another one takes the role again.
        key = (digest, role_arn, session_name, facts.source_ip, facts.secure_transport)
        keyring = dependencies.mint.keyring()
        found = await self._cache.find(store, key)
        if found is not None and found.opened.keyring is keyring and facts.now < found.ends_at:
            return await opened_caller(store, found.opened)
        taken, sources = await store.recorded(
            lambda: _take(dependencies, store, facts, event, unverified_token, role_arn, session_name)
        )
        self._cache.put_made(store, key, taken, sources)
        return await opened_caller(store, taken.opened)


async def _take(
    dependencies: Dependencies,
    store: Transaction,
    facts: RequestFacts,
    event: Event,
    unverified_token: str,
    role_arn: str,
    session_name: str,
) -> TakenRole:
    form = {
        "RoleArn": role_arn,
        "RoleSessionName": session_name,
        "WebIdentityToken": unverified_token,
        "DurationSeconds": str(_SECONDS),
    }
    request: Any = read_request(model("sts"), _OPERATION, form)
    caller = await prove_web_identity(dependencies.federation, store, facts.now, request, Checks())
    call = dependencies.call(store, caller, replace(facts, service="sts"))
    answer = await perform_within(call, caller, find_operation("sts", _OPERATION), request)
    dependencies.journal.write_ahead([record_of(one, event, dependencies.entropy) for one in call.performed])
    opened = open_session(dependencies.mint.keyring(), answer.credentials.session_token)
    # Verified a moment ago, so its expiry is what it says.
    expires_at = read_token(unverified_token, Checks()).claims["exp"]
    return TakenRole(opened, min(float(expires_at), float(opened.claims.expires_at)))
