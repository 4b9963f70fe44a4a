"""The status of a finding, and its moments, over several looks."""

from msgspec.structs import replace

from broker.analyzer.criteria import status_of
from broker.analyzer.reconciling import RESOLVED_SECONDS, Reconciled, reconcile
from broker.storage.analyzer_records import AnalyzerFinding, RuleCriterion

NOW = 1_800_000_000
FOUND = AnalyzerFinding(
    region="us-east-1",
    analyzer_name="a",
    finding_id="1",
    type="ExternalAccess",
    resource="arn:aws:s3:::reports",
    resource_type="AWS::S3::Bucket",
    owner="111122223333",
    actions=("s3:GetObject",),
)
RULE = {"resource": RuleCriterion(eq=("arn:aws:s3:::reports",))}


def seen(
    kept: Reconciled | None,
    *found: AnalyzerFinding,
    now: int,
    rules: tuple[dict[str, RuleCriterion], ...] = (),
) -> Reconciled:
    before = {} if kept is None else kept.findings
    return reconcile(before, {one.finding_id: one for one in found}, rules, now)


def test_a_new_finding_is_active_and_is_as_it_was_when_nothing_changes() -> None:
    first = seen(None, FOUND, now=NOW)
    (one,) = first.changed
    assert (status_of(one), one.created_at, one.updated_at) == ("ACTIVE", NOW, NOW)
    again = seen(first, FOUND, now=NOW + 60)
    assert (again.changed, again.findings) == ((), first.findings)


def test_a_rule_archives_what_comes_and_not_what_is_there() -> None:
    assert status_of(seen(None, FOUND, now=NOW, rules=(RULE,)).findings["1"]) == "ARCHIVED"
    there = seen(None, FOUND, now=NOW)
    assert status_of(seen(there, FOUND, now=NOW, rules=(RULE,)).findings["1"]) == "ACTIVE"


def test_a_finding_that_changes_is_the_same_finding_and_stays_archived() -> None:
    archived = seen(None, FOUND, now=NOW, rules=(RULE,))
    changed = seen(archived, replace(FOUND, actions=("s3:*",)), now=NOW + 60)
    (one,) = changed.changed
    assert (one.actions, one.created_at, one.updated_at, one.is_archived) == (("s3:*",), NOW, NOW + 60, True)


def test_a_finding_that_is_gone_is_resolved_for_ninety_days() -> None:
    resolved = seen(seen(None, FOUND, now=NOW), now=NOW + 60)
    (one,) = resolved.changed
    assert (status_of(one), one.resolved_at, one.updated_at) == ("RESOLVED", NOW + 60, NOW + 60)
    assert seen(resolved, now=NOW + 59 + RESOLVED_SECONDS).changed == ()
    ended = seen(resolved, now=NOW + 60 + RESOLVED_SECONDS)
    assert (ended.findings, ended.ended) == ({}, (one,))


def test_a_finding_that_comes_back_is_active_again() -> None:
    archived = seen(None, FOUND, now=NOW, rules=(RULE,))
    resolved = seen(archived, now=NOW + 60)
    one = seen(resolved, FOUND, now=NOW + 120).findings["1"]
    assert (status_of(one), one.created_at, one.updated_at) == ("ACTIVE", NOW, NOW + 120)
