"""The policy engine: a pure function from a request and every policy that applies to it to a decision.

Owns policy documents (parsing and every refusal at creation), patterns, variables, conditions, the
combination of all kinds of policy, and the reasons of a decision. Never reads a clock, a store or a network;
never guesses: what cannot be evaluated denies in a Deny and does not allow in an Allow.

Obeys the IAM User Guide: "IAM JSON policy elements reference", "Policy evaluation logic" and its pages.
"""

from broker.policy.analysis import context_keys, named_actions, service_grants
from broker.policy.breadth import allows_everything, trusted_accounts, trusts_everyone, whole_account
from broker.policy.bucket_policy import is_public, require_bucket_policy
from broker.policy.certainty import Extremes, supports_resources
from broker.policy.context import Context
from broker.policy.costs import cost_of_decision, count_condition_values
from broker.policy.decision import Decision, decide, is_always_allowed
from broker.policy.document import parse_policy, policy_size
from broker.policy.elements import Effect, MalformedPolicy, Policy, PolicyKind
from broker.policy.explanation import (
    LayerExplanation,
    Match,
    NearMiss,
    resource_conditions,
)
from broker.policy.external_access import ExternalGrant, Zone, external_grants, granted_outside
from broker.policy.findings import read_for_author
from broker.policy.granted_actions import GrantedActions, actions_of_service, granted_actions
from broker.policy.index import NO_POLICIES, PolicySet, compile_policies
from broker.policy.near_misses import resource_near_misses
from broker.policy.operands import read_date
from broker.policy.principals import Names, named_principals, names_of
from broker.policy.reasons import access_denied_message, authorization_message, denial_sentences
from broker.policy.reduced import without_actions
from broker.policy.request import AccessRequest, Layer, Layers, Outcome
from broker.policy.resource_forms import (
    RecordedName,
    is_in_reference,
    named_forms,
    needs_permission,
    resource_forms,
    spelled,
)
from broker.policy.sentences import policy_sentences
from broker.policy.spans import Position
from broker.policy.statement import Source, SourceKind
from broker.policy.summary import summarize

__all__ = [
    "NO_POLICIES",
    "AccessRequest",
    "Context",
    "Decision",
    "Effect",
    "ExternalGrant",
    "Extremes",
    "GrantedActions",
    "Layer",
    "LayerExplanation",
    "Layers",
    "MalformedPolicy",
    "Match",
    "Names",
    "NearMiss",
    "Outcome",
    "Policy",
    "PolicyKind",
    "PolicySet",
    "Position",
    "RecordedName",
    "Source",
    "SourceKind",
    "Zone",
    "access_denied_message",
    "actions_of_service",
    "allows_everything",
    "authorization_message",
    "compile_policies",
    "context_keys",
    "cost_of_decision",
    "count_condition_values",
    "decide",
    "denial_sentences",
    "external_grants",
    "granted_actions",
    "granted_outside",
    "is_always_allowed",
    "is_in_reference",
    "is_public",
    "named_actions",
    "named_forms",
    "named_principals",
    "names_of",
    "needs_permission",
    "parse_policy",
    "policy_sentences",
    "policy_size",
    "read_date",
    "read_for_author",
    "require_bucket_policy",
    "resource_conditions",
    "resource_forms",
    "resource_near_misses",
    "service_grants",
    "spelled",
    "summarize",
    "supports_resources",
    "trusted_accounts",
    "trusts_everyone",
    "whole_account",
    "without_actions",
]
