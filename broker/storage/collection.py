"""A collection: records of one type, and the key and the partition of each.

A record is stored under `<collection>/<key>`. Names are compared without case, as IAM does, so their keys are
lower-case; ids are compared exactly.
"""

from collections.abc import Callable
from typing import Generic, TypeVar

import msgspec

from broker.storage.derived_records import Derived
from broker.storage.engine import EngineUnavailable, account_partition
from broker.storage.records import Record

R = TypeVar("R", bound=Record)

_encode = msgspec.msgpack.Encoder().encode


def single_key(record: Record) -> str:
    return ""


class Collection(Generic[R]):
    """Records of one type; `key` derives the key from a record, None where the caller has to name it.

    A `single` collection holds one record, under whatever key. Records of an `expiring` one have an `expires_at`; they
    are never cached, because their expiry changes no revision. Records of one that is `expiring_but_cached` have it,
    too, and are cached: when they expire, they no longer apply to anything, so a stale one does no harm. From
    records with `derive` others are derived; they are in the `is_derived` collections (`derivation.py`).
    """

    __slots__ = (
        "_decoder",
        "derive",
        "exact",
        "expiring",
        "expiring_but_cached",
        "hint",
        "is_derived",
        "key",
        "name",
        "partition",
        "prefix",
        "record",
        "single",
    )

    def __init__(
        self,
        name: str,
        record: type[R],
        key: Callable[[R], str] | None = None,
        *,
        partition: Callable[[str], str] = account_partition,
        exact: bool = False,
        expiring: bool = False,
        expiring_but_cached: bool = False,
        hint: bool = False,
        derive: Callable[[R], Derived] | None = None,
        is_derived: bool = False,
    ) -> None:
        self.name = name
        self.record = record
        self.key = key
        self.partition = partition
        self.exact = exact
        self.expiring = expiring
        self.expiring_but_cached = expiring_but_cached
        self.hint = hint
        self.derive = derive
        self.is_derived = is_derived
        self.single = key is single_key
        self.prefix = f"{name}/"
        self._decoder = msgspec.msgpack.Decoder(record)

    def __repr__(self) -> str:
        return f"Collection({self.name!r})"

    @property
    def takes_expiry(self) -> bool:
        return self.expiring or self.expiring_but_cached

    def stored_key(self, key: str) -> str:
        """The engine's key for the record `key`."""
        if self.exact:
            return self.prefix + key
        return self.prefix if self.single else self.prefix + key.lower()

    def key_of(self, record: R) -> str:
        if self.key is None:
            raise ValueError(f"a {self.name} record is put under a key that the caller names")
        return self.key(record)

    def encode(self, record: R) -> bytes:
        return _encode(record)

    def decode(self, partition: str, stored_key: str, value: bytes) -> R:
        """The record in `value`; raises EngineUnavailable where it does not decode: the store is damaged."""
        try:
            return self._decoder.decode(value)
        except msgspec.MsgspecError as error:
            raise EngineUnavailable(
                f"{partition} {stored_key}: not a {self.name} record ({error})"
            ) from error
