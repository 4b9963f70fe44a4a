"""Compiled policies, cached by their text: policies with the same document share its compiled form.

A stored document that does not parse is never skipped: every request that it applies to is refused.
"""

import asyncio
from collections.abc import Hashable
from typing import Any, Protocol

from broker.cache import Cache, Part
from broker.errors import service_unavailable
from broker.policy import MalformedPolicy, PolicyKind, PolicySet, Source, compile_policies, parse_policy

DEFAULT_LIMIT = 112 * 1024 * 1024

# Bytes that an entry takes beside its text and its compiled form.
_ENTRY_WEIGHT = 400


class HasPolicies(Protocol):
    """A value made of compiled policies, which other values may share."""

    @property
    def shared_parts(self) -> tuple[Part, ...]: ...


def parts_of(value: HasPolicies) -> tuple[Part, ...]:
    """The parts of `value` that a cache counts once, however many values share them."""
    return value.shared_parts


class PolicyLibrary:
    """Compiled documents that together weigh at most `limit` bytes.

    `cache` also holds values that other files make of compiled policies, so that a shared policy is counted once.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.cache: Cache[Hashable, Any] = Cache(limit, parts_of)

    def compiled(self, source: Source, document: Hashable, kind: PolicyKind) -> PolicySet:
        """The set of one document, attributed to `source`; see `shared`."""
        return self.shared(source, document, kind).attributed_to(source)

    async def compiled_in_turn(self, source: Source, document: Hashable, kind: PolicyKind) -> PolicySet:
        """As `compiled`, but yields to the event loop before it compiles a document that is not cached.

        A principal may have a hundred policies, and one change makes all of its account's be gathered again.
        """
        if self.cache.get((kind, document)) is None:
            await asyncio.sleep(0)
        return self.compiled(source, document, kind)

    def shared(self, source: Source, document: Hashable, kind: PolicyKind) -> PolicySet:
        """The set of one document, attributed to the first `source` that asked for it.

        `document` is the text, or an object that `str` makes the text of; that is done only where it is not cached.
        Raises Refusal ServiceUnavailable where a stored document does not parse.
        """
        key = (kind, document)
        found: PolicySet | None = self.cache.get(key)
        if found is not None:
            return found
        text = str(document)
        try:
            made = compile_policies([(source, parse_policy(text, kind))]).attributed_to(source)
        except MalformedPolicy as error:
            raise service_unavailable(f"stored policy {source} does not parse: {error.message}") from None
        self.cache.put(key, made, _ENTRY_WEIGHT + len(text))
        return made
