"""What the operator's page shows of this node: facts of the process, and nothing that any account owns."""

import msgspec


class WorkerState(msgspec.Struct, frozen=True):
    """`silence` is seconds since the last heartbeat, `processor` seconds of it that were used, `memory` bytes."""

    number: int
    process_id: int
    restarts: int
    silence: float
    processor: float
    memory: int


class ShownSealingKey(msgspec.Struct, frozen=True):
    """A key of a keyring, without its secret; times in epoch seconds, `opens_until` None where that is for ever."""

    ring: str
    key_id: str
    state: str
    created_at: float
    opens_until: float | None


class OperatorState(msgspec.Struct, frozen=True, kw_only=True):
    """`engine` is the kind of the store, `store_seconds` how long one reading took, `weaknesses` what its settings
    take away. `journal_fault` is "" where records are written. `certificate_ends_at` is None without TLS of our own.
    """

    version: str
    python: str
    workers: tuple[WorkerState, ...]
    engine: str
    store_seconds: float
    weaknesses: tuple[str, ...]
    keys: tuple[ShownSealingKey, ...]
    certificate_ends_at: float | None
    journal_path: str
    journal_bytes: int | None
    journal_fault: str
