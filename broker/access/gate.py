"""The gate: gather, decide, or refuse with AWS's sentence. There is one, and everything passes it."""

from collections.abc import Callable

import msgspec

from broker.access.caller import Caller
from broker.access.conditions import request_context
from broker.access.facts import RequestFacts
from broker.access.gather import Gatherer
from broker.access.library import PolicyLibrary
from broker.access.resource import Resource
from broker.errors import access_denied
from broker.policy import AccessRequest, Decision, access_denied_message, authorization_message, decide
from broker.storage.store import Transaction


class Gate:
    """Judges requests. `seal_message` closes what only DecodeAuthorizationMessage may open."""

    def __init__(self, library: PolicyLibrary, seal_message: Callable[[bytes], str]) -> None:
        self.library = library
        self._gatherer = Gatherer(library)
        self._seal_message = seal_message

    async def decide(
        self, store: Transaction, caller: Caller, facts: RequestFacts, action: str, resource: Resource
    ) -> Decision:
        """The decision on `action` by `caller`, with its reasons; raises only where a store is out of reach."""
        account = resource.account or caller.account
        layers = await self._gatherer.layers_of(store, caller, account)
        if resource.policy is not None:
            layers = msgspec.structs.replace(layers, resource=resource.policy)
        context = request_context(caller, facts, resource)
        return decide(AccessRequest(caller.principal, action, resource.arn, account, context), layers)

    async def require(
        self, store: Transaction, caller: Caller, facts: RequestFacts, action: str, resource: Resource
    ) -> None:
        """Pass, or raise Refusal AccessDenied: AWS's sentence and the encoded reasons."""
        decision = await self.decide(store, caller, facts, action, resource)
        if not decision.allowed:
            sentence = access_denied_message(decision.request, decision)
            encoded = self._encoded(decision, caller.account)
            raise access_denied(
                f"{sentence} Encoded authorization failure message: {encoded}", reason=sentence
            )

    def _encoded(self, decision: Decision, account: str) -> str:
        message = msgspec.json.encode({"account": account, "message": authorization_message(decision)})
        return self._seal_message(message)
