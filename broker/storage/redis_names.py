"""Names of keys, and the form of revisions, in a Redis server.

A revision is written as its number and its mark (`17:9f2c4b6a8d0e1f30`); early versions of the broker wrote the number
alone. It is compared whole.
"""

from broker.storage.engine import NEVER_WRITTEN, Revision

_NAMESPACE = "broker"

PARTITIONS = f"{_NAMESPACE}:partitions"


def _base(partition: str) -> str:
    """The beginning of the partition's keys. The hash tag is what follows the slash: the account."""
    return f"{_NAMESPACE}:{{{partition.rpartition('/')[2]}}}:{partition}"


def revision_key(partition: str) -> str:
    return f"{_base(partition)}:revision"


def index_key(partition: str, which: str) -> str:
    return f"{_base(partition)}:{which}"


def receipt_key(partition: str, mark: str) -> str:
    return f"{_base(partition)}:receipt:{mark}"


def value_key(partition: str, key: str) -> str:
    return f"{_base(partition)}:value:{key}"


def bounds(prefix: str, after: str) -> tuple[bytes, bytes]:
    """The bounds of a BYLEX range: what begins with `prefix` and is behind `after`. UTF-8 never has the byte 0xff."""
    lowest = b"(" + after.encode() if after and after >= prefix else b"[" + prefix.encode()
    return lowest, b"(" + prefix.encode() + b"\xff"


def revision_text(revision: Revision) -> str:
    return f"{revision.number}:{revision.mark.hex()}" if revision.mark else str(revision.number)


def parse_revision(answer: bytes | None) -> Revision:
    """The revision in the server's answer; None where the key does not exist."""
    if answer is None:
        return NEVER_WRITTEN
    number, _, mark = answer.decode().partition(":")
    return Revision(int(number), bytes.fromhex(mark))


def parse_entry(entry: bytes) -> tuple[Revision, bytes]:
    """The revision and the packed keys in an entry of the feed of changes."""
    revision, _, packed = entry.partition(b" ")
    return parse_revision(revision), packed
