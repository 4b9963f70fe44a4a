"""Reading: from a peer, a proof and a path to an answer, with what makes the answer valid.

Everything in one answer is read in one transaction. An answer holds its expiry and the revisions of the partitions it
was read from, so that a cache can check whether it is still valid.
"""

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from broker.access.gate import Gate
from broker.metadata import containers, profiles
from broker.metadata.categories import Deferred, Leaf, Machine, lookup
from broker.metadata.credentials import CachedCredentials, CredentialCache, JudgeAgain, RoleAssumption
from broker.metadata.identity_documents import signatures_of, signing_identity
from broker.metadata.instances import Instances
from broker.metadata.session_tokens import TOKEN_ENTROPY, open_token, parse_life, seal_token
from broker.sealing.envelope import SealBroken
from broker.sealing.keyring import Keyring
from broker.storage.engine import CONTAINERS_PARTITION, GLOBAL, Revision, account_partition
from broker.storage.records import Instance
from broker.storage.store import Store, Transaction

TEXT, BYTES, JSON = "text/plain", "application/octet-stream", "application/json"

_CACHED_WITHOUT_TOKEN = 3600.0  # seconds
_REFUSAL_CACHED = 60.0

Revisions = tuple[tuple[str, Revision], ...]


class MetadataRefusal(Exception):
    """A refusal that is a status only; `reason` is for the operator's log."""

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


class MetadataAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """A body, valid until `good_until` (epoch seconds), with `keyring`, at `revisions`.

    `credentials` are those in it; a reader marks them as read, and only such are renewed in the background.
    """

    body: bytes
    media_type: str
    good_until: float
    keyring: Keyring
    revisions: Revisions
    credentials: CachedCredentials | None = None

    def __repr__(self) -> str:
        return f"MetadataAnswer({self.media_type}, ***)"  # credentials may be in it


class _Found(msgspec.Struct, kw_only=True):
    """What one transaction read; `assumption` where credentials are to be delivered."""

    instance: Instance | None
    leaf: Leaf
    good_until: float
    revisions: Revisions = ()
    assumption: RoleAssumption | None = None
    judge_again: JudgeAgain | None = None


