"""Compiled policies, cached by their text: those with the same document share its compiled form, under any name.

A stored document that cannot be parsed is no reason to ignore it: whoever it speaks about is refused.
"""

import asyncio
from collections.abc import Hashable
from typing import Any, Protocol

from broker.cache import Cache, Part
from broker.errors import service_unavailable
from broker.policy import MalformedPolicy, PolicyKind, PolicySet, Source, compile_policies, parse_policy

DEFAULT_LIMIT = 112 * 1024 * 1024

# Bytes that an entry takes beside its text and its compiled form.
_ENTRY = 400


class HasPolicies(Protocol):
    """A value made of compiled policies, which other values may share."""

    @property
    def shared_parts(self) -> tuple[Part, ...]: ...


def parts_of(value: HasPolicies) -> tuple[Part, ...]:
    """What a cache has to weigh once, however many values hold it."""
    return value.shared_parts


class PolicyLibrary:
    """Compiled documents that together weigh at most `limit` bytes.

    `cache` also holds what others make of them, so that a policy in both weighs once.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.cache: Cache[Hashable, Any] = Cache(limit, parts_of)

    def compiled(self, source: Source, document: Hashable, kind: PolicyKind) -> PolicySet:
        """The set of one document, as a policy of `source`; as `shared`."""
        return self.shared(source, document, kind).under(source)

    async def compiled_in_turn(self, source: Source, document: str, kind: PolicyKind) -> PolicySet:
        """As `compiled`; what has to be compiled first lets others have their turn before.

        A principal may have a hundred policies, and all of an account's are gathered again when one has changed.
        """
        if self.cache.get((kind, document)) is None:
            await asyncio.sleep(0)
        return self.compiled(source, document, kind)

    def shared(self, source: Source, document: Hashable, kind: PolicyKind) -> PolicySet:
        """The set of one document (a text, or what `str` makes a text of, once), named after the first `source`.

        Raises Refusal ServiceUnavailable where a stored document does not parse.
        """
        key = (kind, document)
        found: PolicySet | None = self.cache.get(key)
        if found is not None:
            return found
        text = str(document)
        try:
            made = compile_policies([(source, parse_policy(text, kind))]).under(source)
        except MalformedPolicy as error:
            raise service_unavailable(f"stored policy {source} does not parse: {error.message}") from None
        self.cache.put(key, made, _ENTRY + len(text))
        return made
