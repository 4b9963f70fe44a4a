"""What was found now against what was kept: the status of a finding, and its moments, decided by one function."""

from collections.abc import Iterable, Mapping

import msgspec
from msgspec.structs import replace

from broker.analyzer.criteria import Criteria, is_archived_by
from broker.storage.analyzer_records import AnalyzerFinding

# AWS deletes resolved findings after ninety days.
RESOLVED_SECONDS = 90 * 86_400
# What a later look may find different, in the same finding.
_CONTENT = ("actions", "is_public", "last_accessed", "permissions")
Findings = Mapping[str, AnalyzerFinding]


class Reconciled(msgspec.Struct, frozen=True):
    """The findings of the analyzer by id; those of them that changed are to be put, `ended` to be deleted."""

    findings: dict[str, AnalyzerFinding]
    changed: tuple[AnalyzerFinding, ...]
    ended: tuple[AnalyzerFinding, ...]


def reconcile(kept: Findings, found: Findings, rules: Iterable[Criteria], now: int) -> Reconciled:
    """A finding that is not found any more is resolved; one that comes back is active, or archived by a rule."""
    rules = tuple(rules)
    present = {key: _present(kept.get(key), one, rules, now) for key, one in found.items()}
    gone = {key: _resolved(one, now) for key, one in kept.items() if key not in found}
    since = now - RESOLVED_SECONDS
    of_analyzer = {**present, **{key: one for key, one in gone.items() if one.resolved_at > since}}
    changed = tuple(one for key, one in of_analyzer.items() if kept.get(key) != one)
    return Reconciled(of_analyzer, changed, tuple(one for key, one in gone.items() if key not in of_analyzer))


def _present(
    kept: AnalyzerFinding | None, found: AnalyzerFinding, rules: tuple[Criteria, ...], now: int
) -> AnalyzerFinding:
    if kept is None:
        new = replace(found, created_at=now, updated_at=now)
        return replace(new, is_archived=is_archived_by(new, rules))
    if kept.resolved_at:
        again = replace(found, created_at=kept.created_at, updated_at=now)
        return replace(again, is_archived=is_archived_by(again, rules))
    if all(getattr(kept, name) == getattr(found, name) for name in _CONTENT):
        return kept
    return replace(found, created_at=kept.created_at, updated_at=now, is_archived=kept.is_archived)


def _resolved(kept: AnalyzerFinding, now: int) -> AnalyzerFinding:
    return kept if kept.resolved_at else replace(kept, resolved_at=now, updated_at=now)
