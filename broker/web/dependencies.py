"""The dependencies of the request handlers: the rooms below, the clock and the settings, made once by `app`."""

from collections.abc import Callable, Mapping

from broker.access.prove import Prover
from broker.performing import Tools
from broker.protocol.model import ServiceModel
from broker.web.host_names import HostNames
from broker.web.metrics import Metrics
from broker.web.peers import Networks


class Dependencies(Tools, frozen=True, kw_only=True):
    """What operations are performed with, and what the way of a request needs beside.

    `timer` gives seconds for durations, `services` models by signing name.
    """

    timer: Callable[[], float]
    prover: Prover
    metrics: Metrics
    services: Mapping[str, ServiceModel]
    trusted_proxies: Networks = ()
    host_names: HostNames = frozenset()