class Reader:
    """Reads for machines and containers. `keyring` gives the current keyring of sessions."""

    def __init__(
        self,
        store: Store,
        gate: Gate,
        instances: Instances,
        credential_cache: CredentialCache,
        keyring: Callable[[], Keyring],
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._gate = gate
        self._instances = instances
        self._credential_cache = credential_cache
        self._keyring = keyring
        self._clock = clock
        self._entropy = entropy

    async def new_token(self, peer: str, unverified_life: str | None) -> Token:
        """A session token for the machine at `peer`; raises MetadataRefusal, 403 or 400."""
        instance = await self._store.transact(lambda store: self._asking(store, peer))
        life = parse_life(unverified_life)
        if life is None:
            raise MetadataRefusal(400, "no life for the token, or one that no token has")
        entropy = self._entropy(TOKEN_ENTROPY)
        text = seal_token(self._keyring(), instance, now=self._clock(), life=life, entropy=entropy)
        return Token(text, life, instance.hop_limit)

    async def read(self, peer: str, unverified_token: str | None, segments: list[str]) -> MetadataAnswer:
        """The answer at the path `segments`; raises MetadataRefusal: 403, 401, 404."""
        keyring = self._keyring()
        found = await self._store.transact(
            lambda store: self._find(store, keyring, peer, unverified_token, segments)
        )
        cached = None
        if found.assumption is not None and found.judge_again is not None:
            cached = self._credential_cache.credentials(found.assumption, found.judge_again)
            await self._credential_cache.recorded(cached)
            found.leaf = self._credentials_leaf(found, found.assumption, cached)
        elif isinstance(found.leaf, Deferred):
            assert found.instance is not None
            found.leaf = await self._signature(found.instance, found.leaf)
        is_text = isinstance(found.leaf, str)
        return MetadataAnswer(
            body=found.leaf.encode() if isinstance(found.leaf, str) else bytes(found.leaf),
            media_type=TEXT if is_text else BYTES,
            good_until=found.good_until,
            keyring=keyring,
            revisions=found.revisions,
            credentials=cached,
        )

    async def container(self, peer: str, unverified_id: str, unverified_token: str) -> MetadataAnswer:
        """Credentials for the container that the id or the token proves; raises Refusal with the agent's codes."""
        found = await self._store.transact(
            lambda store: self._find_container(store, peer, unverified_id, unverified_token)
        )
        assert found.assumption is not None and found.judge_again is not None
        cached = self._credential_cache.credentials(found.assumption, found.judge_again)
        await self._credential_cache.recorded(cached)
        if cached is None:
            assumption = found.assumption
            raise containers.uninitialized(f"{assumption.role.arn} does not trust {assumption.service}")
        return MetadataAnswer(
            body=containers.credentials_text(cached).encode(),
            media_type=JSON,
            good_until=min(found.good_until, cached.renew_at),
            keyring=self._keyring(),
            revisions=found.revisions,
            credentials=cached,
        )

    async def _asking(self, store: Transaction, peer: str) -> Instance:
        instance = await self._instances.find(store, peer)
        if instance is None:
            raise MetadataRefusal(403, f"no instance has the address {peer}, or several have")
        if not instance.metadata_enabled:
            raise MetadataRefusal(403, f"the metadata service is off for {instance.instance_id}")
        return instance

    async def _find(
        self,
        store: Transaction,
        keyring: Keyring,
        peer: str,
        unverified_token: str | None,
        segments: list[str],
    ) -> _Found:
        now = self._clock()
        instance = await self._asking(store, peer)
        token_ends = _verified_end(keyring, instance, unverified_token, now)
        binding = await profiles.find_binding(store, instance)
        role = binding.role
        leaf = lookup(segments, Machine(instance, role.role_name if role else None))
        if leaf is None:
            raise MetadataRefusal(404, "no such category, or this instance has none")
        found = _Found(instance=instance, leaf=leaf, good_until=token_ends)
        if leaf is Deferred.IAM_INFO:
            found.leaf = profiles.iam_info(instance, binding, now)
        elif leaf is Deferred.CREDENTIALS:
            assert role is not None
            version = "1.0" if unverified_token is None else "2.0"
            found.assumption = await profiles.judge_instance(store, self._gate, instance, role, version, now)
            found.judge_again = self._judge_instance_again(instance.instance_id, version)
        found.revisions = await _revisions(store, GLOBAL, account_partition(instance.account_id))
        return found

    async def _find_container(
        self, store: Transaction, peer: str, unverified_id: str, unverified_token: str
    ) -> _Found:
        now = self._clock()
        instance = await self._instances.find(store, peer)
        asking = instance.instance_id if instance is not None and instance.metadata_enabled else None
        key, container = await containers.find_container(store, unverified_id, unverified_token, asking, now)
        assumption = await containers.judge_container(store, self._gate, key, container, now)
        partitions = (GLOBAL, CONTAINERS_PARTITION, account_partition(container.account_id))
        return _Found(
            instance=instance,
            leaf=Deferred.CREDENTIALS,
            good_until=now + _CACHED_WITHOUT_TOKEN if container.expires_at is None else container.expires_at,
            assumption=assumption,
            judge_again=self._judge_container_again(key),
            revisions=await _revisions(store, *partitions),
        )

    def _judge_instance_again(self, instance_id: str, version: str) -> JudgeAgain:
        return lambda store: profiles.judge_instance_again(
            store, self._gate, instance_id, version, self._clock()
        )

    def _judge_container_again(self, key: str) -> JudgeAgain:
        return lambda store: containers.judge_container_again(store, self._gate, key, self._clock())

    def _credentials_leaf(
        self, found: _Found, assumption: RoleAssumption, cached: CachedCredentials | None
    ) -> str:
        """The text; sets `good_until`. A refusal is cached briefly: a condition on the time may allow it later."""
        if cached is None:
            now = self._clock()
            found.good_until = min(found.good_until, now + _REFUSAL_CACHED)
            return profiles.unauthorized_text(assumption.role.role_name, now)
        found.good_until = min(found.good_until, cached.renew_at)
        return profiles.credentials_text(cached)

    async def _signature(self, instance: Instance, kind: Deferred) -> str:
        identity = await signing_identity(self._store, self._clock(), self._entropy)
        document: Any = lookup(["latest", "dynamic", "instance-identity", "document"], Machine(instance))
        signatures = signatures_of(identity, document)
        by_kind = {
            Deferred.SIGNATURE: signatures.signature,
            Deferred.PKCS7: signatures.pkcs7,
            Deferred.RSA2048: signatures.rsa2048,
        }
        return by_kind[kind]


def _verified_end(keyring: Keyring, instance: Instance, unverified_token: str | None, now: float) -> float:
    """When the request's token expires; a token is checked even where none is required."""
    if unverified_token is None:
        if instance.tokens_required:
            raise MetadataRefusal(401, f"{instance.instance_id} requires tokens, and there is none")
        return now + _CACHED_WITHOUT_TOKEN
    try:
        return open_token(keyring, instance, unverified_token, now)
    except SealBroken as broken:
        raise MetadataRefusal(401, broken.reason) from None


async def _revisions(store: Transaction, *partitions: str) -> Revisions:
    return tuple([(partition, await store.revision(partition)) for partition in partitions])
