"""How an instance without a declared address proves itself. Frozen, append-only, times in whole epoch seconds."""

from msgspec.structs import replace

from broker.storage.records import Instance, Record


class InstanceBinding(Record, frozen=True, kw_only=True):
    """An instance's latest nonce, as a digest, and the address that has used it; "" until then.

    The instance counts as asking from `address`. `network` limits where the nonce can be used; "" does not.
    """

    instance_id: str
    account_id: str
    nonce_digest: bytes
    nonce_expires_at: int
    network: str = ""
    address: str = ""
    bound_at: int = 0


def with_bound_address(instance: Instance, binding: InstanceBinding | None) -> Instance:
    """The instance, asking from the address that it is bound to as well."""
    if binding is None or not binding.address or binding.account_id != instance.account_id:
        return instance
    return replace(instance, addresses=(*instance.addresses, binding.address))
