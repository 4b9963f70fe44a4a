"""The feed of changes of a partition: which keys its last commits have written, as every engine stores it.

A commit leaves an entry: its revision and its keys. An entry exists only together with its commit, so entries whose
numbers are in sequence, the first of which has the mark of a known revision, are all that happened since. Where an
early version of the broker has committed there is a gap, and nothing is known; nor in partitions without a feed.
"""

from collections.abc import Iterable, Sequence

import msgspec

from broker.storage.engine import (
    Changes,
    Revision,
    Write,
    portal_partition,
    replay_partition,
    sessions_partition,
    sign_in_partition,
    usage_partition,
)

# How many entries an engine stores of a partition; and of how many keys a commit may be that leaves its keys in one.
FEED_LENGTH = 64
_MOST_KEYS = 200

# Partitions that are written with most requests, and of which caches hold little: an entry costs more than it saves.
_WITHOUT_FEED = tuple(
    make("")
    for make in (usage_partition, sessions_partition, replay_partition, sign_in_partition, portal_partition)
)

_Keys = list[tuple[str, bool]]
_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(_Keys | None).decode


def has_feed(partition: str) -> bool:
    return not partition.startswith(_WITHOUT_FEED)


def require_no_feed(partitions: Iterable[str]) -> None:
    for one in partitions:
        if has_feed(one):
            raise ValueError(f"{one} has a feed of changes, which this commit would not be in")


def packed_changes(partition: str, writes: Sequence[Write]) -> bytes:
    """The entry of a commit; empty where it leaves none."""
    return pack_keys(writes) if has_feed(partition) else b""


def pack_keys(writes: Sequence[Write]) -> bytes:
    """The keys of a commit, each with whether it has a record now; of a large commit that its keys are not known."""
    if len(writes) > _MOST_KEYS:
        return _encode(None)
    return _encode([(write.key, write.value is not None) for write in writes])


def _keys_in(packed: bytes) -> _Keys | None:
    """None where the entry does not tell, or is damaged."""
    try:
        keys: _Keys | None = _decode(packed)
    except msgspec.MsgspecError:
        return None
    return keys


def changes_since(since: Revision, entries: Iterable[tuple[Revision, bytes]]) -> Changes | None:
    """What `entries` tell, which are in order, the first of them that of `since`; None where they do not tell."""
    present: dict[str, bool] = {}
    last: Revision | None = None
    for revision, packed in entries:
        if last is None:
            if revision != since:
                return None
        else:
            keys = _keys_in(packed)
            if keys is None or revision.number != last.number + 1:
                return None
            present.update(keys)
        last = revision
    return None if last is None else Changes(last, present)
