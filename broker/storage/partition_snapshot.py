"""What is known of one partition at one revision. Nothing is asked for here."""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence

from broker.storage.engine import Revision
from broker.storage.key_history import KeyHistory

# Bytes of overhead, measured with 100,000 roles: of an encoded record; and, with 100,000 empty partitions, of a
# partition (an AssumeRole may name accounts that do not exist).
_RECORD_WEIGHT = 220
SNAPSHOT_WEIGHT = 500

# Bytes of a page, beside its keys, which are those of the records; and how many pages of one partition are cached.
_PAGE_WEIGHT = 300
_MOST_PAGES = 256

# How many absent keys of one partition are cached: anybody may name buckets and roles that do not exist.
MOST_ABSENT = 1000

# Prefix, the key behind which the page begins, limit.
PageKey = tuple[str, str, int]


class PartitionSnapshot:
    """What was read of one partition at one revision: `encoded` records by stored key, `absent` keys, and listings.

    Of the absent keys those are known that were asked for last, in this order.
    A listing holds, for a prefix, the sorted keys of *all* records under it. A page holds, for a prefix, a key that it
    begins behind and a limit, the keys that a scan has found. `history` is one for a snapshot and its successors.
    """

    __slots__ = ("absent", "encoded", "history", "listings", "pages", "revision", "weight")

    def __init__(self, revision: Revision) -> None:
        self.revision = revision
        self.history: KeyHistory | None = None
        self.encoded: dict[str, bytes] = {}
        self.absent: dict[str, None] = {}
        self.listings: dict[str, list[str]] = {}
        self.pages: dict[PageKey, list[str]] = {}
        self.weight = SNAPSHOT_WEIGHT

    def listed(self, prefix: str, after: str, limit: int | None) -> list[str] | None:
        """The keys that a scan would find; None where that is not known."""
        listing = self.listings.get(prefix)
        if listing is not None:
            start = bisect_right(listing, after)
            return listing[start:] if limit is None else listing[start : start + limit]
        return None if limit is None else self.pages.get((prefix, after, limit))

    def note_listed(self, prefix: str, after: str, limit: int | None, keys: list[str]) -> None:
        if limit is None:
            if not after:
                self.listings[prefix] = keys
            return
        if len(self.pages) >= _MOST_PAGES:
            self._forget_pages(lambda _: True)
        self.pages[prefix, after, limit] = keys
        self.weight += _PAGE_WEIGHT + 8 * len(keys)

    def note_presence(self, changed: Mapping[str, bool]) -> None:
        """Correct what is listed, because records under these keys appeared (true) or are gone (false).

        All at once: what a page shows is compared once, however many keys there are.
        """
        ordered = sorted(changed)
        self._forget_pages(lambda prefix: _has_prefix(ordered, prefix))
        for prefix, listing in self.listings.items():
            for key in ordered:
                if key.startswith(prefix):
                    _list_key(listing, key, is_present=changed[key])

    def is_absent(self, key: str) -> bool:
        """Whether it is known that there is no record under `key`."""
        if key not in self.absent:
            return False
        del self.absent[key]
        self.absent[key] = None  # now the last one that was asked for
        return True

    def add(self, key: str, value: bytes | None) -> None:
        """What is under `key`; None: nothing."""
        self._forget_key(key)
        if value is not None:
            self.encoded[key] = value
        else:
            self.absent[key] = None
        self.weight += _weight(value)
        if len(self.absent) > MOST_ABSENT:
            self._forget_key(next(iter(self.absent)))

    def forget(self, changed: Mapping[str, bool]) -> None:
        """The records under these keys were written by others (true), or deleted (false)."""
        moved = {}
        for key, is_present in changed.items():
            if key not in self.encoded or not is_present:
                moved[key] = is_present
            self._forget_key(key)
        self.note_presence(moved)

    def successor(self, revision: Revision, written: Iterable[str]) -> "PartitionSnapshot":
        """An empty snapshot, of the weight of this one, at `revision`; since this one, the keys `written` were."""
        if self.history is None:
            self.history = KeyHistory(self.revision)
        before = self.history.weight
        self.history.extend(revision, written)
        successor = PartitionSnapshot(revision)
        successor.history = self.history
        successor.weight = self.weight + self.history.weight - before
        return successor

    def give_all(self, successor: "PartitionSnapshot") -> None:
        """Give what is known to `successor`, which is at another revision; afterwards nothing is known here."""
        successor.encoded, self.encoded = self.encoded, {}
        successor.absent, self.absent = self.absent, {}
        successor.listings, self.listings = self.listings, {}
        successor.pages, self.pages = self.pages, {}
        self.weight = SNAPSHOT_WEIGHT

    def is_unchanged(self, since: Revision, keys: Iterable[str]) -> bool:
        """Whether what was under `keys` at the revision `since` is known to be what this snapshot has."""
        return self.history is not None and self.history.is_unchanged(since, self.revision, keys)

    def _forget_key(self, key: str) -> None:
        if key in self.encoded:
            self.weight -= _weight(self.encoded.pop(key))
        elif key in self.absent:
            self.weight -= _weight(self.absent.pop(key))

    def _forget_pages(self, is_outdated: Callable[[str], bool]) -> None:
        for page in [page for page in self.pages if is_outdated(page[0])]:
            self.weight -= _PAGE_WEIGHT + 8 * len(self.pages.pop(page))


def _has_prefix(ordered: Sequence[str], prefix: str) -> bool:
    """Whether one of the sorted keys begins with `prefix`."""
    index = bisect_left(ordered, prefix)
    return index < len(ordered) and ordered[index].startswith(prefix)


def _list_key(listing: list[str], key: str, *, is_present: bool) -> None:
    index = bisect_left(listing, key)
    is_listed = index < len(listing) and listing[index] == key
    if is_present and not is_listed:
        listing.insert(index, key)
    elif is_listed and not is_present:
        del listing[index]


def _weight(value: bytes | None) -> int:
    return _RECORD_WEIGHT + len(value or b"")
