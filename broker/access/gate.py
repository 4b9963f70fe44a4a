"""The gate: gathers policies, asks the engine, refuses with AWS's sentence. Every permission is checked here."""

from collections.abc import Callable

import msgspec

from broker.access.assumable import AssumableRoles
from broker.access.caller import Caller, Keys
from broker.access.conditions import RequestContext
from broker.access.denials import Denial, find_denial, seal_denial
from broker.access.facts import RequestFacts
from broker.access.foreign_resources import ForeignResources
from broker.access.gather import Gatherer
from broker.access.library import PolicyLibrary
from broker.access.resource import Resource
from broker.access.spelling import spelled_keys
from broker.cache import CacheSize
from broker.errors import access_denied
from broker.names.principal import FederatedUser
from broker.policy import (
    AccessRequest,
    Decision,
    Layers,
    decide,
    denial_sentences,
    is_always_allowed,
)
from broker.sealing.keyring import Keyring
from broker.storage.store import Transaction


def _ignore_denial(layer: str) -> None:
    pass


class Gate:
    """Judges requests; `keyring` returns the current keyring, which seals the reasons of denials.

    `count_denial` is called with the name of the layer that denied.
    """

    def __init__(
        self, library: PolicyLibrary, keyring: Callable[[], Keyring], entropy: Callable[[int], bytes]
    ) -> None:
        self.library = library
        self.count_denial: Callable[[str], None] = _ignore_denial
        self.assumable_roles = AssumableRoles(library)
        self.foreign_resources = ForeignResources(library)
        self._gatherer = Gatherer(library)
        self._keyring = keyring
        self._entropy = entropy

    @property
    def cache_sizes(self) -> dict[str, CacheSize]:
        """In bytes, by estimate."""
        return {"policies": self.library.cache.size, "gathered": self._gatherer.cache_size}

    async def decide(
        self, store: Transaction, caller: Caller, facts: RequestFacts, action: str, resource: Resource
    ) -> Decision:
        """The decision on `action` by `caller`, with its reasons; raises only where the store is unavailable."""
        account = _owner(resource, caller)
        layers, organization_keys = await self._gatherer.gather(store, caller, account)
        return _decided(layers, organization_keys, caller, facts, action, resource, account)

    async def require(
        self, store: Transaction, caller: Caller, facts: RequestFacts, action: str, resource: Resource
    ) -> None:
        """Pass, or raise Refusal AccessDenied: AWS's sentence and the encoded reasons."""
        if is_always_allowed(caller.principal, action):
            return
        account = _owner(resource, caller)
        layers, organization_keys = await self._gatherer.gather(store, caller, account)
        decision = _decided(layers, organization_keys, caller, facts, action, resource, account)
        if not decision.allowed:
            self.count_denial(str(decision.layer or ""))
            sentence, exact = denial_sentences(decision.request, decision, resource.asked_for)
            if not caller.account:
                raise access_denied(sentence, reason=exact)  # there is no account that may decode the reasons
            spelled = spelled_keys(caller, resource)
            encoded = seal_denial(self._keyring(), decision, spelled, caller.account, self._entropy)
            ending = f". Encoded authorization failure message: {encoded}" if encoded else ""
            raise access_denied(f"{sentence}{ending}", reason=exact)

    def find_denial(self, unverified_text: str, now: float) -> Denial | None:
        """The reasons in an encoded authorization message; None for a text that this broker did not make."""
        return find_denial(self._keyring(), unverified_text, now)


def _owner(resource: Resource, caller: Caller) -> str | None:
    """The account that owns `resource`: the caller's by default; None where the caller has no account either."""
    return resource.account or caller.account or None


def _decided(
    layers: Layers,
    organization_keys: Keys,
    caller: Caller,
    facts: RequestFacts,
    action: str,
    resource: Resource,
    account: str | None,
) -> Decision:
    """The engine's answer; `account` owns the resource, None where the owner is unknown."""
    if resource.policy is not None:
        layers = msgspec.structs.replace(layers, resource=resource.policy)
    federated_by = federated_by_id = ""
    # A policy that names the user also matches the federated users whom this user made.
    if type(caller.principal) is FederatedUser and caller.user is not None:
        federated_by, federated_by_id = caller.user.arn, caller.user.user_id
    context = RequestContext(caller, facts, resource, organization_keys)
    return decide(
        AccessRequest(
            caller.principal, action, resource.arn, account, context, federated_by, federated_by_id
        ),
        layers,
    )
