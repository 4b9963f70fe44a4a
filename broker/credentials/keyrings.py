"""The keyrings of this broker: stored in the engine, sealed by the master key, rotated on schedule.

Two rings: `sessions` seals what clients receive, and drops a key when its last token has expired; `storage` seals
records, so its keys are never dropped, and it rotates by command only. They are in a partition of their own, in the
engine below the sealed one: the keys that open the records cannot be among them.

The times of keys are by the store's clock, which is one for all nodes (on SQLite, the machine's). A node whose own
clock is more than MOST_SKEW apart from it does not rotate: one of the two is wrong, and a key that is dropped too early
ends all sessions. A key is dropped `open_for` after it was retired. That ends a session early only if the clock of the
node that minted it was ahead by `open_for` less the longest session: twelve hours.
"""

from collections.abc import Callable

from broker.sealing.envelope import SealBroken
from broker.sealing.key import FOREVER, KEY_ENTROPY
from broker.sealing.keyring import Keyring, RotationSchedule, drop, new_keyring, promote, rotate_due, stage
from broker.sealing.master import MasterKey, is_sealed_by_current, open_keyring, seal_keyring
from broker.storage.engine import Conflict, Engine, EngineUnavailable, Revision, Write

PARTITION = "keys"
SESSIONS = "sessions"
STORAGE = "storage"

MOST_SKEW = 15 * 60.0  # seconds: a node that is further off refuses all signatures, too

_GONE = "the keyrings are missing: the store was emptied, or it is another one"


class WrongMasterKey(EngineUnavailable):
    """The keyrings in the store were sealed by another master key."""


class Keyrings:
    """Both rings, as last read. Call `load` before use, then `refresh` and `rotate_when_due` regularly."""

    def __init__(
        self,
        engine: Engine,
        master: MasterKey,
        clock: Callable[[], float],
        entropy: Callable[[int], bytes],
        schedule: RotationSchedule,
    ) -> None:
        self._engine = engine
        self._master = master
        self._clock = clock
        self._entropy = entropy
        self._schedule = schedule
        self._rings: dict[str, Keyring] = {}
        self._revision: Revision | None = None

    def sessions(self) -> Keyring:
        return self._rings[SESSIONS]

    def storage(self) -> Keyring:
        return self._rings[STORAGE]

    async def load(self, *, may_create: bool = True) -> None:
        """Read the rings; with `may_create`, make those that do not exist yet.

        Raises EngineUnavailable where a ring is missing that may not be made, or although there are records, which it
        has sealed; WrongMasterKey for rings of another master key.
        """
        await self.refresh()
        now = await self._engine.now()
        for name in (SESSIONS, STORAGE):
            if name not in self._rings:
                if not may_create or set(await self._engine.partitions("")) - {PARTITION}:
                    raise EngineUnavailable(_GONE)
                await self._change(name, lambda ring: ring or new_keyring(now, self._entropy(KEY_ENTROPY)))

    async def refresh(self) -> bool:
        """Read the rings where they have changed; returns whether they have. EngineUnavailable where one is missing."""
        revision = await self._engine.revision(PARTITION)
        if revision == self._revision:
            return False
        rings = {name: self._open(name, sealed) for name, sealed in await self._engine.scan(PARTITION, "")}
        if not rings.keys() >= self._rings.keys():
            raise EngineUnavailable(_GONE)
        self._rings = rings
        self._revision = revision
        return True

    async def rotate_when_due(self) -> None:
        """`reseal`, then the rotation step that is due by the schedule, if any.

        Raises EngineUnavailable where this machine's clock and the store's disagree.
        """
        await self.reseal()
        now = await self.rotation_time()
        await self._change(
            SESSIONS,
            lambda ring: ring and rotate_due(ring, now, self._schedule, self._entropy(KEY_ENTROPY)),
        )

    async def reseal(self) -> None:
        """Seal the rings with the current master key where a previous one has sealed them."""
        await self.refresh()
        for name, sealed in await self._engine.scan(PARTITION, ""):
            if not is_sealed_by_current(self._master, sealed):
                await self._change(name, lambda ring: ring)

    async def stage(self, name: str) -> None:
        """Add the ring's next key; raises ValueError where one is staged already, and as `rotate_when_due`."""
        now = await self.rotation_time()
        await self._change(name, lambda ring: ring and stage(ring, now, self._entropy(KEY_ENTROPY)))

    async def promote(self, name: str) -> None:
        """Seal with the staged key from now on; raises ValueError where none is staged, and as `rotate_when_due`."""
        open_for = FOREVER if name == STORAGE else self._schedule.open_for
        now = await self.rotation_time()
        await self._change(name, lambda ring: ring and promote(ring, now, open_for))

    async def drop(self, key_id: bytes) -> None:
        """Drop a key of the sessions' ring early: what it sealed is refused, on every node that has read the new ring.

        Raises ValueError for the primary. Keys of the storage ring are never dropped: records would be lost with them.
        """
        await self._change(SESSIONS, lambda ring: ring and drop(ring, key_id))

    async def rotation_time(self) -> float:
        """The time by the store's clock; raises EngineUnavailable where this machine's clock differs too much."""
        now = await self._engine.now()
        skew = self._clock() - now
        if abs(skew) > MOST_SKEW:
            raise EngineUnavailable(
                f"this machine's clock is {abs(skew) / 60:.0f} minutes {'ahead of' if skew > 0 else 'behind'} the "
                "store's: no key is rotated here until one of them is set right"
            )
        return now

    async def _change(self, name: str, step: Callable[[Keyring | None], Keyring | None]) -> None:
        """Commit what `step` makes of the ring (None: no change); retry after another node's change."""
        while True:
            revision = await self._engine.revision(PARTITION)
            sealed = await self._engine.get(PARTITION, name)
            changed = step(self._open(name, sealed) if sealed else None)
            if changed is None:
                return
            write = Write(name, seal_keyring(self._master, changed, self._entropy(16), name))
            try:
                await self._engine.commit(PARTITION, [write], revision)
            except Conflict:
                continue
            await self.refresh()
            return

    def _open(self, name: str, sealed: bytes) -> Keyring:
        try:
            return open_keyring(self._master, sealed, name)
        except (SealBroken, ValueError) as error:
            reason = getattr(error, "reason", str(error))
            raise WrongMasterKey(
                f"the {name} keyring does not open with this master key ({self._master.id}): {reason}; "
                "give the broker the master key of this store: keys.master_key_file"
            ) from None
