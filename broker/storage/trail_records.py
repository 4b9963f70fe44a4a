"""CloudTrail's trails, what was delivered for them, and the keys that sign digest files.

Frozen, append-only with defaults, times in whole epoch seconds. A trail is in its account's partition; what changes
with each delivery is in another one, so that a delivery changes no account's revision.
"""

from broker.names.arn import trail_arn
from broker.names.secret import SecretKey
from broker.storage.records import Record


class DataResource(Record, frozen=True, kw_only=True):
    """Objects whose data events are wanted: ARNs of buckets and beginnings of objects' ARNs, or of all."""

    type: str
    values: tuple[str, ...] = ()


class EventSelector(Record, frozen=True, kw_only=True):
    """`reading` is All, ReadOnly or WriteOnly."""

    reading: str = "All"
    has_management_events: bool = True
    data_resources: tuple[DataResource, ...] = ()
    excluded_sources: tuple[str, ...] = ()


class FieldSelector(Record, frozen=True, kw_only=True):
    """What a field of an event has to be. A negative test has to hold for all of its values, a positive one for one."""

    field: str
    equals: tuple[str, ...] = ()
    starts_with: tuple[str, ...] = ()
    ends_with: tuple[str, ...] = ()
    not_equals: tuple[str, ...] = ()
    not_starts_with: tuple[str, ...] = ()
    not_ends_with: tuple[str, ...] = ()


class AdvancedEventSelector(Record, frozen=True, kw_only=True):
    name: str = ""
    fields: tuple[FieldSelector, ...]


class LoggingPeriod(Record, frozen=True, kw_only=True):
    """From when to when a trail is logging, both included; `end` 0: it is logging."""

    start: int
    end: int = 0


class Trail(Record, frozen=True, kw_only=True):
    """`region` is its home. `id` is another one where a trail is deleted and created again.

    `validated_since` is when log file validation was enabled, 0 where it is not. `account_id` owns the trail;
    `organization_id` is set where it is an organization's. A trail with `advanced_selectors` has no `selectors`.
    """

    account_id: str
    region: str
    name: str
    id: str
    bucket: str
    prefix: str = ""
    has_global_events: bool = True
    is_multi_region: bool = False
    organization_id: str = ""
    validated_since: int = 0
    selectors: tuple[EventSelector, ...] = (EventSelector(),)
    advanced_selectors: tuple[AdvancedEventSelector, ...] = ()
    has_custom_selectors: bool = False
    periods: tuple[LoggingPeriod, ...] = ()
    tags: dict[str, str] = {}
    created_at: int

    @property
    def arn(self) -> str:
        return trail_arn(self.region, self.account_id, self.name)

    @property
    def is_logging(self) -> bool:
        return bool(self.periods) and not self.periods[-1].end


def trail_key(region: str, name: str) -> str:
    return f"{region}/{name}"


class TrailAccount(Record, frozen=True, kw_only=True):
    """An account that has a trail: who delivers asks for these accounts only."""

    account_id: str


class JournalPosition(Record, frozen=True, kw_only=True):
    """Up to where a series of a journal was delivered: a kept file's number, and bytes of it."""

    number: int
    offset: int


class TrailProgress(Record, frozen=True, kw_only=True):
    """How far a trail has got in one journal: positions by series, and how the last attempt ended.

    `error` is "" where it succeeded. `delivered_at` 0: nothing was delivered yet.
    """

    trail_id: str
    journal_id: str
    positions: dict[str, JournalPosition] = {}
    attempted_at: int = 0
    delivered_at: int = 0
    error: str = ""


def progress_key(progress: TrailProgress) -> str:
    return f"{progress.trail_id}/{progress.journal_id}"


class DeliveredLog(Record, frozen=True, kw_only=True):
    """A log file that no digest file lists yet. `oldest` and `newest` are times of its records."""

    trail_id: str
    account_id: str
    region: str
    bucket: str
    key: str
    sha256: str
    oldest: int
    newest: int


def delivered_log_key(log: DeliveredLog) -> str:
    return f"{log.trail_id}/{log.account_id}/{log.region}/{log.key}"


class DigestFile(Record, frozen=True, kw_only=True):
    """A digest file: `end` is that of what it covers, `content` is what is compressed, empty once it is delivered."""

    bucket: str
    key: str
    start: int
    end: int
    sha256: str
    signature: str
    content: bytes = b""


class DigestChain(Record, frozen=True, kw_only=True):
    """The digest files of a trail about one account and region. `pending` is signed, and has to be delivered.

    It is written before it is delivered, so that whoever delivers it, however often, delivers the same bytes.
    """

    trail_id: str
    account_id: str
    region: str
    last: DigestFile | None = None
    pending: DigestFile | None = None
    delivered_at: int = 0
    error: str = ""


def chain_key(chain: DigestChain) -> str:
    return f"{chain.trail_id}/{chain.account_id}/{chain.region}"


class DigestKey(Record, frozen=True, kw_only=True):
    """A key that signs digest files from `start` until `end`: private in PEM, public in DER (PKCS #1)."""

    fingerprint: str
    private_key: SecretKey
    public_key: bytes
    start: int
    end: int


class DigestKeys(Record, frozen=True, kw_only=True):
    """All keys of an account, the oldest first: what an old one has signed can be verified for ever."""

    keys: tuple[DigestKey, ...] = ()
