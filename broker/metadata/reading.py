"""Reading: from a peer, a proof and a path to an answer, with what the answer rests on.

Everything of one answer is read at one state of the store. An answer says until when it is good and at which
revisions of which partitions it is true, so that whoever keeps it can tell when to ask again.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker.access.gate import Gate
from broker.metadata import containers, profiles
from broker.metadata.categories import Deferred, Leaf, Subject, lookup
from broker.metadata.credentials import Deliveries, Grant, Kept, Regrant
from broker.metadata.identity_documents import signatures_of, signing_identity
from broker.metadata.instances import Instances
from broker.metadata.session_tokens import TOKEN_ENTROPY, open_token, parse_life, seal_token
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.storage.engine import CONTAINERS_PARTITION, GLOBAL, Revision, account_partition
from broker.storage.records import Instance
from broker.storage.store import Store, Transaction

TEXT, BYTES, JSON = "text/plain", "application/octet-stream", "application/json"

_KEPT_WITHOUT_TOKEN = 3600.0  # seconds
_REFUSAL_KEPT = 60.0

Revisions = tuple[tuple[str, Revision], ...]


class Refused(Exception):
    """An answer that is a status and nothing else; `reason` is for the operator."""

    def __init__(self, status: int, reason: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason
        self.headers = dict(headers or {})


class Token(msgspec.Struct, frozen=True):
    """A new session token; its answer may travel `hop_limit` hops."""

    text: str
    life: int
    hop_limit: int

    def __repr__(self) -> str:
        return f"Token(***, {self.life}, {self.hop_limit})"


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes for whoever asked; true until `good_until` (epoch seconds), with `keyring`, at `revisions`.

    `kept` are the credentials in it, which like to know that they are read.
    """

    body: bytes
    media_type: str
    good_until: float
    keyring: Keyring
    revisions: Revisions
    kept: Kept | None = None

    def __repr__(self) -> str:
        return f"Answer({self.media_type}, ***)"  # credentials may be in it


class _Found(msgspec.Struct, kw_only=True):
    """What one pass through the store found; `granted` where credentials are to be delivered."""

    instance: Instance | None
    leaf: Leaf
    good_until: float
    revisions: Revisions = ()
    granted: Grant | None = None
    regrant: Regrant | None = None


