"""The gate: gather, decide, or refuse with AWS's sentence. There is one, and everything passes it."""

from collections.abc import Callable
from typing import Any

import msgspec

from broker.access.caller import Caller
from broker.access.conditions import request_context
from broker.access.facts import RequestFacts
from broker.access.gather import Gatherer
from broker.access.library import PolicyLibrary
from broker.access.resource import Resource
from broker.errors import access_denied
from broker.policy import AccessRequest, Decision, access_denied_message, authorization_message, decide
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.sealing.message import open_message, seal_message
from broker.storage.store import Transaction

_PURPOSE = b"authorization message"


class Gate:
    """Judges requests; the reasons of a denial are sealed with the ring that `keyring` gives."""

    def __init__(
        self, library: PolicyLibrary, keyring: Callable[[], Keyring], entropy: Callable[[int], bytes]
    ) -> None:
        self.library = library
        self._gatherer = Gatherer(library)
        self._keyring = keyring
        self._entropy = entropy

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
        return seal_message(self._keyring(), _PURPOSE, message, b"", self._entropy(16))

    def find_message(self, unverified_text: str, now: float) -> tuple[str, Any] | None:
        """The account whose request was denied, and the reasons; None for what is no message of this broker."""
        try:
            opened = open_message(self._keyring(), _PURPOSE, unverified_text, b"", now)
        except SealBroken:
            return None
        denial = msgspec.json.decode(opened)
        return denial["account"], denial["message"]
