"""IAM Access Analyzer: what its authors should know of a policy.

Owns ValidatePolicy, over the checks of `broker.policy.validation`. Never stores anything. Obeys the Access Analyzer API
reference; analyzers, their findings and the checks by a solver are not there.
"""

from broker.analyzer import validate_policy

__all__ = ["validate_policy"]
