"""Which machine asks: the instance whose record, or whose binding, holds the address of the socket's peer.

No header can name another machine, and an address in two records belongs to neither.
"""

import logging
from collections.abc import Iterable

from broker.cache import Cache
from broker.names.addresses import Address, parse_address
from broker.storage.instance_records import with_bound_address
from broker.storage.records import Instance
from broker.storage.store import INSTANCE_BINDINGS, INSTANCES, Transaction

_PAGE = 500

_logger = logging.getLogger("broker.metadata")


class Instances:
    """Finds instances by address; `loopback_instance` is the id of the instance for loopback addresses, or empty.

    The index from addresses to instance ids is cached at one revision of the global partition.
    """

    def __init__(self, loopback_instance: str = "") -> None:
        self._loopback_instance = loopback_instance
        self._indexes: Cache[str, dict[str, str]] = Cache(limit=1)

    async def find(self, store: Transaction, peer: str) -> Instance | None:
        """The instance at `peer`, an address in any spelling; None where there is none, or more than one."""
        address = find_address(peer)
        if address is None:
            return None
        ids = await self._indexes.at(store, "addresses", lambda: _index(store))
        instance_id = ids.get(str(address))
        if instance_id is None and address.is_loopback:
            instance_id = self._loopback_instance
        return await store.find(INSTANCES, "", instance_id) if instance_id else None


def find_address(text: str) -> Address | None:
    """The address, without its zone; an IPv4-mapped one is the IPv4 address. None where `text` is no address."""
    try:
        return parse_address(text.partition("%")[0])
    except ValueError:
        return None


async def _index(store: Transaction) -> dict[str, str]:
    ids: dict[str, str] = {}
    after: str | None = None
    while True:
        page = await store.scan(INSTANCES, "", after=after, limit=_PAGE)
        bound = await store.find_all(INSTANCE_BINDINGS, "", [one.instance_id for one in page])
        _add_addresses(ids, list(map(with_bound_address, page, bound)))
        if len(page) < _PAGE:
            break
        after = page[-1].instance_id
    return {address: instance_id for address, instance_id in ids.items() if instance_id}


def _add_addresses(ids: dict[str, str], instances: Iterable[Instance]) -> None:
    """Add the addresses of `instances`; one that several instances have gets an empty id."""
    for instance in instances:
        for text in instance.addresses:
            address = find_address(text)
            if address is None:
                _logger.warning("instance %s: %r is no address", instance.instance_id, text)
            elif ids.setdefault(str(address), instance.instance_id) != instance.instance_id:
                _logger.warning("%s belongs to several instances, so to none", address)
                ids[str(address)] = ""
