"""How things are called, and revisions written, in a Redis server.

A revision is written as its number and its mark (`17:9f2c4b6a8d0e1f30`), by brokers that gave no marks as its number
alone. It is compared as a whole.
"""

from broker.storage.engine import NEVER_WRITTEN, Revision

_NAMESPACE = "broker"

PARTITIONS = f"{_NAMESPACE}:partitions"


def _base(partition: str) -> str:
    """Where the partition's keys begin; its hash tag is what follows the slash: the account."""
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
    """Of a BYLEX range: what begins with `prefix` and is behind `after`. No UTF-8 holds the byte 0xff."""
    lowest = b"(" + after.encode() if after and after >= prefix else b"[" + prefix.encode()
    return lowest, b"(" + prefix.encode() + b"\xff"


def revision_text(revision: Revision) -> str:
    return f"{revision.number}:{revision.mark.hex()}" if revision.mark else str(revision.number)


def parse_revision(answer: bytes | None) -> Revision:
    """As the server has it; None where it has none."""
    if answer is None:
        return NEVER_WRITTEN
    number, _, mark = answer.decode().partition(":")
    return Revision(int(number), bytes.fromhex(mark))
