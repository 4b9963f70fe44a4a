"""IAM Access Analyzer: what is wrong with a policy, who outside is let in, what is not used.

Owns ValidatePolicy, over the checks of `broker.policy.validation`; analyzers with their archive rules; findings of
external access, over `broker.policy.external_access`, and of unused roles, access keys, passwords and permissions;
policies that are generated from the journal; custom policy checks, over `broker.policy.solver`. An analyzer looks
whenever somebody asks, so no finding is stale. Obeys the Access Analyzer API reference; findings of internal access
are not there.
"""

from broker.analyzer import (
    analyzed_resources,
    analyzers,
    archive_rules,
    findings,
    policy_checks,
    policy_generation,
    recommendations,
    statistics,
    tagging,
    validate_policy,
)

__all__ = [
    "analyzed_resources",
    "analyzers",
    "archive_rules",
    "findings",
    "policy_checks",
    "policy_generation",
    "recommendations",
    "statistics",
    "tagging",
    "validate_policy",
]
