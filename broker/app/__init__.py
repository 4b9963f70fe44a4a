"""The composition root: settings in, a running broker out.

Owns what is particular to one process: its clock and entropy (`system`), its engine and rooms (`compose`), its master
key on disk (`master_key`), its listeners and what is done in the background (`serving`). Never decides anything that a
request could ask for. Only the command line imports it.
"""

from broker.app.compose import (
    Broker,
    open_broker,
    open_engine,
    open_journal,
    rotation_schedule,
    sqlite_path,
)
from broker.app.system import clock, entropy

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