class Reader:
    """Reads for machines and containers. `keyring` gives the sessions' ring as it is now."""

    def __init__(
        self,
        store: Store,
        gate: Gate,
        instances: Instances,
        deliveries: Deliveries,
        keyring: Callable[[], Keyring],
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._gate = gate
        self._instances = instances
        self._deliveries = deliveries
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy

    async def new_token(self, peer: str, unverified_life: str | None) -> Token:
        """A session token for the machine at `peer`; raises Refused, 403 or 400."""
        instance = await self._store.transact(lambda store: self._asking(store, peer))
        life = parse_life(unverified_life)
        if life is None:
            raise Refused(400, "no life for the token, or one that no token has")
        entropy = self._entropy(TOKEN_ENTROPY)
        text = seal_token(self._keyring(), instance, now=self._clock(), life=life, entropy=entropy)
        return Token(text, life, instance.hop_limit)

    async def read(self, peer: str, unverified_token: str | None, steps: list[str]) -> Answer:
        """What stands at the path `steps`; raises Refused: 403, 401, 404."""
        keyring = self._keyring()
        found = await self._store.transact(
            lambda store: self._find(store, keyring, peer, unverified_token, steps)
        )
        kept = None
        if found.granted is not None and found.regrant is not None:
            kept = self._deliveries.credentials(found.granted, found.regrant)
            await self._deliveries.recorded(kept)
            found.leaf = self._credentials_leaf(found, found.granted, kept)
        elif isinstance(found.leaf, Deferred):
            assert found.instance is not None
            found.leaf = await self._signature(found.instance, found.leaf)
        is_text = isinstance(found.leaf, str)
        return Answer(
            body=found.leaf.encode() if isinstance(found.leaf, str) else bytes(found.leaf),
            media_type=TEXT if is_text else BYTES,
            good_until=found.good_until,
            keyring=keyring,
            revisions=found.revisions,
            kept=kept,
        )

    async def container(self, peer: str, unverified_id: str, unverified_token: str) -> Answer:
        """Credentials for the container that the id or the token proves; raises Refusal in the agent's codes."""
        found = await self._store.transact(
            lambda store: self._find_container(store, peer, unverified_id, unverified_token)
        )
        assert found.granted is not None and found.regrant is not None
        kept = self._deliveries.credentials(found.granted, found.regrant)
        await self._deliveries.recorded(kept)
        if kept is None:
            granted = found.granted
            raise containers.uninitialized(f"{granted.role.arn} does not trust {granted.service}")
        return Answer(
            body=containers.credentials_text(kept).encode(),
            media_type=JSON,
            good_until=min(found.good_until, kept.renew_at),
            keyring=self._keyring(),
            revisions=found.revisions,
            kept=kept,
        )

    async def _asking(self, store: Transaction, peer: str) -> Instance:
        instance = await self._instances.find(store, peer)
        if instance is None:
            raise Refused(403, f"no instance has the address {peer}, or several have")
        if not instance.metadata_enabled:
            raise Refused(403, f"the metadata service is off for {instance.instance_id}")
        return instance

    async def _find(
        self, store: Transaction, keyring: Keyring, peer: str, unverified_token: str | None, steps: list[str]
    ) -> _Found:
        now = self._clock()
        instance = await self._asking(store, peer)
        token_ends = _verified_end(keyring, instance, unverified_token, now)
        binding = await profiles.find_binding(store, instance)
        role = binding.role
        leaf = lookup(steps, Subject(instance, role.role_name if role else None))
        if leaf is None:
            raise Refused(404, "no such category, or this instance has none")
        found = _Found(instance=instance, leaf=leaf, good_until=token_ends)
        if leaf is Deferred.IAM_INFO:
            found.leaf = profiles.iam_info(instance, binding, now)
        elif leaf is Deferred.CREDENTIALS:
            assert role is not None
            version = "1.0" if unverified_token is None else "2.0"
            found.granted = await profiles.instance_grant(store, self._gate, instance, role, version, now)
            found.regrant = self._instance_regrant(instance.instance_id, version)
        found.revisions = await _revisions(store, GLOBAL, account_partition(instance.account_id))
        return found

    async def _find_container(
        self, store: Transaction, peer: str, unverified_id: str, unverified_token: str
    ) -> _Found:
        now = self._clock()
        instance = await self._instances.find(store, peer)
        asking = instance.instance_id if instance is not None and instance.metadata_enabled else None
        key, container = await containers.find_container(store, unverified_id, unverified_token, asking, now)
        granted = await containers.container_grant(store, self._gate, key, container, now)
        partitions = (GLOBAL, CONTAINERS_PARTITION, account_partition(container.account_id))
        return _Found(
            instance=instance,
            leaf=Deferred.CREDENTIALS,
            good_until=now + _KEPT_WITHOUT_TOKEN if container.expires_at is None else container.expires_at,
            granted=granted,
            regrant=self._container_regrant(key),
            revisions=await _revisions(store, *partitions),
        )

    def _instance_regrant(self, instance_id: str, version: str) -> Regrant:
        return lambda store: profiles.renewed_instance_grant(
            store, self._gate, instance_id, version, self._clock()
        )

    def _container_regrant(self, key: str) -> Regrant:
        return lambda store: containers.renewed_container_grant(store, self._gate, key, self._clock())

    def _credentials_leaf(self, found: _Found, granted: Grant, kept: Kept | None) -> str:
        """The text, and how long it is good: what is refused may be allowed again, by a condition on the time."""
        if kept is None:
            now = self._clock()
            found.good_until = min(found.good_until, now + _REFUSAL_KEPT)
            return profiles.unauthorized_text(granted.role.role_name, now)
        found.good_until = min(found.good_until, kept.renew_at)
        return profiles.credentials_text(kept)

    async def _signature(self, instance: Instance, kind: Deferred) -> str:
        identity = await signing_identity(self._store, self._clock(), self._entropy)
        document: Any = lookup(["latest", "dynamic", "instance-identity", "document"], Subject(instance))
        signatures = signatures_of(identity, document)
        by_kind = {
            Deferred.SIGNATURE: signatures.signature,
            Deferred.PKCS7: signatures.pkcs7,
            Deferred.RSA2048: signatures.rsa2048,
        }
        return by_kind[kind]


def _verified_end(keyring: Keyring, instance: Instance, unverified_token: str | None, now: float) -> float:
    """Until when the request's token is good; it is checked wherever there is one, whether needed or not."""
    if unverified_token is None:
        if instance.tokens_required:
            raise Refused(401, f"{instance.instance_id} requires tokens, and there is none")
        return now + _KEPT_WITHOUT_TOKEN
    try:
        return open_token(keyring, instance, unverified_token, now)
    except SealBroken as broken:
        raise Refused(401, broken.reason) from None


async def _revisions(store: Transaction, *partitions: str) -> Revisions:
    return tuple([(partition, await store.revision(partition)) for partition in partitions])
