"""The dependencies of the request handlers: the rooms below, the clock and the settings, made once by `app`."""

from collections.abc import Callable, Mapping

import msgspec

from broker.access.gate import Gate
from broker.access.prove import Prover
from broker.audit.journal import Journal
from broker.credentials.mint import Mint
from broker.credentials.passwords import Passwords
from broker.federation.federation import Federation
from broker.operation import Quotas
from broker.protocol.model import ServiceModel
from broker.storage.store import Store
from broker.web.host_names import HostNames
from broker.web.metrics import Metrics
from broker.web.peers import Networks


class Dependencies(msgspec.Struct, frozen=True, kw_only=True):
    """`clock` gives epoch seconds, `timer` seconds for durations, `services` models by signing name.

    `portal_url` is where people sign in; "" where there is no portal.
    """

    clock: Callable[[], float]
    timer: Callable[[], float]
    entropy: Callable[[int], bytes]
    store: Store
    prover: Prover
    gate: Gate
    mint: Mint
    journal: Journal
    metrics: Metrics
    quotas: Quotas
    federation: Federation
    passwords: Passwords
    services: Mapping[str, ServiceModel]
    trusted_proxies: Networks = ()
    host_names: HostNames = frozenset()
    service_principals: frozenset[str] = frozenset()
    portal_url: str = ""
