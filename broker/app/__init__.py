"""The composition root: makes a running broker from settings.

Owns what belongs to one process: its engine and the objects of the rooms (`compose`),
its master key on disk (`master_key`), its listeners and background tasks (`serving`). Never decides a request. Only the
command line imports it.
"""

from broker.app.compose import (
    Broker,
    open_broker,
    open_engine,
    open_journal,
    rotation_schedule,
    sqlite_path,
)
from broker.system import clock, entropy

__all__ = [
    "Broker",
    "clock",
    "entropy",
    "open_broker",
    "open_engine",
    "open_journal",
    "rotation_schedule",
    "sqlite_path",
]
