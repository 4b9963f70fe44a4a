"""Compiled policies, kept by their text: principals that share a document share its compiled form.

A stored document that cannot be parsed is no reason to ignore it: whoever it speaks about is refused.
"""

from collections import OrderedDict

from broker.errors import service_unavailable
from broker.policy import MalformedPolicy, PolicyKind, PolicySet, Source, compile_policies, parse_policy


class PolicyLibrary:
    """At most `capacity` compiled documents, least recently used first out."""

    def __init__(self, capacity: int = 4096) -> None:
        self._capacity = capacity
        self._sets: OrderedDict[tuple[Source, PolicyKind, str], PolicySet] = OrderedDict()

    def compiled(self, source: Source, text: str, kind: PolicyKind) -> PolicySet:
        """The set of one document; raises Refusal ServiceUnavailable where a stored document does not parse."""
        key = (source, kind, text)
        found = self._sets.get(key)
        if found is not None:
            self._sets.move_to_end(key)
            return found
        try:
            made = compile_policies([(source, parse_policy(text, kind))])
        except MalformedPolicy as error:
            raise service_unavailable(f"stored policy {source} does not parse: {error.message}") from None
        self._sets[key] = made
        if len(self._sets) > self._capacity:
            self._sets.popitem(last=False)
        return made
