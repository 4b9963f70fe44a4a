"""The keyring: staged -> primary -> retired, so that every node can open before any node seals.

Each function returns a new keyring; none reads a clock. A rotation is several steps with time between them: a key is
staged (all nodes read it), becomes primary (nodes seal with it), is retired (it opens what it sealed until the last of
that has expired) and is dropped. INVARIANT: exactly one key is primary.
"""

from functools import cached_property

import msgspec

from broker.sealing.key import FOREVER, KeyMaterial, KeyState, SealingKey, new_key, purpose_key

HOUR = 3600.0


class Keyring(msgspec.Struct, frozen=True, dict=True):
    """Keys in order of creation; exactly one is primary, their ids differ."""

    keys: tuple[SealingKey, ...]

    def __post_init__(self) -> None:
        if len({key.id for key in self.keys}) != len(self.keys):
            raise ValueError("two keys of a keyring share an id")
        if sum(key.state is KeyState.PRIMARY for key in self.keys) != 1:
            raise ValueError("a keyring has exactly one primary key")

    @cached_property
    def primary(self) -> SealingKey:
        """The key that seals."""
        return next(key for key in self.keys if key.state is KeyState.PRIMARY)

    @cached_property
    def staged(self) -> SealingKey | None:
        """The next primary key, if there is one."""
        return next((key for key in self.keys if key.state is KeyState.STAGED), None)

    def find(self, key_id: bytes) -> SealingKey | None:
        """The key with this id, whatever its state."""
        return self._by_id.get(key_id)

    def for_purpose(self, purpose: bytes) -> "Keyring":
        """This keyring with each key's secret derived for `purpose`; cached as long as the keyring.

        Purposes are constants of the code, never taken from a request, so the cache is bounded.
        """
        ring = self._purposes.get(purpose)
        if ring is None:
            ring = Keyring(tuple(purpose_key(key, purpose) for key in self.keys))
            self._purposes[purpose] = ring
        return ring

    @cached_property
    def _by_id(self) -> dict[bytes, SealingKey]:
        return {key.id: key for key in self.keys}

    @cached_property
    def _purposes(self) -> dict[bytes, "Keyring"]:
        return {}


class RotationSchedule(msgspec.Struct, frozen=True):
    """How long a key is in each state, in seconds.

    A primary seals for `rotate_every`. With one day a key stays far below the bound of `envelope.py`: 2^32 messages a
    day are 49,000 a second. `staged_for` must be longer than it takes every node to read a changed keyring. `open_for`
    is the longest session (36 hours) and half a day more, in which an expired token is answered with ExpiredToken and
    not as an unknown one.
    """

    rotate_every: float = 24 * HOUR
    staged_for: float = 1 * HOUR
    open_for: float = 48 * HOUR


def new_keyring(now: float, entropy: bytes) -> Keyring:
    """A keyring of one primary key, from KEY_ENTROPY bytes."""
    key = new_key(now, entropy, KeyState.PRIMARY)
    return Keyring((msgspec.structs.replace(key, promoted_at=now),))


def stage(keyring: Keyring, now: float, entropy: bytes) -> Keyring:
    """Add the next key, from KEY_ENTROPY bytes. Raises ValueError where one is staged already."""
    if keyring.staged is not None:
        raise ValueError("a key is staged already")
    return Keyring((*keyring.keys, new_key(now, entropy)))


def promote(keyring: Keyring, now: float, open_for: float) -> Keyring:
    """The staged key becomes primary; the old primary still opens for `open_for` seconds (FOREVER is allowed).

    Raises ValueError where no key is staged. A node that has not read the staged key yet
    refuses what is sealed with it until it has.
    """
    if keyring.staged is None:
        raise ValueError("no key is staged: stage one first, and let every node read it")
    return Keyring(tuple(_promoted(key, now, open_for) for key in keyring.keys))


def _promoted(key: SealingKey, now: float, open_for: float) -> SealingKey:
    if key.state is KeyState.STAGED:
        return msgspec.structs.replace(key, state=KeyState.PRIMARY, promoted_at=now)
    if key.state is KeyState.PRIMARY:
        return msgspec.structs.replace(
            key, state=KeyState.RETIRED, retired_at=now, opens_until=now + open_for
        )
    return key


def drop_expired(keyring: Keyring, now: float) -> Keyring:
    """`keyring` without the retired keys that no longer open."""
    return Keyring(tuple(key for key in keyring.keys if key.opens_at(now)))


def drop(keyring: Keyring, key_id: bytes) -> Keyring:
    """`keyring` without this key, whose envelopes are refused from now on; raises ValueError for the primary."""
    if keyring.primary.id == key_id:
        raise ValueError("the primary key cannot be dropped: promote another first")
    return Keyring(tuple(key for key in keyring.keys if key.id != key_id))


def rotate_due(keyring: Keyring, now: float, schedule: RotationSchedule, entropy: bytes) -> Keyring | None:
    """The keyring after the step that is due by `schedule` at `now`, or None where none is due.

    One step at a time: stage (with KEY_ENTROPY bytes of entropy) or promote; and retired keys that no longer open are
    dropped.
    """
    rotated = drop_expired(keyring, now)
    since = keyring.primary.promoted_at or keyring.primary.created_at
    staged = keyring.staged
    if staged is None:
        if now >= since + schedule.rotate_every - schedule.staged_for:
            rotated = stage(rotated, now, entropy)
    elif now >= since + schedule.rotate_every and now >= staged.created_at + schedule.staged_for:
        rotated = promote(rotated, now, schedule.open_for)
    return None if rotated.keys == keyring.keys else rotated


class _KeyRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True):
    """A key as encoded. Append-only: new fields go last and have a default."""

    id: bytes
    secret: bytes
    created_at: float
    state: KeyState
    promoted_at: float | None = None
    retired_at: float | None = None
    opens_until: float = FOREVER

    def __repr__(self) -> str:
        return f"_KeyRecord({self.id.hex()}, ***)"


class _KeyringRecord(msgspec.Struct, frozen=True, array_like=True, forbid_unknown_fields=True, tag=1):
    """A keyring as encoded, format 1. Append-only; another format gets another tag."""

    keys: tuple[_KeyRecord, ...]


_decoder = msgspec.msgpack.Decoder(_KeyringRecord)


def keyring_to_bytes(keyring: Keyring) -> bytes:
    """The keyring with its secrets, unencrypted: for `master.seal_keyring` only."""
    records = [
        _KeyRecord(
            id=key.id,
            secret=key.material.reveal(),
            created_at=key.created_at,
            state=key.state,
            promoted_at=key.promoted_at,
            retired_at=key.retired_at,
            opens_until=key.opens_until,
        )
        for key in keyring.keys
    ]
    return msgspec.msgpack.encode(_KeyringRecord(tuple(records)))


def keyring_from_bytes(encoded: bytes) -> Keyring:
    """Raises ValueError where `encoded` is no keyring that this version knows."""
    try:
        record = _decoder.decode(encoded)
    except msgspec.DecodeError:
        # The decoder's message may quote the input, which is secret.
        raise ValueError("these bytes are not a keyring that this version knows") from None
    return Keyring(tuple(_from_record(key) for key in record.keys))


def _from_record(record: _KeyRecord) -> SealingKey:
    return SealingKey(
        id=record.id,
        material=KeyMaterial(record.secret),
        created_at=record.created_at,
        state=record.state,
        promoted_at=record.promoted_at,
        retired_at=record.retired_at,
        opens_until=record.opens_until,
    )
