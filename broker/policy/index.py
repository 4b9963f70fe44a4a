"""Many statements compiled to something that answers in microseconds, whatever their number."""

from collections.abc import Iterable

from broker.policy.document import Policy
from broker.policy.statement import Source


class PolicySet:
    """Compiled policies, shareable between all principals that have the same ones."""

    policies: tuple[tuple[Source, Policy], ...]

    @classmethod
    def union(cls, *sets: "PolicySet") -> "PolicySet":
        """All statements of `sets`, without compiling any of them again."""
        raise NotImplementedError


def compile_policies(policies: Iterable[tuple[Source, Policy]]) -> PolicySet:
    """Index `policies`; a denying statement that cannot be compiled denies, an allowing one never allows."""
    raise NotImplementedError
