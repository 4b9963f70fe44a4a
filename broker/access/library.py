"""Compiled policies, kept by their text: whoever shares a document shares its compiled form, whatever it is called.

A stored document that cannot be parsed is no reason to ignore it: whoever it speaks about is refused.
"""

import asyncio
from collections.abc import Hashable
from typing import Any

from broker.access.keeping import Keeping
from broker.errors import service_unavailable
from broker.policy import MalformedPolicy, PolicyKind, PolicySet, Source, compile_policies, parse_policy

DEFAULT_LIMIT = 112 * 1024 * 1024

# Bytes that an entry takes beside its text and its compiled form.
_ENTRY = 400


class PolicyLibrary:
    """Compiled documents that together weigh at most `limit` bytes.

    `kept` is theirs and of those who keep what they made of them: policies that both hold weigh once.
    """

    def __init__(self, limit: int = DEFAULT_LIMIT) -> None:
        self.kept: Keeping[Hashable, Any] = Keeping(limit)

    def compiled(self, source: Source, document: Hashable, kind: PolicyKind) -> PolicySet:
        """The set of one document, as a policy of `source`; as `shared`."""
        return self.shared(source, document, kind).under(source)

    async def compiled_in_turn(self, source: Source, document: str, kind: PolicyKind) -> PolicySet:
        """As `compiled`; what has to be compiled first lets others have their turn before.

        A principal may have a hundred policies, and all of an account's are gathered again when one has changed.
        """
        if self.kept.find((kind, document)) is None:
            await asyncio.sleep(0)
        return self.compiled(source, document, kind)

    def shared(self, source: Source, document: Hashable, kind: PolicyKind) -> PolicySet:
        """The set of one document (a text, or what `str` makes a text of, once), under the name of whoever came first.

        Raises Refusal ServiceUnavailable where a stored document does not parse.
        """
        key = (kind, document)
        found: PolicySet | None = self.kept.find(key)
        if found is not None:
            return found
        text = str(document)
        try:
            made = compile_policies([(source, parse_policy(text, kind))]).under(source)
        except MalformedPolicy as error:
            raise service_unavailable(f"stored policy {source} does not parse: {error.message}") from None
        self.kept.keep(key, made, _ENTRY + len(text))
        return made
