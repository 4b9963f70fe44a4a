"""An instance proves itself by the nonce in its user-data, and is known by its address from then on.

`PUT /latest/api/instance` with the nonce in a header; EC2 has no such request. A nonce is used once: of two that are
sent at once, the store lets one commit. Refusals are in the journal, for a nonce that is refused may be one that was
stolen, and used before.
"""

from collections.abc import Callable

from msgspec.structs import replace

from broker.audit.event import Event, UserIdentity, begin_event, uuid_text
from broker.audit.journal import Journal, JournalUnavailable
from broker.credentials.instance_nonces import named_instance, why_refused
from broker.errors import service_unavailable
from broker.metadata.credentials import EC2
from broker.metadata.instances import Instances, find_address
from broker.metadata.reading import MetadataRefusal
from broker.names.addresses import Address
from broker.storage.instance_records import InstanceBinding
from broker.storage.records import Instance
from broker.storage.store import INSTANCE_BINDINGS, INSTANCES, Store, Transaction

_RECORD_REFUSALS_EVERY = 60.0  # seconds, for each instance: who is refused must not fill the journal


class InstanceBinder:
    """Binds addresses to instances. `clock` gives epoch seconds."""

    def __init__(
        self,
        store: Store,
        instances: Instances,
        journal: Journal,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._store = store
        self._instances = instances
        self._journal = journal
        self._clock = clock
        self._entropy = entropy
        self._refusals_recorded: dict[str, float] = {}

    async def bind(self, peer: str, unverified_nonce: str) -> str:
        """The id of the instance that `peer` is from now on.

        Raises MetadataRefusal 403, and Refusal ServiceUnavailable where no record can be written.
        """
        address = find_address(peer)
        if address is None or address.is_loopback:
            raise MetadataRefusal(403, f"{peer} cannot be an instance's address")
        instance_id = named_instance(unverified_nonce)
        try:
            self._journal.catch_up()  # else a nonce would be used up without a record
            instance, why = await self._store.transact(
                lambda store: self._bind(store, instance_id, address, unverified_nonce)
            )
            if instance is None:
                raise MetadataRefusal(403, why)
            await self._record(instance, address, why)
        except JournalUnavailable as error:
            raise service_unavailable(str(error)) from None
        if why:
            raise MetadataRefusal(403, f"{instance_id} has not proven itself: {why}")
        return instance_id

    async def _bind(
        self, store: Transaction, instance_id: str, address: Address, unverified_nonce: str
    ) -> tuple[Instance | None, str]:
        """The instance that was asked for, and why it is not bound, "" where it is."""
        instance = await store.find(INSTANCES, "", instance_id) if instance_id else None
        binding = await store.find(INSTANCE_BINDINGS, "", instance_id) if instance_id else None
        if instance is None or binding is None or binding.account_id != instance.account_id:
            return None, "the nonce names no instance that has one"
        asking = await self._instances.find(store, str(address))
        if asking is not None:
            return instance, f"{address} is the address of {asking.instance_id}"
        why = _why_not(instance, binding, unverified_nonce, address, self._clock())
        if not why:
            bound = replace(binding, address=str(address), bound_at=int(self._clock()))
            store.put(INSTANCE_BINDINGS, "", bound)
        return instance, why

    async def _record(self, instance: Instance, address: Address, why: str) -> None:
        now = self._clock()
        if why:
            if self._refusals_recorded.get(instance.instance_id, 0.0) > now:
                return
            self._refusals_recorded[instance.instance_id] = now + _RECORD_REFUSALS_EVERY
        await self._journal.record(self._event(instance, address, why, now))

    def _event(self, instance: Instance, address: Address, why: str, now: float) -> Event:
        random = self._entropy(32)
        event = begin_event(now, uuid_text(random[:16]), str(address), EC2, random[16:])
        event.user_identity = UserIdentity(type="AWSService", invoked_by=EC2)
        event.event_source, event.event_name = "broker", "BindInstance"
        event.aws_region = instance.region
        event.recipient_account_id = instance.account_id
        event.request_parameters = {"instanceId": instance.instance_id, "address": str(address)}
        if why:
            event.error_code, event.error_message = "AccessDenied", why
        return event


def _why_not(
    instance: Instance, binding: InstanceBinding, unverified_nonce: str, address: Address, now: float
) -> str:
    if not instance.metadata_enabled:
        return "the metadata service is off for the instance"
    if instance.addresses:
        return "the instance has declared addresses"
    return why_refused(binding, unverified_nonce, address, now)
