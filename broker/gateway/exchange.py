"""What answers requests: the rooms below, the clock and the settings; and one request as far as it has been read."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Protocol

import msgspec

from broker.access.caller import Caller
from broker.access.facts import RequestFacts
from broker.access.gate import Gate
from broker.access.prove import Prover
from broker.audit.event import Event
from broker.audit.journal import Journal
from broker.gateway.address import KeyRules
from broker.gateway.incoming import Incoming
from broker.gateway.operations import S3Operation
from broker.gateway.store import BackingStore
from broker.operation import Quotas
from broker.sigv4.authorization import UnverifiedAuthorization, UnverifiedRequest
from broker.storage.store import Store


class Measures(Protocol):
    """Counts for the operator. Names come from the gateway's tables only, never from a client."""

    def count(self, service: str, operation: str, code: str, seconds: float) -> None: ...

    def count_bytes(self, direction: str, number: int) -> None: ...


class Gateway(msgspec.Struct, frozen=True, kw_only=True):
    """Made once, by `app`. `source_of` gives the client's address and whether it spoke TLS, of the peer's address,
    whether that spoke TLS, and the values of X-Forwarded-For and X-Forwarded-Proto.
    """

    clock: Callable[[], float]
    entropy: Callable[[int], bytes]
    store: Store
    gate: Gate
    prover: Prover
    journal: Journal
    quotas: Quotas
    backing: BackingStore
    measures: Measures
    rules: KeyRules
    region: str
    source_of: Callable[[str, bool, Sequence[str], str], tuple[str, bool]]
    service_principals: frozenset[str] = frozenset()
    refused_operations: frozenset[str] = frozenset()
    journals_data: bool = False
    allows_anonymous: bool = False
    fetches_tags: bool = False
    forwards_trailers: bool = True


class Exchange(msgspec.Struct, kw_only=True):
    """One request. What is filled in later is None until then; `owner` is the account of its bucket. `record` journals
    the event, at most once; it raises JournalUnavailable. `posted_policy` is that of a signed form, in base64: all that
    its signature covers. `readable_by` are headers of the answer, for a page of another origin that has asked.
    """

    facts: RequestFacts
    event: Event
    unverified: UnverifiedRequest
    authorization: UnverifiedAuthorization | None
    incoming: Incoming
    operation: S3Operation
    tls_version: str = ""
    posted_policy: str = ""
    caller: Caller | None = None
    owner: str = ""
    readable_by: Mapping[str, str] = {}
    record: Callable[[], Awaitable[None]]

    @property
    def account(self) -> str:
        """The caller's, once it is proven; empty for an anonymous one."""
        return self.caller.account if self.caller is not None else ""
