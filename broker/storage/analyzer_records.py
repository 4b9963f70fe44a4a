"""Analyzers of IAM Access Analyzer, their archive rules, and the findings that they have shown.

Frozen, append-only with defaults, times in whole epoch seconds. An analyzer belongs to a region of its account.
"""

from broker.names.arn import analyzer_arn
from broker.storage.records import Record


class RuleCriterion(Record, frozen=True, kw_only=True):
    """What an attribute of a finding must be: the empty and None say nothing."""

    eq: tuple[str, ...] = ()
    neq: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()
    exists: bool | None = None


class ArchiveRule(Record, frozen=True, kw_only=True):
    """New findings that meet all criteria, which are by attribute, are archived."""

    rule_name: str
    criteria: dict[str, RuleCriterion]
    created_at: int
    updated_at: int


class ExcludedEntities(Record, frozen=True, kw_only=True):
    """Users and roles that have all pairs of one of `tags`, in these accounts, or in all where none is named."""

    tags: tuple[dict[str, str], ...]
    accounts: tuple[str, ...] = ()


class UnusedServiceAction(Record, frozen=True, kw_only=True):
    action: str
    last_accessed: int | None = None


class UnusedService(Record, frozen=True, kw_only=True):
    """A service that is allowed and was not used; with `actions`, these of them alone."""

    service: str
    last_accessed: int | None = None
    actions: tuple[UnusedServiceAction, ...] = ()


class Analyzer(Record, frozen=True, kw_only=True):
    """`unused_days` is for analyzers of unused access: what was used within as many days is no finding.

    `client_token` is that of the request that created it, so that the same request, sent again, is answered again.
    """

    account_id: str
    region: str
    name: str
    type: str
    created_at: int
    unused_days: int = 0
    excluded_accounts: tuple[str, ...] = ()
    archive_rules: dict[str, ArchiveRule] = {}
    tags: dict[str, str] = {}
    client_token: str = ""
    last_resource: str = ""
    last_resource_at: int = 0
    excluded_entities: tuple[ExcludedEntities, ...] = ()

    @property
    def arn(self) -> str:
        return analyzer_arn(self.region, self.account_id, self.name)


class AnalyzerFinding(Record, frozen=True, kw_only=True):
    """A finding as it was last seen. `owner` is the resource's account; `resolved_at` 0: it is still there.

    `principal`, `actions`, `conditions` and `is_public` are of external access, `access_key_id`, `last_accessed` and
    `permissions` of unused access. `recommended_at`: when somebody asked for a recommendation, 0 where nobody did.
    """

    region: str
    analyzer_name: str
    finding_id: str
    type: str
    resource: str
    resource_type: str
    owner: str
    principal: dict[str, str] = {}
    actions: tuple[str, ...] = ()
    conditions: dict[str, str] = {}
    is_public: bool = False
    access_key_id: str = ""
    last_accessed: int | None = None
    created_at: int = 0
    updated_at: int = 0
    is_archived: bool = False
    resolved_at: int = 0
    permissions: tuple[UnusedService, ...] = ()
    recommended_at: int = 0


def analyzer_key(region: str, name: str) -> str:
    return f"{region}/{name}"


def finding_key(finding: AnalyzerFinding) -> str:
    return f"{finding.region}/{finding.analyzer_name}/{finding.finding_id}"
