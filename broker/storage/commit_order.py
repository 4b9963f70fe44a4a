"""In which order a transaction commits its partitions, and which of its writes are committed apart.

The law is that of `transaction.py`.
"""

from broker.storage.engine import Conflict, account_partition
from broker.storage.view import View

ACCOUNTS = account_partition("")


def apart(view: View) -> tuple[View, ...]:
    """The view; where it deletes hints, its deletions and its other writes apart.

    The deletions expect that the hints which were read are unchanged, writes of hints expect nothing. Hints in a
    partition with other records are committed with them.
    """
    dead = {key: put for key, put in view.writes.items() if put.record is None}
    if not dead or not all(put.collection.hint for put in view.writes.values()):
        return (view,)
    written = {key: put for key, put in view.writes.items() if key not in dead}
    read = {key: view.reads[key] for key in dead if key in view.reads}
    deleting = View(view.snapshot, read, writes=dead)
    return (View(writes=written), deleting) if written else (deleting,)


def commit_order(written: tuple[str, View]) -> int:
    """Lower numbers are committed first, of equal ones what the transaction opened first; see the law."""
    partition, view = written
    if partition.startswith(ACCOUNTS):
        return 1
    return 0 if any(put.record is not None for put in view.writes.values()) else 2


def is_partly_done(done: list[str], error: Exception) -> bool:
    """Whether part of it was committed. Until the first account is committed, a Conflict may be retried."""
    if isinstance(error, Conflict):
        return any(partition.startswith(ACCOUNTS) for partition in done)
    return bool(done)
